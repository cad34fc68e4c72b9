import assert from 'node:assert/strict'
import test from 'node:test'
import { checkPolicyText } from './check.ts'
import { compilePolicies } from './compile.ts'
import { explain } from './explain.ts'
import { parsePolicies } from './policy-rules.ts'
import { parseResource } from './resource-rules.ts'
import type { Statement } from './statement.ts'
import { isCounted, tablesCounted } from './tags.ts'

const resource = (tags?: unknown, name = 'orders') => parseResource({ name, protocol: 'postgres', address: 'localhost:5432', database: 'x', credential: { username: 'u', password: 'none' }, ...(tags === undefined ? {} : { tags }) })
const PII = { pii: ['public.customers.ssn', '*.email'], none: [] }
const ana = { subject: 'ana@example.com', issuer: 'corp', groups: [], agent: false, onBehalfOf: null, expiresAtMs: null } as never
const policies = (rules: string) => parsePolicies(`- name: p\n  who: { any: true }\n  on: {}\n  allow: [read]\n${rules}`)
const grantOf = (rules: string, tags: unknown = PII) => compilePolicies(policies(rules)).grant(ana, resource(tags))
const session = { id: 's', database: 'x', client: '', startedAtMs: 0 }
const reads = (...columns: string[]): Statement => ({
  text: 'SELECT …', shown: 'SELECT …', masking: null, rowsMax: Infinity, guarded: false, single: false, exempt: false,
  effects: [{ operation: 'sql.select', access: 'read', objects: [...new Set(columns.map((path) => path.slice(0, path.lastIndexOf('.'))))], columns, bounded: false }],
})

test('a mask by tag hides the columns that carry it, beside fields, and the strongest wins', () => {
  const grant = grantOf('  mask: [{ tags: [pii], with: redact, lookups: 1/1m }, { tags: [pii], fields: ["*.phone"], with: partial }]')
  assert.deepEqual(grant.column('public', 'customers', 'ssn'), { with: 'redact', rule: 'p/mask-1', lookups: null })
  assert.equal(grant.column('crm', 'leads', 'email')?.with, 'redact')
  assert.equal(grant.column('crm', 'leads', 'phone')?.with, 'partial')
  assert.equal(grant.column('public', 'staff', 'ssn'), null)
})

test('a deny by tag refuses to name such columns; where none carries it, it is about nothing', () => {
  const grant = grantOf('  deny: [{ name: no-pii, tags: [pii] }]')
  assert.equal(grant.judge(reads('public.customers.ssn'), session).kind, 'deny')
  assert.equal(grant.judge(reads('public.customers.id'), session).kind, 'allow')
  assert.equal(grant.forbidden('x', 'y', 'email')?.rule, 'p/no-pii')
  assert.equal(grantOf('  deny: [{ name: no-pii, tags: [none] }]').judge(reads('public.customers.ssn'), session).kind, 'allow')
})

test('a budget by tag counts the statements that read such columns, and their tables', () => {
  const [budget] = grantOf('  budget: [{ rows: 10, per: 1h, of: table, tags: [pii] }]').budgets
  const counted = (...columns: string[]) => reads(...columns).effects.filter((effect) => isCounted(budget!, effect))
  assert.equal(counted('public.customers.id').length, 0)
  assert.deepEqual([...tablesCounted(budget!, counted('public.customers.ssn', 'public.orders.id'))], ['public.customers'])
  assert.deepEqual([...tablesCounted(budget!, counted('a.b.email', 'public.customers.ssn'))], ['a.b', 'public.customers'])
})

test('a filter by tag is on the tables that have such columns', () => {
  const grant = grantOf('  filter: [{ tags: [team], where: "team = any(identity.groups)" }]', { team: ['public.orders.team', 'public.invoices.team', 'public.orders.owner', 'notes.team'] })
  assert.deepEqual(grant.filters.map(({ table }) => table), ['public.orders', 'public.invoices', '*.notes'])
})

test('a tag that a resource does not declare closes it, is refused by the check, and [] is a declaration', () => {
  const rules = '  mask: [{ tags: [pii], with: redact }]'
  const closed = grantOf(rules, { pi: [] })
  assert.equal(closed.opens, false)
  assert.match(closed.closed!.message, /policy p is about the tag pii, which resource orders does not declare/)
  assert.equal(grantOf(rules, { pii: [] }).opens, true)
  const check = (tags: unknown) => checkPolicyText(`- name: p\n  who: { any: true }\n  on: {}\n  allow: [read]\n${rules}`, 'x.yaml', { resources: [resource(tags)], issuers: [], groups: null }).filter(({ level }) => level === 'error').map(({ message }) => message)
  assert.deepEqual(check({ pi: [] }), ['policy p: resource orders declares no tag `pii`; did you mean `pi`?: give it one, with [] if no column carries it'])
  assert.deepEqual(check(PII), [])
  const unfiltered = checkPolicyText('- name: p\n  who: { any: true }\n  on: {}\n  allow: [read]\n  filter: [{ tags: [pii], where: "true" }]', 'x.yaml', { resources: [resource(PII)], issuers: [], groups: null })
  assert.ok(unfiltered.some(({ level, message }) => level === 'error' && message.includes('`*.email` says no table')))
})

test('what tags stand for is part of the version and of the masks\' key', () => {
  const rules = '  mask: [{ tags: [pii], with: redact }]'
  const one = grantOf(rules), other = grantOf(rules, { pii: ['*.phone'] })
  assert.notEqual(one.version, other.version)
  assert.notEqual(one.maskKey, other.maskKey)
  assert.equal(grantOf('', PII).version, grantOf('', {}).version)
})

test('explain names the tag', () => {
  const set = compilePolicies(policies('  mask: [{ tags: [pii], with: redact }]\n  deny: [{ name: no-pii, tags: [pii] }]'))
  const [policy] = explain(set, ana, resource(PII), reads('public.customers.ssn', 'public.customers.id')).policies
  const why = (kind: string) => policy!.rules.find((rule) => rule.kind === kind && rule.applies)?.why
  assert.equal(why('mask'), 'hides public.customers.ssn (tagged pii) with redact')
  assert.equal(why('deny'), 'it names public.customers.ssn (tagged pii)')
})

test('what can\'t be a tag or a tagged column is an error with its place', () => {
  for (const tags of [{ pii: ['ssn'] }, { pii: ['a.b.c.d'] }, { pii: 'x.y' }, { 'a b': [] }]) assert.throws(() => resource(tags), /tags/)
  assert.throws(() => policies('  mask: [{ tags: [], with: redact }]'), /tags/)
  assert.throws(() => policies('  filter: [{ tags: [pii], table: a.b, where: "true" }]'), /by `table` or by `tags`/)
})
