// What the supervisor and its processes say to one another. Secrets pass only as the answer to `credential`, for one login.
import type { StoredObject } from './stored.ts'
import type { StoredToken } from '../auth/authenticate.ts'
import type { LoginBlock } from '../auth/throttle.ts'
import type { KeySet } from '../auth/key-set.ts'
import type { AdminEvent } from '../store/admin_events.ts'
import type { Block } from '../store/record/index.ts'
import type { StoreAddress } from '../store/database.ts'
import type { Classified } from '../core/classified.ts'
import type { Identity } from '../core/identity.ts'
import type { Lease, ReviewOutcome } from '../core/ports.ts'
import type { ReviewRequest } from '../core/review.ts'
import type { Credential } from '../core/resource.ts'
import type { Lookup } from '../core/statement.ts'
import type { Budget } from '../core/policy.ts'

export interface SessionInfo {
  readonly id: string; readonly resource: string; readonly protocol: string; readonly database: string; readonly identity: Identity
  readonly client: string; readonly application: string; readonly startedAtMs: number; readonly worker: number
  /** By a credential of the identity's own, not by a token made for one resource. */
  readonly direct: boolean
}
export interface SessionCounts { readonly statements: number; readonly denied: number; readonly rows: number; readonly bytes: number; /** All that its statements named so far; absent: as told before. */ readonly columns?: readonly string[] }
export interface Boot {
  /** sluice.yaml as the supervisor read it: every process parses the same text. */
  readonly text: string
  readonly file: string
  /** What the store declares beside the file. */
  readonly stored: readonly StoredObject[]
  readonly dataFolder: string
  readonly number: number
  readonly bootId: string
  readonly tls: { readonly cert: string; readonly key: string } | null
  /** Names values in the record and hashes in masks: an HMAC key, hex. */
  readonly hashKey: string
  /** Hex: what tokens are made with. */
  readonly tokenKey: string
  readonly revocations: readonly Revoked[]
}
/** What no longer holds. */
export interface Revoked { readonly kind: 'credential' | 'token-id' | 'subject'; readonly value: string }

/** Worker → supervisor, with an answer. */
export interface WorkerAsks {
  boot: (body: null) => Boot
  keys: (body: { issuer: string; refresh: boolean }) => KeySet
  token: (body: { secret: string }) => StoredToken
  loud: (body: { identity: Identity; kind: 'break-glass' | 'emergency' }) => void
  credential: (body: { session: string; resource: string; class: 'read' | 'write' | 'admin' }) => { username: string; password: string | null; as: Credential['as'] }
  hold: (body: { wait: string; request: ReviewRequest }) => { id: string; url: string }
  redeem: (body: ReviewRequest) => { kind: 'released'; id: string; by: string } | { kind: 'filed'; id: string; url: string } | { kind: 'failed'; why: string }
  lease: (body: { key: string; budget: Budget; rows: number }) => Lease
  lookup: (body: { key: string; lookup: Lookup }) => boolean
  opened: (body: SessionInfo) => { readonly allowed: true } | { readonly allowed: false; readonly why: string }
}
/** Worker → supervisor, without. */
export interface WorkerTells {
  ready: { number: number }
  closed: { id: string; why: string; counts: SessionCounts }
  counts: { id: string; counts: SessionCounts }[]
  cancel: { id: number; secret: string }
  endWait: { wait: string; why: string }
  giveBack: { key: string; budget: Budget; lease: Lease }
  alert: { key: string; budget: Budget; session: string; resource: string; party: string }
  head: unknown
  catalog: { resource: string; database: string }
  failedLogin: { address: string; claim: string }
  /** Logins refused since it last told, by code. */
  refused: Readonly<Record<string, number>>
}
/** Supervisor → worker, without an answer. */
export interface WorkerHears {
  outcome: { wait: string; outcome: ReviewOutcome }
  reload: { text: string; stored: readonly StoredObject[] }
  revoked: Revoked
  /** All in force: some may have been missed. */
  revocations: readonly Revoked[]
  kill: { id: string | null; identity: string | null; why: string }
  /** Ends what the session is running, not the session. */
  interrupt: { id: string }
  cancel: { id: number; secret: string }
  block: LoginBlock
  drain: { withinMs: number }
  catalog: { resource: string; database: string }
}

/** Web process → supervisor. */
export interface WebAsks {
  boot: (body: null) => { text: string; file: string; stored: readonly StoredObject[]; store: StoreAddress; tls: { cert: string; key: string } | null; clientSecrets: Readonly<Record<string, string | null>>; url: string; ca: string; fingerprint: string; /** PEM. */ publicKey: string }
  keys: WorkerAsks['keys']
  sessions: (body: null) => readonly (SessionInfo & { counts: SessionCounts })[]
  kill: (body: { id: string | null; party: string | null; by: string }) => number
  interrupt: (body: { id: string }) => boolean
  seal: (body: { name: string; secret: string }) => { keyId: string; bytes: Buffer }
  redeem: WorkerAsks['redeem']
  renew: WorkerAnswers['renew']
  test: (body: { name: string }) => { ok: boolean; message: string }
  classify: (body: { name: string }) => Classified
  /** Keys of sealed segments, in the order asked; the reading itself is on record by then. */
  recordKeys: (body: readonly { readonly name: string; readonly block: Block }[]) => readonly (Uint8Array | null)[]
  reload: (body: null) => void
  admin: (body: AdminEvent) => void
  metrics: (body: null) => string
  health: (body: null) => string | null
}
export interface WebTells { ready: null; failedLogin: WorkerTells['failedLogin']; refused: WorkerTells['refused'] }
export interface WebHears { reload: { text: string; stored: readonly StoredObject[]; clientSecrets: Readonly<Record<string, string | null>> }; block: LoginBlock }
/** Supervisor → worker, with an answer. */
export interface WorkerAnswers {
  renew: (body: { identity: Identity; credentialHash: string }) => number
  test: (body: { name: string }) => { ok: boolean; message: string }
  classify: (body: { name: string }) => Classified
}

/** Cancel keys hold the worker's number above this bit, the session's below. */
export const WORKER_SHIFT = 22
