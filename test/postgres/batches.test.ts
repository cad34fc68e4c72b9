// What a client sends before it has heard the answers: names that move within a batch are learned there, and nothing that is behind an answer
// ended at a bound takes effect.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { EVERYTHING, openTestSession, type TestSession } from './session.ts'

let server: TestServer
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE TABLE t(id int); INSERT INTO t SELECT g FROM generate_series(1, 2000) g; CREATE TABLE written(id int);
    CREATE TABLE people(id int, ssn text); INSERT INTO people VALUES (1, 'MARKER-1'); CREATE SCHEMA other; CREATE TABLE other.people(id int, ssn text); INSERT INTO other.people VALUES (1, 'open')`)
})
after(async () => { await server.stop() })
const policy = (rest: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], ${rest} }]\n`
async function within(policies: string, body: (s: TestSession) => Promise<void>): Promise<void> {
  const session = await openTestSession(server, { policies })
  try {
    await body(session)
    assert.ok(!session.client.lines().join().includes('MARKER'))
    assert.deepEqual(session.failures, [])
  } finally { await session.end() }
}
const run = (text: string) => [m.parse(text), m.bind(), m.execute()]
const kinds = (lines: readonly string[]) => lines.map((l) => (l.startsWith('E') ? l.slice(8, 13) : l.startsWith('Z') ? l : l[0])).join(' ')
const written = async () => Number((await server.sql('SELECT count(*) FROM written')).rows[0].count)
const MASKED = policy('mask: [{ fields: [public.people.ssn], with: redact }]')
const LIMIT = policy('deny: [{ name: many, rows: 100 }]')

test('a batch may change what names mean and then use them', () => within(MASKED, async (s) => {
  const shown = async (...texts: readonly string[]) => (await s.client.ask([...texts.flatMap(run), m.sync()])).filter((l) => /^[DE]/.test(l)).join('\n')
  assert.match(await shown('SET search_path = other', 'SELECT ssn FROM people'), /open/)
  assert.match(await shown('SET search_path = public', 'SELECT ssn FROM people'), /\[hidden\]/)
  assert.match(await shown('CREATE TEMP TABLE people AS SELECT 1 AS id, \'mine\'::text AS ssn', 'SELECT ssn FROM people', 'DROP TABLE pg_temp.people', 'SELECT ssn FROM people'), /mine.*\n.*\[hidden\]/)
  assert.match(await shown('CREATE TABLE fresh(id int, note text)', 'INSERT INTO fresh VALUES (1, \'made\')', 'SELECT note FROM fresh', 'SELECT ssn FROM people'), /made.*\n.*\[hidden\]/)
  // … and the path is what it was, inside the transaction and after it.
  assert.match(await shown('SET LOCAL search_path = other', 'CREATE TABLE x(id int)', 'SHOW search_path', 'SELECT count(*) FROM pg_class WHERE oid = to_regclass(\'other.x\')'), /other.*\n.*1$/)
  assert.match(await shown('SHOW search_path'), /public/)
  await server.sql('DROP TABLE fresh')
}))
test('a batch that failed leaves names as they were before it', () => within(MASKED, async (s) => {
  for (const parts of [[...run('CREATE TEMP TABLE people AS SELECT 1 AS id, \'mine\'::text AS ssn'), ...run('SELECT ssn FROM people'), ...run('SELECT 1/0'), m.sync(), ...run('SELECT ssn FROM people'), m.sync()]]) {
    const lines = await s.client.ask(parts, 2)
    assert.match(kinds(lines), /^1 2 C 1 2 D C 1 22012 Z I 1 2 D C Z I$|^1 2 C 1 2 D C 1 2 22012 Z I 1 2 D C Z I$/)
    assert.match(lines.filter((l) => l.startsWith('D')).at(-1) ?? '', /hidden/)
  }
}))
test('BEGIN, SET TRANSACTION and a name in one batch', () => within(EVERYTHING, async (s) => {
  const lines = await s.client.ask([...run('BEGIN'), ...run('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'), ...run('CREATE TEMP TABLE b(id int)'), ...run('SELECT * FROM b'), ...run('COMMIT'), m.sync()])
  assert.ok(!kinds(lines).includes('4'), lines.join('\n'))
  assert.equal(lines.at(-1), 'Z I')
}))
test('SQL PREPARE, EXECUTE and Bind of one name in one batch', () => within(MASKED, async (s) => {
  const lines = await s.client.ask([...run('PREPARE a(int) AS SELECT ssn FROM people WHERE id = $1'), ...run('EXECUTE a(1)'), m.bind({ statement: 'a', values: ['1'] }), m.describe('P'), m.execute(), m.sync()])
  assert.equal(lines.filter((l) => l.startsWith('D') && l.includes('[hidden]')).length, 2, lines.join('\n'))
  assert.match(kinds(await s.client.ask([m.bind({ statement: 'nope' }), m.sync()])), /^26000 Z I$/)
}))
test('what is pipelined behind an answer that is ended at a bound takes no effect', () => within(LIMIT, async (s) => {
  for (const rows of [150, 2000]) {
    const big = `SELECT id FROM t WHERE id <= ${rows}`
    const cases: readonly [string, readonly Buffer[], number, RegExp][] = [
      ['Query, COMMIT', [m.query('BEGIN'), m.query('INSERT INTO written VALUES (1)'), m.query(big), m.query('COMMIT')], 4, /^C Z T C Z T T 42501 Z E C Z I$/],
      ['Execute, Sync, COMMIT', [m.query('BEGIN'), m.query('INSERT INTO written VALUES (1)'), ...run(big), m.sync(), m.query('COMMIT')], 4, /^C Z T C Z T 1 2 42501 Z E C Z I$/],
      ['a batch that is a transaction', [...run('INSERT INTO written VALUES (1)'), ...run(big), m.sync()], 1, /^1 2 C 1 2 42501 Z I$/],
      ['COMMIT in the batch', [...run('BEGIN'), ...run('INSERT INTO written VALUES (1)'), ...run(big), ...run('COMMIT'), m.sync(), m.query('ROLLBACK')], 2, /^1 2 C 1 2 C 1 2 42501 Z E C Z I$/],
      ['a write in the batch', [...run(big), ...run('INSERT INTO written VALUES (1)'), m.sync()], 1, /^1 2 42501 Z I$/],
      ['Flush, then Sync', [...run('INSERT INTO written VALUES (1)'), ...run(big), m.flush(), m.sync()], 1, /^1 2 C 1 2 42501 Z I$/],
      ['a row limit of the client\'s', [...run('INSERT INTO written VALUES (1)'), m.parse(big), m.bind(), m.execute('', 120), m.sync()], 1, /^1 2 C 1 2 42501 Z I$/],
    ]
    for (const [name, parts, readies, expected] of cases) {
      assert.match(kinds((await s.client.ask(parts, readies)).filter((l) => !l.startsWith('D'))), expected, `${name}, ${rows} rows`)
      assert.equal(await written(), 0, `${name}, ${rows} rows`)
      assert.match(kinds(await s.client.ask([m.query('SELECT 7')])), /^T D C Z I$/)
    }
  }
}))
test('an answer ended before the client has sent its Sync leaves the batch waiting for it', () => within(LIMIT, async (s) => {
  for (const rows of [150, 2000]) {
    const from = s.client.seen.length
    s.client.send(...run('INSERT INTO written VALUES (1)'), ...run(`SELECT id FROM t WHERE id <= ${rows}`), m.flush())
    await s.client.until((seen) => seen.slice(from).some((x) => x.type === 'E'))
    const lines = await s.client.ask([...run('SELECT 1'), m.sync()])
    assert.deepEqual(lines, ['Z I'])
    assert.equal(await written(), 0)
  }
}))
test('pipelines whose answers are provably within bounds, or without any, go in one piece', async () => {
  for (const [policies, texts] of [[EVERYTHING, ['SELECT id FROM t', 'SELECT 2', 'SELECT 3']], [LIMIT, ['SELECT id FROM t LIMIT 10', 'INSERT INTO written VALUES (9)', 'SELECT 3']]] as const) {
    await within(policies, async (s) => {
      await s.client.ask([m.query('SELECT 1')])
      s.tap.length = 0
      await s.client.ask([m.query('BEGIN'), ...texts.flatMap(run), m.sync(), m.query('ROLLBACK')], 3)
      assert.equal(s.tap.length, 1, 'one write')
    })
  }
})
