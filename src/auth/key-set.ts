// An issuer's JWKS → the keys that may verify its tokens, each pinned to its algorithms. Plain data: it travels between processes.
// Never a symmetric key, never a private one, never a weak one.
import type { JWK } from 'jose'
import { isObject, member } from './strict-json.ts'

export const KEYS_MAX = 100
const RSA_BITS_MIN = 2_048
const RSA_BITS_MAX = 16_384
const EC_ALGORITHMS: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }
const RSA_ALGORITHMS: readonly string[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const ED_ALGORITHMS: readonly string[] = ['EdDSA', 'Ed25519']

export interface VerifyKey {
  readonly kid: string | null
  /** What it may verify: never more than its own `alg` says. */
  readonly algorithms: readonly string[]
  /** Public members only. */
  readonly jwk: JWK
}
export interface KeySet {
  readonly keys: readonly VerifyKey[]
  /** How long, from the moment it is handed over, it may be used without asking again. Relative: clocks jump. */
  readonly freshForMs: number
}

/** Usable keys of a JWKS document; the others are left out. Null when it is no JWKS. */
export function parseKeySet(document: Record<string, unknown>): VerifyKey[] | null {
  const keys = member(document, 'keys')
  if (!Array.isArray(keys)) return null
  return keys.slice(0, KEYS_MAX).map(verifyKey).filter(key => key !== null)
}

function verifyKey(value: unknown): VerifyKey | null {
  if (!isObject(value)) return null
  const use = member(value, 'use')
  const operations = member(value, 'key_ops')
  if (use !== undefined && use !== 'sig') return null
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return null
  const kid = member(value, 'kid') ?? null
  if (kid !== null && typeof kid !== 'string') return null
  const found = material(value)
  if (found === null) return null
  const alg = member(value, 'alg')
  if (alg === undefined) return { kid, ...found }
  return typeof alg === 'string' && found.algorithms.includes(alg) ? { kid, algorithms: found.jwk.kty === 'OKP' ? ED_ALGORITHMS : [alg], jwk: found.jwk } : null
}

function material(value: Record<string, unknown>): Pick<VerifyKey, 'algorithms' | 'jwk'> | null {
  const text = (name: string) => { const found = member(value, name); return typeof found === 'string' && /^[A-Za-z0-9_-]+$/.test(found) ? found : null }
  if (value.kty === 'RSA') {
    const n = text('n'), e = text('e')
    if (n === null || e === null) return null
    const modulus = Buffer.from(n, 'base64url'), exponent = Buffer.from(e, 'base64url')
    const bits = bitLength(modulus)
    // An exponent of 1 would make every signature right.
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX || bitLength(exponent) < 2 || exponent.length > 8 || (exponent.at(-1)! & 1) === 0) return null
    return { algorithms: RSA_ALGORITHMS, jwk: { kty: 'RSA', n, e } }
  }
  const x = text('x'), crv = text('crv')
  if (x === null || crv === null) return null
  if (value.kty === 'OKP') return crv === 'Ed25519' ? { algorithms: ED_ALGORITHMS, jwk: { kty: 'OKP', crv, x } } : null
  const y = text('y'), algorithm = Object.hasOwn(EC_ALGORITHMS, crv) ? EC_ALGORITHMS[crv] : undefined
  return value.kty === 'EC' && y !== null && algorithm !== undefined ? { algorithms: [algorithm], jwk: { kty: 'EC', crv, x, y } } : null
}

function bitLength(bytes: Buffer): number {
  const first = bytes.findIndex(byte => byte !== 0)
  return first < 0 ? 0 : (bytes.length - first) * 8 - Math.clz32(bytes[first]!) + 24
}
