// The tables that are read: pgbench's own, and a million rows of people with values worth hiding (valid card numbers and SSNs, some
// of them inside a note), about 236 MB as text.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { TestServer } from '../test/servers/postgres.ts'

export const PII_ROWS = 1_000_000
export const PGBENCH_SCALE = 10
export const PGBENCH_ROWS = 100_000 * PGBENCH_SCALE
/** The role everyone logs in as upstream, by SCRAM. */
export const ROLE = { name: 'bench_app', password: 'only for the bench' } as const

/** Null where PostgreSQL's client programs aren't installed. */
export const pgbenchProgram: string | null = [...(process.env.PATH ?? '').split(delimiter), ...[18, 17, 16, 15, 14].map((version) => `/usr/lib/postgresql/${version}/bin`)].map((folder) => join(folder, 'pgbench')).find((path) => existsSync(path)) ?? null

export async function makeTables(server: TestServer, tables: readonly string[]): Promise<void> {
  await server.sql(`CREATE ROLE ${ROLE.name} LOGIN PASSWORD '${ROLE.password}'`)
  await server.sql(`GRANT pg_read_all_data TO ${ROLE.name}`)
  if (tables.includes('pgbench_accounts')) {
    if (pgbenchProgram === null) throw new Error('pgbench is not installed (Debian: postgresql-contrib, or postgresql-15)')
    execFileSync(pgbenchProgram, ['-i', '-q', '-s', String(PGBENCH_SCALE), '--unlogged-tables', '-h', '127.0.0.1', '-p', String(server.port), '-U', 'gwsuper', 'postgres'], { stdio: 'ignore' })
  }
  if (tables.includes('pii')) {
    await server.sql(PII)
    await server.sql('ANALYZE pii')
    // Hint bits are set by the first reader: it should not be one of those measured.
    await server.sql('SELECT count(*) FROM pii')
  }
}

/** Luhn over the first 15 digits: from the left, those at even places are doubled. */
const luhn = Array.from({ length: 15 }, (_, i) => { const digit = `substr(base, ${i + 1}, 1)::int`; return i % 2 === 0 ? `(2 * ${digit}) % 10 + (2 * ${digit}) / 10` : digit }).join(' + ')
const PII = `CREATE UNLOGGED TABLE pii AS
  SELECT id, name, email, ssn, card,
    CASE id % 10 WHEN 0 THEN 'Called about the order, gave the card ' || card || ' and asked for a refund; granted after a call back on Monday, closed.'
      WHEN 1 THEN 'Moved house; identity checked by ' || ssn || ', new address is in the file of the branch that the customer visits, verified.'
      ELSE 'The order was shipped late and the customer asked for a refund, which support granted after a call; nothing else to be done here.' END AS note,
    timestamptz '2024-01-01 00:00:00+00' + id * interval '13 seconds' AS seen_at
  FROM (SELECT *, base || ((10 - (${luhn}) % 10) % 10) AS card FROM (
    SELECT id, 'Customer ' || initcap(left(md5(id::text), 12)) AS name, 'customer.' || id || '@mail' || id % 97 || '.example.com' AS email,
      lpad((1 + id % 665)::text, 3, '0') || '-' || lpad((1 + id % 98)::text, 2, '0') || '-' || lpad((1 + id % 9998)::text, 4, '0') AS ssn,
      '400000' || lpad((id::bigint * 7919 % 1000000000)::text, 9, '0') AS base
    FROM generate_series(1, ${PII_ROWS}) id) AS numbered) AS people`
