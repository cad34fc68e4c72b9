// The one authorization flow of a worker, for every protocol: throttle, identity, resource rule, credential class, record "opened".
// And the worker's list of its open sessions, so that expiry, revocation, policy changes and kills reach them.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import { type Authenticated, opens } from '../auth/authenticate.ts'
import type { Config } from '../config.ts'
import { NoSuchResource, NotAllowed, NotAuthenticated, RecordFailed, SluiceError } from '../core/errors.ts'
import { type Identity, withDeclared } from '../core/identity.ts'
import { LiveSession, newSessionId } from '../core/open.ts'
import type { Grant, PolicySet } from '../core/policy.ts'
import type { SessionPorts } from '../core/ports.ts'
import type { Recorder } from '../core/record.ts'
import type { Resource } from '../core/resource.ts'
import type { Gate, Login, Opened } from '../protocols/protocol.ts'
import type { Clock } from '../store/clock.ts'
import { covers } from '../store/revocations.ts'
import type { Bus } from './bus.ts'
import { credentialFor } from './credentials.ts'
import type { Tokens } from '../tokens/tokens.ts'
import { log } from './log.ts'
import { type Revoked, type SessionCounts, WORKER_SHIFT, type WorkerAnswers, type WorkerAsks, type WorkerHears, type WorkerTells } from './messages.ts'

/** A session may outlive its credential by this at most (a resource may allow longer). */
const EXPIRY_GRACE_MS = 25_000
const TICK_MS = 1_000

export type WorkerBus = Bus<WorkerAsks, WorkerTells, WorkerAnswers, WorkerHears>
interface Open { readonly session: LiveSession; readonly resource: Resource; /** As its latest credential proved it. */ identity: Identity; /** Revoking one of these ends it as well. */ readonly earlier: Identity[]; readonly kind: Authenticated['kind']; readonly startedAtMs: number; endsAtMs: number; readonly key: { id: number; secret: Buffer; onCancel: () => void }[]; readonly ticks: ((nowMs: number) => void)[]; /** Columns that the supervisor knows of. */ told: number }

/** Columns only when there are more than were told. */
function countsOf(entry: Open): SessionCounts {
  const { session } = entry
  if (session.columns.size === entry.told) return { ...session.counts }
  entry.told = session.columns.size
  return { ...session.counts, columns: [...session.columns] }
}

export interface DoorParts {
  readonly number: number
  readonly bus: WorkerBus
  readonly secure: SecureContext | null
  /** By it credentials and sessions end: it never goes back. */
  readonly clock: Clock
  readonly recorder: Recorder
  readonly ports: SessionPorts
  /** Who presents this secret. */
  authenticate(secret: string, address: string): Promise<Authenticated>
  /** The catalog of a resource changed: tell the other workers. */
  moved(moved: { readonly resource: string; readonly database: string }): void
  readonly tokens: Tokens
  /** Text as the record may hold it, under these detectors. */
  redactor(grant: Grant): (text: string) => string
}

export class Door implements Gate {
  readonly #p: DoorParts
  #config: Config
  #policies: PolicySet
  #revoked: Revoked[]
  readonly #open = new Map<string, Open>()
  readonly #keys = new Map<number, { readonly secret: Buffer; readonly onCancel: () => void }>()
  #nextKey = 1
  #refused: Record<string, number> = {}
  #draining = false
  constructor(parts: DoorParts, config: Config, policies: PolicySet, revoked: readonly Revoked[]) {
    this.#p = parts
    this.#config = config
    this.#policies = policies
    this.#revoked = [...revoked]
    setInterval(() => this.#tick(parts.clock.nowMs()), TICK_MS).unref()
  }
  get secure(): SecureContext | null { return this.#p.secure }
  get loginMs(): number { return this.#config.gateway.limits.loginMs }
  #entering = 0
  enter(): (() => void) | null {
    const { connections, connectionsInLogin } = this.#config.gateway.limits
    if (this.#entering >= connectionsInLogin || this.#entering + this.#open.size >= connections) return null
    this.#entering++
    return () => { this.#entering-- }
  }
  get size(): number { return this.#open.size }

  async open(login: Login, client: { readonly address: string; readonly encrypted: boolean }): Promise<Opened> {
    const about = { resource: login.resource, user: login.user, client: client.address }
    try { return await this.#opened(login, client) } catch (error) {
      if (!(error instanceof SluiceError)) log.error({ error: error instanceof Error ? error.stack : 'unknown' }, 'a session could not be opened')
      this.refused(error instanceof SluiceError ? error.code : 'INTERNAL', { ...about, why: error instanceof SluiceError && error.public ? error.message : 'an internal error' })
      throw error
    }
  }

  async #opened(login: Login, client: { readonly address: string; readonly encrypted: boolean }): Promise<Opened> {
    if (this.#draining) throw new SluiceError('STOPPING', 'this gateway is stopping: connect again')
    const failure = this.#p.recorder.failure
    if (failure !== null) throw new RecordFailed(failure)
    const found = await this.#p.authenticate(login.secret, client.address)
    // Proved by the credential; groups that the configuration gives are looked up anew whenever it changes.
    const proved = found.identity
    const identity = withDeclared(proved, this.#config.identity.people)
    if (whyNotBelieved(this.#config, proved, found.kind) !== null) throw new NotAuthenticated('the issuer of this credential is not configured any more: sign in again')
    if (this.#isRevoked(identity)) throw new NotAuthenticated('the credential was revoked: sign in again, or ask an admin')
    const resource = this.#config.resources.find((r) => r.name === login.resource)
    const grant = resource === undefined ? null : this.#policies.grant(identity, resource)
    // A resource that does not exist and one that no policy opens are answered alike.
    if (resource === undefined || grant === null || (!grant.opens && grant.closed === null) || !opens(found, login.resource)) throw new NoSuchResource(`no resource "${login.resource}" that you may reach: \`sluice resources\` lists them`)
    if (!grant.opens) throw new NotAllowed(grant.closed?.message ?? 'no policy opens this resource to you')
    const database = databaseOf(resource, login.database)
    if (credentialFor(resource, grant.needs) === null) throw new NotAllowed(`resource ${resource.name} has no credential that covers ${grant.needs}`)
    const id = newSessionId()
    const startedAtMs = this.#p.clock.nowMs()
    const counted = await this.#p.bus.ask('opened', { id, resource: resource.name, protocol: resource.protocol, database, identity: proved, client: client.address, application: login.application, startedAtMs, worker: this.#p.number, direct: found.boundTo === null })
    if (!counted.allowed) throw new NotAllowed(counted.why)
    const record = this.#p.recorder.session(id, resource.name)
    let state = () => ''
    const session = new LiveSession({
      id, identity, resource, grant, record, ports: this.#p.ports, redact: this.#p.redactor(grant), state: () => state(),
      alert: (facts) => log.warn({ session: id, subject: identity.subject, resource: resource.name, ...facts }, 'masked columns are being probed'),
      facts: { id, database, client: client.address, startedAtMs },
    })
    try {
      record.append('opened', JSON.stringify({ identity: { ...identity }, resource: resource.name, protocol: resource.protocol, database, client, user: login.user, application: login.application, policy: grant.version }))
      // As for a read: it is on disk before anything that writes, which waits for all that stands before it.
      await record.durable(resource.record === 'sync' ? 'disk' : 'kernel')
    } catch (error) { this.#p.bus.tell('closed', { id, why: 'not recorded', counts: session.counts }); throw error }
    const entry: Open = { session, resource, identity: proved, earlier: [], kind: found.kind, startedAtMs, key: [], ticks: [], told: 0, endsAtMs: Math.max(identity.expiresAtMs + EXPIRY_GRACE_MS, resource.sessionMaxMs > 0 ? startedAtMs + resource.sessionMaxMs : 0) }
    this.#open.set(id, entry)
    return {
      session, resource, database, keyedHash: this.#p.ports.keyedHash, tokens: this.#p.tokens,
      credential: () => this.#p.bus.ask('credential', { session: id, resource: resource.name, class: grant.needs }),
      cancelKey: (bytes, onCancel) => this.#cancelKey(entry, bytes, onCancel),
      failed: (error) => { if (!(error instanceof SluiceError)) log.error({ session: id, error: error instanceof Error ? error.stack : 'unknown' }, 'a session failed'); else log.info({ session: id, code: error.code, why: error.message }, 'a session was ended') },
      moved: () => this.#p.moved({ resource: resource.name, database }),
      onTick: (tick) => { entry.ticks.push(tick) },
      get state() { return state },
      set state(value: () => string) { state = value },
    }
  }

  /** The protocol is done with it. */
  closed({ session }: Opened, why: string): void {
    const entry = this.#open.get(session.id)
    if (entry === undefined) return
    this.#open.delete(session.id)
    for (const { id } of entry.key) this.#keys.delete(id)
    session.close(why)
    this.#p.bus.tell('closed', { id: session.id, why, counts: { ...session.counts, columns: [...session.columns] } })
  }

  refused(what: string, facts: Readonly<Record<string, unknown>>): void {
    // One event said that they are refused from now on; each by itself is only counted, for their cost is what is limited.
    if (what === 'THROTTLED') { this.#refused[what] = (this.#refused[what] ?? 0) + 1; return }
    log.info({ what, ...facts }, 'a login was refused')
    this.#refused[what] = (this.#refused[what] ?? 0) + 1
    try {
      const record = this.#p.recorder.session(newSessionId(), '_logins')
      record.append('login', JSON.stringify({ what, ...facts }))
      record.close()
    } catch (error) { if (!(error instanceof RecordFailed)) throw error }
  }

  // ---- cancel keys

  #cancelKey(entry: Open, bytes: number, onCancel: () => void): { id: number; secret: Buffer } {
    do { this.#nextKey = (this.#nextKey + 1) % (1 << WORKER_SHIFT) } while (this.#keys.has(this.#nextKey) || this.#nextKey === 0)
    const id = (this.#p.number << WORKER_SHIFT) | this.#nextKey
    const secret = randomBytes(bytes)
    this.#keys.set(id, { secret, onCancel })
    entry.key.push({ id, secret, onCancel })
    return { id, secret }
  }
  cancel(id: number, secret: Buffer): void {
    if (id >>> WORKER_SHIFT === this.#p.number) this.cancelHere(id, secret)
    else this.#p.bus.tell('cancel', { id, secret: secret.toString('hex') })
  }
  cancelHere(id: number, secret: Buffer): void {
    const key = this.#keys.get(id)
    if (key !== undefined && key.secret.length === secret.length && timingSafeEqual(key.secret, secret)) key.onCancel()
  }

  // ---- what reaches open sessions

  #tick(nowMs: number): void {
    if (Object.keys(this.#refused).length > 0) { this.#p.bus.tell('refused', this.#refused); this.#refused = {} }
    for (const entry of this.#open.values()) {
      if (nowMs > entry.endsAtMs) entry.session.end('its credential expired')
      for (const tick of entry.ticks) tick(performance.now())
    }
    if (this.#open.size > 0) this.#p.bus.tell('counts', [...this.#open.values()].map((entry) => ({ id: entry.session.id, counts: countsOf(entry) })))
  }
  reload(config: Config, policies: PolicySet): void {
    this.#config = config
    this.#policies = policies
    for (const entry of this.#open.values()) {
      const gone = whyNotBelieved(config, entry.identity, entry.kind)
      if (gone !== null) { entry.session.end(gone); continue }
      const resource = config.resources.find((r) => r.name === entry.resource.name)
      if (resource === undefined) { entry.session.end('its resource is gone'); continue }
      const grant = policies.grant(withDeclared(entry.identity, config.identity.people), resource)
      if (!grant.opens) entry.session.end('no policy opens this resource to you any more')
      else entry.session.regrant(grant)
    }
  }
  /** The same identity shows a fresh credential for what was opened with an earlier one: judged anew, and never beyond the resource's `session.max`. How many go on. */
  renew(fresh: Identity, credentialHash: string): number {
    let renewed = 0
    for (const entry of this.#open.values()) {
      const { identity, resource, session, startedAtMs } = entry
      const same = identity.credentialHash === credentialHash && identity.issuer === fresh.issuer && identity.subject === fresh.subject && identity.agent === fresh.agent && identity.onBehalfOf === fresh.onBehalfOf
      if (!same || this.#isRevoked(fresh) || fresh.expiresAtMs <= identity.expiresAtMs) continue
      const grant = this.#policies.grant(withDeclared(fresh, this.#config.identity.people), resource)
      if (!grant.opens) { session.end('no policy opens this resource to you any more'); continue }
      session.note('renewed', { credentialHash: fresh.credentialHash, tokenId: fresh.tokenId, groups: fresh.groups, expiresAtMs: fresh.expiresAtMs })
      entry.earlier.push(identity)
      entry.identity = fresh
      entry.endsAtMs = Math.max(entry.endsAtMs, Math.min(fresh.expiresAtMs + EXPIRY_GRACE_MS, resource.sessionMaxMs > 0 ? startedAtMs + resource.sessionMaxMs : Infinity))
      session.regrant(grant)
      renewed++
    }
    return renewed
  }
  #isRevoked(identity: Identity): boolean { return this.#revoked.some((r) => covers(r, identity)) }
  revoke(revoked: Revoked): void {
    this.#revoked.push(revoked)
    for (const { session, identity, earlier } of this.#open.values()) if ([identity, ...earlier].some((one) => covers(revoked, one))) session.end('its credential was revoked')
  }
  revokeAll(all: readonly Revoked[]): void { this.#revoked = [...all]; for (const { session, identity, earlier } of this.#open.values()) if ([identity, ...earlier].some((one) => this.#isRevoked(one))) session.end('its credential was revoked') }
  kill(id: string | null, why: string): void { if (id !== null) this.#open.get(id)?.session.end(why) }
  interrupt(id: string): void { for (const { onCancel } of this.#open.get(id)?.key ?? []) onCancel() }

  /** No new sessions; open ones end when they are idle anyway, or after the time. */
  async drain(withinMs: number): Promise<void> {
    this.#draining = true
    const deadline = Date.now() + withinMs
    while (this.#open.size > 0 && Date.now() < deadline) await new Promise((done) => setTimeout(done, 50))
    for (const { session } of this.#open.values()) session.end('this gateway is stopping')
    const last = Date.now() + 2_000
    while (this.#open.size > 0 && Date.now() < last) await new Promise((done) => setTimeout(done, 20))
  }
}

/** Why nobody is believed by this issuer, or this account, any more; null when they are. */
function whyNotBelieved(config: Config, { issuer, subject }: Identity, kind: Authenticated['kind']): string | null {
  if (kind === 'break-glass') return config.gateway.emergency.some((account) => account.name === subject) ? null : 'its break-glass account is gone'
  return issuer === 'sluice' || config.identity.issuers.some(({ name }) => name === issuer) ? null : 'its issuer is no longer configured'
}
function databaseOf(resource: Resource, named: string | null): string {
  if (named === null || named === resource.database) return resource.database ?? resource.name
  if (resource.databases === 'any' || resource.databases.includes(named)) return named
  throw new NotAllowed(`resource ${resource.name} does not allow database "${named}"`)
}
/**
 * SHA-256 (hex) of key, value and key again: keyed on both sides, so that nothing can be appended, and made in one call, since node's HMAC
 * costs ten times as much for the short values of a point read.
 */
export function hasher(keyHex: string): (bytes: string | Uint8Array) => string {
  const key = Buffer.from(keyHex, 'hex')
  const scratch = Buffer.allocUnsafeSlow(HASH_SCRATCH_BYTES)
  key.copy(scratch, 0)
  return (bytes) => {
    const most = (typeof bytes === 'string' ? bytes.length * 3 : bytes.length) + key.length * 2
    if (most > HASH_SCRATCH_BYTES) return hash('sha256', Buffer.concat([key, typeof bytes === 'string' ? Buffer.from(bytes) : bytes, key]))
    const length = typeof bytes === 'string' ? scratch.write(bytes, key.length) : (scratch.set(bytes, key.length), bytes.length)
    key.copy(scratch, key.length + length)
    return hash('sha256', scratch.subarray(0, key.length * 2 + length))
  }
}
const HASH_SCRATCH_BYTES = 4_096
