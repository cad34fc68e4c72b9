import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { Catalog, Relation } from './catalog.ts'
import { effectsOf } from './effects.ts'
import { parse, ready, tokens } from './grammar.ts'
import { hiddenLiterals } from './literals-hidden.ts'

const column = (name: string, i: number) => ({ name, number: i + 1, type: 25, typmod: -1, typeName: 'text', notNull: false, generated: '' as const, generatedFrom: [] })
const people: Relation = {
  oid: 1, schema: 'public', name: 'people', kind: 'r', temporary: false, columns: ['id', 'name', 'ssn', 'status'].map(column), primaryKey: [1], uniqueKeys: [[1]], parents: [], reads: [], rules: false, triggers: [], references: [],
}
const catalog: Catalog = {
  serverVersion: 180000, generation: 1, relations: new Map([[1, people]]), byName: new Map([['public.people', people]]), routines: new Map(), routineById: new Map(), operators: new Map(), types: new Map(), schemas: new Set(['public']),
}
const masked = (_schema: string, _table: string, name: string) => (name === 'ssn' ? { with: 'redact' as const, rule: 'm', lookups: null } : null)
async function hidden(text: string): Promise<readonly string[] | null> {
  const tree = await parse(text)
  assert.equal(tree.kind, 'tree')
  const readings = effectsOf(tree as never, catalog, { searchPath: ['pg_catalog', 'public'], temporary: new Map() })
  const places = hiddenLiterals(readings, catalog, masked, ['public.people'])
  return places === null ? null : tokens(text)!.filter((t) => places.has(t.start)).map((t) => t.text)
}
before(() => ready())

test('what is written to a masked column is hidden, and nothing else of the statement', async () => {
  assert.deepEqual(await hidden(`UPDATE people SET status = 'paid', ssn = '123-45-6789' WHERE id = 7`), [`'123-45-6789'`])
  assert.deepEqual(await hidden(`INSERT INTO people(id, name, ssn) VALUES (1, 'Ana', '123-45-6789'), (2, 'Bo', '987-65-4320')`), [`'123-45-6789'`, `'987-65-4320'`])
})
test('what is compared with a masked column is hidden', async () => {
  assert.deepEqual(await hidden(`SELECT id FROM people WHERE ssn = '123-45-6789' AND status = 'new'`), [`'123-45-6789'`])
  assert.deepEqual(await hidden(`DELETE FROM people WHERE lower(ssn) IN ('a', 'b') AND id = 4`), [`'a'`, `'b'`])
})
test('an INSERT without a list of columns hides every value', async () => {
  assert.deepEqual(await hidden(`INSERT INTO people VALUES (1, 'Ana', '123-45-6789', 'new')`), ['1', `'Ana'`, `'123-45-6789'`, `'new'`])
})
test('where literals lie inside strings of code, all of them are hidden', async () => {
  assert.equal(await hidden(`DO $$ BEGIN UPDATE people SET ssn = '1'; END $$`), null)
})
test('what meets a masked column by another name, as a row, in a set operation or a list of values is hidden', async () => {
  for (const text of [
    `SELECT id FROM people p WHERE (p).ssn = 'x'`, `SELECT id FROM people p WHERE p = ROW(1, 'x')`, `SELECT id FROM people p WHERE (p.*)::text = 'x'`, `SELECT 1 FROM (SELECT * FROM people) q WHERE q.ssn = 'x'`, `SELECT 1 FROM (SELECT ssn AS s FROM people) q WHERE s = 'x'`,
    `SELECT ssn FROM people INTERSECT SELECT 'x'`, `SELECT 'x' EXCEPT SELECT ssn FROM people`, `SELECT id FROM people WHERE ssn IN (VALUES ('x'))`, `SELECT 1 FROM people JOIN (VALUES ('x')) v(w) ON w = ssn`, `WITH q(a) AS (SELECT ssn FROM people) SELECT 1 FROM q WHERE a = 'x'`,
    `SELECT 1 FROM people, unnest(ARRAY[ssn]) u WHERE u = 'x'`, `SELECT 1 FROM people, jsonb_each_text(to_jsonb(people)) e(k, v) WHERE v = 'x'`, `SELECT CASE ssn WHEN 'x' THEN id END FROM people`, `UPDATE people SET (name, ssn) = ('y', 'x') WHERE id = 3`,
    `SELECT id FROM people WHERE (SELECT ssn) = 'x'`, `SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM people q WHERE q.ssn = p.ssn AND q.ssn LIKE 'x')`,
  ]) {
    const found = await hidden(text)
    assert.ok(found === null || found.includes(`'x'`), text)
  }
})
test('what stands beside other columns alone stays readable', async () => {
  for (const text of [`SELECT id, ssn FROM people WHERE id = 7`, `SELECT * FROM people WHERE status = 'new' AND id > 5 LIMIT 3`, `SELECT q.id FROM (SELECT id, ssn FROM people WHERE id > 5) q`, `SELECT 1 AS one, name FROM people`, `UPDATE people SET name = 'Ana' WHERE id = 4`]) assert.deepEqual(await hidden(text), [], text)
})
