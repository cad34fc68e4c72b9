// A connection to a target server, encrypted and checked as its resource says, before any credential is named. Never goes on with less
// protection than asked for, and tells no client where the target is.
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { SocketReader } from '../../wire/reader.ts'
import { Unreachable } from '../../core/errors.ts'
import type { Address, TlsMode } from '../../core/resource.ts'
import { cancelRequest, sslRequest, type CancelKey } from './messages.ts'

/** How long a cancel request may take altogether. */
export const CANCEL_MS = 5_000

export interface Target { readonly address: Address; readonly tls: TlsMode; readonly ca: string | null }
export interface Dialled {
  readonly socket: Socket
  /** Null: not encrypted. */
  readonly encrypted: TLSSocket | null
  /** Encrypted, and the certificate is of a CA that we trust. */
  readonly verified: boolean
}

/** `signal` ends the attempt. The socket is paused, without listeners but one for errors. */
export async function dial(target: Target, signal: AbortSignal): Promise<Dialled> {
  const socket = await opened(target, signal)
  // As with every client of PostgreSQL, a unix socket is not encrypted.
  if (target.tls === 'disable' || 'path' in target.address) return { socket, encrypted: null, verified: false }
  socket.write(sslRequest())
  const answer = await nextBytes(socket, signal)
  if (answer.length !== 1 || socket.readableLength > 0) return gaveUp(socket, 'the target sent more than an answer to the request for TLS')
  if (answer[0] !== 0x53) return gaveUp(socket, `the target does not offer TLS, which the resource demands (tls: ${target.tls})`)
  const encrypted = await handshake(socket, target, target.address.host, signal)
  return { socket: encrypted, encrypted, verified: target.tls !== 'require' }
}

function gaveUp(socket: Socket, why: string): never { socket.destroy(); throw new Unreachable(why) }

function opened({ address, tls }: Target, signal: AbortSignal): Promise<Socket> {
  const to = 'path' in address ? { path: address.path } : { host: address.host, port: address.port, noDelay: true, keepAlive: true }
  // TLS reads for itself.
  const reader = tls === 'disable' || 'path' in address ? new SocketReader() : null
  const socket = connect(reader === null ? to : { ...to, onread: reader.onread })
  reader?.of(socket)
  return settled(socket, signal, 'connect', (error) => new Unreachable(`the target can't be reached (${codeOf(error)})`, error)).then(() => socket)
}

function handshake(socket: Socket, { tls, ca }: Target, host: string, signal: AbortSignal): Promise<TLSSocket> {
  const options: ConnectionOptions = { socket, host, minVersion: 'TLSv1.2', rejectUnauthorized: tls !== 'require', ALPNProtocols: ['postgresql'] }
  if (isIP(host) === 0) options.servername = host
  if (ca !== null) options.ca = ca
  // verify-ca trusts whatever that CA has signed; verify-full also wants the name.
  if (tls !== 'verify-full') options.checkServerIdentity = () => undefined
  const encrypted = connectTls(options)
  return settled(encrypted, signal, 'secureConnect', (error) => new Unreachable(`the target's certificate or TLS is not accepted (${codeOf(error)}): the resource demands tls: ${tls}`, error)).then(() => encrypted)
}

/** Waits for one event, an error, the end or the signal, whichever is first, and leaves no listener behind but one for errors. */
function settled(socket: Socket, signal: AbortSignal, event: string, failure: (error: unknown) => Unreachable): Promise<void> {
  return new Promise((done, fail) => {
    const over = (error: Unreachable | null) => {
      socket.off(event, arrived); socket.off('error', failed); socket.off('close', closed); signal.removeEventListener('abort', late)
      socket.on('error', () => {})
      if (error === null) { done(); return }
      socket.destroy()
      fail(error)
    }
    const arrived = () => over(null), failed = (error: unknown) => over(failure(error)), closed = () => over(new Unreachable('the target closed the connection')), late = () => over(tooSlow())
    socket.once(event, arrived); socket.once('error', failed); socket.once('close', closed); signal.addEventListener('abort', late)
    if (signal.aborted) late()
  })
}
const tooSlow = () => new Unreachable('the target did not answer in time')

/** All bytes that are there, or the next that come. */
export async function nextBytes(socket: Socket, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read() as Buffer | null
    if (bytes !== null) return bytes
    if (socket.readableEnded || socket.destroyed) throw new Unreachable('the target closed the connection during login')
    if (signal.aborted) { socket.destroy(); throw tooSlow() }
    await new Promise<void>((wake) => {
      const over = () => { for (const event of EVENTS) socket.off(event, over); signal.removeEventListener('abort', over); wake() }
      for (const event of EVENTS) socket.on(event, over)
      signal.addEventListener('abort', over)
    })
  }
}
const EVENTS = ['readable', 'end', 'close', 'error'] as const

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  return typeof code === 'string' ? code : 'failed'
}

/** Asks the server to end what that backend does. Resolves when the server has closed the connection, so that it can't hit a later statement. */
export async function sendCancel(target: Target, key: CancelKey): Promise<void> {
  const signal = AbortSignal.timeout(CANCEL_MS)
  const { socket } = await dial(target, signal)
  try {
    socket.write(cancelRequest(key))
    for (;;) await nextBytes(socket, signal)
  } catch { socket.destroy() }
}
