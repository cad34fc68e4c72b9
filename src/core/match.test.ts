import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coversOperation, parseFieldPattern } from './match.ts'

const covers = (pattern: string, path: string) => { const [schema = '', table = '', column = ''] = path.split('/'); return parseFieldPattern(pattern)?.covers(schema, table, column) }

test('a field pattern is compared from the right, segment by segment', () => {
  for (const [pattern, path, expected] of [
    ['*.email', 'public/customers/email', true], ['*.email', 'hr/people/email', true], ['*.email', 'public/email/name', false],
    ['customers.email', 'public/customers/email', true], ['customers.email', 'other/customers/email', true], ['customers.email', 'public/orders/email', false],
    ['public.customers.email', 'public/customers/email', true], ['public.customers.email', 'hr/customers/email', false],
    ['public.customers.*', 'public/customers/anything', true], ['public.customers.*', 'public/customers2/x', false], ['public.*.ssn', 'public/x/ssn', true], ['public.*.ssn', 'hr/x/ssn', false],
    ['*.*', 'a/b/c', true], ['*.*.*', 'a/b/c', true], ['*.card_*', 'a/b/card_number', true], ['*.card_*', 'a/b/card', false], ['*.*_enc*', 'a/b/x_encrypted', true],
    ['a.b.c.d', 'b/c/d', false], ['*.e.l', 'x/e/l', true], ['*.e+l', 'x/y/eel', false],
  ] as const) assert.equal(covers(pattern, path), expected, `${pattern} ${path}`)
})

test('names without quotes match as written and in lower case; quoted ones exactly', () => {
  assert.equal(covers('*.SSN', 'public/customers/ssn'), true)
  assert.equal(covers('*.SSN', 'public/customers/SSN'), true)
  assert.equal(covers('*.ssn', 'public/customers/SSN'), false)
  assert.equal(covers('*."SSN"', 'public/customers/ssn'), false)
  assert.equal(covers('*."SSN"', 'public/customers/SSN'), true)
  assert.equal(covers('public."My.Table"."a ""b"""', 'public/My.Table/a "b"'), true)
  assert.equal(covers('*."*"', 'public/t/x'), false)
})

test('what is no field pattern is refused', () => {
  for (const text of ['email', '', '.', '.a', 'a.', 'a..b', 'a b.c', '"a.b', 'a"b".c', '*.a*b*c*d', Array(20).fill('a').join('.')]) assert.equal(parseFieldPattern(text), null, text)
})

test('a path of names joined by dots matches if any reading of it does', () => {
  const joined = (pattern: string, path: string) => parseFieldPattern(pattern)?.coversJoined(path)
  for (const [pattern, path, expected] of [
    ['*.salary', 'public.staff.salary', true], ['*.salary', 'public.odd.name.salary', true], ['*.salary', 'public.staff.salary_band', false], ['*.salary', 'salary', false],
    ['public.staff.salary', 'public.staff.salary', true], ['staff.salary', 'public.staff.salary', true], ['public.staff.*', 'public.staff.a.b', true], ['public.staff.*', 'public.staffs.a', false],
    ['public."a.b".c', 'public.a.b.c', true], ['secrets.data.*', 'secrets.data.password', true], ['*.*', 'a.b', true], ['*.SALARY', 'public.staff.salary', true],
  ] as const) assert.equal(joined(pattern, path), expected, `${pattern} ${path}`)
})

test('a long name can\'t make matching slow', () => {
  const begun = process.cpuUsage()
  for (const pattern of ['*.*a*b', '*a*b.*c*d.*e*f', 'a.*.*.*.b']) parseFieldPattern(pattern)?.coversJoined(`${'a.b'.repeat(400)}x`)
  assert.ok(process.cpuUsage(begun).user / 1_000 < 2_000)
})

test('operations are covered by whole segments, classes by themselves', () => {
  assert.ok(coversOperation('k8s.pods', 'k8s.pods.exec', 'admin'))
  assert.ok(!coversOperation('k8s.pod', 'k8s.pods.exec', 'admin'))
  assert.ok(coversOperation('read', 'sql.select', 'read'))
  assert.ok(!coversOperation('read', 'read.sql', 'write') || coversOperation('read', 'read.sql', 'read'))
  assert.ok(!coversOperation('unknown', 'sql.select', 'read'))
})
