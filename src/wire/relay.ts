// Moves bytes between a client and its server and asks the session about every statement. All waiting, ordering and back-pressure
// of the byte protocols lives here and only here; no protocol's name occurs. Nothing passes to the server without `ask`.
import type { Duplex } from 'node:stream'
import { SluiceError } from '../core/errors.ts'
import type { Denied, Plan, Seen, Session, Verdict } from '../core/session.ts'
import { Scratch } from './bytes.ts'
import { readerOf } from './reader.ts'
import { type Answers, BLOCKED, type Codec, NEED_MORE } from './codec.ts'

/** Client bytes kept while a statement waits or the server is slow; beyond, reading stops. */
const WAITING_BYTES_MAX = 64 * 1024
/** Requests are written out at the latest when this much has gathered. */
const GATHER_BYTES = 64 * 1024
/** First size of a direction's scratch buffer; it grows with what is spliced. */
const SCRATCH_BYTES = 2 * 1024
/** A scratch that grew beyond this is given back after use. */
const SCRATCH_KEPT_BYTES = 128 * 1024
/** How long a farewell may take to leave before the sockets are destroyed. */
const FAREWELL_MS = 1_000

export interface RelayOptions {
  readonly client: Duplex
  readonly server: Duplex
  readonly codec: Codec
  readonly session: Session
  /** Asks the server, on a connection of its own, to end what it is doing. Resolves when that connection has closed. */
  cancel(): Promise<void>
  /** Told of what was not expected, for the log. */
  failed(error: unknown): void
  /** Bytes the server sent after login, already read. */
  readonly early: Buffer
  /** Limits of the resource, in milliseconds. */
  readonly statementMs: number
  readonly idleMs: number
}

/** Unfinished message of one direction. */
class Rest {
  bytes: Buffer = EMPTY
  length = 0
  /** Adds input[from, to); doubles as needed. */
  add(input: Buffer, from: number, to: number): void {
    const needed = this.length + to - from
    if (needed > this.bytes.length) {
      const bigger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2, 512))
      this.bytes.copy(bigger, 0, 0, this.length)
      this.bytes = bigger
    }
    input.copy(this.bytes, this.length, from, to)
    this.length = needed
  }
  /** Drops the first `count` bytes. */
  drop(count: number): void {
    if (count === 0) return
    this.bytes.copyWithin(0, count, this.length)
    this.length -= count
    if (this.length === 0 && this.bytes.length > SCRATCH_BYTES) this.bytes = EMPTY
  }
}
const EMPTY = Buffer.alloc(0)

/** Empties a scratch. One on loan to a socket is replaced, by one of the size that was needed; one that has grown is given back once little is needed. */
function renew(scratch: Scratch, loaned: boolean): void {
  const { length, bytes } = scratch
  if (loaned || bytes.length > SCRATCH_KEPT_BYTES || (bytes.length > SCRATCH_BYTES * 8 && length < SCRATCH_BYTES)) scratch.bytes = Buffer.allocUnsafeSlow(Math.min(SCRATCH_KEPT_BYTES, Math.max(SCRATCH_BYTES, length)))
  scratch.reset()
}

export class Relay implements Answers {
  readonly out = new Scratch(SCRATCH_BYTES)
  readonly #o: RelayOptions
  readonly #upstream = new Scratch(SCRATCH_BYTES)
  readonly #fromClient = new Rest()
  readonly #fromServer = new Rest()
  /** Server bytes that wait behind a bound or a slow client. */
  readonly #held = new Rest()
  #slice: Buffer = EMPTY
  #sliceFrom = 0
  #sliceTo = 0
  /** A verdict is awaited: no further request is read. */
  #verdictDue = false
  /** A verdict that came and has not taken effect. */
  #verdict: Verdict | null = null
  /** What was decided waits for the record or for the server's drain; `#written` resolves when it is out. */
  #writeDue = false
  #written: Promise<void> = Promise.resolve()
  /** A person is asked, for a statement or for the rest of an answer. */
  #waiting = false
  /** The next request waits for the server: no more of the client is read than a buffer holds. */
  #blocked = false
  #clientEnded = false
  #serverStopped = false
  #cancelling = false
  #ended = false
  #notices: Buffer[] = []
  /** The client's socket still holds bytes of the chunk being read. */
  #loaned = false
  #activeAtMs = performance.now()
  #finish: (why: string) => void = () => {}

  constructor(options: RelayOptions) { this.#o = options }
  get #busy(): boolean { return this.#verdictDue || this.#writeDue }

  /** Runs until either side ends; resolves with the reason, for the record. */
  run(): Promise<string> {
    const { client, server, session } = this.#o
    return new Promise((done) => {
      this.#finish = done
      const fromClient = (chunk: Buffer) => { try { this.#clientBytes(chunk) } catch (error) { this.#fail(error) } }
      const fromServer = (chunk: Buffer) => { try { this.serverBytes(chunk) } catch (error) { this.#fail(error) } }
      client.on('data', fromClient)
      const clientReader = readerOf(client)
      // Everything that is kept of a request is copied: its buffer is free again at once.
      if (clientReader !== null) clientReader.sink = (chunk) => { fromClient(chunk); return true }
      client.on('end', () => this.#guard(() => { this.#clientEnded = true; this.#stopWaiting('the client ended its stream'); this.#advance() }))
      client.on('error', () => {})
      client.on('close', () => this.#clientGone())
      client.on('drain', () => this.#guard(() => this.#clientDrained()))
      const reader = readerOf(server)
      if (reader === null) server.on('data', fromServer)
      else reader.sink = (chunk) => { this.#loaned = false; fromServer(chunk); return !this.#loaned }
      server.on('end', () => this.#serverGone())
      server.on('error', () => {})
      server.on('close', () => this.#serverGone())
      client.resume()
      server.resume()
      if (session.signal.aborted) this.#killed()
      else session.signal.addEventListener('abort', () => this.#killed(), { once: true })
      if (this.#o.early.length > 0) this.#guard(() => this.serverBytes(this.#o.early))
      this.#guard(() => this.#advance())
    })
  }

  /** Called about once a second by the worker, with a time that never jumps: limits of time cost no timer per session. */
  tick(nowMs: number): void {
    if (this.#ended) return
    const quietMs = nowMs - this.#activeAtMs
    if (this.#o.codec.idle && !this.#busy) {
      if (quietMs > this.#o.idleMs) this.#end(`idle for more than ${Math.round(this.#o.idleMs / 1000)} s`, true)
    } else if (!this.#waiting && quietMs > this.#o.statementMs && !this.#cancelling) this.#cancel()
  }

  // ---- client → server

  #clientBytes(chunk: Buffer): void {
    if (this.#ended) return
    this.#activeAtMs = performance.now()
    if (this.#busy || this.#fromClient.length > 0) {
      this.#fromClient.add(chunk, 0, chunk.length)
      if (this.#waiting && this.#o.codec.leaves(this.#fromClient.bytes, 0, this.#fromClient.length)) this.#stopWaiting('the client left')
      if (this.#busy) { if (this.#fromClient.length > WAITING_BYTES_MAX) this.#o.client.pause(); return }
      this.#advance()
      if (this.#blocked && this.#fromClient.length > WAITING_BYTES_MAX) this.#o.client.pause()
      return
    }
    const at = this.#requests(chunk, 0, chunk.length)
    if (at < chunk.length) this.#fromClient.add(chunk, at, chunk.length)
    this.#afterRequests()
  }

  /** Goes on with bytes that were kept. */
  #advance(): void {
    if (this.#ended) return
    this.#settle()
    const { codec } = this.#o
    // The end of a cut answer may need a word to the server, whatever waits behind it.
    if (codec.cutting && codec.idle) { codec.wants(this.#upstream); this.#flushUpstream() }
    if (this.#busy) return
    const rest = this.#fromClient
    if (rest.length > 0) {
      const bytes = rest.bytes
      const at = this.#requests(bytes, 0, rest.length)
      rest.drop(at)
    } else if (codec.idle) codec.wants(this.#upstream)
    this.#afterRequests()
  }

  /** Takes whole messages; returns how far it came. */
  #requests(input: Buffer, from: number, end: number): number {
    const { codec, session } = this.#o
    const out = this.#upstream
    let at = from
    this.#blocked = false
    while (!this.#busy && !this.#cancelling && !codec.cutting && codec.over === null) {
      const taken = codec.request(input, at, end, out)
      if (taken === NEED_MORE) break
      if (taken === BLOCKED) { this.#blocked = true; codec.wants(out); break }
      at += taken
      const asking = codec.asking
      if (asking !== null) {
        codec.asking = null
        if (asking instanceof Promise) { this.#await(asking.then((ask) => session.ask(ask)), true); break }
        const verdict = session.ask(asking)
        if (verdict instanceof Promise) { this.#await(verdict, true); break }
        codec.decided(verdict, out)
      }
      if (out.length > GATHER_BYTES) { this.#flushUpstream(); if (this.#busy) break }
    }
    return at
  }

  #afterRequests(): void {
    this.#flushUpstream()
    const { codec, server, client } = this.#o
    if (this.#busy) return
    if (codec.over !== null && !this.#ended) { server.end(); this.#clientEnded = true; return }
    if (this.#clientEnded && this.#fromClient.length === 0) server.end()
    if (client.isPaused() && (this.#fromClient.length < WAITING_BYTES_MAX || !this.#blocked) && !this.#clientEnded) client.resume()
  }

  /** Waits for a verdict; what was decided before it goes out first, and what it decides after that. */
  #await(verdict: Promise<Verdict>, person: boolean): void {
    this.#o.codec.keep()
    this.#verdictDue = true
    this.#waiting = person
    this.#flushUpstream()
    const settle = async () => { const v = await verdict; await this.#written; return v }
    settle().then((v) => this.#guard(() => {
      this.#verdict = v
      this.#waiting = false
      this.#activeAtMs = performance.now()
      this.#advance()
    }), (error: unknown) => this.#fail(error))
  }
  /** Lets a verdict take effect, unless an answer is being cut: it would reach the server before the cancel, or a transaction that is to fail. */
  #settle(): void {
    const verdict = this.#verdict
    if (verdict === null || this.#cancelling || this.#o.codec.cutting) return
    this.#verdict = null
    this.#verdictDue = false
    this.#o.codec.decided(verdict, this.#upstream)
  }

  #flushUpstream(): void {
    if (this.#upstream.length === 0 || this.#ended || this.#writeDue) return
    const durable = this.#o.session.durable()
    if (durable === true) { this.#writeUpstream(); return }
    this.#writeDue = true
    this.#written = durable.then(this.#recorded, this.#unrecorded)
  }
  /** One of each per session, not per wait. */
  readonly #recorded = (): void => {
    try {
      this.#writeDue = false
      if (this.#ended) return
      this.#writeUpstream()
      this.#advance()
    } catch (error) { this.#fail(error) }
  }
  /** What is about to leave is refused instead, and the session goes on. */
  readonly #unrecorded = (error: unknown): void => {
    try {
      const why = this.#o.session.unrecorded(error)
      if (why === null) { this.#fail(error); return }
      this.#writeDue = false
      if (this.#ended) return
      this.#o.codec.withhold(this.#upstream, why)
      this.#writeUpstream()
      this.#advance()
    } catch (failure) { this.#fail(failure) }
  }

  #writeUpstream(): void {
    const { server, client } = this.#o
    const out = this.#upstream
    const flowing = server.write(out.view())
    // What the socket could not take at once is on loan to it: take a new buffer instead of waiting for it.
    renew(out, server.writableLength > 0)
    if (flowing) return
    this.#writeDue = true
    client.pause()
    this.#written = new Promise((done) => {
      server.once('close', () => done())
      server.once('drain', () => { this.#writeDue = false; done(); this.#guard(() => this.#advance()) })
    })
  }

  // ---- server → client

  /** Server bytes, in order. The chunk may be kept until the client has taken it. */
  serverBytes(chunk: Buffer): void {
    if (this.#ended) return
    this.#activeAtMs = performance.now()
    if (this.#held.length > 0 || this.#o.codec.paused !== null) { this.#held.add(chunk, 0, chunk.length); return }
    this.#replies(chunk)
    this.#afterReplies()
  }

  #replies(chunk: Buffer): void {
    const { codec } = this.#o
    let at = 0
    const rest = this.#fromServer
    // Complete the one message that the last chunk began, so that the rest of this chunk is read in place.
    while (rest.length > 0 && at < chunk.length) {
      const whole = codec.frame(rest.bytes, 0, rest.length)
      const wanted = whole === 0 ? 1 : whole - rest.length
      const taken = Math.min(wanted, chunk.length - at)
      rest.add(chunk, at, at + taken)
      at += taken
      if (whole === 0 || rest.length < whole) continue
      const done = codec.reply(rest.bytes, 0, rest.length, this)
      if (codec.paused !== null) { this.#pausedAt(rest.bytes, done, rest.length, chunk, at); rest.length = 0; this.#send(); this.#askMore(); return }
      this.#keepSlice()
      rest.length = 0
      if (rest.bytes.length > SCRATCH_KEPT_BYTES) rest.bytes = EMPTY
    }
    if (at < chunk.length) {
      const done = codec.reply(chunk, at, chunk.length, this)
      if (codec.paused !== null) { this.#pausedAt(chunk, done, chunk.length, EMPTY, 0); this.#send(); this.#askMore(); return }
      if (done < chunk.length) rest.add(chunk, done, chunk.length)
    }
    this.#send()
  }

  #pausedAt(bytes: Buffer, from: number, to: number, more: Buffer, moreFrom: number): void {
    this.#held.add(bytes, from, to)
    if (moreFrom < more.length) this.#held.add(more, moreFrom, more.length)
    this.#stopServer()
  }

  /** Goes on with what was held, once a bound was raised or the answer is being cut. */
  #unhold(): void {
    const held = this.#held
    if (held.length > 0) {
      const bytes = Buffer.from(held.bytes.subarray(0, held.length))
      held.length = 0
      held.bytes = EMPTY
      this.#replies(bytes)
      this.#afterReplies()
    }
    this.#startServer()
  }

  #afterReplies(): void {
    const behind = this.#o.session.behind()
    if (behind !== null) {
      this.#stopServer()
      behind.then(() => this.#guard(() => this.#startServer()), (error: unknown) => this.#fail(error))
    }
    this.#advance()
  }

  pass(input: Buffer, from: number, to: number): void {
    if (this.out.length === 0) {
      if (this.#slice === input && this.#sliceTo === from) { this.#sliceTo = to; return }
      if (this.#slice.length === 0) { this.#slice = input; this.#sliceFrom = from; this.#sliceTo = to; return }
    }
    this.#keepSlice()
    this.out.copy(input, from, to)
  }
  saw(plan: Plan, what: Seen): void { this.#o.session.saw(plan, what) }

  /** Moves a slice of foreign bytes into the scratch, because they will change or something follows them. */
  #keepSlice(): void {
    if (this.#slice.length === 0) return
    const { length } = this.out
    if (length > 0) throw new Error('a slice behind spliced bytes')
    this.out.copy(this.#slice, this.#sliceFrom, this.#sliceTo)
    this.#slice = EMPTY
  }
  /** Codecs call this before they write to `out`, so that order is kept. */
  splice(): Scratch { this.#keepSlice(); return this.out }

  #send(): void {
    const { client, session } = this.#o
    let bytes: Buffer
    if (this.#slice.length > 0) {
      bytes = this.#sliceFrom === 0 && this.#sliceTo === this.#slice.length ? this.#slice : this.#slice.subarray(this.#sliceFrom, this.#sliceTo)
      this.#slice = EMPTY
    }
    else if (this.out.length > 0) bytes = this.out.view()
    else { this.#sendNotices(); return }
    session.gave(this.#o.codec.answering, bytes, 0, bytes.length)
    const flowing = client.write(bytes)
    this.#loaned = client.writableLength > 0
    if (this.out.length > 0) renew(this.out, this.#loaned)
    this.#sendNotices()
    if (!flowing) this.#stopServer()
  }

  #sendNotices(): void {
    for (const notice of this.#notices) { this.#o.session.gave(0, notice, 0, notice.length); this.#o.client.write(notice) }
    if (this.#notices.length > 0) this.#notices = []
  }

  /** A message of ours between whole messages of the server. */
  tell(text: string, hint: string): void {
    this.#notices.push(this.#o.codec.notice(text, hint))
    this.#sendNotices()
  }

  #stopServer(): void { if (!this.#serverStopped) { this.#serverStopped = true; this.#o.server.pause() } }
  #startServer(): void {
    if (!this.#serverStopped || this.#o.codec.paused !== null || this.#held.length > 0 || this.#o.client.writableNeedDrain) return
    this.#serverStopped = false
    this.#o.server.resume()
  }
  #clientDrained(): void { this.#startServer() }

  // ---- bounds, waits, ends

  #askMore(): void {
    const { codec, session } = this.#o
    const plan = codec.paused!
    const answer = session.more(plan, (url) => this.tell(`this answer waits for a review: ${url}`, 'it goes on when someone approves, and ends otherwise'))
    if (answer instanceof Promise) {
      this.#waiting = true
      answer.then((on) => this.#guard(() => { this.#waiting = false; this.#goOn(plan, on) }), (error: unknown) => this.#fail(error))
    } else queueMicrotask(() => this.#guard(() => this.#goOn(plan, answer)))
  }

  #goOn(plan: Plan, on: true | Denied): void {
    const { codec } = this.#o
    if (this.#ended) return
    codec.paused = null
    if (on !== true) {
      codec.cut(plan, on)
      this.#cancel()
    }
    this.#unhold()
    this.#advance()
  }

  /** No request goes upstream until the cancel has arrived: a late one would hit the next statement. */
  #cancel(): void {
    this.#cancelling = true
    const over = () => this.#guard(() => { this.#cancelling = false; this.#advance() })
    this.#o.cancel().then(over, over)
  }

  #stopWaiting(why: string): void { this.#o.session.cancelWait(why) }
  /** A CancelRequest of the client's: ends a wait, or is passed on. */
  cancelled(): void {
    if (this.#waiting) this.#stopWaiting('the client cancelled')
    else if (!this.#o.codec.idle && !this.#cancelling) this.#cancel()
  }

  #killed(): void {
    const reason = this.#o.session.signal.reason
    this.#end(reason instanceof Error ? reason.message : 'the session was ended', true)
  }
  #clientGone(): void {
    if (this.#ended) return
    this.#stopWaiting('the client left')
    this.#end('the client left', false)
  }
  #serverGone(): void {
    if (this.#ended) return
    this.#stopWaiting('the server closed the connection')
    this.#ended = true
    const over = this.#o.codec.over ?? (this.#clientEnded ? 'the client ended its stream' : 'the server closed the connection')
    this.#o.client.end()
    this.#o.server.destroy()
    this.#closeOpen('the server closed the connection')
    this.#finish(over)
  }
  #fail(error: unknown): void {
    this.#o.failed(error)
    this.#end(error instanceof SluiceError && error.public ? error.message : 'an internal error', true)
  }
  /** Whatever goes wrong inside ends this session, and no other. */
  #guard(step: () => void): void { try { step() } catch (error) { this.#fail(error) } }

  #end(why: string, tell: boolean): void {
    if (this.#ended) return
    this.#ended = true
    const { client, server, codec } = this.#o
    const busy = !codec.idle
    const close = () => {
      server.destroy()
      if (!tell || client.destroyed) { client.destroy(); return }
      const last = codec.farewell(why)
      this.#o.session.gave(0, last, 0, last.length)
      client.end(last)
      setTimeout(() => client.destroy(), FAREWELL_MS).unref()
    }
    if (busy) void this.#o.cancel().then(close, close)
    else close()
    this.#closeOpen(why)
    this.#finish(why)
  }
  #closeOpen(why: string): void { for (const plan of this.#o.codec.open()) this.#o.session.saw(plan, { kind: 'unknown', why }) }
}
