// The batch in memory: frames are written straight behind the previous hash, so that one call hashes them and one writes what is new of
// them. A batch is written piece by piece as statements need it, and linked (hashed) once, when it is synced or full.
import { randomFillSync } from 'node:crypto'
import { RecordFailed } from '../../core/errors.ts'
import { ANSWER_CODE, CODE_LINK, ENDED_BYTES, ENDED_CODE, EVENT_BYTES_MAX, FRAME_HEAD_BYTES, HASH_BYTES, LINK_BYTES, LINK_HEAD_BYTES, RUN_BYTES, sha256 } from './layout.ts'

/** Random bytes are drawn for many links at once. */
const salts = Buffer.allocUnsafeSlow(4_096)
let saltsAt = salts.length
function salt(bytes: Buffer, at: number, length: number): void {
  if (saltsAt + length > salts.length) { randomFillSync(salts); saltsAt = 0 }
  salts.copy(bytes, at, saltsAt, saltsAt + length)
  saltsAt += length
}

export class Batch {
  #bytes: Buffer
  #view: DataView
  #used = HASH_BYTES
  #written = HASH_BYTES
  constructor(capacity: number) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }
  /** What the first batch of a segment follows. */
  begin(previous: Buffer): void { previous.copy(this.#bytes, 0) }
  get empty(): boolean { return this.#used === HASH_BYTES }
  get bytes(): Buffer { return this.#bytes }
  /** What is not written yet: [written, used). */
  get written(): number { return this.#written }
  get used(): number { return this.#used }
  wrote(): void { this.#written = this.#used }
  fits(bodyBytes: number): boolean { return this.#used + FRAME_HEAD_BYTES + RUN_BYTES + bodyBytes + LINK_BYTES <= this.#bytes.length }
  /** For one frame that is larger than a whole batch, or while nothing can be written. */
  grow(bodyBytes: number): void {
    if (bodyBytes > EVENT_BYTES_MAX) throw new RecordFailed(`an event may have at most ${EVENT_BYTES_MAX} bytes`)
    const bigger = Buffer.allocUnsafeSlow(Math.max(this.#used + FRAME_HEAD_BYTES + RUN_BYTES + bodyBytes + LINK_BYTES, Math.min(this.#bytes.length * 2, EVENT_BYTES_MAX)))
    this.#bytes.copy(bigger, 0, 0, this.#used)
    this.#bytes = bigger
    this.#view = new DataView(bigger.buffer)
  }

  /** Answers the frame's length. Room for three bytes per character of `body` was made. */
  addText(code: number, session: number, sequence: number, wallMs: number, monotonicMs: number, body: string): number {
    const at = this.#used
    const length = this.#bytes.write(body, at + FRAME_HEAD_BYTES, 'utf8')
    return this.#head(at, code, session, sequence, wallMs, monotonicMs, length)
  }
  addEnded(session: number, sequence: number, wallMs: number, monotonicMs: number, outcome: number, run: number, rows: number, bytes: number, detail: string): number {
    const at = this.#used, body = at + FRAME_HEAD_BYTES, view = this.#view
    view.setUint8(body, outcome)
    view.setUint32(body + 1, run, true)
    view.setFloat64(body + 5, rows, true)
    view.setFloat64(body + 13, bytes, true)
    const length = detail === '' ? 0 : this.#bytes.write(detail, body + ENDED_BYTES, 'utf8')
    return this.#head(at, ENDED_CODE, session, sequence, wallMs, monotonicMs, ENDED_BYTES + length)
  }
  addAnswer(session: number, sequence: number, wallMs: number, monotonicMs: number, run: number, bytes: Buffer, start: number, end: number): number {
    const at = this.#used
    this.#view.setUint32(at + FRAME_HEAD_BYTES, run, true)
    bytes.copy(this.#bytes, at + FRAME_HEAD_BYTES + RUN_BYTES, start, end)
    return this.#head(at, ANSWER_CODE, session, sequence, wallMs, monotonicMs, RUN_BYTES + end - start)
  }
  #head(at: number, code: number, session: number, sequence: number, wallMs: number, monotonicMs: number, bodyBytes: number): number {
    const view = this.#view
    view.setUint32(at, FRAME_HEAD_BYTES - 4 + bodyBytes, true)
    view.setUint8(at + 4, code)
    view.setUint32(at + 5, session, true)
    view.setUint32(at + 9, sequence, true)
    view.setFloat64(at + 13, wallMs, true)
    view.setFloat64(at + 21, monotonicMs, true)
    this.#used = at + FRAME_HEAD_BYTES + bodyBytes
    return FRAME_HEAD_BYTES + bodyBytes
  }

  /** Adds the link that ends the batch; answers its hash. */
  link(number: number): Buffer {
    const at = this.#used
    const hash = linkOf(this.#bytes, at, number)
    this.#used = at + LINK_BYTES
    return hash
  }
  /** The link could not be written: the batch is open again. */
  unlink(): void { this.#used -= LINK_BYTES }
  /** The batch is on its way to disk: the next one follows `hash`. */
  next(hash: Buffer, capacity: number): void {
    if (this.#bytes.length > capacity) { this.#bytes = Buffer.allocUnsafeSlow(capacity); this.#view = new DataView(this.#bytes.buffer) }
    hash.copy(this.#bytes, 0)
    this.#used = this.#written = HASH_BYTES
  }

  /** The link over what was written so far, for the end of a file that is left. Null when nothing of this batch was. */
  linkWritten(number: number): Buffer | null {
    if (this.#written === HASH_BYTES) return null
    const part = Buffer.allocUnsafeSlow(this.#written + LINK_BYTES)
    this.#bytes.copy(part, 0, 0, this.#written)
    linkOf(part, this.#written, number)
    return part.subarray(this.#written)
  }
  /** Frames that no file has. */
  unwritten(): Buffer { return Buffer.from(this.#bytes.subarray(this.#written, this.#used)) }
  /** Appends whole frames as they are. */
  addFrames(frames: Buffer): void {
    if (this.#used + frames.length + LINK_BYTES > this.#bytes.length) this.grow(frames.length)
    frames.copy(this.#bytes, this.#used)
    this.#used += frames.length
  }
}

/** Writes a link at `at` behind frames that stand behind the previous hash at 0. */
export function linkOf(bytes: Buffer, at: number, number: number): Buffer {
  bytes.writeUInt32LE(LINK_BYTES - 4, at)
  bytes[at + 4] = CODE_LINK
  bytes.writeUInt32LE(number, at + 5)
  salt(bytes, at + 9, LINK_HEAD_BYTES - 9)
  const hash = sha256(bytes.subarray(0, at + LINK_HEAD_BYTES))
  hash.copy(bytes, at + LINK_HEAD_BYTES)
  return hash
}
