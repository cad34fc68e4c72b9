// Content that comes in lines or records: NDJSON, server-sent events, CSV. Each record is judged whole before any of it goes out.
import { type BodyMask, ContentRefused, type Hider } from './hider.ts'
import { JsonMask } from './json.ts'

/** One line, record or event. */
export const RECORD_BYTES_MAX = 4 * 1024 * 1024

/** Collects records that end as `endOf` says and gives each to `record`. */
abstract class RecordMask implements BodyMask {
  rows = 0
  #held: Buffer = Buffer.alloc(0)
  protected readonly hider: Hider
  constructor(hider: Hider) { this.hider = hider }
  push(bytes: Buffer, out: Buffer[]): void {
    const input = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    let at = 0
    for (let end = this.endOf(input, at, this.#held.length); end >= 0; end = this.endOf(input, at, at)) { this.record(input.subarray(at, end), out); at = end }
    if (input.length - at > RECORD_BYTES_MAX) throw new ContentRefused(`a record of it is longer than ${RECORD_BYTES_MAX} bytes`)
    this.#held = input.subarray(at)
  }
  end(out: Buffer[]): void { if (this.#held.length > 0) this.record(this.#held, out) }
  /** Where the record that begins at `at` ends, its end mark included; -1 when it isn't all here. Nothing before `from` needs a look again. */
  protected abstract endOf(input: Buffer, at: number, from: number): number
  protected abstract record(bytes: Buffer, out: Buffer[]): void
}

/** JSON in every line (x-ndjson, json-seq without its marks). Empty lines pass. */
export class NdjsonMask extends RecordMask {
  protected endOf(input: Buffer, _at: number, from: number): number { return input.indexOf(0x0a, from) + 1 || -1 }
  protected record(bytes: Buffer, out: Buffer[]): void {
    if (/^[\r\n\t ]*$/.test(bytes.toString('latin1', 0, Math.min(bytes.length, 64)))) { if (bytes.length > 64) throw new ContentRefused('a line of it is no JSON'); out.push(bytes); return }
    this.rows++
    const json = new JsonMask(this.hider)
    json.push(bytes, out)
    json.end(out)
    // The end of the line behind the value is white space to JSON: it went out with it.
  }
}

/** Server-sent events (HTML, section 9.2). */
export class EventsMask extends RecordMask {
  protected endOf(input: Buffer, at: number, from: number): number {
    for (let i = Math.max(at, from - 3); i < input.length; i++) {
      if (input[i] === 0x0a && (input[i + 1] === 0x0a || (input[i + 1] === 0x0d && input[i + 2] === 0x0a))) return i + (input[i + 1] === 0x0a ? 2 : 3)
      if (input[i] === 0x0d && input[i + 1] === 0x0d) return i + 2
    }
    return -1
  }
  protected record(bytes: Buffer, out: Buffer[]): void {
    this.rows++
    const text = bytes.toString('utf8')
    const lines = text.split(/\r\n|\n|\r/)
    const data = lines.filter((line) => /^data(:|$)/.test(line)).map((line) => line.slice(5).replace(/^ /, ''))
    const before = this.hider.hidden
    let shown = masked(this.hider, data.join('\n'))
    // A client may join the pieces without the line ends that belong there.
    if (shown === null && data.length > 1 && this.hider.find(Buffer.from(data.join(''))) !== null) { this.hider.hidden++; shown = '[hidden]' }
    const others = lines.filter((line) => !/^data(:|$)/.test(line)).map((line) => this.hider.words(line))
    if (this.hider.hidden === before) { out.push(bytes); return }
    const kept = others.filter((line) => line !== '')
    out.push(Buffer.from([...kept, ...(data.length === 0 ? [] : (shown ?? data.join('\n')).split('\n').map((line) => `data: ${line}`)), '', ''].join('\n')))
  }
}

/** JSON if it is, else text; null when nothing is hidden. */
export function masked(hider: Hider, text: string): string | null {
  const bytes = Buffer.from(text)
  if (/^\s*[[{"]/.test(text)) {
    const before = hider.hidden
    const out: Buffer[] = []
    try {
      const json = new JsonMask(hider)
      json.push(bytes, out)
      json.end(out)
      return hider.hidden === before ? null : Buffer.concat(out).toString('utf8')
    } catch (error) {
      if (!(error instanceof ContentRefused) || !error.syntax) throw error
      hider.hidden = before
    }
  }
  return hider.text(bytes, 0, bytes.length)
}

/** CSV (RFC 4180), its first record naming the columns. */
export class CsvMask extends RecordMask {
  #names: readonly string[] | null = null
  protected endOf(input: Buffer, at: number): number {
    let quoted = false
    for (let i = at; i < input.length; i++) {
      if (input[i] === 0x22) quoted = !quoted
      else if (input[i] === 0x0a && !quoted) return i + 1
    }
    return -1
  }
  protected record(bytes: Buffer, out: Buffer[]): void {
    const end = /\r?\n$/.exec(bytes.toString('latin1', Math.max(0, bytes.length - 2)))?.[0].length ?? 0
    const cells = cellsOf(bytes, bytes.length - end)
    const first = this.#names === null
    this.#names ??= cells.map(({ value }) => value.toString('utf8').trim())
    if (!first) this.rows++
    let from = 0
    cells.forEach(({ at, to, value }, column) => {
      const mask = first ? null : this.hider.field('', '', this.#names![column] ?? '')
      const shown = mask !== null && value.length > 0 ? this.hider.value(mask, value, 0, value.length) ?? '' : this.hider.text(value, 0, value.length)
      if (shown === null) return
      out.push(bytes.subarray(from, at), Buffer.from(/[",\r\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown))
      from = to
    })
    out.push(bytes.subarray(from))
  }
}
function cellsOf(bytes: Buffer, end: number): { at: number; to: number; value: Buffer }[] {
  const cells: { at: number; to: number; value: Buffer }[] = []
  const separator = bytes.includes(0x2c) ? 0x2c : bytes.includes(0x3b) ? 0x3b : 0x09
  let at = 0, quoted = false
  for (let i = 0; i <= end; i++) {
    if (i < end && bytes[i] === 0x22) quoted = !quoted
    if (i < end && (bytes[i] !== separator || quoted)) continue
    const raw = bytes.toString('utf8', at, i)
    cells.push({ at, to: i, value: raw.startsWith('"') && raw.endsWith('"') && raw.length > 1 ? Buffer.from(raw.slice(1, -1).replaceAll('""', '"')) : bytes.subarray(at, i) })
    at = i + 1
  }
  return cells
}
