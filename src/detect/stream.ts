// Detectors over text that comes in pieces of any size: logs, terminals, bodies. What may still become part of a value waits for the next
// piece, within a bound: a run without spaces beyond it is hidden whole rather than passed.
import type { Detector } from './detector.ts'
import { Found } from './found.ts'
import { HIDDEN, type KeyedHash, writeHidden } from './replace.ts'

/** Values with spaces in them (cards, IBANs, phone numbers) are no longer than this. */
const SPACED_BYTES_MAX = 96
/** A run of bytes without a space, or an unfinished private key, is held back up to this length. */
export const HELD_BYTES_MAX = 64 * 1024
const DASH = 0x2d
const BEGIN_OF_KEY = '-----BEGIN', END_OF_KEY = '-----END'
/** More than this is searched again only when what came can end it: else each small piece would cost as much as all that is held. */
const SEARCHED_AGAIN_BYTES_MAX = 1024

export class DetectStream {
  readonly #detector: Detector
  readonly #hash: KeyedHash
  readonly #found = new Found()
  #held: Buffer = Buffer.alloc(0)
  #heldBytes = 0
  /** Whether what is held has a private key in it that goes on, and whether its last line has begun. */
  #key = false
  #ending = false
  /** Values hidden so far. */
  hidden = 0
  /** The rest of a value that was too long to hold is dropped, up to the next space or the end of its key. */
  #dropping: 'no' | 'run' | 'key' = 'no'
  constructor(detector: Detector, hash: KeyedHash) { this.#detector = detector; this.#hash = hash }

  push(bytes: Buffer): Buffer { return this.#take(bytes, false) }
  end(): Buffer { return this.#take(Buffer.alloc(0), true) }

  #take(more: Buffer, last: boolean): Buffer {
    if (!last && this.#heldBytes > SEARCHED_AGAIN_BYTES_MAX && this.#heldBytes + more.length <= HELD_BYTES_MAX && this.#dropping === 'no' && !this.#mayEnd(more)) { this.#append(more); return Buffer.alloc(0) }
    let text = this.#heldBytes === 0 ? more : Buffer.concat([this.#held.subarray(0, this.#heldBytes), more])
    if (this.#dropping !== 'no') text = this.#drop(text)
    const found = this.#found
    this.#detector.scan(text, 0, text.length, found)
    let cut = last ? text.length : safeCut(text)
    // The last value found may go on with the next piece.
    const open = found.count > 0 && found.to[found.count - 1] === text.length
    for (let i = found.count - 1; i >= 0; i--) {
      if (found.from[i]! < cut && (found.to[i]! > cut || (!last && found.to[i]! === text.length))) cut = found.from[i]!
      if (found.from[i]! >= cut) found.count = i
    }
    const out = new Pieces()
    writeHidden(this.#detector, found, text, 0, cut, this.#hash, out)
    this.hidden += found.count
    let held = text.subarray(cut)
    if (held.length > HELD_BYTES_MAX) {
      out.text(HIDDEN)
      this.hidden++
      this.#dropping = held.indexOf(BEGIN_OF_KEY) >= 0 ? 'key' : 'run'
      held = this.#dropping === 'key' ? held.subarray(-END_OF_KEY.length) : held.subarray(held.length)
    }
    this.#held = Buffer.from(held)
    this.#heldBytes = held.length
    this.#key = held.length > SEARCHED_AGAIN_BYTES_MAX && open && held.indexOf(BEGIN_OF_KEY) >= 0
    this.#ending = this.#key && held.indexOf(END_OF_KEY) >= 0
    return out.joined()
  }

  /** What is held goes out when a space ends its run, or its last line ends a key. */
  #mayEnd(more: Buffer): boolean {
    if (!this.#key) return more.some(isSpace)
    // Its last line goes on with dashes, however many; its label is short.
    if (this.#ending) return more.some((byte) => byte !== DASH)
    return Buffer.concat([this.#held.subarray(Math.max(0, this.#heldBytes - END_OF_KEY.length), this.#heldBytes), more]).includes(END_OF_KEY)
  }
  #append(more: Buffer): void {
    const length = this.#heldBytes + more.length
    if (length > this.#held.length) { const wider = Buffer.alloc(Math.max(length, this.#held.length * 2)); this.#held.copy(wider, 0, 0, this.#heldBytes); this.#held = wider }
    more.copy(this.#held, this.#heldBytes)
    this.#heldBytes = length
  }

  #drop(text: Buffer): Buffer {
    const over = this.#dropping === 'key' ? text.indexOf(END_OF_KEY) : text.findIndex(isSpace)
    if (over < 0) return this.#dropping === 'key' ? Buffer.from(text.subarray(-END_OF_KEY.length)) : Buffer.alloc(0)
    this.#dropping = 'no'
    return text.subarray(over)
  }
}

/** Where a piece may be cut: at the start of the run without spaces in which the last bytes that could belong to a spaced value begin. */
function safeCut(text: Buffer): number {
  let cut = Math.max(0, text.length - SPACED_BYTES_MAX)
  while (cut > 0 && !isSpace(text[cut - 1]!)) cut--
  return cut
}
const isSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)

class Pieces {
  readonly #pieces: Buffer[] = []
  copy(source: Uint8Array, start: number, end: number): void { if (end > start) this.#pieces.push(Buffer.from(source.subarray(start, end))) }
  text(value: string): void { this.#pieces.push(Buffer.from(value)) }
  joined(): Buffer { return Buffer.concat(this.#pieces) }
}
