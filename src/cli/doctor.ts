// `sluice doctor`: looks at what commonly goes wrong, from this machine: sign-in, gateway, certificate, clocks, listeners, clients.
// With --config also at the gateway's own file and folders. Changes nothing.
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { connect } from 'node:net'
import { loadConfig } from '../config.ts'
import { ConfigErrors } from '../core/errors.ts'
import { readJson, reason, send } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { inert, line, show } from './output.ts'
import { findProfile, type Profile, profileName } from './profile.ts'
import { renewed } from './renew.ts'

const NODE_MAJOR_MIN = 24
const CLOCK_SKEW_MS_MAX = 30_000
const DIAL_TIMEOUT_MS = 5_000

interface Finding { readonly ok: boolean; readonly what: string; readonly why: string }

export const command: Command = {
  usage: 'doctor [--profile NAME] [--config sluice.yaml] [--json]',
  options: { config: { type: 'string', short: 'c' } },
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    const file = given.text('config')
    const findings = [runtime(), ...(file === undefined ? [] : gatewayFile(file)), ...await client(given), programs()]
    show(given, findings, (list) => { for (const { ok, what, why } of list) line(`${ok ? 'ok  ' : 'BAD '} ${what}: ${inert(why)}`) })
    const bad = findings.filter(({ ok }) => !ok)
    if (bad.length > 0) throw new CommandFailed(`${bad.length} of ${findings.length} checks are bad: ${bad.map(({ what }) => inert(what)).join(', ')}`)
  },
}

function runtime(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return { ok: major >= NODE_MAJOR_MIN, what: 'Node', why: major >= NODE_MAJOR_MIN ? process.version : `${process.version} is too old: run \`npm run build\` in the clone, which brings ${NODE_MAJOR_MIN}` }
}

function gatewayFile(file: string): Finding[] {
  try {
    const { gateway, warnings } = loadConfig(file, process.env)
    const keys = join(gateway.data, 'keys')
    const open = existsSync(keys) && (statSync(keys).mode & 0o077) !== 0
    return [
      { ok: true, what: file, why: warnings.length === 0 ? 'good' : `${warnings.length} warnings: see \`sluice policy check ${file}\`` },
      { ok: isWritable(gateway.data), what: 'data folder', why: isWritable(gateway.data) ? gateway.data : `${gateway.data} can't be written` },
      { ok: !open, what: 'keys', why: open ? `others may read ${keys}: chmod 700 it` : 'readable by their owner alone' },
      { ok: gateway.heads !== null, what: 'second place for heads', why: gateway.heads ?? 'none: whoever can write the data folder can cut the end of the record unseen; set gateway.heads' },
    ]
  } catch (error) {
    if (!(error instanceof ConfigErrors)) throw error
    return [{ ok: false, what: file, why: error.list.map(({ message }) => message).join('; ') }]
  }
}

async function client(given: Given): Promise<Finding[]> {
  const name = profileName(given)
  const found = findProfile(name)
  if (found === null) return [{ ok: false, what: 'sign-in', why: `no profile ${name}: run \`sluice login\`` }]
  const findings: Finding[] = []
  let profile: Profile = found
  try { profile = await renewed(name, found); findings.push({ ok: true, what: 'sign-in', why: `valid for ${Math.round((profile.expiresAtMs - Date.now()) / 60_000)} min` }) } catch (error) { findings.push({ ok: false, what: 'sign-in', why: reason(error) }) }
  try {
    const answer = await send({ ...profile, token: '' }, 'GET', '/ready')
    const skewMs = Math.abs(Date.parse(answer.headers.date ?? '') - Date.now())
    const { status } = await readJson<{ status: string }>(answer, profile)
    findings.push({ ok: status === 'ok', what: 'gateway', why: `${profile.gateway} ${status === 'ok' ? 'is ready' : 'is not ready'}` })
    if (Number.isFinite(skewMs)) findings.push({ ok: skewMs < CLOCK_SKEW_MS_MAX, what: 'clocks', why: `${Math.round(skewMs / 1_000)} s apart` })
  } catch (error) { findings.push({ ok: false, what: 'gateway', why: reason(error) }) }
  if (profile.postgres !== null) findings.push(await listener(profile.postgres))
  return findings
}

function listener({ host, port }: { readonly host: string; readonly port: number }): Promise<Finding> {
  return new Promise((done) => {
    const socket = connect({ host, port, timeout: DIAL_TIMEOUT_MS })
    const end = (ok: boolean, why: string) => { socket.destroy(); done({ ok, what: 'PostgreSQL listener', why: `${host}:${port} ${why}` }) }
    socket.once('connect', () => end(true, 'answers'))
    socket.once('timeout', () => end(false, `does not answer within ${DIAL_TIMEOUT_MS / 1000} s: is a firewall between?`))
    socket.once('error', (error) => end(false, `can't be reached: ${reason(error)}`))
  })
}

function programs(): Finding {
  const path = (process.env.PATH ?? '').split(delimiter)
  const there = ['psql', 'pg_dump', 'pgcli'].filter((name) => path.some((folder) => folder !== '' && existsSync(join(folder, name))))
  return { ok: true, what: 'clients', why: there.length === 0 ? 'none on PATH: use `sluice sql`' : there.join(', ') }
}

function isWritable(path: string): boolean {
  try { accessSync(path, constants.W_OK); return true } catch { return !existsSync(path) }
}
