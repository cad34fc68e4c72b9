// Proved claims of a token → Identity. Exact: no trimming, no case folding, no conversion of types; what is not as expected is refused.
// Never reads a claim that its owner can edit (name, preferred_username) unless sluice.yaml names it.
import { NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { Issuer } from './issuer.ts'
import { isObject, member } from './strict-json.ts'

/** Clocks of an issuer and of the gateway may differ by so much. */
export const CLOCK_SKEW_MS = 60_000
export const GROUPS_MAX = 1_000
const NAME_CHARS_MAX = 256
const EXPIRY_SECONDS_MAX = 253_402_300_799
/** Keycloak writes the kind of a token into its claims. */
const KINDS: readonly string[] = ['bearer', 'id', 'jwt', 'at+jwt']

/** The issuer that a token may be of: its `iss` exactly, and for us. Decides only which keys to ask; nothing is proved. */
export function issuerOf(claims: Record<string, unknown>, issuers: readonly Issuer[]): Issuer {
  const iss = member(claims, 'iss')
  const named = issuers.filter(issuer => issuer.issuer === iss)
  if (named.length === 0) throw new NotAuthenticated('the token is of an issuer that is not configured here (iss)')
  const audience = member(claims, 'aud')
  const meant = Array.isArray(audience) ? audience : [audience]
  const found = meant.every(one => typeof one === 'string') ? named.find(issuer => meant.some(one => issuer.audience.includes(one))) : undefined
  if (found === undefined) throw new NotAuthenticated(`the token is not for this gateway (aud): ask ${named[0]!.name} for one with audience ${named.flatMap(issuer => issuer.audience).join(' or ')}`)
  return found
}

/** Throws NotAuthenticated when the token is not in force now. Returns when it expires, in Unix milliseconds. */
export function expiryOf(claims: Record<string, unknown>, nowMs: number): number {
  const expires = seconds(claims, 'exp')
  if (expires === null) throw new NotAuthenticated('the token never expires (no exp): such a token is not taken')
  checkExpiry(expires * 1_000, nowMs)
  const from = Math.max(seconds(claims, 'nbf') ?? 0, seconds(claims, 'iat') ?? 0)
  if (from * 1_000 > nowMs + CLOCK_SKEW_MS) throw new NotAuthenticated('the token is not valid yet (nbf, iat): check the clocks')
  return Math.floor(expires * 1_000)
}
export function checkExpiry(expiresAtMs: number, nowMs: number): void {
  if (nowMs >= expiresAtMs + CLOCK_SKEW_MS) throw new NotAuthenticated(`the token has expired ${Math.round((nowMs - expiresAtMs) / 1_000)} s ago: sign in again, for example with \`sluice login\``)
}

export function identityOf(claims: Record<string, unknown>, issuer: Issuer, credentialHash: string, expiresAtMs: number): Identity {
  refuseOtherKinds(claims)
  const tokenId = member(claims, 'jti') ?? null
  if (tokenId !== null && !isName(tokenId)) throw new NotAuthenticated('the token\'s own id (jti) is not a name')
  const who = actors(claims, issuer)
  return { ...who, issuer: issuer.name, groups: groupsOf(claims, issuer), credentialHash, tokenId, expiresAtMs }
}

function refuseOtherKinds(claims: Record<string, unknown>): void {
  const kind = member(claims, 'typ')
  if (kind !== undefined && !(typeof kind === 'string' && KINDS.includes(kind.toLowerCase()))) throw new NotAuthenticated('this kind of token is no credential (typ): use an ID token or an access token')
  if (Object.hasOwn(claims, 'events')) throw new NotAuthenticated('a security event or logout token is no credential')
  // Bound to a key that a client of a database can't show: without that proof anyone could have copied it.
  if (Object.hasOwn(claims, 'cnf')) throw new NotAuthenticated('the token is bound to a key of its owner (cnf), which can\'t be proved here: ask for a plain bearer token')
}

/** Who asks, and for an agent on whose behalf. With `act` (RFC 8693) the token is the person's and `act` names who acts. */
function actors(claims: Record<string, unknown>, issuer: Issuer): Pick<Identity, 'subject' | 'agent' | 'onBehalfOf'> {
  const act = member(claims, 'act')
  if (act !== undefined) {
    if (!isObject(act)) throw new NotAuthenticated('the token\'s claim `act` is no object')
    const own = issuer.subject !== 'email' && Object.hasOwn(act, issuer.subject) ? issuer.subject : 'sub'
    return { subject: nameIn(act, own, 'act.'), agent: true, onBehalfOf: nameIn(claims, issuer.subject) }
  }
  const { agent } = issuer
  if (agent === null || !isAgent(claims, agent.claim, agent.values)) return { subject: nameIn(claims, issuer.subject), agent: false, onBehalfOf: null }
  return { subject: nameIn(claims, agent.subject ?? issuer.subject), agent: true, onBehalfOf: agent.onBehalfOf === null ? null : nameIn(claims, agent.onBehalfOf) }
}

function isAgent(claims: Record<string, unknown>, claim: string, values: readonly string[] | null): boolean {
  const value = claimAt(claims, claim)
  if (value === undefined || value === null || value === false) return false
  if (values === null) return true
  return Array.isArray(value) ? value.some(one => typeof one === 'string' && values.includes(one)) : typeof value === 'string' && values.includes(value)
}

function nameIn(claims: Record<string, unknown>, claim: string, prefix = ''): string {
  const value = claimAt(claims, claim)
  if (!isName(value)) throw new NotAuthenticated(`the token names nobody: its claim \`${prefix}${claim}\` is missing or not a name of at most ${NAME_CHARS_MAX} characters`)
  if (claim === 'email' && member(claims, 'email_verified') !== true) throw new NotAuthenticated('the issuer has not verified the e-mail address in the token (email_verified)')
  return value
}

function groupsOf(claims: Record<string, unknown>, issuer: Issuer): readonly string[] {
  if (issuer.groups === null) return []
  const elsewhere = member(claims, '_claim_names')
  if (member(claims, 'hasgroups') === true || (elsewhere !== undefined && !(isObject(elsewhere) && !Object.hasOwn(elsewhere, issuer.groups)))) throw new NotAuthenticated('the token leaves its groups out because there are too many: have the issuer send only the groups that are assigned to Sluice')
  const groups = claimAt(claims, issuer.groups)
  if (groups === undefined) return []
  if (!Array.isArray(groups) || groups.length > GROUPS_MAX || !groups.every(isName)) throw new NotAuthenticated(`the token's groups (claim \`${issuer.groups}\`) are not a list of at most ${GROUPS_MAX} names`)
  return [...new Set(groups)]
}

/** A claim by its whole name, else along its dots. */
function claimAt(claims: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const step of path.split('.')) value = isObject(value) ? member(value, step) : undefined
  return value
}

/** Text a person can read as it is: no control or invisible characters, no space at its ends. */
const isName = (value: unknown): value is string => typeof value === 'string' && value.length > 0 && value.length <= NAME_CHARS_MAX && !/\p{C}|\p{Zl}|\p{Zp}/u.test(value) && value.trim() === value

function seconds(claims: Record<string, unknown>, claim: string): number | null {
  const value = member(claims, claim)
  if (value === undefined) return null
  if (typeof value !== 'number' || !(value >= 0 && value <= EXPIRY_SECONDS_MAX)) throw new NotAuthenticated(`the token's \`${claim}\` is not a time in seconds`)
  return value
}
