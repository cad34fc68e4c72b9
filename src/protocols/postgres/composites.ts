// Masks of arrays, records and hstore values in binary format, built from the masks of what they hold. Shape, types and element count never
// change. A value without the structure it must have becomes NULL. array_send, record_send, hstore_send in PostgreSQL's source.
import { type CellMask, NULLED, type Output, REPLACED, UNCHANGED } from '../../core/mask.ts'
import type { Scratch } from '../../wire/bytes.ts'
import { i32 } from './frames.ts'
import { give, take } from './spare.ts'

const DIMENSIONS_MAX = 6
const RECORD_COLUMNS_MAX = 1664
/** Records within records: deeper ones become NULL. */
export const NESTING_MAX = 32

/** Finds the mask of a part by its type OID; null: values of that type hold nothing to look for. */
export type MaskOf = (type: number) => CellMask | null

/** Position after a length word and its value, -1 when they don't fit. */
function afterValue(input: Buffer, p: number, end: number): number {
  if (p + 4 > end) return -1
  const length = i32(input, p)
  return length < -1 || p + 4 + Math.max(0, length) > end ? -1 : p + 4 + Math.max(0, length)
}
export function isBinaryArray(input: Buffer, start: number, end: number): boolean {
  if (end - start < 12) return false
  const dimensions = i32(input, start), flags = i32(input, start + 4)
  if (dimensions < 0 || dimensions > DIMENSIONS_MAX || (flags !== 0 && flags !== 1) || end - start < 12 + dimensions * 8) return false
  let count = dimensions === 0 ? 0 : 1
  for (let d = 0; d < dimensions; d++) { count *= i32(input, start + 12 + d * 8); if (count < 0 || count > end - start) return false }
  let p = start + 12 + dimensions * 8
  for (; count > 0; count--) { p = afterValue(input, p, end); if (p < 0) return false }
  return p === end
}
/** A count, then type, length and value of each column. */
export function isBinaryRecord(input: Buffer, start: number, end: number): boolean {
  if (end - start < 4) return false
  let count = i32(input, start), p = start + 4
  if (count < 0 || count > RECORD_COLUMNS_MAX) return false
  for (; count > 0; count--) { if (p + 8 > end) return false; p = afterValue(input, p + 4, end); if (p < 0) return false }
  return p === end
}
/** A count, then length and bytes of each key and value. */
export function isBinaryHstore(input: Buffer, start: number, end: number): boolean {
  if (end - start < 4) return false
  let count = i32(input, start), p = start + 4
  if (count < 0 || count * 8 > end - start) return false
  for (; count > 0; count--) {
    if (p + 4 > end || i32(input, p) < 0) return false
    p = afterValue(input, p, end)
    if (p >= 0) p = afterValue(input, p, end)
    if (p < 0) return false
  }
  return p === end
}

export function binaryArrayMask(maskOf: MaskOf): CellMask {
  return (input, start, end, out) => {
    if (!isBinaryArray(input, start, end)) return NULLED
    const element = maskOf(i32(input, start + 8) >>> 0)
    if (element === null) return UNCHANGED
    const parts = take(), masked = take()
    let done = start, nulls = false
    for (let at = start + 12 + i32(input, start) * 8; at < end; at = afterValue(input, at, end)) {
      const verdict = part(input, done, at, element, masked, parts)
      if (verdict === UNCHANGED) continue
      if (verdict === NULLED) nulls = true
      done = afterValue(input, at, end)
    }
    if (nulls) parts.i32At(4, 1)
    return finish(input, start, done, end, masked, parts, out)
  }
}
export function binaryRecordMask(maskOf: MaskOf): CellMask {
  let nesting = 0
  return (input, start, end, out) => {
    if (nesting >= NESTING_MAX || !isBinaryRecord(input, start, end)) return NULLED
    nesting++
    const parts = take(), masked = take()
    let done = start
    for (let at = start + 4; at < end; at = afterValue(input, at + 4, end)) {
      const mask = maskOf(i32(input, at) >>> 0)
      if (mask !== null && part(input, done, at + 4, mask, masked, parts) !== UNCHANGED) done = afterValue(input, at + 4, end)
    }
    nesting--
    return finish(input, start, done, end, masked, parts, out)
  }
}
export function binaryHstoreMask(text: CellMask): CellMask {
  return (input, start, end, out) => {
    if (!isBinaryHstore(input, start, end)) return NULLED
    const parts = take(), masked = take()
    let done = start
    for (let at = start + 4; at < end; at = afterValue(input, at, end)) if (part(input, done, at, text, masked, parts) !== UNCHANGED) done = afterValue(input, at, end)
    return finish(input, start, done, end, masked, parts, out)
  }
}

/** Masks the value whose length word is at `at`; when it changes, `parts` gets what lies before it from `done` on, and its replacement. */
function part(input: Buffer, done: number, at: number, mask: CellMask, masked: Scratch, parts: Scratch): number {
  const length = i32(input, at)
  if (length < 0) return UNCHANGED
  masked.reset()
  const verdict = mask(input, at + 4, at + 4 + length, masked)
  if (verdict === UNCHANGED) return UNCHANGED
  parts.copy(input, done, at)
  parts.i32(verdict === NULLED ? -1 : masked.length)
  if (verdict === REPLACED) parts.copy(masked.bytes, 0, masked.length)
  return verdict
}
function finish(input: Buffer, start: number, done: number, end: number, masked: Scratch, parts: Scratch, out: Output): typeof UNCHANGED | typeof REPLACED {
  const changed = done > start
  if (changed) { out.copy(parts.bytes, 0, parts.length); out.copy(input, done, end) }
  give(parts)
  give(masked)
  return changed ? REPLACED : UNCHANGED
}
