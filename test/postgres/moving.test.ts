// What a text means moves while a session lasts: other sessions' DDL, roles, paths, temporary tables, transactions that are undone. A statement
// prepared before is judged again when it runs, and a masked value is never shown by what moved.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { MemoryShelf, openTestSession, type TestSession } from './session.ts'

let server: TestServer
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE TABLE t(id int, secret text); INSERT INTO t VALUES (1, 'HIDDEN'); CREATE SCHEMA other; CREATE TABLE other.t(id int, secret text); INSERT INTO other.t VALUES (2, 'HIDDEN');
    CREATE TABLE grows(id int); INSERT INTO grows VALUES (1); CREATE TABLE kept(id int); INSERT INTO kept SELECT g FROM generate_series(1, 9) g; CREATE ROLE reader; GRANT USAGE ON SCHEMA other TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA public, other TO reader; ALTER ROLE reader SET search_path = other`)
})
after(async () => { await server.stop() })
const policies = (masked: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], review: [{ name: look, operations: [sql.delete], reviewers: { groups: [sam] } }], mask: [{ fields: [${masked}], with: redact }] }]\n`
async function within(masked: string, body: (s: TestSession, shelf: MemoryShelf) => Promise<void>): Promise<void> {
  const shelf = new MemoryShelf()
  const session = await openTestSession(server, { policies: policies(masked), shelf })
  try { await body(session, shelf) } finally { await session.end() }
  assert.equal(session.client.lines().join('\n').includes('HIDDEN'), false, 'a masked value was shown')
}
const run = (s: TestSession, statement: string) => s.client.ask([m.bind({ statement }), m.execute(), m.sync()])
const rows = (lines: readonly string[]) => lines.filter((l) => l.startsWith('D')).length

test('a statement prepared before another session added a masked column is prepared anew, by 0A000', () => within('public.grows.secret', async (s, shelf) => {
  await s.client.ask([m.parse('SELECT * FROM grows', 'a'), m.sync()])
  assert.equal(rows(await run(s, 'a')), 1)
  const other = await openTestSession(server, { policies: policies('public.grows.secret'), shelf })
  await other.client.ask([m.query("ALTER TABLE grows ADD COLUMN secret text DEFAULT 'HIDDEN'"), m.sync(), m.query('SELECT 1')], 3)
  await other.end()
  assert.match((await run(s, 'a')).join('\n'), /E ERROR 0A000 cached plan must not change result type/)
  const again = await s.client.ask([m.close('S', 'a'), m.parse('SELECT * FROM grows', 'a'), m.bind({ statement: 'a' }), m.execute(), m.sync()])
  assert.equal(rows(again), 1, again.join('\n'))
}))
test('a catalog replaced between Sync and Bind, and between Bind and Execute, leaves the mask where it is', () => within('public.t.secret', async (s, shelf) => {
  await s.client.ask([m.parse('SELECT secret FROM t', 'a'), m.sync()])
  const replace = () => { shelf.put(shelf.current!.database, shelf.current!.catalog) }
  replace()
  assert.equal(rows(await run(s, 'a')), 1)
  s.client.send(m.bind({ statement: 'a' }), m.flush())
  await s.client.until((seen) => seen.at(-1)?.type === '2')
  replace()
  await s.client.ask([m.execute(), m.sync()])
  assert.equal(rows(await run(s, 'a')), 1)
}))
test('a statement prepared under one path or role is judged under the one it runs in', () => within('other.t.secret', async (s) => {
  await s.client.ask([m.parse("SELECT id FROM t", 'a'), m.parse('SELECT secret FROM t WHERE id = 2', 'b'), m.sync()])
  await s.client.ask([m.query('SET search_path = other')])
  for (const name of ['a', 'b']) await run(s, name)
  assert.equal(rows(await s.client.ask([m.query('SELECT secret FROM t')])), 1)
  await s.client.ask([m.query('RESET search_path'), m.sync(), m.query('SET ROLE reader')], 3)
  const asked = s.record.filter((e) => e.kind === 'asked').length
  await run(s, 'b')
  assert.ok(s.record.filter((e) => e.kind === 'asked').length > asked)
}))
test('a temporary table in front of a masked one, and its end, are both seen', () => within('public.t.secret', async (s) => {
  await s.client.ask([m.parse('SELECT secret FROM t', 'a'), m.sync()])
  await s.client.ask([m.query("CREATE TEMP TABLE t AS SELECT 7 AS id, 'open' AS secret")])
  await run(s, 'a')
  assert.match((await s.client.ask([m.query('SELECT secret FROM t')])).join('\n'), /open/)
  await s.client.ask([m.parse('SELECT secret FROM t', 'b'), m.sync()])
  await s.client.ask([m.query('DROP TABLE t')])
  for (const name of ['a', 'b']) await run(s, name)
  assert.equal(rows(await s.client.ask([m.query('SELECT secret FROM t')])), 1)
  await s.client.ask([m.query('BEGIN'), m.query("CREATE TEMP TABLE t AS SELECT 7 AS id, 'open' AS secret")], 2)
  await s.client.ask([m.parse('SELECT secret FROM t', 'c'), m.sync()])
  await s.client.ask([m.query('ROLLBACK')])
  await run(s, 'c')
}))
test('a view that nobody has committed is looked through like any other', () => within('public.t.secret', async (s) => {
  await s.client.ask([m.query('BEGIN'), m.query('CREATE VIEW v AS SELECT upper(secret) AS x, secret AS y FROM t')], 2)
  const lines = await s.client.ask([m.query('SELECT y FROM v')])
  assert.equal(lines.at(-1)?.[0], 'Z')
  await s.client.ask([m.query('SELECT x FROM v')])
  await s.client.ask([m.query('ROLLBACK')])
  assert.match((await s.client.ask([m.query('SELECT y FROM v')])).join('\n'), /E ERROR/)
}))
test('a wait inside an extended pipeline keeps its order, and a refusal undoes the batch', () => within('public.t.secret', async (s) => {
  const one = (text: string) => [m.parse(text), m.bind(), m.execute()]
  for (const [decision, left, expected] of [['deny', 9, /^12C(12)?EZ$/], ['approve', 7, /^12C12C12DCZ$/]] as const) {
    const waited = s.waiting.length
    const lines = s.client.ask([...one('INSERT INTO kept VALUES (10)'), ...one('DELETE FROM kept WHERE id IN (1, 2, 10)'), ...one('SELECT 5'), m.sync()])
    await s.client.until(() => s.waiting.length > waited)
    s.waiting.at(-1)!.decide(decision)
    assert.match((await lines).map((l) => l[0]).filter((l) => l !== 'N').join(''), expected)
    assert.equal(Number((await server.sql('SELECT count(*) FROM kept')).rows[0].count), left)
  }
}))
