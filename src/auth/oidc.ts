// A token of a configured issuer → Identity: the signature by a key of that issuer, then the claims. Verified tokens are remembered by
// their hash, so that the next session of the same token costs no signature; only as long as the same keys stand.
import { createHash } from 'node:crypto'
import { compactVerify, importJWK } from 'jose'
import type { CryptoKey, JWK } from 'jose'
import { NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { checkExpiry, expiryOf, identityOf, issuerOf } from './claims.ts'
import type { Issuer } from './issuer.ts'
import type { KeySet, VerifyKey } from './key-set.ts'
import { parseToken } from './token.ts'
import type { UnprovenToken } from './token.ts'

/** Verified tokens remembered at once. */
export const VERIFIED_MAX = 10_000

/** Where an issuer's keys come from: the same object as long as the keys are the same. */
export interface KeySource {
  /** `refresh`: a key is not among those known; whoever fetches decides whether it is time to look again. Throws NotAuthenticated when none can be had. */
  keys(issuer: Issuer, refresh: boolean): Promise<KeySet>
}

export const credentialHashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/** Throws NotAuthenticated with what its owner can do about it; never with the token or a part of it. */
export async function verifyToken(token: string, issuers: readonly Issuer[], keys: KeySource, nowMs: number): Promise<Identity> {
  return (await verify(token, credentialHashOf(token), issuers, keys, nowMs)).identity
}

interface Verified { readonly identity: Identity; readonly issuer: Issuer; readonly keySet: KeySet }

async function verify(token: string, hash: string, issuers: readonly Issuer[], keys: KeySource, nowMs: number): Promise<Verified> {
  const unproven = parseToken(token)
  const issuer = issuerOf(unproven.claims, issuers)
  // Before the keys are asked: an expired token costs no fetch and no signature.
  const expiresAtMs = expiryOf(unproven.claims, nowMs)
  let keySet = await keys.keys(issuer, false)
  let key = keyFor(unproven, keySet)
  if (key === null) {
    keySet = await keys.keys(issuer, true)
    key = keyFor(unproven, keySet)
  }
  if (key === null) throw new NotAuthenticated(`the token is signed by a key that ${issuer.name} does not publish for this algorithm: get a new token`)
  if (!(await isSigned(token, unproven.algorithm, key))) throw new NotAuthenticated('the token\'s signature is wrong')
  return { identity: identityOf(unproven.claims, issuer, hash, expiresAtMs), issuer, keySet }
}

/** The one key the token means: by its kid, or without one the only key for its algorithm. */
function keyFor(token: UnprovenToken, keySet: KeySet): VerifyKey | null {
  const found = keySet.keys.filter(key => (token.kid === null || key.kid === token.kid) && key.algorithms.includes(token.algorithm))
  return found.length === 1 ? found[0]! : null
}

const imported = new WeakMap<JWK, Map<string, Promise<CryptoKey | Uint8Array>>>()
async function isSigned(token: string, algorithm: string, key: VerifyKey): Promise<boolean> {
  try {
    const byAlgorithm = imported.get(key.jwk) ?? new Map<string, Promise<CryptoKey | Uint8Array>>()
    imported.set(key.jwk, byAlgorithm)
    let ready = byAlgorithm.get(algorithm)
    if (ready === undefined) { ready = importJWK(key.jwk, algorithm); byAlgorithm.set(algorithm, ready) }
    await compactVerify(token, await ready, { algorithms: [algorithm] })
    return true
  } catch { return false }
}

/** verifyToken with a memory, least recently used out first. One per worker. */
export class TokenVerifier {
  readonly #issuers: () => readonly Issuer[]
  readonly #keys: KeySource
  readonly #verified = new Map<string, Verified>()
  /** `issuers` is asked each time: a reload takes effect at once. */
  constructor(issuers: () => readonly Issuer[], keys: KeySource) { this.#issuers = issuers; this.#keys = keys }

  async verify(token: string, nowMs: number): Promise<Identity> {
    const hash = credentialHashOf(token)
    const issuers = this.#issuers()
    const known = this.#verified.get(hash)
    if (known !== undefined) {
      this.#verified.delete(hash)
      if (issuers.includes(known.issuer)) {
        checkExpiry(known.identity.expiresAtMs, nowMs)
        if ((await this.#keys.keys(known.issuer, false)) === known.keySet) return this.#remember(hash, known)
      }
    }
    return this.#remember(hash, await verify(token, hash, issuers, this.#keys, nowMs))
  }

  #remember(hash: string, verified: Verified): Identity {
    if (this.#verified.size >= VERIFIED_MAX) for (const oldest of this.#verified.keys()) { this.#verified.delete(oldest); break }
    this.#verified.set(hash, verified)
    return verified.identity
  }
}
