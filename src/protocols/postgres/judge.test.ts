import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { Grant } from '../../core/policy.ts'
import type { Catalog, Relation } from '../../sql/catalog.ts'
import { ready } from '../../sql/grammar.ts'
import { judge, type View } from './judge.ts'
import type { Judged } from './reader.ts'

const column = (name: string, i: number) => ({ name, number: i + 1, type: 25, typmod: -1, typeName: 'text', notNull: false, generated: '' as const, generatedFrom: [] })
const people: Relation = {
  oid: 16384, schema: 'public', name: 'people', kind: 'r', temporary: false, columns: ['id', 'name', 'ssn'].map(column), primaryKey: [1], uniqueKeys: [[1]], parents: [], reads: [], rules: false, triggers: [], references: [],
}
const catalog: Catalog = {
  serverVersion: 180000, generation: 1, relations: new Map([[16384, people]]), byName: new Map([['public.people', people]]), routines: new Map(), routineById: new Map(), operators: new Map(), types: new Map(), schemas: new Set(['public']),
}
const masked: Grant['column'] = (_schema, _table, name) => (name === 'ssn' ? { with: 'redact', rule: 'm', lookups: null } : null)
const view: View = { catalog, context: { searchPath: ['pg_catalog', 'public'], temporary: new Map() }, grant: { fields: [] as Grant['fields'] } as Grant, column: masked, functions: [], refusal: null, prepared: () => null, attribution: null, keyedHash: () => '0'.repeat(64), tokens: { has: () => false, alike: () => false, back: () => null } }
const read = (text: string): Judged => judge(text, view) as Judged
before(() => ready())

test('EXPLAIN of a condition on a masked column is refused, for its estimates follow the table; without one it is explained', () => {
  assert.equal(read(`EXPLAIN SELECT id FROM people WHERE ssn = 'x'`).statement.masking?.kind, 'refused')
  assert.equal(read(`EXPLAIN ANALYZE SELECT lower(ssn) FROM people`).statement.masking?.kind, 'refused')
  assert.equal(read(`EXPLAIN SELECT id, ssn FROM people WHERE id = '1'`).statement.masking?.kind, 'rewritten')
})
test('a masked column is masked before anything computes with it, and the text sent says so', () => {
  const judged = read(`SELECT ssn FROM people WHERE id = '1'`)
  assert.match(judged.sent, /\[hidden\]/)
  assert.notEqual(judged.sent, judged.text)
})
test('what the server would reject is answered in its words, and never sent', () => {
  const judged = read('SELEKT 1')
  assert.deepEqual(judged.syntax, { code: '42601', message: 'syntax error at or near "SELEKT"', position: 1 })
  assert.equal(judged.statement.effects[0]?.access, 'unknown')
})
test('parameters are shown in the record where a row is picked by its key, and hidden wherever they could be values of a masked column', () => {
  for (const text of ['SELECT name FROM people WHERE id = $1', 'SELECT ssn, name FROM people WHERE id = $1 AND name = $2']) assert.equal(read(text).statement.guarded, false, text)
  for (const text of [
    'SELECT id FROM people WHERE id = $1 AND ssn = $2', 'SELECT id FROM people p WHERE id = $1 AND (p).ssn = $2', 'SELECT id FROM people p WHERE id = $1 AND p = ROW($2, $3, $4)', 'SELECT id FROM people p WHERE id = $1 AND (p.*)::text = $2',
    'SELECT ssn || $1 FROM people WHERE id = $2', 'SELECT id FROM (SELECT * FROM people) q WHERE q.ssn = $1', 'SELECT ssn FROM people WHERE id = $2 INTERSECT SELECT $1', 'SELECT v.x FROM (VALUES ($1)) v(x) JOIN people p ON p.ssn = v.x',
    'INSERT INTO people VALUES ($1, $2, $3)', 'UPDATE people SET ssn = $1 WHERE id = $2', 'DELETE FROM people WHERE id = $1', 'SELECT id FROM people WHERE id = $1 AND $2 IN (SELECT ssn FROM people)', 'SELECT name FROM people WHERE id = $1 ORDER BY ssn < $2',
  ]) assert.equal(read(text).statement.guarded, true, text)
})
