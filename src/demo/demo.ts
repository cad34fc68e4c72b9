// `sluice demo`: the main job on one machine. A real PostgreSQL with customers, a real identity provider, policies, the gateway, and the
// lines to try it with. Everything it starts ends with it; what it keeps is in one folder.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { type Gateway, startGateway } from '../main.ts'
import { CUSTOMERS, ORDERS } from './customers.ts'
import { type DemoDatabase, startDatabase } from './database.ts'
import { type DemoIssuer, startIssuer } from './issuer.ts'
import { type Lines, linesFor } from './lines.ts'
import { settingsText } from './settings.ts'
import { writeProfiles } from './sign-in.ts'

const PORTS = { web: 8443, postgres: 15432, issuer: 8455 } as const
/** How many ports after the usual one are tried. */
const PORTS_TRIED_MAX = 100

interface Ports { readonly web: number; readonly postgres: number; readonly issuer: number }
interface Started { database?: DemoDatabase; issuer?: DemoIssuer; gateway?: Gateway }

/** Resolves when Ctrl-C or SIGTERM has ended it all. */
export async function runDemo(options: { readonly data: string }): Promise<void> {
  const data = resolve(options.data)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort())
  const started: Started = {}
  const release = claim(data)
  try {
    await start(data, started, stopping.signal)
    await Promise.race([aborted(stopping.signal), started.gateway?.stopped])
  } finally { await stop(started); release() }
}

/** Two demos on one folder would end each other's servers. */
function claim(data: string): () => void {
  mkdirSync(data, { recursive: true, mode: 0o755 })
  const file = join(data, 'demo.pid')
  const other = isRunning(file)
  if (other !== null) throw new Error(`a demo runs in ${data} already (process ${other}): end it first, or use another folder with --data`)
  writeFileSync(file, String(process.pid))
  return () => { rmSync(file, { force: true }) }
}

function isRunning(file: string): number | null {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    process.kill(pid, 0)
    return pid === process.pid ? null : pid
  } catch { return null }
}

async function start(data: string, started: Started, stopping: AbortSignal): Promise<void> {
  const ports = await freePorts()
  const webUrl = `https://127.0.0.1:${ports.web}`
  say(`starting PostgreSQL with ${CUSTOMERS.toLocaleString('en')} customers, ${ORDERS.toLocaleString('en')} orders and payments; an identity provider; the gateway`)
  const opening = [
    startDatabase(data).then((database) => { started.database = database }),
    startIssuer({ data, port: ports.issuer, webUrl }).then((issuer) => { started.issuer = issuer }),
  ]
  // Both are waited for, so that none is left behind when the other fails.
  for (const ended of await Promise.allSettled(opening)) if (ended.status === 'rejected') throw ended.reason
  const { database, issuer } = started
  if (database === undefined || issuer === undefined || stopping.aborted) return
  const file = join(data, 'sluice.yaml')
  writeFileSync(file, settingsText({ ...ports, issuer: issuer.url, address: database.address, username: database.username, passwordFile: database.passwordFile }))
  started.gateway = await startGateway(file)
  const ca = join(data, 'gateway', 'keys', 'ca.pem')
  const profiles = await writeProfiles(issuer, { gateway: webUrl, ca: readFileSync(ca, 'utf8'), postgres: { host: '127.0.0.1', port: ports.postgres }, data })
  if (!stopping.aborted) show(linesFor({ postgres: ports.postgres, ca, profiles }), webUrl, file)
}

async function stop({ gateway, issuer, database }: Started): Promise<void> {
  say('stopping')
  await gateway?.stop()
  await Promise.allSettled([issuer?.stop(), database?.stop()])
}

function show(lines: Lines, webUrl: string, file: string): void {
  process.stdout.write(`
Sluice is ready. Kim (support) reads customers; what Kim may not see is hidden:

  ${lines.masked}

Kim may not change the schema:

  ${lines.refused}

A change waits until a lead has seen it:

  ${lines.waits}

and in another terminal Sam reads and approves it:

  ${lines.list}
  ${lines.approve}

Or on the page for reviews (choose Sam there; your browser does not know its certificate yet): ${webUrl}
Policies: ${file}
Ctrl-C ends the demo; its data stay.
`)
}

async function freePorts(): Promise<Ports> {
  const taken = new Set<number>()
  const next = async (first: number): Promise<number> => {
    for (let port = first; port < first + PORTS_TRIED_MAX; port++) if (!taken.has(port) && await isFree(port)) { taken.add(port); return port }
    throw new Error(`no port from ${first} to ${first + PORTS_TRIED_MAX - 1} is free`)
  }
  return { web: await next(PORTS.web), postgres: await next(PORTS.postgres), issuer: await next(PORTS.issuer) }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => done(true)))
  })
}

function aborted(signal: AbortSignal): Promise<void> { return new Promise((done) => { if (signal.aborted) done(); else signal.addEventListener('abort', () => done(), { once: true }) }) }
function say(text: string): void { process.stderr.write(`sluice: ${text}\n`) }
