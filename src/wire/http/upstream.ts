// Requests to one target, over connections that belong to one session: never shared with another's.
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import type { Address, Resource } from '../../core/resource.ts'
import { Unreachable } from '../../core/errors.ts'
import { HEAD_BYTES_MAX } from './head.ts'
import { acceptOf, newKey } from './websocket.ts'

/** Connections of one session to its target. */
const CONNECTIONS_MAX = 64
export const CONNECT_MS = 15_000

export interface Sent { readonly method: string; readonly path: string; readonly headers: readonly (readonly [string, string])[]; readonly body: Buffer | null; readonly signal: AbortSignal; readonly answerMs: number }

export class Upstream {
  readonly #resource: Resource
  readonly #agent: http.Agent
  constructor(resource: Resource) {
    this.#resource = resource
    const shared = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: CONNECT_MS }
    const { tls, ca } = resource
    this.#agent = tls === 'disable' ? new http.Agent(shared) : new https.Agent({
      ...shared, minVersion: 'TLSv1.2', rejectUnauthorized: tls !== 'require', ...(ca === null ? {} : { ca }), ...(tls === 'verify-full' ? {} : { checkServerIdentity: () => undefined }), maxCachedSessions: 0,
    })
  }
  /** `host` and `host:port` of every address. */
  get authorities(): Set<string> { return new Set(this.#resource.addresses.flatMap((address) => ('host' in address ? [`${address.host}:${address.port}`.toLowerCase(), ...(address.port === 80 || address.port === 443 ? [address.host.toLowerCase()] : [])] : []))) }
  close(): void { this.#agent.destroy() }

  /** Tries each address until one takes the connection. Throws Unreachable. */
  async send(sent: Sent): Promise<IncomingMessage> {
    let last: unknown = null
    for (const address of this.#resource.addresses) {
      try { return await this.#sendTo(address, sent) } catch (error) {
        last = error
        if (!(error instanceof Unreachable)) throw error
      }
    }
    throw last
  }

  /** Asks for a WebSocket; the answer instead when the target gives none. */
  upgrade(sent: Omit<Sent, 'body' | 'method'>): Promise<{ readonly answer: IncomingMessage; readonly socket: Duplex | null; readonly early: Buffer }> {
    const key = newKey()
    const headers = [...sent.headers, ['connection', 'Upgrade'], ['upgrade', 'websocket'], ['sec-websocket-version', '13'], ['sec-websocket-key', key]] as const
    return new Promise((done, failed) => {
      const upgraded = (answer: IncomingMessage, socket: Duplex, early: Buffer) => {
        if (answer.headers['sec-websocket-accept'] === acceptOf(key) && answer.headers['sec-websocket-extensions'] === undefined) { done({ answer, socket, early }); return }
        socket.destroy()
        failed(new Unreachable('the target\'s WebSocket answer is none'))
      }
      this.#sendTo(this.#resource.addresses[0]!, { ...sent, method: 'GET', body: null, headers }, upgraded).then((answer) => { done({ answer, socket: null, early: Buffer.alloc(0) }) }, failed)
    })
  }

  #sendTo(address: Address, sent: Sent, upgraded: ((answer: IncomingMessage, socket: Duplex, early: Buffer) => void) | null = null): Promise<IncomingMessage> {
    return new Promise((done, failed) => {
      const to = 'path' in address ? { socketPath: address.path } : { host: address.host, port: address.port }
      const secure = this.#resource.tls !== 'disable'
      const authority = 'path' in address ? 'localhost' : address.port === (secure ? 443 : 80) ? address.host : `${address.host}:${address.port}`
      const headers = ['host', authority]
      for (const [name, value] of sent.headers) headers.push(name, value)
      if (sent.body !== null) headers.push('content-length', String(sent.body.length))
      const request = (secure ? https : http).request({ ...to, agent: this.#agent, method: sent.method, path: sent.path, headers, setHost: false, maxHeaderSize: HEAD_BYTES_MAX, signal: sent.signal, ...(secure && 'host' in address ? { servername: /^[0-9.]+$|:/.test(address.host) ? '' : address.host } : {}) })
      let connected = false
      const timer = setTimeout(() => { request.destroy(new Unreachable('the target did not answer in time')) }, sent.answerMs)
      request.on('socket', (socket) => { if (socket.connecting) socket.once(secure ? 'secureConnect' : 'connect', () => { connected = true }); else connected = true })
      request.once('response', (answer) => { clearTimeout(timer); done(answer) })
      request.once('upgrade', (answer, socket, early) => {
        clearTimeout(timer)
        if (upgraded !== null) { upgraded(answer, socket, early); return }
        socket.destroy()
        failed(new Unreachable('the target changed the protocol unasked'))
      })
      request.on('error', (error) => { clearTimeout(timer); failed(error instanceof Unreachable || connected ? error : new Unreachable('the target can\'t be reached', error)) })
      if (sent.body === null) request.end(); else request.end(sent.body)
    })
  }
}
