// `sluice connect RESOURCE`: an entrance for clients that know nothing of Sluice, open until Ctrl-C.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openClient, readJson, send } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { type At, type Listening, listenFor } from './listener.ts'
import { keepRenewing } from './keep-renewing.ts'
import { json, line, note } from './output.ts'
import { loadProfile } from './profile.ts'
import { renewed } from './renew.ts'

const PASSWORD_BYTES = 24

export const command: Command = {
  usage: 'connect RESOURCE [--port N] [--json]',
  options: { port: { type: 'string', short: 'p' } },
  async run(given) {
    const [resource, ...more] = given.words
    if (resource === undefined || more.length > 0) throw misused(command)
    const entrance = await openEntrance(given, resource, portOf(given.text('port')))
    const { environment } = entrance
    if (given.json) json(environment)
    else {
      line(Object.entries(environment).map(([name, value]) => `export ${name}=${/^[\w./:-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`}`).join('\n'))
      line('# open until Ctrl-C')
    }
    await new Promise<void>((done) => { for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => done()) })
    await entrance.close()
  },
}

export interface OpenEntrance { readonly environment: Readonly<Record<string, string>>; close(): Promise<void> }

/** Without a port, a unix socket in a folder of its own that nobody else may enter. */
export async function openEntrance(given: Given, resource: string, port: number | null): Promise<OpenEntrance> {
  const client = await openClient(given)
  const { name } = client
  const grants = await client.get<{ name: string; protocol: string }[]>('/api/resources')
  const grant = grants.find((one) => one.name === resource.split('/')[0])
  if (grant === undefined) throw new CommandFailed(`no resource ${resource}, or none you may reach: see \`sluice resources\``)
  if (grant.protocol !== 'postgres') throw new CommandFailed(`${resource} speaks ${grant.protocol}, which connect does not know yet`)
  const profile = () => renewed(name, loadProfile(name))
  const renewing = keepRenewing({ profile, send: (fresh, path, body) => send(fresh, 'POST', path, body).then((answer) => readJson(answer, fresh)), warn: note })
  const common = { PGUSER: 'sluice', PGDATABASE: resource, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' }
  if (port !== null) {
    const password = randomBytes(PASSWORD_BYTES).toString('base64url')
    const listening = await start({ port, password }, resource, profile, renewing.opened)
    return { environment: { PGHOST: '127.0.0.1', PGPORT: String(listening.port), ...common, PGPASSWORD: password }, close: async () => { renewing.stop(); await listening.close() } }
  }
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const listening = await start({ path: join(folder, '.s.PGSQL.5432') }, resource, profile, renewing.opened)
  return { environment: { PGHOST: folder, PGPORT: '5432', ...common }, close: async () => { renewing.stop(); await listening.close(); rmSync(folder, { recursive: true, force: true }) } }
}

function start(at: At, resource: string, profile: () => ReturnType<typeof renewed>, opened: (token: string) => () => void): Promise<Listening> {
  return listenFor({ at, resource, profile, opened }).catch((error: NodeJS.ErrnoException) => { throw new CommandFailed(error.code === 'EADDRINUSE' ? `port ${'port' in at ? at.port : ''} is taken` : `can't listen: ${error.message}`) })
}

export function portOf(text: string | undefined): number | null {
  if (text === undefined) return null
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new CommandFailed(`not a port: ${JSON.stringify(text)}`, 2)
  return port
}
