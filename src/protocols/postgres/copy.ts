// Masks over what COPY TO sends, cell by cell, in text, CSV and binary format. A row is decoded before it is searched, so that no escape,
// quote or delimiter hides a value, and a changed cell is encoded again. What a message leaves unfinished waits for the next.
// https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9
import { Malformed, NotAllowed } from '../../core/errors.ts'
import { type CellMask, NULLED, type Output, UNCHANGED } from '../../core/mask.ts'
import { Scratch } from '../../wire/bytes.ts'
import { copyBinaryRow, SIGNATURE } from './copy-binary.ts'
import { MESSAGE_BYTES_MAX } from './frames.ts'

export interface CopyOptions {
  readonly format: 'text' | 'csv' | 'binary'
  /** Null: as the format has it. */
  readonly delimiter: string | null
  readonly nullText: string | null
  readonly quote: string | null
  readonly escape: string | null
  readonly header: boolean
  /** Null: the client's encoding, which a session with masks holds at UTF8. */
  readonly encoding: string | null
}
export const COPY_DEFAULTS: CopyOptions = { format: 'text', delimiter: null, nullText: null, quote: null, escape: null, header: false, encoding: null }
/** A row that grows over several messages beyond this ends the session. */
export const COPY_ROW_BYTES_MAX = MESSAGE_BYTES_MAX

/** Answers of a pass that found a row which another must read. */
const NOT_PLAIN = -2
/** Above it no byte is a tab or a newline. */
const TAB = 0x09, NEWLINE = 0x0a, RETURN = 0x0d, BACKSLASH = 0x5c

export interface CopyMask {
  /** Writes the masked form of the payload [from, to); what is no whole row yet waits. */
  push(input: Buffer, from: number, to: number, out: Output): void
  /** Writes what waits, as a last row. */
  end(out: Output): void
}

/**
 * `masks`: by column; `other` for columns beyond them (null passes those). Null when nothing can change. Throws NotAllowed for an encoding
 * that can't be searched.
 */
export function copyMask(options: CopyOptions, masks: readonly (CellMask | null)[], header: CellMask | null = null): CopyMask | null {
  if (masks.every((mask) => mask === null) && (header === null || !options.header)) return null
  if (options.format !== 'binary' && options.encoding !== null && !/^"?utf-?8"?$|^unicode$/i.test(options.encoding)) throw new NotAllowed(`COPY in encoding ${options.encoding} can't be searched for what must be hidden: use UTF8`)
  return new Rows(options, masks, header)
}

/** What ends a cell or a row of text format in its usual form, or makes it no plain one. */
const STOPS = new Uint8Array(256)
for (const byte of [TAB, NEWLINE, BACKSLASH]) STOPS[byte] = 1
/** Where the next of them stands at or after `at`; `to` when there is none. Four bytes at a time: most bytes are none. */
function stopAfter(input: Buffer, at: number, to: number): number {
  const four = to - 4
  while (at <= four && (STOPS[input[at]!]! | STOPS[input[at + 1]!]! | STOPS[input[at + 2]!]! | STOPS[input[at + 3]!]!) === 0) at += 4
  while (at < to && STOPS[input[at]!] === 0) at++
  return at
}

class Rows implements CopyMask {
  readonly #masks: readonly (CellMask | null)[]
  readonly #header: CellMask | null
  readonly #format: CopyOptions['format']
  readonly #delimiter: number
  readonly #quote: number
  readonly #escape: number
  readonly #null: Buffer
  readonly #decoded = new Scratch(256)
  readonly #masked = new Scratch(256)
  /** Start of a row whose end has not come. */
  readonly #pending = new Scratch(0)
  /** Where the cells of the present row end. */
  readonly #ends: Int32Array
  #headerDue: boolean
  #signed = false

  constructor(options: CopyOptions, masks: readonly (CellMask | null)[], header: CellMask | null) {
    this.#masks = masks
    this.#header = header
    this.#format = options.format
    const csv = options.format === 'csv'
    this.#delimiter = oneByte(options.delimiter ?? (csv ? ',' : '\t'))
    this.#quote = oneByte(options.quote ?? '"')
    this.#escape = oneByte(options.escape ?? options.quote ?? '"')
    this.#null = Buffer.from(options.nullText ?? (csv ? '' : '\\N'))
    this.#headerDue = options.header
    this.#ends = new Int32Array(masks.length + 1)
  }

  push(input: Buffer, from: number, to: number, out: Output): void {
    const pending = this.#pending
    if (pending.length === 0) {
      const reached = this.#take(input, from, to, out)
      if (reached < to) pending.copy(input, reached, to)
      return
    }
    if (pending.length + to - from > COPY_ROW_BYTES_MAX) throw new Malformed(`a row of COPY exceeds the limit of ${COPY_ROW_BYTES_MAX} bytes`)
    pending.copy(input, from, to)
    // Without a newline nothing has ended: what waits is not read again.
    if (this.#format !== 'binary' && !endsLine(input, from, to)) return
    const reached = this.#take(pending.bytes, 0, pending.length, out)
    pending.bytes.copyWithin(0, reached, pending.length)
    pending.length -= reached
  }
  /** Writes all whole rows and returns where the first unfinished one begins. */
  #take(input: Buffer, at: number, to: number, out: Output): number {
    while (at < to) {
      let next = this.#format === 'text' && !this.#headerDue ? this.#plainRow(input, at, to, out) : NOT_PLAIN
      if (next === NOT_PLAIN) next = this.#format === 'binary' ? this.#binary(input, at, to, out) : this.#row(input, at, to, out)
      if (next < 0) return at
      at = next
    }
    return at
  }
  end(out: Output): void {
    const { bytes, length } = this.#pending
    this.#pending.length = 0
    if (length === 0) return
    if (this.#format === 'binary') throw new Malformed('the server ended a binary COPY within a row')
    this.#cells(bytes, 0, length, out)
  }

  #binary(input: Buffer, at: number, to: number, out: Output): number {
    if (this.#signed) return copyBinaryRow(input, at, to, this.#masks, this.#masked, out)
    const head = SIGNATURE.length + 8
    if (to - at < head) return -1
    const end = at + head + input.readUInt32BE(at + head - 4)
    if (input.compare(SIGNATURE, 0, SIGNATURE.length, at, at + SIGNATURE.length) !== 0 || end - at > COPY_ROW_BYTES_MAX) throw new Malformed('the server sent a binary COPY without its signature')
    if (end > to) return -1
    this.#signed = true
    out.copy(input, at, end)
    return end
  }

  /** A row of text format in which nothing is escaped, in one pass: as `#row`, NOT_PLAIN when it is another. */
  #plainRow(input: Buffer, at: number, to: number, out: Output): number {
    const delimiter = this.#delimiter, ends = this.#ends, masks = this.#masks
    let count = 0, end = at
    for (;;) {
      end = delimiter === TAB ? stopAfter(input, end, to) : end
      if (end >= to) return -1
      const byte = input[end]!
      if (byte === delimiter) { if (count === masks.length) return NOT_PLAIN; ends[count++] = end }
      else if (byte === NEWLINE) break
      else if (byte === BACKSLASH) return NOT_PLAIN
      end++
    }
    if (count !== masks.length - 1 || (end > at && input[end - 1] === RETURN)) return NOT_PLAIN
    ends[count] = end
    let done = at
    for (let column = 0, from = at; column <= count; column++) {
      const mask = masks[column]!, stop = ends[column]!
      if (mask !== null && this.#mask(input, from, stop, mask, out, done, true)) done = stop
      from = stop + 1
    }
    out.copy(input, done, end + 1)
    return end + 1
  }
  /** Position after the row at `at`, -1 when its end is not here. */
  #row(input: Buffer, at: number, to: number, out: Output): number {
    const end = this.#rowEnd(input, at, to)
    if (end < 0) return -1
    this.#cells(input, at, end, out)
    out.copy(input, end, end + 1)
    return end + 1
  }
  /** Where the row's newline is: not an escaped one, nor one within quotes. */
  #rowEnd(input: Buffer, at: number, to: number): number {
    if (this.#format === 'text') {
      for (; at < to; at++) { if (input[at] === NEWLINE) return at; if (input[at] === BACKSLASH) at++ }
      return -1
    }
    const quote = this.#quote, escape = this.#escape
    let quoted = false
    for (; at < to; at++) {
      const byte = input[at]
      if (quoted && byte === escape && escape !== quote) { if (input[at + 1] === quote || input[at + 1] === escape) at++ }
      else if (byte === quote) quoted = !quoted
      else if (byte === NEWLINE && !quoted) return at
    }
    return -1
  }

  #cells(input: Buffer, at: number, to: number, out: Output): void {
    const header = this.#headerDue
    this.#headerDue = false
    let stop = to
    if (stop > at && input[stop - 1] === RETURN) stop--
    if (!header && stop - at === 2 && input[at] === BACKSLASH && input[at + 1] === 0x2e) { out.copy(input, at, to); return }
    let done = at, column = 0
    for (let from = at; from <= stop; column++) {
      const end = this.#cellEnd(input, from, stop)
      const mask = header ? this.#header : this.#masks[column] ?? null
      if (mask !== null && this.#mask(input, from, end, mask, out, done, this.#plain(input, from, end))) done = end
      from = end + 1
    }
    out.copy(input, done, to)
    if (!header && column !== this.#masks.length && !(column === 1 && this.#masks.length === 0)) throw new Malformed(`the server sent ${column} columns in a COPY of ${this.#masks.length}`)
  }
  #cellEnd(input: Buffer, at: number, to: number): number {
    const delimiter = this.#delimiter
    if (this.#format === 'text') {
      for (; at < to; at++) { if (input[at] === delimiter) return at; if (input[at] === BACKSLASH) at++ }
      return to
    }
    const quote = this.#quote, escape = this.#escape
    let quoted = false
    for (; at < to; at++) {
      const byte = input[at]
      if (quoted && byte === escape && escape !== quote) { if (input[at + 1] === quote || input[at + 1] === escape) at++ }
      else if (byte === quote) quoted = !quoted
      else if (byte === delimiter && !quoted) return at
    }
    return to
  }

  /** Masks one cell; when it changes, what lies before it from `done` on is written too. `plain`: nothing in it is escaped. */
  #mask(input: Buffer, from: number, to: number, mask: CellMask, out: Output, done: number, plain: boolean): boolean {
    if (to - from === this.#null.length && this.#isNull(input, from)) return false
    const masked = this.#masked
    masked.length = 0
    let verdict: number
    if (plain) verdict = mask(input, from, to, masked)
    else {
      this.#decoded.reset()
      if (this.#format === 'text') decodeText(input, from, to, this.#decoded)
      else decodeCsv(input, from, to, this.#quote, this.#escape, this.#decoded)
      verdict = mask(this.#decoded.bytes, 0, this.#decoded.length, masked)
    }
    if (verdict === UNCHANGED) return false
    out.copy(input, done, from)
    if (verdict === NULLED) out.copy(this.#null, 0, this.#null.length)
    else if (this.#format === 'text') encodeText(masked, this.#delimiter, this.#null, out)
    else encodeCsv(masked, this.#quote, this.#escape, out)
    return true
  }
  #isNull(input: Buffer, from: number): boolean {
    const text = this.#null
    for (let i = 0; i < text.length; i++) if (input[from + i] !== text[i]) return false
    return true
  }
  #plain(input: Buffer, from: number, to: number): boolean {
    const special = this.#format === 'text' ? BACKSLASH : this.#quote
    for (let at = from; at < to; at++) if (input[at] === special) return false
    return true
  }
}
function endsLine(input: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (input[at] === NEWLINE) return true
  return false
}
function oneByte(text: string): number {
  if (text.length !== 1 || text.charCodeAt(0) > 127) throw new NotAllowed('COPY takes one ASCII character as delimiter, quote and escape')
  return text.charCodeAt(0)
}

// ---- text: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"

const CONTROL: Readonly<Record<number, number>> = { 0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9, 0x76: 11 }
const LETTER: Readonly<Record<number, number>> = { 8: 0x62, 12: 0x66, 10: 0x6e, 13: 0x72, 9: 0x74, 11: 0x76 }

function decodeText(input: Buffer, at: number, to: number, out: Scratch): void {
  while (at < to) {
    const byte = input[at++]!
    if (byte !== BACKSLASH || at >= to) { out.u8(byte); continue }
    const next = input[at++]!
    if (next >= 0x30 && next <= 0x37) {
      let value = next - 0x30
      for (let digits = 1; digits < 3 && at < to && input[at]! >= 0x30 && input[at]! <= 0x37; digits++) value = value * 8 + input[at++]! - 0x30
      out.u8(value & 255)
    } else if (next === 0x78 && at < to && hexadecimal(input[at]!) >= 0) {
      let value = hexadecimal(input[at++]!)
      if (at < to && hexadecimal(input[at]!) >= 0) value = value * 16 + hexadecimal(input[at++]!)
      out.u8(value)
    } else out.u8(CONTROL[next] ?? next)
  }
}
const hexadecimal = (byte: number) => (byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : (byte | 32) >= 0x61 && (byte | 32) <= 0x66 ? (byte | 32) - 0x57 : -1)

function encodeText(value: Scratch, delimiter: number, nullText: Buffer, out: Output): void {
  const { bytes, length } = value
  // A cell that reads like NULL would be one: its first byte is written as an escape.
  const likeNull = length === nullText.length && length > 0 && bytes.compare(nullText, 0, length, 0, length) === 0
  if (!likeNull && !needsEscape(bytes, length, delimiter)) { out.copy(bytes, 0, length); return }
  for (let at = 0; at < length; at++) {
    const byte = bytes[at]!
    const letter = LETTER[byte]
    if (likeNull && at === 0) out.text(`\\x${byte.toString(16).padStart(2, '0')}`)
    else if (letter !== undefined) { out.u8(BACKSLASH); out.u8(letter) }
    else { if (byte === BACKSLASH || byte === delimiter) out.u8(BACKSLASH); out.u8(byte) }
  }
}

function needsEscape(bytes: Buffer, length: number, delimiter: number): boolean {
  for (let at = 0; at < length; at++) { const byte = bytes[at]!; if (byte < 0x20 || byte === BACKSLASH || byte === delimiter) return true }
  return false
}

// ---- CSV: quotes may begin and end within a cell; a changed cell is always quoted

function decodeCsv(input: Buffer, at: number, to: number, quote: number, escape: number, out: Scratch): void {
  let quoted = false
  for (; at < to; at++) {
    const byte = input[at]!
    if (quoted && byte === escape && at + 1 < to && (input[at + 1] === quote || input[at + 1] === escape)) out.u8(input[++at]!)
    else if (byte === quote) quoted = !quoted
    else out.u8(byte)
  }
}
function encodeCsv(value: Scratch, quote: number, escape: number, out: Output): void {
  out.u8(quote)
  for (let at = 0; at < value.length; at++) {
    const byte = value.bytes[at]!
    if (byte === quote || byte === escape) out.u8(escape)
    out.u8(byte)
  }
  out.u8(quote)
}
