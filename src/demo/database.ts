// The demo's real PostgreSQL, `orders`: on a unix socket only, filled once. Sluice logs in as a role of its own with a password that
// nobody else has.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { embeddedBinaries } from '../gateway/storage.ts'
import { type Embedded, startEmbedded } from '../store/embedded.ts'
import { makeData } from './customers.ts'

const ROLE = 'sluice_demo'
const SUPERUSER = 'demo_owner'

const SCHEMA = `
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, phone text, ssn text NOT NULL, city text, customer_since date NOT NULL, note text);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers, item text NOT NULL, amount_cents integer NOT NULL, status text NOT NULL, ordered_at timestamptz NOT NULL);
CREATE TABLE payments (id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders, card_number text NOT NULL, amount_cents integer NOT NULL, paid_at timestamptz NOT NULL);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON payments (order_id);`

export interface DemoDatabase {
  /** What sluice.yaml says after `address:`. */
  readonly address: string
  readonly username: string
  readonly passwordFile: string
  stop(): Promise<void>
}

export async function startDatabase(data: string): Promise<DemoDatabase> {
  const passwordFile = join(data, 'orders.password')
  if (!existsSync(passwordFile)) writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
  const server = await startEmbedded({
    binaries: embeddedBinaries(), data: join(data, 'orders'), superuser: SUPERUSER, hba: `local all ${SUPERUSER} trust\nlocal all all scram-sha-256\n`,
    settings: { shared_buffers: '32MB', max_connections: '100', autovacuum_naptime: '5min' },
  })
  try { await fill(server, readFileSync(passwordFile, 'utf8')) } catch (error) { await server.stop('immediate'); throw error }
  return { address: `unix:${join(server.socket, `.s.PGSQL.${server.port}`)}`, username: ROLE, passwordFile, stop: () => server.stop() }
}

async function fill(server: Embedded, password: string): Promise<void> {
  const connection = { host: server.socket, port: server.port, user: SUPERUSER }
  await using(connection, 'postgres', async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', ['orders'])
    if (rowCount === 0) await client.query('CREATE DATABASE orders')
  })
  await using(connection, 'orders', async (client) => {
    const { rows: [found] } = await client.query<{ table: string | null }>('SELECT to_regclass($1)::text AS table', ['public.payments'])
    if (found?.table !== null && found?.table !== undefined) return
    await client.query('BEGIN')
    await client.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD ${client.escapeLiteral(password)}`)
    await client.query(SCHEMA)
    const { customers, orders, payments } = makeData()
    await client.query('INSERT INTO customers SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[], $8::text[])', Object.values(customers))
    await client.query('INSERT INTO orders SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::int[], $5::text[], $6::timestamptz[])', Object.values(orders))
    await client.query('INSERT INTO payments SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::int[], $5::timestamptz[])', Object.values(payments))
    for (const table of ['customers', 'orders', 'payments']) await client.query(`ALTER TABLE ${table} OWNER TO ${ROLE}`)
    await client.query('COMMIT')
  })
}

async function using(connection: pg.ClientConfig, database: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ ...connection, database })
  client.on('error', () => {})
  await client.connect()
  try { await work(client) } finally { await client.end().catch(() => {}) }
}
