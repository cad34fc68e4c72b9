// The server as the oracle of lineage: a view of a generated SELECT lists in pg_depend every column that the server's own analysis touches. What
// is read of the same text may name more, never fewer; and a masked one among them is hidden, or the statement refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type pg from 'pg'
import { effectsOf } from '../../src/sql/effects.ts'
import { parse, ready } from '../../src/sql/grammar.ts'
import { maskAtRead } from '../../src/sql/mask.ts'
import type { MaskOf } from '../../src/sql/mask-index.ts'
import { random } from '../postgres/conversations.ts'
import { loadCatalog, probe } from '../servers/catalog.ts'
import { startPostgres, SUITE_VERSIONS } from '../servers/postgres.ts'
import { FROMS, TAILS, TARGETS } from './forms.ts'
import { Generator } from './queries.ts'
import { makeTwins, MASKED, TABLES } from './schema.ts'

const SEED = Number(process.env.SLUICE_SEED ?? 1)
const QUERIES = Number(process.env.SLUICE_STATEMENTS ?? 1_200)
const TOUCHED = `SELECT n.nspname || '.' || c.relname AS relation, a.attname AS name FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n'
  JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attnum = d.refobjsubid WHERE c.relkind <> 'c' AND r.ev_class = 'touched'::regclass AND d.refobjid <> r.ev_class`
const maskOf: MaskOf = (schema, table, column) => (MASKED.includes(`${schema}.${table}.${column}`) ? { with: 'redact', rule: 'm', lookups: null } : null)
const scope = { items: ['people', 'orders'].map((name) => ({ alias: name[0]!, columns: TABLES.find((t) => t.name === name)!.columns, masked: true, row: true, rows: 1 })), outer: null }

function queryOf(seed: number): string {
  const g = new Generator(random(seed), true)
  return seed % 3 === 0 ? `SELECT ${g.fill(g.pick(TARGETS), scope, 1)} FROM ${g.pick([FROMS[0]!, g.pick(FROMS)])}${g.fill(g.pick(TAILS), scope, 1)}` : g.query().sql
}
/** What the server's analysis touches; null when it takes no view of it. */
async function touched(client: pg.Client, text: string): Promise<string[] | null> {
  await client.query('BEGIN')
  try {
    await client.query(`CREATE TEMP VIEW touched AS SELECT 1 AS one WHERE EXISTS (${text})`)
    return (await client.query(TOUCHED)).rows.map((row: { relation: string; name: string }) => `${row.relation}.${row.name}`)
  } catch { return null } finally { await client.query('ROLLBACK') }
}

for (const version of SUITE_VERSIONS) {
  test(`no column that PostgreSQL ${version} finds in a generated query is missed (seed ${SEED})`, { timeout: 3_600_000 }, async () => {
    await ready()
    const server = await startPostgres({ version })
    const missed: string[] = []
    let compared = 0, refused = 0
    try {
      await makeTwins(server, [{ wide: false }])
      const client = await server.client('c0', 'app')
      const context = await probe(client)
      // Reading the catalog sets a search path of its own.
      const own = await server.client('c0')
      const catalog = await loadCatalog(own)
      await own.end()
      for (let number = 0; number < QUERIES && missed.length < 10; number++) {
        const text = queryOf(SEED * 1_000_003 + number)
        const theirs = await touched(client, text)
        const tree = theirs === null ? null : await parse(text)
        if (theirs === null || tree?.kind !== 'tree') continue
        compared++
        const [reading] = effectsOf(tree, catalog, context)
        const ours = new Set(reading!.columns)
        const result = maskAtRead({ text, tree, catalog, context, masked: maskOf, unknownCall: null })
        if (result.kind === 'refused') { refused++; continue }
        const hidden = new Set(result.kind === 'rewritten' ? result.hidden.map((h) => `${h.schema}.${h.table}.${h.column}`) : [])
        for (const column of theirs) {
          if (!ours.has(column)) missed.push(`${column} is not read by ours, seed ${SEED * 1_000_003 + number}: ${text}`)
          if (MASKED.includes(column) && !hidden.has(column)) missed.push(`${column} is not hidden, seed ${SEED * 1_000_003 + number}: ${text}`)
        }
      }
      await client.end()
    } finally { await server.stop() }
    console.log(JSON.stringify({ test: 'lineage', version, seed: SEED, queries: QUERIES, compared, refused, missed: missed.length }))
    assert.deepEqual(missed, [])
    assert.ok(compared > QUERIES / 2, `only ${compared} could be compared`)
  })
}
