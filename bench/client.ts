// A raw PostgreSQL client that costs as little as it can: it sends ready-made bytes and finds the end of the answer without decoding
// rows. It trusts the server with its password: for loopback only.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const READ_BYTES = 256 * 1024
const TAIL_BYTES = 512
const CONNECT_TIMEOUT_MS = 60_000
const LOGIN_TIMEOUT_MS = 30_000
/** Of silence in the middle of an answer. */
const SILENCE_MS = 30_000
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

export interface Place { readonly port: number; readonly user: string; readonly password: string; readonly database: string }
export interface Answer { readonly rows: number; readonly bytes: number }

export class RawClient {
  readonly socket: Socket
  /** The end of what was read: enough for a CommandComplete and a ReadyForQuery. */
  readonly #tail = Buffer.alloc(TAIL_BYTES)
  #tailLength = 0
  #head = Buffer.alloc(0)
  #bytes = 0
  #done: ((answer: Answer) => void) | null = null
  #failed: ((error: Error) => void) | null = null
  /** Told of each read; for a reader that wants to be slow. */
  onRead: (bytes: number) => void = () => {}

  private constructor(socket: Socket) { this.socket = socket }

  /** Logs in; `tls` first asks for it, as libpq does. */
  static async open(place: Place, options: { tls?: boolean; readBytes?: number } = {}): Promise<RawClient> {
    let take: (buffer: Buffer, length: number) => void = () => {}
    const address = { host: '127.0.0.1', port: place.port, noDelay: true }
    const reused = () => ({ buffer: Buffer.allocUnsafe(options.readBytes ?? READ_BYTES), callback: (length: number, buffer: Uint8Array) => { take(buffer as Buffer, length); return true } })
    const plain = options.tls === true ? connect(address) : connect({ ...address, onread: reused() })
    await connected(plain, 'connect')
    const socket = options.tls === true ? await secured(plain) : plain
    if (options.tls === true) socket.on('data', (bytes: Buffer) => take(bytes, bytes.length))
    const client = new RawClient(socket)
    await new Promise<void>((done, refuse) => {
      const failed = (error: Error) => { socket.destroy(); refuse(error) }
      const login = new Login(place, socket, () => { clearTimeout(timer); done() }, failed)
      const timer = setTimeout(() => failed(new Error(`no end of the login to ${place.database} at port ${place.port}`)), LOGIN_TIMEOUT_MS)
      socket.once('close', () => { clearTimeout(timer); failed(new Error(`closed during login to ${place.database} at port ${place.port}`)) })
      socket.on('error', failed)
      take = (buffer, length) => { try { login.take(buffer.subarray(0, length)) } catch (error) { failed(error as Error) } }
      login.start()
    })
    take = (buffer, length) => client.#take(buffer, length)
    socket.on('error', (error) => client.#failed?.(error))
    socket.on('close', () => client.#failed?.(new Error('the connection was closed in mid-answer')))
    socket.setTimeout(SILENCE_MS, () => { if (client.#failed !== null) socket.destroy(new Error(`silence in mid-answer for ${SILENCE_MS} ms`)) })
    return client
  }

  /** Sends bytes of one request that ends in one ReadyForQuery. */
  request(bytes: Buffer): Promise<Answer> {
    this.#bytes = 0
    this.#tailLength = 0
    this.#head = Buffer.alloc(0)
    return new Promise((done, failed) => { this.#done = done; this.#failed = failed; this.socket.write(bytes) })
  }
  query(sql: string): Promise<Answer> { return this.request(simpleQuery(sql)) }
  close(): void { this.#done = this.#failed = null; this.socket.destroy() }

  #take(buffer: Buffer, length: number): void {
    if (this.#bytes === 0 && length > 0 && buffer[0] === 0x45) this.#head = Buffer.from(buffer.subarray(0, Math.min(length, TAIL_BYTES)))
    this.#bytes += length
    const kept = Math.min(length, TAIL_BYTES)
    if (kept < TAIL_BYTES) this.#tail.copyWithin(0, Math.max(0, this.#tailLength - (TAIL_BYTES - kept)), this.#tailLength)
    const before = Math.min(this.#tailLength, TAIL_BYTES - kept)
    buffer.copy(this.#tail, before, length - kept, length)
    this.#tailLength = before + kept
    this.onRead(length)
    if (this.#isReady()) this.#finish()
  }

  #isReady(): boolean {
    const t = this.#tail, n = this.#tailLength
    return n >= 6 && t[n - 6] === 0x5a && t[n - 5] === 0 && t[n - 4] === 0 && t[n - 3] === 0 && t[n - 2] === 5
  }
  #finish(): void {
    const tail = this.#tail.toString('latin1', 0, this.#tailLength - 6)
    const tag = /(?:SELECT|COPY) (\d+)\0$/.exec(tail)
    const done = this.#done, failed = this.#failed
    this.#done = this.#failed = null
    if (tag !== null) { done?.({ rows: Number(tag[1]), bytes: this.#bytes }); return }
    if (this.#head.length > 0 || /E\0\0[^]*SERROR\0/.test(tail)) { failed?.(new Error(`the server answered: ${(this.#head.length > 0 ? this.#head.toString('latin1') : tail).replace(/[^ -~]+/g, ' ')}`)); return }
    done?.({ rows: 0, bytes: this.#bytes })
  }
}

/** From the first byte to ReadyForQuery: trust, cleartext and SCRAM-SHA-256. */
class Login {
  readonly #place: Place
  readonly #socket: Socket
  readonly #done: () => void
  readonly #failed: (error: Error) => void
  readonly #nonce = randomBytes(18).toString('base64')
  #serverSignature = ''
  #pending = Buffer.alloc(0)
  constructor(place: Place, socket: Socket, done: () => void, failed: (error: Error) => void) { this.#place = place; this.#socket = socket; this.#done = done; this.#failed = failed }

  start(): void {
    const body = Buffer.from(`user\0${this.#place.user}\0database\0${this.#place.database}\0client_encoding\0UTF8\0\0`)
    const head = Buffer.alloc(8)
    head.writeInt32BE(8 + body.length, 0)
    head.writeInt32BE(196608, 4)
    this.#socket.write(Buffer.concat([head, body]))
  }
  take(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes])
    while (this.#pending.length >= 5) {
      const length = this.#pending.readInt32BE(1)
      if (this.#pending.length < length + 1) return
      const body = this.#pending.subarray(5, length + 1)
      const type = String.fromCharCode(this.#pending[0]!)
      this.#pending = this.#pending.subarray(length + 1)
      if (type === 'R') this.#authenticate(body)
      else if (type === 'E') throw new Error(`login to ${this.#place.database} refused: ${body.toString('latin1').replace(/[^ -~]+/g, ' ')}`)
      else if (type === 'Z') this.#done()
    }
  }
  #authenticate(body: Buffer): void {
    const kind = body.readInt32BE(0)
    if (kind === 3) this.#socket.write(message('p', Buffer.from(`${this.#place.password}\0`)))
    else if (kind === 10) {
      const first = Buffer.from(`n,,n=,r=${this.#nonce}`)
      const length = Buffer.alloc(4)
      length.writeInt32BE(first.length)
      this.#socket.write(message('p', Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, first])))
    } else if (kind === 11) this.#socket.write(message('p', Buffer.from(this.#proof(body.toString('latin1', 4)))))
    else if (kind === 12 && body.toString('latin1', 4) !== `v=${this.#serverSignature}`) throw new Error('the server does not know the password')
    else if (kind !== 0 && kind !== 12) this.#failed(new Error(`authentication ${kind} is not spoken here`))
  }
  #proof(first: string): string {
    const [, nonce, salt, iterations] = /^r=([^,]*),s=([^,]*),i=(\d+)/.exec(first) ?? []
    const salted = pbkdf2Sync(this.#place.password, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256')
    const mac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
    const clientKey = mac(salted, 'Client Key')
    const all = `n=,r=${this.#nonce},${first},c=biws,r=${nonce}`
    const signature = mac(createHash('sha256').update(clientKey).digest(), all)
    this.#serverSignature = mac(mac(salted, 'Server Key'), all).toString('base64')
    return `c=biws,r=${nonce},p=${Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')}`
  }
}

function secured(plain: Socket): Promise<Socket> {
  return new Promise((done, failed) => {
    // The one byte of the answer is read before TLS owns the socket.
    plain.once('readable', () => {
      if ((plain.read(1) as Buffer | null)?.toString() !== 'S') { failed(new Error('no TLS there')); return }
      const socket = connectTls({ socket: plain, rejectUnauthorized: false }, () => done(socket))
      socket.once('error', failed)
    })
    plain.write(SSL_REQUEST)
  })
}

function connected(socket: Socket, event: string): Promise<void> {
  return new Promise((done, failed) => {
    const timer = setTimeout(() => { socket.destroy(); failed(new Error('no connection in time')) }, CONNECT_TIMEOUT_MS)
    socket.once(event, () => { clearTimeout(timer); socket.removeListener('error', failed); done() })
    socket.once('error', failed)
  })
}

export function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
export const simpleQuery = (sql: string): Buffer => message('Q', Buffer.from(`${sql}\0`))
const SYNC = message('S', Buffer.alloc(0))
export const prepare = (name: string, sql: string): Buffer => Buffer.concat([message('P', Buffer.from(`${name}\0${sql}\0\0\0`)), SYNC])
export function execute(name: string, parameter: string): Buffer {
  const value = Buffer.from(parameter)
  const body = Buffer.concat([Buffer.from(`\0${name}\0\0\0\0\x01`), Buffer.from([0, 0, 0, value.length]), value, Buffer.from([0, 0])])
  return Buffer.concat([message('B', body), message('D', Buffer.from('P\0')), message('E', Buffer.from([0, 0, 0, 0, 0])), SYNC])
}
