// What must hold of any policies: observing changes nothing, and no rule that restricts ever lets more through.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePolicies } from './compile.ts'
import type { Identity } from './identity.ts'
import { MASK_ORDER } from './mask.ts'
import type { Judgement } from './policy.ts'
import { parsePolicies } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import type { Statement } from './statement.ts'

const identity: Identity = { subject: 'ana', issuer: 'corp', groups: ['a'], agent: false, onBehalfOf: null, credentialHash: '', tokenId: null, expiresAtMs: 0 }
const resource: Resource = {
  name: 'orders', protocol: 'postgres', addresses: [], database: null, databases: [], tls: 'disable', ca: null, credentials: {}, attribution: 'none', functions: [],
  limits: { statementMs: 1, idleMs: 1, sessions: 1 }, labels: { env: 'prod' }, record: 'balanced', retainMs: 1, sessionMaxMs: 0, origin: 'file',
}
const session = { id: 's', database: 'd', client: 'c', startedAtMs: 0 }
const OPERATIONS = ['sql', 'sql.select', 'sql.delete', 'sql.drop', 'sql.drop.table', 'sql.show', 'read', 'write', 'admin', 'session']
const operations = fc.uniqueArray(fc.constantFrom(...OPERATIONS), { minLength: 1, maxLength: 3 })
const when = fc.constantFrom(undefined, 'statement.bounded', '!statement.bounded', 'statement.objects.exists(o, o == "public.a")', 'statement.text.contains("x")', 'resource.labels.missing == "x"', 'session.id == "s"')
const fields = fc.uniqueArray(fc.constantFrom('*.ssn', 'public.a.*', 'a.ssn', 'public.a.email', '*.e*l', '*.*'), { minLength: 1, maxLength: 2 })
const clean = (value: object) => Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined))
const named = <T extends object>(rules: readonly T[]) => rules.map((rule, index) => ({ name: `r${index}`, ...clean(rule) }))
const deny = fc.array(fc.record({ operations, when, fields: fc.option(fields, { nil: undefined }), rows: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }) }), { maxLength: 3 }).map(named)
const review = fc.array(fc.record({ operations, when, rows: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }), reviewers: fc.constantFrom({ groups: ['x'] }, { groups: ['x', 'y'] }, { groups: ['y'] }) }), { maxLength: 3 }).map(named)
const mask = fc.array(fc.record({ fields, with: fc.constantFrom(...MASK_ORDER), lookups: fc.constantFrom(undefined, '10/1m', '1/1m') }).map(clean), { maxLength: 3 })
const allow = fc.array(fc.oneof(fc.constantFrom(...OPERATIONS), fc.record({ operations, when }).map(clean)), { maxLength: 3 })
const who = fc.constantFrom({ any: true }, { groups: ['a'] }, { groups: ['b'] })
const policy = fc.record({ who, on: fc.constantFrom({}, { labels: { env: 'prod' } }, { labels: { env: 'test' } }), allow, deny, review, mask })
const policies = fc.array(policy, { minLength: 1, maxLength: 3 })
const effect = fc.record({
  operation: fc.constantFrom('sql.select', 'sql.delete', 'sql.drop.table', 'sql.show'), access: fc.constantFrom('session', 'read', 'write', 'admin', 'unknown'),
  objects: fc.constantFrom('unknown' as const, [], ['public.a'], ['public.b']), columns: fc.constantFrom([], ['public.a.ssn'], ['public.a.email', 'public.b.x']), bounded: fc.boolean(),
})
const statement = fc.record({ text: fc.constantFrom('x', 'y'), effects: fc.array(effect, { maxLength: 3 }), exempt: fc.boolean(), single: fc.constant(false) }).map(value => ({ ...value, shown: value.text, masking: null, rowsMax: Infinity, guarded: false }) as Statement)
const grant = (list: readonly object[]) => compilePolicies(parsePolicies(list.map((one, index) => ({ name: `p${index}`, ...one })))).grant(identity, resource)
/** How much a judgement lets through, and how soon it stops. */
const strength = (judgement: Judgement) => ({ deny: 0, review: 1, allow: 2 })[judgement.kind]
const rows = (judgement: Judgement) => judgement.kind === 'deny' ? 0 : Math.min(Infinity, ...judgement.limits.map(limit => limit.rows))
const COLUMNS = [['public', 'a', 'ssn'], ['public', 'a', 'email'], ['public', 'b', 'x'], ['s', 'a', 'ssn']] as const
const rank = (kind: (typeof MASK_ORDER)[number] | undefined) => kind === undefined ? MASK_ORDER.length : MASK_ORDER.indexOf(kind)
const RUNS = { numRuns: 400 }

test('adding a policy that observes changes no verdict, no mask and no credential', () => {
  fc.assert(fc.property(policies, policy, statement, fc.nat(3), (list, extra, what, place) => {
    const with_ = [...list]
    // Names go by place, so the observer is named apart.
    const named = list.map((one, index) => ({ name: `p${index}`, ...one }))
    named.splice(place, 0, { ...extra, name: 'observer', mode: 'observe' } as (typeof named)[number])
    const before = grant(with_), after = grant(named)
    assert.deepEqual(after.judge(what, session), before.judge(what, session))
    assert.deepEqual([after.opens, after.needs, after.masks, after.maskKey, after.fields, after.budgets], [before.opens, before.needs, before.masks, before.maskKey, before.fields, before.budgets])
  }), RUNS)
})

test('adding rules that deny, ask, mask or limit never lets more through', () => {
  fc.assert(fc.property(policies, policy, statement, (list, extra, what) => {
    const before = grant(list), after = grant([...list, { ...extra, allow: [] }])
    const [a, b] = [before.judge(what, session), after.judge(what, session)]
    assert.ok(strength(b) <= strength(a), `${a.kind} became ${b.kind}`)
    assert.ok(rows(b) <= rows(a), 'a limit moved away')
    for (const [schema, table, column] of COLUMNS) {
      const [was, is] = [before.column(schema, table, column), after.column(schema, table, column)]
      assert.ok(rank(is?.with) <= rank(was?.with), 'a mask became weaker')
      if (was !== null && was.lookups === null) assert.equal(is?.lookups ?? null, null, 'look-ups appeared')
      if (before.forbidden(schema, table, column) !== null) assert.notEqual(after.forbidden(schema, table, column), null)
    }
  }), RUNS)
})

test('the order of policies and of effects changes no verdict', () => {
  fc.assert(fc.property(policies, statement, (list, what) => {
    const turned = list.map((one, index) => ({ name: `p${index}`, ...one })).reverse()
    assert.equal(grant(turned).judge(what, session).kind, grant(list).judge(what, session).kind)
    assert.equal(grant(list).judge({ ...what, effects: [...what.effects].reverse() }, session).kind, grant(list).judge(what, session).kind)
  }), RUNS)
})

test('what may be kept is the same for another text and another session', () => {
  fc.assert(fc.property(policies, statement, (list, what) => {
    const one = grant(list).judge(what, session)
    if (one.cacheable) assert.deepEqual(grant(list).judge({ ...what, text: `${what.text} y x` }, { id: 'other', database: 'e', client: 'f', startedAtMs: 9 }), one)
  }), RUNS)
})

test('an unknown effect is never allowed, and without an allow nothing is', () => {
  fc.assert(fc.property(policies, statement, (list, what) => {
    if (what.effects.some(one => one.access === 'unknown')) assert.equal(grant(list).judge(what, session).kind, 'deny')
    assert.equal(grant(list.map(one => ({ ...one, allow: [] }))).judge(what, session).kind, 'deny')
  }), RUNS)
})
