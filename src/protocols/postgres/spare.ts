// Buffers for values that are taken apart: borrowed for one value, so that masks that hold each other never share one.
import { Scratch } from '../../wire/bytes.ts'

const SPARE_MAX = 16
const SPARE_BYTES_AT_FIRST = 256
/** A buffer that one large value made larger than this is not kept. */
const SPARE_BYTES_MAX = 256 * 1024
const spare: Scratch[] = []

export function take(): Scratch {
  const scratch = spare.pop() ?? new Scratch(SPARE_BYTES_AT_FIRST)
  scratch.reset()
  return scratch
}
export function give(scratch: Scratch): void { if (spare.length < SPARE_MAX && scratch.bytes.length <= SPARE_BYTES_MAX) spare.push(scratch) }
