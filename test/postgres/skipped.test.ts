// What a server skips after an error, and texts that move names behind a client's back: a name must never stand for another statement at
// the server than the one that was judged, however the messages are pipelined.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession, type TestSession } from './session.ts'

const POLICIES = `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write], review: [{ name: d, operations: [sql.delete], reviewers: { groups: [leads] }, within: 20s }], mask: [{ fields: [public.t.name], with: redact }] }]\n`
const DELETE = 'DELETE FROM t WHERE id = $1::int', MASKED = 'SELECT name FROM t WHERE id = $1::int', HARMLESS = 'SELECT note FROM n WHERE id = $1::int'
const failing = () => [m.parse('SELECT $1::int', 'bad'), m.bind({ portal: 'bad', statement: 'bad', values: ['abc'] })]
/** Long enough for all answers; a statement that waits for a review stays silent. */
const QUIET_MS = 400

let server: TestServer
before(async () => {
  server = await startPostgres({ version: 15 })
  await server.sql(`CREATE TABLE t(id int PRIMARY KEY, name text); INSERT INTO t SELECT g, 'SECRET' || g FROM generate_series(1, 9) g; CREATE TABLE n(id int, note text); INSERT INTO n VALUES (3, 'plain'), (3, 'second')`)
})
after(async () => { await server.stop() })

async function within(body: (s: TestSession) => Promise<void>): Promise<void> {
  const s = await openTestSession(server, { policies: POLICIES })
  try { await tell(s, m.query('SELECT 1')); await body(s) } finally { await s.end() }
  assert.equal(Number((await server.sql('SELECT count(*) FROM t')).rows[0].count), 9, 'nobody approved a DELETE')
  assert.deepEqual(s.failures, [])
}
/** Sends all at once and answers what comes, one line per message. */
async function tell(s: TestSession, ...bytes: readonly Buffer[]): Promise<string[]> {
  const from = s.client.seen.length
  s.client.send(Buffer.concat(bytes))
  for (let quiet = 0, seen = -1; quiet < QUIET_MS; quiet += 10) { if (s.client.bytes !== seen) { quiet = 0; seen = s.client.bytes } await new Promise((later) => setTimeout(later, 10)) }
  const shown = s.client.seen.slice(from).map(m.shown)
  assert.doesNotMatch(shown.join('\n'), /SECRET/)
  return shown
}

for (const statement of ['', 's1']) {
  for (const [what, text] of [['a DELETE that needs a review', DELETE], ['a masked SELECT', MASKED]] as const) {
    test(`${what} does not run under the name "${statement}" that a skipped Parse seemed to give to another`, () => within(async (s) => {
      const shown = await tell(s, m.parse(text, statement), m.sync(), ...failing(), ...(statement === '' ? [] : [m.close('S', statement)]), m.parse(HARMLESS, statement), m.sync(), m.bind({ statement, values: ['3'] }), m.execute(), m.sync())
      assert.equal(s.waiting.length, text === DELETE ? 1 : 0, shown.join('\n'))
    }))
  }
}

test('a text that was skipped takes no name from the client', () => within(async (s) => {
  const shown = await tell(s, m.parse(HARMLESS), m.bind({ statement: '', values: ['abc'] }), m.query('SELECT 2'), m.sync(), m.bind({ values: ['3'] }), m.execute(), m.sync())
  assert.deepEqual(shown.slice(-5).map((line) => line[0]), ['2', 'D', 'D', 'C', 'Z'], shown.join('\n'))
}))

test('a portal that a skipped Bind seemed to replace runs as the one it is', () => within(async (s) => {
  await tell(s, m.query('BEGIN'), m.parse(DELETE, 's1'), m.parse(HARMLESS, 's2'), m.bind({ portal: 'p1', statement: 's1', values: ['3'] }), m.sync(), m.query('SAVEPOINT a'))
  const shown = await tell(s, ...failing(), m.close('P', 'p1'), m.bind({ portal: 'p1', statement: 's2', values: ['3'] }), m.sync(), m.query('ROLLBACK TO a'), m.execute('p1'), m.sync(), m.query('COMMIT'))
  assert.equal(s.waiting.length, 1, shown.join('\n'))
}))

test('a cursor declared under a portal\'s name is masked as itself', () => within(async (s) => {
  const open = [m.query('BEGIN'), m.parse(HARMLESS, 's2'), m.bind({ portal: 'p1', statement: 's2', values: ['3'] }), m.describe('P', 'p1'), m.execute('p1', 1)]
  const move = 'DECLARE p1 CURSOR FOR SELECT name FROM t'
  await tell(s, ...open, m.sync(), m.query('CLOSE p1'), m.query(move), m.execute('p1'), m.sync(), m.query('ROLLBACK'))
  await tell(s, ...open, m.parse('CLOSE p1', 'x1'), m.bind({ portal: 'x1', statement: 'x1' }), m.execute('x1'), m.parse(move, 'x2'), m.bind({ portal: 'x2', statement: 'x2' }), m.execute('x2'), m.execute('p1'), m.sync(), m.query('ROLLBACK'))
  await tell(s, ...open, m.sync())
  await tell(s, m.query('CLOSE p1'))
  await tell(s, m.query(move))
  await tell(s, m.execute('p1'), m.sync(), m.query('ROLLBACK'))
}))

test('a statement prepared by SQL under a name of Parse is judged as itself', () => within(async (s) => {
  const move = 'PREPARE s1(int) AS DELETE FROM t WHERE id = $1'
  const run = [m.bind({ statement: 's1', values: ['3'] }), m.execute(), m.sync()]
  await tell(s, m.parse(HARMLESS, 's1'), m.sync(), m.query('DEALLOCATE s1'), m.query(move), ...run)
  await tell(s, m.query('DEALLOCATE ALL'))
  await tell(s, m.parse(HARMLESS, 's1'), m.sync(), m.parse('DEALLOCATE s1'), m.bind(), m.execute(), m.parse(move), m.bind(), m.execute(), ...run)
}))

test('what follows an error up to Sync is in the record as skipped, with values hidden', () => within(async (s) => {
  const from = s.record.length
  s.client.send(m.parse('SELECT 1/0', 'x'), m.bind({ statement: 'x' }), m.execute(), m.flush())
  await s.client.until((seen) => seen.some((x) => x.type === 'E'))
  await tell(s, m.parse("UPDATE t SET name = 'HIDE-ME' WHERE id = 1"), m.bind(), m.execute(), m.query('DELETE FROM t'), m.sync())
  const skipped = s.record.slice(from).filter((e) => e.body.phase === 'skipped')
  assert.deepEqual(skipped.map((e) => e.body.verdict), ['skip', 'skip'])
  assert.match(String(skipped[0]!.body.text), /^UPDATE t SET name = /)
  assert.equal(skipped[1]!.body.text, 'DELETE FROM t')
  assert.ok(!JSON.stringify(s.record).includes('HIDE-ME'))
  assert.equal(s.waiting.length, 0, 'nobody is asked about what does not run')
}))

test('Sync amid the data of a copy is read over, and ends it where the copy has failed', () => within(async (s) => {
  const copy = [m.parse('COPY n(id) FROM STDIN'), m.bind(), m.execute()]
  const kinds = (lines: readonly string[]) => lines.map((l) => l[0]).join('')
  assert.equal(kinds(await tell(s, ...copy, m.sync(), m.copyData('1\n'), m.sync(), m.copyData('2\n'), m.copyDone(), m.sync())), '12GCZ')
  assert.equal(kinds(await tell(s, ...copy, m.flush(), m.copyData('bad\n'), m.sync())), '12GEZ')
  assert.equal(kinds(await tell(s, m.query('SELECT count(*) FROM n'))), 'TDCZ')
  assert.equal(kinds(await tell(s, ...copy, m.flush(), m.copyData('4\n'), m.sync(), m.copyData('bad\n'), m.copyDone(), m.sync())).slice(0, 5), '12GEZ')
  assert.equal(kinds(await tell(s, m.query('SELECT count(*) FROM n'))), 'TDCZ')
}))
