// One session on an HTTP resource: each request is read, judged, recorded and sent with the resource's own credential; its answer comes back
// masked. Many connections of one client share it; its own connections to the target are nobody else's.
import type { ServerResponse } from 'node:http'
import type { Ask, Denied, Plan, Verdict } from '../../core/session.ts'
import { RecordFailed, SluiceError, Unreachable } from '../../core/errors.ts'
import type { Credential, Resource } from '../../core/resource.ts'
import { compileDetectors, type Detector } from '../../detect/index.ts'
import { CODINGS } from '../../content/encoding.ts'
import { ContentRefused, Hider } from '../../content/hider.ts'
import type { Reading } from '../../content/kind.ts'
import { maskWhole } from '../../content/whole.ts'
import { forwardable } from '../../wire/http/headers.ts'
import { acceptOf } from '../../wire/http/websocket.ts'
import { type Answer, type Problem, refuseSocket, refuseWith } from '../../wire/http/problem.ts'
import { Upstream } from '../../wire/http/upstream.ts'
import type { Exchange, HttpProtocol, HttpSession, Opened, Upgrade } from '../protocol.ts'
import { Cut, giveBack } from './answer.ts'
import { relaySocket } from './socket.ts'
import { readMessage, readRequest, type Read, type Showing } from './statement.ts'

const TEST_MS = 10_000
const NOBODY: ReadonlyMap<string, string> = new Map()
const RANGES = new Set(['range', 'if-range'])

export const http: HttpProtocol = { name: 'http', open, test }

async function open(opened: Opened): Promise<HttpSession> {
  const credential = await opened.credential()
  return new Conversation(opened, credential)
}

interface Sent { readonly username: string; readonly password: string | null; readonly as: Credential['as'] }

class Conversation implements HttpSession {
  readonly #opened: Opened
  readonly #upstream: Upstream
  readonly #credential: Sent
  #detector: { readonly key: string; readonly detector: Detector | null } | null = null
  constructor(opened: Opened, credential: Sent) {
    this.#opened = opened
    this.#upstream = new Upstream(opened.resource)
    this.#credential = credential
  }
  close(): void { this.#upstream.close() }

  async handle(exchange: Exchange): Promise<void> {
    const { session } = this.#opened
    const { answer } = exchange
    const gone = new AbortController()
    let plan: Plan | null = null
    answer.once('close', () => { gone.abort() })
    try {
      if (/^application\/grpc/i.test(exchange.head.get('content-type') ?? '')) { grpcRefused(answer); return }
      const read = await readRequest({ head: exchange.head, rawPath: exchange.rawPath, segments: exchange.segments, body: exchange.body }, this.#showing)
      const verdict = await this.#ask(exchange, read, gone.signal)
      if (verdict.kind === 'deny') { refuseWith(answer, refusal(verdict)); return }
      plan = verdict.plan
      await session.durable()
      const signal = AbortSignal.any([gone.signal, session.signal])
      signal.throwIfAborted()
      const reading = this.#reading(read, plan), { maskKey } = session.grant
      if (reading !== null && read.unseen && session.grant.fields.length > 0) throw new ContentRefused('a stored query does not show which fields it names')
      const upstream = await this.#upstream.send({ ...this.#request(exchange, reading !== null), signal, answerMs: this.#opened.resource.limits.statementMs })
      await giveBack(upstream, exchange.head.method, { answer, session, plan, around: { targets: this.#upstream.authorities, base: exchange.base }, here: `${exchange.origin}${exchange.base}`, reading, byName: session.grant.fields.length > 0, maskKey, waiting: (url) => { early(answer, url) } })
      if (reading !== null && reading.hider.hidden > 0) session.note('masked', { run: plan.run, values: reading.hider.hidden })
      session.saw(plan, { kind: 'executed', tag: String(upstream.statusCode) })
    } catch (error) { this.#failed(exchange, plan, error, gone.signal.aborted) }
  }

  async upgrade(upgrade: Upgrade): Promise<void> {
    const { session, resource } = this.#opened
    const { socket, head } = upgrade
    const gone = new AbortController()
    socket.once('close', () => { gone.abort() })
    let plan: Plan | null = null
    try {
      const key = head.get('sec-websocket-key') ?? ''
      if (head.method !== 'GET' || head.get('sec-websocket-version') !== '13' || Buffer.from(key, 'base64').length !== 16) throw new SluiceError('MALFORMED', 'not the beginning of a WebSocket')
      const exchange = { ...upgrade, body: Buffer.alloc(0) }
      const read = await readRequest({ head, rawPath: upgrade.rawPath, segments: upgrade.segments, body: exchange.body }, this.#showing)
      const verdict = await this.#ask(exchange, read, gone.signal)
      if (verdict.kind === 'deny') { refuseSocket(socket, refusal(verdict)); return }
      plan = verdict.plan
      await session.durable()
      const signal = AbortSignal.any([gone.signal, session.signal])
      signal.throwIfAborted()
      const reading = this.#reading(read, plan), { maskKey } = session.grant
      const { method: _, body: __, ...wanted } = this.#request(exchange, true)
      const { answer, socket: target, early } = await this.#upstream.upgrade({ ...wanted, signal, answerMs: resource.limits.statementMs })
      if (target === null) { answer.resume(); throw new Unreachable(`the target gives no WebSocket here (${answer.statusCode})`) }
      const chosen = answer.headers['sec-websocket-protocol']
      if (chosen !== undefined && !(head.get('sec-websocket-protocol') ?? '').split(',').map((one) => one.trim()).includes(chosen)) { target.destroy(); throw new Unreachable('the target chose a WebSocket protocol that nobody asked for') }
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n${chosen === undefined ? '' : `Sec-WebSocket-Protocol: ${chosen}\r\n`}\r\n`)
      const why = await relaySocket({
        client: socket, target, session, plan, reading, byName: session.grant.fields.length > 0, maskKey, statement: (bytes) => readMessage(upgrade.segments, bytes, this.#showing),
        ask: (ask) => this.#held(ask, gone.signal),
      }, { client: upgrade.early, target: early })
      session.saw(plan, { kind: 'executed', tag: why })
    } catch (error) {
      const problem = problemOf(error, session.signal, plan !== null)
      if (plan !== null) session.saw(plan, { kind: 'failed', code: String(problem.status) })
      refuseSocket(socket, problem)
    }
  }

  /** Asks the door, and goes on asking while a person decides, unless the client leaves. */
  #ask(exchange: Omit<Exchange, 'answer'> & { readonly answer?: Answer }, { statement }: Read, gone: AbortSignal): Promise<Verdict> {
    const { head, body } = exchange
    return this.#held({
      statement, parameters: null, phase: 'run' as const, prepared: 0, within: null,
      binding: () => [head.method, exchange.rawPath, head.query, ...head.headers.filter(([name]) => name !== 'authorization').map(([name, value]) => `${name}:${value}`), body],
      waiting: (url: string) => { if (exchange.answer !== undefined) early(exchange.answer, url) },
    }, gone)
  }
  async #held(ask: Ask, gone: AbortSignal): Promise<Verdict> {
    const { session } = this.#opened
    const verdict = session.ask(ask)
    if (!(verdict instanceof Promise)) return verdict
    const leave = () => { session.cancelWait('the client left', ask) }
    gone.addEventListener('abort', leave)
    try { return await verdict } finally { gone.removeEventListener('abort', leave) }
  }

  /** The detectors in force. */
  #compiled(): Detector | null {
    const { grant } = this.#opened.session
    if (this.#detector === null || this.#detector.key !== grant.maskKey) this.#detector = { key: grant.maskKey, detector: compileDetectors(grant.detectors) }
    return this.#detector.detector
  }
  readonly #showing: Showing = {
    found: (text) => { const bytes = Buffer.from(text); return this.#looking(NOBODY).hider.find(bytes) !== null },
    hide: (text, type) => {
      const { grant } = this.#opened.session
      if (!grant.masks) return text
      // The text is here in UTF-8, whatever it came in.
      try { return maskWhole(Buffer.from(text), type?.replace(/;.*$/, ''), this.#looking(NOBODY), grant.fields.length > 0).bytes.toString('utf8') } catch (error) {
        if (error instanceof ContentRefused) return null
        throw error
      }
    },
  }
  #reading({ aliases }: Read, plan: Plan): Reading | null {
    return !this.#opened.session.grant.masks && plan.rowsMax === Infinity ? null : this.#looking(aliases)
  }
  /** `aliases`: what a query calls its fields. */
  #looking(aliases: ReadonlyMap<string, string>): Reading {
    const { grant } = this.#opened.session
    const detector = this.#compiled(), hash = this.#opened.keyedHash
    const field = (grandparent: string, parent: string, name: string) => grant.column(grandparent, parent, name)?.with ?? null
    const named = new Map([...aliases].flatMap(([alias, name]) => { const mask = field('', '', name) ?? field('', '', name.toLowerCase()); return mask === null ? [] : [[alias, mask] as const] }))
    return { hider: new Hider(field, detector, hash, named), detector, hash }
  }

  #request({ head, rawPath, body }: Pick<Exchange, 'head' | 'rawPath' | 'body'>, looks: boolean): { method: string; path: string; headers: (readonly [string, string])[]; body: Buffer | null } {
    const { as, username, password } = this.#credential
    const own = as?.kind === 'header' ? as.name.toLowerCase() : null
    const headers = forwardable(head.headers, (name) => name === own || (looks && RANGES.has(name)) || name === 'accept-encoding')
    const wanted = (head.get('accept-encoding') ?? '').toLowerCase()
    // Of what the client takes, only what can be looked into.
    headers.push(['accept-encoding', looks ? CODINGS.filter((coding) => new RegExp(`(^|[,\\s])${coding}\\s*(;\\s*q=(0\\.0*[1-9]|1)|,|$)`).test(wanted)).join(', ') || 'identity' : wanted || 'identity'])
    let path = `${rawPath}${head.query}`
    if (password !== null) {
      switch (as?.kind ?? 'bearer') {
        case 'bearer': headers.push(['authorization', `Bearer ${password}`]); break
        case 'basic': headers.push(['authorization', `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`]); break
        case 'header': headers.push([own!, password]); break
        case 'query': path = withParameter(path, (as as { name: string }).name, password)
      }
    }
    return { method: head.method, path, headers, body: body.length === 0 && !['POST', 'PUT', 'PATCH'].includes(head.method) ? null : body }
  }

  #failed(exchange: Exchange, plan: Plan | null, error: unknown, left: boolean): void {
    const { session } = this.#opened
    const { answer } = exchange
    const problem = problemOf(error, session.signal, plan !== null)
    if (plan !== null) session.saw(plan, error instanceof Cut ? { kind: 'ended', rule: error.denied.rule } : error instanceof ContentRefused || error instanceof Unreachable ? { kind: 'failed', code: String(problem.status) } : { kind: 'unknown', why: left ? 'the client left' : problem.detail })
    else if (!left) session.note('refused', { why: problem.detail })
    if (!(error instanceof SluiceError) && !(error instanceof ContentRefused) && !(error instanceof Cut) && !left && !session.signal.aborted) this.#opened.failed(error)
    refuseWith(answer, problem, { close: plan !== null })
  }
}

/** In gRPC's own words: 12 is UNIMPLEMENTED. */
function grpcRefused(answer: Answer): void {
  const write = answer as ServerResponse
  write.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '12', 'grpc-message': 'gRPC is not served by this gateway yet' })
  write.end()
}
function withParameter(path: string, name: string, value: string): string {
  const [before, query = ''] = path.split('?', 2)
  const kept = query.split('&').filter((pair) => pair !== '' && decoded(pair.split('=')[0]!) !== name)
  return `${before}?${[...kept, `${encodeURIComponent(name)}=${encodeURIComponent(value)}`].join('&')}`
}
function decoded(text: string): string { try { return decodeURIComponent(text.replaceAll('+', ' ')) } catch { return text } }

function refusal({ code, rule, message, hint }: Denied): Problem {
  const url = /https?:\/\/\S+/.exec(message)?.[0]
  return { status: code === 'record' ? 503 : 403, title: 'Refused by Sluice', detail: message, rule, hint, ...(url === undefined ? {} : { instance: url }) }
}
function problemOf(error: unknown, ended: AbortSignal, sent: boolean): Problem {
  if (error instanceof Cut) return refusal(error.denied)
  if (ended.aborted) return { status: 401, title: 'The session ended', detail: ended.reason instanceof Error ? ended.reason.message : 'it was ended', hint: 'sign in again' }
  if (error instanceof ContentRefused) return sent
    ? { status: 502, title: 'The answer can\'t be passed on', detail: `the target's answer is withheld: ${error.message}`, rule: 'content', hint: 'ask for it as JSON, CSV or text' }
    : { status: 415, title: 'The request can\'t be read', detail: `it is refused: ${error.message}`, rule: 'content', hint: 'send JSON, a form or text, in UTF-8' }
  if (error instanceof RecordFailed) return { status: 503, title: 'Not recorded', detail: error.message, hint: 'nothing runs unrecorded; try again' }
  if (error instanceof Unreachable) return { status: 502, title: 'The target can\'t be reached', detail: error.message, hint: 'try again, or tell whoever runs it' }
  if (error instanceof SluiceError && error.public) return { status: 400, title: 'Refused by Sluice', detail: error.message }
  return { status: 502, title: 'The target failed', detail: 'the connection to the target broke off', hint: 'try again' }
}
/** Told while the answer is still waiting: 103 with the review's address. */
function early(answer: Answer, url: string): void {
  if (answer.headersSent) return
  try { (answer as { writeEarlyHints(hints: Record<string, string>): void }).writeEarlyHints({ link: `<${url}>; rel="help"` }) } catch { /* a client that takes none waits without */ }
}

async function test(resource: Resource): Promise<{ ok: boolean; message: string }> {
  const upstream = new Upstream(resource)
  try {
    const answer = await upstream.send({ method: 'HEAD', path: '/', headers: [], body: null, signal: AbortSignal.timeout(TEST_MS), answerMs: TEST_MS })
    answer.resume()
    return { ok: true, message: `it answers (${answer.statusCode})` }
  } catch (error) { return { ok: false, message: error instanceof SluiceError && error.public ? error.message : 'the connection broke off' } } finally { upstream.close() }
}
