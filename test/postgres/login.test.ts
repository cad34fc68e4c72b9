// Login at real servers by every method and TLS mode, and at servers that lie.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createSecureContext, TLSSocket } from 'node:tls'
import { Unreachable } from '../../src/core/errors.ts'
import { cancelUpstream, connectUpstream, type UpstreamOptions } from '../../src/protocols/postgres/login.ts'
import { prepared, startScram } from '../../src/protocols/postgres/login-scram.ts'
import { message } from '../../src/protocols/postgres/messages.ts'
import { detectPooler } from '../../src/protocols/postgres/pooler.ts'
import { OwnConnection } from '../../src/protocols/postgres/query.ts'
import { makeAuthority } from '../servers/certificates.ts'
import { ALL_VERSIONS, freePort, startPostgres, type TestServer } from '../servers/postgres.ts'

const authority = makeAuthority(), certificate = authority.issue(['DNS:localhost', 'IP:127.0.0.1']), stranger = makeAuthority('someone else')
const HBA = `local all all trust
host all gwsuper 127.0.0.1/32 trust
host all scram 127.0.0.1/32 scram-sha-256
host all md5 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
host all trusted 127.0.0.1/32 trust
host all nobody 127.0.0.1/32 reject
`
const SECRET = 'pä\u00adss wörd'
const servers = new Map<number, TestServer>()
before(async () => {
  for (const version of ALL_VERSIONS) {
    const server = await startPostgres({ version, hba: HBA })
    servers.set(version, server)
    const owner = statSync(server.data)
    for (const [name, text] of [['tls.crt', certificate.cert], ['tls.key', certificate.key]] as const) {
      writeFileSync(join(server.data, name), text)
      chownSync(join(server.data, name), owner.uid, owner.gid)
      chmodSync(join(server.data, name), 0o600)
    }
    for (const sql of ["ALTER SYSTEM SET ssl_cert_file = 'tls.crt'", "ALTER SYSTEM SET ssl_key_file = 'tls.key'", 'ALTER SYSTEM SET ssl = on', 'SELECT pg_reload_conf()',
      `CREATE ROLE scram LOGIN PASSWORD '${SECRET}'`, 'CREATE ROLE clear LOGIN PASSWORD \'clear\'', 'CREATE ROLE trusted LOGIN', 'CREATE ROLE nobody LOGIN', `SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD '${SECRET}'`]) await server.sql(sql)
  }
})
after(async () => { await Promise.all([...servers.values()].map((server) => server.stop())) })

const at = (port: number, more: Partial<UpstreamOptions> = {}): UpstreamOptions => ({
  addresses: [{ host: 'localhost', port }], tls: 'disable', ca: authority.cert, username: 'trusted', password: null, database: 'postgres', parameters: new Map([['client_encoding', 'UTF8'], ['application_name', 'login test']]), ...more,
})
async function asked(options: UpstreamOptions, sql: string): Promise<string | null> {
  const upstream = await connectUpstream(options), own = new OwnConnection(upstream.socket, upstream.early)
  try { return (await own.query(sql))[0]?.[0]?.[0] ?? null } finally { own.end() }
}
const refused = (options: UpstreamOptions, why: RegExp) => assert.rejects(connectUpstream(options), (error: unknown) => {
  assert.ok(error instanceof Unreachable, String(error))
  assert.match(error.message, why)
  assert.ok(!/127\.0\.0\.1|localhost|scram\b(?! on)|pä/.test(error.message.replace('SCRAM', '')), error.message)
  return true
})

for (const version of ALL_VERSIONS) test(`PostgreSQL ${version}: every method of login, plain and in TLS`, async () => {
  const { port } = servers.get(version)!
  for (const tls of ['disable', 'require', 'verify-ca', 'verify-full'] as const) {
    for (const [username, password] of [['scram', SECRET], ['md5', SECRET], ['trusted', null]] as const) {
      const upstream = await connectUpstream(at(port, { tls, username, password }))
      assert.equal(upstream.encrypted, tls !== 'disable')
      assert.equal(upstream.parameters.get('application_name'), 'login test')
      assert.ok(upstream.serverVersion.startsWith(String(version)))
      assert.deepEqual([upstream.status, upstream.early.length, upstream.backendKey.secret.length], [0x49, 0, version >= 18 ? 32 : 4])
      const own = new OwnConnection(upstream.socket, upstream.early)
      assert.deepEqual(await own.query('SELECT current_user, pg_backend_pid()'), [[[username, String(upstream.backendKey.pid)]]])
      own.end()
    }
  }
  assert.equal(await asked(at(port, { tls: 'verify-full', username: 'clear', password: 'clear' }), 'SELECT current_user'), 'clear')
  for (const tls of ['disable', 'require'] as const) await refused(at(port, { tls, username: 'clear', password: 'clear' }), /clear/)
  await refused(at(port, { username: 'scram', password: 'wrong' }), /refused Sluice's login \(28P01\)/)
  await refused(at(port, { username: 'scram' }), /has none/)
  await refused(at(port, { username: 'nobody' }), /28000/)
  await refused(at(port, { database: 'none' }), /no such database/)
  await refused(at(port, { parameters: new Map([['timezone', 'Nowhere']]) }), /Nowhere/)
})
test('a certificate of another CA or for another name is refused, as far as the mode looks', async () => {
  const { port } = servers.get(18)!
  const elsewhere = [{ host: '127.0.0.2', port }]
  for (const tls of ['verify-ca', 'verify-full'] as const) await refused(at(port, { tls, ca: stranger.cert }), /certificate/)
  await refused(at(port, { tls: 'verify-full', ca: null }), /certificate/)
  assert.equal(await asked(at(port, { tls: 'require', ca: stranger.cert }), 'SELECT 1'), '1')
  assert.equal(await asked(at(port, { tls: 'verify-full', addresses: [{ host: '127.0.0.1', port }] }), 'SELECT 1'), '1')
  // Forwarded from an address that the certificate does not name.
  const forward = createServer((client) => { const server = createConnection(port); client.pipe(server).pipe(client); client.on('error', () => {}); server.on('error', () => {}) }).listen(0, '127.0.0.2')
  await once(forward, 'listening')
  const moved = [{ ...elsewhere[0]!, port: (forward.address() as { port: number }).port }]
  await refused(at(port, { tls: 'verify-full', addresses: moved }), /certificate/)
  assert.equal(await asked(at(port, { tls: 'verify-ca', addresses: moved }), 'SELECT 1'), '1')
  forward.close()
})
test('SCRAM is bound to the certificate: a man in the middle with a certificate of his own is found', async () => {
  const { port } = servers.get(18)!
  const own = createSecureContext(stranger.issue(['DNS:localhost']))
  const man = createServer((client) => {
    client.on('error', () => {})
    client.once('data', () => {
      client.write('S')
      const inside = new TLSSocket(client, { isServer: true, secureContext: own, ALPNProtocols: ['postgresql'] })
      inside.on('error', () => {})
      void connectTlsAfterRequest(port).then((server) => { inside.pipe(server).pipe(inside); server.on('error', () => {}) })
    })
  }).listen(0, '127.0.0.1')
  await once(man, 'listening')
  await refused(at((man.address() as { port: number }).port, { tls: 'require', username: 'scram', password: SECRET }), /28/)
  man.close()
})
test('a backend is cancelled, plain and over TLS', async () => {
  for (const tls of ['disable', 'verify-full'] as const) {
    const upstream = await connectUpstream(at(servers.get(18)!.port, { tls })), own = new OwnConnection(upstream.socket, upstream.early)
    const sleeping = assert.rejects(own.query('SELECT pg_sleep(10)'))
    await new Promise((done) => setTimeout(done, 100))
    const started = performance.now()
    await cancelUpstream(upstream)
    await sleeping
    assert.ok(performance.now() - started < 3_000)
    own.end()
  }
})
test('a unix socket is a way in; so is the second address when the first is dead or hangs', async () => {
  const server = servers.get(18)!, { port } = server
  assert.equal(await asked(at(port, { addresses: [{ path: join(server.socket, `.s.PGSQL.${port}`) }] }), 'SELECT inet_server_addr() IS NULL'), 't')
  assert.equal(await asked(at(port, { addresses: [{ host: '127.0.0.1', port: await freePort() }, { host: '127.0.0.1', port }] }), 'SELECT 1'), '1')
  const mute = await liar(() => {})
  assert.equal(await asked(at(port, { connectMs: 3_000, addresses: [{ host: '127.0.0.1', port: mute.port }, { host: '127.0.0.1', port }] }), 'SELECT 1'), '1')
  await refused(at(mute.port, { connectMs: 300 }), /in time/)
  await refused(at(mute.port, { connectMs: 300, tls: 'require' }), /in time/)
  mute.close()
  await refused(at(await freePort()), /reached \(ECONNREFUSED\)/)
})
test('a server in recovery is taken only when no other answers', async () => {
  const { port } = servers.get(18)!
  const standby = await liar((socket) => socket.write(Buffer.concat([message('R', 0), message('S', 'in_hot_standby', 'on'), message('Z', Buffer.from('I'))])))
  const both = await connectUpstream(at(0, { addresses: [{ host: '127.0.0.1', port: standby.port }, { host: '127.0.0.1', port }] }))
  assert.equal(both.parameters.get('in_hot_standby'), 'off')
  both.socket.destroy()
  const alone = await connectUpstream(at(0, { addresses: [{ host: '127.0.0.1', port: standby.port }, { host: '127.0.0.1', port: await freePort() }] }))
  assert.equal(alone.parameters.get('in_hot_standby'), 'on')
  alone.socket.destroy()
  standby.close()
})
test('servers that ask for too much, skip their proof or speak another language are left', async () => {
  const cases: readonly [Buffer, RegExp][] = [
    [message('R', 3), /clear/], [message('R', 7), /not known/], [message('R', 10, 'OTHER', Buffer.of(0)), /not known/], [message('R', 11, Buffer.from('r=x')), /out of order/],
    [Buffer.concat([message('R', 10, 'SCRAM-SHA-256', Buffer.of(0)), message('R', 0), message('Z', Buffer.from('I'))]), /did not prove/],
    [Buffer.concat([message('R', 10, 'SCRAM-SHA-256', Buffer.of(0)), message('R', 3)]), /midway/],
    [Buffer.concat([message('R', 10, 'SCRAM-SHA-256', Buffer.of(0)), message('R', 12, Buffer.from('v=AAAA'))]), /out of order/],
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /speak/], [message('D', Buffer.from('x')), /speak/], [message('Z', Buffer.from('I')), /speak/], [Buffer.concat([message('R', 0), message('T', 1)]), /speak/], [Buffer.from('R\x7f\xff\xff\xff', 'latin1'), /speak/],
    [Buffer.concat(Array.from({ length: 1_200 }, () => message('N', Buffer.of(0)))), /end of its login/],
  ]
  for (const [bytes, why] of cases) {
    const server = await liar((socket) => socket.write(bytes))
    await refused(at(server.port, { password: SECRET, connectMs: 2_000 }), why)
    server.close()
  }
  for (const [answer, why] of [['N', /does not offer TLS/], ['Sx', /more than an answer/], ['E', /does not offer TLS/]] as const) {
    const server = await liar((socket) => socket.write(answer))
    await refused(at(server.port, { tls: 'verify-full' }), why)
    server.close()
  }
  const gone = await liar((socket) => socket.destroy())
  await refused(at(gone.port), /closed|reached/)
  gone.close()
})
test('what knows only protocol 3.0 is asked by that, and from then on at once; what has begun to answer is not asked twice', async () => {
  const wished: number[] = []
  const ok = Buffer.concat([message('R', 0), message('K', 7, Buffer.alloc(4)), message('Z', Buffer.from('I'))])
  const no = (code: string) => message('E', Buffer.from(`SFATAL\0C${code}\0Mno\0\0`))
  for (const answer of [(socket: Socket) => { socket.end(no('0A000')) }, (socket: Socket) => { socket.end(no('08P01')) }, (socket: Socket) => { socket.destroy() }]) {
    wished.length = 0
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.once('data', (bytes: Buffer) => { wished.push(bytes.readUInt32BE(4)); if (wished.at(-1) === 0x3_0000) socket.write(ok); else answer(socket) })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    for (let i = 0; i < 2; i++) (await connectUpstream(at(port))).socket.destroy()
    assert.deepEqual(wished, [0x3_0002, 0x3_0000, 0x3_0000])
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  wished.length = 0
  const full = await liar((socket) => { wished.push(1); socket.end(no('53300')) })
  await refused(at(full.port), /no connection left/)
  const upgrade = await liar((socket) => { wished.push(1); socket.end(Buffer.concat([message('v', 0x3_0009, 0), ok])) })
  await refused(at(upgrade.port), /speak/)
  assert.equal(wished.length, 2)
  full.close()
  upgrade.close()
})
test('a SCRAM challenge is answered in its one shape or refused, and passwords are prepared as SASLprep says', async () => {
  const scram = startScram(['SCRAM-SHA-256'], 'pencil', null, 'rOprNGfwEbeRWgbNEkqO')
  // PostgreSQL takes the user from the start-up packet: the vector's `n=user` is empty here, so only the shape can be compared.
  assert.match(await scram.answer('r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'), /^c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj\)hNlF\$k0,p=[\w+/]{43}=$/)
  assert.throws(() => scram.finish('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='), /prove/)
  for (const challenge of ['r=other,s=AAAA,i=4096', 'r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096', 'r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=99999999', 'r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0', 'r=rOprNGfwEbeRWgbNEkqOx,s=AAAA', 'm=x,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096', '']) await assert.rejects(scram.answer(challenge), Unreachable)
  assert.deepEqual(['I\u00adX', '\u2168', 'a\u00a0b', 'user', '\u0007x\u00aa'].map(prepared), ['IX', 'IX', 'a b', 'user', '\u0007x\u00aa'])
})
test('a pooler in transaction mode is found; the server itself and a pool in session mode are not mistaken for one', async (t) => {
  const { port } = servers.get(18)!
  const check = async (through: number) => {
    const open = async () => { const made = await connectUpstream(at(through)); return { own: new OwnConnection(made.socket, made.early), pid: made.backendKey.pid } }
    const first = await open()
    try { await detectPooler(first.own, first.pid, async () => (await open()).own) } finally { first.own.end() }
  }
  await check(port)
  for (const mode of ['session', 'transaction']) {
    const pool = await startPgbouncer(mode, port)
    if (pool === null) { t.skip('pgbouncer is not installed'); return }
    try { if (mode === 'session') await check(pool.port); else await assert.rejects(check(pool.port), /transaction mode/) } finally { pool.stop() }
  }
})

// ---- servers of our own

import { connect as createConnection } from 'node:net'
import { connect as connectTls } from 'node:tls'

async function connectTlsAfterRequest(port: number): Promise<TLSSocket> {
  const plain = createConnection(port, '127.0.0.1')
  plain.write(Buffer.from('0000000804d2162f', 'hex'))
  await once(plain, 'data')
  const socket = connectTls({ socket: plain, rejectUnauthorized: false, ALPNProtocols: ['postgresql'] })
  await once(socket, 'secureConnect')
  return socket
}
/** Answers the first bytes of every client by hand. */
async function liar(answer: (socket: Socket) => void): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => { sockets.add(socket); socket.on('error', () => {}); socket.once('data', () => answer(socket)) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as { port: number }).port, close: () => { server.close(); for (const socket of sockets) socket.destroy() } }
}
async function startPgbouncer(mode: string, target: number): Promise<{ readonly port: number; stop(): void } | null> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pgb-')), port = await freePort()
  chmodSync(folder, 0o755)
  writeFileSync(join(folder, 'users.txt'), '"trusted" ""\n')
  writeFileSync(join(folder, 'pgb.ini'), `[databases]\npostgres = host=127.0.0.1 port=${target}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=${port}\nauth_type=trust\nauth_file=${join(folder, 'users.txt')}\npool_mode=${mode}\nunix_socket_dir=\nlogfile=\nignore_startup_parameters=extra_float_digits\n`)
  const child = spawn('pgbouncer', [...(process.getuid?.() === 0 ? ['-u', 'nobody'] : []), '-q', join(folder, 'pgb.ini')], { stdio: 'ignore', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } })
  const failed = await new Promise<boolean>((done) => { child.once('error', () => done(true)); child.once('spawn', () => done(false)) })
  const stop = () => { child.kill('SIGKILL'); rmSync(folder, { recursive: true, force: true }) }
  if (failed) { stop(); return null }
  for (let tries = 0; tries < 100; tries++) {
    const up = await new Promise<boolean>((done) => { const probe = createConnection(port, '127.0.0.1'); probe.once('connect', () => { probe.destroy(); done(true) }); probe.once('error', () => done(false)) })
    if (up) return { port, stop }
    await new Promise((done) => setTimeout(done, 50))
  }
  stop()
  throw new Error('pgbouncer did not start')
}
