// What is measured and what it is measured against: one PostgreSQL 15 with its tables, pgbouncer, a bare relay, and one gateway with a
// resource per variant. Everything runs on this machine, in processes of its own, and ends with the bench.
import { type ChildProcess, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../test/servers/gateway.ts'
import { freePort, startPostgres, type TestServer } from '../test/servers/postgres.ts'
import type { Place } from './client.ts'
import { startPgbouncer } from './pgbouncer.ts'
import { processTree } from './processes.ts'
import { makeTables, ROLE } from './tables.ts'

const TOKEN_TTL_S = 86_400
const SESSIONS_MAX = 8_000
const POSTGRES_CONNECTIONS = 3_000
const DETECTORS = '[credit-card, us-ssn, email, api-key]'

/** Each is a resource of its own: its record's strength and what its policy hides. */
const VARIANTS = {
  policy: { record: 'kernel', mask: '' },
  balanced: { record: 'balanced', mask: '' },
  sync: { record: 'sync', mask: '' },
  mask: { record: 'balanced', mask: '\n    mask: [{ fields: [public.pgbench_accounts.filler, public.pii.email, public.pii.ssn, public.pii.card], with: redact }]' },
  detect: { record: 'balanced', mask: `\n    mask: [{ detect: ${DETECTORS}, with: redact }]` },
} as const
export type Variant = keyof typeof VARIANTS
export type TargetName = 'direct' | 'pgbouncer' | 'relay' | Variant
export const PEERS: readonly TargetName[] = ['direct', 'pgbouncer', 'relay']
export const SLUICE: readonly Variant[] = Object.keys(VARIANTS) as Variant[]
export const TARGETS: readonly TargetName[] = [...PEERS, ...SLUICE]

export interface Target extends Place {
  readonly name: TargetName
  /** Those between client and server: none for `direct`, all but its embedded store for the gateway. */
  pids(): number[]
}
export interface Stage {
  readonly server: TestServer
  readonly gateway: TestGateway | null
  readonly pgbouncer: string | null
  readonly targets: readonly Target[]
  readonly workers: number
  stop(): Promise<void>
}

export interface StageOptions {
  readonly targets: readonly TargetName[]
  readonly tables: readonly string[]
  /** For the gateway's processes, to profile them. */
  readonly environment: Record<string, string>
  say(text: string): void
}

export async function setStage({ targets: wanted, tables, environment, say }: StageOptions): Promise<Stage> {
  const endings: (() => unknown)[] = []
  const stop = async () => { for (const end of endings.reverse()) await end() }
  try {
    say('PostgreSQL 15 and its tables')
    const server = await startPostgres({ version: 15, hba: 'local all all trust\nhost all gwsuper 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n', settings: { max_connections: String(POSTGRES_CONNECTIONS), shared_buffers: '768MB', max_wal_size: '4GB', shared_preload_libraries: '', wal_level: 'replica' } })
    endings.push(() => server.stop())
    await makeTables(server, tables)
    const own = { user: ROLE.name, password: ROLE.password, database: 'postgres' }
    const targets: Target[] = wanted.includes('direct') ? [{ name: 'direct', port: server.port, ...own, pids: () => [] }] : []
    const pgbouncer = wanted.includes('pgbouncer') ? await startPgbouncer({ port: server.port, user: ROLE.name, password: ROLE.password }) : null
    if (pgbouncer !== null) { endings.push(() => pgbouncer.stop()); targets.push({ name: 'pgbouncer', port: pgbouncer.port, ...own, pids: () => [pgbouncer.pid] }) }
    if (wanted.includes('relay')) {
      const relay = await startRelay(server.port)
      endings.push(() => relay.child.kill('SIGKILL'))
      targets.push({ name: 'relay', port: relay.port, ...own, pids: () => [relay.child.pid!] })
    }
    const variants = SLUICE.filter((name) => wanted.includes(name))
    let gateway: TestGateway | null = null
    const workers = availableParallelism()
    if (variants.length > 0) {
      say('the gateway')
      const issuer = await startIssuer()
      endings.push(() => issuer.stop())
      const started = gateway = await startTestGateway(configFor(issuer, server, variants), { workers, env: { ...environment, BENCH_PASSWORD: ROLE.password } })
      endings.push(() => started.stop())
      const password = await issuer.token('bench@example.com', 'bench', `&ttl=${TOKEN_TTL_S}`)
      const pids = () => processTree(started.child.pid!, (name) => name.startsWith('postgres'))
      for (const name of variants) targets.push({ name, port: started.port, user: 'bench', password, database: name, pids })
    }
    return { server, gateway, pgbouncer: pgbouncer?.version ?? null, targets, workers, stop }
  } catch (error) { await stop(); throw error }
}

function configFor(issuer: TestIssuer, server: TestServer, variants: readonly Variant[]): string {
  return `identity:
  issuers: [{ name: bench, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }]
resources:
${variants.map((name) => `  - { name: ${name}, protocol: postgres, address: "127.0.0.1:${server.port}", database: postgres, tls: disable, record: ${VARIANTS[name].record}, limits: { sessions: ${SESSIONS_MAX} }, credential: { username: ${ROLE.name}, password: { env: BENCH_PASSWORD } } }`).join('\n')}
policies:
${variants.map((name) => `  - name: ${name}\n    who: { groups: [bench] }\n    on: { resources: [${name}] }\n    allow: [read]${VARIANTS[name].mask}`).join('\n')}
`
}

async function startRelay(target: number): Promise<{ child: ChildProcess; port: number }> {
  const port = await freePort()
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('relay.ts', import.meta.url)), String(port), String(target)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((ready, failed) => { child.stdout!.once('data', () => ready()); child.once('exit', () => failed(new Error('the relay did not start'))) })
  return { child, port }
}
