import type { Duplex } from 'node:stream'
import type { Identity } from './identity.ts'
import type { CellMask, Field, StreamMask } from './mask.ts'
import type { Resource } from './resource.ts'
import type { Statement } from './statement.ts'

/** How far an answer may go before `more` is asked, and what is hidden in it. Belongs to one run, not to the session. */
export interface Plan {
  rows: number
  bytes: number
  /** Asked once per column of a result, never per row. */
  field(f: Field): CellMask | null
  stream(kind: string): StreamMask | null
}
export type Allowed = { readonly kind: 'allow'; readonly run: number; readonly plan: Plan }
export type Denied = { readonly kind: 'deny'; readonly run: number; readonly rule: string; readonly message: string; readonly hint?: string }
/** `modify` is the only way in which bytes judged and bytes forwarded differ; the record holds both. */
export type Modified = { readonly kind: 'modify'; readonly run: number; readonly plan: Plan; readonly text?: string; readonly parameters?: readonly unknown[]; readonly rule: string }
export type Verdict = Allowed | Modified | Denied

/** What became of a run, as the server's answers tell it. */
export type Seen =
  | { readonly kind: 'executed'; readonly rows: number; readonly bytes: number; readonly tag: string }
  | { readonly kind: 'failed'; readonly rows: number; readonly bytes: number; readonly code: string }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'unknown'; readonly why: string }

export interface Dialled { readonly socket: Duplex; readonly credential: { readonly username: string; readonly password: string | null } }

/** One identity on one resource, from open to close. The only door between a protocol and enforcement. */
export interface Session {
  readonly id: string
  readonly identity: Identity
  readonly resource: Resource
  /** Fires when the session must end: killed, expired, revoked, gateway stopping. `reason` is a sentence for the client. */
  readonly signal: AbortSignal
  /** Answers at once when rules suffice; a promise when a person must. Recorded before it answers. */
  ask(statement: Statement, waiting?: (url: string) => void): Verdict | Promise<Verdict>
  /** Resolves when the run's request is as durable as its resource demands. Awaited once per chunk, before the bytes go upstream. */
  durable(run: number): true | Promise<void>
  /** A limit is reached in mid-answer. False: end it. */
  more(run: number, rows: number, bytes: number): true | Promise<boolean>
  /** Never throws, never waits. */
  saw(run: number, what: Seen): void
}
