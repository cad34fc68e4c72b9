// The PostgreSQL protocol from a client's side, written apart from src/ so that tests don't believe its own writer: messages are built
// by hand, answers are only split by their lengths.
import type { Duplex } from 'node:stream'

export interface Message { readonly type: string; readonly body: Buffer }
const z = (text: string) => Buffer.concat([Buffer.from(text), Buffer.of(0)])
const i16 = (value: number) => { const b = Buffer.alloc(2); b.writeUInt16BE(value & 0xffff); return b }
const i32 = (value: number) => { const b = Buffer.alloc(4); b.writeInt32BE(value | 0); return b }
export function raw(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type, 'latin1'), i32(body.length + 4), body])
}
type Value = string | Buffer | null
export const query = (text: string) => raw('Q', z(text))
export const parse = (text: string, name = '', types: readonly number[] = []) => raw('P', z(name), z(text), i16(types.length), ...types.map(i32))
export const bind = (options: { portal?: string; statement?: string; values?: readonly Value[]; valueFormats?: readonly number[]; formats?: readonly number[] } = {}) => raw('B', z(options.portal ?? ''), z(options.statement ?? ''),
  i16(options.valueFormats?.length ?? 0), ...(options.valueFormats ?? []).map(i16), i16(options.values?.length ?? 0),
  ...(options.values ?? []).flatMap((v) => (v === null ? [i32(-1)] : [i32(Buffer.byteLength(v)), Buffer.from(v as string)])), i16(options.formats?.length ?? 0), ...(options.formats ?? []).map(i16))
export const describe = (kind: 'S' | 'P', name = '') => raw('D', Buffer.from(kind), z(name))
export const execute = (portal = '', rows = 0) => raw('E', z(portal), i32(rows))
export const close = (kind: 'S' | 'P', name = '') => raw('C', Buffer.from(kind), z(name))
export const sync = () => raw('S')
export const flush = () => raw('H')
export const terminate = () => raw('X')
export const copyData = (data: string | Buffer) => raw('d', Buffer.from(data as string))
export const copyDone = () => raw('c')
export const copyFail = (why = 'the test gave up') => raw('f', z(why))

export function messages(bytes: Buffer): { found: Message[]; rest: Buffer } {
  const found: Message[] = []
  let at = 0
  while (bytes.length - at >= 5) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (end > bytes.length) break
    found.push({ type: String.fromCharCode(bytes[at]!), body: bytes.subarray(at + 5, end) })
    at = end
  }
  return { found, rest: bytes.subarray(at) }
}
export function fields(message: Message): Record<string, string> {
  const found: Record<string, string> = {}
  for (let at = 0; message.body[at] !== 0 && at < message.body.length;) {
    const end = message.body.indexOf(0, at + 1)
    found[String.fromCharCode(message.body[at]!)] = message.body.toString('utf8', at + 1, end)
    at = end + 1
  }
  return found
}
/** One line per message, for comparing answers: errors by what is the server's word, nothing of where in its source or which process. */
export function shown({ type, body }: Message): string {
  if (type === 'E' || type === 'N') { const f = fields({ type, body }); return `${type} ${f.V} ${f.C} ${f.M}${f.D === undefined ? '' : ` | ${f.D}`}${f.H === undefined ? '' : ` | ${f.H}`}${f.P === undefined ? '' : ` @${f.P}`}${f.W === undefined ? '' : ` | ${f.W}`}` }
  if (type === 'A') return `A ${body.toString('utf8', 4).replaceAll('\0', ' ')}`
  if (type === 'T') return `T ${Buffer.from(withoutTables(body)).toString('latin1').replaceAll(/[^\x20-\x7e]/g, (c) => `\\${c.charCodeAt(0)}`)}`
  return `${type} ${body.toString('latin1').replaceAll(/[^\x20-\x7e]/g, (c) => `\\${c.charCodeAt(0)}`)}`
}
/** A RowDescription without the object ids of tables, which differ between databases. */
function withoutTables(body: Buffer): Buffer {
  const copy = Buffer.from(body)
  for (let i = 0, at = 2; i < copy.readUInt16BE(0); i++) { at = copy.indexOf(0, at) + 1; copy.writeUInt32BE(0, at); at += 18 }
  return copy
}

/** A client that speaks in raw bytes over any stream. */
export class RawClient {
  readonly stream: Duplex
  readonly seen: Message[] = []
  bytes = 0
  ended = false
  #rest: Buffer = Buffer.alloc(0)
  #waits: { when: () => boolean; done: () => void }[] = []
  constructor(stream: Duplex) {
    this.stream = stream
    stream.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      const { found, rest } = messages(Buffer.concat([this.#rest, chunk]))
      this.#rest = Buffer.from(rest)
      this.seen.push(...found.map(({ type, body }) => ({ type, body: Buffer.from(body) })))
      this.#look()
    })
    for (const event of ['end', 'close', 'error']) stream.on(event, () => { this.ended = true; this.#look() })
  }
  #look(): void { this.#waits = this.#waits.filter(({ when, done }) => { if (!when()) return true; done(); return false }) }
  send(...parts: readonly Buffer[]): void { this.stream.write(Buffer.concat(parts)) }
  /** Until a condition on what was seen holds. */
  async until(when: (seen: readonly Message[]) => boolean, withinMs = 10_000): Promise<void> {
    if (when(this.seen)) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((done, fail) => {
      this.#waits.push({ when: () => when(this.seen), done })
      timer = setTimeout(() => fail(new Error(`not seen within ${withinMs} ms, ${this.ended ? 'ended' : 'open'}, but:\n${this.seen.map(shown).join('\n')}`)), withinMs)
    })
    clearTimeout(timer)
  }
  count(type: string): number { return this.seen.reduce((sum, m) => sum + (m.type === type ? 1 : 0), 0) }
  ready(times = 1, withinMs = 10_000): Promise<void> { return this.until(() => this.count('Z') >= times || this.ended, withinMs) }
  /** Sends, waits for as many ReadyForQuery as there are Sync and Query, and gives the lines of the answer. */
  async ask(parts: readonly Buffer[], readies = 1, withinMs = 10_000): Promise<string[]> {
    const from = this.seen.length, had = this.count('Z')
    this.send(...parts)
    await this.ready(had + readies, withinMs)
    return this.seen.slice(from).map(shown)
  }
  lines(): string[] { return this.seen.map(shown) }
}
