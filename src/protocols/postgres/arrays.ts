// The mask of an array in text format, built from the mask of its elements. Bounds and element count never change.
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
import { type CellMask, NULLED, REPLACED, UNCHANGED } from '../../core/mask.ts'
import type { Scratch } from '../../wire/bytes.ts'
import { give, take } from './spare.ts'

const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN = 0x7b, CLOSE = 0x7d, COMMA = 0x2c

/** `{a,"b c",NULL,{…}}` with elements masked by `element`; those that change are written in quotes. */
export function textArrayMask(element: CellMask): CellMask {
  return (input, start, end, out) => {
    const raw = take(), masked = take()
    let at = start, done = start, changed = false
    if (input[at] === 0x5b) while (at < end && input[at] !== 0x3d) at++
    while (at < end) {
      const byte = input[at]!
      if (byte === OPEN || byte === CLOSE || byte === COMMA || byte === 0x3d) { at++; continue }
      const from = at
      let verdict: number
      masked.reset()
      if (byte === QUOTE) {
        let escaped = false
        for (at++; at < end && input[at] !== QUOTE; at++) if (input[at] === BACKSLASH) { escaped = true; at++ }
        if (at > end) at = end
        if (escaped) { unquote(input, from + 1, at, raw); verdict = element(raw.bytes, 0, raw.length, masked) }
        else verdict = element(input, from + 1, at, masked)
        at = Math.min(at + 1, end)
      } else {
        while (at < end && input[at] !== COMMA && input[at] !== CLOSE) at++
        verdict = isNull(input, from, at) ? UNCHANGED : element(input, from, at, masked)
      }
      if (verdict === UNCHANGED) continue
      changed = true
      out.copy(input, done, from)
      if (verdict === NULLED) out.text('NULL')
      else quoted(masked.bytes, masked.length, out)
      done = at
    }
    if (changed) out.copy(input, done, end)
    give(raw)
    give(masked)
    return changed ? REPLACED : UNCHANGED
  }
}
const isNull = (input: Buffer, from: number, to: number) => to - from === 4 && input.toString('latin1', from, to).toUpperCase() === 'NULL'
function unquote(input: Buffer, from: number, to: number, out: Scratch): void {
  out.reset()
  for (let at = from; at < to; at++) { if (input[at] === BACKSLASH) at++; out.u8(input[at]!) }
}
function quoted(bytes: Buffer, length: number, out: { u8(value: number): void }): void {
  out.u8(QUOTE)
  for (let at = 0; at < length; at++) { if (bytes[at] === QUOTE || bytes[at] === BACKSLASH) out.u8(BACKSLASH); out.u8(bytes[at]!) }
  out.u8(QUOTE)
}
