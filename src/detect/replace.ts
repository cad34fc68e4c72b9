// What stands in place of a found value. Only characters that need no escape in JSON, arrays, composites or COPY text are written, so
// that a replacement can be spliced into any of them.
import type { Detector } from './detector.ts'
import type { Found } from './found.ts'

export const HIDDEN = '[hidden]'
const HIDDEN_BYTES = Buffer.from(HIDDEN)
const PART = '***'
/** Keyed hash (hex) of a value. */
export type KeyedHash = (value: Uint8Array) => string
/** How much of the keyed hash is shown. */
export const HASH_CHARS = 16

export interface Sink { copy(source: Uint8Array, start: number, end: number): void; text(value: string): void }

/** Writes bytes[start, end) with every found span replaced by what its rule says. */
export function writeHidden(detector: Detector, found: Found, bytes: Buffer, start: number, end: number, hash: KeyedHash, out: Sink): void {
  count(detector, found)
  let done = start
  for (let i = 0; i < found.count; i++) {
    const from = found.from[i]!, to = found.to[i]!
    out.copy(bytes, done, from)
    const hiding = detector.rules[found.rule[i]!]!.with
    if (hiding === 'redact') out.copy(HIDDEN_BYTES, 0, HIDDEN_BYTES.length)
    else out.text(replacement(hiding, bytes, from, to, hash))
    done = to
  }
  out.copy(bytes, done, end)
}

/** Adds what was found to the detector's counts. */
export function count(detector: Detector, found: Found): void {
  const { counts } = detector.tally
  if (counts !== null) for (let i = 0; i < found.count; i++) counts[found.rule[i]!]!++
}

/** Part of a text can't be NULL: `null` hides like `redact`. */
export function replacement(hiding: string, bytes: Buffer, from: number, to: number, hash: KeyedHash): string {
  if (hiding === 'partial') { const part = partial(bytes.toString('utf8', from, to)); return /["'\\{}(),\s\0-\x1f]/.test(part) ? PART : part }
  return hiding === 'hash' ? hash(bytes.subarray(from, to)).slice(0, HASH_CHARS) : HIDDEN
}

/** The last four of a number, the first letter and the domain of an address, else the first and last letter: as the mask at read. */
export function partial(value: string): string {
  if (/^[^@ ]+@[^@ ]+$/.test(value)) return `${[...value.slice(0, 2)][0]}${PART}@${value.split('@')[1]}`
  const digits = value.replace(/[^0-9]/g, '')
  if (/^[0-9 ().+-]+$/.test(value) && digits.length >= 8) return PART + digits.slice(-4)
  const characters = [...value]
  return characters.length >= 6 ? `${characters[0]}${PART}${characters.at(-1)}` : PART
}
