// The corpus of attacks against the masks at read alone, on a seeded server, as role gw_app: what is not refused may show no seeded value.
// And non-interference: random statements answer the same on a twin database whose masked values are others.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { effectsOf } from '../src/sql/effects.ts'
import { parse } from '../src/sql/grammar.ts'
import type { MaskOf } from '../src/sql/mask-index.ts'
import { MaskedSession } from './servers/masked.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from './servers/postgres.ts'

interface Case { readonly id: string; readonly category: string; readonly role: string; readonly sql: readonly string[]; readonly params?: readonly unknown[]; readonly accept: readonly string[]; readonly strict?: boolean; readonly steps?: unknown; readonly benign?: boolean; readonly markers?: readonly { text?: string }[] }
const folder = new URL('./corpus/', import.meta.url)
const cases = readFileSync(new URL('pg.jsonl', folder), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Case)
const CATEGORIES = new Set(['projection', 'inference', 'error-channel', 'side-channel', 'copy', 'lineage', 'encoding', 'aggregate', 'benign', 'benign-masked', 'sql-in-string', 'derived-storage', 'extended'])
/** Not of masks at read: what only detectors on the wire can find, and files, which policy refuses. */
const ELSEWHERE: Readonly<Record<string, string>> = { 'pg-projection-23': 'a value in free text is for a detector', 'pg-copy-12': 'a program on the server is for the policy' }
/** The masks refuse what the corpus wants to see masked. */
const NOT_YET: Readonly<Record<string, string>> = {}
const masked: MaskOf = (schema, table, column) => schema === 'public' && table === 'customers' && ['ssn', 'card_number', 'email'].includes(column) ? { with: 'redact', rule: 'corpus', lookups: { count: 10, perMs: 60_000 } } : null

/** Why a text calls something not known to be harmless, as the gateway takes it from its effects. */
async function unknownCall(text: string, session: MaskedSession): Promise<string | null> {
  const tree = await parse(text)
  if (tree.kind !== 'tree') return null
  const effects = effectsOf(tree, session.catalog, session.context).flatMap((reading) => reading.effects)
  const call = effects.find((effect) => /^sql\.(call|file|network)$/.test(effect.operation))
  return call === undefined ? null : call.reason ?? 'a routine is not known to be harmless'
}

async function seed(server: TestServer): Promise<void> {
  for (const text of ['CREATE ROLE gw_app LOGIN', 'CREATE ROLE gw_super LOGIN SUPERUSER', 'CREATE DATABASE gwtpl']) await server.sql(text)
  await server.sql(readFileSync(new URL('pg_seed.sql', folder), 'utf8'), 'gwtpl')
}

for (const version of SUITE_VERSIONS) {
  describe(`the corpus against masks at read on PostgreSQL ${version}`, () => {
    let server: TestServer
    before(async () => { server = await startPostgres({ version }); await seed(server) })
    after(async () => { await server.stop() })

    test('shows no seeded value, and leaves what is benign alone', async () => {
      const seeded = (await server.sql(`SELECT DISTINCT v FROM customers, LATERAL (VALUES (ssn), (card_number), (email)) t(v) WHERE length(v) > 8 AND id < 62`, 'gwtpl')).rows.map((row) => (row as { v: string }).v)
      let session: MaskedSession | null = null
      const failures: string[] = []
      let dirty = false
      for (const one of cases) {
        if (!CATEGORIES.has(one.category) || ELSEWHERE[one.id] !== undefined || one.steps !== undefined || one.sql.some((text) => text.startsWith('hex:'))) continue
        if (session === null || dirty || one.role === 'super') {
          dirty = false
          await session?.close()
          await server.sql('DROP DATABASE IF EXISTS gwcase WITH (FORCE)')
          await server.sql('CREATE DATABASE gwcase TEMPLATE gwtpl')
          session = await MaskedSession.open(server, 'gwcase', one.role === 'super' ? 'gw_super' : 'gw_app', masked)
        }
        let denied = 0
        for (const [index, text] of one.sql.entries()) {
          const call = await unknownCall(text, session)
          const values = one.params?.[index] as unknown[] | undefined
          const result = await session.mask(text, call)
          if (result.kind === 'refused') { denied += 1; if (one.category === 'benign' && result.rule !== 'syntax' && !one.accept.includes('denied')) failures.push(`${one.id}: refused: ${result.message}`); continue }
          if (one.category === 'benign' && result.kind !== 'unchanged') failures.push(`${one.id}: changed`)
          if (/^\s*copy/i.test(text)) { if (result.kind !== 'rewritten') failures.push(`${one.id}: not rewritten`); continue }
          dirty ||= one.sql.length > 1 || one.role === 'super'
          const undo = one.sql.length === 1 && !/^\s*(select|begin)/i.test(text)
          if (undo) await session.client.query('BEGIN')
          const run = await session.run(text, values?.every((value) => typeof value === 'string') === true ? values : undefined)
          const onWire = new Set(result.wire.map((w) => `${w.relation}.${w.number}`))
          const shown = run.rows.map((row) => row.map((cell, column) => onWire.has(`${run.fields[column]!.tableID}.${run.fields[column]!.columnID}`) ? null : cell))
          const out = JSON.stringify([shown, run.fields.map((f) => f.name), result.touched.length > 0 && result.kind === 'unchanged' ? null : run.error, run.notices])
          for (const value of [...seeded, ...(one.markers ?? []).map((marker) => marker.text ?? '')]) if (value !== '' && out.includes(value)) { failures.push(`${one.id}: shows ${value}: ${text}`); break }
          if (undo) await session.client.query('ROLLBACK')
          if (/ALTER|CREATE|DROP|SET|set_config/.test(text)) await session.refresh()
        }
        if (denied > 0 && one.strict === true && NOT_YET[one.id] === undefined) failures.push(`${one.id}: refused`)
      }
      await session?.close()
      assert.deepEqual(failures, [])
    })

    test('answers random statements the same whatever the hidden values are', async () => {
      const change = (digits: string, letters: string) => `SET session_replication_role = replica; UPDATE customers SET ssn = translate(ssn, '0123456789', '${digits}'), card_number = translate(card_number, '0123456789', '${digits}'), email = translate(email, 'abcdefghij', '${letters}')`
      for (const [name, digits, letters] of [['one', '0123456789', 'abcdefghij'], ['twin', '5937108264', 'jihgfedcba']] as const) {
        await server.sql(`CREATE DATABASE ${name} TEMPLATE gwtpl`)
        await server.sql(`DELETE FROM orders WHERE id > 400; DELETE FROM accounts WHERE id > 60; DELETE FROM orders WHERE customer_id > 60; SET session_replication_role = replica; DELETE FROM customers WHERE id > 60`, name)
        for (const text of [change(digits, letters), 'VACUUM FULL', 'ANALYZE']) await server.sql(text, name)
      }
      const [one, twin] = [await MaskedSession.open(server, 'one', 'gw_app', masked), await MaskedSession.open(server, 'twin', 'gw_app', masked)]
      const random = generator(20261121)
      let ran = 0, refused = 0
      for (let count = 0; count < 400; count += 1) {
        const text = statement(random)
        const [a, b] = [await one.run(text), await twin.run(text)]
        assert.equal(a.result.kind, b.result.kind, text)
        if (a.result.kind === 'refused') { refused += 1; continue }
        assert.deepEqual([a.rows, a.error, a.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier])], [b.rows, b.error, b.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier])], text)
        if (a.error === null) ran += 1
      }
      await one.close(); await twin.close()
      assert.ok(ran > 200, `${ran} of 400 ran, ${refused} refused`)
    })
  })
}

// ——— random statements over masked columns ———

type Random = (max: number) => number
function generator(seedValue: number): Random {
  let state = seedValue >>> 0
  return (max) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor(state / 4294967296 * max) }
}
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!
function expression(random: Random, depth: number): string {
  const column = () => pick(random, ['c.ssn', 'c.email', 'c.card_number', 'c.name', 'c.notes', 'ssn', 'email'])
  if (depth <= 0) return pick(random, [column(), column(), column(), `'x'`, `'1'`])
  const e = () => expression(random, depth - 1)
  return pick(random, [
    () => `substr(${e()}, ${1 + random(4)}, 3)`, () => `upper(${e()})`, () => `(${e()} || ${e()})`, () => `md5(${e()})`, () => `coalesce(${e()}, ${e()})`, () => `nullif(${e()}, ${e()})`, () => `length(${e()})::text`,
    () => `(CASE WHEN ${e()} ${pick(random, ['<', '=', '>', 'LIKE', '~~*'])} ${e()} THEN ${e()} ELSE ${e()} END)`, () => `to_jsonb(c)->>${pick(random, [`'ssn'`, `'email'`, `'name'`])}`, () => `row_to_json(c)::text`, () => `(c).ssn`, () => `concat(${e()}, ${e()})`,
    () => `reverse(${e()})`, () => `ascii(${e()})::text`, () => `(SELECT max(${e()}) FROM orders o WHERE o.customer_id = c.id)`, () => `(SELECT d.ssn FROM customers d WHERE d.id = c.id + 1)`, () => `encode(${e()}::bytea, 'base64')`, () => `(${e()})::int::text`, () => `split_part(${e()}, '-', 2)`, () => `regexp_replace(${e()}, '[0-9]', 'd', 'g')`,
  ])()
}
function statement(random: Random): string {
  const e = (depth = 2) => expression(random, random(depth + 1))
  const from = pick(random, ['customers c', 'public.customers AS c', 'ONLY customers c', '(SELECT * FROM customers) c', 'customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.id < 40', '(TABLE customers) c', 'customers c CROSS JOIN LATERAL (SELECT count(*) n FROM accounts a WHERE a.customer_id = c.id) l'])
  const where = pick(random, ['', '', ` WHERE ${e()} ${pick(random, ['<', '=', '<>', 'LIKE'])} ${e()}`, ` WHERE ${e()} IS NOT NULL`, ` WHERE c.id < 20 AND ${e()} > ${e()}`, ` WHERE EXISTS (SELECT 1 FROM customers x WHERE x.ssn > '5' AND x.id = c.id)`])
  const order = pick(random, ['', ` ORDER BY ${e()}, c.id`, ' ORDER BY 1', ` ORDER BY c.id LIMIT (SELECT length(ssn) FROM customers c WHERE id = 1)`])
  return pick(random, [
    () => `SELECT ${e()}, ${e()} FROM ${from}${where}${order}`, () => `SELECT count(*), min(${e()}), max(${e()}) FROM ${from}${where}`, () => `SELECT c.id, c.name, ${e()} FROM ${from}${where} GROUP BY c.id, c.name, c.ssn, c.email, c.card_number, c.notes ORDER BY c.id`,
    () => `SELECT ${e()}, count(*) FROM customers c${where} GROUP BY 1 ORDER BY 2 DESC, 1`, () => `SELECT DISTINCT ${e()} FROM customers c${where} ORDER BY 1`, () => `SELECT rank() OVER (ORDER BY ${e()}), c.id FROM customers c${where} ORDER BY 2`, () => `WITH w AS (SELECT c.*, ${e()} AS z FROM customers c) SELECT z, ssn, email FROM w ORDER BY id`,
    () => `SELECT c FROM customers c${where} ORDER BY c.id`, () => `SELECT * FROM ${from}${where} ORDER BY c.id LIMIT 5`, () => `SELECT string_agg(${e()}, ',' ORDER BY c.id) FROM customers c${where}`, () => `SELECT ssn FROM customers c${where} UNION SELECT ${e()} FROM customers c ORDER BY 1`, () => `EXPLAIN (COSTS OFF) SELECT ${e()} FROM customers c${where}`,
  ])()
}
