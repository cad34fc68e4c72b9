// What the tests of clients play on: servers of the versions CI runs on, with the same tables, behind one gateway with a policy that
// masks and refuses (agents), one that allows everything (builders), one for dumps and one that reads. Clients reach a server as resource `shop<version>`.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { startIssuer, startTestGateway, type TestGateway } from '../servers/gateway.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer, type Version } from '../servers/postgres.ts'

export const ORDERS = 20_000
export const SSN = '123-45-6789'
const PROGRAM_TIMEOUT_MS = 60_000
const TOKEN_SECONDS = 3_600

export type Group = 'agents' | 'builders' | 'dumpers' | 'readers'
export interface Shop { readonly version: Version; readonly name: string; readonly server: TestServer }
export interface Stage {
  readonly gateway: TestGateway
  readonly shops: readonly Shop[]
  /** The gateway's own CA, for clients that verify. */
  readonly ca: string
  readonly tokens: Readonly<Record<Group, string>>
  stop(): Promise<void>
}

export async function startStage(): Promise<Stage> {
  const shops = await Promise.all(SUITE_VERSIONS.map(async (version) => ({ version, name: `shop${version}`, server: await startPostgres({ version }) })))
  for (const { server } of shops) await server.sql(SEED)
  const issuer = await startIssuer()
  const gateway = await startTestGateway(rules(issuer.url, shops))
  const token = (group: Group) => issuer.token(`someone@${group}.example`, group, `&ttl=${TOKEN_SECONDS}`)
  return {
    gateway, shops, ca: join(gateway.data, 'keys', 'ca.pem'),
    tokens: { agents: await token('agents'), builders: await token('builders'), dumpers: await token('dumpers'), readers: await token('readers') },
    async stop() { await gateway.stop(); issuer.stop(); for (const { server } of shops) await server.stop() },
  }
}

function rules(issuer: string, shops: readonly Shop[]): string {
  return `identity:
  issuers:
    - { name: test, issuer: "${issuer}", audience: sluice, subject: email, groups: groups }
resources:
${shops.map(({ name, server }) => `  - { name: ${name}, protocol: postgres, address: "127.0.0.1:${server.port}", database: postgres, tls: disable, credential: { username: app } }`).join('\n')}
policies:
  - name: agents
    who: { groups: [agents] }
    on: { resources: [${shops.map(({ name }) => name).join(', ')}] }
    allow: [read, write]
    deny:
      - { name: no-ddl, operations: [sql.drop, sql.truncate, sql.alter, sql.create, sql.grant], message: "schema changes go through migrations" }
    mask:
      - { fields: ["public.customers.ssn", "*.card_number"], with: redact, lookups: 100/1m }
      - { detect: [us-ssn, credit-card], with: redact }
  - name: builders
    who: { groups: [builders] }
    on: { resources: [${shops.map(({ name }) => name).join(', ')}] }
    allow: [read, write, admin]
    deny:
      - { name: no-drop, operations: [sql.drop.table], message: "schema changes go through migrations" }
  - name: dumpers
    who: { groups: [dumpers] }
    on: { resources: [${shops.map(({ name }) => name).join(', ')}] }
    allow: [read, sql.lock]
  - name: readers
    who: { groups: [readers] }
    on: { resources: [${shops.map(({ name }) => name).join(', ')}] }
    allow: [read]
`
}

const SEED = `
CREATE ROLE app LOGIN;
GRANT CREATE ON SCHEMA public TO app;
GRANT CREATE, TEMP ON DATABASE postgres TO app;
SET ROLE app;
CREATE TABLE customers(id int PRIMARY KEY, name text NOT NULL, ssn text, card_number varchar(30), notes text, tags text[], numbers int[], document jsonb, photo bytea, balance numeric(12,2), joined timestamptz, active boolean);
INSERT INTO customers VALUES
  (1, 'Alice', '${SSN}', '4539148803436467', 'call after six', '{vip,"two words",NULL}', '{1,2,NULL}', '{"a": [1, null]}', '\\x00ff', 12.50, '2024-01-02 03:04:05+00', true),
  (2, 'Bob', '987-65-4320', '5425233430109903', 'his number is 078-05-1120', '{}', NULL, NULL, NULL, NULL, NULL, false),
  (3, 'Carol O''Hara', NULL, NULL, NULL, NULL, NULL, NULL, NULL, -0.01, '1999-12-31 23:59:59+00', NULL);
CREATE TABLE orders(id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers(id), amount numeric(12,2) NOT NULL, status text NOT NULL DEFAULT 'new', placed timestamptz NOT NULL DEFAULT '2024-05-01 00:00:00+00');
INSERT INTO orders SELECT g, 1 + g % 3, (g % 700) + 0.5, (ARRAY['new','paid','shipped'])[1 + g % 3], '2024-05-01 00:00:00+00' FROM generate_series(1, ${ORDERS}) g;
CREATE INDEX orders_customer ON orders(customer_id);
CREATE TABLE jottings(id serial PRIMARY KEY, body text UNIQUE, at timestamptz DEFAULT now());
CREATE VIEW paid_orders AS SELECT * FROM orders WHERE status = 'paid';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FUNCTION label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) $$;
RESET ROLE;
ANALYZE;
`

export interface Ran { readonly status: number | null; readonly out: string; readonly err: string }

/** Runs a client program to its end. */
export async function run(program: string, parameters: readonly string[], options: { env?: Readonly<Record<string, string>>; input?: string } = {}): Promise<Ran> {
  const child = spawn(program, parameters, { env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'], timeout: PROGRAM_TIMEOUT_MS })
  let out = '', err = ''
  child.stdout.on('data', (bytes: Buffer) => { out += bytes })
  child.stderr.on('data', (bytes: Buffer) => { err += bytes })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const status = await new Promise<number | null>((done, fail) => { child.once('error', fail); child.once('close', done) })
  return { status, out, err }
}

/** What libpq's programs need to reach a shop. */
export function environment(stage: Stage, shop: Shop, group: Group): Record<string, string> {
  return {
    PGHOST: '127.0.0.1', PGPORT: String(stage.gateway.port), PGDATABASE: shop.name, PGUSER: 'someone', PGPASSWORD: stage.tokens[group],
    PGSSLMODE: 'verify-full', PGSSLROOTCERT: stage.ca, PGCONNECT_TIMEOUT: '10', PSQLRC: '/dev/null', PSQL_HISTORY: '/dev/null', PAGER: 'cat', LC_ALL: 'C.UTF-8', TERM: 'dumb',
  }
}

/** A program in a terminal of its own (script(1) makes one), to type at and read from. */
export class Terminal {
  readonly #child: ChildProcess
  #seen = ''
  #from = 0
  constructor(command: string, env: Readonly<Record<string, string>>) {
    this.#child = spawn('script', ['-qfec', command, '/dev/null'], { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdout!.on('data', (bytes: Buffer) => { this.#seen += bytes })
    this.#child.stderr!.on('data', (bytes: Buffer) => { this.#seen += bytes })
    this.#child.stdin!.on('error', () => {})
  }
  type(keys: string): void { this.#from = this.#seen.length; this.#child.stdin!.write(keys) }
  /** Waits until `what` has appeared since the last `type`; returns all that did. */
  async sees(what: RegExp, withinMs = 10_000): Promise<string> {
    const deadline = Date.now() + withinMs
    for (;;) {
      const since = this.#seen.slice(this.#from)
      if (what.test(since)) return since
      if (Date.now() > deadline || this.#child.exitCode !== null) throw new Error(`the terminal did not show ${what}, but:\n${since}`)
      await new Promise((later) => setTimeout(later, 20))
    }
  }
  async exited(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await new Promise<void>((done) => { this.#child.once('exit', () => done()) })
  }
  async close(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.exited()
  }
}
