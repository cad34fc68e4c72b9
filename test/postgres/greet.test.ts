// greet over real sockets: what clients send before login, whole, cut at every byte, stuffed, slow, and by many at once.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import pg from 'pg'
import { endWith, greet, type Greeting } from '../../src/protocols/postgres/greet.ts'
import { authenticationOk, backendKeyData, fatal, readyForQuery } from '../../src/protocols/postgres/messages.ts'
import { makeAuthority } from '../servers/certificates.ts'

const authority = makeAuthority(), certificate = authority.issue(['DNS:localhost', 'IP:127.0.0.1'])
const tls = createSecureContext(certificate)
const u32 = (value: number) => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(value >>> 0); return bytes }
const packet = (code: number, body = '') => Buffer.concat([u32(8 + Buffer.byteLength(body, 'latin1')), u32(code), Buffer.from(body, 'latin1')])
const SSL = packet(80877103), GSS = packet(80877104), START = packet(0x30000, 'user\0ana\0database\0orders\0\0')
const PASSWORD = Buffer.concat([Buffer.from('p'), u32(10), Buffer.from('token\0')])

interface Gate { readonly port: number; readonly greetings: Greeting[]; readonly next: () => Promise<Greeting>; readonly server: Server }
let gate: Gate, bare: Gate
async function open(context: SecureContext | null, deadlineMs?: number): Promise<Gate> {
  const greetings: Greeting[] = [], waiting: ((greeting: Greeting) => void)[] = []
  const server = createServer((socket) => {
    void greet(socket, { tls: context, ...(deadlineMs === undefined ? {} : { deadlineMs }) }).then((greeting) => {
      if (greeting.kind === 'cancel') greeting.socket.destroy()
      if (greeting.kind === 'login' && greeting.secret === 'wrong') endWith(greeting.socket, fatal('28P01', 'no'))
      else if (greeting.kind === 'login') greeting.socket.write(Buffer.concat([authenticationOk(), backendKeyData({ pid: 1, secret: Buffer.from('abcd') }), readyForQuery()]))
      const wake = waiting.shift()
      if (wake === undefined) greetings.push(greeting)
      else wake(greeting)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as { port: number }).port, greetings, server, next: () => { const ready = greetings.shift(); return ready === undefined ? new Promise((done) => waiting.push(done)) : Promise.resolve(ready) } }
}
before(async () => { gate = await open(tls); bare = await open(null) })
after(() => { gate.server.close(); bare.server.close() })

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}
/** Sends, and gives all that comes until the other side closes, and what greet said. */
async function say(at: Gate, ...parts: readonly Buffer[]): Promise<{ text: string; greeting: Greeting }> {
  const socket = await dial(at.port), said = at.next()
  const all: Buffer[] = []
  socket.on('data', (chunk: Buffer) => all.push(chunk))
  const closed = once(socket, 'close')
  // Who asks for encryption waits for the answer.
  for (const part of parts) {
    socket.write(part)
    if (part === SSL || part === GSS) await Promise.race([once(socket, 'data'), closed])
    else await new Promise((done) => setImmediate(done))
  }
  const greeting = await said
  if (greeting.kind === 'login') greeting.socket.destroy()
  await closed
  return { text: Buffer.concat(all).toString('latin1'), greeting }
}
const login = (greeting: Greeting) => { assert.equal(greeting.kind, 'login', 'why' in greeting ? greeting.why : ''); return greeting as Extract<Greeting, { kind: 'login' }> }

test('a plain login from loopback gives the names, the secret and the channel', async () => {
  const { text, greeting } = await say(gate, START, PASSWORD)
  const { socket, ...facts } = login(greeting)
  assert.deepEqual({ ...facts, settings: [...facts.settings], channel: { ...facts.channel, remotePort: 0 } }, {
    kind: 'login', user: 'ana', resource: 'orders', database: null, settings: [['client_encoding', 'UTF8']], secret: 'token', protocolMinor: 0,
    channel: { tls: null, remoteAddress: '127.0.0.1', remotePort: 0, loopback: true },
  })
  assert.ok(socket.destroyed)
  assert.ok(text.startsWith('R\0\0\0\x08\0\0\0\x03R\0\0\0\x08\0\0\0\0'))
})
test('a login cut at every byte is the same login', async () => {
  const all = Buffer.concat([START, PASSWORD])
  for (let cut = 1; cut < all.length; cut++) assert.equal(login((await say(gate, all.subarray(0, cut), all.subarray(cut))).greeting).secret, 'token')
  assert.equal(login((await say(gate, ...[...all].map((byte) => Buffer.of(byte)))).greeting).secret, 'token')
})
test('what follows the password stays in the socket for the session', async () => {
  const socket = await dial(gate.port)
  socket.write(Buffer.concat([START, PASSWORD, Buffer.from('Q....')]))
  const server = login(await gate.next()).socket
  const [chunk] = await once(server, 'data') as [Buffer]
  assert.equal(chunk.toString(), 'Q....')
  socket.write('more')
  assert.equal(String((await once(server, 'data'))[0]), 'more')
  socket.destroy()
})
test('encryption is given when there is a certificate and denied otherwise; GSS always', async () => {
  assert.equal((await say(bare, SSL, START, PASSWORD)).text[0], 'N')
  assert.ok((await say(bare, GSS, SSL, START, PASSWORD)).text.startsWith('NNR'))
  assert.ok((await say(gate, GSS, START, PASSWORD)).text.startsWith('NR'))
})
test('bytes stuffed behind a request for encryption end the connection unread', async () => {
  for (const stuffed of [START, Buffer.from('x'), SSL]) {
    const { text, greeting } = await say(gate, Buffer.concat([SSL, stuffed]))
    assert.match(text, /^E.*unencrypted data/s)
    assert.equal(greeting.kind, 'ended')
  }
  assert.match((await say(gate, SSL, SSL)).greeting.kind, /ended/)
  assert.match((await say(bare, SSL, SSL)).text, /NE.*twice/s)
})
test('inside encryption there is no second request, and a login there is a login', async () => {
  const start = async (first: Buffer) => {
    const plain = await dial(gate.port)
    plain.write(SSL)
    assert.equal(String((await once(plain, 'data'))[0]), 'S')
    const socket = connectTls({ socket: plain, ca: authority.cert, servername: 'localhost' })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    socket.write(first)
    return socket
  }
  for (const again of [SSL, GSS]) {
    const socket = await start(again)
    assert.match(String((await once(socket, 'data'))[0]), /^E.*encrypted already/s)
    assert.equal((await gate.next()).kind, 'ended')
    socket.destroy()
  }
  const socket = await start(START)
  assert.equal(String((await once(socket, 'data'))[0]), 'R\0\0\0\x08\0\0\0\x03')
  socket.write(PASSWORD)
  const greeting = login(await gate.next())
  assert.equal(greeting.channel.tls?.direct, false)
  socket.destroy()
})
test('direct TLS needs the protocol\'s name in ALPN', async () => {
  const start = async (ALPNProtocols: string[] | undefined) => {
    const socket = connectTls({ port: gate.port, host: '127.0.0.1', ca: authority.cert, servername: 'localhost', ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }) })
    socket.on('error', () => {})
    socket.write(Buffer.concat([START]))
    return socket
  }
  const good = await start(['postgresql'])
  await once(good, 'data')
  good.write(PASSWORD)
  assert.equal(login(await gate.next()).channel.tls?.direct, true)
  good.destroy()
  for (const protocols of [undefined, ['http/1.1'], ['h2', 'http/1.1']]) {
    const bad = await start(protocols)
    assert.equal((await gate.next()).kind, 'ended', String(protocols))
    bad.destroy()
  }
  const { greeting } = await say(bare, Buffer.from('160301', 'hex'))
  assert.equal(greeting.kind, 'ended')
})
test('a cancel request gives its key, on a socket of its own', async () => {
  const { greeting, text } = await say(gate, packet(80877102, '\0\0\0\x07abcd'))
  assert.ok(greeting.kind === 'cancel')
  assert.deepEqual([greeting.key.pid, greeting.key.secret.toString(), text], [7, 'abcd', ''])
})
test('wrong start-ups are told so in the protocol, and the connection ends', async () => {
  const cases: readonly [Buffer, RegExp][] = [
    [packet(0x20000, '\0'.repeat(288)), /08004.*unsupported frontend protocol 2\.0/s], [Buffer.from('7fffffff00030000', 'hex'), /08004/], [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /08004/],
    [packet(0x30000, 'user\0gw_app'), /08004/], [packet(0x30000, 'user\0a\0role\0dba\0\0'), /42501.*role/s], [packet(0x30000, 'user\0a\0replication\0true\0\0'), /42501.*replication/s], [packet(0x30000, 'database\0a\0\0'), /08004.*user/s],
    [packet(0x30000, 'user\0a\0database\0../x\0\0'), /3D000/], [Buffer.concat([START, Buffer.from('Q\0\0\0\x09x\0')]), /08004.*password/s], [Buffer.concat([START, Buffer.from('p'), u32(2 ** 20)]), /08004.*password/s],
  ]
  for (const [bytes, expected] of cases) {
    const { text, greeting } = await say(gate, bytes)
    assert.match(text, expected)
    assert.equal(greeting.kind, 'ended')
  }
})
test('a client that sends a megabyte as its password gets to read why not', async () => {
  const { text } = await say(gate, Buffer.concat([START, Buffer.from('p'), u32(2 ** 20 + 5), Buffer.alloc(2 ** 20, 'x')]))
  assert.match(text, /password packet size/)
})
test('versions to come are negotiated down to 3.2, unknown options are named', async () => {
  const { text } = await say(gate, packet(0x30000 + 9999, 'user\0a\0_pq_.new\0on\0\0'), PASSWORD)
  assert.ok(text.startsWith(`v\0\0\0\x15\0\x03\0\x02\0\0\0\x01_pq_.new\0R`), JSON.stringify(text.slice(0, 40)))
})
test('a slow client is told and closed at the deadline, however it drips', async () => {
  const hasty = await open(tls, 300)
  for (const first of [Buffer.alloc(0), START.subarray(0, 9), START, SSL, Buffer.from('16', 'hex')]) {
    const started = performance.now()
    const { greeting } = await say(hasty, first)
    assert.ok(greeting.kind === 'ended' && greeting.why.includes('in time'), greeting.kind)
    assert.ok(performance.now() - started < 2_000)
  }
  hasty.server.close()
})
test('a client that leaves at any byte leaves nothing behind', async () => {
  const all = Buffer.concat([START, PASSWORD])
  for (let cut = 0; cut < all.length; cut += 3) {
    const socket = await dial(gate.port)
    if (cut % 2 === 0) socket.end(all.subarray(0, cut))
    else { socket.write(all.subarray(0, cut)); socket.resetAndDestroy() }
    assert.equal((await gate.next()).kind, 'ended')
  }
})
test('a thousand stuck connections cost little and hold up nobody', async () => {
  const resident = process.memoryUsage().rss
  const stuck = await Promise.all(Array.from({ length: 1_000 }, async () => { const socket = await dial(gate.port); socket.write(START.subarray(0, 5)); return socket }))
  const started = performance.now()
  // The greetings of the stuck come later; the first one to come is the good one's.
  const { greeting } = await say(gate, START, PASSWORD)
  assert.equal(greeting.kind, 'login')
  assert.ok(performance.now() - started < 1_000)
  assert.ok((process.memoryUsage().rss - resident) / 1_000 < 60_000, 'both ends of each together')
  for (const socket of stuck) socket.destroy()
  for (let at = 0; at < stuck.length; at++) await gate.next()
})
test('psql and node-postgres log in, by each way of encryption they know', async () => {
  for (const ssl of [false, { ca: authority.cert }]) {
    const client = new pg.Client({ host: 'localhost', port: gate.port, user: 'ana', database: 'orders/x', password: 'slc_x', ssl, client_encoding: 'UTF8', statement_timeout: 5000 })
    client.on('error', () => {})
    const [greeting] = await Promise.all([gate.next(), client.connect()])
    assert.equal(login(greeting).database, 'x')
    assert.equal(login(greeting).channel.tls !== null, ssl !== false)
    login(greeting).socket.destroy()
  }
  for (const sslmode of ['disable', 'require']) {
    const [greeting, failure] = await Promise.all([gate.next(), new Promise<string>((done) => {
      execFile('psql', [`postgresql://ana:wrong@127.0.0.1:${gate.port}/orders?sslmode=${sslmode}`, '-c', 'select 1'], { env: { ...process.env, PGTZ: 'UTC', LANG: 'C' } }, (error, _out, complaint) => done(error !== null && 'code' in error && error.code === 'ENOENT' ? 'absent' : complaint))
    })])
    if (failure === 'absent') return
    assert.equal(login(greeting).settings.get('timezone'), 'UTC')
    assert.match(failure, /FATAL: {2}no/)
  }
})
