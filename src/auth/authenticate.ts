// A presented secret → Identity, whatever kind of secret it is: a token of Sluice's own, of a configured issuer, or a break-glass account.
// The only place where a credential is believed. Never logs, returns or throws the secret or a part of it.
import { NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { BREAK_GLASS_PREFIX, BreakGlass } from './break-glass.ts'
import type { BreakGlassAccount } from './break-glass.ts'
import type { Issuer } from './issuer.ts'
import { TokenVerifier, credentialHashOf } from './oidc.ts'
import type { KeySource } from './oidc.ts'

/** `sluice token` prints these: at most 64 characters, at least 160 random bits. The store mints them and keeps a hash. */
export const SLUICE_TOKEN = /^slc_[A-Za-z0-9_-]{27,60}$/
export const SLUICE_TOKEN_PREFIX = 'slc_'

/** What is kept of a Sluice token. */
export interface StoredToken {
  /** Whom it was made for, with the groups of then. */
  readonly identity: Identity
  /** The one resource it opens; null: none in particular (the page, the API, an emergency token). */
  readonly boundTo: string | null
  readonly kind: 'resource' | 'web' | 'emergency'
  readonly id: string
}
export interface Authenticated {
  readonly identity: Identity
  readonly boundTo: string | null
  readonly kind: 'oidc' | 'break-glass' | StoredToken['kind']
}
export interface AuthenticatorPorts {
  readonly issuers: () => readonly Issuer[]
  readonly keys: KeySource
  readonly breakGlass: () => readonly BreakGlassAccount[]
  /** By SHA-256 (hex) of the secret; null, or NotAuthenticated, when there is none in force. */
  findToken(hash: string, secret: string): Promise<StoredToken | null>
  /** Revoked by its hash, its issuer and id, or its subject. */
  revoked(identity: Identity): boolean | Promise<boolean>
  /** An emergency account was used: to be recorded and shouted. Awaited: unheard, it does not open. */
  loud(identity: Identity, kind: 'break-glass' | 'emergency'): Promise<void> | void
  nowMs(): number
}

export class Authenticator {
  readonly #ports: AuthenticatorPorts
  readonly #tokens: TokenVerifier
  readonly #breakGlass: BreakGlass
  constructor(ports: AuthenticatorPorts) {
    this.#ports = ports
    this.#tokens = new TokenVerifier(ports.issuers, ports.keys)
    this.#breakGlass = new BreakGlass(ports.breakGlass)
  }

  /** Throws NotAuthenticated. The caller still asks what `boundTo` allows: see `opens`. */
  async authenticate(secret: string): Promise<Authenticated> {
    const found = await this.#find(secret)
    if (await this.#ports.revoked(found.identity)) throw new NotAuthenticated('the credential has been revoked: sign in again, or ask an admin')
    if (found.kind === 'break-glass' || found.kind === 'emergency') await this.#ports.loud(found.identity, found.kind)
    return found
  }

  async #find(secret: string): Promise<Authenticated> {
    if (secret === '') throw new NotAuthenticated('no password was given: it is a token of your identity provider, or what `sluice token` prints')
    if (secret.startsWith(SLUICE_TOKEN_PREFIX)) return this.#stored(secret)
    if (secret.startsWith(BREAK_GLASS_PREFIX)) return { identity: await this.#breakGlass.open(secret, this.#ports.nowMs()), boundTo: null, kind: 'break-glass' }
    return { identity: await this.#tokens.verify(secret, this.#ports.nowMs()), boundTo: null, kind: 'oidc' }
  }

  async #stored(secret: string): Promise<Authenticated> {
    const found = SLUICE_TOKEN.test(secret) ? await this.#ports.findToken(credentialHashOf(secret), secret) : null
    // No skew: its times are our own.
    if (found === null || this.#ports.nowMs() >= found.identity.expiresAtMs) throw new NotAuthenticated('the token is not valid (any more): get a new one with `sluice token`')
    return { identity: found.identity, boundTo: found.boundTo, kind: found.kind }
  }
}

/** Whether a credential is meant for a session on this resource. A cookie of the page opens none. */
export function opens(found: Pick<Authenticated, 'boundTo' | 'kind'>, resource: string): boolean {
  return found.kind !== 'web' && (found.boundTo === null ? found.kind !== 'resource' : found.boundTo === resource)
}
