// A real OIDC provider on loopback with people in groups, and the door that judges its tokens.
import { createServer, type RequestListener } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { NotAuthenticated } from '../../src/core/errors.ts'
import type { Identity } from '../../src/core/identity.ts'
import { hashOf } from '../../src/store/tokens.ts'
import { freePort } from '../servers/postgres.ts'

/** It brings no types. */
const { Provider } = (await import('oidc-provider' as string)) as { Provider: new (issuer: string, configuration: object) => { callback(): RequestListener } }

export interface TestProvider {
  readonly issuer: string
  /** Changed at will: the next token says so. */
  readonly groups: Map<string, string[]>
  authenticate(token: string): Promise<Identity>
  stop(): void
}

export async function startProvider(client: { id: string; redirect: string }): Promise<TestProvider> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const groups = new Map<string, string[]>()
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        redirect_uris: [client.redirect],
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false,
    findAccount: (_context: unknown, sub: string) => ({ accountId: sub, claims: () => ({ sub, groups: groups.get(sub) ?? [] }) }),
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['only for this test'] },
  })
  const server = createServer(provider.callback())
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  return {
    issuer,
    groups,
    async authenticate(token) {
      const { payload } = await jwtVerify(token, keys, { issuer, audience: client.id }).catch((error: unknown) => {
        throw new NotAuthenticated('the token is not valid', error)
      })
      return {
        subject: payload.sub!,
        issuer: 'corp',
        groups: payload.groups as string[],
        agent: false,
        onBehalfOf: null,
        credentialHash: hashOf(token),
        tokenId: payload.jti ?? null,
        expiresAtMs: payload.exp! * 1_000,
      }
    },
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}
