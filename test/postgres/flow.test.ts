// The flow of bytes: the server's cut at every place, bounds in bytes, clients that read slowly or not at all, and a record that comes first.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readerOf } from '../../src/wire/reader.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { EVERYTHING, openTestSession, type SessionOptions, type TestSession } from './session.ts'

/** What may be read of a server for a client that does not read: the buffers of both streams and of one read. */
const UNREAD_BYTES_MAX = 2_000_000
let server: TestServer
before(async () => { server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! }); await server.sql("CREATE TABLE t(id int, name text); INSERT INTO t VALUES (1, 'MARKER'), (2, NULL)") })
after(async () => { await server.stop() })
const policy = (rest: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], ${rest} }]\n`
async function within(options: SessionOptions, body: (s: TestSession) => Promise<void>): Promise<void> {
  const session = await openTestSession(server, options)
  try { await body(session) } finally { await session.end() }
}
const later = (ms: number) => new Promise((done) => setTimeout(done, ms))

test('wherever the server\'s bytes are cut, its answer is the same', () => within({ policies: policy('deny: [{ name: no-drop, operations: [sql.drop] }], mask: [{ fields: [public.t.name], with: redact }]') }, async (s) => {
  const reader = readerOf(s.upstream.socket)
  const sink = reader?.sink
  assert.ok(reader != null && sink != null)
  let at = 0, cut = 0, every = 0
  reader.sink = (bytes) => {
    let free = true
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(bytes.length, every > 0 ? from + every : at + from < cut ? cut - at : bytes.length)
      free = sink(bytes.subarray(from, to)) && free
      from = to
    }
    at += bytes.length
    return free
  }
  const conversation = Buffer.concat([m.query('SELECT id, name FROM t'), m.query('DROP TABLE t'), m.parse('SELECT name FROM t'), m.bind(), m.execute('', 1), m.execute(), m.sync(), m.query('COPY t TO STDOUT'), m.query('SELECT 1/0')])
  const play = async () => { at = 0; return s.client.ask([conversation], 5) }
  await play()
  const whole = await play(), bytes = at
  assert.ok(whole.some((l) => l.includes('hidden')) && whole.some((l) => l.includes('42501')) && !whole.join().includes('MARKER'), whole.join('\n'))
  for (every = 1; every < 8; every += 2) assert.deepEqual(await play(), whole, `pieces of ${every}`)
  every = 0
  for (cut = 1; cut < bytes; cut++) assert.deepEqual(await play(), whole, `cut at ${cut}`)
}))
test('a bound in bytes ends an answer before the message that would pass it', () => within({ policies: policy('deny: [{ name: wide, bytes: 5000 }]') }, async (s) => {
  const lines = await s.client.ask([m.query("SELECT repeat('x', 985) FROM generate_series(1, 100) g")])
  const given = s.client.seen.filter((x) => x.type === 'D')
  assert.ok(given.length > 0 && given.reduce((sum, x) => sum + x.body.length + 5, 0) <= 5_000)
  assert.match(lines.at(-2) ?? '', /p\/wide/)
  const copied = await s.client.ask([m.query("COPY (SELECT repeat('x', 985) FROM generate_series(1, 100) g) TO STDOUT")])
  assert.ok(copied.filter((l) => l.startsWith('d')).length <= 5)
  assert.match(copied.at(-2) ?? '', /p\/wide/)
  assert.deepEqual((await s.client.ask([m.query('SELECT 1')])).map((l) => l[0]), ['T', 'D', 'C', 'Z'])
}))
test('a client that does not read is not read for: the server waits, and all arrives when it reads again', () => within({ policies: EVERYTHING }, async (s) => {
  await s.client.ask([m.query('SELECT 1')])
  s.client.stream.pause()
  const before = s.upstream.socket.bytesRead
  for (let i = 0; i < 30; i++) s.client.send(m.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000)"))
  await later(400)
  assert.ok(s.upstream.socket.bytesRead - before < UNREAD_BYTES_MAX, `${s.upstream.socket.bytesRead - before} bytes were read`)
  s.client.stream.resume()
  await s.client.ready(31, 30_000)
  assert.equal(s.client.count('D'), 30_001)
}))
test('a pipeline of thousands that reads nothing before its end is answered in order', () => within({ policies: EVERYTHING }, async (s) => {
  s.client.stream.pause()
  s.client.send(...Array.from({ length: 3_000 }, (_, i) => Buffer.concat([m.parse(`SELECT ${i % 50}`), m.bind(), m.execute()])), m.sync())
  await later(200)
  s.client.stream.resume()
  await s.client.ready(1, 30_000)
  assert.deepEqual(s.client.seen.filter((x) => x.type === 'D').map((x) => Number(x.body.toString('latin1', 6))), Array.from({ length: 3_000 }, (_, i) => i % 50))
}))
test('nothing reaches the server before its record is durable', () => within({ policies: EVERYTHING, durableMs: 300 }, async (s) => {
  const answer = s.client.ask([m.query('SELECT 1 -- MARK')])
  for (let seen = 0; seen === 0; await later(1)) seen = s.record.filter((e) => e.kind === 'asked').length
  await later(100)
  assert.equal(Buffer.concat(s.tap).includes('MARK'), false)
  await answer
  assert.equal(Buffer.concat(s.tap).includes('MARK'), true)
}))
