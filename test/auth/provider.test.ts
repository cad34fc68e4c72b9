// Tokens of a real OIDC provider, from discovery to identity, with its keys rotated underneath.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { test } from 'node:test'
import { exportJWK, type JWK } from 'jose'
import Provider from 'oidc-provider'
import type { Issuer } from '../../src/auth/issuer.ts'
import { KeyCache } from '../../src/auth/key-cache.ts'
import { FETCH_INTERVAL_MS, KeyFetcher } from '../../src/auth/keys.ts'
import { TokenVerifier } from '../../src/auth/oidc.ts'

const AUDIENCE = 'https://sluice.example'
async function makeKey(kid: string, alg: 'RS256' | 'ES256'): Promise<JWK> {
  const { privateKey } = alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...await exportJWK(privateKey), kid, alg, use: 'sig' }
}
function provide(issuer: string, keys: readonly JWK[], alg: string) {
  return new Provider(issuer, {
    jwks: { keys: [...keys] },
    clients: [{ client_id: 'ci', client_secret: 'ci-secret-of-the-test', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    features: {
      devInteractions: { enabled: false }, clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true, defaultResource: () => AUDIENCE, useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope: 'access', audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg } } }),
      },
    },
    extraTokenClaims: () => ({ groups: ['deploy'] }),
  } as unknown as ConstructorParameters<typeof Provider>[1])
}

test('a machine\'s access token is an identity; keys that come and go are followed', async () => {
  const server: Server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const old = await makeKey('old', 'RS256'), young = await makeKey('young', 'ES256')
  const run = (keys: readonly JWK[], alg: string) => {
    server.removeAllListeners('request')
    const provider = provide(url, keys, alg)
    const handle = provider.callback()
    server.on('request', (request, answer) => { void handle(request, answer) })
  }
  const token = async () => {
    const answer = await fetch(`${url}/token`, { method: 'POST', headers: { authorization: `Basic ${btoa('ci:ci-secret-of-the-test')}` }, body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'access', resource: AUDIENCE }) })
    const body = await answer.json() as { access_token?: string; error_description?: string }
    assert.ok(body.access_token !== undefined, JSON.stringify(body))
    return body.access_token
  }
  try {
    let now = 0
    const issuer: Issuer = { name: 'corp', issuer: url, audience: [AUDIENCE], subject: 'sub', groups: 'groups', agent: { claim: 'client_id', values: ['robot'], subject: null, onBehalfOf: null } }
    const fetcher = new KeyFetcher({ monotonicMs: () => now })
    const verifier = new TokenVerifier(() => [issuer], new KeyCache((_name, { refresh }) => fetcher.keys(url, refresh), () => now))
    run([old], 'RS256')
    const first = await token()
    const identity = await verifier.verify(first, Date.now())
    assert.deepEqual([identity.subject, identity.issuer, identity.groups, identity.agent], ['ci', 'corp', ['deploy'], false])
    assert.ok(identity.tokenId !== null && Math.abs(identity.expiresAtMs - Date.now() - 600_000) < 5_000)
    run([young, old], 'ES256')
    const second = await token()
    await assert.rejects(verifier.verify(second, Date.now()), /does not publish/)
    now += FETCH_INTERVAL_MS
    assert.equal((await verifier.verify(second, Date.now())).subject, 'ci')
    assert.equal((await verifier.verify(first, Date.now())).subject, 'ci')
    run([young], 'ES256')
    now += 3_600_000
    await assert.rejects(verifier.verify(first, Date.now()), /does not publish/)
    assert.equal((await verifier.verify(second, Date.now())).subject, 'ci')
    await assert.rejects(verifier.verify(second, Date.now() + 661_000), /expired/)
  } finally { server.closeAllConnections(); server.close() }
})
