// What the command line is tested against: a whole gateway in front of a real PostgreSQL, a real identity provider, and the people of the
// demo signed in. Each command runs as a process of its own, as a person would run it.
import { execFile, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DemoIssuer, startIssuer } from '../../src/demo/issuer.ts'
import { writeProfiles } from '../../src/demo/sign-in.ts'
import { compiled, startTestGateway, type TestGateway } from '../servers/gateway.ts'
import { freePort, startPostgres, type TestServer } from '../servers/postgres.ts'

/** Passwords of the gateway's accounts at the server: to be found nowhere. */
export const PASSWORD = 'canary-file-77a1'
export const SEALED = 'canary sealed €-5c20'
const PROGRAM = [process.execPath, '--disable-warning=ExperimentalWarning', fileURLToPath(new URL('../../src/cli/index.ts', import.meta.url))] as const
const COMMAND_MS = 30_000

export interface Ran { readonly status: number; readonly out: string; readonly error: string }
export interface Running { readonly pid: number; out(): string; error(): string; seen(pattern: RegExp): Promise<RegExpExecArray>; signal(signal: NodeJS.Signals): void; readonly ended: Promise<Ran> }
export interface Profile { token: string; refreshToken: string | null; expiresAtMs: number; gateway: string }
export interface Stage {
  readonly folder: string
  readonly gateway: TestGateway
  readonly issuer: DemoIssuer
  readonly server: TestServer
  readonly address: string
  /** Runs `sluice …` to its end; what `input` holds is its stdin. */
  sluice(line: readonly string[], input?: string, more?: NodeJS.ProcessEnv): Promise<Ran>
  json<T>(line: readonly string[]): Promise<T>
  begin(line: readonly string[], more?: NodeJS.ProcessEnv): Running
  profile(name: string): Profile
  editProfile(name: string, change: Partial<Profile>): void
  stop(): Promise<void>
}

export const POLICIES = `policies:
  - name: support
    who: { groups: [support, support-agents] }
    on: { resources: [orders] }
    allow: [read, write]
    deny:
      - { name: no-ddl, operations: [sql.drop], message: "schema changes go through migrations" }
    review:
      - { name: deletes, operations: [sql.delete], reviewers: { groups: [leads] }, within: 15m }
    mask:
      - { fields: [public.customers.ssn], with: redact }
  - name: administrators
    who: { groups: [dba] }
    on: { resources: [orders, added] }
    allow: [read, write]
`

export async function startStage(): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
  chmodSync(folder, 0o755)
  process.env.XDG_CONFIG_HOME = join(folder, 'config')
  const [server, issuer] = await Promise.all([
    startPostgres({ hba: 'local all all trust\nhost all gw 127.0.0.1/32 scram-sha-256\nhost all sealed 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n' }),
    startIssuer({ data: folder, port: await freePort(), webUrl: 'https://127.0.0.1:1' }),
  ])
  for (const text of [`CREATE ROLE gw LOGIN PASSWORD '${PASSWORD}'`, `CREATE ROLE sealed LOGIN PASSWORD '${SEALED}'`, 'CREATE DATABASE orders OWNER gw', 'CREATE DATABASE sluice']) await server.sql(text)
  await server.sql(`CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO customers VALUES (1, 'Maria Eriksen', '512-11-0001'), (2, E'red \\x1b[31m\\nalert', '513-12-0002'), (3, NULL, NULL);
    ALTER TABLE customers OWNER TO gw; GRANT SELECT ON customers TO sealed`, 'orders')
  const gateway = await startTestGateway(`identity:
  issuers:
    - { name: demo, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups, client_id: sluice }
resources:
  - name: orders
    protocol: postgres
    address: 127.0.0.1:${server.port}
    database: orders
    credential: { username: gw, password: { env: ORDERS_PASSWORD } }
${POLICIES}`, {
    workers: 1, env: { ORDERS_PASSWORD: PASSWORD },
    gateway: `  store: "postgres://gwsuper@127.0.0.1:${server.port}/sluice"\n  admins: { groups: [platform] }\n  auditors: { groups: [audit] }\n`,
  })
  const address = `https://127.0.0.1:${gateway.web}`
  await writeProfiles(issuer, { gateway: address, ca: readFileSync(join(gateway.data, 'keys', 'ca.pem'), 'utf8'), postgres: { host: '127.0.0.1', port: gateway.port }, data: folder })
  const environment = (more: NodeJS.ProcessEnv = {}) => ({ ...process.env, XDG_CONFIG_HOME: join(folder, 'config'), BROWSER: '/bin/false', NODE_COMPILE_CACHE: compiled(), ...more })
  const profileFile = (name: string) => join(folder, 'config/sluice/profiles', `${name}.json`)
  const stage: Stage = {
    folder, gateway, issuer, server, address,
    sluice: (line, input = '', more) => new Promise((done) => {
      const [node, ...before] = PROGRAM
      const child = execFile(node, [...before, ...line], { cwd: folder, env: environment(more), timeout: COMMAND_MS }, (error, out, stderr) => done({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : 255, out, error: stderr }))
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
    }),
    async json(line) {
      const ran = await stage.sluice([...line, '--json'])
      if (ran.status !== 0) throw new Error(`sluice ${line.join(' ')} ended with ${ran.status}: ${ran.error}`)
      return JSON.parse(ran.out)
    },
    begin: (line, more) => begin(line, folder, environment(more)),
    profile: (name) => JSON.parse(readFileSync(profileFile(name), 'utf8')) as Profile,
    editProfile: (name, change) => writeFileSync(profileFile(name), JSON.stringify({ ...stage.profile(name), ...change }), { mode: 0o600 }),
    async stop() {
      await gateway.stop()
      await Promise.all([issuer.stop(), server.stop()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return stage
}

function begin(line: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Running {
  const [node, ...before] = PROGRAM
  const child = spawn(node, [...before, ...line], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, error] = ['', '']
  child.stdout.on('data', (bytes: Buffer) => { out += bytes })
  child.stderr.on('data', (bytes: Buffer) => { error += bytes })
  const ended = new Promise<Ran>((done) => child.once('close', (code) => done({ status: code ?? 255, out, error })))
  return {
    pid: child.pid ?? 0, out: () => out, error: () => error, ended,
    signal: (signal) => { child.kill(signal) },
    async seen(pattern) {
      const deadline = Date.now() + COMMAND_MS
      for (;;) {
        const found = pattern.exec(out + error)
        if (found !== null) return found
        if (child.exitCode !== null || Date.now() > deadline) { child.kill('SIGKILL'); throw new Error(`not seen: ${pattern} in\n${out}${error}`) }
        await new Promise((later) => { setTimeout(later, 15) })
      }
    },
  }
}

export function hasProgram(name: string): boolean { return (process.env.PATH ?? '').split(':').some((path) => path !== '' && existsSync(join(path, name))) }
/** Arguments and environment of a process and of those below it, as others on the machine see them. */
export function laidOpen(pid: number): string {
  let text = ''
  for (const file of ['cmdline', 'environ']) try { text += readFileSync(`/proc/${pid}/${file}`, 'utf8') } catch { /* it ended */ }
  let children = ''
  try { children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8') } catch { /* it ended */ }
  return text + children.split(' ').filter(Boolean).map((child) => laidOpen(Number(child))).join('')
}
