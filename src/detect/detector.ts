// All detectors of a policy in one pass over the bytes of a value: a table says which bytes can begin something, and only there a
// validator looks closer. Linear in the length of any input. Never decodes, never allocates while nothing is found.
import { domainEnd, emailStart, ipv4End, ipv6End, ipv6Start } from './address.ts'
import { compilePattern, findPattern, type Pattern } from './custom.ts'
import { afterDash, beginsAt, digitAt, escapeEnd, isAlphanumeric, WIDE_LEADS, widthOf } from './digits.ts'
import { Found } from './found.ts'
import { cardEnd, ibanEnd, phoneEnd, ssnEnd } from './numbers.ts'
import { BEFORE_ANCHOR, forgetVain, jwtEnd, KEY_ANCHORS, keyEnd, keyFrom, privateKeyEnd } from './secrets.ts'

export const DETECTORS = ['us-ssn', 'credit-card', 'iban', 'phone', 'ip', 'email', 'api-key', 'jwt', 'private-key'] as const
type Name = (typeof DETECTORS)[number]
/** Strongest first. */
const STRENGTH = ['null', 'redact', 'hash', 'token', 'partial'] as const
export type Hiding = (typeof STRENGTH)[number]
export interface DetectorRule { readonly detector: string; /** RE2 syntax, for a detector of one's own. */ readonly pattern: string | null; readonly with: Hiding; readonly rule: string }

export interface Detector {
  /** Strongest first; spans refer to them by index. */
  readonly rules: readonly DetectorRule[]
  /** Replaces what `found` holds by what lies in bytes[start, end). Whether there is anything. */
  scan(bytes: Uint8Array, start: number, end: number, found: Found): boolean
}

/** Null when there are no rules. Throws on a detector that does not exist: a rule that can't be held must not be passed over. */
export function compileDetectors(rules: readonly DetectorRule[]): Detector | null {
  return rules.length === 0 ? null : new Scanner([...rules].sort((a, b) => STRENGTH.indexOf(a.with) - STRENGTH.indexOf(b.with)))
}

const DIGIT = 1, WIDE = 2, AT = 3, ANCHOR = 4, COLON = 5
const OFF = -1
/** Whether a separator may part digits at `at`: the look that spares most numbers the validators. */
const mayPart = (bytes: Uint8Array, at: number, end: number) => at + 1 < end && (bytes[at]! >= 0xc2 || ((bytes[at] === 0x20 || bytes[at] === 0x2d || bytes[at] === 0x2e) && digitAt(bytes, at + 1, end) >= 0))
const mayEscape = (byte: number) => byte === 0x25 || isAlphanumeric(byte)

class Scanner implements Detector {
  readonly rules: readonly DetectorRule[]
  readonly #table = new Uint8Array(256)
  readonly #patterns: readonly Pattern[]
  readonly #ownFound = new Found()
  readonly #ssn: number
  readonly #card: number
  readonly #iban: number
  readonly #phone: number
  readonly #ip: number
  readonly #email: number
  readonly #key: number
  readonly #jwt: number
  readonly #pem: number

  constructor(rules: readonly DetectorRule[]) {
    this.rules = rules
    for (const { detector, pattern } of rules) if (pattern === null && !(DETECTORS as readonly string[]).includes(detector)) throw new Error(`no detector is named ${detector}`)
    const on = (name: Name) => rules.findIndex((rule) => rule.detector === name && rule.pattern === null)
    this.#ssn = on('us-ssn'); this.#card = on('credit-card'); this.#iban = on('iban'); this.#phone = on('phone'); this.#ip = on('ip')
    this.#email = on('email'); this.#key = on('api-key'); this.#jwt = on('jwt'); this.#pem = on('private-key')
    this.#patterns = rules.flatMap((rule, index) => (rule.pattern === null ? [] : [compilePattern(rule.pattern, index)]))
    this.#fillTable()
  }

  #fillTable(): void {
    const table = this.#table
    if (Math.max(this.#ssn, this.#card, this.#iban, this.#phone, this.#ip) !== OFF) {
      for (let byte = 48; byte < 58; byte++) table[byte] = DIGIT
      if (Math.max(this.#ssn, this.#card, this.#phone) !== OFF) for (const lead of WIDE_LEADS) table[lead] = WIDE
    }
    if (this.#key !== OFF) for (const byte of KEY_ANCHORS) table[byte] = ANCHOR
    if (this.#jwt !== OFF) table[0x4a] = ANCHOR
    if (this.#pem !== OFF) table[0x2d] = ANCHOR
    if (this.#ip !== OFF) table[0x3a] = COLON
    if (this.#email !== OFF) { table[0x40] = AT; table[0xef] = WIDE }
  }

  scan(bytes: Uint8Array, start: number, end: number, found: Found): boolean {
    const table = this.#table
    found.count = 0
    forgetVain()
    let at = start, kind = 0
    for (;;) {
      while (at < end && (kind = table[bytes[at]!]!) === 0) at++
      if (at >= end) break
      at = kind === DIGIT ? this.#number(bytes, start, at, end, found) : this.#other(kind, bytes, start, at, end, found)
    }
    if (this.#patterns.length > 0) this.#own(bytes, start, end, found)
    return found.count > 0
  }

  /** A run of digits begins at `at`. Returns where the pass goes on. */
  #number(bytes: Uint8Array, start: number, at: number, end: number, found: Found): number {
    let run = at, count = 0
    while (digitAt(bytes, run, end) >= 0) { run += widthOf(bytes[run]!); count++ }
    const next = this.#numberFrom(bytes, start, at, run, count, end, found)
    if (next !== run || at === start || !mayEscape(bytes[at - 1]!)) return next
    // The first digits may end an escape: `\u0031` or `%20` before a number.
    const after = escapeEnd(bytes, start, at)
    return after > at && after < run ? this.#numberFrom(bytes, start, after, run, count - (after - at), end, found) : next
  }
  #numberFrom(bytes: Uint8Array, start: number, at: number, run: number, count: number, end: number, found: Found): number {
    if (this.#iban !== OFF && count >= 2 && this.#take(found, ibanEnd(bytes, start, at, end), at - 2, this.#iban)) return found.to[found.count - 1]!
    if (!beginsAt(bytes, start, at)) return run
    if (count === 3 && this.#ssn !== OFF && afterDash(bytes, run, end) > 0 && this.#take(found, ssnEnd(bytes, at, end), at, this.#ssn)) return found.to[found.count - 1]!
    // The digits of a fraction are no card: `0.4539148803436467`.
    const fraction = at - 2 >= start && bytes[at - 1] === 0x2e && bytes[at - 2]! >= 48 && bytes[at - 2]! <= 57
    if (this.#card !== OFF && count <= 19 && !(fraction && count >= 13) && (count >= 13 || mayPart(bytes, run, end)) && this.#take(found, cardEnd(bytes, start, at, end), at, this.#card)) return found.to[found.count - 1]!
    if (this.#ip !== OFF && count <= 3 && bytes[run] === 0x2e && this.#take(found, ipv4End(bytes, start, at, end), at, this.#ip)) return found.to[found.count - 1]!
    if (this.#phone !== OFF && count <= 15) {
      const before = at > start && (bytes[at - 1] === 0x2b || bytes[at - 1] === 0x28) ? at - 1 : at
      if (this.#take(found, phoneEnd(bytes, start, at, end), before, this.#phone)) return found.to[found.count - 1]!
    }
    return run
  }

  #other(kind: number, bytes: Uint8Array, start: number, at: number, end: number, found: Found): number {
    if (kind === AT) return this.#emailAt(bytes, start, at, 1, end, found)
    if (kind === WIDE) {
      if (digitAt(bytes, at, end) >= 0) return this.#number(bytes, start, at, end, found)
      const fullWidthAt = bytes[at] === 0xef && at + 3 <= end && bytes[at + 1] === 0xbc && bytes[at + 2] === 0xa0
      return fullWidthAt && this.#email !== OFF ? this.#emailAt(bytes, start, at, 3, end, found) : at + 1
    }
    if (kind === COLON) {
      const from = ipv6Start(bytes, start, at)
      return from >= 0 && this.#take(found, ipv6End(bytes, from, end), from, this.#ip) ? found.to[found.count - 1]! : at + 1
    }
    if (this.#pem !== OFF && bytes[at] === 0x2d && this.#take(found, privateKeyEnd(bytes, at, end), at, this.#pem)) return found.to[found.count - 1]!
    if (this.#jwt !== OFF && bytes[at] === 0x4a && at - 2 >= start && bytes[at - 1] === 0x79 && bytes[at - 2] === 0x65 && this.#take(found, jwtEnd(bytes, start, at - 2, end), at - 2, this.#jwt)) return found.to[found.count - 1]!
    if (this.#key !== OFF && at > start && BEFORE_ANCHOR[bytes[at - 1]!] === 1) {
      const to = keyEnd(bytes, start, at, end)
      if (to >= 0) { found.add(keyFrom, to, this.#key); return Math.max(to, at + 1) }
    }
    return at + 1
  }

  #emailAt(bytes: Uint8Array, start: number, at: number, width: number, end: number, found: Found): number {
    const from = emailStart(bytes, start, at)
    const to = from < at ? domainEnd(bytes, at + width, end) : -1
    if (to < 0) return at + width
    found.add(from, to, this.#email)
    return to
  }

  #take(found: Found, to: number, from: number, rule: number): boolean {
    if (to < 0) return false
    found.add(from, to, rule)
    return true
  }

  #own(bytes: Uint8Array, start: number, end: number, found: Found): void {
    const own = this.#ownFound
    for (const pattern of this.#patterns) {
      own.reset()
      try { findPattern(pattern, bytes, start, end, own) } catch { own.reset(); own.add(start, end, pattern.rule) }
      if (own.count > 0) found.merge(own)
    }
  }
}
