// Rows of COPY in binary format: a count of columns, then length and bytes of each, as in a DataRow; -1 ends the data.
import { Malformed } from '../../core/errors.ts'
import { type CellMask, NULLED, type Output, UNCHANGED } from '../../core/mask.ts'
import type { Scratch } from '../../wire/bytes.ts'
import { i32 } from './frames.ts'

export const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')

/** Position after the row at `at`, which is written masked; -1 when it is not all here, and nothing is written. */
export function copyBinaryRow(input: Buffer, at: number, to: number, masks: readonly (CellMask | null)[], masked: Scratch, out: Output): number {
  if (to - at < 2) return -1
  const count = input.readInt16BE(at)
  if (count === -1) { out.copy(input, at, at + 2); return at + 2 }
  if (count !== masks.length) throw new Malformed(`the server sent ${count} columns in a COPY of ${masks.length}`)
  const end = rowEnd(input, at + 2, to, count)
  if (end < 0) return -1
  let done = at
  for (let i = 0, p = at + 2; i < count; i++) {
    const length = i32(input, p)
    const next = p + 4 + Math.max(0, length)
    const mask = masks[i] ?? null
    if (mask !== null && length >= 0) {
      masked.reset()
      const verdict = mask(input, p + 4, next, masked)
      if (verdict !== UNCHANGED) {
        out.copy(input, done, p)
        out.i32(verdict === NULLED ? -1 : masked.length)
        if (verdict !== NULLED) out.copy(masked.bytes, 0, masked.length)
        done = next
      }
    }
    p = next
  }
  out.copy(input, done, end)
  return end
}
function rowEnd(input: Buffer, p: number, to: number, count: number): number {
  for (; count > 0; count--) {
    if (p + 4 > to) return -1
    const length = i32(input, p)
    if (length < -1) throw new Malformed('the server sent a malformed row of a binary COPY')
    p += 4 + Math.max(0, length)
    if (p > to) return -1
  }
  return p
}
