// Sign-in of the page: OIDC authorization code with PKCE, state and nonce against a configured issuer. What comes back is judged
// by the same door as every other token; the page gets a cookie of Sluice's own, and never sees the provider's token.
import { z } from '@hono/zod-openapi'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import * as oidc from 'openid-client'
import { NotAuthenticated } from '../core/errors.ts'
import { partyOf } from '../store/review_rows.ts'
import { seal, type SealKey, unseal } from '../store/seal.ts'
import { type ApiContext, cookieName, isSecure } from './access.ts'
import { act } from './act.ts'
import type { ApiPorts, WebIssuer } from './ports.ts'
import { type Api, json, other, route } from './route.ts'
import { doneSchema } from './schema.ts'

const ATTEMPT_MAX_MS = 600_000
export const WEB_SESSION_MAX_MS = 8 * 3_600_000
const DISCOVERY_FRESH_MS = 600_000
const DISCOVERY_RETRY_MS = 5_000
const PROVIDER_TIMEOUT_SECONDS = 10
const NEXT_PATTERN = /^\/(?:reviews\/[A-Za-z0-9_-]{1,64})?$/

/** What the browser carries to the provider and back, sealed. */
interface Attempt {
  readonly issuer: string
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly next: string
  readonly redirect: string
  readonly untilMs: number
}

export function login(api: Api, cookieKey: SealKey): void {
  const { ports } = api
  const discover = discovery()
  const attemptCookie = (c: ApiContext) => cookieName(isSecure(c), 'login')
  const options = (c: ApiContext, maxAge: number) => ({ httpOnly: true, sameSite: 'Lax' as const, secure: isSecure(c), path: '/', maxAge })

  route(api, 'anyone', json({ method: 'get', path: '/login/issuers', summary: 'Where one may sign in' }, z.array(z.object({ name: z.string() }))), (c) =>
    c.json(
      ports.facts().issuers.map(({ name }) => ({ name })),
      200,
    ),
  )

  const query = z.object({ issuer: z.string().max(256).optional(), next: z.string().max(256).optional() })
  route(api, 'anyone', other({ method: 'get', path: '/login', request: { query }, summary: 'Goes to the provider' }, 'text/html'), async (c) => {
    const { publicUrl, issuers } = ports.facts()
    const own = publicUrl === null ? new URL(c.req.url).origin : new URL(publicUrl).origin
    // The cookie must be set on the origin that the provider sends the browser back to.
    if (new URL(own).host !== c.req.header('host')) return c.redirect(`${own}${c.req.path}${new URL(c.req.url).search}`)
    const { issuer: name, next = '/' } = c.req.valid('query')
    const issuer = issuers.find((one) => name === undefined || one.name === name)
    if (issuer === undefined) return c.redirect('/?login=unknown-issuer')
    try {
      const attempt: Attempt = {
        issuer: issuer.name,
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        verifier: oidc.randomPKCECodeVerifier(),
        next: NEXT_PATTERN.test(next) ? next : '/',
        redirect: `${own}/login/callback`,
        untilMs: ports.store.clock.nowMs() + ATTEMPT_MAX_MS,
      }
      const address = oidc.buildAuthorizationUrl(await discover(issuer), {
        redirect_uri: attempt.redirect,
        scope: issuer.scopes.join(' '),
        state: attempt.state,
        nonce: attempt.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(attempt.verifier),
        code_challenge_method: 'S256',
      })
      setCookie(
        c,
        attemptCookie(c),
        seal(cookieKey, 'login', Buffer.from(JSON.stringify(attempt))).bytes.toString('base64url'),
        options(c, ATTEMPT_MAX_MS / 1_000),
      )
      return c.redirect(address.href)
    } catch (error) {
      ports.failed(error)
      return c.redirect('/?login=provider-away')
    }
  })

  route(api, 'anyone', other({ method: 'get', path: '/login/callback', summary: 'The provider sends the browser back here' }, 'text/html'), async (c) => {
    const attempt = attemptOf(cookieKey, getCookie(c, attemptCookie(c)), ports.store.clock.nowMs())
    deleteCookie(c, attemptCookie(c), options(c, 0))
    const issuer = ports.facts().issuers.find(({ name }) => name === attempt?.issuer)
    if (attempt === null || issuer === undefined) return c.redirect('/?login=too-late')
    try {
      const cookie = await signIn(ports, attempt, issuer, await discover(issuer), new URL(c.req.url).search)
      setCookie(
        c,
        cookieName(isSecure(c), 'session'),
        cookie.secret,
        options(c, Math.max(1, Math.floor((cookie.expiresAtMs - ports.store.clock.nowMs()) / 1_000))),
      )
      return c.redirect(attempt.next)
    } catch (error) {
      if (!(error instanceof NotAuthenticated)) ports.failed(error)
      return c.redirect('/?login=refused')
    }
  })

  route(api, 'person', json({ method: 'post', path: '/logout', summary: "Ends the page's session" }, doneSchema), async (c) => {
    const caller = c.get('caller')
    const { tokenId } = caller
    if (caller.by === 'cookie' && tokenId !== null)
      await act(ports, caller, 'logout.web', tokenId, {}, () => ports.store.tokens.revoke(tokenId, caller.party, caller.party))
    deleteCookie(c, cookieName(isSecure(c), 'session'), options(c, 0))
    return c.json({ done: true as const }, 200)
  })
}

async function signIn(
  ports: ApiPorts,
  attempt: Attempt,
  issuer: WebIssuer,
  configuration: oidc.Configuration,
  search: string,
): Promise<{ secret: string; expiresAtMs: number }> {
  const tokens = await oidc.authorizationCodeGrant(configuration, new URL(attempt.redirect + search), {
    pkceCodeVerifier: attempt.verifier,
    expectedState: attempt.state,
    expectedNonce: attempt.nonce,
    idTokenExpected: true,
  })
  const identity = await ports.authenticate(tokens.id_token!)
  if (identity.issuer !== issuer.name) throw new NotAuthenticated("the token is another issuer's")
  if (await ports.store.revocations.covering(identity)) throw new NotAuthenticated('access was revoked')
  await ports.adminEvent({ actor: partyOf(identity), action: 'login.web', subject: identity.subject, detail: {} })
  await ports.store.people.saw(identity)
  return ports.store.tokens.mint(identity, 'web', null, WEB_SESSION_MAX_MS)
}

function attemptOf(key: SealKey, cookie: string | undefined, nowMs: number): Attempt | null {
  if (cookie === undefined || cookie.length > 4_096) return null
  try {
    const attempt = JSON.parse(unseal([key], 'login', { keyId: key.id, bytes: Buffer.from(cookie, 'base64url') }).toString()) as Attempt
    return attempt.untilMs > nowMs ? attempt : null
  } catch {
    return null
  }
}

/** One discovery for many sign-ins; a failed one is tried again after a while, however many ask. */
function discovery(): (issuer: WebIssuer) => Promise<oidc.Configuration> {
  const known = new Map<string, { readonly untilMs: number; readonly configuration: Promise<oidc.Configuration> }>()
  return (issuer) => {
    const key = JSON.stringify([issuer.issuer, issuer.clientId, issuer.clientSecret])
    const fresh = known.get(key)
    if (fresh !== undefined && fresh.untilMs > performance.now()) return fresh.configuration
    const address = new URL(issuer.issuer)
    const plain = address.protocol === 'http:'
    if (plain && !['localhost', '127.0.0.1', '[::1]'].includes(address.hostname)) return Promise.reject(new Error('an issuer without TLS must be on loopback'))
    const configuration = oidc.discovery(address, issuer.clientId, issuer.clientSecret ?? undefined, issuer.clientSecret === null ? oidc.None() : undefined, {
      timeout: PROVIDER_TIMEOUT_SECONDS,
      ...(plain ? { execute: [oidc.allowInsecureRequests] } : {}),
    })
    known.set(key, { untilMs: performance.now() + DISCOVERY_FRESH_MS, configuration })
    configuration.catch(() => known.set(key, { untilMs: performance.now() + DISCOVERY_RETRY_MS, configuration }))
    return configuration
  }
}
