// A local entrance to one resource: each connection becomes one to the gateway over TLS, with a fresh credential. Reads only the first
// packets of either side; what follows is relayed as it is. A TCP port asks for a password of its own: others on the machine may dial it.
import { createServer, type Server, type Socket } from 'node:net'
import { timingSafeEqual } from 'node:crypto'
import { chmodSync, rmSync } from 'node:fs'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { reason, trustOf } from './api.ts'
import { type Profile } from './profile.ts'

const START_BYTES_MAX = 10_000
const START_TIMEOUT_MS = 10_000
const CONNECTIONS_MAX = 200
const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102

export type At = { readonly path: string } | { readonly port: number; readonly password: string }
export interface Entrance { readonly resource: string; readonly at: At; /** Renewed when needed. */ profile(): Promise<Profile>; /** A credential opens a session; the returned is called when it is over. */ opened(token: string): () => void }
export interface Listening { readonly port: number; close(): Promise<void> }

export async function listenFor(entrance: Entrance): Promise<Listening> {
  const { at } = entrance
  const open = new Set<Socket>()
  const server = createServer({ pauseOnConnect: false }, (client) => {
    open.add(client)
    client.once('close', () => open.delete(client))
    client.on('error', () => client.destroy())
    client.setNoDelay(true)
    lead(client, entrance).catch((error: unknown) => refuse(client, reason(error)))
  })
  server.maxConnections = CONNECTIONS_MAX
  await listen(server, at)
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => new Promise((done) => { for (const client of open) client.destroy(); server.close(() => { if ('path' in at) rmSync(at.path, { force: true }); done() }) }),
  }
}

/** The socket is made under a mask that leaves it to its owner alone: there is no moment when others could dial it. */
function listen(server: Server, at: At): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail)
    if (!('path' in at)) { server.listen(at.port, '127.0.0.1', done); return }
    const mask = process.umask(0o177)
    try { server.listen(at.path, () => { chmodSync(at.path, 0o600); done() }) } finally { process.umask(mask) }
  })
}

async function lead(client: Socket, { resource, at, profile: fresh, opened }: Entrance): Promise<void> {
  const reader = new PacketReader(client)
  const start = await startPacket(client, reader)
  const profile = await fresh()
  if (start.readUInt32BE(4) === CANCEL_REQUEST) { (await dial(profile)).end(start); return }
  if ('password' in at) await askPassword(client, reader, at.password)
  const upstream = await dial(profile)
  upstream.on('error', () => client.destroy())
  client.once('close', () => upstream.destroy())
  upstream.once('close', () => client.end())
  client.once('close', opened(profile.token))
  upstream.write(withDatabase(start, resource))
  const answers = new PacketReader(upstream)
  for (;;) {
    const message = await answers.message()
    const asksPassword = message[0] === 0x52 && message.readUInt32BE(5) === 3
    // Protocol negotiation and refusals are the client's to read; only the question for the password is ours.
    if (!asksPassword) client.write(message)
    if (asksPassword) upstream.write(passwordMessage(profile.token))
    if (message[0] === 0x45 || (message[0] === 0x52 && !asksPassword)) break
  }
  answers.handOver(client)
  reader.handOver(upstream)
}

/** Refuses encryption: the socket is the user's own, or on the loopback address. */
async function startPacket(client: Socket, reader: PacketReader): Promise<Buffer> {
  for (let requests = 0; requests < 3; requests++) {
    const packet = await reader.packet()
    const code = packet.readUInt32BE(4)
    if (code !== SSL_REQUEST && code !== GSS_REQUEST) return packet
    client.write('N')
  }
  throw new Error('too many requests for encryption')
}

async function askPassword(client: Socket, reader: PacketReader, expected: string): Promise<void> {
  client.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]))
  const message = await reader.message()
  const given = message[0] === 0x70 ? message.subarray(5, -1) : Buffer.alloc(0)
  const wanted = Buffer.from(expected)
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Error('the password is not the one that `sluice connect` printed')
}

function dial(profile: Profile): Promise<TLSSocket> {
  const { postgres } = profile
  if (postgres === null) return Promise.reject(new Error('the gateway has no PostgreSQL listener'))
  return new Promise((done, fail) => {
    const socket = connectTls({ ...postgres, ...trustOf(profile), ALPNProtocols: ['postgresql'], timeout: START_TIMEOUT_MS, ...(/^[\d.]+$|:/.test(postgres.host) ? {} : { servername: postgres.host }) })
    socket.once('error', (error) => fail(new Error(`the gateway can't be reached: ${reason(error)}`)))
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${START_TIMEOUT_MS / 1000} s`)))
    socket.once('secureConnect', () => { socket.setTimeout(0); socket.setNoDelay(true); done(socket) })
  })
}

/** The start-up packet with the database that means the resource; another database of it may be named after a slash. */
export function withDatabase(packet: Buffer, resource: string): Buffer {
  const fields = packet.subarray(8).toString('utf8').split('\0')
  const kept: string[] = []
  for (let at = 0; at + 1 < fields.length && fields[at] !== ''; at += 2) if (fields[at] !== 'database') kept.push(fields[at]!, fields[at + 1]!)
  const body = Buffer.from(`${[...kept, 'database', resource].join('\0')}\0\0`)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length, 0)
  packet.copy(head, 4, 4, 8)
  return Buffer.concat([head, body])
}

function passwordMessage(secret: string): Buffer {
  const body = Buffer.from(`${secret}\0`)
  const head = Buffer.alloc(5)
  head[0] = 0x70
  head.writeUInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

function refuse(client: Socket, message: string): void {
  const body = Buffer.from(`SFATAL\0VFATAL\0C08006\0Msluice: ${message}\0\0`)
  const head = Buffer.alloc(5)
  head[0] = 0x45
  head.writeUInt32BE(4 + body.length, 1)
  client.end(Buffer.concat([head, body]))
}

/** Whole packets of the start-up, of bounded length; then steps aside. */
class PacketReader {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #wake: (() => void) | null = null
  #ended = false
  readonly #take = (chunk: Buffer): void => { this.#bytes = Buffer.concat([this.#bytes, chunk]); this.#wake?.() }
  readonly #end = (): void => { this.#ended = true; this.#wake?.() }
  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', this.#take).once('close', this.#end).once('end', this.#end)
  }

  packet(): Promise<Buffer> { return this.#whole(0) }
  message(): Promise<Buffer> { return this.#whole(1) }

  async #whole(offset: 0 | 1): Promise<Buffer> {
    const deadline = setTimeout(this.#end, START_TIMEOUT_MS)
    try {
      for (;;) {
        if (this.#bytes.length >= offset + 8 || (offset === 1 && this.#bytes.length >= 5)) {
          const length = this.#bytes.readUInt32BE(offset)
          if (length < 4 || length > START_BYTES_MAX + 1_024 * 16) throw new Error('not the PostgreSQL protocol')
          if (this.#bytes.length >= offset + length) return this.#cut(offset + length)
        }
        if (this.#ended) throw new Error('the connection ended during start-up')
        await new Promise<void>((wake) => { this.#wake = wake })
      }
    } finally { clearTimeout(deadline); this.#wake = null }
  }
  #cut(length: number): Buffer {
    const packet = this.#bytes.subarray(0, length)
    this.#bytes = this.#bytes.subarray(length)
    return packet
  }

  handOver(to: Socket): void {
    this.#socket.off('data', this.#take).off('close', this.#end).off('end', this.#end)
    if (this.#bytes.length > 0) to.write(this.#bytes)
    this.#socket.pipe(to)
  }
}
