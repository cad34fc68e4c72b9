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
