// What a client was given, as a person reads it: rows of PostgreSQL's answers with the names of their columns. For display alone, and it
// trusts nothing: cells can't change the terminal, binary is hex, and what does not read as a message is shown as bytes.
import { isUtf8 } from 'node:buffer'
import { inert } from './output.ts'

const CELL_CHARACTERS_MAX = 2_000
/** A message that is longer is not kept for its rest to come: its beginning is shown as bytes. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
const BYTES_SHOWN_MAX = 256
const TEXT = 0
const FIELD_TAIL_BYTES = 18
/** Parts of an error or a notice that are for people. */
const TOLD: Readonly<Record<string, string>> = { S: '', C: '', M: '', D: 'detail: ', H: 'hint: ' }

interface Column { readonly name: string; readonly format: number }

/** One per run: an answer goes on in the next event where the last one ended. */
export class AnswerReader {
  #rest: Buffer = Buffer.alloc(0)
  #columns: readonly Column[] | null = null

  lines(bytes: Buffer): string[] { return [...this.#read(bytes)] }

  *#read(bytes: Buffer): Generator<string> {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let at = 0
    while (all.length - at >= 5) {
      const end = at + 1 + all.readUInt32BE(at + 1)
      if (end < at + 5 || end - at > MESSAGE_BYTES_MAX) { yield `bytes ${bytesShown(all.subarray(at))}`; this.#rest = Buffer.alloc(0); return }
      if (end > all.length) break
      const type = String.fromCharCode(all[at]!)
      const body = all.subarray(at + 5, end)
      at = end
      try { yield* this.#message(type, body) } catch (error) {
        if (!(error instanceof RangeError)) throw error
        yield `bytes ${bytesShown(body)}`
      }
    }
    this.#rest = Buffer.from(all.subarray(at))
  }

  *#message(type: string, body: Buffer): Generator<string> {
    switch (type) {
      case 'T': this.#columns = columnsOf(body); yield this.#columns.map(({ name }) => cell(name)).join(' | '); return
      case 'D': yield this.#row(body); return
      case 'C': yield cell(untilZero(body, 0)); return
      case 'E': case 'N': yield told(body); return
      case 'd': yield `copy  ${shown(body)}`; return
      case 'I': yield '(nothing was asked)'; return
      case 'A': yield `notification ${shown(body.subarray(4))}`; return
      // Steps of the protocol, which say nothing of what was read.
      case '1': case '2': case '3': case 'n': case 't': case 's': case 'S': case 'Z': case 'G': case 'H': case 'W': case 'c': return
      default: yield `${cell(type)} ${bytesShown(body)}`
    }
  }

  #row(body: Buffer): string {
    const cells: string[] = []
    const count = body.readUInt16BE(0)
    for (let index = 0, at = 2; index < count; index++) {
      const length = body.readInt32BE(at)
      at += 4
      if (length < 0) { cells.push('NULL'); continue }
      if (at + length > body.length) throw new RangeError('a cell passes the end of its row')
      const value = body.subarray(at, at + length)
      cells.push((this.#columns?.[index]?.format ?? TEXT) === TEXT ? shown(value) : bytesShown(value))
      at += length
    }
    return cells.join(' | ')
  }
}

/** Bytes of any protocol: text where they are text. */
export function shown(value: Buffer): string {
  return isUtf8(value) && !hasZero(value) ? cell(value.toString('utf8')) : bytesShown(value)
}

function columnsOf(body: Buffer): Column[] {
  const columns: Column[] = []
  const count = body.readUInt16BE(0)
  for (let index = 0, at = 2; index < count; index++) {
    const name = untilZero(body, at)
    at = body.indexOf(0, at) + 1 + FIELD_TAIL_BYTES
    columns.push({ name, format: body.readUInt16BE(at - 2) })
  }
  return columns
}

function told(body: Buffer): string {
  const parts: string[] = []
  for (let at = 0; at < body.length && body[at] !== 0; at = body.indexOf(0, at) + 1) {
    const text = untilZero(body, at + 1)
    const label = TOLD[String.fromCharCode(body[at]!)]
    if (label !== undefined) parts.push(`${label}${cell(text)}`)
  }
  return parts.join('  ')
}

function untilZero(body: Buffer, from: number): string {
  const end = body.indexOf(0, from)
  if (end < 0) throw new RangeError('a text without its end')
  return body.toString('utf8', from, end)
}
function cell(text: string): string {
  const cut = text.length > CELL_CHARACTERS_MAX ? `${text.slice(0, CELL_CHARACTERS_MAX)}…` : text
  return inert(cut).replaceAll('\n', '↵').replaceAll('\t', '⇥')
}
function bytesShown(bytes: Buffer): string { return `\\x${bytes.toString('hex', 0, BYTES_SHOWN_MAX)}${bytes.length > BYTES_SHOWN_MAX ? `… (${bytes.length} bytes)` : ''}` }
function hasZero(bytes: Buffer): boolean { return bytes.includes(0) }
