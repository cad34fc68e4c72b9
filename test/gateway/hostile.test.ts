// Hostile logins: slow, malformed, oversized, without a right to be there. Each gets a clear answer or a closed connection, is counted,
// and disturbs nobody else.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { descendants, refusalOf, type Site, startSite, until } from './site.ts'

const SLOW = 500
function startup(pairs: Record<string, string>): Buffer {
  const body = Buffer.from(`${Object.entries(pairs).map(([k, v]) => `${k}\0${v}\0`).join('')}\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(body.length + 8, 0)
  head.writeInt32BE(196608, 4)
  return Buffer.concat([head, body])
}
/** Sends, and answers what came back until the connection ended or the time was over. */
function exchange(port: number, bytes: Buffer, withinMs: number): Promise<{ bytes: Buffer; closed: boolean }> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    const parts: Buffer[] = []
    const timer = setTimeout(() => { socket.destroy(); done({ bytes: Buffer.concat(parts), closed: false }) }, withinMs)
    socket.on('data', (part: Buffer) => parts.push(part)).on('error', () => {}).on('close', () => { clearTimeout(timer); done({ bytes: Buffer.concat(parts), closed: true }) })
  })
}
const memoryOf = (pid: number) => { try { return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) } catch { return 0 } }

describe('hostile logins', () => {
  let site: Site, admin: string
  before(async () => { site = await startSite({ storeBeside: true }); admin = await site.token('ada@example.com', 'platform,audit') })
  after(async () => { await site.stop() })

  test(`${SLOW} connections stuck in start-up are closed at the deadline and slow no one's login`, { timeout: 90_000 }, async () => {
    const session = await site.connect('quiet@example.com', 'agents')
    const sockets: Socket[] = []
    let closed = 0
    for (let i = 0; i < SLOW; i++) sockets.push(connect(site.gateway.port, '127.0.0.1').on('error', () => {}).on('close', () => { closed++ }))
    const from = Date.now()
    const packet = startup({ user: 'x', database: 'orders' })
    let at = 0
    const dripping = setInterval(() => { for (const socket of sockets) if (!socket.destroyed) socket.write(packet.subarray(at, at + 1)); at = (at + 1) % (packet.length - 1) }, 500)
    const logins: number[] = []
    for (let i = 0; i < 5; i++) {
      const started = Date.now()
      const client = await site.connect(`l${i}@example.com`, 'agents')
      logins.push(Date.now() - started)
      await client.query('SELECT 1')
      await client.end()
      await sleep(200)
    }
    assert.equal((await session.query('SELECT 1 AS one')).rows[0].one, 1)
    await until('all are closed', () => closed === SLOW, 40_000)
    clearInterval(dripping)
    console.log(JSON.stringify({ test: 'slowloris', n: SLOW, loginMs: logins.sort((a, b) => a - b)[2], closedAfterMs: Date.now() - from }))
    assert.ok(logins[2]! < 1_500, `median login ${logins[2]} ms`)
    await session.end()
  })

  test('garbage and oversized start-ups are closed, with an error where the protocol has one, and memory stays', async () => {
    const workers = descendants(site.gateway.child.pid!)
    const before = workers.reduce((sum, pid) => sum + memoryOf(pid), 0)
    const session = await site.connect('quiet@example.com', 'agents')
    const huge = Buffer.alloc(8)
    huge.writeInt32BE(0x7fffffff, 0); huge.writeInt32BE(196608, 4)
    const odd = Buffer.alloc(8)
    odd.writeInt32BE(8, 0); odd.writeInt32BE(0x12345678, 4)
    const answers = await Promise.all([
      ...Array.from({ length: 100 }, () => exchange(site.gateway.port, randomBytes(1 + Math.floor(Math.random() * 4_000)), 15_000)),
      exchange(site.gateway.port, huge, 15_000), exchange(site.gateway.port, odd, 15_000), exchange(site.gateway.port, Buffer.from('GET / HTTP/1.1\r\n\r\n'), 15_000),
      exchange(site.gateway.port, startup({ user: 'x'.repeat(20_000), database: 'orders' }), 15_000),
      exchange(site.gateway.port, startup({ user: 'x', database: 'orders', replication: 'true' }), 15_000),
    ])
    assert.ok(answers.every((answer) => answer.closed), 'each is closed')
    assert.match(answers.at(-1)!.bytes.toString('latin1'), /replication/)
    assert.equal((await session.query('SELECT 1 AS one')).rows[0].one, 1)
    await session.end()
    const now = workers.reduce((sum, pid) => sum + memoryOf(pid), 0)
    assert.ok(now - before < 64 * 1024, `${now - before} KiB more`)
  })

  test('wrong, expired, foreign and unsigned tokens are refused alike and say what to do', async () => {
    const good = await site.token('tok@example.com', 'agents')
    const [head, body] = good.split('.')
    const expired = await site.token('tok@example.com', 'agents', '&ttl=-120')
    const foreign = await site.token('tok@example.com', 'agents', '&aud=someone-else')
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`
    for (const password of ['', 'wrong', `${head}.${body}.${'A'.repeat(86)}`, expired, foreign, none, 'slc_' + 'a'.repeat(40), 'x'.repeat(60_000)]) {
      const refused = await refusalOf(site.gateway.client({ database: 'orders', password }))
      assert.equal(refused.code, '28P01', `${password.slice(0, 20)}: ${refused.message}`)
      assert.ok(password.length < 10 || !JSON.stringify(refused).includes(password.slice(0, 60)))
    }
  })

  test('a resource that does not exist and one that no policy opens can not be told apart', async () => {
    const password = await site.token('nobody@example.com', 'visitors')
    const shape = (error: object, name: string) => JSON.stringify({ ...error, message: (error as Error).message }).replaceAll(name, 'NAME')
    const forbidden = await refusalOf(site.gateway.client({ database: 'orders', password }))
    const unknown = await refusalOf(site.gateway.client({ database: 'nothing', password }))
    assert.equal(shape(forbidden, 'orders').replace(/"length":\d+/, ''), shape(unknown, 'nothing').replace(/"length":\d+/, ''))
    assert.equal(forbidden.code, '3D000')
  })

  test('refused logins are on record and counted', async () => {
    await sleep(1_500)
    const metrics = (await site.api(admin, 'GET', '/metrics')).text
    for (const reason of ['NOT_AUTHENTICATED', 'NO_SUCH_RESOURCE', 'LOGIN_ENDED']) assert.match(metrics, new RegExp(`sluice_logins_refused_total\\{reason="${reason}"\\} [1-9]`))
    assert.match(metrics, /sluice_sessions_opened_total\{resource="orders"\} [1-9]/)
    assert.match(metrics, /sluice_workers 2\n/)
    assert.equal((await site.api('', 'GET', '/health')).status, 200)
    assert.equal((await site.api('', 'GET', '/ready')).status, 200)
  })
})
