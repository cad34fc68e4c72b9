// Walks the bytes of one segment: header, batches with their chain, frames. Pure over buffers, and shared by verify, recovery and
// the reader. It never trusts a length before it is checked, and never throws on any bytes.
import { EVENT_KINDS, type EventKind, OUTCOMES } from '../../core/record.ts'
import {
  ANSWER_CODE, CODE_LINK, CODE_NAMES, CODEC_AT, CODEC_PLAIN, CODEC_SEALED, DETAIL_OF, ENDED_BYTES, EVENT_BYTES_MAX, FORMAT_VERSION, FRAME_HEAD_BYTES, HASH_BYTES,
  HEADER_BYTES_MAX, LINK_BYTES, LINK_HEAD_BYTES, MAGIC, type Point, PREAMBLE_BYTES, RUN_BYTES, SEGMENT_NUMBER_MAX, type SegmentHeader, SESSION_ID_BYTES_MAX, sha256,
} from './layout.ts'
import { type Block, type Opener, readBlock, sealName, unsealed } from './sealed.ts'

export interface Event {
  readonly session: string
  readonly sequence: number
  readonly kind: EventKind
  readonly atMs: number
  readonly monotonicMs: number
  /** Only answers have their run here; others name it in their body. */
  readonly run?: number
  /** An answer's bytes, else what the caller wrote as JSON. */
  readonly body: unknown
}
export interface OpenSegment {
  readonly header: SegmentHeader
  readonly hash: Buffer
  /** The plain segment, its header included. */
  readonly bytes: Buffer
  /** Where its first batch begins. */
  readonly start: number
}

/** The header alone. Null: these bytes are not, or not yet, a segment. */
export function openHeader(bytes: Buffer): Omit<OpenSegment, 'bytes'> | null {
  if (bytes.length < PREAMBLE_BYTES || !bytes.subarray(0, 4).equals(MAGIC) || bytes[4] !== FORMAT_VERSION || bytes.readUInt16LE(6) !== 0) return null
  const length = bytes.readUInt32LE(8)
  const start = PREAMBLE_BYTES + length
  if (length > HEADER_BYTES_MAX || start > bytes.length) return null
  const text = bytes.subarray(PREAMBLE_BYTES, start)
  const header = parseHeader(text)
  return header === null ? null : { header, hash: sha256(text), start }
}
/** What can be told of a sealed segment without its key. */
export interface ClosedSegment extends Omit<OpenSegment, 'bytes'> { readonly sealed: Block; readonly name: string }
export const noKey: Opener = () => null
/** Null: these bytes are not, or not yet, a segment. Closed: it is sealed, and `opener` has no key for it. */
export function openSegment(bytes: Buffer, opener: Opener = noKey): OpenSegment | ClosedSegment | null {
  const opened = openHeader(bytes)
  if (opened === null || bytes[CODEC_AT] === CODEC_PLAIN) return opened === null ? null : { ...opened, bytes }
  const parts = bytes[CODEC_AT] === CODEC_SEALED ? readBlock(bytes, opened.start) : null
  if (parts === null) return null
  const name = sealName(opened.header)
  const key = opener(name, parts.block)
  if (key === null) return { ...opened, sealed: parts.block, name }
  const plain = unsealed(bytes, opened.start, parts, key)
  return plain === null ? null : { ...opened, bytes: plain }
}

function parseHeader(text: Buffer): SegmentHeader | null {
  let value: unknown
  try { value = JSON.parse(text.toString('utf8')) } catch { return null }
  if (typeof value !== 'object' || value === null) return null
  const { resource, writer, segment, madeAtMs, previous, afterFailure } = value as Record<string, unknown>
  if (typeof resource !== 'string' || typeof writer !== 'string' || !isCount(segment, SEGMENT_NUMBER_MAX) || typeof madeAtMs !== 'number' || typeof afterFailure !== 'boolean') return null
  if (previous !== null && !isPoint(previous)) return null
  return { resource, writer, segment, madeAtMs, previous, afterFailure }
}
export const isCount = (value: unknown, most: number): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
export function isPoint(value: unknown): value is Point {
  if (typeof value !== 'object' || value === null) return false
  const { segment, batch, hash } = value as Record<string, unknown>
  return isCount(segment, SEGMENT_NUMBER_MAX) && isCount(batch, 0xffff_ffff) && typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash)
}

/** `torn`: the bytes end before a link does. `broken`: they are not what was written. */
export type Fault = 'torn' | 'broken'
/** Where a walk stands: in front of the batch that follows `batch`. */
export interface Place { batch: number; at: number; chain: Buffer; /** Behind the last whole frame that was seen. */ whole: number }
export const firstPlace = (segment: Pick<OpenSegment, 'hash' | 'start'>): Place => ({ batch: 0, at: segment.start, chain: segment.hash, whole: segment.start })
const FRAME_LENGTH_MAX = FRAME_HEAD_BYTES + RUN_BYTES + EVENT_BYTES_MAX

/** Moves `place` over one whole batch; answers where its frames are, null at the end, or what is wrong. */
export function nextBatch(bytes: Buffer, place: Place): { readonly start: number; readonly end: number } | null | Fault {
  const start = place.at
  if (start === bytes.length) return null
  let at = start
  for (;;) {
    place.whole = at
    if (at + 5 > bytes.length) return 'torn'
    const length = bytes.readUInt32LE(at)
    if (bytes[at + 4] === CODE_LINK) break
    if (length < FRAME_HEAD_BYTES - 4 || length > FRAME_LENGTH_MAX) return 'broken'
    if (at + 4 + length > bytes.length) return 'torn'
    at += 4 + length
  }
  if (bytes.readUInt32LE(at) !== LINK_BYTES - 4) return 'broken'
  if (at + LINK_BYTES > bytes.length) return 'torn'
  if (at === start || bytes.readUInt32LE(at + 5) !== place.batch + 1) return 'broken'
  const hashAt = at + LINK_HEAD_BYTES
  // From the second batch on, the previous hash stands right in front of it: one call hashes both.
  const expected = place.batch > 0 ? sha256(bytes.subarray(start - HASH_BYTES, hashAt)) : sha256(Buffer.concat([place.chain, bytes.subarray(start, hashAt)]))
  const chain = bytes.subarray(hashAt, hashAt + HASH_BYTES)
  if (!expected.equals(chain)) return 'broken'
  place.batch++
  place.at = place.whole = hashAt + HASH_BYTES
  place.chain = chain
  return { start, end: at }
}

/** The events between two offsets; false when the frames are not well formed. `names` is the segment's, filled as it goes. */
export function eachEvent(bytes: Buffer, start: number, end: number, names: Map<number, string>, wanted: string | null, see: (event: Event) => void): boolean {
  let at = start
  while (at < end) {
    if (end - at < FRAME_HEAD_BYTES) return false
    const next = at + 4 + bytes.readUInt32LE(at)
    const body = at + FRAME_HEAD_BYTES
    if (next > end || body > next) return false
    const code = bytes[at + 4]!
    const number = bytes.readUInt32LE(at + 5)
    if (code === CODE_NAMES) {
      if (next - body > SESSION_ID_BYTES_MAX + 200) return false
      names.set(number, bytes.toString('utf8', body, next))
    } else {
      const session = names.get(number)
      const kind = EVENT_KINDS[code]
      if (session === undefined || kind === undefined || (code === ANSWER_CODE && next - body < RUN_BYTES)) return false
      if (wanted === null || wanted === session) see(readEvent(bytes, at, body, next, session, kind))
    }
    at = next
  }
  return true
}
function readEvent(bytes: Buffer, at: number, body: number, next: number, session: string, kind: EventKind): Event {
  const facts = { session, sequence: bytes.readUInt32LE(at + 9), kind, atMs: bytes.readDoubleLE(at + 13), monotonicMs: bytes.readDoubleLE(at + 21) }
  if (kind === 'answer') return { ...facts, run: bytes.readUInt32LE(body), body: bytes.subarray(body + RUN_BYTES, next) }
  if (kind === 'ended' && next - body >= ENDED_BYTES && bytes[body]! <= OUTCOMES.length) return { ...facts, body: endedBody(bytes, body, next) }
  const text = bytes.toString('utf8', body, next)
  try { return { ...facts, body: JSON.parse(text) as unknown } } catch { return { ...facts, body: text } }
}
function endedBody(bytes: Buffer, at: number, next: number): unknown {
  const outcome = OUTCOMES[bytes[at]! - 1]
  const detail = outcome === undefined ? null : DETAIL_OF[outcome]
  const text = bytes.toString('utf8', at + ENDED_BYTES, next)
  const body = { run: bytes.readUInt32LE(at + 1), outcome: outcome ?? '', rows: bytes.readDoubleLE(at + 5), bytes: bytes.readDoubleLE(at + 13) }
  return detail === null || (text === '' && outcome !== 'executed') ? body : { ...body, [detail]: text }
}
