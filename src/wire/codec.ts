// What a byte protocol gives the relay: pure state machines over bytes. No sockets, no timers, no waiting.
import type { Ask, Denied, Plan, Seen, Verdict } from '../core/session.ts'
import type { Scratch } from './bytes.ts'

/** Not all bytes of the next message are here. */
export const NEED_MORE = 0
/** The next message can't be decided before the server has answered what was sent; the relay asks again after its next bytes. */
export const BLOCKED = -1

/** What the codec tells the relay while it reads answers. */
export interface Answers {
  /** Bytes of `input` that go to the client unchanged. */
  pass(input: Buffer, from: number, to: number): void
  /** Where changed or made-up bytes for the client are written, in order with `pass`. */
  splice(): Scratch
  saw(plan: Plan, what: Seen): void
}

export interface Codec {
  /** Total length of the message that starts at `at`, 0 while its head is not whole. Throws Malformed. */
  frame(input: Buffer, at: number, end: number): number
  /**
   * Takes the next whole message from the client's bytes [at, end). Returns its length, NEED_MORE or BLOCKED. Messages that need no
   * verdict are written to `out` at once. When `asking` is not null afterwards, the relay asks the session and calls `decided`.
   */
  request(input: Buffer, at: number, end: number, out: Scratch): number
  /** Why the codec wants the connection closed once what it wrote is out (an orderly Terminate), or null. */
  readonly over: string | null
  /** Set by `request` when a verdict is needed; the text may still be read by a worker (a promise). */
  asking: Ask | Promise<Ask> | null
  /** The relay is about to wait: keep what `decided` needs of its buffer. */
  keep(): void
  /** Writes what goes upstream under this verdict: the bytes, other bytes, or what the server must fail. */
  decided(verdict: Verdict, out: Scratch): void
  /**
   * What was written to `out` since it was last sent can't be recorded: in its place goes what the server must fail, and the client is told
   * `why`. What the codec sends for itself stays.
   */
  withhold(out: Scratch, why: Denied): void
  /** Bytes the codec itself wants to send upstream now (a probe), when the server is idle. */
  wants(out: Scratch): void
  /**
   * Takes server bytes [at, end) as far as whole messages go and returns the position reached. Stops early with `paused` set when
   * a bound of that plan is reached: nothing beyond it is passed.
   */
  reply(input: Buffer, at: number, end: number, to: Answers): number
  paused: Plan | null
  /** The paused answer is to be ended: what follows of it is swallowed and this refusal stands in its place. */
  cut(plan: Plan, why: Denied): void
  /** Whether the server owes nothing: all requests sent have been answered. */
  readonly idle: boolean
  /** The run whose answer is being read, 0 for none: what the record files the client's bytes under. */
  readonly answering: number
  /** Whether a cut answer is still being swallowed: no request may be forwarded before it has ended. */
  readonly cutting: boolean
  /** Whether the client's bytes [at, end) hold a whole message with which it leaves. */
  leaves(input: Buffer, at: number, end: number): boolean
  /** A message for the client beside the answers: a notice with a review's address. */
  notice(text: string, hint: string): Buffer
  /** The protocol's own last words on a kill. */
  farewell(why: string): Buffer
  /** All runs that have not ended: recorded as unknown when the connection breaks. */
  open(): readonly Plan[]
}
