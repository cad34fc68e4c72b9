import assert from 'node:assert/strict'
import { createHmac, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { Issuer } from './issuer.ts'
import { parseKeySet } from './key-set.ts'
import type { KeySet } from './key-set.ts'
import { TokenVerifier, verifyToken } from './oidc.ts'

const NOW = 1_800_000_000
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }), attacker = generateKeyPairSync('rsa', { modulusLength: 2048 })
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }), ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }), ed = generateKeyPairSync('ed25519')
const published = (key: KeyObject, kid: string, alg?: string) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig', ...(alg === undefined ? {} : { alg }) })
const document = { keys: [published(rsa.publicKey, 'rsa', 'RS256'), published(ec.publicKey, 'ec', 'ES256'), published(ed.publicKey, 'ed', 'EdDSA'), published(weak.publicKey, 'weak', 'RS256'), { kty: 'oct', k: 'c2VjcmV0', kid: 'oct', alg: 'HS256' }] }
const keySet: KeySet = { keys: parseKeySet(document)!, freshForMs: 30_000 }
const idp: Issuer = { name: 'idp', issuer: 'https://idp.local', audience: ['gateway'], subject: 'sub', groups: 'groups', agent: null }
const mail: Issuer = { ...idp, name: 'mail', issuer: 'https://idp.local/mail', subject: 'email' }
const robots: Issuer = { ...idp, name: 'robots', issuer: 'https://robots.local', agent: { claim: 'client_id', values: ['robot'], subject: 'client_id', onBehalfOf: 'sub' } }
const nested: Issuer = { ...idp, name: 'nested', issuer: 'https://nested.local', groups: 'realm_access.roles' }
const issuers = [idp, mail, robots, nested]
const source = { asked: 0, keys: async (_issuer: Issuer, refresh: boolean) => { if (refresh) source.asked++; return keySet } }

type Json = Record<string, unknown>
const good = { iss: 'https://idp.local', aud: 'gateway', sub: 'u-alice', groups: ['dev'], iat: NOW - 10, nbf: NOW - 10, exp: NOW + 300, jti: 'one' }
const b64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')
const signRsa = (key: KeyObject) => (data: string) => sign('sha256', Buffer.from(data), key)
const signEc = (data: string) => sign('sha256', Buffer.from(data), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' })
function token(claims: Json | string, header: Json | string = {}, signer: (data: string) => Buffer = signRsa(rsa.privateKey)): string {
  const head = typeof header === 'string' ? header : JSON.stringify({ alg: 'RS256', kid: 'rsa', typ: 'JWT', ...header })
  const data = `${b64(head)}.${b64(typeof claims === 'string' ? claims : JSON.stringify({ ...good, ...claims }))}`
  return `${data}.${b64(signer(data))}`
}
const accept = (text: string): Promise<Identity> => verifyToken(text, issuers, source, NOW * 1000)
async function refuse(text: string, why = /./): Promise<void> {
  await assert.rejects(accept(text), (error: unknown) => {
    assert.ok(error instanceof NotAuthenticated, String(error))
    assert.match(error.message, why)
    for (const part of text.split('.')) if (part.length > 8) assert.ok(!error.message.includes(part))
    return true
  })
}

test('a good token of each kind of key is an identity', async () => {
  const identity = await accept(token({}))
  assert.deepEqual({ ...identity, credentialHash: identity.credentialHash.length }, { subject: 'u-alice', issuer: 'idp', groups: ['dev'], agent: false, onBehalfOf: null, credentialHash: 64, tokenId: 'one', expiresAtMs: (NOW + 300) * 1000 })
  await accept(token({}, { alg: 'ES256', kid: 'ec' }, signEc))
  await accept(token({}, { alg: 'EdDSA', kid: 'ed' }, data => sign(null, Buffer.from(data), ed.privateKey)))
  await accept(token({}, { typ: 'at+jwt' }))
  await accept(token({}, { typ: undefined }))
  await accept(token({ aud: ['other', 'gateway'] }))
})
test('an algorithm that is absent, none, symmetric or not the key\'s own is refused', async () => {
  const none = () => Buffer.alloc(0)
  for (const alg of [undefined, 'none', 'None', 'NONE', '', 'HS256', 'RS1', 'PS256', 'RS384', 7, null, ['RS256'], 'rs256', 'RS256 ']) await refuse(token({}, { alg }))
  for (const alg of ['none', 'RS256']) await refuse(token({}, { alg }, none))
  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' }), jwk = JSON.stringify(document.keys[0])
  for (const secret of [pem as string, jwk, '', 'secret']) {
    await refuse(token({}, { alg: 'HS256' }, data => createHmac('sha256', secret).update(data).digest()))
    await refuse(token({}, { alg: 'RS256' }, data => createHmac('sha256', secret).update(data).digest()))
    await refuse(token({}, { alg: 'HS256', kid: 'oct' }, data => createHmac('sha256', secret).update(data).digest()))
  }
  await refuse(token({}, { alg: 'ES256', kid: 'rsa' }, signEc))
  await refuse(token({}, { alg: 'ES256', kid: 'ec' }, () => Buffer.alloc(64)), /signature/)
})
test('keys that the token itself brings along, or that are weak or unknown, are no keys', async () => {
  for (const header of [{ jku: 'http://127.0.0.1:9/jwks' }, { x5u: 'http://127.0.0.1:9/x' }, { jwk: published(attacker.publicKey, 'rsa') }, { x5c: ['AAAA'] }]) {
    await refuse(token({}, header, signRsa(attacker.privateKey)), /signature/)
    await refuse(token({}, { ...header, kid: 'mine' }, signRsa(attacker.privateKey)), /does not publish/)
  }
  await refuse(token({}, { kid: 'weak' }, signRsa(weak.privateKey)), /does not publish/)
  await refuse(token({}, { kid: '../../../../dev/null' }))
  await refuse(token({}, { kid: "' OR 1=1 --" }))
  await refuse(token({}, { kid: ['rsa'] }))
  await refuse(token({}, { kid: 'x'.repeat(10_000) }))
  assert.equal((await accept(token({}, { kid: undefined }))).subject, 'u-alice')
})
test('a header that changes what is signed or how it is read is refused', async () => {
  for (const header of [{ crit: ['exp'] }, { crit: [] }, { b64: false, crit: ['b64'] }, { zip: 'DEF' }, { cty: 'JWT' }, { enc: 'A256GCM' }]) await refuse(token({}, header))
  await refuse(token({}, `{"alg":"RS256","kid":"rsa","typ":"JWT", "alg": "none"}`), /header/)
  await refuse(token({}, `{"alg":"RS256","kid":"rsa","\\u0061lg":"none"}`), /header/)
  await refuse(token({}, `{"alg":"RS256","kid":"rsa","alg"          :"none"}`), /header/)
  const zipped = `${b64(JSON.stringify({ alg: 'RS256', kid: 'rsa', zip: 'DEF' }))}.${b64(deflateRawSync(Buffer.alloc(1_000_000, 'x')))}`
  await refuse(`${zipped}.${b64(signRsa(rsa.privateKey)(zipped))}`)
  await refuse([1, 2, 3, 4, 5].map(() => b64(randomBytes(24))).join('.'), /JWE/)
  await refuse(`${b64('{"alg":"none","cty":"JWT"}')}.${b64(token({}))}.`)
  for (const typ of ['logout+jwt', 'secevent+jwt', 'dpop+jwt', 'kb+jwt', 'JOSE', '', 7, null, 'JWT ']) await refuse(token({}, { typ }))
})
test('bytes have one writing: damage, padding, spaces and other alphabets are refused', async () => {
  const text = token({}), [head, body, signature] = text.split('.') as [string, string, string]
  const last = signature.at(-1)!, other = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = other[other.indexOf(last) | 1]!
  for (const bad of [`${head}.${body}.`, `${head}.${body}`, `.${body}.${signature}`, `${text}==`, `${text}\n`, ` ${text}`, `${head}.${body}.${signature.slice(0, 40)}\n${signature.slice(40)}`, `${head}.${body}.${signature.slice(0, -1)}${twin}`,
    `${text}A`, `${text}.`, `${head}.${body}.${signature.slice(0, -4)}`, 'a.b.c', '..', '', 'secret', `${head}.${body}.${'A'.repeat(100_000)}`]) if (bad !== text) await refuse(bad)
  const bits = Buffer.from(signature, 'base64url')
  for (const at of [0, 9, 128, 255]) { const flipped = Buffer.from(bits); flipped[at]! ^= 1; await refuse(`${head}.${body}.${b64(flipped)}`, /signature/) }
})
test('issuer and audience are compared exactly', async () => {
  for (const iss of ['https://idp.local/', 'HTTPS://IDP.LOCAL', 'https://idp.local/tenant2', ['https://idp.local'], undefined, null, 'https://idp.local.evil', ' https://idp.local']) await refuse(token({ iss }), /iss/)
  for (const aud of ['other', 'Gateway', 'gateway ', 'gateway,other', ['other'], [], {}, { gateway: true }, undefined, null, [['gateway']], ['gateway', 7], '']) await refuse(token({ aud }), /aud/)
  await refuse(token({ iss: '__proto__' }))
})
test('times are numbers, within 60 s of the clock', async () => {
  await refuse(token({ exp: NOW - 61 }), /expired/)
  await refuse(token({ exp: NOW - 60 }), /expired/)
  assert.equal((await accept(token({ exp: NOW - 10 }))).expiresAtMs, (NOW - 10) * 1000)
  for (const exp of [undefined, '9e99', -1, '99999999999', null, 1e300, [NOW + 300], true]) await refuse(token({ exp }))
  await refuse(token(JSON.stringify(good).replace(/"exp":\d+/, '"exp":1e400')))
  await refuse(token(JSON.stringify(good).replace(/"exp":\d+/, `"exp":${NOW - 100},"exp":${NOW + 300}`)), /claims/)
  await refuse(token({ nbf: NOW + 61 }), /not valid yet/)
  await refuse(token({ iat: NOW + 3600 }), /not valid yet/)
  await refuse(token({ nbf: 'now' }))
  await accept(token({ nbf: NOW + 50, iat: undefined }))
})
test('a subject is a readable name', async () => {
  for (const sub of ['', undefined, null, 'x'.repeat(257), 'x'.repeat(2 ** 20), 'u-alice\0', 'u\nalice', ['u-alice'], 7, ' u-alice', 'u-alice ', 'u\u200balice', 'u\u202ealice', '\ud800']) await refuse(token({ sub }))
  assert.equal((await accept(token({ sub: 'Zoë Müller 李' }))).subject, 'Zoë Müller 李')
})
test('an e-mail address counts only when the issuer has verified it', async () => {
  const of = (claims: Json) => token({ iss: 'https://idp.local/mail', email: 'ana@corp.example', ...claims })
  for (const email_verified of [false, undefined, null, 'true', 1]) await refuse(of({ email_verified }), /verified/)
  assert.equal((await accept(of({ email_verified: true }))).subject, 'ana@corp.example')
  await refuse(of({ email_verified: true, email: undefined }))
})
test('groups are an exact list; overage and other shapes are refused', async () => {
  for (const groups of ['dev', 'dev,admin', {}, { dev: true }, [['dev']], ['dev', 7], [null], [''], ['dev\0'], [' dev'], null, 7, Array.from({ length: 1001 }, (_, i) => `g${i}`)]) await refuse(token({ groups }), /groups/)
  await refuse(token({ groups: undefined, _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'http://127.0.0.1:9/' } } }), /too many/)
  await refuse(token({ groups: undefined, hasgroups: true }), /too many/)
  assert.deepEqual((await accept(token({ groups: undefined }))).groups, [])
  assert.deepEqual((await accept(token({ groups: ['dev', 'dev', 'DEV'] }))).groups, ['dev', 'DEV'])
  assert.deepEqual((await accept(token({ iss: 'https://nested.local', realm_access: { roles: ['ops'] } }))).groups, ['ops'])
  assert.deepEqual((await accept(token({ preferred_username: 'admin', name: 'admin' }))).groups, ['dev'])
})
test('an agent is told from a person, and on whose behalf it acts', async () => {
  const acting = await accept(token({ act: { sub: 'robot-1' } }))
  assert.deepEqual([acting.subject, acting.agent, acting.onBehalfOf], ['robot-1', true, 'u-alice'])
  for (const act of [null, 'robot', {}, { sub: '' }, [], { sub: ['a'] }]) await refuse(token({ act }))
  const configured = await accept(token({ iss: 'https://robots.local', client_id: 'robot' }))
  assert.deepEqual([configured.subject, configured.agent, configured.onBehalfOf], ['robot', true, 'u-alice'])
  const person = await accept(token({ iss: 'https://robots.local', client_id: 'web' }))
  assert.deepEqual([person.subject, person.agent, person.onBehalfOf], ['u-alice', false, null])
})
test('what was signed for something else is no credential', async () => {
  for (const claims of [{ events: {} }, { typ: 'Refresh' }, { typ: 'Logout' }, { typ: 7 }, { cnf: { jkt: 'x' } }, { jti: 7 }, { jti: 'x'.repeat(500) }]) await refuse(token(claims))
})
test('claims of any depth or number cost little and are refused', async () => {
  const started = process.cpuUsage()
  await refuse(token(JSON.stringify({ ...good, x: 1 }).replace('"x":1', `"x":${'['.repeat(8000)}${']'.repeat(8000)}`)))
  await refuse(token({ x: Array.from({ length: 5_000 }, () => 1) }))
  await refuse(token({ x: 'y'.repeat(2 ** 20) }), /longer/)
  await refuse(token('[]'))
  await refuse(token('null'))
  await refuse(token(`\ufeff${JSON.stringify(good)}`))
  await refuse(token('{"iss":"https://idp.local","__proto__":{"sub":"x","exp":9999999999,"aud":"gateway"}}'))
  assert.ok(process.cpuUsage(started).user < 2_000_000)
})
test('a verified token is remembered until its keys change or it expires', async () => {
  let set = keySet, asked = 0
  const verifier = new TokenVerifier(() => issuers, { keys: async () => { asked++; return set } })
  const text = token({})
  const first = await verifier.verify(text, NOW * 1000)
  assert.equal(await verifier.verify(text, NOW * 1000), first)
  assert.equal(asked, 2)
  await assert.rejects(verifier.verify(text, (NOW + 361) * 1000), /expired/)
  await verifier.verify(text, NOW * 1000)
  set = { keys: keySet.keys.filter(key => key.kid !== 'rsa'), freshForMs: 30_000 }
  await assert.rejects(verifier.verify(text, NOW * 1000), /does not publish/)
})
test('keys that can\'t verify safely are left out of a key set', () => {
  assert.deepEqual(keySet.keys.map(key => key.kid), ['rsa', 'ec', 'ed'])
  const jwk = published(rsa.publicKey, 'x')
  for (const change of [{ e: 'AQ' }, { e: 'Ag' }, { use: 'enc' }, { key_ops: ['sign'] }, { alg: 'HS256' }, { alg: 'none' }, { kid: 7 }, { n: '' }]) assert.deepEqual(parseKeySet({ keys: [{ ...jwk, ...change }] }), [])
  const leaked = parseKeySet({ keys: [createPrivateKey(rsa.privateKey.export({ format: 'pem', type: 'pkcs8' })).export({ format: 'jwk' })] })
  assert.deepEqual(Object.keys(leaked![0]!.jwk), ['kty', 'n', 'e'])
  assert.equal(parseKeySet({}), null)
})
