// Keeps a profile's credential fresh: shortly before it expires, the refresh token is exchanged at its issuer. Two commands at once
// may both renew: what the other wrote meanwhile is taken when ours is refused.
import * as oidc from 'openid-client'
import { CommandFailed } from './command.ts'
import { findProfile, type Profile, saveProfile, type SignIn } from './profile.ts'

/** A credential that ends within this is renewed before it is used. */
export const RENEW_BEFORE_MS = 60_000
const PROVIDER_TIMEOUT_SECONDS = 15

export async function renewed(name: string, profile: Profile): Promise<Profile> {
  if (profile.expiresAtMs - Date.now() > RENEW_BEFORE_MS) return profile
  const again = new CommandFailed(`the sign-in has expired: run \`sluice login${name === 'default' ? '' : ` --profile ${name}`}\``)
  if (profile.issuer === null || profile.refreshToken === null) {
    if (profile.expiresAtMs > Date.now()) return profile
    throw again
  }
  try {
    const fresh = { ...profile, ...credentialOf(await oidc.refreshTokenGrant(await provider(profile.issuer), profile.refreshToken), profile.refreshToken) }
    saveProfile(name, fresh)
    return fresh
  } catch {
    const other = findProfile(name)
    if (other !== null && other.expiresAtMs - Date.now() > RENEW_BEFORE_MS) return other
    throw again
  }
}

/** http:// is taken from an issuer on this machine only. */
export async function provider(signIn: SignIn): Promise<oidc.Configuration> {
  const address = new URL(signIn.issuer)
  const local = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(address.hostname)
  try {
    return await oidc.discovery(address, signIn.clientId, undefined, oidc.None(), { timeout: PROVIDER_TIMEOUT_SECONDS, ...(local && address.protocol === 'http:' ? { execute: [oidc.allowInsecureRequests] } : {}) })
  } catch { throw new CommandFailed(`the identity provider at ${signIn.issuer} can't be reached`) }
}

/** The ID token says who it is about; it is what the gateway is shown. */
export function credentialOf(tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers, refreshBefore: string | null): Pick<Profile, 'token' | 'refreshToken' | 'expiresAtMs'> {
  const claims = tokens.claims()
  if (tokens.id_token === undefined || claims === undefined) throw new CommandFailed('the identity provider gave no ID token')
  return { token: tokens.id_token, refreshToken: tokens.refresh_token ?? refreshBefore, expiresAtMs: claims.exp * 1_000 }
}
