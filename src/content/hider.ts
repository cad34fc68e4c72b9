// What to hide in a body: fields by their name, values by detectors. Every kind of content asks the same one; it never sees a structure.
import type { MaskKind } from '../core/mask.ts'
import { type Detector, Found, type KeyedHash, replacement, writeHidden } from '../detect/index.ts'

/** The strongest mask of the field `name` in `parent` in `grandparent`; null when none applies. */
export type FieldMask = (grandparent: string, parent: string, name: string) => MaskKind | null

/** Names remembered: they come from the upstream, so there is an end. */
const NAMES_MAX = 4_096

/** The body can't be read as what it says it is, or passes a limit: none of it may leave. `syntax`: another reading may be tried. */
export class ContentRefused extends Error {
  readonly syntax: boolean
  constructor(message: string, syntax = false) { super(message); this.name = 'ContentRefused'; this.syntax = syntax }
}

/** Takes a body in pieces of any size and gives what may go out. Throws ContentRefused. */
export interface BodyMask {
  push(bytes: Buffer, out: Buffer[]): void
  end(out: Buffer[]): void
  /** Items of the outermost arrays, lines or records so far. */
  readonly rows: number
}

export class Hider {
  /** Values hidden so far. */
  hidden = 0
  /** By which rules. */
  readonly rules = new Set<string>()
  readonly #field: FieldMask
  readonly #detector: Detector | null
  readonly #hash: KeyedHash
  readonly #found = new Found()
  readonly #known = new Map<string, MaskKind | null>()
  /** Names that stand for a masked field in this exchange alone: aliases of a GraphQL query. */
  readonly #aliases: ReadonlyMap<string, MaskKind>
  constructor(field: FieldMask, detector: Detector | null, hash: KeyedHash, aliases: ReadonlyMap<string, MaskKind> = new Map()) { this.#field = field; this.#detector = detector; this.#hash = hash; this.#aliases = aliases }

  field(grandparent: string, parent: string, name: string): MaskKind | null {
    const key = `${grandparent}\0${parent}\0${name}`
    let mask = this.#known.get(key)
    if (mask === undefined) {
      mask = this.#aliases.get(name) ?? this.#field(grandparent, parent, name) ?? this.#field(grandparent.toLowerCase(), parent.toLowerCase(), name.toLowerCase())
      if (this.#known.size >= NAMES_MAX) this.#known.clear()
      this.#known.set(key, mask)
    }
    return mask
  }

  /** The text with every found value replaced; null when nothing is found. */
  text(bytes: Buffer, start: number, end: number): string | null {
    if (this.#detector === null || !this.#detector.scan(bytes, start, end, this.#found)) return null
    this.hidden += this.#found.count
    const parts: string[] = []
    writeHidden(this.#detector, this.#found, bytes, start, end, this.#hash, { copy: (source, from, to) => { parts.push(Buffer.from(source.buffer, source.byteOffset + from, to - from).toString('utf8')) }, text: (value) => { parts.push(value) } })
    return parts.join('')
  }
  words(text: string): string { const bytes = Buffer.from(text); return this.text(bytes, 0, bytes.length) ?? text }
  /** Where values lie; valid until the next call. */
  find(bytes: Buffer): Found | null { return this.#detector !== null && this.#detector.scan(bytes, 0, bytes.length, this.#found) ? this.#found : null }

  /** What stands for the value of a masked field; null for the mask `null`. */
  value(mask: MaskKind, bytes: Buffer, start: number, end: number): string | null {
    this.hidden++
    return mask === 'null' ? null : replacement(mask === 'token' ? 'redact' : mask, bytes, start, end, this.#hash)
  }
}
