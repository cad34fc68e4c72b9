// The batch in memory: frames are written straight behind the room for the previous hash, so that one call hashes and one writes.
import { ANSWER_CODE, BATCH_HEAD_BYTES, EVENT_BYTES_MAX, FRAME_HEAD_BYTES, HASH_BYTES, RUN_BYTES, sha256 } from './layout.ts'
import { RecordFailed } from '../../core/errors.ts'

const FIRST = HASH_BYTES + BATCH_HEAD_BYTES

export class Batch {
  #bytes: Buffer
  #used = FIRST
  hash: Buffer = Buffer.alloc(0)
  constructor(capacity: number) { this.#bytes = Buffer.allocUnsafeSlow(capacity) }
  get empty(): boolean { return this.#used === FIRST }
  fits(bodyBytes: number): boolean { return this.#used + FRAME_HEAD_BYTES + RUN_BYTES + bodyBytes + HASH_BYTES <= this.#bytes.length }
  /** Only for one frame that is larger than a whole batch. */
  grow(bodyBytes: number): void {
    if (bodyBytes > EVENT_BYTES_MAX) throw new RecordFailed(`an event may have at most ${EVENT_BYTES_MAX} bytes`)
    this.#bytes = Buffer.concat([this.#bytes.subarray(0, this.#used)], this.#used + FRAME_HEAD_BYTES + RUN_BYTES + bodyBytes + HASH_BYTES)
  }
  clear(capacity: number): void {
    this.#used = FIRST
    if (this.#bytes.length > capacity) this.#bytes = Buffer.allocUnsafeSlow(capacity)
  }

  addText(code: number, session: number, sequence: number, atMs: number, monotonicMs: number, body: string, bodyBytes: number): number {
    const at = this.#head(code, session, sequence, atMs, monotonicMs, bodyBytes)
    this.#bytes.write(body, at, bodyBytes, 'utf8')
    this.#used = at + bodyBytes
    return FRAME_HEAD_BYTES + bodyBytes
  }
  addAnswer(session: number, sequence: number, atMs: number, monotonicMs: number, run: number, bytes: Buffer, start: number, end: number): number {
    const length = RUN_BYTES + end - start
    const at = this.#head(ANSWER_CODE, session, sequence, atMs, monotonicMs, length)
    this.#bytes.writeUInt32LE(run, at)
    bytes.copy(this.#bytes, at + RUN_BYTES, start, end)
    this.#used = at + length
    return FRAME_HEAD_BYTES + length
  }
  #head(code: number, session: number, sequence: number, atMs: number, monotonicMs: number, bodyBytes: number): number {
    const bytes = this.#bytes
    const at = this.#used
    bytes.writeUInt32LE(FRAME_HEAD_BYTES - 4 + bodyBytes, at)
    bytes[at + 4] = code
    bytes.writeUInt32LE(session, at + 5)
    bytes.writeUInt32LE(sequence, at + 9)
    bytes.writeDoubleLE(atMs, at + 13)
    bytes.writeDoubleLE(monotonicMs, at + 21)
    return at + FRAME_HEAD_BYTES
  }

  /** The batch as it goes to disk. May be sealed again with another previous hash when writing it failed. */
  seal(previous: Buffer, number: number): Buffer {
    const bytes = this.#bytes
    previous.copy(bytes, 0)
    bytes.writeUInt32LE(this.#used - FIRST, HASH_BYTES)
    bytes.writeUInt32LE(number, HASH_BYTES + 4)
    this.hash = sha256(bytes.subarray(0, this.#used))
    this.hash.copy(bytes, this.#used)
    return bytes.subarray(HASH_BYTES, this.#used + HASH_BYTES)
  }
}
