import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileCondition, compilePattern } from './conditions.ts'

const facts = (more: object = {}) => ({
  identity: { subject: 'a', issuer: 'i', groups: ['g', 'h'], agent: false, onBehalfOf: '' }, resource: { name: 'r', protocol: 'p', database: '', labels: { env: 'prod' } },
  session: { id: 's', database: 'd', client: 'c', startedAtMs: 1n },
  statement: { text: 'select 1', operation: 'sql.select', access: 'read', objects: ['public.a', 'public.b'], columns: [], bounded: true, language: '', ...more },
})

test('a condition that could take exponential time is refused when it is read', () => {
  for (const text of ['statement.text.matches("(a+)+$")', 'statement.objects.exists(o, o.matches("a"))', 'true || statement.text.matches("a")', 'has(statement.text) && statement.text.matches(statement.language)']) {
    assert.throws(() => compileCondition(text), /rmatches/, text)
  }
})

test('rmatches is linear: what takes JavaScript seconds takes it nothing', () => {
  const condition = compileCondition('statement.text.rmatches("(a+)+$")')
  const begun = process.cpuUsage()
  assert.equal(condition.holds(facts({ text: `${'a'.repeat(200)}!` })), false)
  assert.ok(process.cpuUsage(begun).user / 1_000 < 500)
})

test('patterns are literals in RE2 syntax, read when the policy is', () => {
  assert.throws(() => compileCondition('statement.text.rmatches(statement.language)'), /literal/)
  assert.throws(() => compileCondition('statement.text.rmatches("(")'), /RE2/)
  assert.throws(() => compileCondition('statement.text.rmatches("(?=a)")'), /RE2/)
  assert.throws(() => compileCondition('statement.text.rmatches("((a{100}){100}){100}")'), /RE2/)
  assert.throws(() => compilePattern('x'.repeat(2_000)), /at most/)
})

test('a pattern with many states is not run over a long text', () => {
  const condition = compileCondition('statement.text.rmatches("[ab]*[^c]{0,900}[0-9]")')
  assert.equal(condition.holds(facts({ text: 'ab' })), false)
  assert.throws(() => condition.holds(facts({ text: 'ab'.repeat(50_000) })), /too long/)
})

test('unknown names, wrong types and what is no truth are mistakes when it is read', () => {
  for (const text of ['statment.bounded', 'statement.bound', 'statement.text', '1', 'statement.text == 1', 'statement.objects.exists(o, o > 1)', 'nothing(statement.text)', '', 'true &&', 'process.exit()', 'statement.constructor == "x"']) {
    assert.throws(() => compileCondition(text), Error, text)
  }
})

test('comprehensions are at most two deep and then over short lists, so that time is bounded', () => {
  assert.ok(compileCondition('statement.objects.exists(o, identity.groups.exists(g, o == g))').holds(facts()) === false)
  assert.ok(compileCondition('statement.objects.map(o, o.split(".")[1]).exists(t, t == "b")').holds(facts()))
  assert.throws(() => compileCondition('statement.objects.all(a, statement.objects.all(b, statement.objects.all(c, a == c)))'), /two deep/)
  assert.throws(() => compileCondition('statement.objects.all(a, a.split("").all(b, b == a))'), /itself/)
  assert.throws(() => compileCondition('statement.text.split("").all(a, statement.objects.all(b, b == a))'), /itself/)
  assert.throws(() => compileCondition('cel.bind(a, statement.text + statement.text, a == "")'), /cel.bind/)
  const long = facts({ objects: Array.from({ length: 500 }, (_, i) => `o${i}`) })
  assert.throws(() => compileCondition('statement.objects.exists(o, identity.groups.exists(g, o == g))').holds(long))
  assert.ok(compileCondition('statement.objects.exists(o, o == "o499")').holds(long))
})

test('the slowest that is let through ends within a second', () => {
  const begun = process.cpuUsage()
  const objects = Array.from({ length: 100 }, (_, i) => `schema.table_with_a_long_name_${i}`)
  compileCondition('statement.objects.all(a, statement.columns.all(b, a != b && !b.rmatches("(a+)+z$")))').holds(facts({ objects, columns: objects.map(name => `${name}.c`) }))
  compileCondition('statement.text.split("").all(a, a != "b")').holds(facts({ text: 'a'.repeat(256 * 1024) }))
  assert.ok(process.cpuUsage(begun).user / 1_000 < 2_000)
})

test('what is not known is an error, not an empty list', () => {
  const { objects: _, ...statement } = facts().statement
  assert.throws(() => compileCondition('statement.objects.exists(o, o == "x")').holds({ ...facts(), statement }))
  assert.throws(() => compileCondition('resource.labels.team == "x"').holds(facts()))
  assert.equal(compileCondition('has(resource.labels.team) && resource.labels.team == "x"').holds(facts()), false)
})

test('it is known whether a condition asks for text, session or bounds', () => {
  const of = (text: string) => { const { volatile, asksBounded } = compileCondition(text); return [volatile, asksBounded] }
  assert.deepEqual(of('statement.bounded'), [false, true])
  assert.deepEqual(of('statement.text == "a"'), [true, false])
  assert.deepEqual(of('session.client == "a" || statement.operation == "sql.select"'), [true, false])
  assert.deepEqual(of('statement["text"] == "a"'), [true, false])
  assert.deepEqual(of('identity.agent'), [false, false])
})
