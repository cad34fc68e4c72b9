// Bounds, waits and cancels in the middle of things: nothing beyond a bound leaves, and the session goes on.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession, type TestSession } from './session.ts'

let server: TestServer
before(async () => { server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! }); await server.sql('CREATE TABLE t(id int); INSERT INTO t SELECT g FROM generate_series(1, 20000) g; CREATE TABLE written(id int)') })
after(async () => { await server.stop() })
const policy = (rest: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], ${rest} }]\n`
async function within(rest: string, body: (s: TestSession) => Promise<void>): Promise<void> {
  const session = await openTestSession(server, { policies: policy(rest) })
  try { await body(session) } finally { await session.end() }
}
const ROWS = 'review: [{ name: many, rows: 100, reviewers: { groups: [sam] } }]'
const DELETE = 'review: [{ name: look, operations: [sql.delete], reviewers: { groups: [sam] } }]'

test('an answer pauses at its bound, goes on when approved, and ends when not; the session goes on', () => within(ROWS, async (s) => {
  for (const [decision, rows, last] of [['approve', 20_000, 'C'], ['deny', 100, 'E']] as const) {
    const from = s.client.count('D'), readies = s.client.count('Z'), waited = s.waiting.length
    s.client.send(m.query('SELECT id FROM t'))
    await s.client.until(() => s.waiting.length > waited)
    await new Promise((later) => setTimeout(later, 50))
    assert.equal(s.client.count('D') - from, 100)
    s.waiting.at(-1)!.decide(decision)
    await s.client.ready(readies + 1)
    assert.equal(s.client.count('D') - from, rows)
    assert.equal(s.client.seen.at(-2)!.type, last)
    assert.deepEqual((await s.client.ask([m.query('SELECT 1')])).map((l) => l[0]), ['T', 'D', 'C', 'Z'])
  }
}))
test('a cut answer fails its transaction, also when the server had said all before the cancel came', () => within('deny: [{ name: many, rows: 100 }]', async (s) => {
  for (const rows of [150, 20_000]) {
    const select = `SELECT id FROM t WHERE id <= ${rows}`
    for (const parts of [[m.query(select)], [m.parse(select), m.bind(), m.execute(), m.sync()], [m.parse(select), m.bind(), m.execute(), m.parse('SELECT 1'), m.bind(), m.execute(), m.sync()]]) {
      await s.client.ask([m.parse('SELECT 41 + 1'), m.query('BEGIN'), m.query('INSERT INTO written VALUES (1)')], 2)
      const lines = await s.client.ask(parts)
      assert.match(lines.filter((l) => !l.startsWith('D')).map((l) => l[0]).join(''), /^(T|12)EZ$/)
      assert.equal(lines.filter((l) => l.startsWith('D')).length, 100)
      assert.match(lines.at(-2)!, /42501 refused by Sluice: rule "p.many"/)
      assert.equal(lines.at(-1), 'Z E')
      assert.deepEqual((await s.client.ask([m.query('COMMIT')])), ['C ROLLBACK\\0', 'Z I'])
    }
  }
  assert.equal((await server.sql('SELECT count(*) FROM written')).rows[0].count, '0')
}))
test('a statement that waits behind a cut answer takes effect after the cut has', () => within('deny: [{ name: many, rows: 100 }], review: [{ name: look, operations: [sql.delete], reviewers: { groups: [sam] } }]', async (s) => {
  const lines = s.client.ask([m.query('BEGIN'), m.query('SELECT id FROM t WHERE id <= 150'), m.query('DELETE FROM t')], 3)
  await s.client.until((seen) => s.waiting.length === 1 && seen.some((x) => x.type === 'E'))
  s.waiting[0]!.decide('approve')
  assert.match((await lines).filter((l) => !/^[DN]/.test(l)).map((l) => (l.startsWith('E') ? l.slice(8, 13) : l.startsWith('Z') ? l : l[0])).join(' '), /^C Z T T 42501 Z E 25P02 Z E$/)
  assert.deepEqual(await s.client.ask([m.query('ROLLBACK')]), ['C ROLLBACK\\0', 'Z I'])
  assert.equal((await server.sql('SELECT count(*) FROM t')).rows[0].count, '20000')
}))
test('a cut answer in a pipeline is one error, and what follows keeps its order', () => within('deny: [{ name: many, rows: 100 }]', async (s) => {
  const lines = await s.client.ask([m.query('BEGIN'), m.query('SELECT id FROM t'), m.query('SELECT 1'), m.query('ROLLBACK'), m.query('SELECT 2')], 5)
  const shape = lines.filter((l) => !l.startsWith('D')).map((l) => l[0]).join('')
  // What was sent behind it may have run before the cancel came: then it is answered as it ran.
  assert.match(shape, /^CZTE(ZEZ|ZTCZ)CZTCZ$/)
  assert.equal(lines.filter((l) => l.startsWith('D')).length <= 102, true)
}))
test('a client that cancels, says good-bye or leaves while it waits ends the wait, and nothing runs', async () => {
  for (const leave of [(s: TestSession) => { s.relay.cancelled() }, (s: TestSession) => { s.client.send(m.terminate()) }, (s: TestSession) => { s.client.stream.end() }]) {
    await within(DELETE, async (s) => {
      s.client.send(m.query('BEGIN'), m.query('DELETE FROM t'), m.query('COMMIT'))
      await s.client.until(() => s.waiting.length === 1)
      leave(s)
      await s.client.until((seen) => s.waiting[0]!.cancelled !== null && (s.client.ended || seen.length > 2))
      assert.equal((await server.sql('SELECT count(*) FROM t')).rows[0].count, '20000')
    })
  }
})
test('a CancelRequest while a statement runs ends that statement alone', () => within(DELETE, async (s) => {
  await s.client.ask([m.query('SELECT 1')])
  s.client.send(m.query('SELECT pg_sleep(20)'))
  await new Promise((later) => setTimeout(later, 150))
  s.relay.cancelled()
  await s.client.until((seen) => seen.at(-2)?.type === 'E' && seen.at(-1)?.type === 'Z')
  assert.deepEqual((await s.client.ask([m.query('SELECT 2')])).map((l) => l[0]), ['T', 'D', 'C', 'Z'])
}))
test('a cell of 20 MB passes whole', () => within(DELETE, async (s) => {
  await s.client.ask([m.query("SELECT repeat('x', 20000000)")])
  assert.equal(s.client.seen.find((x) => x.type === 'D')?.body.length, 20_000_006)
}))
