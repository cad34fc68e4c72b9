// The proxy's port of a worker: HTTP/1.1 and HTTP/2 under `/PROTOCOL/RESOURCE/…`. It reads heads strictly and bodies to a limit, finds out
// who asks, and gives each request to the session it belongs to: one per identity's credential and resource, over many connections.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createSecureServer, type Http2SecureServer, type Http2ServerRequest } from 'node:http2'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { NoSuchResource, NotAllowed, NotAuthenticated, RecordFailed, SluiceError } from '../core/errors.ts'
import type { Gate, HttpProtocol, HttpSession, Opened } from '../protocols/protocol.ts'
import { HEAD_BYTES_MAX, type Head, HeadRefused, hostName, readHead } from '../wire/http/head.ts'
import { type Answer, type Problem, refuseSocket, refuseWith } from '../wire/http/problem.ts'

/** A session without requests ends after this, or sooner where its resource says so. */
const IDLE_MS = 15 * 60_000
/** Requests of one session at once; more are told to come back. */
const REQUESTS_MAX = 256
/** Streams of one HTTP/2 connection. */
const STREAMS_MAX = 256
/** Streams that a client may reset, or frames that make no progress, before its connection is closed. */
const RESETS = { burst: 200, rate: 20 }
/** The head of a request, and all of it. */
const HEADERS_MS = 10_000
const REQUEST_MS = 120_000
const KEEP_ALIVE_MS = 65_000

export interface ProxySettings {
  readonly host: string
  readonly port: number
  readonly tls: { readonly cert: string; readonly key: string } | null
  readonly bodyBytesMax: number
  /** Names under which this port is reached, beside addresses and localhost. */
  names(): readonly string[]
}
const TWICE = 'the credential stands in the request a second time'
type Request = IncomingMessage | Http2ServerRequest
interface Held { readonly opened: Opened; readonly session: HttpSession; requests: number; usedAtMs: number }

export class Proxy {
  readonly #gate: Gate
  readonly #protocols: readonly HttpProtocol[]
  readonly #settings: ProxySettings
  readonly #server: Http2SecureServer | Server
  /** By hash of the credential and resource. */
  readonly #sessions = new Map<string, Promise<Held>>()
  constructor(gate: Gate, protocols: readonly HttpProtocol[], settings: ProxySettings) {
    this.#gate = gate
    this.#protocols = protocols
    this.#settings = settings
    const timeouts = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: HEAD_BYTES_MAX }
    const handle = (request: Request, answer: Answer) => { void this.#handle(request, answer) }
    this.#server = settings.tls === null ? createServer({ ...timeouts, insecureHTTPParser: false }, handle) : createSecureServer({
      ...settings.tls, allowHTTP1: true, minVersion: 'TLSv1.2', handshakeTimeout: HEADERS_MS, settings: { maxConcurrentStreams: STREAMS_MAX, maxHeaderListSize: HEAD_BYTES_MAX, enablePush: false },
      streamResetBurst: RESETS.burst, streamResetRate: RESETS.rate, ...{ http1Options: timeouts, insecureHTTPParser: false, maxHeaderSize: HEAD_BYTES_MAX },
    }, handle)
    const closed = (_request: unknown, socket: Duplex) => { socket.end('HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n') }
    this.#server.on('connect', (request: unknown, socket: unknown) => { if (isDuplex(socket)) closed(request, socket) })
    this.#server.on('upgrade', (request: IncomingMessage, upgrading: Duplex, early: Buffer) => { void this.#upgrade(request, upgrading, early) })
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      this.#gate.refused('MALFORMED', { why: error.code ?? 'not HTTP', client: (socket as Partial<TLSSocket>).remoteAddress ?? '' })
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: 81\r\nConnection: close\r\n\r\n{"type":"about:blank","status":400,"title":"not HTTP that can be read one way  "}'); else socket.destroy()
    })
    this.#server.on('tlsClientError', (_error: Error, socket: Duplex) => { socket.destroy() })
    setInterval(() => { this.#sweep(Date.now()) }, 1_000).unref()
  }
  listen(backlog: number): Promise<void> {
    return new Promise((ready, failed) => { this.#server.once('error', failed); this.#server.listen({ host: this.#settings.host, port: this.#settings.port, backlog }, ready) })
  }
  /** No new connections; sessions end as soon as they have nothing to do. */
  drain(): void {
    this.#server.close()
    setInterval(() => { for (const held of this.#sessions.values()) held.then((one) => { if (one.requests === 0) one.opened.session.end('this gateway is stopping') }, () => {}) }, 50).unref()
  }

  async #handle(request: Request, answer: Answer): Promise<void> {
    answer.on('error', () => {})
    request.on('error', () => {})
    const socket = ('stream' in request ? request.stream.session?.socket : request.socket) as TLSSocket | undefined
    try {
      const { head, held, ...where } = await this.#entered(request, socket)
      // Nobody's body is read before it is known whose it is.
      const body = await this.#body(request)
      if (body.includes(where.secret)) throw new HeadRefused(400, TWICE)
      await this.#busy(held, () => held.session.handle({ head, ...where.exchange, body, answer }))
    } catch (error) {
      const { problem, headers } = this.#problem(error, socket?.remoteAddress ?? '')
      refuseWith(answer, problem, { close: error instanceof HeadRefused && problem.status !== 404, headers })
    }
  }
  async #upgrade(request: IncomingMessage, socket: Duplex, early: Buffer): Promise<void> {
    socket.on('error', () => {})
    try {
      const { head, held, exchange } = await this.#entered(request, socket as TLSSocket)
      await this.#busy(held, () => held.session.upgrade({ head, ...exchange, socket, early }))
    } catch (error) {
      const { problem, headers } = this.#problem(error, (socket as TLSSocket).remoteAddress ?? '')
      refuseSocket(socket, problem, headers)
    }
  }
  async #busy(held: Held, work: () => Promise<void>): Promise<void> {
    if (held.requests >= REQUESTS_MAX) throw new HeadRefused(429, `more than ${REQUESTS_MAX} requests of one session at once`)
    held.requests++
    try { await work() } finally {
      held.requests--
      held.usedAtMs = Date.now()
    }
  }

  /** Its head read strictly, and the session it belongs to. */
  async #entered(request: Request, socket: TLSSocket | undefined): Promise<{ head: Head; held: Held; secret: string; exchange: { rawPath: string; segments: readonly string[]; base: string; origin: string } }> {
    const client = { address: socket?.remoteAddress ?? '', encrypted: this.#settings.tls !== null }
    const head = readHead({ method: request.method ?? '', target: request.url ?? '', headers: request.rawHeaders, authority: 'stream' in request ? request.authority || null : null, serverName: (socket?.servername as string | false | undefined) || null, version: request.httpVersionMajor === 2 ? 2 : 1 })
    this.#checkHost(head, socket)
    const [name, resource, ...segments] = head.segments
    const protocol = this.#protocols.find((one) => one.name === name)
    if (protocol === undefined || resource === undefined || resource === '') throw new HeadRefused(404, `nothing is here: /${this.#protocols[0]?.name ?? 'http'}/RESOURCE/…`)
    const base = `/${name}/${resource}`
    if (!head.rawPath.startsWith(`${base}/`) && head.rawPath !== base) throw new HeadRefused(404, 'a resource is named as it is, without escapes')
    const secret = secretOf(head)
    // Neither the target nor the record may get it.
    if (holds(head, secret)) throw new HeadRefused(400, TWICE)
    const held = await this.#session(protocol, resource, secret, client)
    return { head, held, secret, exchange: { rawPath: head.rawPath.slice(base.length) || '/', segments: segments.length === 0 ? [''] : segments, base, origin: `${client.encrypted ? 'https' : 'http'}://${head.host}` } }
  }

  #checkHost({ host }: Head, socket: TLSSocket | undefined): void {
    const name = hostName(host).replace(/^\[|\]$/g, '')
    if (name === 'localhost' || this.#settings.names().includes(name)) return
    if (isIP(name) !== 0 && (name === (socket?.localAddress ?? '').replace(/^::ffff:/, '') || name === socket?.localAddress)) return
    throw new HeadRefused(421, 'Host is not this gateway')
  }

  #body(request: Request): Promise<Buffer> {
    return new Promise((done, failed) => {
      const pieces: Buffer[] = []
      let bytes = 0
      request.on('data', (piece: Buffer) => {
        bytes += piece.length
        if (bytes > this.#settings.bodyBytesMax) { request.pause(); failed(new HeadRefused(413, `a body of more than ${this.#settings.bodyBytesMax} bytes`)); return }
        pieces.push(piece)
      })
      request.once('end', () => { done(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)) })
      request.once('error', failed)
      request.once('aborted', () => { failed(new HeadRefused(400, 'the client left')) })
      request.once('close', () => { failed(new HeadRefused(400, 'the client left')) })
    })
  }

  /** The session of this credential on this resource: the one that is open, or one through the gateway's door. */
  #session(protocol: HttpProtocol, resource: string, secret: string, client: { address: string; encrypted: boolean }): Promise<Held> {
    if (!client.encrypted && !/^(127\.|::1$|::ffff:127\.)/.test(client.address)) return Promise.reject(new NotAuthenticated('a credential is taken without TLS only from this machine'))
    const key = createHash('sha256').update(`${protocol.name}\0${resource}\0${secret}`).digest('base64')
    const known = this.#sessions.get(key)
    if (known !== undefined) return known
    const opening = this.#open(protocol, resource, secret, client, () => { if (this.#sessions.get(key) === opening) this.#sessions.delete(key) })
    this.#sessions.set(key, opening)
    opening.catch(() => { this.#sessions.delete(key) })
    return opening
  }
  async #open(protocol: HttpProtocol, resource: string, secret: string, client: { address: string; encrypted: boolean }, over: () => void): Promise<Held> {
    const opened = await this.#gate.open({ resource, database: null, secret, user: '', application: '' }, client)
    let session: HttpSession | null = null
    let why = 'an internal error'
    const end = () => { over(); session?.close(); this.#gate.closed(opened, why) }
    try {
      if (opened.resource.protocol !== protocol.name) { why = 'another protocol'; throw new NoSuchResource(`resource "${resource}" is not reached by ${protocol.name}`) }
      session = await protocol.open(opened)
    } catch (error) { end(); throw error }
    const { signal } = opened.session
    const ended = () => { why = signal.reason instanceof Error ? signal.reason.message : 'it was ended'; setImmediate(end) }
    if (signal.aborted) ended(); else signal.addEventListener('abort', ended, { once: true })
    return { opened, session, requests: 0, usedAtMs: Date.now() }
  }
  #sweep(nowMs: number): void {
    for (const held of this.#sessions.values()) {
      held.then(({ opened, requests, usedAtMs }) => { if (requests === 0 && nowMs - usedAtMs > Math.min(IDLE_MS, opened.resource.limits.idleMs)) opened.session.end('it was idle') }, () => {})
    }
  }

  #problem(error: unknown, client: string): { problem: Problem; headers: Record<string, string> } {
    const status = error instanceof HeadRefused ? error.status : error instanceof NotAuthenticated ? 401 : error instanceof NoSuchResource ? 404 : error instanceof NotAllowed ? 403 : error instanceof RecordFailed ? 503 : error instanceof SluiceError ? 403 : 500
    const known = error instanceof HeadRefused || (error instanceof SluiceError && error.public)
    if (error instanceof HeadRefused) this.#gate.refused('MALFORMED', { why: error.message, client })
    const hint = status === 401 ? { hint: 'send `Authorization: Bearer` with an ID token, or what `sluice token` prints' } : {}
    return { problem: { status, title: status === 401 ? 'Not signed in' : 'Refused by Sluice', detail: known ? (error as Error).message : 'an internal error', ...hint }, headers: status === 401 ? { 'www-authenticate': 'Bearer realm="sluice"' } : {} }
  }
}

const isDuplex = (value: unknown): value is Duplex => typeof value === 'object' && value !== null && 'end' in value && 'destroy' in value && 'remoteAddress' in value
function holds(head: Head, secret: string): boolean {
  return [head.rawPath, head.query, ...head.segments, ...head.headers.filter(([name]) => name !== 'authorization').map(([, value]) => value)].some((text) => text.includes(secret))
}
/** Of `Bearer`, or the password of `Basic`. */
function secretOf(head: Head): string {
  const value = head.get('authorization')
  if (value === undefined) throw new NotAuthenticated('no credential: sign in')
  const [, scheme, rest] = /^([A-Za-z]+) +(\S+)$/.exec(value.trim()) ?? []
  if (scheme?.toLowerCase() === 'bearer') return rest!
  if (scheme?.toLowerCase() === 'basic') {
    const pair = Buffer.from(rest!, 'base64').toString('utf8'), password = pair.slice(pair.indexOf(':') + 1)
    if (pair.includes(':') && password !== '') return password
  }
  throw new NotAuthenticated('a credential of another kind than Bearer or Basic')
}
