// What the gateway gives a byte protocol, and what it wants of one. A protocol translates and never decides: it has no authorization
// step of its own, so it can't forget one.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContext } from 'node:tls'
import type { Classified } from '../core/classified.ts'
import type { LiveSession } from '../core/open.ts'
import type { Credential, Resource } from '../core/resource.ts'
import type { Tokens } from '../tokens/tokens.ts'
import type { Head } from '../wire/http/head.ts'
import type { Answer } from '../wire/http/problem.ts'

/** Who wants where to, before anything is proved. */
export interface Login {
  readonly resource: string
  /** Another database of the resource, when the client named one. */
  readonly database: string | null
  readonly secret: string
  /** Free text of the client, for attribution and the record. */
  readonly user: string
  readonly application: string
}
/** An open session and what its protocol needs beside the door. */
export interface Opened {
  readonly session: LiveSession
  readonly resource: Resource
  readonly database: string
  /** Unsealed for this one login, at the moment it is made; never kept. */
  credential(): Promise<{ readonly username: string; readonly password: string | null; readonly as: Credential['as'] }>
  /** Registers what a CancelRequest for this session does; the key is told to the client. */
  cancelKey(secretBytes: number, onCancel: () => void): { readonly id: number; readonly secret: Buffer }
  /** Called about once a second while the session is open, with `performance.now()`: what lasts is not measured by a clock that jumps. */
  onTick(tick: (nowMs: number) => void): void
  /** Something that was not expected ended it: for the gateway's log. */
  failed(error: unknown): void
  /** This session changed the catalog: the resource's other workers are told. */
  moved(): void
  /** Keyed hash for masks (`hash`) and the record. */
  keyedHash(bytes: string | Uint8Array): string
  /** What stands for values of columns masked with `token`, and back. */
  readonly tokens: Tokens
  /** State that reviews bind to beside the bytes; set by the protocol when it knows it. */
  state: () => string
}
export interface Gate {
  /** How long a login may take, from accept to password. */
  readonly loginMs: number
  /** A connection begins: null when too many are in their login already, else what to call when its login is over. */
  enter(): (() => void) | null
  readonly secure: SecureContext | null
  /** The one authorization flow: throttle, identity, resource rule, credential class, record "opened". Throws a SluiceError with words for the client. */
  open(login: Login, client: { readonly address: string; readonly encrypted: boolean }): Promise<Opened>
  /** The protocol is done with it: the last event of its record. */
  closed(opened: Opened, why: string): void
  /** An attempt that never became a session: recorded too. */
  refused(what: string, facts: Readonly<Record<string, unknown>>): void
  /** A CancelRequest: finds its session in any worker. */
  cancel(id: number, secret: Buffer): void
}
export interface Protocol {
  readonly name: string
  /** Dials, logs in and leaves; the message is for an admin and holds no credential. */
  test(resource: Resource, credential: { readonly username: string; readonly password: string | null }): Promise<{ readonly ok: boolean; readonly message: string }>
  /** What the columns of a resource hold, by their names and a sample of their values; no value is in it. */
  classify(resource: Resource, credential: { readonly username: string; readonly password: string | null }): Promise<Classified>
  /** Limits of the gateway's configuration, once, before the first connection. */
  limit(limits: { readonly messageBytesMax: number; readonly statementBytesMax: number }): void
  /** Another worker saw the catalog of a resource change. */
  moved?(moved: { readonly resource: string; readonly database: string }): void
  /** Serves one client from its first byte to its last; never throws. */
  serve(client: Socket, gate: Gate): Promise<void>
}

/** One request as the gateway's proxy read it: its head strict, its body whole, its credential proved. */
export interface Exchange {
  readonly head: Head
  /** The path behind the resource's base, as sent, and its segments decoded. */
  readonly rawPath: string
  readonly segments: readonly string[]
  readonly body: Buffer
  /** Where this resource is reached here: `/http/NAME`. */
  readonly base: string
  /** The gateway as the client reached it: `https://host:port`. */
  readonly origin: string
  readonly answer: Answer
}
/** A request for a WebSocket: the client's socket, and what it sent already. */
export interface Upgrade extends Omit<Exchange, 'answer' | 'body'> { readonly socket: Duplex; readonly early: Buffer }
/** Many requests, over many connections, of one identity on one resource. */
export interface HttpSession {
  /** Answers it, whatever happens; never throws. */
  handle(exchange: Exchange): Promise<void>
  /** Serves the socket to its end; never throws. */
  upgrade(upgrade: Upgrade): Promise<void>
  close(): void
}
/** A protocol of requests with heads and bodies. */
export interface HttpProtocol {
  readonly name: string
  test(resource: Resource, credential: { readonly username: string; readonly password: string | null }): Promise<{ readonly ok: boolean; readonly message: string }>
  open(opened: Opened): Promise<HttpSession>
}
