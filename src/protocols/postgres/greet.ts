// A new connection's first bytes: encryption, start-up packet, password, or a cancel request. Parses with startup.ts, waits within one
// deadline, holds little per connection, and knows no identity: what is presented is believed or not elsewhere. Never sees a byte behind login.
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { Malformed, NotAuthenticated, SluiceError } from '../../core/errors.ts'
import { isLoopback } from '../../core/units.ts'
import { authenticationCleartextPassword, fatal, fatalOf, negotiateProtocolVersion, VERSION_3_0, type CancelKey } from './messages.ts'
import { readParameters, type Wishes } from './parameters.ts'
import { parsePassword, parseStartup, TLS_HANDSHAKE, type Packet } from './startup.ts'

/** From accept to password: then the connection is closed. The server's own authentication_timeout is 60 s. */
export const LOGIN_DEADLINE_MS = 10_000
/** A refused client may still be sending: so long and so much is read and dropped, so that it gets to read why. */
const LINGER_MS = 1_000
const LINGER_BYTES_MAX = 4 * 1024 * 1024
const ALPN = 'postgresql'
/** Encryption may be asked for once of each kind. */
const REQUESTS_MAX = 2

/** How the client reached us: facts for the record. */
export interface Channel {
  readonly tls: { readonly version: string; readonly cipher: string; readonly direct: boolean } | null
  readonly remoteAddress: string
  readonly remotePort: number
  readonly loopback: boolean
}
export type Greeting =
  | (Wishes & {
    readonly kind: 'login'
    readonly secret: string
    readonly protocolMinor: 0 | 2
    /** Where the session goes on: paused, with no listener but one for errors, bytes behind the password still in it. */
    readonly socket: Socket
    readonly channel: Channel
  })
  | { readonly kind: 'cancel'; readonly key: CancelKey; readonly channel: Channel; readonly socket: Socket }
  /** It was refused and told so, or it left: nothing remains but to record the attempt. */
  | { readonly kind: 'ended'; readonly why: string; readonly wishes: Wishes | null; readonly channel: Channel }

export interface GreetOptions {
  /** The gateway's certificate; null: connections are not encrypted, and only loopback may log in. */
  readonly tls: SecureContext | null
  readonly deadlineMs?: number
}

/** Never rejects. On `cancel` the caller closes the socket, in silence whether the key was right or not. */
export async function greet(accepted: Socket, options: GreetOptions): Promise<Greeting> {
  const greeter = new Greeter(accepted, options)
  try { return await greeter.greet() } catch (error) { return greeter.refuse(error) } finally { greeter.done() }
}

class Left extends Error {}
class TooSlow extends Error {}
const EMPTY = Buffer.alloc(0)

class Greeter {
  #socket: Socket
  #bytes: Buffer = EMPTY
  #length = 0
  #tls: Channel['tls'] = null
  #wishes: Wishes | null = null
  readonly #context: SecureContext | null
  readonly #peer: Pick<Channel, 'remoteAddress' | 'remotePort' | 'loopback'>
  readonly #timer: NodeJS.Timeout
  #wake: (() => void) | null = null
  #late = false

  constructor(socket: Socket, options: GreetOptions) {
    const remoteAddress = socket.remoteAddress ?? ''
    this.#socket = socket
    this.#context = options.tls
    this.#peer = { remoteAddress, remotePort: socket.remotePort ?? 0, loopback: isLoopback({ host: remoteAddress.replace(/^::ffff:/, ''), port: 1 }) }
    this.#timer = setTimeout(() => { this.#late = true; this.#wake?.() }, options.deadlineMs ?? LOGIN_DEADLINE_MS)
    this.#listen()
  }

  async greet(): Promise<Greeting> {
    while (this.#length === 0) await this.#more()
    if (this.#bytes[0] === TLS_HANDSHAKE) await this.#encrypt(true)
    const packet = await this.#packet()
    if (packet.kind === 'cancel') return { kind: 'cancel', key: packet.key, channel: this.#channel(), socket: this.#socket }
    const wishes = readParameters(packet.parameters)
    this.#wishes = wishes
    if (packet.negotiate) this.#socket.write(negotiateProtocolVersion(VERSION_3_0 + packet.minor, packet.unknownOptions))
    if (this.#tls === null && !this.#peer.loopback) throw new NotAuthenticated('a token is taken over TLS only: connect with sslmode=require or stronger')
    this.#socket.write(authenticationCleartextPassword())
    const secret = await this.#take(parsePassword)
    return { kind: 'login', ...wishes, secret: secret.secret, protocolMinor: packet.minor, socket: this.#socket, channel: this.#channel() }
  }

  /** Answers requests for encryption until the client starts up or cancels. */
  async #packet(): Promise<Extract<Packet, { kind: 'startup' | 'cancel' }>> {
    const asked = new Set<string>()
    for (let requests = 0; requests <= REQUESTS_MAX; requests++) {
      const { packet } = await this.#take(parseStartup)
      if (packet.kind === 'startup' || packet.kind === 'cancel') return packet
      if (packet.kind === 'unsupported') throw new Malformed(`unsupported frontend protocol ${packet.version}: server supports 3.0 to 3.2`)
      if (this.#tls !== null) throw new Malformed('the connection is encrypted already')
      if (asked.size === asked.add(packet.kind).size) throw new Malformed('encryption was asked for twice')
      // Bytes sent before the answer were written by no one who waits for it: whoever put them there must not have them read as the client's.
      if (this.#length > 0 || this.#socket.readableLength > 0) throw new Malformed('received unencrypted data after a request for encryption')
      if (packet.kind === 'ssl' && this.#context !== null) { this.#socket.write('S'); await this.#encrypt(false) }
      else this.#socket.write('N')
    }
    throw new Malformed('too many requests for encryption')
  }

  async #encrypt(direct: boolean): Promise<void> {
    if (this.#context === null) throw new Malformed('encryption is not configured here')
    const plain = this.#socket
    this.#unlisten()
    if (this.#length > 0) { plain.unshift(Buffer.from(this.#bytes.subarray(0, this.#length))); this.#bytes = EMPTY; this.#length = 0 }
    const encrypted = new TLSSocket(plain, { isServer: true, secureContext: this.#context, ALPNProtocols: [ALPN] })
    this.#socket = encrypted
    let established = false
    encrypted.once('secure', () => { established = true; this.#wake?.() })
    encrypted.on('_tlsError', ignore)
    this.#listen()
    while (!established) await this.#wait()
    this.#tls = { version: encrypted.getProtocol() ?? '', cipher: encrypted.getCipher().name, direct }
    // Without it another protocol's client could be made to speak to us.
    if (direct && encrypted.alpnProtocol !== ALPN) throw new Malformed('received direct SSL connection request without ALPN protocol negotiation extension')
  }

  /** The next message by a pure parser over what has come so far. */
  async #take<T extends { readonly length: number }>(parse: (bytes: Buffer) => T | null): Promise<T> {
    for (;;) {
      const found = parse(this.#bytes.subarray(0, this.#length))
      if (found !== null) {
        this.#bytes = Buffer.from(this.#bytes.subarray(found.length, this.#length))
        this.#length = this.#bytes.length
        return found
      }
      await this.#more()
    }
  }

  /** Waits for at least one more byte. */
  async #more(): Promise<void> {
    for (;;) {
      if (this.#late) throw new TooSlow()
      const chunk = this.#socket.read() as Buffer | null
      if (chunk !== null) { this.#add(chunk); return }
      await this.#wait()
    }
  }

  async #wait(): Promise<void> {
    if (this.#late) throw new TooSlow()
    if (this.#socket.destroyed || this.#socket.readableEnded) throw new Left()
    await new Promise<void>((wake) => { this.#wake = wake })
    this.#wake = null
    if (this.#late) throw new TooSlow()
  }

  /** Grows by doubling: one byte at a time costs no more than all at once. */
  #add(chunk: Buffer): void {
    const needed = this.#length + chunk.length
    if (needed > this.#bytes.length) {
      const bigger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
      this.#bytes.copy(bigger, 0, 0, this.#length)
      this.#bytes = bigger
    }
    chunk.copy(this.#bytes, this.#length)
    this.#length = needed
  }

  readonly #onEvent = (): void => { this.#wake?.() }
  #listen(): void {
    this.#socket.on('error', ignore)
    for (const event of EVENTS) this.#socket.on(event, this.#onEvent)
  }
  #unlisten(): void { for (const event of EVENTS) this.#socket.off(event, this.#onEvent) }

  #channel(): Channel { return { tls: this.#tls, ...this.#peer } }

  refuse(error: unknown): Greeting {
    const told = error instanceof SluiceError
    const lastWords = told ? fatalOf(error) : error instanceof TooSlow ? fatal('08P01', 'canceling authentication due to timeout') : null
    // In the middle of a handshake there are no words.
    if (lastWords === null || (this.#socket instanceof TLSSocket && this.#tls === null)) this.#socket.destroy()
    else endWith(this.#socket, lastWords)
    const why = told ? error.message : error instanceof TooSlow ? 'it did not finish its start-up in time' : error instanceof Left ? 'it left before it had logged in' : 'an internal error'
    return { kind: 'ended', why, wishes: this.#wishes, channel: this.#channel() }
  }

  /** Hands the socket over, or lets it end: what was read too far goes back. */
  done(): void {
    clearTimeout(this.#timer)
    this.#unlisten()
    if (this.#length > 0 && !this.#socket.destroyed && !this.#socket.readableEnded && this.#socket.readable) this.#socket.unshift(Buffer.from(this.#bytes.subarray(0, this.#length)))
    this.#bytes = EMPTY
    this.#length = 0
  }
}
const EVENTS = ['readable', 'end', 'close'] as const
const ignore = (): void => {}

/** Last words to a client before or at login; then the connection ends, within a second. */
export function endWith(socket: Socket, lastWords: Buffer): void {
  if (socket.destroyed) return
  socket.on('error', ignore)
  let dropped = 0
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.on('data', (chunk: Buffer) => { dropped += chunk.length; if (dropped > LINGER_BYTES_MAX) socket.destroy() })
  socket.end(lastWords)
  socket.resume()
}
