// A rule about an operation that does not exist would silently allow or refuse nothing: names are checked, and the list is complete.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { ConfigErrors } from './errors.ts'
import { OPERATION_NAMES, operationProblem } from './operations.ts'
import { parsePolicies } from './policy-rules.ts'

const mistakes = (rules: string): string[] => {
  try { parsePolicies(`- name: p\n  who: { any: true }\n  on: {}\n  ${rules}\n`, 'p.yaml') } catch (error) { if (error instanceof ConfigErrors) return error.list.map((one) => one.message); throw error }
  return []
}

test('an operation that does not exist is refused with its place and the name that was meant', () => {
  for (const [rules, place, meant] of [
    ['allow: [reed]', '4:11', 'read'], ['allow: [read, wirte]', '4:17', 'write'], ['deny: [{ name: d, operations: [sql.dorp] }]', '4:34', 'sql.drop'],
    ['deny: [{ name: d, operations: [sql.drop.tabel] }]', '4:34', 'sql.drop.table'], ['review: [{ name: r, operations: [delete], reviewers: { groups: [g] } }]', '4:36', 'sql.delete'],
    ['allow: [{ operations: [sql.selct] }]', '4:26', 'sql.select'], ['allow: [Read]', '4:11', 'read'], ['allow: [sql.select.all]', '4:11', 'sql.select'], ['allow: [everything]', '4:11', null],
  ] as const) {
    const [found, ...more] = mistakes(rules)
    assert.deepEqual(more, [], rules)
    assert.match(found ?? '', new RegExp(`^p\\.yaml:${place}: .*no operation and no class is called`), rules)
    if (meant === null) assert.doesNotMatch(found!, /did you mean/)
    else assert.ok(found!.includes(`did you mean \`${meant}\`?`), found)
  }
  assert.deepEqual(mistakes('allow: [read, sql.drop, sql.drop.table, sql, sql.create.materialized_view, http.POST, k8s.pods.exec, ssh.exec]'), [])
  assert.match(mistakes('allow: ["sql.*"]')[0]!, /not an operation/)
})

test('a protocol that does not exist, a condition that never holds and budget terms without a review are refused', () => {
  assert.match(mistakes('allow: [read]\n- { name: q, who: { any: true }, on: { protocols: [postgre] } }').join(), /no protocol is called `postgre`; did you mean `postgres`/)
  assert.match(mistakes('deny: [{ name: d, when: "false" }]').join(), /always the same/)
  assert.match(mistakes(`deny: [{ name: d, when: "statement.operation == 'sql.dorp'" }]`).join(), /did you mean `sql\.drop`/)
  assert.match(mistakes(`deny: [{ name: d, when: "statement.operation in ['sql.delete', 'sql.udpate']" }]`).join(), /did you mean `sql\.update`/)
  assert.match(mistakes(`deny: [{ name: d, when: "statement.operation == 'sql.drop'" }]`).join(), /startsWith/)
  assert.match(mistakes(`deny: [{ name: d, when: "'reed' == statement.access" }]`).join(), /never "reed"/)
  assert.deepEqual(mistakes(`deny: [{ name: d, when: "statement.operation == 'sql.drop.table' || statement.access == 'unknown' || statement.operation.startsWith('sql.drop.')" }]`).length, 1, 'unknown is refused always: no rule is about it')
  assert.deepEqual(mistakes(`deny: [{ name: d, when: "statement.operation in ['sql.drop.table', 'http.POST'] && statement.access != 'read'" }]`), [])
  assert.match(mistakes('budget: [{ rows: 5, per: 1h, within: 5m }]').join(), /unless `then: review`/)
})

test('every operation that the readers of statements name is on the list', () => {
  const source = fileURLToPath(new URL('..', import.meta.url))
  const named = new Set<string>()
  for (const folder of ['sql', 'protocols']) for (const file of readdirSync(join(source, folder), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
    for (const [, name] of readFileSync(join(source, folder, file), 'utf8').matchAll(/'(sql\.[a-z_.]+)'/g)) named.add(name!)
  }
  assert.ok(named.size > 40)
  // What is not understood can't be named in a rule.
  assert.deepEqual([...named].filter((name) => operationProblem(name) !== null && !['sql.unknown', 'sql.unread'].includes(name)), [])
  const word = /(?:ddl|plain|makesAny)\((?:reader, )?'(create|alter|drop)', '([a-z_]+)'/g
  for (const [, verb, kind] of readFileSync(join(source, 'sql/statements.ts'), 'utf8').matchAll(word)) assert.ok(OPERATION_NAMES.has(`sql.${verb}.${kind}`), `${verb} ${kind}`)
})
