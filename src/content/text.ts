// Plain text in pieces, forms, and what only says it is text.
import type { Detector, KeyedHash } from '../detect/index.ts'
import { DetectStream } from '../detect/index.ts'
import { CollectedMask } from './collected.ts'
import { type BodyMask, ContentRefused, type Hider } from './hider.ts'

const FORM_BYTES_MAX = 4 * 1024 * 1024

/** Text whose values detectors find; a NUL byte means that it is no text in the encoding it says. */
export class TextMask implements BodyMask {
  rows = 0
  readonly #stream: DetectStream | null
  readonly #hider: Hider
  constructor(hider: Hider, detector: Detector | null, hash: KeyedHash) { this.#hider = hider; this.#stream = detector === null ? null : new DetectStream(detector, hash) }
  push(bytes: Buffer, out: Buffer[]): void {
    if (bytes.includes(0)) throw new ContentRefused('it says it is text and holds zero bytes')
    for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) this.rows++
    if (this.#stream === null) { out.push(bytes); return }
    this.#count(() => out.push(this.#stream!.push(bytes)))
  }
  end(out: Buffer[]): void { if (this.#stream !== null) this.#count(() => out.push(this.#stream!.end())) }
  #count(step: () => void): void { const before = this.#stream!.hidden; step(); this.#hider.hidden += this.#stream!.hidden - before }
}

/** application/x-www-form-urlencoded, held whole. */
export class FormMask extends CollectedMask {
  readonly #hider: Hider
  constructor(hider: Hider) { super(FORM_BYTES_MAX); this.#hider = hider }
  protected masked(bytes: Buffer): Buffer {
    const pairs = bytes.toString('latin1').split('&').map((pair) => {
      const equals = pair.indexOf('=')
      const [name, raw] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
      const value = Buffer.from(formDecoded(raw)), key = formDecoded(name)
      const mask = this.#hider.field('', '', key.replace(/\[\]$/, ''))
      const shown = mask !== null && value.length > 0 ? this.#hider.value(mask, value, 0, value.length) ?? '' : this.#hider.text(value, 0, value.length)
      const keyBytes = Buffer.from(key), keyShown = this.#hider.text(keyBytes, 0, keyBytes.length)
      return shown === null && keyShown === null ? pair : `${encodeURIComponent(keyShown ?? key)}=${encodeURIComponent(shown ?? value.toString('utf8'))}`
    })
    return Buffer.from(pairs.join('&'), 'latin1')
  }
}
export function formDecoded(text: string): string {
  try { return decodeURIComponent(text.replaceAll('+', ' ')) } catch { throw new ContentRefused('a form whose escapes can\'t be read') }
}
