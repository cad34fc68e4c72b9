// A connection of Sluice's own: simple queries, every value as text. For catalogs and tests of a resource, never for a client's words.
import type { Socket } from 'node:net'
import { SluiceError } from '../../core/errors.ts'
import { Scratch } from '../../wire/bytes.ts'
import { cellsOf, textCells } from './cells.ts'
import { frameLength, stringEnd, writeQuery } from './frames.ts'

const ANSWER_MS = 15_000
export type Rows = readonly (readonly (string | null)[])[]

export class OwnConnection {
  readonly #socket: Socket
  #rest: Buffer
  #asking: { results: (string | null)[][][]; error: string | null; done: (results: Rows[]) => void; fail: (error: Error) => void; timer: NodeJS.Timeout } | null = null
  #ended = false
  onEnd: () => void = () => {}
  constructor(socket: Socket, early: Buffer) {
    this.#socket = socket
    this.#rest = early
    socket.on('data', (chunk: Buffer) => { this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]); this.#read() })
    socket.on('error', () => {})
    socket.on('close', () => this.#lost())
    socket.unref()
  }
  get ended(): boolean { return this.#ended }

  /** Results in order, one per statement that answers rows. */
  query(text: string): Promise<Rows[]> {
    return new Promise((done, fail) => {
      if (this.#ended || this.#asking !== null) { fail(new SluiceError('OWN_CONNECTION', this.#ended ? 'the connection has ended' : 'a query is running', { public: false })); return }
      const timer = setTimeout(() => this.#socket.destroy(), ANSWER_MS)
      this.#asking = { results: [], error: null, done, fail, timer }
      const out = new Scratch(text.length + 16)
      writeQuery(out, text)
      this.#socket.write(out.view())
    })
  }
  end(): void { this.#socket.end(Buffer.from([0x58, 0, 0, 0, 4])); this.#socket.destroySoon() }

  #read(): void {
    let at = 0
    try {
      for (;;) {
        const length = frameLength(this.#rest, at, this.#rest.length, false)
        if (length === 0 || at + length > this.#rest.length) break
        this.#message(this.#rest[at]!, at, at + length)
        at += length
      }
    } catch { this.#socket.destroy() }
    this.#rest = this.#rest.subarray(at)
  }
  #message(type: number, at: number, to: number): void {
    const asking = this.#asking
    if (asking === null) return
    switch (String.fromCharCode(type)) {
      case 'T': asking.results.push([]); break
      case 'D': asking.results.at(-1)?.push(textCells(cellsOf(this.#rest, at, to))); break
      case 'E': asking.error ??= messageOf(this.#rest, at, to); break
      case 'Z':
        this.#asking = null
        clearTimeout(asking.timer)
        if (asking.error === null) asking.done(asking.results)
        else asking.fail(new SluiceError('OWN_QUERY', asking.error, { public: false }))
        break
      default:
    }
  }
  #lost(): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#asking !== null) { clearTimeout(this.#asking.timer); this.#asking.fail(new SluiceError('OWN_CONNECTION', 'the connection was lost', { public: false })); this.#asking = null }
    this.onEnd()
  }
}
function messageOf(bytes: Buffer, at: number, to: number): string {
  for (let p = at + 5; p < to && bytes[p] !== 0;) {
    const end = stringEnd(bytes, p + 1, to)
    if (end < 0) break
    if (bytes[p] === 0x4d) return bytes.toString('utf8', p + 1, end)
    p = end + 1
  }
  return 'the server refused a query'
}
