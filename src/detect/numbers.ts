// Values made of digits: social security numbers, payment cards, IBANs, phone numbers. Each reads a bounded number of bytes from the
// start of a run of digits and returns where the value ends, or -1. Callers have checked that a number may begin there.
import { afterDash, afterSpace, beginsAt, digitAt, endsAt, isAlphanumeric, isLetter, widthOf } from './digits.ts'

/** 123-45-6789. By its shape, less what was never issued: no part is all zeros. */
export function ssnEnd(bytes: Uint8Array, at: number, end: number): number {
  let p = at
  for (let part = 0; part < 3; part++) {
    let sum = 0
    for (let count = SSN_PARTS[part]!; count > 0; count--) {
      const digit = digitAt(bytes, p, end)
      if (digit < 0) return -1
      sum += digit
      p += widthOf(bytes[p]!)
    }
    if (sum === 0) return -1
    if (part < 2 && (p = afterDash(bytes, p, end)) < 0) return -1
  }
  return endsAt(bytes, p, end) ? p : -1
}
const SSN_PARTS = Uint8Array.of(3, 2, 4)

/** Whether the `count` digits before `run`, nine of them, are a social security number by what stands before them: `SSN: 219099999`. */
export function saysSsn(bytes: Uint8Array, start: number, at: number): boolean {
  for (let p = at - 1; p >= start + 2 && p >= at - SAID_BYTES_MAX; p--) {
    const last = bytes[p]! | 32
    if (last === 0x6e && (bytes[p - 1]! | 32) === 0x73 && (bytes[p - 2]! | 32) === 0x73) return true
    if (last === 0x6c && p - 5 >= start && isWord(bytes, p - 5, SOCIAL)) return true
  }
  return false
}
const SAID_BYTES_MAX = 28
const SOCIAL = Buffer.from('social')
function isWord(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if ((bytes[at + i]! | 32) !== word[i]) return false
  return true
}

export const CARD_DIGITS_MIN = 13
export const CARD_DIGITS_MAX = 19
const digits = new Uint8Array(CARD_DIGITS_MAX + 1)
const ends = new Int32Array(CARD_DIGITS_MAX + 2)
const bit = (...positions: number[]) => positions.reduce((mask, position) => mask | (1 << position), 0)
/** After how many digits cards are parted; a number parted otherwise counts only when nothing more follows it. */
const GROUPS = new Set([bit(4, 8, 12, 16), bit(4, 10, 15), bit(4, 10, 14), bit(4, 8, 12, 16, 19), bit(4, 8, 12, 16, 18), bit(4, 7, 10, 13), bit(4, 8, 12, 13), bit(4, 8, 12, 14), bit(4, 8, 12, 15)])

/** 13 to 19 digits of any script, in one piece or parted by one kind of separator, of a known issuer, with a valid check digit. */
export function cardEnd(bytes: Uint8Array, start: number, at: number, end: number): number {
  const first = digitAt(bytes, at, end)
  if (first < 2 || first > 6) return -1
  let p = at, count = 0, parted = 0, separator = -1
  for (;;) {
    const byte = p < end ? bytes[p]! : 0
    const digit = byte < 0x80 ? byte - 48 : digitAt(bytes, p, end)
    if (digit >= 0 && digit < 10) {
      if (count === CARD_DIGITS_MAX) { count++; break }
      digits[count++] = digit
      p += byte < 0x80 ? 1 : widthOf(byte)
      ends[count] = p
      continue
    }
    parted |= 1 << count
    if (separator >= 0 && separator !== byte) break
    const next = byte >= 0x80 ? separatorEnd(bytes, p, end) : byte === 0x20 || byte === 0x2d || byte === 0x2e ? p + 1 : -1
    if (next < 0 || digitAt(bytes, next, end) < 0) break
    separator = byte
    p = next
  }
  for (let length = count < CARD_DIGITS_MAX ? count : CARD_DIGITS_MAX; length >= CARD_DIGITS_MIN; length--) {
    if ((parted & (1 << length)) === 0) continue
    const groups = parted & ((2 << length) - 1)
    const known = groups === 1 << length || GROUPS.has(groups) || (count === length && !follows(bytes, start, at))
    if (known && luhn(length) && isIssued(length, digits[0]! * 1000 + digits[1]! * 100 + digits[2]! * 10 + digits[3]!) && endsAt(bytes, ends[length]!, end)) return ends[length]!
  }
  return -1
}
function separatorEnd(bytes: Uint8Array, at: number, end: number): number {
  const space = afterSpace(bytes, at, end)
  if (space >= 0) return space
  const dash = afterDash(bytes, at, end)
  return dash >= 0 ? dash : at < end && bytes[at] === 0x2e ? at + 1 : -1
}
/** Whether [at, to), found as a card that goes on from other digits, lies in an IBAN: its groups of four often do. */
export function isInIban(bytes: Uint8Array, start: number, at: number, to: number, end: number): boolean {
  if (!follows(bytes, start, at)) return false
  for (let p = at - 4; p >= start && p >= at - IBAN_BYTES_MAX; p--) {
    if (isLetter(bytes[p]!) && isLetter(bytes[p + 1]!) && digitAt(bytes, p + 2, end) >= 0 && ibanEnd(bytes, start, p + 2, end) >= to) return true
  }
  return false
}
const IBAN_BYTES_MAX = 44
/** Whether the ASCII digits in [at, end) pass the checksum of cards. */
export const passesLuhn = (bytes: Uint8Array, at: number, end: number): boolean => luhnSum(bytes, at, end) % 10 === 0
function luhnSum(bytes: Uint8Array, at: number, end: number): number {
  let sum = 0
  for (let p = end - 1; p >= at; p -= 2) sum += bytes[p]! - 48
  for (let p = end - 2; p >= at; p -= 2) sum += DOUBLED[bytes[p]! - 48]!
  return sum
}
/** Whether the run at `at` goes on from digits before it. */
const follows = (bytes: Uint8Array, start: number, at: number) => at - 2 >= start && !isAlphanumeric(bytes[at - 1]!) && bytes[at - 2]! >= 48 && bytes[at - 2]! <= 57

function luhn(length: number): boolean {
  let sum = 0
  for (let i = length - 1; i >= 0; i -= 2) sum += digits[i]!
  for (let i = length - 2; i >= 0; i -= 2) sum += DOUBLED[digits[i]!]!
  return sum % 10 === 0
}
/** The sum of the digits of twice a digit. */
const DOUBLED = Uint8Array.of(0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

/** Whether the ASCII digits in [at, end), 13 or more in one piece, are a card's. */
export function isCard(bytes: Uint8Array, at: number, end: number): boolean {
  return luhnSum(bytes, at, end) % 10 === 0 && isIssued(end - at, (bytes[at]! - 48) * 1000 + (bytes[at + 1]! - 48) * 100 + (bytes[at + 2]! - 48) * 10 + bytes[at + 3]! - 48)
}
/** Whether a card of this length may begin with these four digits: ISO/IEC 7812 ranges that the schemes publish, with the lengths they issue. */
function isIssued(length: number, four: number): boolean {
  const two = Math.floor(four / 100)
  if (four >= 4000 && four <= 4999) return length === 13 || length === 16 || length === 18 || length === 19
  if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720) || (four >= 2200 && four <= 2204)) return length === 16
  if (two === 34 || two === 37) return length === 15
  if (two === 36 || two === 38 || two === 39 || (four >= 3000 && four <= 3059) || (four >= 3090 && four <= 3099)) return length === 14 || length === 16 || length === 19
  if (four >= 3528 && four <= 3589) return length >= 16 && length <= CARD_DIGITS_MAX
  if (two === 65 || two === 62 || four === 6011 || (four >= 6440 && four <= 6499) || two === 60) return length >= 16 && length <= CARD_DIGITS_MAX
  return length <= CARD_DIGITS_MAX && (four === 5018 || four === 5020 || four === 5038 || four === 5893 || four === 6304 || four === 6759 || (four >= 6761 && four <= 6763))
}

/** Lengths by country, SWIFT IBAN registry. */
const IBAN_LENGTHS: Readonly<Record<string, number>> = {
  AD: 24, AE: 23, AL: 28, AT: 20, AZ: 28, BA: 20, BE: 16, BG: 22, BH: 22, BI: 27, BR: 29, BY: 28, CH: 21, CR: 22, CY: 28, CZ: 24, DE: 22, DJ: 27, DK: 18, DO: 28, EE: 20, EG: 29, ES: 24, FI: 18,
  FK: 18, FO: 18, FR: 27, GB: 22, GE: 22, GI: 23, GL: 18, GR: 27, GT: 28, HN: 28, HR: 21, HU: 28, IE: 22, IL: 23, IQ: 23, IS: 26, IT: 27, JO: 30, KW: 30, KZ: 20, LB: 28, LC: 32, LI: 21, LT: 20,
  LU: 20, LV: 21, LY: 25, MC: 27, MD: 24, ME: 22, MK: 19, MN: 20, MR: 27, MT: 31, MU: 30, NI: 28, NL: 18, NO: 15, OM: 23, PK: 24, PL: 28, PS: 29, PT: 25, QA: 29, RO: 24, RS: 22, RU: 33, SA: 24,
  SC: 31, SD: 18, SE: 24, SI: 19, SK: 24, SM: 27, SO: 23, ST: 25, SV: 28, TL: 23, TN: 24, TR: 26, UA: 29, VA: 22, VG: 24, XK: 20, YE: 30,
}

/** Where an IBAN ends whose check digits are at `at` (its country stands before them), -1 when there is none. */
export function ibanEnd(bytes: Uint8Array, start: number, at: number, end: number): number {
  const from = at - 2
  if (from < start || !isLetter(bytes[from]!) || !isLetter(bytes[from + 1]!) || !beginsAt(bytes, start, from)) return -1
  const length = IBAN_LENGTHS[String.fromCharCode(bytes[from]! & 0xdf, bytes[from + 1]! & 0xdf)]
  if (length === undefined) return -1
  let p = at, remainder = 0
  for (let i = 2; i < length; i++) {
    if (p < end && bytes[p] === 0x20 && i > 2) p++
    const value = p < end ? alphanumericValue(bytes[p]!) : -1
    if (value < 0 || (i < 4 && value > 9)) return -1
    if (i >= 4) remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
    p++
  }
  for (const byte of [bytes[from]!, bytes[from + 1]!]) remainder = (remainder * 100 + alphanumericValue(byte)) % 97
  remainder = (remainder * 100 + (bytes[at]! - 48) * 10 + (bytes[at + 1]! - 48)) % 97
  return remainder === 1 && endsAt(bytes, p, end) ? p : -1
}
const alphanumericValue = (byte: number) => (byte >= 48 && byte <= 57 ? byte - 48 : isLetter(byte) ? (byte | 32) - 87 : -1)

const PHONE_BYTES_MAX = 48
const PHONE_PARTS_MAX = 8
const sizes = new Uint8Array(PHONE_PARTS_MAX)
const firsts = new Uint8Array(PHONE_PARTS_MAX)

/** +49 30 901820, (212) 555-0199, 212-555-0199, 020 7946 0018: international, North American, or with a trunk zero and parted. */
export function phoneEnd(bytes: Uint8Array, start: number, at: number, end: number): number {
  const international = at > start && bytes[at - 1] === 0x2b
  if (international && !beginsAt(bytes, start, at - 1)) return -1
  const limit = Math.min(end, at + PHONE_BYTES_MAX)
  let p = at, last = at, count = 0, part = 0
  sizes[0] = 0
  while (p < limit) {
    const digit = digitAt(bytes, p, limit)
    if (digit >= 0) {
      if (sizes[part]! === 0) firsts[part] = digit
      count++
      sizes[part]!++
      p += widthOf(bytes[p]!)
      last = p
      continue
    }
    p = phoneGap(bytes, p, limit)
    if (p < 0 || part + 1 === PHONE_PARTS_MAX || (!international && count > 11)) break
    sizes[++part] = 0
  }
  if (!endsAt(bytes, last, end)) return -1
  if (international) return count >= 8 && count <= 15 && firsts[0] !== 0 ? last : -1
  const area = sizes[0] === 1 && firsts[0] === 1 ? 1 : 0
  // Area codes and exchanges of the North American plan begin with 2 to 9.
  if (part - area === 2 && sizes[area] === 3 && sizes[area + 1] === 3 && sizes[area + 2] === 4) return firsts[area]! >= 2 && firsts[area + 1]! >= 2 ? last : -1
  // 012-34-5678 is a social security number rather.
  if (part === 2 && sizes[0] === 3 && sizes[1] === 2 && sizes[2] === 4) return -1
  return firsts[0] === 0 && part >= 1 && part <= 4 && sizes[0]! >= 2 && sizes[0]! <= 5 && count >= 9 && count <= 11 ? last : -1
}
/** Up to two of space, dash, dot, slash and brackets before the next digit. */
function phoneGap(bytes: Uint8Array, at: number, end: number): number {
  for (let gap = 0; gap < 3; gap++) {
    if (gap > 0 && digitAt(bytes, at, end) >= 0) return at
    const separator = separatorEnd(bytes, at, end)
    if (separator >= 0) at = separator
    else if (at < end && (bytes[at] === 0x28 || bytes[at] === 0x29 || bytes[at] === 0x2f)) at++
    else return -1
  }
  return digitAt(bytes, at, end) >= 0 ? at : -1
}
