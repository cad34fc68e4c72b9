// The way back: what of an answer may reach the client as it is. It masks cells by their origin and by what detectors find, in every
// format; it is asked once per column of a result. It never decides which fields are hidden: that is the grant's.
import { Malformed } from '../../core/errors.ts'
import { type CellMask, NULLED, REPLACED, UNCHANGED } from '../../core/mask.ts'
import type { Scratch } from '../../wire/bytes.ts'
import type { OwnName } from './attribution.ts'
import { frameLength, i32, stringEnd, u16, u32 } from './frames.ts'
import type { Judged } from './reader.ts'

/** Columns of one result, as described. */
export interface RowShape {
  /** The description as it came: the same bytes have the same masks. */
  readonly source: Buffer
  readonly formats: readonly number[]
  /** Of the text it answers: another reading has other masks. */
  readonly parts: Judged['parts'] | null
  readonly masks: readonly (CellMask | null)[]
  readonly masking: boolean
  /** What the client gets in its place, when it differs. */
  readonly description: Buffer | null
}
export interface CopyShape extends RowShape { readonly copy: CopyMask | null }
/** Rewrites the payload of CopyData messages; keeps what one leaves unfinished. */
export interface CopyMask { push(input: Buffer, from: number, to: number, out: Scratch): void; end(out: Scratch): void }

/** What the guard needs to know of columns and texts; made per session from its grant and catalog. */
export interface Hiding {
  /** Whether anything can be hidden on the wire at all. */
  readonly active: boolean
  /** The mask of a column by its origin, type and format, or null. Throws Malformed for a column that must not be here. */
  field(field: { readonly name: string; readonly table: number; readonly column: number; readonly type: number; readonly typmod: number; readonly format: number }, judged: Judged | null): CellMask | null
  copy(format: number, formats: readonly number[], judged: Judged | null): CopyMask | null
  /** Whole ErrorResponse or NoticeResponse, cleaned; null when it may go as it is. */
  words(message: Buffer, strict: boolean): Buffer | null
  /** A RowDescription whose column names were cleaned; null when it may go as it is. */
  description(message: Buffer): Buffer | null
  /** Server bytes are about to be read: what detectors hide from now on is this session's. */
  counting(): void
  /** The run's answer ends, or stops for now: what was hidden in it goes into the record. */
  counted(run: number): void
  /** A value in free text, cleaned. */
  text(value: string): string
}

export class Guard {
  readonly #hiding: Hiding
  /** Where application_name carries who acts. */
  readonly #own: OwnName | null
  constructor(hiding: Hiding, own: OwnName | null) { this.#hiding = hiding; this.#own = own }

  #last: RowShape | null = null
  get inspects(): boolean { return this.#hiding.active }

  counting(): void { if (this.#hiding.active) this.#hiding.counting() }
  counted(run: number): void { if (this.#hiding.active) this.#hiding.counted(run) }

  shape(input: Buffer, at: number, to: number, judged: Judged | null, formats: readonly number[], known: RowShape | null): RowShape {
    const shows = this.#own === null ? null : judged?.shows ?? null
    if (!this.#hiding.active && shows === null && (judged === null || judged.origins.length === 0)) return UNSEEN
    // Texts of one shape share their parts; a change of catalog or policy makes new ones, and with them new masks.
    const parts = judged?.parts ?? null
    const kept = known ?? this.#last
    if (kept !== null && parts !== null && kept.parts === parts && kept.source.length === to - at && sameFormats(kept.formats, formats) && sameBytes(input, at, kept.source)) return kept
    const source = Buffer.from(input.subarray(at, to))
    const passed = judged?.passed ?? []
    let found = 0
    const masks: (CellMask | null)[] = []
    let p = at + 7
    for (let i = 0, count = u16(input, at + 5); i < count; i++) {
      const end = stringEnd(input, p, to)
      if (end < 0 || end + 19 > to) throw new Malformed('the server sent a malformed row description')
      const name = input.toString('utf8', p, end)
      p = end + 19
      const format = formats.length === 1 ? formats[0]! : formats[i] ?? u16(input, end + 17)
      for (const one of passed) if (one.index === i && one.relation === u32(input, end + 1) && one.number === u16(input, end + 5)) found++
      if (shows !== null && i === (shows === 'one' ? 0 : 1)) { masks.push(this.#ownName); continue }
      masks.push(!this.#hiding.active ? null : this.#hiding.field({ name, table: u32(input, end + 1), column: u16(input, end + 5), type: u32(input, end + 7), typmod: i32(input, end + 13), format }, judged))
    }
    // Its values were let through to be hidden here: one that is not where it must be would go out bare.
    if (found !== passed.length) throw new Malformed('the server described other columns than were asked for')
    return this.#last = { source, formats, parts, masks, masking: masks.some((mask) => mask !== null), description: withOrigins((this.#hiding.active ? this.#hiding.description(source) : null) ?? source, judged, source) }
  }

  /** A cell that holds application_name. What other settings hold does not begin with who acts. */
  readonly #ownName: CellMask = (input, start, end, out) => {
    const own = this.#own?.of(input.toString('utf8', start, end)) ?? null
    if (own === null) return UNCHANGED
    out.text(own)
    return REPLACED
  }

  /** One DataRow, spliced: what is not masked is copied, never decoded. */
  row(shape: RowShape, input: Buffer, at: number, to: number, out: Scratch): void {
    const { masks } = shape
    const head = out.length
    let copied = at, p = at + 7
    const count = u16(input, at + 5)
    if (count !== masks.length) throw new Malformed('the server sent a row of another shape than it described')
    for (let i = 0; i < count; i++) {
      const length = i32(input, p)
      const start = p + 4, end = length < 0 ? start : start + length
      if (end > to) throw new Malformed('the server sent a malformed row')
      const mask = masks[i]!
      if (mask !== null && length >= 0) {
        out.copy(input, copied, p)
        const mark = out.length
        out.i32(0)
        const done = mask(input, start, end, out)
        if (done === UNCHANGED) { out.length = mark; copied = p }
        else { out.i32At(mark, done === NULLED ? -1 : out.length - mark - 4); copied = end }
      }
      p = end
    }
    out.copy(input, copied, to)
    out.i32At(head + 1, out.length - head - 1)
  }

  copyShape(input: Buffer, at: number, to: number, judged: Judged | null): CopyShape {
    const formats: number[] = []
    for (let i = 0, count = u16(input, at + 6); i < count && at + 10 + i * 2 <= to; i++) formats.push(u16(input, at + 8 + i * 2))
    const copy = this.#hiding.active ? this.#hiding.copy(input[at + 5]!, formats, judged) : null
    return { source: NOTHING, formats, parts: null, masks: NONE, masking: copy !== null, description: null, copy }
  }
  copyRow(shape: RowShape, input: Buffer, at: number, to: number, out: Scratch): void {
    const head = out.length
    out.u8(input[at]!)
    out.i32(0)
    ;(shape as CopyShape).copy!.push(input, at + 5, to, out)
    if (out.length === head + 5) out.length = head // kept for the next message: nothing to say yet
    else out.i32At(head + 1, out.length - head - 1)
  }

  /** What a copy left unfinished, as one last CopyData. */
  copyEnd(shape: RowShape, out: Scratch): void {
    const { copy } = shape as CopyShape
    if (copy == null) return
    const head = out.length
    out.u8(0x64)
    out.i32(0)
    copy.end(out)
    if (out.length === head + 5) out.length = head
    else out.i32At(head + 1, out.length - head - 1)
  }

  /** `strict`: a statement of this transaction ran on real values, and what it deferred may be told now. */
  words(input: Buffer, at: number, to: number, judged: Judged | null, strict: boolean): Buffer | null {
    const closed = judged?.strictErrors === true || (strict && (judged === null || judged.settles))
    if (judged !== null && judged.sent !== judged.text) return this.#hiding.words(this.#placed(input, at, to, judged), closed) ?? this.#placed(input, at, to, judged)
    if (!this.#hiding.active && !closed) return null
    return this.#hiding.words(input.subarray(at, to), closed)
  }
  /** An error's position in the text we sent → in the text the client sent. */
  #placed(input: Buffer, at: number, to: number, judged: Judged): Buffer {
    const message = Buffer.from(input.subarray(at, to))
    const parts: Buffer[] = []
    for (let p = 5; p < message.length && message[p] !== 0;) {
      const end = stringEnd(message, p + 1, message.length)
      if (end < 0) throw new Malformed('the server sent a malformed error')
      if (message[p] === 0x50) parts.push(Buffer.from(`P${judged.position(Number(message.toString('latin1', p + 1, end)))}\0`))
      else parts.push(message.subarray(p, end + 1))
      p = end + 1
    }
    const made = Buffer.concat([message.subarray(0, 5), ...parts, Buffer.from([0])])
    made.writeInt32BE(made.length - 1, 1)
    if (frameLength(made, 0, made.length, false) !== made.length) throw new Malformed('a mapped error is too long')
    return made
  }

  /** The server's own number of this connection, and the one that the client was told with its cancel key. */
  process: { readonly server: number; readonly told: number } | null = null
  /** A client knows its own notification by the process that sent it. */
  #sender(pid: number): number {
    if (this.process === null) return pid
    return pid === this.process.server ? this.process.told : pid === this.process.told ? 0 : pid
  }

  notification(input: Buffer, at: number, to: number): Buffer | null {
    const pid = u32(input, at + 5), sender = this.#sender(pid)
    if (!this.#hiding.active) {
      if (sender === pid) return null
      const made = Buffer.from(input.subarray(at, to))
      made.writeUInt32BE(sender, 5)
      return made
    }
    const channelEnd = stringEnd(input, at + 9, to)
    const payloadEnd = channelEnd < 0 ? -1 : stringEnd(input, channelEnd + 1, to)
    if (payloadEnd < 0) throw new Malformed('the server sent a malformed notification')
    const channel = input.toString('utf8', at + 9, channelEnd), payload = input.toString('utf8', channelEnd + 1, payloadEnd)
    const cleanChannel = this.#hiding.text(channel), cleanPayload = this.#hiding.text(payload)
    if (cleanChannel === channel && cleanPayload === payload && sender === pid) return null
    const made = Buffer.concat([input.subarray(at, at + 9), Buffer.from(`${cleanChannel}\0${cleanPayload}\0`)])
    made.writeInt32BE(made.length - 1, 1)
    made.writeUInt32BE(sender, 5)
    return made
  }
  /** What the client is told of a parameter; null: nothing. */
  parameter(name: string, value: string): string | null {
    if (name === 'application_name' && this.#own !== null) return this.#own.told(value)
    return this.#hiding.active ? this.#hiding.text(value) : value
  }
}
/** A masked column is an expression to the server; the client gets its origin back, as if nothing stood between. Null when nothing changed. */
function withOrigins(description: Buffer, judged: Judged | null, source: Buffer): Buffer | null {
  const origins = judged?.origins ?? []
  if (origins.length === 0) return description === source ? null : description
  const made = Buffer.from(description)
  let p = 7
  for (let i = 0, count = u16(made, 5); i < count; i++) {
    const end = stringEnd(made, p, made.length)
    const origin = origins.find((one) => one.index === i)
    if (origin !== undefined && u32(made, end + 1) === 0) { made.writeUInt32BE(origin.relation, end + 1); made.writeUInt16BE(origin.number, end + 5) }
    p = end + 19
  }
  return made
}
const NONE: readonly (CellMask | null)[] = []
const NOTHING = Buffer.alloc(0)
/** Nothing can be hidden in this session: descriptions are not read. */
const UNSEEN: RowShape = { source: NOTHING, formats: [], parts: null, masks: NONE, masking: false, description: null }
/** So far a loop is faster than the call of a comparison. */
const SHORT_BYTES = 96
function sameBytes(input: Buffer, at: number, other: Buffer): boolean {
  const { length } = other
  if (length > SHORT_BYTES) return input.compare(other, 0, length, at, at + length) === 0
  for (let i = 0; i < length; i++) if (input[at + i] !== other[i]) return false
  return true
}
function sameFormats(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
