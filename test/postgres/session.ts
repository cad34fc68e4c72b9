// One session in this process, between a stream of the test's and a real server: everything after login, with the real door, a record kept in
// memory, reviews that the test decides, and a tap on the bytes that reach the server.
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { parseConfig } from '../../src/config.ts'
import { compilePolicies } from '../../src/core/compile.ts'
import type { Identity } from '../../src/core/identity.ts'
import { LiveSession } from '../../src/core/open.ts'
import type { ReviewOutcome, SessionPorts } from '../../src/core/ports.ts'
import type { ReviewRequest } from '../../src/core/review.ts'
import { attributionOf, OwnName, startingWith } from '../../src/protocols/postgres/attribution.ts'
import { PostgresCodec } from '../../src/protocols/postgres/codec.ts'
import { Guard } from '../../src/protocols/postgres/guard.ts'
import { hidingOf } from '../../src/protocols/postgres/hiding.ts'
import { cancelUpstream, connectUpstream, type Upstream } from '../../src/protocols/postgres/login.ts'
import { type CatalogShelf, SessionReader, type SharedCatalog } from '../../src/protocols/postgres/session-reader.ts'
import { codecOf } from '../../src/protocols/postgres/token-cells.ts'
import { Tokens } from '../../src/tokens/tokens.ts'
import type { Catalog } from '../../src/sql/catalog.ts'
import { ready } from '../../src/sql/grammar.ts'
import { Relay } from '../../src/wire/relay.ts'
import { requestDetector } from '../../src/gateway/detection.ts'
import type { TestServer } from '../servers/postgres.ts'
import { RawClient } from './client.ts'
import { DETAIL_OF } from '../../src/store/record/layout.ts'

const TOKENS = new Tokens(Buffer.alloc(32, 1))
const IDENTITY: Identity = { subject: 'agent@example.com', issuer: 'corp', groups: ['team'], agent: false, onBehalfOf: null, credentialHash: '', tokenId: null, expiresAtMs: Infinity }
export const EVERYTHING = 'policies: [{ name: all, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin] }]\n'
const config = (port: number, policies: string, more: string) => parseConfig(`identity: { issuers: [{ name: corp, issuer: "http://127.0.0.1:1", audience: sluice, subject: email, groups: groups }] }
resources: [{ name: r, protocol: postgres, address: "127.0.0.1:${port}", database: d, tls: disable, ${more.includes('attribution:') ? '' : 'attribution: none, '}credential: { username: gwsuper }${more} }]\n${policies}`, 'test.yaml', {})

export class MemoryShelf implements CatalogShelf {
  current: SharedCatalog | null = null
  #generation = 1
  put(database: number, catalog: Catalog): void { this.current = { database, catalog: { ...catalog, generation: ++this.#generation * 1_000 + Math.floor(Math.random() * 1_000) } } }
}
export interface Waiting { readonly request: ReviewRequest; decide(outcome: 'approve' | 'deny' | 'expire'): void; cancelled: string | null }
export interface TestSession {
  readonly client: RawClient
  readonly session: LiveSession
  readonly relay: Relay
  readonly codec: PostgresCodec
  readonly reader: SessionReader
  /** Bytes written to the server. */
  readonly tap: Buffer[]
  readonly record: { kind: string; body: Record<string, unknown> }[]
  readonly waiting: Waiting[]
  readonly failures: unknown[]
  /** What was asked of budgets, and how much each answer gives at most. */
  readonly leased: { rule: string; rows: number }[]
  readonly budgetLeft: { rows: number }
  readonly upstream: Upstream
  /** Why it ended. */
  readonly over: Promise<string>
  repolicy(policies: string): void
  end(): Promise<void>
}
export interface SessionOptions {
  readonly policies?: string
  /** More of the resource: `, limits: { statement: 1s }`. */
  readonly resource?: string
  readonly database?: string
  readonly user?: string
  readonly shelf?: MemoryShelf
  readonly settings?: Readonly<Record<string, string>>
  /** Makes every append to the record wait this long to be durable. */
  readonly durableMs?: number
  readonly highWaterMark?: number
  readonly rates?: SessionPorts['rates']
}

export async function openTestSession(server: Pick<TestServer, 'port'>, options: SessionOptions = {}): Promise<TestSession> {
  await ready()
  const read = config(server.port, options.policies ?? EVERYTHING, options.resource ?? '')
  const resource = read.resources[0]!
  const grantOf = (policies: string) => compilePolicies(config(server.port, policies, options.resource ?? '').policies, { detector: requestDetector }).grant(IDENTITY, resource)
  const attribution = attributionOf(resource, IDENTITY)
  const upstream = await connectUpstream({ addresses: resource.addresses, tls: 'disable', ca: null, username: options.user ?? 'gwsuper', password: null, database: options.database ?? 'postgres', parameters: startingWith(attribution, new Map([['client_encoding', 'UTF8'], ['application_name', 'test'], ...Object.entries(options.settings ?? {})])) })
  const record: TestSession['record'] = [], waiting: Waiting[] = [], failures: unknown[] = [], tap: Buffer[] = [], leased: TestSession['leased'] = [], budgetLeft = { rows: Infinity }
  const keyedHash = (bytes: string | Uint8Array) => createHash('sha256').update('key').update(bytes).digest('hex')
  const ports: SessionPorts = {
    keyedHash, now: () => Date.now(), budgets: { lease: (account, rows) => { leased.push({ rule: account.budget.rule, rows }); return { granted: Math.min(rows, budgetLeft.rows), slice: 0 } }, giveBack() {}, alert() {} }, rates: options.rates ?? { lookup: () => true },
    reviews: {
      hold(request, opened) {
        const id = `review-${waiting.length + 1}`
        let settle: (outcome: ReviewOutcome) => void = () => {}
        const outcome = new Promise<ReviewOutcome>((done) => { settle = done })
        const entry = { request, cancelled: null as string | null, decide(what: 'approve' | 'deny' | 'expire') { settle(what === 'approve' ? { kind: 'approved', id, by: 'sam' } : what === 'deny' ? { kind: 'denied', id, by: 'sam', comment: null } : { kind: 'expired', id }) } }
        waiting.push(entry)
        queueMicrotask(() => opened(id, `https://gateway/reviews/${id}`))
        return { outcome, cancel: (why) => { entry.cancelled = why; settle({ kind: 'cancelled', id, why }) } }
      },
      redeem: async () => ({ kind: 'filed', id: 'review-0', url: 'https://gateway/reviews/review-0' }),
    },
  }
  let reader: SessionReader | null = null
  const session = new LiveSession({
    id: 'session', identity: IDENTITY, resource, grant: grantOf(options.policies ?? EVERYTHING), ports, facts: { id: 'session', database: options.database ?? 'postgres', client: '127.0.0.1', startedAtMs: Date.now() },
    state: () => `${reader?.state?.role ?? ''}\0${reader?.state?.searchPath.join('\0') ?? ''}`, redact: (text) => text,
    record: {
      append: (kind, body) => { record.push({ kind, body: JSON.parse(body) as Record<string, unknown> }) }, answer() {},
      ended: (run, outcome, rows, bytes, detail) => { record.push({ kind: 'ended', body: { run, outcome, rows, bytes, [DETAIL_OF[outcome] ?? 'detail']: detail } }) }, behind: false, caughtUp: async () => {}, close() {},
      durable: () => (options.durableMs === undefined ? true : new Promise((done) => setTimeout(done, options.durableMs))),
    },
  })
  reader = new SessionReader({ shelf: options.shelf ?? new MemoryShelf(), grant: () => session.grant, functions: resource.functions, views: resource.views ?? [], resource: `${server.port}\0${options.database ?? ''}\0${Math.random()}`, keyedHash, attribution, tokens: codecOf(TOKENS) })
  for (const [name, value] of upstream.parameters) reader.reported(name, value)
  const own = attribution?.by === 'application_name' ? new OwnName(attribution.who, 'test') : null
  if (own !== null) own.kept = true
  const guard = new Guard(hidingOf(() => session.grant, reader, keyedHash, TOKENS), own)
  const [near, far] = duplexPair(options.highWaterMark === undefined ? {} : { highWaterMark: options.highWaterMark })
  let relay: Relay | null = null
  const codec = new PostgresCodec(reader, guard, { waiting: (url) => relay?.tell(`this statement waits for a review: ${url}`, 'it runs when someone approves it'), computed: () => {}, kept: () => {} })
  relay = new Relay({ client: far, server: tapped(upstream.socket as Socket, tap), codec, session, early: upstream.early, statementMs: resource.limits.statementMs, idleMs: resource.limits.idleMs, cancel: () => cancelUpstream(upstream), failed: (error) => { failures.push(error) } })
  const over = relay.run()
  const client = new RawClient(near)
  return {
    client, session, relay, codec, reader, tap, record, waiting, failures, leased, budgetLeft, over, upstream,
    repolicy(policies) { session.regrant(grantOf(policies)) },
    // A pair does not tell its other half of a destroy that it has not read up to; a socket does.
    async end() { client.stream.destroy(); far.destroy(); await over; upstream.socket.destroy() },
  }
}
/** The socket itself, with what is written to it copied aside. */
function tapped(socket: Socket, tap: Buffer[]): Socket {
  const write = socket.write.bind(socket) as (bytes: Buffer) => boolean
  socket.write = ((bytes: Buffer) => { tap.push(Buffer.from(bytes)); return write(bytes) }) as typeof socket.write
  return socket
}

/** A bare connection to the server, logged in. */
export async function openBare(server: Pick<TestServer, 'port'>, options: { database?: string; user?: string; settings?: Readonly<Record<string, string>> } = {}): Promise<RawClient> {
  const socket = connect(server.port, '127.0.0.1').setNoDelay()
  const client = new RawClient(socket)
  const parameters = { user: options.user ?? 'gwsuper', database: options.database ?? 'postgres', client_encoding: 'UTF8', application_name: 'test', ...options.settings }
  const body = Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(`${Object.entries(parameters).flat().join('\0')}\0\0`)])
  const head = Buffer.alloc(4)
  head.writeInt32BE(body.length + 4)
  socket.write(Buffer.concat([head, body]))
  await client.ready()
  client.seen.length = 0
  return client
}
