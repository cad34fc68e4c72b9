import { type BodyMask, ContentRefused } from './hider.ts'

/** Collects a body that can only be read whole, to a limit. */
export abstract class CollectedMask implements BodyMask {
  rows = 0
  readonly #pieces: Buffer[] = []
  readonly #bytesMax: number
  #bytes = 0
  constructor(bytesMax: number) { this.#bytesMax = bytesMax }
  push(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > this.#bytesMax) throw new ContentRefused(`it is longer than ${this.#bytesMax} bytes, and can only be read whole`)
    this.#pieces.push(bytes)
  }
  end(out: Buffer[]): void { out.push(this.masked(Buffer.concat(this.#pieces))) }
  protected abstract masked(bytes: Buffer): Buffer
}
