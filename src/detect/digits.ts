// Digits of any script, separators and word boundaries, read straight from UTF-8. Never decodes a whole value.

/** Code points of the zeros of every decimal digit block of Unicode beyond ASCII (general category Nd; a test compares them). */
export const ZEROS = Uint32Array.from(('660 6f0 7c0 966 9e6 a66 ae6 b66 be6 c66 ce6 d66 de6 e50 ed0 f20 1040 1090 17e0 1810 1946 19d0 1a80 1a90 1b50 1bb0 1c40 1c50 ' +
  'a620 a8d0 a900 a9d0 a9f0 aa50 abf0 ff10 104a0 10d30 10d40 11066 110f0 11136 111d0 112f0 11450 114d0 11650 116c0 116d0 116da 11730 118e0 11950 11bf0 11c50 11d50 11da0 11de0 ' +
  '11f50 16130 16a60 16ac0 16b50 16d70 1ccf0 1d7ce 1d7d8 1d7e2 1d7ec 1d7f6 1e140 1e2f0 1e4f0 1e5f1 1e950 1fbf0').split(' ').map((hex) => parseInt(hex, 16)))
/** First bytes of the UTF-8 of those digits. */
export const WIDE_LEADS: readonly number[] = [0xd9, 0xdb, 0xdf, 0xe0, 0xe1, 0xea, 0xef, 0xf0]

export const widthOf = (lead: number): number => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4)

/** Value of the digit at `at`, -1 when there is none. Its width is `widthOf(bytes[at])`. */
export function digitAt(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1
  const byte = bytes[at]!
  if (byte < 58) return byte >= 48 ? byte - 48 : -1
  return byte < 0xd9 ? -1 : wideDigit(bytes, at, end)
}

function wideDigit(bytes: Uint8Array, at: number, end: number): number {
  const code = codePoint(bytes, at, end)
  if (code < 0x660) return -1
  let low = 0, high = ZEROS.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (ZEROS[middle]! <= code) low = middle
    else high = middle - 1
  }
  const value = code - ZEROS[low]!
  return value < 10 ? value : -1
}

/** The code point at `at`, -1 when its bytes are not all here. Continuation bytes are not checked. */
function codePoint(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!
  if (at + widthOf(lead) > end) return -1
  if (lead < 0x80) return lead
  if (lead < 0xe0) return ((lead & 31) << 6) | (bytes[at + 1]! & 63)
  if (lead < 0xf0) return ((lead & 15) << 12) | ((bytes[at + 1]! & 63) << 6) | (bytes[at + 2]! & 63)
  return ((lead & 7) << 18) | ((bytes[at + 1]! & 63) << 12) | ((bytes[at + 2]! & 63) << 6) | (bytes[at + 3]! & 63)
}

/** End of a hyphen, dash or minus of any width at `at`, -1 when there is none. */
export function afterDash(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1
  const byte = bytes[at]!
  if (byte === 0x2d) return at + 1
  if (byte < 0xe2) return -1
  const code = codePoint(bytes, at, end)
  return (code >= 0x2010 && code <= 0x2015) || code === 0x2212 || code === 0xff0d || code === 0xfe63 ? at + 3 : -1
}

/** End of a space of any width at `at`, -1 when there is none. */
export function afterSpace(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1
  const byte = bytes[at]!
  if (byte === 0x20) return at + 1
  if (byte < 0xc2) return -1
  const code = codePoint(bytes, at, end)
  return code === 0xa0 ? at + 2 : (code >= 0x2002 && code <= 0x200a) || code === 0x202f || code === 0x3000 ? at + 3 : -1
}

export const isLetter = (byte: number): boolean => (byte | 32) >= 97 && (byte | 32) <= 122
export const isAlphanumeric = (byte: number): boolean => isLetter(byte) || (byte >= 48 && byte <= 57)

/** Whether a number may begin at `at`: not glued to an ASCII letter or digit. An escape before it (`\n`, `\u000a`, `%2C`) glues nothing. */
export const beginsAt = (bytes: Uint8Array, start: number, at: number): boolean => at <= start || !isAlphanumeric(bytes[at - 1]!) || escapeEnd(bytes, start, at) === at

/** End of the escape (`\n`, `\u0031`, `\x31`, `%20`) that reaches to `at` or over it, -1 when there is none. */
export function escapeEnd(bytes: Uint8Array, start: number, at: number): number {
  for (let p = at - 1; p >= start && p >= at - 6; p--) {
    const byte = bytes[p]!
    if (byte === 0x25) return p + 3 >= at ? p + 3 : -1
    if (byte === 0x5c) {
      const kind = p + 1 < at ? bytes[p + 1]! | 32 : 0
      const end = kind === 0x75 ? p + 6 : kind === 0x78 ? p + 4 : isLetter(kind) ? p + 2 : -1
      return end >= at ? end : -1
    }
    if (!isAlphanumeric(byte)) return -1
  }
  return -1
}
/** Whether a number may end before `at`. */
export const endsAt = (bytes: Uint8Array, at: number, end: number): boolean => at >= end || (!isAlphanumeric(bytes[at]!) && digitAt(bytes, at, end) < 0)
