// A growing output buffer for spliced bytes. One per direction, reused chunk by chunk; never shared between sessions at once.
import type { Output } from '../core/mask.ts'

/** Below this, a byte loop beats Buffer.copy's call. */
const SHORT_COPY_BYTES = 40

export class Scratch implements Output {
  bytes: Buffer
  length = 0
  constructor(size: number) { this.bytes = Buffer.allocUnsafeSlow(size) }
  reset(): void { this.length = 0 }
  room(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const bigger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + more))
    this.bytes.copy(bigger, 0, 0, this.length)
    this.bytes = bigger
  }
  copy(source: Uint8Array, start: number, end: number): void {
    const count = end - start
    this.room(count)
    const to = this.bytes
    let at = this.length
    if (count < SHORT_COPY_BYTES) for (let i = start; i < end; i++) to[at++] = source[i]!
    else { (source as Buffer).copy(to, at, start, end); at += count }
    this.length = at
  }
  text(value: string): void {
    this.room(value.length * 3)
    this.length += this.bytes.write(value, this.length, 'utf8')
  }
  u8(value: number): void {
    this.room(1)
    this.bytes[this.length++] = value
  }
  i16(value: number): void {
    this.room(2)
    this.bytes[this.length++] = value >>> 8
    this.bytes[this.length++] = value & 255
  }
  i32(value: number): void {
    this.room(4)
    this.i32At(this.length, value)
    this.length += 4
  }
  i32At(at: number, value: number): void {
    const b = this.bytes
    b[at] = value >>> 24; b[at + 1] = value >>> 16; b[at + 2] = value >>> 8; b[at + 3] = value
  }
  /** A copy of what was written, which stays valid after the next reset. */
  taken(): Buffer { return Buffer.from(this.bytes.subarray(0, this.length)) }
  view(): Buffer { return this.bytes.subarray(0, this.length) }
}
