// The process that owns the store, the keys, the ports and the bus. It serves no client bytes itself: workers run sessions, the web
// process answers the API. Ports open only when all of it can serve; on SIGTERM sessions drain and every child is ended.
import cluster, { type Worker } from 'node:cluster'
import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, watchFile, unwatchFile, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FailedLogins } from '../auth/throttle.ts'
import { KeyFetcher } from '../auth/keys.ts'
import type { FilterMistake } from '../core/check.ts'
import type { Classified } from '../core/classified.ts'
import { type Config, parseConfig } from '../config.ts'
import { type StoredObject, withStored } from './stored.ts'
import { policiesVersion } from '../core/compile.ts'
import { NotAuthenticated, SluiceError } from '../core/errors.ts'
import { declaredGroups } from '../core/identity.ts'
import type { Budget } from '../core/policy.ts'
import { openKeyring, writeKeyring } from '../store/keyring.ts'
import { HeadKeeper, recordOpener } from '../store/record/index.ts'
import type { Keyring } from '../store/secrets.ts'
import type { StoreAddress } from '../store/database.ts'
import { openStore, type Store } from '../store/store.ts'
import { Bus } from './bus.ts'
import { type Certificates, certificates } from './certificates.ts'
import { credentialFor, environmentFor, resolveSecret } from './credentials.ts'
import { readsFilters } from './filters.ts'
import { installationKey } from './installation.ts'
import { LiveSessions } from './live.ts'
import { log } from './log.ts'
import { type Boot, type Revoked, type SessionCounts, type SessionInfo, WORKER_SHIFT, type WebAsks, type WebHears, type WebTells, type WorkerAsks, type WorkerHears, type WorkerTells } from './messages.ts'
import { Metrics } from './metrics.ts'
import type { Held, Lease, ReviewPort } from '../core/ports.ts'
import type { StoredReview } from '../store/review_rows.ts'
import { openReviewDesk } from '../store/review_desk.ts'
import { STORE_AWAY, StoreWatch } from './store-watch.ts'
import { startStore } from './storage.ts'
import { startWebhook, type Webhook } from '../store/webhook.ts'
import { recover, reindex, startUpkeep } from './upkeep.ts'

const RELOAD_LOOK_MS = 1_000
/** A change that could not be recorded is tried again. */
const RELOAD_AGAIN_MS = 5_000
const CHILD_END_MS = 4_000
/** A worker that dies is replaced, but not in a loop. */
const RESPAWN_MS = 500
const RESPAWN_MS_MAX = 5_000

type WorkerBus = Bus<object, WorkerHears, WorkerAsks, WorkerTells>
interface Hand { readonly worker: Worker; readonly bus: WorkerBus; readonly number: number; ready: boolean }

export interface Gateway { readonly config: Config; readonly fingerprint: string | null; stop(): Promise<void>; readonly stopped: Promise<void> }

/** Starts everything; resolves when it serves. Throws ConfigErrors or a SluiceError with what to do. */
export async function startGateway(file: string): Promise<Gateway> {
  const supervisor = new Supervisor(file)
  try { await supervisor.start() } catch (error) { await supervisor.stop(); throw error }
  return supervisor
}

class Supervisor implements Gateway {
  readonly #file: string
  #text = ''
  config!: Config
  #certificates: Certificates | null = null
  #store!: Store
  #stopStore: (() => Promise<void>) | null = null
  #keyring!: Keyring
  #heads!: HeadKeeper
  #keys!: KeyFetcher
  #desk!: ReviewPort
  #hook: Webhook | null = null
  #hands: Hand[] = []
  #web: { child: ChildProcess; bus: Bus<object, WebHears, WebAsks, WebTells> } | null = null
  readonly #live = new LiveSessions()
  readonly #metrics = new Metrics()
  #revocations: Revoked[] = []
  #bootId = randomBytes(6).toString('hex')
  #hashKey = ''
  #tokenKey = ''
  #filterMistake: FilterMistake = () => 'it was not read yet'
  #stopping: Promise<void> | null = null
  #endings: (() => void)[] = []
  #done: () => void = () => {}
  readonly stopped = new Promise<void>((done) => { this.#done = done })
  constructor(file: string) { this.#file = file }
  get fingerprint(): string | null { return this.#certificates?.fingerprint ?? null }

  async start(): Promise<void> {
    this.#text = readFileSync(this.#file, 'utf8')
    this.#filterMistake = await readsFilters()
    this.config = parseConfig(this.#text, this.#file, process.env, this.#filterMistake)
    const { gateway } = this.config
    // Others may pass through it to the store's own folder, and see nothing.
    mkdirSync(gateway.data, { recursive: true, mode: 0o711 })
    const keys = join(gateway.data, 'keys')
    this.#certificates = await certificates(keys, gateway.tls.kind === 'auto' ? 'auto' : gateway.tls)
    this.#hashKey = installationKey(keys)
    this.#tokenKey = installationKey(keys, 'token.key')
    this.#keyring = { keys: openKeyring(keys), keep: (all) => writeKeyring(keys, all) }
    const storage = await startStore(gateway)
    this.#stopStore = storage.stop
    this.#address = storage.address
    this.#store = await openStore(storage.address)
    this.#use(this.#text, await this.#storedObjects())
    this.#store.reviews.declared = (issuer, subject) => declaredGroups(this.config.identity.people, issuer, subject)
    const instance = await this.#store.begin()
    this.#endings.push(() => { void instance.end().catch(() => {}) })
    this.#heads = await HeadKeeper.open({ data: gateway.data, second: gateway.heads })
    const known = this.#heads.logs().length
    await this.#attest()
    this.#keys = new KeyFetcher({ failed: (issuer, why) => log.warn({ issuer, why }, 'an issuer gave no keys') })
    this.#revocations = await this.#store.revocations.all()
    const reviewUrl = (id: string) => `${this.webUrl()}/reviews/${id}`
    if (gateway.webhook !== null) this.#hook = startWebhook({ url: gateway.webhook.url, secret: (await resolveSecret(gateway.webhook.secret, this.#store.secrets, this.#keyring)) ?? '', reviewUrl, failed: (message) => log.warn(message) })
    this.#desk = openReviewDesk({ store: this.#store, instance: instance.number, reviewUrl, waiting: (review) => this.#hook?.tell(review) })
    this.#endings.push(this.#store.sweeping((review) => this.#reviewEnded(review), (error) => log.warn({ error: String(error) }, 'the store could not be swept')))
    this.#watchStore()
    this.#listenToStore()
    await this.#startWorkers()
    await this.#startWeb()
    this.#recovered = this.#recoverAll(gateway.data, storage.address, known)
    this.#watchFile()
    log.info({ workers: this.#hands.length, listen: gateway.listen }, 'serving')
  }

  #recovered: Promise<void> = Promise.resolve()
  /** What an earlier start left open is signed while this one serves already; only then is anything of it sealed or retired. */
  async #recoverAll(data: string, store: StoreAddress, known: number): Promise<void> {
    try {
      const crashed = await recover(data, this.#heads, (writer) => !writer.startsWith(`${this.#bootId}-`), () => this.#stopping === null)
      if (this.#stopping !== null) return
      if (crashed.length > 0 || (known > 0 && (await this.#store.sessions.list({ limit: 1 })).length === 0)) this.#endings.push(reindex(data, store))
    } catch (error) { log.error({ error: error instanceof Error ? error.message : String(error) }, 'what an earlier start left open could not be signed') }
    if (this.#stopping === null) this.#endings.push(startUpkeep({ data, heads: this.#heads, resources: () => this.config.resources }))
  }

  webUrl(): string {
    const { gateway } = this.config
    const host = gateway.listen.web?.host ?? '127.0.0.1'
    return gateway.url ?? `https://${host === '0.0.0.0' || host === '::' ? 'localhost' : host}:${gateway.listen.web?.port ?? 8443}`
  }

  // ---- workers

  async #startWorkers(): Promise<void> {
    // V8's optimizing compiler takes 500 MB for a moment per process to make the SQL grammar's WASM 10 % faster: not worth it.
    cluster.setupPrimary({ execArgv: [...process.execArgv, '--liftoff-only'], exec: fileURLToPath(new URL('./worker' + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url)), serialization: 'advanced' })
    const count = this.config.gateway.workers === 'auto' ? availableParallelism() : this.config.gateway.workers
    await Promise.all(Array.from({ length: count }, (_, i) => this.#startWorker(i + 1)))
  }

  #startWorker(number: number): Promise<void> {
    return new Promise((ready, failed) => {
      const worker = cluster.fork(environmentFor(this.config.resources, this.#sources()) as object)
      const hand: Hand = { worker, number, ready: false, bus: new Bus<object, WorkerHears, WorkerAsks, WorkerTells>(worker, this.#answers(number), {
        ready: () => { hand.ready = true; ready() },
        closed: ({ id, why, counts }) => { this.#live.counted(id, counts); const info = this.#live.close(id); if (info !== null) this.#indexed({ ...info, counts }, why) },
        counts: (all) => { for (const { id, counts } of all) this.#live.counted(id, counts) },
        cancel: (cancel) => { this.#hands.find((h) => h.number === cancel.id >>> WORKER_SHIFT)?.bus.tell('cancel', cancel) },
        endWait: ({ wait, why }) => this.#waits.get(wait)?.held.cancel(why),
        alert: (body) => { void this.#alert(body) },
        giveBack: ({ key, budget, lease }) => this.#giveBack(key, budget, lease),
        head: (head) => { void this.#heads.take(head as never).catch((error: unknown) => log.error({ error: String(error) }, 'a signed head could not be kept')) },
        refused: (counts) => this.#metrics.refused(counts),
        failedLogin: (failed) => this.#failedLogin(failed),
        catalog: (moved) => { for (const other of this.#hands) if (other !== hand) other.bus.tell('catalog', moved) },
      }) }
      this.#hands = [...this.#hands.filter((h) => h.number !== number), hand]
      worker.once('exit', (code, signal) => {
        this.#hands = this.#hands.filter((h) => h !== hand)
        for (const info of this.#live.ofWorker(number)) { this.#live.close(info.id); this.#indexed(info, 'its worker ended') }
        for (const wait of this.#waits.values()) if (wait.worker === number) wait.held.cancel('the worker that held it ended')
        if (!hand.ready) { failed(new Error(`worker ${number} could not start (exit ${code})`)); return }
        if (this.#stopping !== null) return
        log.error({ worker: number, code, signal }, 'a worker ended; its sessions are closed and another takes its place')
        this.#metrics.workerEnded()
        void this.#replaceWorker(number)
      })
    })
  }
  /** What it wrote is signed as it was left, then another takes its number; tried until one starts. */
  async #replaceWorker(number: number): Promise<void> {
    for (let waitMs = RESPAWN_MS; this.#stopping === null; waitMs = Math.min(waitMs * 2, RESPAWN_MS_MAX)) {
      await new Promise((done) => setTimeout(done, waitMs))
      if (this.#stopping !== null) return
      try {
        await recover(this.config.gateway.data, this.#heads, (writer) => writer.startsWith(`${this.#bootId}-${number}-`), () => this.#stopping === null)
        if (this.#stopping !== null) return
        await this.#startWorker(number)
        return
      } catch (error) { log.error({ error: String(error) }, 'a worker could not be replaced: it is tried again') }
    }
  }
  readonly #waits = new Map<string, { readonly worker: number; readonly held: Held }>()
  #sources() { const { gateway, identity } = this.config; return [...(gateway.webhook === null ? [] : [gateway.webhook.secret]), ...identity.issuers.map((i) => i.clientSecret), ...(gateway.store.kind === 'postgres-secret' ? [gateway.store.url] : [])] }

  #answers(number: number): { [K in keyof WorkerAsks]: (body: Parameters<WorkerAsks[K]>[0]) => ReturnType<WorkerAsks[K]> | Promise<ReturnType<WorkerAsks[K]>> } {
    return {
      boot: (): Boot => ({
        text: this.#text, file: this.#file, stored: this.#stored, number, bootId: this.#bootId, hashKey: this.#hashKey, tokenKey: this.#tokenKey, revocations: this.#revocations,
        tls: this.#certificates === null ? null : { cert: this.#certificates.cert, key: this.#certificates.key }, dataFolder: this.config.gateway.data,
      }),
      keys: ({ issuer, refresh }) => this.#keySet(issuer, refresh),
      token: ({ secret }) => { if (this.#watch?.away === true) throw new SluiceError('STORE_FAILED', STORE_AWAY); return this.#store.tokens.open(secret) },
      loud: async ({ identity, kind }) => {
        this.#emergency(identity.subject, kind)
        await this.#heads.admin({ actor: `${identity.issuer} ${identity.subject}`, action: 'emergency.session', subject: identity.subject, detail: { kind } })
      },
      credential: async ({ resource: name, class: needs }) => {
        const resource = this.config.resources.find((r) => r.name === name)
        const credential = resource === undefined ? null : credentialFor(resource, needs)
        if (credential === null) throw new Error(`no credential of resource ${name} covers ${needs}`)
        return { username: credential.username, password: await resolveSecret(credential.password, this.#store.secrets, this.#keyring), as: credential.as }
      },
      hold: ({ wait, request }) => new Promise((opened) => {
        const held = this.#desk.hold(request, (id, url) => opened({ id, url }))
        this.#waits.set(wait, { worker: number, held })
        void held.outcome.then((outcome) => {
          this.#waits.delete(wait)
          // The session that waited may be gone, with or without its worker.
          if (outcome.kind === 'cancelled') this.#reviewOver(outcome.id, 'cancelled', { session: request.session, run: request.run, resource: request.resource, why: outcome.why })
          opened({ id: '', url: '' })
          this.#hands.find((h) => h.number === number)?.bus.tell('outcome', { wait, outcome })
        })
      }),
      redeem: (request) => this.#desk.redeem(request),
      lease: ({ key, budget, rows }) => this.#store.budgets.lease({ name: `${key}|rows`, most: budget.rows, perMs: budget.perMs }, rows),
      lookup: async ({ key, lookup }) => (await this.#store.budgets.lease({ name: `${key}|lookups`, most: lookup.count, perMs: lookup.perMs }, 1)).granted > 0,
      opened: (info) => this.#opened(info),
    }
  }
  #opened(info: SessionInfo): { allowed: true } | { allowed: false; why: string } {
    const resource = this.config.resources.find((r) => r.name === info.resource)
    // Break-glass is for the day on which this is away, too.
    if (this.#watch?.away === true && info.identity.issuer !== 'sluice') throw new SluiceError('STORE_FAILED', STORE_AWAY)
    const why = this.#stopping !== null ? 'this gateway is stopping' : this.#live.open(info, resource?.limits.sessions ?? 0)
    if (why !== null) return { allowed: false, why }
    this.#metrics.opened(info.resource)
    // For who decides reviews: a decision counts by what the latest credential says. Not awaited: a login waits for no store.
    if (info.direct) void this.#store.people.saw(info.identity).catch((error: unknown) => log.warn({ error: String(error) }, 'the store did not hear of a credential'))
    return { allowed: true }
  }
  /** Ended by time or with the gateway that held it: no session is there to record it. */
  #reviewEnded(review: StoredReview): void {
    this.#reviewOver(review.id, review.state, { session: review.session, run: review.run, resource: review.resource, why: review.endedWhy })
  }
  #reviewOver(id: string, state: string, detail: { session: string; run: number; resource: string; why: string | null }): void {
    log.info({ review: id, state }, 'a review ended')
    void this.#heads.admin({ actor: 'sluice', action: `review.${state}`, subject: id, detail })
      .catch((error: unknown) => log.error({ error: String(error), review: id }, 'the end of a review could not be recorded'))
  }
  #failedLogin({ address, claim }: { readonly address: string; readonly claim: string }): void {
    for (const block of this.#failed.failed(address, claim, this.config.gateway.limits.failedLogins, Date.now())) {
      for (const { bus } of this.#hands) bus.tell('block', block)
      this.#web?.bus.tell('block', block)
      this.#metrics.throttled(block.kind)
      log.warn({ address, kind: block.kind }, 'too many logins failed: further ones are refused for a while')
      void this.#heads.admin({ actor: 'sluice', action: 'login.throttled', subject: address, detail: { kind: block.kind, untilMs: block.untilMs } }).catch((error: unknown) => log.error({ error: String(error) }, 'a throttle could not be recorded'))
    }
  }
  #emergency(subject: string, what: string): void { this.#metrics.emergency(); log.warn({ subject, what }, 'AN EMERGENCY ACCOUNT WAS USED') }
  readonly #failed = new FailedLogins()
  /** More left than a budget that alerts allows: once in its window, whichever worker or gateway saw it first, and after a restart too. */
  async #alert({ key, budget, session, resource, party }: WorkerTells['alert']): Promise<void> {
    try {
      const { granted } = await this.#store.budgets.lease({ name: `${key}|alerts`, most: 1, perMs: budget.perMs }, 1)
      if (granted === 0) return
    } catch { /* Rather once too often than never. */ }
    log.warn({ party, resource, rule: budget.rule, rows: budget.rows, perMs: budget.perMs, session }, 'alert: more rows left than the budget allows')
    const event = { actor: 'sluice', action: 'alert.volume', subject: party, detail: { resource, rule: budget.rule, rows: budget.rows, perMs: budget.perMs, session } }
    await this.#heads.admin(event).catch((error: unknown) => log.error({ error: String(error) }, 'an alert could not be recorded'))
    await this.#store.admin.add(event).catch((error: unknown) => log.error({ error: String(error) }, 'an alert could not be listed'))
  }
  #giveBack(key: string, budget: Budget, lease: Lease): void {
    void this.#store.budgets.giveBack({ name: `${key}|rows`, most: budget.rows, perMs: budget.perMs }, lease, lease.granted).catch(() => {})
  }
  #indexed(info: SessionInfo & { counts: SessionCounts }, why: string): void {
    const { identity } = info
    void this.#store.sessions.put([{
      session: info.id, resource: info.resource, protocol: info.protocol, database: info.database, issuer: identity.issuer, subject: identity.subject, onBehalfOf: identity.onBehalfOf,
      agent: identity.agent, client: info.client, startedAtMs: info.startedAtMs, endedAtMs: Date.now(), endedWhy: why, statements: info.counts.statements, denied: info.counts.denied, reviewed: 0,
      rows: info.counts.rows, bytes: info.counts.bytes, masked: 0, columns: info.counts.columns ?? [],
    }]).catch((error: unknown) => log.warn({ error: String(error) }, 'the index of sessions is behind'))
  }

  #keySet(name: string, refresh: boolean) {
    const issuer = this.config.identity.issuers.find((i) => i.name === name)
    if (issuer === undefined) throw new NotAuthenticated('the issuer of the token is not configured')
    return this.#keys.keys(issuer.issuer, refresh)
  }

  #watch: StoreWatch | null = null
  #watchStore(): void {
    const watch = new StoreWatch({
      ask: () => this.#store.health(), graceMs: () => this.config.gateway.limits.storeGraceMs,
      over: () => { for (const { id, identity, worker } of this.#live.list()) if (identity.issuer !== 'sluice') this.#hands.find((h) => h.number === worker)?.bus.tell('kill', { id, identity: null, why: 'the control store has been away for too long' }) },
    })
    this.#watch = watch
    this.#endings.push(() => watch.stop())
  }

  // ---- what the store rings

  #listenToStore(): void {
    const { bell } = this.#store
    this.#endings.push(bell.on('revoked', ({ kind, value }) => {
      const revoked = { kind, value } as Revoked
      this.#revocations.push(revoked)
      for (const { bus } of this.#hands) bus.tell('revoked', revoked)
    }))
    this.#endings.push(bell.onMissed(() => { void this.#lookAgain() }))
    this.#endings.push(bell.on('end', ({ session, party, cancel, by }) => {
      if (cancel && session !== null) { for (const { bus } of this.#hands) bus.tell('interrupt', { id: session }); return }
      this.kill(session, party, by)
    }))
    this.#endings.push(bell.on('objects', () => { void this.reload() }))
  }
  /** The store was away: what was revoked meanwhile is asked for. */
  async #lookAgain(): Promise<void> {
    try {
      this.#revocations = await this.#store.revocations.all()
      for (const { bus } of this.#hands) bus.tell('revocations', this.#revocations)
      await this.reload()
    } catch (error) { log.warn({ error: String(error) }, 'what rang while the store was away could not be read') }
  }
  kill(id: string | null, identity: string | null, by: string): number {
    const hit = this.#live.list().filter((info) => info.id === id || (identity !== null && (`${info.identity.issuer} ${info.identity.subject}` === identity || `${info.identity.issuer} ${info.identity.onBehalfOf}` === identity)))
    for (const info of hit) this.#hands.find((h) => h.number === info.worker)?.bus.tell('kill', { id: info.id, identity: null, why: `it was ended by ${by}` })
    return hit.length
  }

  // ---- the web process

  async #startWeb(): Promise<void> {
    const listen = this.config.gateway.listen.web
    if (listen === undefined || this.#stopping !== null) return
    const child = fork(fileURLToPath(new URL('./web' + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url)), [], { serialization: 'advanced', env: environmentFor(this.config.resources, []) })
    await new Promise<void>((ready, failed) => {
      const bus = new Bus<object, WebHears, WebAsks, WebTells>(child, {
        boot: async () => ({
          text: this.#text, file: this.#file, stored: this.#stored, store: this.#storeAddress(), tls: this.#certificates === null ? null : { cert: this.#certificates.cert, key: this.#certificates.key },
          clientSecrets: await this.#clientSecrets(),
          url: this.webUrl(), ca: this.#certificates?.ca ?? '', fingerprint: this.fingerprint ?? '', publicKey: this.#heads.publicKey.export({ type: 'spki', format: 'pem' }) as string,
        }),
        keys: ({ issuer, refresh }) => this.#keySet(issuer, refresh),
        sessions: () => this.#live.list(),
        kill: ({ id, party, by }) => this.kill(id, party, by),
        interrupt: ({ id }) => { for (const { bus: b } of this.#hands) b.tell('interrupt', { id }); return this.#live.get(id) !== null },
        seal: async ({ name, secret }) => { const { seal } = await import('../store/seal.ts'); return seal(this.#keyring.keys[0]!, name, Buffer.from(secret)) },
        redeem: (request) => this.#desk.redeem(request),
        renew: async (body) => (await Promise.all(this.#hands.filter((h) => h.ready).map((h) => h.bus.ask('renew' as never, body as never) as Promise<number>))).reduce((sum, one) => sum + one, 0),
        test: ({ name }) => this.#hands[0]!.bus.ask('test' as never, { name } as never) as Promise<{ ok: boolean; message: string }>,
        classify: ({ name }) => this.#hands[0]!.bus.ask('classify' as never, { name } as never) as Promise<Classified>,
        recordKeys: (wanted) => { const opener = recordOpener(join(this.config.gateway.data, 'keys')); return wanted.map(({ name, block }) => opener(name, block)) },
        reload: () => this.reload(),
        admin: (event) => { if (event.action.startsWith('emergency.')) this.#emergency(event.subject, String(event.detail.what ?? event.action)); return this.#heads.admin(event) },
        metrics: () => this.#metrics.text(this.#live, this.#hands.filter((h) => h.ready).length, this.#waits.size),
        health: () => this.health(),
      }, { ready: () => ready(), failedLogin: (failed) => this.#failedLogin(failed), refused: (counts) => this.#metrics.refused(counts) })
      this.#web = { child, bus }
      child.once('exit', (code, signal) => {
        if (this.#stopping !== null) return
        failed(new Error(`the web process could not start (exit ${code})`))
        log.error({ code, signal }, 'the web process ended; another takes its place')
        setTimeout(() => { this.#startWeb().catch((error: unknown) => log.error({ error: String(error) }, 'the web process could not be replaced')) }, RESPAWN_MS)
      })
    })
  }
  #address: StoreAddress | null = null
  #storeAddress() { if (this.#address === null) throw new Error('the store is not open'); return this.#address }

  async health(): Promise<string | null> {
    if (this.#stopping !== null) return 'stopping'
    if (this.#hands.every((h) => !h.ready)) return 'no worker serves'
    // Ready means that somebody new gets in.
    return await this.#store.health() ?? (this.#watch?.away === true ? STORE_AWAY : null)
  }

  // ---- reload and stop

  #watchFile(): void {
    const changed = () => { void this.reload() }
    watchFile(this.#file, { interval: RELOAD_LOOK_MS, persistent: false }, changed)
    process.on('SIGHUP', changed)
    this.#endings.push(() => { unwatchFile(this.#file, changed); process.off('SIGHUP', changed) })
  }
  /** One after the other: what was read first is in force first. */
  reload(): Promise<void> { this.#reloading = this.#reloading.then(() => this.#reload()); return this.#reloading }
  #reloading: Promise<void> = Promise.resolve()
  /** A file with an error changes nothing and is reported. */
  async #reload(): Promise<void> {
    try {
      const text = readFileSync(this.#file, 'utf8')
      const stored = await this.#storedObjects()
      if (text === this.#text && JSON.stringify(stored) === JSON.stringify(this.#stored)) return
      const before = [this.#text, this.#stored] as const
      this.#use(text, stored)
      // Unrecorded, nothing changes.
      await this.#attest().catch((error: unknown) => { this.#use(...before); setTimeout(() => { void this.reload() }, RELOAD_AGAIN_MS).unref(); throw error })
      this.#keys.keep(this.config.identity.issuers.map((i) => i.issuer))
      for (const { bus } of this.#hands) bus.tell('reload', { text, stored })
      this.#web?.bus.tell('reload', { text, stored, clientSecrets: await this.#clientSecrets() })
      log.info('the configuration was reloaded')
    } catch (error) { log.error({ error: error instanceof Error ? error.message : String(error) }, 'the changed configuration has an error: the one before stays in force') }
  }
  #stored: readonly StoredObject[] = []
  async #storedObjects(): Promise<readonly StoredObject[]> {
    return (await Promise.all((['resource', 'policy', 'issuer'] as const).map((kind) => this.#store.objects.list(kind)))).flat().map(({ kind, name, body }) => ({ kind, name, body }))
  }
  /** What this gateway runs with is in the Record: the file by its hash, the policies by their version. */
  #attest(): Promise<void> {
    return this.#heads.admin({ actor: 'sluice', action: 'config.loaded', subject: this.#file, detail: { file: createHash('sha256').update(this.#text).digest('hex'), policies: policiesVersion(this.config.policies), stored: this.#stored.map(({ kind, name }) => `${kind} ${name}`).join(', ') } })
  }
  async #clientSecrets(): Promise<Readonly<Record<string, string | null>>> {
    return Object.fromEntries(await Promise.all(this.config.identity.issuers.map(async (i) => [i.name, await resolveSecret(i.clientSecret, this.#store.secrets, this.#keyring).catch(() => null)] as const)))
  }
  /** Throws ConfigErrors and changes nothing when the text is wrong. */
  #use(text: string, stored: readonly StoredObject[]): void {
    const { config, leftOut } = withStored(parseConfig(text, this.#file, process.env, this.#filterMistake), stored)
    for (const why of leftOut) log.warn({ why }, 'what was registered is not in force')
    this.#text = text
    this.#stored = stored
    this.config = config
  }

  stop(): Promise<void> { this.#stopping ??= this.#end(); return this.#stopping }
  async #end(): Promise<void> {
    const drainMs = this.config?.gateway.limits.drainMs ?? 0
    for (const { bus } of this.#hands) bus.tell('drain', { withinMs: drainMs })
    const gone = Promise.all(this.#hands.map((h) => new Promise<void>((done) => { if (h.worker.isDead()) done(); else h.worker.once('exit', () => done()) })))
    const late = setTimeout(() => { for (const { worker } of this.#hands) worker.process.kill('SIGKILL') }, drainMs + CHILD_END_MS)
    this.#web?.child.kill('SIGTERM')
    await gone
    clearTimeout(late)
    await this.#recovered
    for (const end of this.#endings) end()
    this.#web?.child.kill('SIGKILL')
    await this.#heads?.close()
    this.#hook?.close()
    await this.#store?.close().catch(() => {})
    await this.#stopStore?.()
    log.info('stopped')
    this.#done()
  }
}
