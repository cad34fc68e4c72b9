import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Effect } from './effects.ts'
import { parse } from './grammar.ts'
import { read } from './sample.test.ts'

interface Case { readonly id: string; readonly category: string; readonly sql: readonly string[]; readonly expect: string; readonly accept: readonly string[]; readonly steps?: readonly { readonly sql?: string }[] }
const cases = readFileSync(new URL('../../test/corpus/pg.jsonl', import.meta.url), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Case)
const texts = (one: Case): string[] => { const steps = (one.steps ?? []).flatMap(({ sql }) => typeof sql === 'string' ? [sql] : []); return steps.length > 0 ? steps : [...one.sql] }

// The policy of test/corpus/sluice.yaml, as far as classes and operations go.
const ALLOWED = ['sql.create.table', 'sql.create.view', 'sql.create.function', 'sql.create.index', 'sql.alter.table', 'sql.comment']
const covers = (rule: string, operation: string): boolean => operation === rule || operation.startsWith(`${rule}.`)
function refused(effect: Effect): boolean {
  if (effect.access === 'unknown') return true
  if (['sql.drop', 'sql.truncate'].some((rule) => covers(rule, effect.operation))) return true
  if (effect.operation === 'sql.create.function' && effect.language === 'c') return true
  if (['sql.delete', 'sql.update', 'sql.merge'].includes(effect.operation) && !effect.bounded) return true
  return effect.access === 'admin' && !ALLOWED.some((rule) => covers(rule, effect.operation))
}
async function stopped(text: string): Promise<boolean> {
  const tree = await parse(text)
  return tree.kind !== 'tree' || (await read(text)).some(({ effects }) => effects.some(refused))
}

// Stopped elsewhere: by the state of the session that start-up parameters or FunctionCall set, or by the wire.
const ELSEWHERE: Readonly<Record<string, string>> = {
  'pg-lexer-05': 'standard_conforming_strings = off as a start-up parameter', 'pg-lexer-06': 'the same, in options', 'pg-function-call-05': 'a FunctionCall sets it first',
  'pg-replication-06': 'a replication start-up', 'pg-extended-30': 'a Bind to a statement that does not exist',
}
const DENIED = ['destructive', 'file-read', 'lexer', 'sql-in-string', 'catalog', 'function-call', 'egress']

for (const one of cases.filter(({ category, expect, accept }) => DENIED.includes(category) && (expect === 'denied' || category === 'sql-in-string') && !accept.includes('allowed'))) {
  if (ELSEWHERE[one.id] !== undefined) continue
  test(`${one.id} is refused by what is read of it`, async () => {
    const verdicts = await Promise.all(texts(one).map(stopped))
    assert.ok(verdicts.includes(true), texts(one).join(' ; '))
  })
}

test('statistics of columns are no part of reading the catalog', async () => {
  for (const id of ['pg-catalog-06', 'pg-catalog-08']) assert.ok((await Promise.all(texts(cases.find((one) => one.id === id)!).map(stopped))).includes(true), id)
})

const DO_BLOCKS = new Set(['pg-benign-53'])
for (const one of cases.filter(({ category }) => category === 'benign' || category === 'benign-masked')) {
  if (DO_BLOCKS.has(one.id)) continue
  test(`${one.id} stays within session, read and write`, async () => {
    for (const text of texts(one)) {
      if ((await parse(text)).kind !== 'tree') { assert.match(text, /^SELEKT/); continue }
      for (const { effects } of await read(text)) for (const effect of effects) assert.ok(['session', 'read', 'write'].includes(effect.access), `${text}: ${effect.operation} ${effect.access} ${effect.reason ?? ''}`)
    }
  })
}

test('what a row limit can prove beforehand is proved', async () => {
  const rows = async (id: string) => (await read(texts(cases.find((one) => one.id === id)!).at(-1)!)).at(-1)!.rowsMax
  assert.equal(await rows('pg-bulk-04'), 1000000)
  assert.equal(await rows('pg-bulk-06'), Infinity)
  assert.equal(await rows('pg-bulk-07'), Infinity)
  assert.equal(await rows('pg-bulk-15'), 5000)
  assert.equal(await rows('pg-bulk-31'), 20000)
  assert.deepEqual(await rows('pg-bulk-22'), { parameter: 1 })
  assert.equal(await rows('pg-benign-70'), 1)
})

test('psql\'s and pg_dump\'s catalog queries are on catalogs alone', async () => {
  for (const one of cases.filter(({ id }) => ['pg-benign-02', 'pg-benign-03', 'pg-benign-06', 'pg-benign-08'].includes(id))) {
    for (const text of texts(one)) for (const reading of await read(text)) assert.equal(reading.catalogOnly, true, text)
  }
})
