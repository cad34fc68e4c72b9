// Signs the demo's people in at the demo's own provider, over HTTP and by the code flow like any client, so that `bin/sluice --profile
// sam` works at once. Never writes over a profile that a person made.
import * as oidc from 'openid-client'
import { credentialOf } from '../cli/renew.ts'
import { findProfile, type Profile, saveProfile } from '../cli/profile.ts'
import { CLIENT_ID, type DemoIssuer } from './issuer.ts'
import { AGENT, PEOPLE } from './people.ts'

const REDIRECT = 'http://127.0.0.1/callback'
const SCOPES = ['openid', 'profile', 'email', 'offline_access']
const HOPS_MAX = 8

export interface Entry { readonly gateway: string; readonly ca: string; readonly postgres: { readonly host: string; readonly port: number }; readonly data: string }

/** Name of a person → name of the profile that was written for them. */
export async function writeProfiles(issuer: DemoIssuer, entry: Entry): Promise<ReadonlyMap<string, string>> {
  const configuration = await oidc.discovery(new URL(issuer.url), CLIENT_ID, undefined, oidc.None(), { execute: [oidc.allowInsecureRequests] })
  const base = { gateway: entry.gateway, ca: entry.ca, postgres: entry.postgres, demo: entry.data }
  const signIn = { name: 'demo', issuer: issuer.url, clientId: CLIENT_ID, scopes: SCOPES }
  const people = await Promise.all(PEOPLE.map(async ({ id }) => [id, keep(id, { ...base, issuer: signIn, ...await signInAs(configuration, id) })] as const))
  const agent = keep(AGENT.id, { ...base, issuer: null, ...await agentToken(issuer) })
  return new Map([...people, [AGENT.id, agent]])
}

function keep(id: string, profile: Profile): string {
  const existing = findProfileQuietly(id)
  const name = existing !== null && existing.demo === undefined ? `demo-${id}` : id
  saveProfile(name, profile)
  return name
}

/** A damaged profile is nobody's. */
function findProfileQuietly(name: string): Profile | null { try { return findProfile(name) } catch { return null } }

async function signInAs(configuration: oidc.Configuration, person: string): Promise<Pick<Profile, 'token' | 'refreshToken' | 'expiresAtMs'>> {
  const [verifier, state] = [oidc.randomPKCECodeVerifier(), oidc.randomState()]
  const start = oidc.buildAuthorizationUrl(configuration, {
    redirect_uri: REDIRECT, scope: SCOPES.join(' '), state, code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })
  const back = await walk(start, person)
  return credentialOf(await oidc.authorizationCodeGrant(configuration, back, { pkceCodeVerifier: verifier, expectedState: state, idTokenExpected: true }), null)
}

/** What a browser does: follows the redirects, keeps the cookies, and on the page chooses the person. */
async function walk(start: URL, person: string): Promise<URL> {
  const cookies = new Map<string, string>()
  let at = start
  for (let hop = 0; hop < HOPS_MAX; hop++) {
    if (at.href.startsWith(REDIRECT)) return at
    const chooses = at.pathname.startsWith('/interaction/')
    const answer = await fetch(at, {
      redirect: 'manual', headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(chooses ? { method: 'POST', body: new URLSearchParams({ person }) } : {}),
    })
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      cookies.set(name, value)
    }
    const next = answer.headers.get('location')
    await answer.body?.cancel()
    if (next === null) throw new Error(`the demo's identity provider did not sign ${person} in (status ${answer.status})`)
    at = new URL(next, at)
  }
  throw new Error(`the demo's identity provider did not sign ${person} in: too many redirects`)
}

async function agentToken(issuer: DemoIssuer): Promise<Pick<Profile, 'token' | 'refreshToken' | 'expiresAtMs'>> {
  const configuration = await oidc.discovery(new URL(issuer.url), AGENT.id, issuer.agentSecret, undefined, { execute: [oidc.allowInsecureRequests] })
  const tokens = await oidc.clientCredentialsGrant(configuration, { resource: 'urn:sluice' })
  return { token: tokens.access_token, refreshToken: null, expiresAtMs: Date.now() + (tokens.expiresIn() ?? 0) * 1_000 }
}
