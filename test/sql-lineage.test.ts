// Lineage against the server's own analysis and against a twin, for random queries: the columns we find for a statement are never fewer than
// pg_depend has for a temporary view of it; and a random view that may be read gives the same bytes whatever the masked values are.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { effectsOf } from '../src/sql/effects.ts'
import { parseShort } from '../src/sql/grammar.ts'
import { maskIndex, type MaskOf } from '../src/sql/mask-index.ts'
import { MaskedSession } from './servers/masked.ts'
import { startPostgres, type TestServer } from './servers/postgres.ts'

const SEED = Number(process.env.SLUICE_SEED ?? 20261121)
const VIEWS = Number(process.env.SLUICE_VIEWS ?? 150)
const STATEMENTS = Number(process.env.SLUICE_STATEMENTS ?? 250)

const TABLES = `CREATE TABLE people(id int PRIMARY KEY, name text, ssn text, card varchar(16), pay numeric(12,2), team int) WITH (autovacuum_enabled = false);
CREATE TABLE teams(id int PRIMARY KEY, label text, lead int) WITH (autovacuum_enabled = false); CREATE INDEX people_team ON people(team);
INSERT INTO teams SELECT g, 'team ' || g, g * 3 FROM generate_series(1, 4) g;
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'; CREATE FUNCTION card_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT card FROM people WHERE id = $1';
CREATE VIEW shown AS SELECT id, ssn AS number, name, team FROM people; CREATE VIEW totals AS SELECT team, count(*) AS n, max(pay) AS most FROM people GROUP BY team;`
const rowsOf = (twin: boolean) => `INSERT INTO people SELECT g, 'name ' || g, CASE WHEN g % 7 = 0 THEN NULL ELSE 'MARKER-' || ((g * ${twin ? 7919 : 104729}) % 100) END,
  CASE WHEN g % 5 = 0 THEN NULL ELSE ((g * ${twin ? 31 : 17}) % 97)::text END, CASE WHEN g % 6 = 0 THEN NULL ELSE (g * ${twin ? 37 : 53}) % 100 END, 1 + g % 4 FROM generate_series(1, 24) g;`
const masked: MaskOf = (schema, table, column) => schema === 'public' && table === 'people' && ['ssn', 'card', 'pay'].includes(column) ? { with: column === 'card' ? 'partial' : 'redact', rule: 'mask-people', lookups: null } : null

type Random = (max: number) => number
function generator(seed: number): Random {
  let state = seed >>> 0
  return (max) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor(state / 4294967296 * max) }
}
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!

/** A text expression over `p` (people) and `t` (teams). */
function expression(random: Random, depth: number): string {
  const e = () => expression(random, depth - 1)
  if (depth <= 0) return pick(random, ['p.ssn', 'p.card::text', 'p.pay::text', 'p.name', 'p.name', 't.label', 't.label', 'p.team::text', `'x'::text`])
  return pick(random, [
    e, e, () => `upper(${e()})`, () => `(${e()} || ${e()})`, () => `coalesce(${e()}, ${e()})`, () => `nullif(${e()}, ${e()})`, () => `substr(${e()}, 2, 3)`, () => `left(${e()}, length(${e()}))`, () => `shout(${e()})`,
    () => `(CASE WHEN ${e()} < ${e()} THEN ${e()} ELSE ${e()} END)`, () => `(${e()} IS NULL)::text`, () => `(${e()})::int::text`, () => `(SELECT max(q.ssn || ${e()}) FROM people q WHERE q.id = p.id)`, () => `(EXISTS (SELECT 1 FROM people q WHERE q.pay > 50 AND q.team = t.id))::text`,
    () => `to_jsonb(p)->>${pick(random, [`'ssn'`, `'name'`])}`, () => `row_to_json(t)::text`, () => `card_of(p.id)`, () => `(ROW(p.id, ${e()})::text)`, () => `(ARRAY[${e()}, ${e()}])[1]`, () => `substring(${e()} from 2)`, () => `replace(${e()}, 'M', 'm')`,
    () => `md5(${e()})`, () => `concat(${e()}, ${e()})`, () => `(SELECT s.number FROM shown s WHERE s.id = p.id)`, () => `(SELECT o.most::text FROM totals o WHERE o.team = t.id)`, () => `(${e()} = ANY (ARRAY[${e()}]))::text`, () => `greatest(${e()}, ${e()})`,
    () => `(CASE WHEN p.pay > 50 THEN ${e()} END)`, () => `nullif(left(${e()}, 8), 'MARKER-1')`, () => `substring(${e()} from '[0-4]$')`, () => `regexp_replace(${e()}, '[0-4]', '')`, () => `split_part(${e()}, '-', 2)`, () => `lpad(${e()}, 4)`,
  ])()
}
function query(random: Random): string {
  const e = () => expression(random, random(3))
  const from = pick(random, ['people p JOIN teams t ON t.id = p.team', 'people p LEFT JOIN teams t ON t.lead = p.id', 'teams t, LATERAL (SELECT * FROM people q WHERE q.team = t.id) p', '(SELECT id, name, ssn, card, pay, team FROM people) p CROSS JOIN teams t',
    'people p JOIN teams t ON t.id = p.team AND p.id > 3', `people p JOIN teams t ON t.id = p.team AND ${e()} <> 'q'`])
  const where = pick(random, ['', '', '', ' WHERE p.id < 12', ` WHERE t.label <> 'x' AND p.name IS NOT NULL`, ` WHERE ${e()} > 'M'`, ' WHERE p.team IN (SELECT lead FROM teams)', ' WHERE p.ssn IS NOT NULL'])
  return pick(random, [
    () => `SELECT p.id, ${e()} AS a, ${e()} AS b FROM ${from}${where}`, () => `SELECT p.id, ${e()} AS a, ${e()} AS b FROM ${from}${where}`, () => `SELECT p.id, ${e()} AS a, p.ssn AS b, p.card AS c FROM ${from}${where}`,
    () => `SELECT t.id, count(*) AS a, max(${e()}) AS b, count(p.ssn) AS c, string_agg(${e()}, ',' ORDER BY p.id) AS d FROM ${from}${where} GROUP BY t.id`, () => `SELECT ${e()} AS a, count(*) AS b FROM ${from}${where} GROUP BY 1`, () => `SELECT DISTINCT ${e()} AS a FROM ${from}${where}`,
    () => `SELECT p.id, ${e()} AS a FROM ${from}${where} UNION ALL SELECT t.id, ${e()} FROM ${from}${where}`, () => `SELECT ${e()} AS a FROM ${from}${where} EXCEPT SELECT label FROM teams`, () => `SELECT p.id, row_number() OVER (ORDER BY ${pick(random, ['p.id', e()])}) AS a, ${e()} AS b FROM ${from}${where}`,
    () => `WITH w AS (SELECT p.id, ${e()} AS a, p.name AS n FROM ${from}${where}) SELECT w.id, w.a, w.n FROM w`, () => `SELECT x.a, x.b, x.a || x.b AS c FROM (SELECT ${e()} AS a, ${e()} AS b FROM ${from}${where}) x`, () => `SELECT p.id, ${e()} AS a FROM ${from}${where} ORDER BY ${pick(random, ['p.id', '2', e()])} LIMIT 5`,
    () => `SELECT s.id, s.number || s.name AS a, o.n, o.most FROM shown s JOIN totals o ON o.team = s.team`, () => `SELECT p.id, v.x AS a FROM ${from}, LATERAL (VALUES (${e()}), (${e()})) v(x)${where}`,
  ])()
}

describe('lineage of random queries', () => {
  let server: TestServer
  let one: MaskedSession
  let twin: MaskedSession
  const made: string[] = []
  before(async () => {
    server = await startPostgres({ version: 18 })
    await server.sql('CREATE ROLE app LOGIN')
    const random = generator(SEED)
    const texts = Array.from({ length: VIEWS }, () => query(random))
    for (const name of ['one', 'twin']) {
      await server.sql(`CREATE DATABASE ${name}`)
      await server.sql(TABLES + rowsOf(name === 'twin'), name)
      const client = await server.client(name)
      for (const [index, text] of texts.entries()) {
        const done = await client.query(`CREATE VIEW v${index} AS ${text}`).then(() => true, () => false)
        if (done && name === 'one') made.push(`v${index}`)
      }
      await client.query('GRANT SELECT ON ALL TABLES IN SCHEMA public TO app')
      await client.end()
    }
    one = await MaskedSession.open(server, 'one', 'app', masked)
    twin = await MaskedSession.open(server, 'twin', 'app', masked)
  })
  after(async () => { await one?.close(); await twin?.close(); await server?.stop() })

  test(`views that may be read do not depend on masked values (seed ${SEED})`, async (context) => {
    const index = maskIndex(one.catalog, masked)
    let read = 0, hiding = 0
    for (const name of made) {
      const view = one.catalog.byName.get(`public.${name}`)!
      if (index.blocked.has(view.oid)) continue
      read += 1
      if (index.masked.has(view.oid)) hiding += 1
      for (const text of [`SELECT * FROM ${name}`, `SELECT count(*) FROM ${name}`, ...view.columns.map((column) => `SELECT count(*) FROM ${name} WHERE ${column.name} IS NULL`)]) {
        const [a, b] = [await one.run(text), await twin.run(text)]
        const why = `${text}: ${view.definition}`
        assert.deepEqual([a.result.kind, a.rows, a.error, a.notices], [b.result.kind, b.rows, b.error, b.notices], why)
        assert.doesNotMatch(JSON.stringify([a.rows, a.error, a.notices]), /MARKER/i, why)
      }
    }
    context.diagnostic(`${made.length} views, ${read} read, ${hiding} of them with hidden columns`)
    assert.ok(made.length > VIEWS * 0.8 && read > VIEWS * 0.2 && hiding > VIEWS * 0.1, `${made.length} made, ${read} read, ${hiding} hide`)
  })

  test(`a statement's columns are never fewer than the server finds (seed ${SEED})`, async () => {
    const random = generator(SEED + 1)
    const client = await server.client('one')
    let compared = 0
    for (let count = 0; count < STATEMENTS; count += 1) {
      const text = query(random)
      await client.query('BEGIN')
      if (await client.query(`CREATE TEMP VIEW probe AS ${text}`).then(() => true, () => false)) {
        const { rows } = await client.query<{ name: string }>(`SELECT DISTINCT c.relnamespace::regnamespace || '.' || c.relname || '.' || a.attname AS name FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid JOIN pg_class c ON c.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
          WHERE r.ev_class = 'pg_temp.probe'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND c.relname <> 'probe'`)
        const tree = parseShort(text)
        assert.ok(tree?.kind === 'tree')
        const ours = new Set(effectsOf(tree, one.catalog, one.context).flatMap((reading) => reading.effects.flatMap((effect) => effect.columns)))
        assert.deepEqual(rows.filter(({ name }) => !ours.has(name)).map(({ name }) => name), [], text)
        compared += 1
      }
      await client.query('ROLLBACK')
    }
    await client.end()
    assert.ok(compared > STATEMENTS * 0.8, `${compared}`)
  })

  test('an index on an unmasked column is still used, in a table and through a view', async () => {
    await one.client.query('SET enable_seqscan = off')
    for (const [text, index] of [['SELECT ssn, card FROM people WHERE id = 3', 'people_pkey'], ['SELECT p.ssn FROM people p JOIN teams t ON t.id = p.team WHERE p.team = 2', 'people_team'], ['SELECT number FROM shown WHERE id = 3', 'people_pkey']] as const) {
      const plan = await one.run(`EXPLAIN (COSTS OFF) ${text}`)
      assert.match(JSON.stringify(plan.rows), new RegExp(index), text)
    }
    await one.client.query('RESET enable_seqscan')
  })
})
