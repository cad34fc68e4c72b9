// The bytes of a JSON Web Token (RFC 7515 compact form) → header, claims, signed part. One way to write each: what another reader could
// read otherwise is refused. Nothing here is proved yet: only oidc.ts may believe it.
import { NotAuthenticated } from '../core/errors.ts'
import { member, strictObject } from './strict-json.ts'

/** A token with a few hundred groups has 10 KB. */
export const TOKEN_BYTES_MAX = 32 * 1024
const KID_CHARS_MAX = 512
/** Signatures only: no MAC whose key is public, no encryption, no `none`. */
const ALGORITHMS: readonly string[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
/** RFC 9068 access tokens and plain tokens. Logout tokens, security events, DPoP proofs and the like were signed for something else. */
const TYPES: readonly string[] = ['jwt', 'at+jwt']
/** Header members that change what is signed or how it is read. Those that only bring keys along (jku, x5u, jwk, x5c) are never looked at. */
const CHANGING: readonly string[] = ['crit', 'b64', 'zip', 'enc', 'cty', 'p2c', 'epk']

export interface UnprovenToken {
  readonly algorithm: string
  readonly kid: string | null
  readonly claims: Record<string, unknown>
}

/** Whether it has the shape of a JWT at all: three parts. */
export const looksLikeToken = (secret: string): boolean => /^[^.]*\.[^.]*\.[^.]*$/.test(secret)

export function parseToken(token: string): UnprovenToken {
  if (token.length > TOKEN_BYTES_MAX) throw new NotAuthenticated(`the token is longer than ${TOKEN_BYTES_MAX} bytes`)
  const parts = token.split('.')
  if (parts.length === 5) throw new NotAuthenticated('the token is encrypted (JWE): Sluice takes signed tokens only')
  if (parts.length !== 3) throw new NotAuthenticated('this is no token: three parts with dots between them are expected')
  const [header, claims] = parts.map(canonicalBytes)
  if (header == null || claims == null || canonicalBytes(parts[2]!) === null) throw new NotAuthenticated('the token is damaged: it was changed, cut or wrapped on its way; paste it in one line, without spaces')
  return { ...parseHeader(header), claims: strictObject(claims) ?? damaged('claims') }
}

function parseHeader(bytes: Buffer): Pick<UnprovenToken, 'algorithm' | 'kid'> {
  const header = strictObject(bytes) ?? damaged('header')
  const algorithm = member(header, 'alg')
  if (typeof algorithm !== 'string' || !ALGORITHMS.includes(algorithm)) throw new NotAuthenticated(`the token is not signed by an algorithm taken here: ${ALGORITHMS.join(', ')}`)
  const type = member(header, 'typ')
  if (type !== undefined && !(typeof type === 'string' && TYPES.includes(type.toLowerCase().replace(/^application\//, '')))) throw new NotAuthenticated('this kind of token is no credential: use an ID token or an access token')
  for (const name of CHANGING) if (Object.hasOwn(header, name)) throw new NotAuthenticated(`the token's header says \`${name}\`, which is not taken here`)
  const kid = member(header, 'kid') ?? null
  if (kid !== null && (typeof kid !== 'string' || kid.length > KID_CHARS_MAX)) throw new NotAuthenticated('the token names its key in a way that is not taken here')
  return { algorithm, kid }
}

function damaged(part: string): never { throw new NotAuthenticated(`the token's ${part} can't be read: no JSON object, a member twice, or nested too deep`) }

/** Bytes of unpadded base64url in its only canonical writing; null otherwise. */
function canonicalBytes(text: string): Buffer | null {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : null
}
