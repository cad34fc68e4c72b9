// What the tests of operation run against: a real PostgreSQL whose gateway account has a password that must never be seen, a real
// issuer, and a whole gateway in front. One policy for people who are held, one for robots who are refused with an address.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type Answer, callApi } from '../servers/api.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, type TestServer } from '../servers/postgres.ts'

/** The gateway's own password at the server: to be found nowhere. */
export const CANARY = 'canary-9f31c7-pass'
export const CUSTOMERS = 5_000
/** Values of the masked column; the last one is asked for by name in no test. */
export const SSN = (id: number): string => `5${String(id % 90 + 10)}-${String(id % 80 + 11)}-${String(id).padStart(4, '0')}`

export interface Site {
  readonly server: TestServer
  readonly issuer: TestIssuer
  gateway: TestGateway
  readonly data: string
  /** A client of a person (or agent) with these groups; `extra` as the issuer takes it (`&ttl=5`). */
  connect(subject: string, groups: string, extra?: string): Promise<pg.Client>
  token(subject: string, groups: string, extra?: string): Promise<string>
  api(token: string, method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<Answer>
  /** Rewrites the configuration's file; the gateway watches it. */
  edit(change: (text: string) => string): void
  restart(how?: 'stop' | 'kill'): Promise<void>
  stop(): Promise<void>
}
export interface SiteOptions { readonly gateway?: string; readonly settings?: Record<string, string>; readonly policies?: string; readonly workers?: number; readonly resource?: string; readonly env?: Record<string, string>; readonly issuer?: TestIssuer; /** Another file system for the recordings. */ readonly recordings?: string; /** The store in the test's own server: starts sooner than an embedded one. */ readonly storeBeside?: boolean }

export const POLICIES = `policies:
  - name: people
    who: { groups: [agents] }
    on: { resources: [orders] }
    allow: [read, write]
    deny:
      - { name: no-ddl, operations: [sql.drop], message: "schema changes go through migrations" }
    review:
      - { name: deletes, operations: [sql.delete], reviewers: { groups: [leads] }, within: 20s }
      - { name: bulk, rows: 100, reviewers: { groups: [leads] }, within: 20s }
      - { name: heavy, bytes: 200KB, reviewers: { groups: [leads] }, within: 20s }
    mask:
      - { fields: [public.customers.ssn], with: redact, lookups: 10/1m }
  - name: robots
    who: { groups: [robots] }
    on: { resources: [orders] }
    allow: [read, write]
    review:
      - { name: robot-deletes, operations: [sql.delete], reviewers: { groups: [leads] }, within: 20s, wait: refuse }
    mask:
      - { fields: [public.customers.ssn], with: redact }
  - name: quick
    who: { groups: [hurried] }
    on: { resources: [orders] }
    allow: [read, write]
    review:
      - { name: quick-deletes, operations: [sql.delete], reviewers: { groups: [leads] }, within: 2s }
`

export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const [server, issuer] = await Promise.all([
    startPostgres({ hba: 'local all all trust\nhost all gw 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n', settings: { log_statement: 'all', log_line_prefix: '%m [%p] %u ', ...options.settings } }),
    options.issuer ?? startIssuer(),
  ])
  for (const text of [
    `CREATE ROLE gw LOGIN PASSWORD '${CANARY}'`, 'CREATE DATABASE orders OWNER gw', 'CREATE DATABASE sluice',
  ]) await server.sql(text)
  await server.sql(`CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, ssn text, note text);
    INSERT INTO customers SELECT g, 'Customer ' || g, '5' || (g % 90 + 10) || '-' || (g % 80 + 11) || '-' || lpad(g::text, 4, '0'), repeat('n', 100) FROM generate_series(1, ${CUSTOMERS}) g;
    CREATE TABLE ledger (id bigserial PRIMARY KEY, who text, n int);
    ALTER TABLE customers OWNER TO gw; ALTER TABLE ledger OWNER TO gw`, 'orders')
  const data = mkdtempSync(join(tmpdir(), 'sluice-site-'))
  if (options.recordings !== undefined) { mkdirSync(join(data, 'data'), { mode: 0o700 }); symlinkSync(options.recordings, join(data, 'data', 'recordings')) }
  const yaml = `identity:
  issuers:
    - { name: test, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }
resources:
  - name: orders
    protocol: postgres
    address: 127.0.0.1:${server.port}
    database: orders
    tls: disable
    credential: { username: gw, password: { env: ORDERS_PASSWORD } }
${options.resource ?? ''}${options.policies ?? POLICIES}`
  const start = () => startTestGateway(yaml, {
    data, gateway: `${options.storeBeside === true ? `  store: "postgres://gwsuper@127.0.0.1:${server.port}/sluice"\n` : ''}  admins: { groups: [platform] }\n  auditors: { groups: [audit] }\n${options.gateway ?? ''}`, env: { ORDERS_PASSWORD: CANARY, ...options.env }, workers: options.workers ?? 2,
  })
  const site: Site = {
    server, issuer, data, gateway: await start(),
    token: (subject, groups, extra) => issuer.token(subject, groups, extra),
    async connect(subject, groups, extra) { return site.gateway.client({ database: 'orders', password: await issuer.token(subject, groups, extra) }) },
    api: (token, method, path, body) => callApi(site.gateway.web, token, method, path, body),
    edit: (change) => writeFileSync(site.gateway.config, change(readFileSync(site.gateway.config, 'utf8'))),
    async restart(how = 'stop') { await site.gateway[how](); site.gateway = await start() },
    async stop() {
      await site.gateway.stop()
      if (options.issuer === undefined) issuer.stop()
      await server.stop()
      rmSync(data, { recursive: true, force: true })
    },
  }
  return site
}

/** Asks until it holds; throws what was last seen. */
export async function until<T>(what: string, ask: () => Promise<T | null | undefined | false> | T | null | undefined | false, withinMs = 10_000): Promise<T> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const found = await ask()
    if (found !== null && found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(30)
  }
}

/** Runs a statement and answers its error. */
export async function refusalOf(work: Promise<unknown>): Promise<{ code: string; message: string; hint?: string; detail?: string }> {
  try { await work } catch (error) { return error as { code: string; message: string } }
  throw new Error('it was not refused')
}
/** Processes below this one, by /proc. */
export function descendants(pid: number): number[] {
  const found: number[] = []
  for (const task of readdirTasks(pid)) {
    let text = ''
    try { text = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8') } catch { /* it ended */ }
    for (const child of text.split(' ').filter(Boolean).map(Number)) found.push(child, ...descendants(child))
  }
  return found
}
function readdirTasks(pid: number): string[] { try { return readdirSync(`/proc/${pid}/task`) } catch { return [] } }
export const alive = (pid: number): boolean => { try { process.kill(pid, 0); return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')) } catch { return false } }
/** A CancelRequest for this client's session; `wrong` is added to its secret. */
export function cancel(port: number, client: pg.Client, wrong = 0): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  return new Promise((done, fail) => {
    const socket = connect(port, '127.0.0.1')
    const packet = Buffer.alloc(16)
    ;[16, 80877102, processID, secretKey ^ wrong].forEach((value, at) => { packet.writeInt32BE(value | 0, at * 4) })
    socket.once('connect', () => socket.end(packet))
    socket.once('close', () => done())
    socket.once('error', fail)
  })
}
