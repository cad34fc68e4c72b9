// A refusal in the words of HTTP: application/problem+json (RFC 9457), with the rule and what would be allowed.
import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { constants, type Http2ServerResponse } from 'node:http2'

export type Answer = ServerResponse | Http2ServerResponse
export interface Problem { readonly status: number; readonly title: string; readonly detail: string; readonly rule?: string; readonly hint?: string; /** Of a review. */ readonly instance?: string }

/** HTTP/2 calls a stream that just ends whole: it is reset. */
function breakOff(answer: Answer): void {
  if ('stream' in answer && answer.stream !== null) answer.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  else answer.destroy()
}
/** Says it if nothing was said yet; else the answer is broken off, so that nobody takes it for whole. */
export function refuseWith(answer: Answer, problem: Problem, options: { readonly close?: boolean; readonly headers?: Readonly<Record<string, string>> } = {}): void {
  if (answer.headersSent) { breakOff(answer); return }
  for (const name of answer.getHeaderNames()) answer.removeHeader(name)
  const body = JSON.stringify({ type: 'about:blank', ...problem })
  const close: Record<string, string> = options.close === true && answer.req.httpVersionMajor === 1 ? { connection: 'close' } : {}
  const head = { 'content-type': 'application/problem+json', 'content-length': String(Buffer.byteLength(body)), 'cache-control': 'no-store', ...options.headers, ...close }
  const write = answer as ServerResponse
  write.writeHead(problem.status, head)
  write.end(answer.req.method === 'HEAD' ? '' : body)
}

/** The same on a socket that asked for an upgrade and gets none. */
export function refuseSocket(socket: Duplex, problem: Problem, headers: Readonly<Record<string, string>> = {}): void {
  const body = JSON.stringify({ type: 'about:blank', ...problem })
  const head = { 'content-type': 'application/problem+json', 'content-length': String(Buffer.byteLength(body)), connection: 'close', ...headers }
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? 'Refused'}\r\n${Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`)
}
