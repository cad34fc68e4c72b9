// What one admin may change alone: only what lets nothing through that was refused before. Whatever is in doubt loosens.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loosens } from './loosening.ts'
import { parsePolicies, type PolicyRules } from './policy-rules.ts'

const policy = (rules: string): PolicyRules => parsePolicies(`- { name: p, who: { groups: [g] }, on: { resources: [orders] }, ${rules} }`)[0]!
const MASK = 'mask: [{ fields: ["*.ssn"], with: redact }]'
const DENY = 'deny: [{ name: d, operations: [sql.drop] }]'

test('rules that refuse, hold, hide or count may be added, and what is allowed taken away, by one', () => {
  for (const [before, after] of [
    [null, DENY], [null, MASK], [null, 'budget: [{ rows: 5, per: 1h }]'], [null, `mode: observe, allow: [read, admin]`],
    ['allow: [read, write]', 'allow: [read]'], ['allow: [read]', `allow: [read], ${DENY}`], [`allow: [read], ${DENY}`, `allow: [read], ${DENY}, ${MASK}`],
    ['allow: [read]', 'allow: []'], ['allow: [read, admin]', null], ['mode: observe, allow: [read]', null], ['mode: observe, allow: [read]', DENY], ['allow: [read]', 'allow: [read]'],
  ] as const) assert.equal(loosens(before === null ? null : policy(before), after === null ? null : policy(after)), null, `${before} → ${after}`)
})

test('all else needs a second person', () => {
  for (const [before, after] of [
    [null, 'allow: [session]'], [null, 'shell: free'], [null, 'commands: [[uptime]]'], [DENY, null], [MASK, null], [`allow: [read], ${MASK}`, 'mode: observe, allow: [read]'],
    ['allow: [read]', 'allow: [read, write]'], ['allow: [{ operations: [write], when: "statement.bounded" }]', 'allow: [write]'],
    [`allow: [read], ${DENY}`, 'allow: [read]'], [MASK, 'mask: [{ fields: ["*.ssn"], with: partial }]'], [MASK, 'mask: [{ fields: ["*.ssn"], with: redact, lookups: 100/1m }]'],
    ['review: [{ name: r, rows: 10, reviewers: { groups: [leads] } }]', 'review: [{ name: r, rows: 11, reviewers: { groups: [leads] } }]'],
    ['review: [{ name: r, rows: 10, reviewers: { groups: [leads] } }]', 'review: [{ name: r, rows: 10, reviewers: { groups: [leads, all] } }]'],
    ['budget: [{ rows: 5, per: 1h }]', 'budget: [{ rows: 5, per: 1m }]'], ['mode: observe, allow: [read]', 'allow: [read]'],
  ] as const) assert.notEqual(loosens(before === null ? null : policy(before), after === null ? null : policy(after)), null, `${before} → ${after}`)
  const elsewhere = parsePolicies(`- { name: p, who: { groups: [g] }, on: { resources: [other] }, ${DENY} }`)[0]!
  assert.notEqual(loosens(policy(DENY), elsewhere), null, 'what it refused elsewhere is free there')
  assert.notEqual(loosens(elsewhere, policy(DENY)), null)
})

test('there and back, one of the two ways needs a second person, unless nothing changed', () => {
  const parts = ['allow: [read]', 'allow: [read, write]', 'allow: []', DENY, MASK, `allow: [read], ${DENY}`, `allow: [write], ${MASK}`, 'mode: observe, allow: [read]'].map(policy)
  fc.assert(fc.property(fc.constantFrom(null, ...parts), fc.constantFrom(null, ...parts), (one, other) => {
    const idle = (p: PolicyRules | null) => p === null || p.mode === 'observe' || (p.allow.length + p.deny.length + p.mask.length === 0)
    return one === other || (idle(one) && idle(other)) || loosens(one, other) !== null || loosens(other, one) !== null
  }), { numRuns: 300 })
})
