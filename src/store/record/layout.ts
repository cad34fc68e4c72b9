// The bytes of a log on disk, for writers and readers alike. Forever: what is written here must be readable by every later version.
// Segment: magic, version, codec, two zero bytes, length and text of a JSON header; then frames. Frame: u32 length of what follows,
// u8 code, u32 session, u32 sequence, f64 wall ms, f64 monotonic ms, body; an answer's body begins with its u32 run. A link ends a batch,
// all frames since the link before it: u32 length, u8 code, u32 number of the batch, 16 random bytes, sha256(previous hash, the batch's
// frames, the link up to here). Integers are little endian.
import { hash } from 'node:crypto'
import { EVENT_KINDS, type EventKind, type Outcome, OUTCOMES } from '../../core/record.ts'

export const MAGIC = Buffer.from('SLRC')
export const FORMAT_VERSION = 2
export const CODEC_PLAIN = 0
/** Compressed and sealed: sealed.ts has its bytes. An unknown codec is never read as another. */
export const CODEC_SEALED = 1
export const CODEC_AT = 5
export const PREAMBLE_BYTES = 12
export const HASH_BYTES = 32
export const FRAME_HEAD_BYTES = 29
export const RUN_BYTES = 4
/** A frame that gives a session's number in this segment its id; its sequence is that of the session's next event. */
export const CODE_NAMES = 255
export const CODE_LINK = 254
/** The salt keeps the hash, which is told outside, from saying what little content was. */
export const LINK_SALT_BYTES = 16
export const LINK_HEAD_BYTES = 9 + LINK_SALT_BYTES
export const LINK_BYTES = LINK_HEAD_BYTES + HASH_BYTES
export const ANSWER_CODE = EVENT_KINDS.indexOf('answer')
export const ENDED_CODE = EVENT_KINDS.indexOf('ended')
/** The short form of `ended`, which no JSON text begins like: u8 outcome + 1, u32 run, f64 rows, f64 bytes, text. */
export const ENDED_BYTES = 21

export const HEADER_BYTES_MAX = 4_096
export const EVENT_BYTES_MAX = 128 * 1024 * 1024
export const SESSION_ID_BYTES_MAX = 200
export const SEGMENT_NUMBER_MAX = 999_999

/** Up to where an earlier segment holds. Batch 0 is its header. */
export interface Point { readonly segment: number; readonly batch: number; readonly hash: string }
export interface SegmentHeader {
  readonly resource: string
  /** The writing process: its boot id. */
  readonly writer: string
  readonly segment: number
  readonly madeAtMs: number
  readonly previous: Point | null
  /** The disk failed the earlier segment and it could not be cut back to `previous`: what it holds behind it is not to be trusted. */
  readonly afterFailure: boolean
}

export const codeOf = new Map<EventKind, number>(EVENT_KINDS.map((kind, code) => [kind, code]))
/** What an outcome's text is called in the event. */
export const DETAIL_OF: Readonly<Record<Outcome, string | null>> = { executed: 'tag', failed: 'code', ended: 'rule', skipped: 'why', unknown: 'why' }
export const outcomeCode = new Map<Outcome, number>(OUTCOMES.map((outcome, index) => [outcome, index + 1]))
export const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer')
export const segmentName = (segment: number): string => `${String(segment).padStart(6, '0')}.seg`
export const SEGMENT_NAME = /^\d{6}\.seg$/
/** Names that are folders of their own and nothing else. */
export const SAFE_NAME = /^(?!\.)[A-Za-z0-9._-]{1,128}$/
export const logName = (resource: string, writer: string): string => `${resource}/${writer}`

/** Header bytes, and the hash that the first batch follows. The codec is outside of it: compressing and sealing change no hash. */
export function encodeHeader(header: SegmentHeader, codec = CODEC_PLAIN): { bytes: Buffer; hash: Buffer } {
  const text = Buffer.from(JSON.stringify(header))
  const bytes = Buffer.alloc(PREAMBLE_BYTES + text.length)
  MAGIC.copy(bytes)
  bytes[4] = FORMAT_VERSION
  bytes[CODEC_AT] = codec
  bytes.writeUInt32LE(text.length, 8)
  text.copy(bytes, PREAMBLE_BYTES)
  return { bytes, hash: sha256(text) }
}
