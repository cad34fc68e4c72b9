// Each sentence that users are told about policies, as a test.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coversOperation } from './match.ts'
import { compilePolicies } from './compile.ts'
import type { CompileOptions } from './compile.ts'
import { explain } from './explain.ts'
import type { Identity } from './identity.ts'
import type { Judgement, SessionFacts } from './policy.ts'
import { parsePolicies } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import type { Effect, Statement } from './statement.ts'

const ana: Identity = { subject: 'ana@corp', issuer: 'corp', groups: ['support'], agent: false, onBehalfOf: null, credentialHash: '', tokenId: null, expiresAtMs: 0 }
const agent: Identity = { ...ana, subject: 'bot@corp', agent: true, onBehalfOf: 'ana@corp' }
const orders: Resource = {
  name: 'orders', protocol: 'postgres', addresses: [], database: 'orders', databases: [], tls: 'disable', ca: null, credentials: {}, attribution: 'none', functions: [],
  limits: { statementMs: 1, idleMs: 1, sessions: 1 }, labels: { env: 'prod', data: 'customer' }, record: 'balanced', retainMs: 1, sessionMaxMs: 0, origin: 'file',
}
const session: SessionFacts = { id: 's1', database: 'orders', client: 'psql', startedAtMs: 1_700_000_000_000 }
const effect = (operation: string, access: Effect['access'], more: Partial<Effect> = {}): Effect => ({ operation, access, objects: ['public.orders'], columns: [], bounded: false, ...more })
const statement = (...effects: Effect[]): Statement => ({ text: 'SELECT 1', effects, shown: 'SELECT 1', masking: null, rowsMax: Infinity, guarded: false, exempt: false, single: false })
const read = statement(effect('sql.select', 'read'))
const remove = statement(effect('sql.delete', 'write'))
const grant = (yaml: string, identity = ana, resource = orders, options: CompileOptions = {}) => compilePolicies(parsePolicies(yaml), options).grant(identity, resource)
const policy = (rules: string, who = '{ any: true }') => `- { name: p, who: ${who}, on: { resources: [orders] }, ${rules} }`
const judge = (yaml: string, what: Statement, identity = ana, options: CompileOptions = {}, parameters?: readonly unknown[]) => grant(yaml, identity, orders, options).judge(what, session, parameters)
const kind = (...parts: Parameters<typeof judge>) => judge(...parts).kind
const hint = (judgement: Judgement) => judgement.kind === 'deny' ? judgement.hint : ''

test('without a policy there is no access, and no session opens', () => {
  const none = grant('[]')
  assert.deepEqual([none.opens, none.closed], [false, null], 'nothing says that there is such a resource')
  assert.equal(none.judge(read, session).kind, 'deny')
  assert.equal(none.judge(statement(effect('sql.show', 'session')), session).kind, 'deny')
})

test('a policy is about whoever any key of `who` names', () => {
  const opens = (who: string, identity = ana) => grant(policy('allow: [read]', who), identity).opens
  assert.ok(opens('{ users: [ana@corp] }'))
  assert.ok(opens('{ groups: [support] }'))
  assert.ok(opens('{ issuers: [corp] }'))
  assert.ok(opens('{ any: true }'))
  assert.ok(opens('{ users: [nobody], groups: [support] }'))
  assert.ok(!opens('{ users: [nobody], groups: [other], issuers: [else] }'))
  assert.ok(!opens('{ users: [ANA@corp] }'), 'names are exact')
  assert.ok(!opens('{ agents: [ana@corp] }'), 'a person is no agent')
  assert.ok(opens('{ agents: [bot@corp] }', agent))
  assert.ok(opens('{ agents: true }', agent))
  assert.ok(opens('{ users: [{ subject: ana@corp, issuer: corp }] }'))
  assert.ok(!opens('{ users: [{ subject: ana@corp, issuer: other }] }'), 'the same name of another issuer is someone else')
  assert.ok(!opens('{ groups: [{ group: support, issuer: other }] }'))
})

test('every key of `on` must match; within a list, any', () => {
  const opens = (on: string) => grant(`[{ name: p, who: { any: true }, on: ${on}, allow: [read] }]`).opens
  assert.ok(opens('{ resources: [other, orders] }'))
  assert.ok(opens('{ labels: { env: prod } }'))
  assert.ok(opens('{ labels: { env: [test, prod], data: customer } }'))
  assert.ok(opens('{ protocols: [postgres] }'))
  assert.ok(opens('{}'))
  assert.ok(!opens('{ resources: [orders], labels: { env: test } }'))
  assert.ok(!opens('{ resources: [other], labels: { env: prod } }'))
  assert.ok(!opens('{ labels: { constructor: prod } }'))
  assert.ok(!opens('{ resources: [] }'))
})

test('a rule\'s name covers by whole segments all that begins with it', () => {
  const create = statement(effect('sql.create.table', 'admin'))
  for (const [allow, expected] of [['sql', 'allow'], ['sql.create', 'allow'], ['sql.create.table', 'allow'], ['admin', 'allow'], ['write', 'deny']]) {
    assert.equal(kind(policy(`allow: [${allow}]`), create), expected, allow)
  }
  for (const name of ['sql.creat', 'sql.create.tab', 'sql.create.table.x']) assert.ok(!coversOperation(name, 'sql.create.table', 'admin'), name)
})

test('classes do not include each other', () => {
  assert.equal(kind(policy('allow: [write]'), read), 'deny')
  assert.equal(kind(policy('allow: [admin]'), remove), 'deny')
  assert.equal(kind(policy('allow: [read, write]'), statement(effect('sql.select', 'read'), effect('sql.delete', 'write'))), 'allow')
})

test('every effect of a statement must be allowed', () => {
  assert.equal(kind(policy('allow: [read]'), statement(effect('sql.select', 'read'), effect('sql.delete', 'write'))), 'deny')
})

test('a name does not allow what is stronger than the name: a SELECT that counts as admin', () => {
  const hidden = statement(effect('sql.select', 'admin', { reason: 'function f() is not known to be harmless' }))
  const refused = judge(policy('allow: [sql.select, read]'), hidden)
  assert.equal(refused.kind, 'deny')
  assert.match(refused.kind === 'deny' ? refused.message : '', /function f\(\) is not known/)
  assert.match(hint(judge(policy('allow: [sql.select]'), hidden)), /counts as admin/)
  assert.equal(kind(policy('allow: [sql.lock]'), statement(effect('sql.lock', 'admin'))), 'deny')
  assert.equal(kind(policy('allow: [admin]'), hidden), 'allow')
  assert.equal(kind(policy('allow: [s3.PutObject]'), statement(effect('s3.PutObject', 'admin'))), 'allow', 'names of unknown protocols allow what they name')
})

test('a class in a rule that refuses also covers what is of it by name', () => {
  const yaml = policy('allow: [read, write, admin], deny: [{ name: d, operations: [write] }]')
  assert.equal(kind(yaml, remove), 'deny')
  assert.equal(kind(yaml, statement(effect('sql.delete', 'admin', { reason: 'function f() is not known to be harmless' }))), 'deny')
  assert.equal(kind(yaml, read), 'allow')
})

test('session statements are allowed to whoever may open', () => {
  const show = statement(effect('sql.show', 'session', { objects: [] }))
  assert.equal(kind(policy('allow: [sql.create]'), show), 'allow')
  assert.equal(kind(policy('allow: [read], deny: [{ name: d, operations: [sql.show] }]'), show), 'deny')
})

test('what is not understood is refused whatever is allowed', () => {
  const everything = policy('allow: [session, read, write, admin, sql]')
  assert.equal(kind(everything, statement(effect('sql.select', 'unknown'))), 'deny')
  assert.equal(kind(everything, statement(effect('sql.select', 'read'), effect('sql', 'unknown'))), 'deny')
  assert.equal(kind(everything, statement()), 'deny', 'nothing known of it')
})

test('deny beats review beats allow, over all policies that match', () => {
  const review = '- { name: r, who: { any: true }, on: {}, review: [{ name: ask, operations: [sql.delete], reviewers: { groups: [leads] } }] }'
  const deny = '- { name: d, who: { any: true }, on: {}, deny: [{ name: no, operations: [sql.delete], message: not here }] }'
  const allow = policy('allow: [read, write]')
  assert.equal(kind(allow, remove), 'allow')
  assert.equal(kind([allow, review].join('\n'), remove), 'review')
  assert.equal(kind([review, allow].join('\n'), remove), 'review')
  const refused = judge([review, deny, allow].join('\n'), remove)
  assert.deepEqual([refused.kind, refused.rule], ['deny', 'd/no'])
  assert.match(refused.kind === 'deny' ? refused.message : '', /d\/no.*not here/)
  assert.equal(kind(review, remove), 'deny', 'a review allows nothing by itself')
})

test('a rule matches a statement if it matches any of its effects', () => {
  assert.equal(kind(policy('allow: [read, write], deny: [{ name: d, operations: [sql.delete] }]'), statement(effect('sql.select', 'read'), effect('sql.delete', 'write'))), 'deny')
})

test('`when` is asked once per effect', () => {
  const yaml = policy('allow: [read, write], deny: [{ name: d, operations: [sql.delete, sql.update], when: "!statement.bounded" }]')
  assert.equal(kind(yaml, statement(effect('sql.delete', 'write', { bounded: true }))), 'allow')
  assert.equal(kind(yaml, statement(effect('sql.delete', 'write', { bounded: true }), effect('sql.update', 'write'))), 'deny')
  assert.equal(kind(yaml, statement(effect('sql.delete', 'write', { bounded: true }), effect('sql.select', 'read'))), 'allow', 'an unbounded SELECT is not what the rule is about')
  assert.match(hint(judge(yaml, remove)), /add a WHERE/)
})

test('a condition that can\'t be evaluated restricts, and does not allow', () => {
  const unknown = statement(effect('sql.delete', 'write', { objects: 'unknown' }))
  const asks = '"statement.objects.exists(o, o == \'public.secret\')"'
  assert.equal(kind(policy(`allow: [write], deny: [{ name: d, operations: [sql.delete], when: ${asks} }]`), unknown), 'deny')
  assert.equal(kind(policy(`allow: [write], deny: [{ name: d, operations: [sql.delete], when: ${asks} }]`), remove), 'allow')
  assert.equal(kind(policy(`allow: [write], review: [{ name: r, when: ${asks}, reviewers: { groups: [g] } }]`), unknown), 'review')
  assert.equal(kind(policy('allow: [{ operations: [write], when: "statement.objects.all(o, o.startsWith(\'public.\'))" }]'), unknown), 'deny')
  assert.equal(kind(policy('allow: [{ operations: [write], when: "statement.objects.all(o, o.startsWith(\'public.\'))" }]'), remove), 'allow')
  assert.equal(kind(policy('allow: [write], deny: [{ name: d, when: "resource.labels.team == \'x\'" }]'), remove), 'deny', 'a label that is not there')
  assert.equal(kind(policy('allow: [write], deny: [{ name: d, when: "statement.text.contains(\'x\')" }]'), { ...remove, text: 'y'.repeat(300_000) }), 'deny', 'too long to look at')
})

test('conditions see identity, resource, statement and session', () => {
  for (const when of ['identity.subject == "ana@corp" && identity.issuer == "corp" && "support" in identity.groups && !identity.agent && identity.onBehalfOf == ""',
    'resource.name == "orders" && resource.protocol == "postgres" && resource.database == "orders" && resource.labels.env == "prod"',
    'statement.operation == "sql.delete" && statement.access == "write" && statement.language == "" && statement.text.rmatches("^SELECT [0-9]$") && size(statement.columns) == 0',
    'session.id == "s1" && session.database == "orders" && session.client == "psql" && session.startedAtMs > 1600000000000']) {
    assert.equal(kind(policy(`allow: [{ operations: [write], when: '${when}' }]`), remove), 'allow', when)
  }
})

test('rows and bytes end or pause the answer, and refuse nothing before it', () => {
  const judgement = judge(policy('allow: [read, write], deny: [{ name: dump, rows: 1000 }], review: [{ name: bulk, rows: 1000, bytes: 5KB, reviewers: { groups: [s] } }, { name: few, rows: 10, operations: [sql.delete], reviewers: { groups: [s] } }]'), read)
  assert.equal(judgement.kind, 'allow')
  assert.deepEqual(judgement.kind === 'allow' && judgement.limits.map(limit => [limit.rule, limit.rows, limit.bytes, limit.then]),
    [['p/bulk', 1000, 5000, 'review'], ['p/dump', 1000, Infinity, 'deny']].sort((a, b) => Number(a[2]) - Number(b[2])))
})

test('at the same size a limit that ends comes before one that asks', () => {
  const judgement = judge(policy('allow: [read], review: [{ name: b, rows: 10, reviewers: { groups: [s] } }, { name: a, rows: 5, reviewers: { groups: [s] } }], deny: [{ name: c, rows: 10 }]'), read)
  assert.deepEqual(judgement.kind === 'allow' && judgement.limits.map(limit => limit.rule), ['p/a', 'p/c', 'p/b'])
})

test('statements on catalogs alone are exempt from rows and bytes', () => {
  const judgement = judge(policy('allow: [read], deny: [{ name: d, rows: 10 }]'), { ...read, exempt: true })
  assert.deepEqual(judgement.kind === 'allow' && judgement.limits, [])
})

test('a field of a deny rule may not even be named', () => {
  const yaml = policy('allow: [read], deny: [{ name: pay, fields: ["*.salary"] }, { name: w, fields: ["public.staff.notes"], operations: [sql.update] }]')
  assert.equal(kind(yaml, statement(effect('sql.select', 'read', { columns: ['public.staff.salary'] }))), 'deny')
  assert.equal(kind(yaml, statement(effect('sql.select', 'read', { columns: ['public.staff.name', 'public.staff.notes'] }))), 'allow')
  assert.match(hint(judge(yaml, statement(effect('sql.select', 'read', { columns: ['public.staff.salary'] })))), /^it names public\.staff\.salary: /)
  assert.deepEqual(grant(yaml).forbidden('hr', 'people', 'salary'), { rule: 'p/pay', message: 'people.salary may not be named' })
  assert.equal(grant(yaml).forbidden('public', 'staff', 'notes'), null, 'only in an UPDATE')
  assert.equal(grant(yaml).forbidden('public', 'salary', 'name'), null)
})

test('values in what the client sends are looked for in text and parameters, and never repeated', () => {
  const yaml = policy('allow: [read], deny: [{ name: out, detect: [us-ssn, { name: badge, pattern: "B-\\\\d{6}" }] }]')
  const options: CompileOptions = { detector: name => name === 'us-ssn' ? text => /\d{3}-\d{2}-\d{4}/.test(text) : null }
  assert.equal(kind(yaml, read, ana, options), 'allow')
  assert.equal(kind(yaml, { ...read, text: 'SELECT \'123-45-6789\'' }, ana, options), 'deny')
  for (const value of ['123-45-6789', Buffer.from('x 123-45-6789'), { a: ['B-123456'] }]) {
    const refused = judge(yaml, read, ana, options, [1, null, value])
    assert.equal(refused.kind, 'deny')
    assert.ok(!JSON.stringify(refused).includes('6789') && !JSON.stringify(refused).includes('123456'))
    assert.equal(refused.cacheable, false)
  }
  assert.equal(kind(yaml, read, ana, {}, []), 'deny', 'a detector that is not there refuses')
  const loop: { self?: unknown } = {}
  loop.self = loop
  assert.equal(kind(yaml, read, ana, options, [loop]), 'deny', 'a value that can\'t be read')
  assert.equal(kind(yaml, { ...read, text: 'x'.repeat(2_000_000) }, ana, options), 'deny', 'too large to search')
})

test('the strongest mask wins, and adding a policy never allows more look-ups', () => {
  const yaml = ['- { name: a, who: { any: true }, on: {}, allow: [read], mask: [{ fields: ["*.email"], with: partial, lookups: 10/1m }, { fields: ["*.ssn"], with: hash, lookups: 10/1m }] }',
    '- { name: b, who: { any: true }, on: {}, mask: [{ fields: [customers.email], with: redact }, { fields: ["public.*.ssn"], with: null, lookups: 1/1m }] }'].join('\n')
  assert.deepEqual(grant(yaml).column('public', 'customers', 'email'), { with: 'redact', rule: 'b/mask-1', lookups: null })
  assert.deepEqual(grant(yaml).column('public', 'other', 'email'), { with: 'partial', rule: 'a/mask-1', lookups: { count: 10, perMs: 60_000 } })
  assert.deepEqual(grant(yaml).column('public', 'customers', 'ssn'), { with: 'null', rule: 'b/mask-2', lookups: { count: 1, perMs: 60_000 } })
  assert.equal(grant(yaml).column('public', 'customers', 'name'), null)
})

test('a token is for fields: what detectors find is hidden like redact, and of equal detectors the strongest stays', () => {
  const masked = grant('[{ name: a, who: { any: true }, on: {}, allow: [read], mask: [{ fields: ["*.email"], with: token }, { detect: [email], with: partial }, { detect: [email, us-ssn], with: token }] }]')
  assert.equal(masked.column('public', 'c', 'email')?.with, 'token')
  assert.deepEqual(masked.detectors.map(rule => [rule.detector, rule.with]), [['email', 'redact'], ['us-ssn', 'redact']])
  assert.ok(masked.masks)
  assert.notEqual(masked.maskKey, grant(policy('allow: [read]')).maskKey)
})

test('row filters are of the identity: another one has another key, so that no rewritten text is shared', () => {
  const text = policy('allow: [read], filter: [{ table: public.orders, where: "team = any(identity.groups)" }]')
  const [one, same, other] = [grant(text), grant(text), grant(text, { ...ana, groups: ['others'] })]
  assert.deepEqual(one.filters.map(filter => [filter.rule, filter.table, filter.values.groups]), [['p/filter-1', 'public.orders', ana.groups]])
  assert.ok(one.opens && one.masks)
  assert.equal(one.maskKey, same.maskKey)
  assert.notEqual(one.maskKey, other.maskKey)
})

test('a resource whose protocol is not built opens for nobody', () => {
  const refused = grant(policy('allow: [read]'), ana, { ...orders, refused: 'protocol redis is not built yet' })
  assert.deepEqual([refused.opens, refused.closed], [false, { rule: 'not-built', message: 'resource orders: protocol redis is not built yet' }])
  assert.equal(refused.judge(read, session).kind, 'deny')
})

test('observe grants nothing, refuses nothing, masks nothing, and says what it would have done', () => {
  const observing = '- { name: o, mode: observe, who: { any: true }, on: {}, allow: [write, admin], deny: [{ name: d, operations: [sql.select] }], review: [{ name: r, operations: [sql.select], reviewers: { groups: [g] } }], mask: [{ fields: ["*.email"], with: null }], filter: [{ table: t, where: x }], budget: [{ rows: 1, per: 1h }] }'
  const both = grant([policy('allow: [read]'), observing].join('\n'))
  const what = statement(effect('sql.select', 'read', { columns: ['public.customers.email'] }))
  assert.equal(both.judge(what, session).kind, 'allow')
  assert.equal(both.judge(remove, session).kind, 'deny')
  assert.deepEqual([both.opens, both.masks, both.column('public', 'customers', 'email'), both.budgets], [true, false, null, []])
  assert.deepEqual(both.observe(what, session), [{ policy: 'o', rule: 'o/d', would: 'deny' }, { policy: 'o', rule: 'o/r', would: 'review' }, { policy: 'o', rule: 'o/mask-1', would: 'mask' }])
  assert.equal(grant(observing).opens, false)
})

test('a review holds people and refuses agents unless the rule says how to wait', () => {
  const terms = (rule: string, identity: Identity) => { const judgement = judge(policy(`allow: [write], review: [{ name: r, operations: [sql], reviewers: { groups: [g] }${rule} }]`), remove, identity); return judgement.kind === 'review' ? judgement.terms : null }
  assert.deepEqual(terms('', ana), { reviewers: { groups: ['g'], users: [] }, withinMs: 900_000, wait: 'hold' })
  assert.equal(terms('', agent)?.wait, 'refuse')
  assert.equal(terms(', wait: hold, within: 1h', agent)?.wait, 'hold')
  assert.equal(terms(', within: 1h', ana)?.withinMs, 3_600_000)
})

test('two reviews need a reviewer that both name, and where there is none it is refused', () => {
  const two = (a: string, b: string) => judge(policy(`allow: [write], review: [{ name: a, operations: [sql], within: 1h, reviewers: { groups: [${a}] } }, { name: b, operations: [sql.delete], wait: refuse, reviewers: { groups: [${b}] } }]`), remove)
  const both = two('x, y', 'y, z')
  assert.deepEqual(both.kind === 'review' && both.terms, { reviewers: { groups: ['y'], users: [] }, withinMs: 900_000, wait: 'refuse' })
  assert.equal(two('x', 'z').kind, 'deny')
})

test('a budget that asks takes the reviewers that its policy\'s reviews have in common', () => {
  const [budget] = grant(policy('allow: [read], review: [{ name: r, rows: 10, reviewers: { groups: [a, b] } }, { name: s, bytes: 10, reviewers: { groups: [b] } }], budget: [{ rows: 500, of: table, per: 10m, then: review }]')).budgets
  assert.deepEqual([budget?.of, budget?.then, budget?.perMs, budget?.terms?.reviewers.groups], ['table', 'review', 600_000, ['b']])
  assert.equal(grant(policy('allow: [read], budget: [{ rows: 500, per: 10m, then: review }]')).budgets[0]?.then, 'deny', 'nobody could approve')
})

test('the weakest credential that covers what is allowed is enough', () => {
  const needs = (allow: string) => grant(policy(`allow: ${allow}`)).needs
  assert.deepEqual([needs('[read]'), needs('[sql.show]'), needs('[read, write]'), needs('[sql.select, sql.copy.in]'), needs('[sql.create.table]'), needs('[sql]'), needs('[{ operations: [admin], when: "statement.bounded" }]')],
    ['read', 'read', 'write', 'write', 'admin', 'admin', 'admin'])
})

test('a refusal says which rule, why, and what would be allowed or how to ask', () => {
  const refused = judge(policy('allow: [read, sql.comment], deny: [{ name: n, operations: [sql.drop] }]'), statement(effect('sql.drop.table', 'admin')))
  assert.deepEqual(refused, { kind: 'deny', rule: 'p/n', message: 'rule p/n refuses this: it does sql.drop.table on public.orders', hint: 'ask whoever looks after policy p, or do it without sql.drop.table', cacheable: true })
  const other = judge(policy('allow: [read, sql.comment]'), remove)
  assert.deepEqual(other.kind === 'deny' && [other.message, other.hint], ['no policy allows sql.delete (write)', 'allowed here: read, sql.comment'])
})

test('a judgement may be kept per shape unless text, session or values could change it', () => {
  const cacheable = (rule: string) => judge(policy(`allow: [read], deny: [${rule}]`), read).cacheable
  assert.ok(cacheable('{ name: d, when: "statement.objects.exists(o, o == \'x\')" }'))
  assert.ok(!cacheable('{ name: d, when: "statement.text.contains(\'x\')" }'))
  assert.ok(!cacheable('{ name: d, when: "session.client == \'x\'" }'))
  assert.ok(!cacheable('{ name: d, when: "statement[\'text\'] == \'x\'" }'))
  assert.ok(cacheable('{ name: d, operations: [sql.delete], when: "statement.text.contains(\'x\')" }'), 'a rule about something else')
})

test('the version names the rules, not where they stand', () => {
  const version = (yaml: string) => compilePolicies(parsePolicies(yaml)).version
  const one = version('- { name: p, who: { any: true }, on: {}, allow: [read] }')
  assert.match(one, /^[0-9a-f]{64}$/)
  assert.equal(one, version('\n\n- name: p\n  on: {}\n  allow: [read]\n  who: { any: true }'))
  assert.notEqual(one, version('- { name: p, who: { any: true }, on: {}, allow: [write] }'))
})

test('explain names every policy and rule with the reason, and the judgement of a session', () => {
  const set = compilePolicies(parsePolicies([policy('allow: [read, write], deny: [{ name: d, operations: [sql.drop] }], review: [{ name: r, operations: [sql.delete], when: "!statement.bounded", reviewers: { groups: [g] } }, { name: l, rows: 5, reviewers: { groups: [g] } }]'),
    '- { name: q, who: { groups: [other] }, on: {}, allow: [admin] }'].join('\n'), 'f.yaml'))
  const explained = explain(set, ana, orders, remove)
  assert.equal(explained.judgement?.kind, 'review')
  assert.deepEqual(explained.policies.map(one => [one.policy, one.matches, one.at]), [['p', true, 'f.yaml:1:3'], ['q', false, 'f.yaml:2:3']])
  assert.deepEqual(explained.policies[0]?.rules.map(rule => [rule.rule, rule.kind, rule.applies]), [['p: allow read', 'allow', false], ['p: allow write', 'allow', true], ['p/d', 'deny', false], ['p/r', 'review', true], ['p/l', 'limit', true]])
})

test('a typical judgement takes less than 3 microseconds', () => {
  const judged = grant(policy('allow: [read, write], deny: [{ name: d, operations: [sql.drop] }], review: [{ name: r, rows: 100, reviewers: { groups: [g] } }]'))
  for (let i = 0; i < 20_000; i++) judged.judge(read, session)
  const begun = process.cpuUsage()
  for (let i = 0; i < 100_000; i++) judged.judge(read, session)
  const each = (process.cpuUsage(begun).user / 1_000) / 100_000 * 1_000
  assert.ok(each < 3, `${each} µs`)
})
