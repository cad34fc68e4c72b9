// SQL's EXECUTE and the protocol's Parse share one space of names: what EXECUTE runs is read, masked, counted and worded as the statement that
// the name stands for, whoever gave it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession, type TestSession } from './session.ts'

let server: TestServer
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE TABLE people(id int PRIMARY KEY, name text NOT NULL, ssn text, UNIQUE (ssn) DEFERRABLE INITIALLY DEFERRED); INSERT INTO people VALUES (1, 'ann', 'MARKER-1'), (2, 'bob', 'MARKER-2');
    CREATE TABLE plain(name text); INSERT INTO plain VALUES ('ann'); CREATE SCHEMA other; CREATE TABLE other.plain(name text); INSERT INTO other.plain VALUES ('eve'); CREATE TABLE other.people(id int, name text, ssn text); INSERT INTO other.people VALUES (1, 'eve', 'MARKER-3')`)
})
after(async () => { await server.stop() })
const policy = (rest: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], ${rest} }]\n`
const MASKED = policy('mask: [{ fields: [public.people.ssn], with: redact, lookups: 2/1m }], deny: [{ name: no-delete, operations: [sql.delete] }]')
async function within(policies: string, body: (s: TestSession) => Promise<void>): Promise<void> {
  const session = await openTestSession(server, { policies })
  try { await body(session); assert.ok(!session.client.lines().join().includes('MARKER'), session.client.lines().join('\n')) } finally { await session.end() }
}
const say = async (s: TestSession, text: string) => (await s.client.ask([m.query(text)])).slice(0, -1).join('\n')

test('EXECUTE runs a statement that Parse made, masked as it is', () => within(MASKED, async (s) => {
  await s.client.ask([m.parse('SELECT id, ssn FROM people WHERE id = $1', 'a'), m.sync()])
  assert.match(await say(s, 'EXECUTE a(1)'), /\[hidden\]/)
  await s.client.ask([m.parse('DELETE FROM people WHERE id = $1', 'b'), m.sync()])
  assert.match(await say(s, 'EXECUTE b(1)'), /26000/, 'its Parse was refused')
  assert.match(await say(s, 'EXPLAIN (COSTS OFF) EXECUTE a(1)'), /people/)
  assert.match(await say(s, 'CREATE TEMP TABLE copied AS EXECUTE a(1)'), /42501/)
}))
test('an unknown name is the server\'s own error, also in a transaction that failed', () => within(MASKED, async (s) => {
  assert.match(await say(s, 'EXECUTE nope(1)'), /^E ERROR 26000 prepared statement "nope" does not exist$/)
  await say(s, 'BEGIN')
  await say(s, 'SELECT 1/0')
  assert.match(await say(s, 'EXECUTE nope'), /25P02/)
  await say(s, 'ROLLBACK')
  for (const name of ['p', 'q']) await say(s, `PREPARE ${name} AS SELECT 1`)
  await s.client.ask([m.close('S', 'p'), m.sync()])
  assert.match(await say(s, 'EXECUTE p'), /26000/)
  assert.match(await say(s, 'EXECUTE q'), /^T .*\nD /)
}))
test('a name that moved means what the server plans anew, or is refused as the server would', () => within(MASKED, async (s) => {
  await s.client.ask([m.parse('SELECT id, ssn FROM people WHERE id = 1', 'a'), m.sync()])
  await say(s, 'PREPARE b AS SELECT name FROM plain')
  await say(s, 'SET search_path = other')
  assert.match(await say(s, 'EXECUTE a'), /0A000 cached plan must not change result type/)
  assert.match(await say(s, 'EXECUTE b'), /eve/)
  await say(s, 'RESET search_path')
  assert.match(await say(s, 'EXECUTE a'), /\[hidden\]/)
  assert.match(await say(s, 'EXECUTE b'), /ann/)
}))
test('an error of what EXECUTE runs keeps no values, nor one that a COMMIT brings', () => within(MASKED, async (s) => {
  await say(s, 'PREPARE w(int) AS UPDATE people SET name = NULL WHERE id = $1')
  await s.client.ask([m.parse('UPDATE people SET name = NULL WHERE id = $1', 'w2'), m.sync()])
  const ended = () => s.record.filter((e) => e.kind === 'ended').map((e) => e.body.outcome)
  const before = ended().length
  await say(s, 'EXECUTE w(1)')
  assert.deepEqual(ended().slice(before), ['failed'], 'it did not also succeed')
  for (const text of ['EXECUTE w(1)', 'EXECUTE w2(2)']) assert.match(await say(s, text), /23502 null value in column "name" of relation "people" violates not-null constraint$/)
  await say(s, 'INSERT INTO people VALUES (3, \'c\', \'MARK\' || \'ER-7\')')
  for (const end of [[m.query('COMMIT')], [m.query('SET CONSTRAINTS ALL IMMEDIATE')]]) {
    await s.client.ask([m.query('BEGIN'), m.query("INSERT INTO people VALUES (4, 'd', 'MARK' || 'ER-7')")], 2)
    const lines = await s.client.ask(end)
    assert.match(lines[0] ?? '', /23505/)
    await say(s, 'ROLLBACK')
  }
  // … nor one that Sync brings.
  const lines = await s.client.ask([m.parse("INSERT INTO people VALUES (4, 'd', 'MARK' || 'ER-7')"), m.bind(), m.execute(), m.sync()])
  assert.match(lines.at(-2) ?? '', /23505/)
}))
test('what EXECUTE is given is hidden in the record, and the masks\' own text is not stored', () => within(MASKED, async (s) => {
  await say(s, 'PREPARE i(int, text) AS INSERT INTO people VALUES ($1, \'x\', $2)')
  await say(s, "EXECUTE i(9, 'SECRET-VALUE')")
  assert.match(await say(s, "EXECUTE i(10, '[hidden]')"), /42501.*store the mask/)
  assert.ok(!JSON.stringify(s.record).includes('SECRET-VALUE'))
}))
