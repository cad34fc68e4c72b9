// Which masks a grant puts on the wire: columns by their origin (table OID and number, never the name), and detectors on every text.
// Reads are masked in the statement already; this is the second guard, and the first one for RETURNING, hashes and free text.
import { type CellMask, type MaskKind } from '../../core/mask.ts'
import type { Grant } from '../../core/policy.ts'
import { compileDetectors, type Detector } from '../../detect/index.ts'
import { hiddenByOrigin } from '../../sql/mask-index.ts'
import { copyMask, type CopyOptions } from './copy.ts'
import { Malformed, NotAllowed } from '../../core/errors.ts'
import { type Clean, cleanDescription, cleaner, cleanWords, type Strictness } from './errors.ts'
import type { CopyMask, Hiding } from './guard.ts'
import type { Judged } from './reader.ts'
import type { SessionReader } from './session-reader.ts'
import type { Tokens } from '../../tokens/tokens.ts'
import { tokenCell } from './token-cells.ts'
import { cellMask } from './values.ts'

const SETS_MAX = 256
const TEXT = 25
const detectors = new Map<string, Detector | null>()
function detectorOf(grant: Grant): Detector | null {
  if (grant.detectors.length === 0) return null
  if (!detectors.has(grant.maskKey)) {
    if (detectors.size >= SETS_MAX) detectors.clear()
    detectors.set(grant.maskKey, compileDetectors(grant.detectors))
  }
  return detectors.get(grant.maskKey) ?? null
}

/** Told once per answer in which detectors hid something: how many of each kind. */
export type TellFound = (run: number, kinds: Readonly<Record<string, number>>) => void

export function hidingOf(grant: () => Grant, reader: SessionReader, keyedHash: (bytes: string | Uint8Array) => string, tokens: Tokens, found: TellFound = () => {}): Hiding { return new GrantHiding(grant, reader, keyedHash, tokens, found) }

class GrantHiding implements Hiding {
  readonly #grant: () => Grant
  readonly #reader: SessionReader
  readonly #hash: (bytes: Uint8Array) => string
  readonly #tokens: Tokens
  readonly #found: TellFound
  constructor(grant: () => Grant, reader: SessionReader, keyedHash: (bytes: string | Uint8Array) => string, tokens: Tokens, found: TellFound) { this.#grant = grant; this.#reader = reader; this.#hash = keyedHash; this.#tokens = tokens; this.#found = found }

  get active(): boolean { return this.#grant().masks }
  get #detector(): Detector | null { return detectorOf(this.#grant()) }

  #countedBy: Detector | null = null
  #counts = new Float64Array(0)
  /** Detectors are shared by sessions, and answers are read to their end one chunk at a time. */
  counting(): void {
    const detector = this.#detector
    if (detector === null) return
    if (detector !== this.#countedBy) { this.#countedBy = detector; this.#counts = new Float64Array(detector.rules.length) }
    detector.tally.counts = this.#counts
  }
  counted(run: number): void {
    const counts = this.#counts
    let some = false
    for (let i = 0; i < counts.length; i++) if (counts[i] !== 0) some = true
    if (!some) return
    this.#found(run, Object.fromEntries(this.#countedBy!.rules.flatMap(({ detector }, i) => (counts[i] === 0 ? [] : [[detector, counts[i]!]]))))
    counts.fill(0)
  }

  /** Masked columns by the origin that the server reports: partitions, children and generated columns among them. */
  #masked(table: number, column: number): MaskKind | null {
    const { catalog } = this.#reader
    return catalog === null ? null : hiddenByOrigin(catalog, this.#reader.column).get(table)?.get(column)?.with ?? null
  }

  field(field: { name: string; table: number; column: number; type: number; typmod: number; format: number }, _judged: Judged | null): CellMask | null {
    const column = field.table === 0 ? null : this.#masked(field.table, field.column)
    const type = { type: field.type, typmod: field.typmod, format: field.format, name: null }
    return column === 'token' ? tokenCell(type, this.#tokens, this.#hash) : cellMask(type, column, this.#detector?.inColumn(`${field.name} ${this.#nameOf(field.table, field.column)}`) ?? null, this.#hash)
  }
  /** The column's own name, whatever it is called in this answer. */
  #nameOf(table: number, column: number): string { return table === 0 ? '' : this.#reader.catalog?.relations.get(table)?.columns.find(({ number }) => number === column)?.name ?? '' }
  copy(format: number, formats: readonly number[], judged: Judged | null): CopyMask | null {
    const detector = this.#detector
    const passed = judged?.passed ?? []
    if (detector === null && passed.length === 0) return null
    const out = judged?.copyOut ?? null
    if (out === null) throw new NotAllowed('COPY in a text of several statements can\'t be searched for what must be hidden')
    const options: CopyOptions = format === 1 ? { ...out.options, format: 'binary' } : out.options
    // Text and CSV hold every value as text. In binary the types must be known.
    if (format === 1 && detector !== null && out.types === null) throw new NotAllowed('COPY (query) in binary format can\'t be searched for what must be hidden: use text or csv')
    const mask = (type: number) => cellMask({ type, typmod: -1, format, name: null }, null, detector, this.#hash)
    const masks = formats.map((_, i) => {
      const token = passed.find(({ index }) => index === i)
      if (token !== undefined) return tokenCell({ type: token.type, typmod: token.typmod, format, name: null }, this.#tokens, this.#hash)
      return mask(format === 1 ? out.types?.[i] ?? 0 : TEXT)
    })
    if (passed.some(({ index }) => index >= masks.length)) throw new Malformed('the server sent fewer columns than were asked for')
    return copyMask(options, masks, mask(TEXT))
  }
  words(message: Buffer, strict: boolean): Buffer | null { return cleanWords(message, this.#clean(), strict ? this.#known : null) }
  description(message: Buffer): Buffer | null { return this.#detector === null ? null : cleanDescription(message, this.#clean()) }
  text(value: string): string { return this.#clean()(value) }

  #cleanFor: Detector | null = null
  #cleanNow: Clean = (text) => text
  #clean(): Clean {
    const detector = this.#detector
    if (detector !== this.#cleanFor) { this.#cleanFor = detector; this.#cleanNow = cleaner(detector, this.#hash) }
    return this.#cleanNow
  }
  /** Names of the catalog are no values. */
  readonly #known: Strictness = {
    known: (field, name) => {
      const catalog = this.#reader.catalog
      if (catalog === null) return false
      if (field === 'schema') return catalog.schemas.has(name)
      if (field === 'table') return [...catalog.relations.values()].some((r) => r.name === name)
      if (field === 'column') return [...catalog.relations.values()].some((r) => r.columns.some((c) => c.name === name))
      return field === 'type' && catalog.types.has(name)
    },
  }
}
