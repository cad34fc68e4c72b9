// The shape of a text: its bytes with each plain literal replaced by a mark of its kind. Texts of one shape have the same tokens in the same
// order, so what was read of one holds for the other wherever the reading says that literals don't matter. Null: read it with the grammar.
import { isUtf8 } from 'node:buffer'
import { CLASS, CLASSES, TEXT, afterComment, afterLine, afterNumber, afterQuoted, afterText, afterWord, numberKind } from './lexer.ts'

/** Longer texts are read one by one. */
export const SHAPE_BYTES_MAX = 4096
export const SHAPE_LITERALS_MAX = 256
export interface Shape {
  readonly key: string
  /** Start, end (bytes in the buffer given) and kind of each literal, flat. */
  readonly literals: readonly number[]
}

const { SPACE, LETTER, DIGIT, QUOTE, DOUBLE, DOLLAR, DOT, BAD } = CLASSES
const scratch = Buffer.allocUnsafe(SHAPE_BYTES_MAX)
/** Prefixes that make the quote after them something else than a plain string: e b x n. */
const isPrefix = (byte: number): boolean => { const lower = byte | 0x20; return lower === 0x65 || lower === 0x62 || lower === 0x78 || lower === 0x6e }

export function shapeOf(bytes: Buffer, start: number, end: number): Shape | null {
  if (end - start > SHAPE_BYTES_MAX) return null
  const literals: number[] = []
  let out = 0
  let copied = start
  let foreign = false
  /** The token before was a string: another one may go on it. */
  let afterString = false
  let i = start
  while (i < end) {
    const byte = bytes[i]!
    const kind = CLASS[byte]!
    if (kind === SPACE) { i++; continue }
    if (kind === LETTER) {
      const next = afterWord(bytes, i, end)
      if (next < end && bytes[next] === 0x27 && next === i + 1 && isPrefix(byte)) return null
      // U&'…' and U&"…"
      if (next === i + 1 && (byte | 0x20) === 0x75 && next + 1 < end && bytes[next] === 0x26 && (bytes[next + 1] === 0x27 || bytes[next + 1] === 0x22)) return null
      for (let j = i; j < next && !foreign; j++) if (bytes[j]! >= 0x80) foreign = true
      i = next
      afterString = false
      continue
    }
    if (kind === QUOTE) {
      if (afterString) return null
      const next = afterText(bytes, i, end)
      if (next === -1) return null
      for (let j = i; j < next && !foreign; j++) if (bytes[j]! >= 0x80) foreign = true
      if (literals.length >= 3 * SHAPE_LITERALS_MAX) return null
      literals.push(i, next, TEXT)
      for (let j = copied; j < i; j++) scratch[out++] = bytes[j]!
      scratch[out++] = TEXT
      copied = i = next
      afterString = true
      continue
    }
    if (kind === DIGIT || (kind === DOT && i + 1 < end && CLASS[bytes[i + 1]!] === DIGIT)) {
      const next = afterNumber(bytes, i, end)
      if (next === -1 || literals.length >= 3 * SHAPE_LITERALS_MAX) return null
      literals.push(i, next, numberKind)
      for (let j = copied; j < i; j++) scratch[out++] = bytes[j]!
      scratch[out++] = numberKind
      copied = i = next
      afterString = false
      continue
    }
    if (kind === BAD || (kind === DOT && i + 1 < end && bytes[i + 1] === 0x2e)) return null
    if (kind === DOUBLE) {
      const next = afterQuoted(bytes, i, end)
      if (next === -1) return null
      for (let j = i; j < next; j++) { if (bytes[j]! < 0x20) return null; if (bytes[j]! >= 0x80) foreign = true }
      i = next
      afterString = false
      continue
    }
    if (kind === DOLLAR) {
      // $1; anything else begins a dollar quote or is junk.
      let next = i + 1
      while (next < end && CLASS[bytes[next]!] === DIGIT) next++
      if (next === i + 1 || (next < end && (CLASS[bytes[next]!] === LETTER || CLASS[bytes[next]!] === DOLLAR))) return null
      i = next
      afterString = false
      continue
    }
    if (byte === 0x2d && i + 1 < end && bytes[i + 1] === 0x2d) {
      const next = afterLine(bytes, i, end)
      if (next === -1 || !inert(bytes, i, next)) return null
      i = next
      continue
    }
    if (byte === 0x2f && i + 1 < end && bytes[i + 1] === 0x2a) {
      const next = afterComment(bytes, i, end)
      if (next === -1 || !inert(bytes, i, next)) return null
      i = next
      continue
    }
    i++
    afterString = false
  }
  if (foreign && !isUtf8(bytes.subarray(start, end))) return null
  for (let j = copied; j < end; j++) scratch[out++] = bytes[j]!
  return { key: scratch.toString('latin1', 0, out), literals }
}

/** A comment stays in the key as it is: it must not hold bytes that are marks, nor bytes whose validity nobody has checked. */
function inert(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) { const byte = bytes[i]!; if (byte >= 0x80 || (byte < 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return false }
  return true
}
