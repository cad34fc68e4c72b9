// Requests to one target, over connections that belong to one session: never shared with another's.
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Address, Resource } from '../../core/resource.ts'
import { Unreachable } from '../../core/errors.ts'
import { HEAD_BYTES_MAX } from './head.ts'

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

  #sendTo(address: Address, sent: Sent): Promise<IncomingMessage> {
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
      request.once('upgrade', (_answer, socket) => { clearTimeout(timer); socket.destroy(); failed(new Unreachable('the target changed the protocol unasked')) })
      request.on('error', (error) => { clearTimeout(timer); failed(error instanceof Unreachable || connected ? error : new Unreachable('the target can\'t be reached', error)) })
      if (sent.body === null) request.end(); else request.end(sent.body)
    })
  }
}
