// E-mail and IP addresses. An e-mail is found by its @ and read in both directions; neither direction passes another @, so that a text
// made of them still takes linear time.
import { beginsAt, digitAt, endsAt, isAlphanumeric, isLetter } from './digits.ts'

const LOCAL = 1, BETWEEN = 2
const local = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) if (isAlphanumeric(byte) || byte >= 0x80) local[byte] = LOCAL
for (const character of '._%+-') local[character.charCodeAt(0)] = LOCAL
// Allowed by RFC 5322, but as often quotes and separators: part of an address only between letters.
for (const character of '!#$&\'*^~') local[character.charCodeAt(0)] = BETWEEN

const QUOTED_BYTES_MAX = 66

/** Where the address recognised last begins. */
export let emailFrom = 0
/** End of the address whose @, `width` bytes wide, is at `at`; -1 when there is none. Where it begins is left in `emailFrom`. */
export function emailEnd(bytes: Uint8Array, start: number, at: number, width: number, end: number): number {
  const from = emailStart(bytes, start, at)
  if (from === at) return -1
  emailFrom = from
  return domainEnd(bytes, at + width, end)
}

/** Start of the part before the @ at `at`, or `at` when there is none. */
function emailStart(bytes: Uint8Array, start: number, at: number): number {
  if (at > start && bytes[at - 1] === 0x22) return quotedStart(bytes, start, at)
  let p = at
  while (p > start && local[bytes[p - 1]!] === LOCAL) p--
  while (p > start) {
    const kind = local[bytes[p - 1]!]!
    if (kind === 0 || (kind === BETWEEN && (p - 1 === start || p === at || !isAlphanumeric(bytes[p - 2]!) || !isAlphanumeric(bytes[p]!)))) break
    p--
  }
  // The letter of an escape such as \n belongs to the text, not to the address.
  if (p > start && bytes[p - 1] === 0x5c && p + 1 < at && 'bfnrt'.includes(String.fromCharCode(bytes[p]!))) p++
  while (p < at && (bytes[p] === 0x2e || bytes[p] === 0x2d || bytes[p] === 0x25)) p++
  return p
}
function quotedStart(bytes: Uint8Array, start: number, at: number): number {
  for (let p = at - 2; p >= start && p >= at - QUOTED_BYTES_MAX; p--) if (bytes[p] === 0x22) return p
  return at
}

const LETTER = 4
const domain = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) domain[byte] = byte >= 0x80 || isLetter(byte) ? LOCAL | LETTER : isAlphanumeric(byte) || byte === 0x5f ? LOCAL : 0
domain[0x2d] = BETWEEN

/** End of the domain that begins at `at`: labels, and a last one of at least two letters; -1 when there is none. */
function domainEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end || (domain[bytes[at]!]! & LOCAL) === 0) return -1
  let p = at, best = -1
  while (p < end) {
    while (p < end && domain[bytes[p]!] !== 0) p++
    if (p >= end || bytes[p] !== 0x2e) break
    let letters = p + 1
    while (letters < end && (domain[bytes[letters]!]! & LETTER) !== 0) letters++
    if (letters - p > 2) { best = letters; p = letters; continue }
    if (p + 1 < end && bytes[p + 1] === 0x2e) break
    p++
  }
  // xn--p1ai: the last label goes on after its prefix.
  if (best >= 2 && best + 2 < end && bytes[best] === 0x2d && bytes[best + 1] === 0x2d && (bytes[best - 1]! | 32) === 0x6e && (bytes[best - 2]! | 32) === 0x78) {
    best += 2
    while (best < end && isAlphanumeric(bytes[best]!)) best++
  }
  return best
}

/** Four octets; not a longer dotted number such as a version of five parts. */
export function ipv4End(bytes: Uint8Array, start: number, at: number, end: number): number {
  if (at - 2 >= start && bytes[at - 1] === 0x2e && isAlphanumeric(bytes[at - 2]!)) return -1
  let p = at
  for (let part = 0; part < 4; part++) {
    if (part > 0 && (p >= end || bytes[p++] !== 0x2e)) return -1
    let value = 0, count = 0
    for (let digit; count < 4 && (digit = p < end && bytes[p]! < 58 ? digitAt(bytes, p, end) : -1) >= 0; p++, count++) value = value * 10 + digit
    if (count === 0 || count > 3 || value > 255) return -1
  }
  return endsAt(bytes, p, end) && !(p + 1 < end && bytes[p] === 0x2e && digitAt(bytes, p + 1, end) >= 0) ? p : -1
}

const IPV6_BYTES_MAX = 45
const isHexadecimal = (byte: number) => (byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 102)

/** Start of the address whose first colon is at `at`; -1 when it can't begin there. */
export function ipv6Start(bytes: Uint8Array, start: number, at: number): number {
  let p = at
  while (p > start && at - p < 5 && isHexadecimal(bytes[p - 1]!)) p--
  return at - p <= 4 && beginsAt(bytes, start, p) && !(p > start && bytes[p - 1] === 0x3a) ? p : -1
}
export function ipv6End(bytes: Uint8Array, from: number, end: number): number {
  let p = from, groups = 0, gap = false, size = 0
  const limit = Math.min(end, from + IPV6_BYTES_MAX)
  while (p < limit) {
    const byte = bytes[p]!
    if (isHexadecimal(byte)) { if (++size > 4) return -1; if (size === 1) groups++; p++; continue }
    if (byte !== 0x3a) break
    if (p + 1 < limit && bytes[p + 1] === 0x3a) { if (gap) return -1; gap = true; p += 2 }
    else { if (p === from || p + 1 >= limit || !isHexadecimal(bytes[p + 1]!)) break; p++ }
    size = 0
  }
  return (gap ? groups >= 1 && groups <= 7 : groups === 8) && endsAt(bytes, p, end) && bytes[p - 1] !== 0x2e ? p : -1
}
