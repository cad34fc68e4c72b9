// Framing of the v3 protocol after login, both directions: lengths and limits, and the few messages Sluice writes itself.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
import { Malformed } from '../../core/errors.ts'
import type { Scratch } from '../../wire/bytes.ts'

/** Statements, parameters, copy data and rows may be this long (bytes). */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
/** What `gateway.limits.message` says; set once, before the first connection. */
let messageBytesMax = MESSAGE_BYTES_MAX
export function limitMessages(bytesMax: number): void { messageBytesMax = bytesMax }
/** Everything else a client sends, as the server itself limits it. */
export const SMALL_MESSAGE_BYTES_MAX = 10_000

export const u32 = (b: Buffer, p: number): number => ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0
export const i32 = (b: Buffer, p: number): number => (b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!
export const u16 = (b: Buffer, p: number): number => (b[p]! << 8) | b[p + 1]!
const code = (type: string): number => type.charCodeAt(0)

export const Q = code('Q'), P = code('P'), B = code('B'), D = code('D'), E = code('E'), C = code('C'), S = code('S'), H = code('H'), X = code('X'), F = code('F')
export const COPY_DATA = code('d'), COPY_DONE = code('c'), COPY_FAIL = code('f')
/** Client messages that may be long. */
const LONG = new Uint8Array(256)
for (const type of [Q, P, B, COPY_DATA, COPY_FAIL]) LONG[type] = 1

/** Length of the whole client message at `at`, 0 while its head is not there. */
export function frameLength(input: Buffer, at: number, end: number, fromClient: boolean): number {
  if (end - at < 5) return 0
  const length = u32(input, at + 1)
  if (length < 4) throw new Malformed(`a message of type 0x${input[at]!.toString(16)} has length ${length}, must be at least 4`)
  const most = fromClient && LONG[input[at]!] === 0 ? SMALL_MESSAGE_BYTES_MAX : messageBytesMax
  if (length > most) throw new Malformed(`a message of ${length} bytes exceeds the limit of ${most}`)
  return 1 + length
}

/** So far a loop is faster than the call of a search. */
const SHORT_STRING_BYTES = 48
/** End of the NUL-terminated string at `at`, -1 when there is none before `end`. */
export function stringEnd(input: Buffer, at: number, end: number): number {
  const near = Math.min(end, at + SHORT_STRING_BYTES)
  for (let p = at; p < near; p++) if (input[p] === 0) return p
  if (near === end) return -1
  const found = input.indexOf(0, near)
  return found < 0 || found >= end ? -1 : found
}

function begin(out: Scratch, type: number): number { out.u8(type); out.i32(0); return out.length - 4 }
function finish(out: Scratch, mark: number): void { out.i32At(mark, out.length - mark) }

export function writeQuery(out: Scratch, text: string): void {
  const mark = begin(out, Q)
  out.text(text); out.u8(0)
  finish(out, mark)
}
export function writeParse(out: Scratch, name: string, text: string, types: readonly number[]): void {
  const mark = begin(out, P)
  out.text(name); out.u8(0); out.text(text); out.u8(0)
  out.i16(types.length)
  for (const type of types) out.i32(type)
  finish(out, mark)
}
/** Bind of a statement that doesn't exist: the server fails it in its place. */
export function writeBindOfNothing(out: Scratch, name: string): void {
  const mark = begin(out, B)
  out.u8(0); out.text(name); out.u8(0)
  out.i16(0); out.i16(0); out.i16(0)
  finish(out, mark)
}
/** Runs a text under a name of its own, so that the client's unnamed statement and portal stay what they are. */
export function writeRun(out: Scratch, name: string, text: string): void {
  writeParse(out, name, text, [])
  let mark = begin(out, B)
  out.text(name); out.u8(0); out.text(name); out.u8(0)
  out.i16(0); out.i16(0); out.i16(0)
  finish(out, mark)
  mark = begin(out, E)
  out.text(name); out.u8(0); out.i32(0)
  finish(out, mark)
  for (const kind of ['P', 'S']) {
    mark = begin(out, C)
    out.text(kind); out.text(name); out.u8(0)
    finish(out, mark)
  }
}
export function writeSync(out: Scratch): void { finish(out, begin(out, S)) }
export function writeFlush(out: Scratch): void { finish(out, begin(out, H)) }
export function writeCopyFail(out: Scratch, why: string): void {
  const mark = begin(out, COPY_FAIL)
  out.text(why); out.u8(0)
  finish(out, mark)
}
export function writeDescribe(out: Scratch, kind: 'S' | 'P', name: string): void {
  const mark = begin(out, D)
  out.text(kind); out.text(name); out.u8(0)
  finish(out, mark)
}
export function writeExecuteOfNothing(out: Scratch, name: string): void {
  const mark = begin(out, E)
  out.text(name); out.u8(0); out.i32(0)
  finish(out, mark)
}

export interface Words { readonly severity: 'ERROR' | 'FATAL' | 'NOTICE' | 'WARNING'; readonly code: string; readonly message: string; readonly detail?: string; readonly hint?: string; readonly position?: number }
/** ErrorResponse, or NoticeResponse for NOTICE and WARNING. */
export function writeWords(out: Scratch, words: Words): void {
  const mark = begin(out, words.severity === 'NOTICE' || words.severity === 'WARNING' ? code('N') : E)
  const field = (name: string, value: string | undefined) => { if (value !== undefined) { out.text(name); out.text(value.replaceAll('\0', ' ')); out.u8(0) } }
  field('S', words.severity); field('V', words.severity); field('C', words.code); field('M', words.message)
  field('D', words.detail); field('H', words.hint)
  if (words.position !== undefined && words.position > 0) field('P', String(words.position))
  out.u8(0)
  finish(out, mark)
}
export function writeParameterStatus(out: Scratch, name: string, value: string): void {
  const mark = begin(out, S)
  out.text(name); out.u8(0); out.text(value); out.u8(0)
  finish(out, mark)
}
