// All detectors of a policy in one pass over the bytes of a value: a table says which bytes can begin something, and only there a
// validator looks closer. Linear in the length of any input. Never decodes, never allocates while nothing is found.
import { emailEnd, emailFrom, ipv4End, ipv6End, ipv6Start } from './address.ts'
import { compilePattern, findPattern, type Pattern } from './custom.ts'
import { afterDash, beginsAt, digitAt, endsAt, escapeEnd, isAlphanumeric, isLetter, WIDE_LEADS, widthOf } from './digits.ts'
import { Found } from './found.ts'
import { CARD_DIGITS_MAX, CARD_DIGITS_MIN, cardEnd, ibanEnd, isCard, isInIban, passesLuhn, phoneEnd, saysSsn, ssnEnd } from './numbers.ts'
import { isKeyPair, KEY_ANCHORS, keyEnd, keyFrom } from './keys.ts'
import { forgetVain, jwtEnd, privateKeyEnd } from './secrets.ts'

export const DETECTORS = ['us-ssn', 'credit-card', 'iban', 'phone', 'ip', 'email', 'api-key', 'jwt', 'private-key'] as const
type Name = (typeof DETECTORS)[number]
/** Strongest first. */
const STRENGTH = ['null', 'redact', 'hash', 'token', 'partial'] as const
export type Hiding = (typeof STRENGTH)[number]
export interface DetectorRule { readonly detector: string; /** RE2 syntax, for a detector of one's own. */ readonly pattern: string | null; readonly with: Hiding; readonly rule: string }

export class Tally { counts: Float64Array | null = null }
export interface Detector {
  /** Strongest first; spans refer to them by index. */
  readonly rules: readonly DetectorRule[]
  /** Where what is hidden is counted, by rule; whoever works with a detector sets it before. */
  readonly tally: Tally
  /** The same rules where a column's name tells more: digits without their usual shape are then taken for what the name says. */
  inColumn(name: string): Detector
  /** Replaces what `found` holds by what lies in bytes[start, end). Whether there is anything. */
  scan(bytes: Uint8Array, start: number, end: number, found: Found): boolean
}

/** Null when there are no rules. Throws on a detector that does not exist: a rule that can't be held must not be passed over. */
export function compileDetectors(rules: readonly DetectorRule[]): Detector | null {
  return rules.length === 0 ? null : new Scanner([...rules].sort((a, b) => STRENGTH.indexOf(a.with) - STRENGTH.indexOf(b.with)))
}

const OFF = -1

/** What a byte can begin or give away, as bits, for all built-in detectors: one constant table, of which each scanner minds its own bits. */
const CLASSES = new Uint8Array(256)
const DIGIT = 1, WIDE = 2, AT = 4, KEY = 8, TOKEN = 16, DASH = 32, COLON = 64, ESCAPE = 128
for (let byte = 48; byte < 58; byte++) CLASSES[byte]! |= DIGIT
for (const lead of WIDE_LEADS) CLASSES[lead]! |= WIDE
for (const byte of KEY_ANCHORS) CLASSES[byte]! |= KEY
// The @ of an address (0xef may lead a full-width one), the J of a JWT's `eyJ`, the first dash of a PEM block, the first colon of an IPv6 address.
CLASSES[0x40]! |= AT
CLASSES[0xef]! |= AT
CLASSES[0x4a]! |= TOKEN
CLASSES[0x2d]! |= DASH
CLASSES[0x3a]! |= COLON
CLASSES[0x5c]! |= ESCAPE
CLASSES[0x25]! |= ESCAPE
/** Which kinds of numbers are looked for, as bits. */
const SSN = 1, CARD = 2, IBAN = 4, PHONE = 8, IP = 16
/** And which are taken for it without their usual shape, because their column is named for them. */
const BARE_SSN = 32, BARE_CARD = 64, BARE_PHONE = 128, BARE = BARE_CARD | BARE_PHONE

/** What stands beside a run of digits, as bits: it may part it from further digits (of a phone also beside another such byte), glue it to a word, or need a closer look. */
const EDGES = new Uint8Array(256)
const PARTS = 1, MORE = 2, GLUES = 4, LOOK = 8
for (const character of ' -.') EDGES[character.charCodeAt(0)] = PARTS
for (const character of '()/') EDGES[character.charCodeAt(0)] = MORE
for (let byte = 0; byte < 128; byte++) if (isAlphanumeric(byte)) EDGES[byte] = GLUES
for (let byte = 128; byte < 256; byte++) EDGES[byte] = LOOK

/** Whether digits go on from `at` for as long as those of a parted card at least. */
function mayBeParted(bytes: Uint8Array, at: number, end: number, separator: number): boolean {
  if (at + CARD_DIGITS_MIN >= end) return false
  for (let p = at + CARD_DIGITS_MIN; p > at + 8; p--) { const byte = bytes[p]!; if ((byte < 48 || byte > 57) && byte !== separator && byte < 0x80) return false }
  return true
}
/** Whether a separator may part digits at `at`. */
const mayPart = (bytes: Uint8Array, at: number, end: number) => at + 1 < end && (bytes[at]! >= 0xc2 || (EDGES[bytes[at]!] === PARTS && digitAt(bytes, at + 1, end) >= 0))
const mayEscape = (byte: number) => byte === 0x25 || isAlphanumeric(byte)
/** An escape reaches no further. */
const ESCAPE_BYTES_MAX = 6

/** Whether digits go on here from others, as in a date. */
const goesOn = (bytes: Uint8Array, start: number, at: number) => at - 2 >= start && (bytes[at - 1] === 0x2d || bytes[at - 1] === 0x2e) && CLASSES[bytes[at - 2]!] === DIGIT
/** Whether two more colons follow at the distance of an address, or one at once: a time of day has fewer. */
function mayBeIpv6(bytes: Uint8Array, at: number, end: number): boolean {
  let p = at, colons = 0
  for (const limit = Math.min(end, at + 11); p < limit && colons < 3; p++) {
    const byte = bytes[p]!
    if (byte === 0x3a) { colons++; if (p + 1 < end && bytes[p + 1] === 0x3a) return true }
    else if (!((byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 102))) return false
  }
  return colons === 3
}
/** Whether 123-45-6789 stands at `at`, in ASCII digits and dashes, glued to nothing. */
function isPlainSsn(bytes: Uint8Array, start: number, at: number, end: number): boolean {
  if (at + SSN_BYTES > end || bytes[at + 3] !== 0x2d || bytes[at + 6] !== 0x2d || (at > start && (EDGES[bytes[at - 1]!]! & (GLUES | LOOK)) !== 0)) return false
  if ((CLASSES[bytes[at]!]! & CLASSES[bytes[at + 1]!]! & CLASSES[bytes[at + 2]!]! & CLASSES[bytes[at + 4]!]! & CLASSES[bytes[at + 5]!]! & DIGIT) === 0) return false
  if ((CLASSES[bytes[at + 7]!]! & CLASSES[bytes[at + 8]!]! & CLASSES[bytes[at + 9]!]! & CLASSES[bytes[at + 10]!]! & DIGIT) === 0) return false
  if (bytes[at]! + bytes[at + 1]! + bytes[at + 2]! === 144 || bytes[at + 4]! + bytes[at + 5]! === 96 || bytes[at + 7]! + bytes[at + 8]! + bytes[at + 9]! + bytes[at + 10]! === 192) return false
  return at + SSN_BYTES === end || (EDGES[bytes[at + SSN_BYTES]!]! & (GLUES | LOOK)) === 0
}
const SSN_BYTES = 11, SSN_DIGITS = 9
/** A phone number without any sign has this many digits at least, in a column that is named for them. */
const BARE_DIGITS_MIN = 7, PHONE_DIGITS_MAX = 15

/**
 * Where the next byte stands that needs a closer look, or `end`. All that most values need: no call, no state, so that it runs at the speed
 * of its loops. `wants` and `mask` say for whom; doubt is a look.
 */
function seek(bytes: Uint8Array, start: number, from: number, end: number, mask: number, wants: number): number {
  const four = end - 4
  let at = from, escape = from - ESCAPE_BYTES_MAX - 1
  for (let p = from - 1; p >= start && p >= from - ESCAPE_BYTES_MAX; p--) if ((CLASSES[bytes[p]!]! & ESCAPE) !== 0) { escape = p; break }
  for (;;) {
    while (at <= four && ((CLASSES[bytes[at]!]! | CLASSES[bytes[at + 1]!]! | CLASSES[bytes[at + 2]!]! | CLASSES[bytes[at + 3]!]!) & mask) === 0) at += 4
    while (at < end && (CLASSES[bytes[at]!]! & mask) === 0) at++
    if (at >= end) return end
    const kind = CLASSES[bytes[at]!]! & mask
    if (kind !== DIGIT) {
      if ((kind & KEY) !== 0 && at > start && isKeyPair(bytes[at - 1]!, bytes[at]!)) return at
      if (kind === ESCAPE) escape = at
      else if (kind === COLON ? mayBeIpv6(bytes, at, end) : (kind & DASH) !== 0 ? at + 1 < end && bytes[at + 1] === 0x2d : kind !== KEY) return at
      at++
      continue
    }
    let run = at + 1
    while (run < end && CLASSES[bytes[run]!] === DIGIT) run++
    const before = at > start ? bytes[at - 1]! : 0, next = run < end ? bytes[run]! : 0
    const left = EDGES[before]!, right = EDGES[next]!, count = run - at
    if (at - escape <= ESCAPE_BYTES_MAX || ((left | right) & LOOK) !== 0 || (before === 0x2b && bytes[at] !== 48 && (wants & PHONE) !== 0)) return at
    if (count === SSN_DIGITS && ((left | right) & GLUES) === 0 && (wants & SSN) !== 0 && ((wants & BARE_SSN) !== 0 || saysSsn(bytes, start, at))) return at
    if ((wants & BARE) !== 0 && count >= BARE_DIGITS_MIN && ((left | right) & GLUES) === 0) return at
    if (left === GLUES) { if ((wants & IBAN) !== 0 && count >= 2 && at - 2 >= start && EDGES[bytes[at - 2]!] === GLUES && (at - 3 < start || EDGES[bytes[at - 3]!] !== GLUES)) return at }
    else if (count >= CARD_DIGITS_MIN) { if ((wants & CARD) !== 0 && right !== GLUES && (right !== 0 || isCard(bytes, at, run))) return at }
    else if (right === PARTS) {
      const after = run + 1 < end ? bytes[run + 1]! : 0, first = bytes[at]!
      if (after < 48 || after > 57) { if (EDGES[after] === LOOK || (EDGES[after]! !== GLUES && EDGES[after] !== 0 && (wants & PHONE) !== 0)) return at }
      else if (count === 3 && next === 0x2d && (wants & SSN) !== 0 && (run + 3 >= end || bytes[run + 3] === 0x2d || bytes[run + 3]! >= 0x80)) return at
      else if (count <= 3 && next === 0x2e && (wants & IP) !== 0) return at
      else if (first >= 50 && first <= 54 && (wants & CARD) !== 0 && mayBeParted(bytes, at, end, next)) return at
      else if ((wants & PHONE) !== 0 && (count === 3 ? first !== 49 : count === 1 ? first === 49 : first === 48 && count <= 5) && !goesOn(bytes, start, at)) return at
    } else if (right === MORE && (wants & PHONE) !== 0) return at
    at = run
  }
}

/** What a column's name says of bare digits in it; several names may be given, parted by spaces. */
function hintsOf(name: string): number {
  const says = (words: RegExp, hint: number) => (words.test(name) ? hint : 0)
  return says(/ssn|soc(?:ial)?[^a-z]?sec/i, BARE_SSN) | says(/card[^a-z]?n|(?:credit|debit|payment|bank)[^a-z]?card|(?<![a-z])(?:card|pan)(?![a-z])|(?<![a-z])cc[^a-z]?n/i, BARE_CARD) | says(/phone|mobile|msisdn|(?<![a-z])(?:tel|cell|fax)(?![a-z])/i, BARE_PHONE)
}

class Scanner implements Detector {
  readonly rules: readonly DetectorRule[]
  readonly #patterns: readonly Pattern[]
  readonly #ownFound = new Found()
  /** Bits of CLASSES that concern these rules. */
  readonly #mask: number
  readonly #wants: number
  readonly #ssn: number
  readonly #card: number
  readonly #iban: number
  readonly #phone: number
  readonly #ip: number
  readonly #email: number
  readonly #key: number
  readonly #jwt: number
  readonly #pem: number

  readonly #hints: number
  /** Of these rules in columns of other names, by what the names say; shared by all of them. */
  readonly #columns: Map<number, Scanner>

  readonly tally: Tally
  constructor(rules: readonly DetectorRule[], hints = 0, columns = new Map<number, Scanner>(), tally = new Tally()) {
    this.rules = rules
    this.tally = tally
    this.#hints = hints
    this.#columns = columns.set(hints, this)
    for (const { detector, pattern } of rules) if (pattern === null && !(DETECTORS as readonly string[]).includes(detector)) throw new Error(`no detector is named ${detector}`)
    const on = (name: Name) => rules.findIndex((rule) => rule.detector === name && rule.pattern === null)
    this.#ssn = on('us-ssn'); this.#card = on('credit-card'); this.#iban = on('iban'); this.#phone = on('phone'); this.#ip = on('ip')
    this.#email = on('email'); this.#key = on('api-key'); this.#jwt = on('jwt'); this.#pem = on('private-key')
    this.#patterns = rules.flatMap((rule, index) => (rule.pattern === null ? [] : [compilePattern(rule.pattern, index)]))
    const bit = (rule: number, kind: number) => (rule === OFF ? 0 : kind)
    const said = (this.#ssn === OFF ? 0 : hints & BARE_SSN) | (this.#card === OFF ? 0 : hints & BARE_CARD) | (this.#phone === OFF ? 0 : hints & BARE_PHONE)
    this.#wants = said | bit(this.#ssn, SSN) | bit(this.#card, CARD) | bit(this.#iban, IBAN) | bit(this.#phone, PHONE) | bit(this.#ip, IP)
    this.#mask = (this.#wants === 0 ? 0 : DIGIT | ESCAPE) | ((this.#wants & (SSN | CARD | PHONE)) === 0 ? 0 : WIDE) | bit(this.#email, AT) | bit(this.#key, KEY) | bit(this.#jwt, TOKEN) | bit(this.#pem, DASH) | bit(this.#ip, COLON)
  }

  inColumn(name: string): Detector {
    const hints = hintsOf(name)
    return hints === this.#hints ? this : this.#columns.get(hints) ?? new Scanner(this.rules, hints, this.#columns, this.tally)
  }

  scan(bytes: Uint8Array, start: number, end: number, found: Found): boolean {
    const mask = this.#mask, wants = this.#wants
    found.count = 0
    forgetVain()
    for (let at = seek(bytes, start, start, end, mask, wants); at < end; at = seek(bytes, start, at, end, mask, wants)) {
      const kind = CLASSES[bytes[at]!]! & mask
      if (kind === DIGIT) {
        if ((wants & SSN) !== 0 && isPlainSsn(bytes, start, at, end)) { found.add(at, at + SSN_BYTES, this.#ssn); at += SSN_BYTES } else at = this.#number(bytes, start, at, end, found)
      } else at = kind === AT && bytes[at] === 0x40 ? this.#emailAt(bytes, start, at, 1, end, found) : this.#other(kind, bytes, start, at, end, found)
    }
    if (this.#patterns.length > 0) this.#own(bytes, start, end, found)
    return found.count > 0
  }

  /** A run of digits of any script begins at `at`. Returns where the pass goes on. */
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
    if (this.#iban !== OFF && count >= 2 && at - 2 >= start && isLetter(bytes[at - 1]!) && this.#take(found, ibanEnd(bytes, start, at, end), at - 2, this.#iban)) return found.to[found.count - 1]!
    if (!beginsAt(bytes, start, at)) return run
    if (count === 3 && this.#ssn !== OFF && afterDash(bytes, run, end) > 0 && this.#take(found, ssnEnd(bytes, at, end), at, this.#ssn)) return found.to[found.count - 1]!
    // The digits of a fraction are no card: `0.4539148803436467`.
    const fraction = at - 2 >= start && bytes[at - 1] === 0x2e && bytes[at - 2]! >= 48 && bytes[at - 2]! <= 57
    if (this.#card !== OFF && count <= CARD_DIGITS_MAX && !(fraction && count >= CARD_DIGITS_MIN) && (count >= CARD_DIGITS_MIN || mayPart(bytes, run, end)) && this.#cardAt(bytes, start, at, end, found)) return found.to[found.count - 1]!
    if (count === SSN_DIGITS && this.#ssn !== OFF && endsAt(bytes, run, end) && ((this.#wants & BARE_SSN) !== 0 || saysSsn(bytes, start, at))) { found.add(at, run, this.#ssn); return run }
    if (this.#ip !== OFF && count <= 3 && bytes[run] === 0x2e && this.#take(found, ipv4End(bytes, start, at, end), at, this.#ip)) return found.to[found.count - 1]!
    if (this.#phone !== OFF && count <= 15) {
      const before = at > start && (bytes[at - 1] === 0x2b || bytes[at - 1] === 0x28) ? at - 1 : at
      if (this.#take(found, phoneEnd(bytes, start, at, end), before, this.#phone)) return found.to[found.count - 1]!
    }
    if ((this.#wants & BARE) !== 0 && endsAt(bytes, run, end)) {
      if ((this.#wants & BARE_CARD) !== 0 && count >= CARD_DIGITS_MIN && count <= CARD_DIGITS_MAX && run - at === count && passesLuhn(bytes, at, run)) { found.add(at, run, this.#card); return run }
      if ((this.#wants & BARE_PHONE) !== 0 && count >= BARE_DIGITS_MIN && count <= PHONE_DIGITS_MAX) { found.add(at, run, this.#phone); return run }
    }
    return run
  }
  #cardAt(bytes: Uint8Array, start: number, at: number, end: number, found: Found): boolean {
    const to = cardEnd(bytes, start, at, end)
    if (to < 0 || isInIban(bytes, start, at, to, end)) return false
    found.add(at, to, this.#card)
    return true
  }

  #other(kind: number, bytes: Uint8Array, start: number, at: number, end: number, found: Found): number {
    if ((kind & (WIDE | AT)) !== 0) {
      if ((kind & WIDE) !== 0 && digitAt(bytes, at, end) >= 0) return this.#number(bytes, start, at, end, found)
      const fullWidthAt = (kind & AT) !== 0 && at + 3 <= end && bytes[at + 1] === 0xbc && bytes[at + 2] === 0xa0
      return fullWidthAt ? this.#emailAt(bytes, start, at, 3, end, found) : at + 1
    }
    if (kind === COLON) {
      const from = ipv6Start(bytes, start, at)
      return from >= 0 && this.#take(found, ipv6End(bytes, from, end), from, this.#ip) ? found.to[found.count - 1]! : at + 1
    }
    if ((kind & DASH) !== 0 && this.#take(found, privateKeyEnd(bytes, at, end), at, this.#pem)) return found.to[found.count - 1]!
    if ((kind & TOKEN) !== 0 && at - 2 >= start && bytes[at - 1] === 0x79 && bytes[at - 2] === 0x65 && this.#take(found, jwtEnd(bytes, start, at - 2, end), at - 2, this.#jwt)) return found.to[found.count - 1]!
    if ((kind & KEY) !== 0 && at > start && isKeyPair(bytes[at - 1]!, bytes[at]!)) {
      const to = keyEnd(bytes, start, at, end)
      if (to >= 0) { found.add(keyFrom, to, this.#key); return Math.max(to, at + 1) }
    }
    return at + 1
  }

  #emailAt(bytes: Uint8Array, start: number, at: number, width: number, end: number, found: Found): number {
    const to = emailEnd(bytes, start, at, width, end)
    if (to < 0) return at + width
    found.add(emailFrom, to, this.#email)
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
