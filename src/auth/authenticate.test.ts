import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { Authenticator, opens, type AuthenticatorPorts, type StoredToken } from './authenticate.ts'
import { BREAK_GLASS_SESSION_MS, hashSecret } from './break-glass.ts'

const NOW = 1_800_000_000_000
const TOKEN = `slc_${'a'.repeat(43)}`
const ana: Identity = { subject: 'ana', issuer: 'idp', groups: ['dev'], agent: false, onBehalfOf: null, credentialHash: 'h', tokenId: null, expiresAtMs: NOW + 1_000 }
const stored: StoredToken = { identity: ana, boundTo: 'orders', kind: 'resource', id: '1' }
const hash = await hashSecret('correct horse')
function door(change: Partial<AuthenticatorPorts> = {}) {
  const looked: string[] = [], loud: string[] = []
  const ports: AuthenticatorPorts = {
    issuers: () => [], keys: { keys: () => Promise.reject(new Error('unasked')) }, breakGlass: () => [{ name: 'root', groups: ['dba'], hash }],
    findToken: (found) => { looked.push(found); return Promise.resolve(found === createHash('sha256').update(TOKEN).digest('hex') ? stored : null) },
    revoked: () => false, loud: (identity, kind) => { loud.push(`${kind} ${identity.subject}`) }, nowMs: () => NOW, ...change,
  }
  return { looked, loud, authenticator: new Authenticator(ports) }
}

test('a Sluice token is looked up by its hash, and is in force until its own end', async () => {
  const { authenticator, looked, loud } = door()
  assert.deepEqual(await authenticator.authenticate(TOKEN), { identity: ana, boundTo: 'orders', kind: 'resource' })
  assert.deepEqual([looked[0]?.length, loud.length], [64, 0])
  await assert.rejects(door({ nowMs: () => NOW + 1_000 }).authenticator.authenticate(TOKEN), NotAuthenticated)
})
test('what can be no token of ours is not even looked up', async () => {
  const { authenticator, looked } = door()
  for (const secret of ['slc_', 'slc_short', `slc_${'a'.repeat(61)}`, `${TOKEN}\n`, `${TOKEN} `, `slc_${'ä'.repeat(43)}`, '', 'password', 'a.b.c', `SLC_${'a'.repeat(43)}`]) await assert.rejects(authenticator.authenticate(secret), NotAuthenticated, secret)
  assert.equal(looked.length, 0)
  await assert.rejects(authenticator.authenticate(`slc_${'b'.repeat(43)}`), /not valid/)
})
test('a revoked identity is refused however good its credential, and an answer that fails is no answer', async () => {
  await assert.rejects(door({ revoked: identity => identity.subject === 'ana' }).authenticator.authenticate(TOKEN), /revoked/)
  await assert.rejects(door({ revoked: () => Promise.resolve(true) }).authenticator.authenticate(TOKEN), /revoked/)
  await assert.rejects(door({ revoked: () => Promise.reject(new Error('down')) }).authenticator.authenticate(TOKEN), /down/)
})
test('a break-glass account opens with its secret alone, aloud, for an hour', async () => {
  const { authenticator, loud } = door()
  const { identity, kind } = await authenticator.authenticate('break-glass:root:correct horse')
  assert.deepEqual([identity.subject, identity.issuer, identity.groups, identity.expiresAtMs, kind], ['root', 'sluice', ['dba'], NOW + BREAK_GLASS_SESSION_MS, 'break-glass'])
  assert.deepEqual(loud, ['break-glass root'])
  for (const secret of ['break-glass:root:wrong', 'break-glass:other:correct horse', 'break-glass:root:', 'break-glass::x', 'break-glass:root', `break-glass:root:${'x'.repeat(2_000)}`]) await assert.rejects(authenticator.authenticate(secret), /wrong/)
  assert.equal(loud.length, 1)
  await assert.rejects(door({ loud: () => Promise.reject(new Error('unrecorded')) }).authenticator.authenticate('break-glass:root:correct horse'), /unrecorded/)
})
test('guesses at break-glass accounts wait in a short line', async () => {
  const { authenticator } = door()
  const answers = await Promise.allSettled(Array.from({ length: 20 }, () => authenticator.authenticate('break-glass:root:guess')))
  assert.equal(answers.filter(answer => answer.status === 'rejected' && /too many/.test(String(answer.reason))).length, 12)
})
test('a token opens the one resource it was made for; a cookie opens none', () => {
  assert.deepEqual([opens({ kind: 'resource', boundTo: 'orders' }, 'orders'), opens({ kind: 'resource', boundTo: 'orders' }, 'other'), opens({ kind: 'resource', boundTo: null }, 'orders')], [true, false, false])
  assert.deepEqual([opens({ kind: 'web', boundTo: null }, 'orders'), opens({ kind: 'oidc', boundTo: null }, 'orders'), opens({ kind: 'emergency', boundTo: null }, 'orders')], [false, true, true])
})
