// Failed logins are counted, by address and by who is claimed there, over all workers; beyond a limit further ones are refused unread until
// the minute is over. A credential that was accepted lately passes all the same, and what is refused unread is not counted: an attacker
// behind the same address delays others' first login by a minute at most, and nobody can lock out an identity from elsewhere.
import { createHash } from 'node:crypto'
import { NotAuthenticated, SluiceError } from '../core/errors.ts'
import { BREAK_GLASS_PREFIX } from './break-glass.ts'
import { TOKEN_BYTES_MAX } from './token.ts'

export const FAILED_LOGINS_MS = 60_000
/** Guesses at one break-glass account at one address. */
export const FAILED_LOGINS_OF_ACCOUNT = 10
/** Addresses and claims that are counted at once; the oldest are forgotten. */
export const FAILED_LOGINS_KEPT = 20_000
/** An accepted credential is known for so long. */
const ACCEPTED_MS = 3_600_000
const ACCEPTED_MAX = 20_000

export interface FailedLimits { readonly ofAddress: number; readonly ofOne: number }
export interface LoginBlock { readonly key: string; readonly kind: 'address' | 'identity'; readonly untilMs: number }
/** Too many failed: said before anything of the credential is looked at. */
export class Throttled extends SluiceError {
  constructor(kind: LoginBlock['kind'], seconds: number) { super('THROTTLED', `too many logins ${kind === 'address' ? 'from this address' : 'of this identity from this address'} have failed: try again in ${seconds} s`) }
}

/** Counts. Lives in the supervisor. */
export class FailedLogins {
  readonly #windows = new Map<string, { readonly untilMs: number; count: number }>()

  /** What is to be refused from now on, when this failure was one too many. */
  failed(address: string, claim: string, limits: FailedLimits, nowMs: number): LoginBlock[] {
    const place = placeOf(address)
    const most = claim.startsWith(ACCOUNT) ? Math.min(FAILED_LOGINS_OF_ACCOUNT, limits.ofOne) : limits.ofOne
    return [this.#count(place, 'address', limits.ofAddress, nowMs), this.#count(`${place} ${claim}`, 'identity', most, nowMs)].filter((block) => block !== null)
  }
  #count(key: string, kind: LoginBlock['kind'], most: number, nowMs: number): LoginBlock | null {
    let window = this.#windows.get(key)
    if (window === undefined || window.untilMs <= nowMs) {
      this.#windows.delete(key)
      if (this.#windows.size >= FAILED_LOGINS_KEPT) for (const oldest of this.#windows.keys()) { this.#windows.delete(oldest); break }
      window = { untilMs: nowMs + FAILED_LOGINS_MS, count: 0 }
      this.#windows.set(key, window)
    }
    return ++window.count === most ? { key, kind, untilMs: window.untilMs } : null
  }
}

/** Refuses. Lives where credentials are presented. */
export class LoginBlocks {
  readonly #blocks = new Map<string, LoginBlock>()
  readonly #accepted = new Map<string, number>()
  readonly #failed: (address: string, claim: string) => void
  readonly #now: () => number
  constructor(failed: (address: string, claim: string) => void, nowMs: () => number = Date.now) { this.#failed = failed; this.#now = nowMs }

  add(block: LoginBlock): void {
    if (this.#blocks.size >= FAILED_LOGINS_KEPT) for (const oldest of this.#blocks.keys()) { this.#blocks.delete(oldest); break }
    this.#blocks.set(block.key, block)
  }
  /** Throws Throttled, or does the work and remembers how it went. */
  async judge<T>(address: string, secret: string, work: () => Promise<T>): Promise<T> {
    const hash = createHash('sha256').update(secret).digest('base64url')
    const known = (this.#accepted.get(hash) ?? -Infinity) > this.#now() - ACCEPTED_MS
    const claim = this.#blocks.size === 0 || known ? null : claimOf(secret)
    if (claim !== null) this.#refuse(placeOf(address), claim)
    try {
      const result = await work()
      this.#accepted.delete(hash)
      if (this.#accepted.size >= ACCEPTED_MAX) for (const oldest of this.#accepted.keys()) { this.#accepted.delete(oldest); break }
      this.#accepted.set(hash, this.#now())
      return result
    } catch (error) {
      if (error instanceof NotAuthenticated) { this.#accepted.delete(hash); this.#failed(address, claim ?? claimOf(secret)) }
      throw error
    }
  }
  #refuse(place: string, claim: string): void {
    for (const key of [place, `${place} ${claim}`]) {
      const block = this.#blocks.get(key)
      if (block === undefined) continue
      const leftMs = block.untilMs - this.#now()
      if (leftMs > 0 && leftMs <= FAILED_LOGINS_MS) throw new Throttled(block.kind, Math.ceil(leftMs / 1_000))
      this.#blocks.delete(key)
    }
  }
}

const ACCOUNT = 'account '
/** Whom a credential claims to be, unproved: only for counting. */
export function claimOf(secret: string): string {
  if (secret.startsWith(BREAK_GLASS_PREFIX)) return `${ACCOUNT}${digest(secret.split(':', 2)[1] ?? '')}`
  const claims = secret.length > TOKEN_BYTES_MAX ? null : claimsOf(secret)
  return claims === null ? `secret ${digest(secret)}` : `subject ${digest(claims)}`
}
function claimsOf(secret: string): string | null {
  const parts = secret.split('.')
  if (parts.length !== 3) return null
  try {
    const { iss, sub } = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8')) as { iss?: unknown; sub?: unknown }
    return typeof iss === 'string' && typeof sub === 'string' ? JSON.stringify([iss, sub]) : null
  } catch { return null }
}
/** Short and of letters only: what somebody claims is kept and shown nowhere. */
const digest = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 22)

/** Whoever has one IPv6 address has the 2^64 beside it. */
export function placeOf(address: string): string {
  const bare = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  if (!bare.includes(':')) return bare
  const [before = '', after] = bare.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [left, right] = [groups(before), after === undefined ? [] : groups(after)]
  const all = after === undefined ? left : [...left, ...Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0'), ...right]
  return `${all.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, '').toLowerCase()).join(':')}::/64`
}
