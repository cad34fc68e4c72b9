// What the codec knows of the server must be what the server knows: names, transactions, batches. Each test is a way in which a client
// could make the two differ, played against a real server.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import type { RawClient } from './client.ts'
import { EVERYTHING, openBare, openTestSession, type TestSession } from './session.ts'

let server: TestServer
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE TABLE t(id int PRIMARY KEY, secret text); INSERT INTO t SELECT g, 'value ' || g FROM generate_series(1, 500) g;
    CREATE SCHEMA other; CREATE TABLE other.t(id int, secret text); INSERT INTO other.t VALUES (1, 'HIDDEN-1');
    CREATE TABLE kept(id int PRIMARY KEY); INSERT INTO kept SELECT g FROM generate_series(1, 9) g; CREATE ROLE app LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public, other TO app; GRANT USAGE ON SCHEMA other TO app; GRANT CREATE ON SCHEMA public TO app`)
})
after(async () => { await server.stop() })

const policy = (rest: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], ${rest} }]\n`
const REVIEWED_DELETE = policy('review: [{ name: look, operations: [sql.delete], reviewers: { groups: [sam] } }]')
const NO_DROP = policy('deny: [{ name: no-drop, operations: [sql.drop] }]')
async function within(options: Parameters<typeof openTestSession>[1], body: (s: TestSession) => Promise<void>): Promise<void> {
  const session = await openTestSession(server, options)
  try { await body(session) } finally { await session.end() }
}
const sentOf = (s: TestSession) => Buffer.concat(s.tap).toString('latin1')
const kept = async () => Number((await server.sql('SELECT count(*) FROM kept')).rows[0].count)

describe('names stand here for what they stand for at the server', () => {
  test('a Parse that the server refuses, twice in one write, does not rename what runs', () => within({ policies: REVIEWED_DELETE }, async (s) => {
    await s.client.ask([m.parse('DELETE FROM kept', 's1'), m.sync()])
    const again = m.parse('SELECT 1', 's1')
    await s.client.ask([again, m.sync(), again, m.sync()], 2)
    s.client.send(m.bind({ statement: 's1' }), m.execute(), m.sync())
    await s.client.until(() => s.waiting.length > 0 || s.client.count('Z') >= 4)
    assert.equal(s.waiting.length, 1, 'the DELETE must wait for a person')
    assert.equal(await kept(), 9)
  }))
  test('a name freed by Close and given to another statement is not EXECUTEd as the old one', () => within({ policies: REVIEWED_DELETE }, async (s) => {
    await s.client.ask([m.query('PREPARE p AS SELECT 1')])
    await s.client.ask([m.close('S', 'p'), m.parse('DELETE FROM kept', 'p'), m.sync()])
    s.client.send(m.query('EXECUTE p'))
    await s.client.until(() => s.waiting.length > 0 || s.client.count('Z') >= 3)
    assert.equal(await kept(), 9)
    assert.equal(s.waiting.length, 1, 'the DELETE must wait for a person')
  }))
  test('… not even when all is sent in one write', () => within({ policies: REVIEWED_DELETE }, async (s) => {
    s.client.send(m.query('PREPARE p AS SELECT 1'), m.close('S', 'p'), m.parse('DELETE FROM kept', 'p'), m.sync(), m.query('EXECUTE p'))
    await s.client.until(() => s.waiting.length > 0 || s.client.count('Z') >= 3)
    assert.equal(await kept(), 9)
  }))
  test('a statement that EXECUTEs by name is judged again when the name means another', () => within({ policies: NO_DROP }, async (s) => {
    await s.client.ask([m.query('PREPARE p AS SELECT 1'), m.parse('EXECUTE p', 'run'), m.sync()], 2)
    await s.client.ask([m.query('DEALLOCATE p'), m.query('PREPARE p AS SELECT 2')], 2)
    const asked = s.record.filter((e) => e.kind === 'asked').length
    const lines = await s.client.ask([m.bind({ statement: 'run' }), m.execute(), m.sync()])
    assert.deepEqual(lines.map((l) => l[0]), ['2', 'D', 'C', 'Z'], lines.join('\n'))
    assert.ok(s.record.filter((e) => e.kind === 'asked').length > asked)
  }))
  test('SQL PREPARE of a name that a failed Parse once had is not bound as that', () => within({ policies: REVIEWED_DELETE }, async (s) => {
    await s.client.ask([m.parse('SELECT 1', 's1'), m.sync()])
    await s.client.ask([m.query('DISCARD ALL'), m.parse('SELECT 1/', 's1'), m.sync()], 2)
    const lines = await s.client.ask([m.bind({ statement: 's1' }), m.execute(), m.sync()])
    assert.match(lines[0] ?? '', /26000/)
  }))
  test('a pipelined batch keeps the portals and statements that the one before did not end', () => within({}, async (s) => {
    const batch = [m.parse('SELECT 1'), m.bind(), m.execute(), m.sync()]
    s.client.send(...batch, m.parse('SELECT 2'), m.bind())
    await s.client.ready()
    await s.client.ask([m.execute(), m.sync()])
    assert.equal(s.client.lines().filter((l) => l.startsWith('E')).length, 0, s.client.lines().join('\n'))
  }))
  test('DISCARD ALL does not forget a statement whose Parse came after it in the same write', () => within({}, async (s) => {
    const lines = await s.client.ask([m.query('DEALLOCATE ALL'), m.parse('SELECT 7', 'a'), m.bind({ statement: 'a' }), m.execute(), m.sync(), m.bind({ statement: 'a' }), m.execute(), m.sync()], 3)
    assert.deepEqual(lines.filter((l) => l.startsWith('D')).length, 2, lines.join('\n'))
  }))
})

describe('the server keeps its own state', () => {
  test('what follows an error up to Sync is skipped, in one write or in many', () => within({}, async (s) => {
    for (const parts of [[[m.parse('bad'), m.flush()], [m.bind(), m.execute(), m.query('SELECT 1'), m.sync()]], [[m.parse('bad'), m.bind(), m.execute(), m.query('SELECT 1'), m.sync()]]]) {
      const from = s.client.seen.length
      for (const part of parts) { s.client.send(...part); await s.client.until((seen) => seen.length > from) }
      await s.client.until((seen) => seen.at(-1)?.type === 'Z')
      assert.deepEqual(s.client.lines().slice(from).map((l) => l[0]), ['E', 'Z'])
    }
    assert.deepEqual((await s.client.ask([m.query('SELECT 1')])).map((l) => l[0]), ['T', 'D', 'C', 'Z'])
  }))
  test('a probe does not commit a batch that has not been synced', () => within({}, async (s) => {
    const shelf = s
    s.client.send(m.parse('INSERT INTO kept VALUES (100)'), m.bind(), m.execute(), m.flush())
    await s.client.until((seen) => seen.some((x) => x.type === 'C'))
    shelf.repolicy(EVERYTHING) // names are to be learned anew: not now
    s.client.send(m.flush())
    await new Promise((later) => setTimeout(later, 50))
    const lines = await s.client.ask([m.parse('SELECT 1/0'), m.bind(), m.execute(), m.sync()])
    assert.ok(lines.some((l) => l.startsWith('E')), lines.join('\n'))
    assert.equal(await kept(), 9, 'the batch was one transaction')
  }))
  test('the unnamed statement survives what Sluice asks for itself', () => within({}, async (s) => {
    await s.client.ask([m.parse('SELECT $1::int + 1'), m.describe('S'), m.sync()])
    s.repolicy(EVERYTHING)
    const lines = await s.client.ask([m.bind({ values: ['41'] }), m.execute(), m.sync()])
    assert.deepEqual(lines.map((l) => l[0]), ['2', 'D', 'C', 'Z'], lines.join('\n'))
  }))
  test('BEGIN; SET TRANSACTION ISOLATION LEVEL works as the first statements, also when names moved', () => within({}, async (s) => {
    for (const say of [(text: string) => [m.query(text)], (text: string) => [m.parse(text), m.bind(), m.execute(), m.sync()]]) {
      for (const text of ['BEGIN', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'SELECT 1', 'COMMIT']) {
        s.repolicy(EVERYTHING)
        const lines = await s.client.ask(say(text))
        assert.ok(!lines.some((l) => l.startsWith('E')), `${text}: ${lines.join('\n')}`)
      }
    }
  }))
  test('a transaction that failed on DDL can be rolled back by the extended protocol', () => within({}, async (s) => {
    const run = (text: string) => s.client.ask([m.parse(text), m.bind(), m.execute(), m.sync()])
    await run('BEGIN')
    assert.ok((await run('CREATE TABLE t(id int)')).some((l) => l.includes('42P07')))
    const lines = await run('ROLLBACK')
    assert.deepEqual(lines.map((l) => l[0]), ['1', '2', 'C', 'Z'], lines.join('\n'))
    assert.equal(lines.at(-1), 'Z I')
  }))
  test('a text after ROLLBACK in one write is not judged under the names before it', () => within({ policies: policy("mask: [{ fields: [other.t.secret], with: redact }]"), user: 'app' }, async (s) => {
    await s.client.ask([m.query('SELECT 1')])
    await s.client.ask([m.query('SET search_path = other; COMMIT; BEGIN; SELECT 1/0')])
    const lines = await s.client.ask([m.query('ROLLBACK'), m.query('SELECT secret FROM t LIMIT 1')], 2)
    assert.ok(!lines.join().includes('HIDDEN-1'), lines.join('\n'))
  }))
  test('a refused statement fails as one of the server\'s own would, in and out of transactions and batches', async () => {
    const bare = await openBare(server)
    const s = await openTestSession(server, { policies: NO_DROP })
    const denied = 'DROP TABLE kept', failing = 'SELECT * FROM is_not_there'
    const shapes: ((bad: string) => Buffer[])[] = [
      (bad) => [m.query(bad)],
      (bad) => [m.query('BEGIN'), m.query(bad), m.query('SELECT 1'), m.query('COMMIT')],
      (bad) => [m.query('BEGIN'), m.query('SAVEPOINT a'), m.query(bad), m.query('ROLLBACK TO a'), m.query('SELECT 1'), m.query('COMMIT')],
      (bad) => [m.parse('SELECT 1'), m.bind(), m.execute(), m.parse(bad), m.bind(), m.execute(), m.parse('SELECT 2'), m.bind(), m.execute(), m.sync(), m.query('SELECT 3')],
      (bad) => [m.parse('INSERT INTO kept VALUES (200)'), m.bind(), m.execute(), m.parse(bad), m.sync(), m.query('SELECT count(*) FROM kept')],
      (bad) => [m.parse(bad, 'x'), m.sync(), m.bind({ statement: 'x' }), m.sync(), m.parse('SELECT 4', 'x'), m.bind({ statement: 'x' }), m.execute(), m.sync(), m.close('S', 'x'), m.sync()],
      (bad) => [m.query('BEGIN'), m.parse(bad), m.bind(), m.execute(), m.sync(), m.parse('SELECT 5'), m.bind(), m.execute(), m.sync(), m.query('ROLLBACK')],
      (bad) => [m.parse('SELECT 6'), m.bind(), m.parse(bad), m.flush(), m.execute(), m.sync()],
      (bad) => [m.parse('SELECT 6'), m.query(bad), m.bind(), m.execute(), m.sync()],
    ]
    try {
      for (const [number, shape] of shapes.entries()) {
        const last = `'done ${number}'`
        const run = async (client: RawClient, bad: string) => {
          const from = client.seen.length
          client.send(...shape(bad), m.query(`SELECT ${last}`))
          await client.until((seen) => seen.at(-1)?.type === 'Z' && seen.at(-3)?.body.includes(`done ${number}`) === true)
          return client.lines().slice(from).map((line) => (line.startsWith('E') ? 'E' : line))
        }
        assert.deepEqual(await run(s.client, denied), await run(bare, failing), `shape ${number}`)
      }
      assert.ok(!sentOf(s).includes('DROP TABLE'), 'nothing of a refused text reaches the server')
      assert.equal(await kept(), 9)
    } finally { bare.stream.destroy(); await s.end() }
  })
})

describe('what the tap shows', () => {
  test('an allowed request reaches the server as the same bytes, a refused or waiting one not at all', () => within({ policies: policy('deny: [{ name: no-drop, operations: [sql.drop] }], review: [{ name: look, operations: [sql.delete], reviewers: { groups: [sam] } }]') }, async (s) => {
    const allowed = Buffer.concat([m.parse('SELECT $1::int', 'n', [23]), m.bind({ statement: 'n', values: ['5'], formats: [1] }), m.describe('P'), m.execute('', 3), m.close('S', 'n'), m.sync()])
    await s.client.ask([m.query('SELECT 1')])
    s.tap.length = 0
    await s.client.ask([allowed])
    assert.ok(Buffer.concat(s.tap).equals(allowed))
    s.tap.length = 0
    await s.client.ask([m.query('DROP TABLE kept -- MARK'), m.parse('DROP TABLE kept -- MARK'), m.bind(), m.execute(), m.sync()], 2)
    assert.ok(!sentOf(s).includes('MARK'))
    s.client.send(m.query('DELETE FROM kept WHERE id = 1 -- MARK'))
    await s.client.until(() => s.waiting.length === 1)
    assert.ok(!sentOf(s).includes('MARK'))
    s.waiting[0]!.decide('deny')
    await s.client.until((seen) => seen.at(-1)?.type === 'Z' && seen.at(-2)?.type === 'E')
    assert.ok(!sentOf(s).includes('MARK'))
    assert.equal(await kept(), 9)
  }))
})
