// An identity provider whose tokens live as short as a test wants, and are refreshed: discovery, keys, and the refresh grant.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'

export interface RefreshingIssuer { readonly url: string; ttlSeconds: number; groups: string[]; /** False: every question gets no answer but an error. */ answers: boolean; readonly refreshed: () => number; readonly keysAsked: () => number; token(subject: string): Promise<string>; stop(): void }

export async function startRefreshing(): Promise<RefreshingIssuer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  let [refreshed, keysAsked] = [0, 0]
  const server = createServer((request, answer) => {
    if (request.url === '/jwks' || request.url === '/.well-known/openid-configuration') keysAsked += request.url === '/jwks' || !issuer.answers ? 1 : 0
    if (!issuer.answers) return answer.writeHead(503).end()
    const json = (value: unknown) => answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (request.url === '/.well-known/openid-configuration') return json({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, token_endpoint: `${issuer.url}/token`, authorization_endpoint: `${issuer.url}/auth`, response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['ES256'] })
    if (request.url === '/jwks') return json({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }] })
    let body = ''
    request.on('data', (part) => { body += part })
    request.on('end', () => {
      const subject = new URLSearchParams(body).get('refresh_token') ?? ''
      refreshed++
      void issuer.token(subject).then((token) => json({ access_token: 'none', token_type: 'Bearer', id_token: token, refresh_token: subject, expires_in: issuer.ttlSeconds }))
    })
    return undefined
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const issuer: RefreshingIssuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ttlSeconds: 3, groups: ['agents'], answers: true, keysAsked: () => keysAsked, refreshed: () => refreshed,
    token: (subject) => new SignJWT({ email: subject, email_verified: true, groups: issuer.groups, jti: randomUUID() }).setProtectedHeader({ alg: 'ES256', kid: 'k' }).setIssuer(issuer.url).setSubject(subject).setAudience('sluice').setIssuedAt().setExpirationTime(`${issuer.ttlSeconds}s`).sign(privateKey),
    stop: () => { server.close(); server.closeAllConnections() },
  }
  return issuer
}
