// Detectors over the strings of JSON text, keys included. The result stays JSON: only strings change, and only those in which something
// was found. Numbers are left alone.
import type { Detector, KeyedHash } from '../../detect/index.ts'
import { Found, writeHidden } from '../../detect/index.ts'
import { type CellMask, NULLED, REPLACED, UNCHANGED } from '../../core/mask.ts'
import { Scratch } from '../../wire/bytes.ts'

const QUOTE = 0x22, BACKSLASH = 0x5c
/** Version byte before the text of a jsonb value in binary format. */
export const JSONB_VERSION = 1

export function jsonMask(detector: Detector, hash: KeyedHash): CellMask {
  const found = new Found()
  const decoded = new Scratch(256), hidden = new Scratch(256)
  return (input, start, end, out) => {
    let done = start, at = start, changed = false
    while (at < end) {
      if (input[at] !== QUOTE) { at++; continue }
      const first = at + 1
      let close = first, escaped = false
      while (close < end && input[close] !== QUOTE) { if (input[close] === BACKSLASH) { escaped = true; close++ } close++ }
      if (close > end) close = end
      at = close + 1
      if (escaped) {
        decoded.reset()
        unescapeJson(input, first, close, decoded)
        if (!detector.scan(decoded.bytes, 0, decoded.length, found)) continue
        hidden.reset()
        writeHidden(detector, found, decoded.bytes, 0, decoded.length, hash, hidden)
        out.copy(input, done, first)
        escapeJson(hidden.bytes, hidden.length, out)
      } else {
        if (!detector.scan(input, first, close, found)) continue
        out.copy(input, done, first)
        writeHidden(detector, found, input, first, close, hash, out)
      }
      changed = true
      done = close
    }
    if (changed) out.copy(input, done, end)
    return changed ? REPLACED : UNCHANGED
  }
}

/** jsonb in binary format: a version byte, then the text. Another version is nothing we can look into: it becomes NULL. */
export function binaryJsonbMask(mask: CellMask): CellMask {
  const text = new Scratch(256)
  return (input, start, end, out) => {
    if (input[start] !== JSONB_VERSION) return NULLED
    text.reset()
    if (mask(input, start + 1, end, text) === UNCHANGED) return UNCHANGED
    out.u8(JSONB_VERSION)
    out.copy(text.bytes, 0, text.length)
    return REPLACED
  }
}

const SHORT: Readonly<Record<string, number>> = { b: 8, f: 12, n: 10, r: 13, t: 9 }
function unescapeJson(input: Buffer, from: number, to: number, out: Scratch): void {
  for (let at = from; at < to; at++) {
    if (input[at] !== BACKSLASH) { out.u8(input[at]!); continue }
    const letter = String.fromCharCode(input[++at] ?? 0)
    if (letter !== 'u') { out.u8(SHORT[letter] ?? letter.charCodeAt(0)); continue }
    let unit = parseInt(input.toString('latin1', at + 1, at + 5), 16)
    at += 4
    if (unit >= 0xd800 && unit < 0xdc00 && input[at + 1] === BACKSLASH && input[at + 2] === 0x75) {
      const low = parseInt(input.toString('latin1', at + 3, at + 7), 16)
      if (low >= 0xdc00 && low < 0xe000) { unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00); at += 6 }
    }
    out.text(Number.isNaN(unit) ? '?' : String.fromCodePoint(unit))
  }
}
function escapeJson(bytes: Buffer, length: number, out: { u8(value: number): void; text(value: string): void }): void {
  for (let at = 0; at < length; at++) {
    const byte = bytes[at]!
    if (byte === QUOTE || byte === BACKSLASH) { out.u8(BACKSLASH); out.u8(byte) }
    else if (byte < 0x20) out.text(`\\u${byte.toString(16).padStart(4, '0')}`)
    else out.u8(byte)
  }
}
