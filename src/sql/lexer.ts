// An exact lexer over bytes for the plain part of PostgreSQL's language: where each identifier, literal and comment ends, by the rules of the
// server's scan.l. What it isn't sure of (E'', U&'', $$, backslashes, junk after numbers) it refuses with -1: then the grammar reads the text.

/** Kinds of literals: another kind in the same place is another shape. `large` and `numeric` are no int4. */
export const TEXT = 1, INTEGER = 2, LARGE = 3, NUMERIC = 4

const SPACE = 1, LETTER = 2, DIGIT = 3, QUOTE = 4, DOUBLE = 5, DOLLAR = 6, DOT = 7, OTHER = 8, BAD = 0
/** Class of each byte outside of quotes and comments. */
export const CLASS = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte)
  CLASS[byte] = byte >= 0x80 || /[A-Za-z_]/.test(char) ? LETTER : /[0-9]/.test(char) ? DIGIT : /[ \t\n\r\f]/.test(char) ? SPACE
    : char === '\'' ? QUOTE : char === '"' ? DOUBLE : char === '$' ? DOLLAR : char === '.' ? DOT : /[-+*/<>=~!@#%^&|`?,()[\];:{}]/.test(char) && !'`{}?'.includes(char) ? OTHER : BAD
}
export const CLASSES = { SPACE, LETTER, DIGIT, QUOTE, DOUBLE, DOLLAR, DOT, OTHER, BAD } as const

/** After an identifier that begins at `at`. */
export function afterWord(bytes: Uint8Array, at: number, end: number): number {
  let i = at + 1
  while (i < end) {
    const kind = CLASS[bytes[i]!]!
    if (kind !== LETTER && kind !== DIGIT && kind !== DOLLAR) break
    i++
  }
  return i
}

/** After a plain string whose quote is at `at`; -1 when it is open or holds a backslash. */
export function afterText(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0x27) { if (i + 1 < end && bytes[i + 1] === 0x27) i++; else return i + 1 }
    else if (byte === 0x5c || byte === 0) return -1
  }
  return -1
}

/** After a quoted identifier. */
export function afterQuoted(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0x22) { if (i + 1 < end && bytes[i + 1] === 0x22) i++; else return i === at + 1 ? -1 : i + 1 }
    else if (byte === 0) return -1
  }
  return -1
}

/** After a comment whose `/*` is at `at`; comments nest. */
export function afterComment(bytes: Uint8Array, at: number, end: number): number {
  let depth = 0
  for (let i = at; i + 1 < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) return -1
    if (byte === 0x2f && bytes[i + 1] === 0x2a) { depth++; i++ }
    else if (byte === 0x2a && bytes[i + 1] === 0x2f) { depth--; i++; if (depth === 0) return i + 1 }
  }
  return -1
}

/** After a `--` comment: at its newline, or the end. */
export function afterLine(bytes: Uint8Array, at: number, end: number): number {
  let i = at + 2
  while (i < end && bytes[i] !== 0x0a && bytes[i] !== 0x0d) { if (bytes[i] === 0) return -1; i++ }
  return i
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39

/** Kind of the number that `afterNumber` found last: one thread, no allocation. */
export let numberKind = INTEGER
const INT4_DIGITS = '2147483647'

/** After a decimal number at `at` (a digit, or a dot before one); -1 for other bases, underscores, `1..2` and junk behind it. */
export function afterNumber(bytes: Uint8Array, at: number, end: number): number {
  let i = at
  while (i < end && isDigit(bytes[i])) i++
  const digits = i - at
  let plain = true
  if (i < end && bytes[i] === 0x2e) {
    if (i + 1 < end && bytes[i + 1] === 0x2e) return -1
    plain = false
    i++
    while (i < end && isDigit(bytes[i])) i++
  }
  if (i < end && (bytes[i]! | 0x20) === 0x65) {
    let exponent = i + 1
    if (exponent < end && (bytes[exponent] === 0x2b || bytes[exponent] === 0x2d)) exponent++
    if (exponent >= end || !isDigit(bytes[exponent])) return -1
    plain = false
    i = exponent
    while (i < end && isDigit(bytes[i])) i++
  }
  if (i < end) { const next = CLASS[bytes[i]!]!; if (next === LETTER || next === DOLLAR) return -1 }
  numberKind = plain ? kindOfInteger(bytes, at, digits) : NUMERIC
  return i
}

function kindOfInteger(bytes: Uint8Array, first: number, count: number): number {
  let at = first
  let digits = count
  while (digits > 1 && bytes[at] === 0x30) { at++; digits-- }
  if (digits < 10) return INTEGER
  if (digits > 10) return digits < 19 ? LARGE : NUMERIC
  for (let i = 0; i < 10; i++) {
    const difference = bytes[at + i]! - INT4_DIGITS.charCodeAt(i)
    if (difference !== 0) return difference < 0 ? INTEGER : LARGE
  }
  return INTEGER
}
