// All that the API needs from the rest of Sluice. It runs in a process of its own: these are answered over the bus by the
// supervisor, or from the store. Nothing here gives out a credential.
import type { Classified } from '../core/classified.ts'
import type { Identity } from '../core/identity.ts'
import type { Finding } from '../core/check.ts'
import type { PolicyRules } from '../core/policy-rules.ts'
import type { ReviewPort } from '../core/ports.ts'
import type { ReviewRequest } from '../core/review.ts'
import type { Resource } from '../core/resource.ts'
import type { AdminEvent } from '../store/admin_events.ts'
import type { Store } from '../store/store.ts'
import type { Grant, IssuerView, LiveSession, PolicyView, RecordEvent, Verification } from './schema.ts'

export interface Members { readonly groups: readonly string[]; readonly users: readonly string[] }
export interface WebIssuer {
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  /** Null: a public client (PKCE is used either way). */
  readonly clientSecret: string | null
  readonly scopes: readonly string[]
}
/** From the configuration in force; read anew for each request, so that a reload shows. */
export interface ApiFacts {
  readonly version: string
  /** `https://host:port` as people reach it; null: as the request says. */
  readonly publicUrl: string | null
  readonly issuers: readonly WebIssuer[]
  /** What the file declares, read-only here. */
  readonly inFile?: { readonly policies: readonly string[]; readonly issuers: readonly string[] }
  /** Names of all issuers, those without a sign-in here too; absent: not checked. */
  readonly issuerNames?: readonly string[]
  readonly admins: Members
  readonly auditors: Members
  readonly resources: readonly Resource[]
  /** How clients reach and trust this gateway: its CA when it is its own, and the listeners of the wire protocols. */
  readonly entry?: { readonly ca: string | null; readonly postgres: { readonly host: string; readonly port: number } | null }
}
export interface SessionsPort {
  list(): Promise<readonly LiveSession[]>
  get(id: string): Promise<LiveSession | null>
  /** False when it is not open. */
  kill(id: string, by: string): Promise<boolean>
  /** Ends a session that another gateway of the same store has; false when none has it. */
  killElsewhere(id: string, by: string): Promise<boolean>
  /** Cancels what runs, and keeps the session. */
  cancel(id: string, by: string): Promise<boolean>
  /** What this identity opened with that credential goes on with its fresh one. How many. */
  renew(identity: Identity, credentialHash: string): Promise<number>
  /** `issuer subject`; also agents on behalf of it. How many were open. */
  killIdentity(party: string, by: string): Promise<number>
}
export interface RecordsPort {
  /** In order, as the record has them; with `answers` also what the client was given, after the mask. */
  events(session: string, answers: boolean): AsyncIterable<RecordEvent>
  /** The same, and then what comes, until the session closes or the signal fires. */
  follow(session: string, signal: AbortSignal): AsyncIterable<RecordEvent>
  /** The session's events with their hashes and heads, to be verified elsewhere. */
  export(session: string): AsyncIterable<Uint8Array>
  verify(): Promise<Verification>
}
export interface PoliciesPort {
  list(): Promise<readonly PolicyView[]>
  /** Errors with their lines; empty when the text is good. */
  check(text: string): Promise<readonly string[]>
  explain(who: Identity, resource: string, statement: string): Promise<unknown>
}
export interface ApiPorts {
  readonly store: Store
  facts(): ApiFacts
  readonly sessions: SessionsPort
  readonly records: RecordsPort
  readonly policies: PoliciesPort
  /** A token of a configured issuer → who it is; throws NotAuthenticated. Sluice's own tokens are the store's. */
  authenticate(secret: string): Promise<Identity>
  /** Counts failed credentials by address; absent: nothing is counted. Throws when too many failed. */
  judged?<T>(address: string, secret: string, work: () => Promise<T>): Promise<T>
  /** The same identity with the groups that the configuration gives it; absent: it gives none. */
  declared?(identity: Identity): Identity
  /** What this identity may reach, and how. */
  grants(identity: Identity): Promise<readonly Grant[]>
  /** Throws ConfigInvalid for a body in the shape of sluice.yaml that would not load. */
  checkResource(name: string, body: unknown): Promise<void>
  /** Throws ConfigErrors for a body that can't be read; findings of level error keep it out as well. */
  checkPolicy(name: string, body: unknown): Promise<{ readonly policy: PolicyRules; readonly findings: readonly Finding[] }>
  issuers(): readonly IssuerView[]
  /** Throws ConfigErrors for a body that would not load. */
  checkIssuer(name: string, body: unknown): Promise<void>
  /** Uses an approval given earlier for the same binding, or files a request and gives its address. */
  redeem(request: ReviewRequest): ReturnType<ReviewPort['redeem']>
  /** Dials, logs in and leaves; the text is for an admin and holds no credential. */
  testResource(name: string): Promise<{ readonly ok: boolean; readonly message: string }>
  /** Samples the resource's columns: names, kinds and counts come back, values never. */
  classifyResource(name: string): Promise<Classified>
  /** By the process that has the key. */
  seal(name: string, secret: string): Promise<{ readonly keyId: string; readonly bytes: Buffer }>
  reload(): Promise<void>
  /** Into the Record, before the action: resolves when it is durable, and when it rejects the action does not happen. */
  adminEvent(event: AdminEvent): Promise<void>
  /** Prometheus text. */
  metrics(): Promise<string>
  /** Null when sessions can be served, else why not. */
  health(): Promise<string | null>
  /** Called with what was not expected; logs it without values. */
  failed(error: unknown): void
}
