// PostgreSQL v3 after login, as the relay sees it: requests.ts and replies.ts over one conversation. Pure: no sockets, no waiting.
// https://www.postgresql.org/docs/current/protocol-flow.html
import type { Ask, Denied, Plan, Verdict } from '../../core/session.ts'
import { Scratch } from '../../wire/bytes.ts'
import type { Answers, Codec } from '../../wire/codec.ts'
import { BIND, CLOSE, Conversation, EXECUTE, PARSE, SYNC } from './conversation.ts'
import * as frames from './frames.ts'
import type { Guard } from './guard.ts'
import type { Reader } from './reader.ts'
import { Replies } from './replies.ts'
import type { Telling } from './question.ts'
import { nothing, Requests } from './requests.ts'
import { withhold } from './withhold.ts'

/** The statement under which the state of names is read. */
const PROBE = 'sluice reads names'
const IDLE = 0x49, FAILED = 0x45

export class PostgresCodec implements Codec {
  readonly #c = new Conversation()
  readonly #requests: Requests
  readonly #replies: Replies
  readonly #reader: Reader
  constructor(reader: Reader, guard: Guard, tell: Telling) {
    this.#reader = reader
    reader.statements = (name) => this.#c.statements.get(name)
    this.#requests = new Requests(this.#c, reader, guard, tell)
    this.#replies = new Replies(this.#c, reader, guard)
  }
  frame(input: Buffer, at: number, end: number): number { return frames.frameLength(input, at, end, false) }
  get over(): string | null { return this.#requests.over }
  get asking(): Ask | Promise<Ask> | null { return this.#requests.asking }
  set asking(value: Ask | Promise<Ask> | null) { this.#requests.asking = value }
  get paused(): Plan | null { return this.#replies.paused }
  set paused(value: Plan | null) { this.#replies.paused = value }
  get idle(): boolean { return this.#c.idle }
  get answering(): number { return this.#replies.answering }
  get cutting(): boolean { return this.#c.cut !== null }

  request(input: Buffer, at: number, end: number, out: Scratch): number {
    this.#catchUp()
    this.#c.waits = false
    return this.#requests.take(input, at, end, out)
  }
  keep(): void { this.#requests.keep() }
  decided(verdict: Verdict, out: Scratch): void { this.#requests.decided(verdict, out) }
  withhold(out: Scratch, why: Denied): void { withhold(this.#c, out, why) }
  reply(input: Buffer, at: number, end: number, to: Answers): number { return this.#replies.take(input, at, end, to) }
  cut(plan: Plan, why: Denied): void { this.#replies.cut(plan, why) }

  /** A catalog that others changed, or a new policy: names are to be learned anew. */
  #catchUp(): void { if (this.#reader.outdated) this.#c.stale = true }

  wants(out: Scratch): void {
    const c = this.#c
    if (c.failDue) { this.#failTransaction(out); return }
    this.#requests.syncs(out)
    this.#catchUp()
    if (c.waits && c.unflushed && !c.skipping) { frames.writeFlush(out); c.unflushed = false }
    if (!c.stale || c.probing !== null || !c.idle || c.skipping || c.status === FAILED) return
    // Within a transaction only for a text that waits for it: it may begin with SET TRANSACTION, which must come before any query.
    const inside = c.status !== IDLE || c.batch
    if (inside && !c.textWaits) return
    const texts = this.#reader.probe(c.batch ? 'batch' : inside ? 'block' : 'none')
    c.textWaits = false
    if (texts === null) { c.stale = false; return }
    c.probing = c.batch ? 'in batch' : 'alone'
    for (const text of texts) {
      frames.writeRun(out, PROBE, text)
      for (const kind of [PARSE, BIND, EXECUTE, CLOSE, CLOSE] as const) c.expect(kind).ours = true
    }
    if (c.batch) { frames.writeFlush(out); c.unflushed = false; return }
    frames.writeSync(out)
    c.expect(SYNC).ours = true
  }

  /** By a Parse under a name of ours: the client's unnamed statement stays what it is. Within the client's batch its own Sync follows. */
  #failTransaction(out: Scratch): void {
    const c = this.#c
    c.failDue = false
    frames.writeParse(out, PROBE, nothing(c.cut?.plan.run ?? 0), [])
    c.expect(PARSE)
    if (c.batch) { frames.writeFlush(out); c.unflushed = false; return }
    frames.writeSync(out)
    c.expect(SYNC)
  }

  leaves(input: Buffer, at: number, end: number): boolean {
    for (let p = at; end - p >= 5;) {
      if (input[p] === frames.X) return true
      const length = frames.frameLength(input, p, end, true)
      if (length === 0) return false
      p += length
    }
    return false
  }
  notice(text: string, hint: string): Buffer { return words({ severity: 'NOTICE', code: '00000', message: text, hint }) }
  farewell(why: string): Buffer { return words({ severity: 'FATAL', code: '57P01', message: `Sluice ended this session: ${why}` }) }
  open(): readonly Plan[] {
    const plans = new Set<Plan>()
    for (const owed of this.#c.owed) if (owed.plan !== null) plans.add(owed.plan)
    return [...plans]
  }
}
function words(w: frames.Words): Buffer {
  const scratch = new Scratch(256)
  frames.writeWords(scratch, w)
  return scratch.taken()
}
