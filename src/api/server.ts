// Listens for the API and its page: TLS, or plain HTTP on loopback only. Every wait for a client has a limit.
import { createAdaptorServer } from '@hono/node-server'
import { createServer as createPlainServer } from 'node:http'
import { createServer as createTlsServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { ConfigInvalid } from '../core/errors.ts'
import type { Api } from './route.ts'

const CONNECTIONS_MAX = 4_000
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_TIMEOUT_MS = 15_000
const HEADER_BYTES_MAX = 32_768
const HEADERS_MAX = 100

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** PEM; null: plain HTTP, on loopback only. */
  readonly tls: { readonly cert: string; readonly key: string } | null
}
export interface Listening {
  readonly url: string
  readonly port: number
  /** A new certificate, without a restart. */
  renew(tls: { readonly cert: string; readonly key: string }): void
  close(): Promise<void>
}

export async function listen(api: Api, options: ListenOptions): Promise<Listening> {
  const { host, port, tls } = options
  if (tls === null && !isLoopback(host)) throw new ConfigInvalid('without TLS the API listens on a loopback address only', 'gateway.listen.web')
  const limits = { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS }
  const server = (tls === null
    ? createAdaptorServer({ fetch: api.app.fetch, createServer: createPlainServer, serverOptions: limits })
    : createAdaptorServer({ fetch: api.app.fetch, createServer: createTlsServer, serverOptions: { ...limits, ...tls, minVersion: 'TLSv1.2' } })) as Server
  server.maxConnections = CONNECTIONS_MAX
  server.maxHeadersCount = HEADERS_MAX
  await new Promise<void>((done, fail) => { server.once('error', fail); server.listen(port, host, () => { server.off('error', fail); done() }) })
  server.on('error', api.ports.failed)
  const bound = (server.address() as AddressInfo).port
  return {
    port: bound, url: `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    renew: (fresh) => { if (tls !== null) server.setSecureContext(fresh) },
    close: () => new Promise((done) => { server.close(() => done()); server.closeAllConnections() }),
  }
}

function isLoopback(host: string): boolean { return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host) }
