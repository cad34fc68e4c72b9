import type { Identity } from './identity.ts'
import type { Grant } from './policy.ts'
import type { Resource } from './resource.ts'
import type { Statement } from './statement.ts'

/**
 * How far an answer may go before `more` is asked. Belongs to one run: the Executes of a portal and the FETCHes of a cursor share
 * theirs. The relay counts in it; only the session changes the bounds.
 */
export interface Plan {
  readonly run: number
  /** Bounds; Infinity when none. Nothing beyond them leaves before `more` agreed. */
  rowsMax: number
  bytesMax: number
  rows: number
  bytes: number
}
export type Allowed = { readonly kind: 'allow'; readonly run: number; readonly plan: Plan }
/** `code` names what a protocol may word differently: a rule's refusal, an ended wait, a failed recorder. */
export type Denied = { readonly kind: 'deny'; readonly run: number; readonly rule: string; readonly message: string; readonly hint: string; readonly code: 'policy' | 'cancelled' | 'record' | 'syntax' | 'changed' }
/** `modify` is the only way in which bytes judged and bytes forwarded differ; the record holds both. */
export type Modified = { readonly kind: 'modify'; readonly run: number; readonly plan: Plan; readonly text: string; readonly rule: string }
export type Verdict = Allowed | Modified | Denied

/** One question to the only door. */
export interface Ask {
  readonly statement: Statement
  /** As the record may show them; null when the statement takes none. */
  readonly parameters: readonly string[] | null
  /** `prepare`: may this text be prepared; rules that ask a person wait for `run`. `skipped`: the server will not run it, so it is only recorded. */
  readonly phase: 'prepare' | 'run' | 'skipped'
  /** The run of the Parse whose statement runs now; 0 when the text itself was sent. */
  readonly prepared: number
  /** The plan this run continues (a cursor's), or null. */
  readonly within: Plan | null
  /** Exact bytes and session state a review binds to; called only when a person must decide. */
  binding(): readonly (string | Uint8Array)[]
  /** Told once, with the review's address, when the answer will wait. */
  waiting(url: string): void
}

/** What became of a run, as the server's answers tell it. */
export type Seen =
  | { readonly kind: 'executed'; readonly tag: string }
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'ended'; readonly rule: string }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'unknown'; readonly why: string }

/** One identity on one resource, from open to close. The only door between a protocol and enforcement. */
export interface Session {
  readonly id: string
  readonly identity: Identity
  readonly resource: Resource
  /** The policies in force for it; replaced when they change. */
  readonly grant: Grant
  /** Fires when the session must end: killed, expired, revoked, gateway stopping. `reason` is an Error for the client to read. */
  readonly signal: AbortSignal
  /** Answers at once when rules suffice; a promise when a person must. Appended to the record before it answers. */
  ask(ask: Ask): Verdict | Promise<Verdict>
  /** Ends the wait of this `ask` or `more`, or all: the client left, or cancelled. */
  cancelWait(why: string, of?: Ask | Plan): void
  /** Whether all that was asked so far is as durable as its resource demands. Called once per chunk, before the bytes go upstream. */
  durable(): true | Promise<void>
  /** What a request is refused with that could not be made durable; null when the error is another. */
  unrecorded(error: unknown): Denied | null
  /** A bound of the plan is reached in mid-answer. True: the bounds have been raised; a denial: end it with these words. */
  more(plan: Plan, waiting: (url: string) => void): true | Denied | Promise<true | Denied>
  /** Bytes that the client was given, after the mask. Copied at once. */
  gave(run: number, bytes: Buffer, start: number, end: number): void
  /** Never throws, never waits. */
  saw(plan: Plan, what: Seen): void
  /** Facts that are no statement: a login, a detected probe, masked fields. */
  note(what: string, facts: Readonly<Record<string, unknown>>): void
  /** Non-null while the record is behind: reading from the server stops until it resolves. */
  behind(): Promise<void> | null
  close(why: string): void
}
