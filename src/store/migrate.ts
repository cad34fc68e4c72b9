// Brings the control store's schema up to date: plain SQL files in the order of their names, each in a transaction of its own,
// under one advisory lock, so that gateways that start at once don't meet. A file that was applied may never change.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import pg from 'pg'
import { SluiceError } from '../core/errors.ts'
import { clientSettings, type StoreAddress, storeFailed } from './database.ts'

const MIGRATIONS = new URL('./migrations/', import.meta.url)
/** Any number that nobody else uses: 'sluice' in ASCII. */
const LOCK = 0x736c75696365n
const MIGRATION_TIMEOUT_MS = 300_000

export interface Migration {
  readonly name: string
  readonly sql: string
  readonly hash: string
}

export function readMigrations(folder: URL = MIGRATIONS): Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => {
      const sql = readFileSync(new URL(name, folder), 'utf8')
      return { name, sql, hash: createHash('sha256').update(sql).digest('hex') }
    })
}

/** Returns the names of what it applied. */
export async function migrate(address: StoreAddress, migrations: readonly Migration[] = readMigrations()): Promise<string[]> {
  const client = new pg.Client({ ...clientSettings(address), statement_timeout: MIGRATION_TIMEOUT_MS })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('SELECT pg_advisory_lock($1)', [String(LOCK)])
    return await applyMissing(client, migrations)
  } catch (error) {
    throw error instanceof SluiceError ? error : storeFailed(error)
  } finally {
    await client.end().catch(() => {})
  }
}

async function applyMissing(client: pg.Client, migrations: readonly Migration[]): Promise<string[]> {
  await client.query(
    'CREATE SCHEMA IF NOT EXISTS sluice; CREATE TABLE IF NOT EXISTS sluice.migrations (name text PRIMARY KEY, hash text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
  )
  const applied = new Map(
    (await client.query<{ name: string; hash: string }>('SELECT name, hash FROM sluice.migrations')).rows.map((row) => [row.name, row.hash]),
  )
  refuseForeign(applied, migrations)
  const done: string[] = []
  for (const migration of migrations) {
    if (applied.has(migration.name)) continue
    await client.query('BEGIN')
    await client.query(migration.sql)
    await client.query('INSERT INTO sluice.migrations (name, hash) VALUES ($1, $2)', [migration.name, migration.hash])
    await client.query('COMMIT')
    done.push(migration.name)
  }
  return done
}

/** A store that a newer or altered Sluice wrote is not touched. */
function refuseForeign(applied: ReadonlyMap<string, string>, migrations: readonly Migration[]): void {
  const known = new Map(migrations.map((migration) => [migration.name, migration.hash]))
  for (const [name, hash] of applied) {
    if (!known.has(name))
      throw new SluiceError('STORE_NEWER', `the control store has migration ${name}, which this version of Sluice does not know: start the newer version`)
    if (known.get(name) !== hash) throw new SluiceError('STORE_ALTERED', `migration ${name} was applied with another text than this version's`)
  }
}
