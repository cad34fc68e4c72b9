// What Bind, Describe and Execute say: which name they use, and the values and formats of a portal. Pure reading of one message. Values
// outlive the relay's buffer, so they are copied: as one string of one character per byte, which costs a point read less than buffers.
import * as frames from './frames.ts'
import type { LastName } from './names.ts'

/** Whether a Bind, Describe or Execute uses a statement's name, else a portal's. */
export const usesStatement = (type: number, input: Buffer, at: number): boolean => type === frames.B || (type === frames.D && input[at + 5] === frames.S)
/** The name of the statement or portal that a Bind, Describe or Execute uses; null when it can't be read. */
export function usedName(type: number, input: Buffer, at: number, to: number, names: LastName): string | null {
  const from = type === frames.B ? frames.stringEnd(input, at + 5, to) + 1 : type === frames.D ? at + 6 : at + 5
  const end = from <= at + 5 && type === frames.B ? -1 : frames.stringEnd(input, from, to)
  return end < 0 ? null : names.of(input, from, end)
}

const NULL = -1
const TEXT_FORMATS: readonly number[] = []
const ONE_TEXT: readonly number[] = [0], ONE_BINARY: readonly number[] = [1]

export class Bound {
  readonly count: number
  /** None: all text; one: of all; else one each. */
  readonly formats: readonly number[]
  readonly #bytes: string
  /** Start and end of each in the bytes; -1 for NULL. */
  readonly #places: readonly number[]
  constructor(count: number, formats: readonly number[], bytes: string, places: readonly number[]) { this.count = count; this.formats = formats; this.#bytes = bytes; this.#places = places }

  formatOf(index: number): number { return this.formats.length === 1 ? this.formats[0]! : this.formats[index] ?? 0 }
  /** The value's bytes; null for NULL and for what was not given. */
  bytesOf(index: number): Buffer | null { return this.#isGiven(index) ? Buffer.from(this.#raw(index), 'latin1') : null }
  /** The value as text, whatever its format says; null for NULL and for binary that can't be text. */
  textOf(index: number): string | null {
    if (!this.#isGiven(index)) return null
    const raw = this.#raw(index)
    return this.formatOf(index) === 1 && raw.includes('\0') ? null : decoded(raw)
  }
  /** As the record may show it. */
  shownOf(index: number): string {
    if (!this.#isGiven(index)) return 'NULL'
    return this.formatOf(index) === 0 ? decoded(this.#raw(index)) : `\\x${Buffer.from(this.#raw(index), 'latin1').toString('hex')}`
  }
  shown(): readonly string[] | null {
    if (this.count === 0) return null
    const list: string[] = []
    for (let i = 0; i < this.count; i++) list.push(this.shownOf(i))
    return list
  }
  texts(): readonly (string | null)[] { return Array.from({ length: this.count }, (_, i) => this.textOf(i)) }
  /** What a review binds to: which are NULL, the formats, and each value's bytes. */
  exact(): readonly (string | Buffer)[] {
    const values = Array.from({ length: this.count }, (_, i) => this.bytesOf(i))
    return [values.map((value) => (value === null ? 'NULL' : 'value')).join(), String(this.formats), ...values.map((value) => value ?? '')]
  }

  /** What `LIMIT $n` allows, n from 1: Infinity when NULL or not a plain number. */
  rowsMax(parameter: number): number {
    const bytes = this.bytesOf(parameter - 1)
    if (bytes === null) return Infinity
    if (this.formatOf(parameter - 1) === 0) { const text = bytes.toString('latin1').trim(); return /^\d{1,15}$/.test(text) ? Number(text) : Infinity }
    if (bytes.length === 8) { const n = bytes.readBigInt64BE(); return n >= 0n && n < 1_000_000_000n ? Number(n) : Infinity }
    if (bytes.length === 4) { const n = bytes.readInt32BE(); return n >= 0 ? n : Infinity }
    return Infinity
  }

  #isGiven(index: number): boolean { return index < this.count && this.#places[index * 2]! !== NULL }
  #raw(index: number): string { return this.#bytes.slice(this.#places[index * 2]!, this.#places[index * 2 + 1]!) }
}
const NO_VALUES = new Bound(0, TEXT_FORMATS, '', [])

/** UTF-8 that was read as one character per byte. */
function decoded(raw: string): string {
  for (let i = 0; i < raw.length; i++) if (raw.charCodeAt(i) > 0x7f) return Buffer.from(raw, 'latin1').toString('utf8')
  return raw
}

/** What a Bind says behind its two names. */
export interface Binding { readonly values: Bound; /** Of the result columns: none, one for all, or one each. */ readonly formats: readonly number[] }
const PLAIN: Binding = { values: NO_VALUES, formats: TEXT_FORMATS }

/** From `at`, where it must fill the message; null when it is malformed. */
export function parseBinding(input: Buffer, at: number, to: number): Binding | null {
  const formats = parseFormats(input, at, to)
  let p = at + 2 + (formats?.length ?? 0) * 2
  if (formats === null || p + 2 > to) return null
  const count = frames.u16(input, p)
  const first = p += 2
  const places: number[] = []
  for (let i = 0; i < count; i++) {
    if (p + 4 > to) return null
    const length = frames.i32(input, p)
    p += 4
    if (length < -1 || (length > 0 && p + length > to)) return null
    if (length < 0) { places.push(NULL, NULL); continue }
    places.push(p - first, p + length - first)
    p += length
  }
  const results = parseFormats(input, p, to)
  if (results === null || p + 2 + results.length * 2 !== to) return null
  if (formats.length > 1 && formats.length !== count) return null
  if (count === 0 && formats.length === 0) return results.length === 0 ? PLAIN : { values: NO_VALUES, formats: results }
  return { values: new Bound(count, formats, input.toString('latin1', first, p), places), formats: results }
}

function parseFormats(input: Buffer, at: number, to: number): readonly number[] | null {
  if (at + 2 > to) return null
  const count = frames.u16(input, at)
  if (count === 0) return TEXT_FORMATS
  if (at + 2 + count * 2 > to) return null
  const first = frames.u16(input, at + 2)
  if (count === 1) return first === 0 ? ONE_TEXT : first === 1 ? ONE_BINARY : null
  const list: number[] = []
  for (let i = 0; i < count; i++) { const format = frames.u16(input, at + 2 + i * 2); if (format > 1) return null; list.push(format) }
  return list
}
