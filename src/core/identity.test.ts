// Groups that the configuration gives: to that person of that issuer, beside those of the token, and to no agent.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Identity, withDeclared } from './identity.ts'

const ana: Identity = { subject: 'ana@corp', issuer: 'corp', groups: ['support'], agent: false, onBehalfOf: null, credentialHash: '', tokenId: null, expiresAtMs: 0 }
const people = [{ subject: 'ana@corp', issuer: 'corp', groups: ['dba', 'support'] }]

test('a person has the groups of the token and those of the configuration, each once', () => {
  assert.deepEqual(withDeclared(ana, people).groups, ['support', 'dba'])
  assert.equal(withDeclared({ ...ana, subject: 'ben@corp' }, people).groups.length, 1)
})

test('the same subject of another issuer, and an agent, get none', () => {
  assert.deepEqual(withDeclared({ ...ana, issuer: 'other' }, people).groups, ['support'])
  assert.deepEqual(withDeclared({ ...ana, issuer: 'sluice' }, people).groups, ['support'])
  assert.deepEqual(withDeclared({ ...ana, agent: true }, people).groups, ['support'])
  assert.deepEqual(withDeclared({ ...ana, agent: true, subject: 'bot', onBehalfOf: 'ana@corp' }, people).groups, ['support'])
})
