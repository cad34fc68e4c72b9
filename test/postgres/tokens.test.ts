// Tokens on the wire, message by message: what goes upstream, what the client gets, what the record holds, and what tries to read a value
// that a token was turned into.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PROBES_ALERT } from '../../src/core/open.ts'
import type { SessionPorts } from '../../src/core/ports.ts'
import { Tokens } from '../../src/tokens/tokens.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession, type TestSession } from './session.ts'

const servers: TestServer[] = []
const MAIL = 'marker@mail.example', SSN = '123-45-6789', CODE = 4_711_001
const tokens = new Tokens(Buffer.alloc(32, 1))
const mail = tokens.hide({ kind: 'text', length: null }, MAIL)!, ssn = tokens.hide({ kind: 'text', length: null }, SSN)!, code = Number(tokens.hide({ kind: 'int4' }, String(CODE)))
const LEAK = /marker@mail|123-45-6789|4711001/
before(async () => {
  for (const version of SUITE_VERSIONS) {
    const server = await startPostgres({ version })
    servers.push(server)
    await server.sql(`CREATE TABLE people(id int PRIMARY KEY, email text UNIQUE, ssn text, code int, note text); INSERT INTO people VALUES (1, '${MAIL}', '${SSN}', ${CODE}, 'x'), (2, 'two@mail.example', NULL, 2, 'y');
      CREATE FUNCTION said() RETURNS text LANGUAGE sql STABLE AS 'SELECT current_query()'`)
  }
})
after(async () => { for (const server of servers) await server.stop() })
const POLICY = 'policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], mask: [{ fields: ["*.email", "*.ssn", "*.code"], with: token }] }]\n'
async function eachServer(body: (s: TestSession) => Promise<void>, policies = POLICY, rates?: () => SessionPorts['rates']): Promise<void> {
  for (const server of servers) {
    const session = await openTestSession(server, { policies, ...(rates === undefined ? {} : { rates: rates() }) })
    try {
      await body(session)
      assert.doesNotMatch(session.client.seen.map((one) => one.body.toString('latin1')).join('\n'), LEAK, 'a value reached the client')
      assert.doesNotMatch(JSON.stringify(session.record), LEAK, 'a value is in the record')
      assert.deepEqual(session.failures, [])
    } finally { await session.end() }
  }
}

test('the server is given the value, the client and the record never', () => eachServer(async (s) => {
  assert.match((await s.client.ask([m.query(`SELECT id, email FROM people WHERE email = '${mail}'`)])).join('\n'), /token\.invalid/)
  assert.match(Buffer.concat(s.tap).toString(), /marker@mail\.example/)
  const modified = s.record.filter(({ body }) => body.verdict === 'modify')
  assert.equal(modified.length, 1)
  assert.match(JSON.stringify(modified[0]), /sent/)
  s.tap.length = 0
  await s.client.ask([m.parse('SELECT id FROM people WHERE email = $1'), m.bind({ values: [mail] }), m.execute(), m.sync()])
  assert.match(Buffer.concat(s.tap).toString(), /marker@mail\.example/)
  await s.client.ask([m.query(`INSERT INTO people VALUES (3, '${mail.replace('@', 'a@')}', '${ssn}', ${code}, '${mail}')`)])
  await s.client.ask([m.query('DELETE FROM people WHERE id = 3')])
}))
test('a statement is described with its own parameters only, in any format, by name, with types declared and pipelined', () => eachServer(async (s) => {
  const described = await s.client.ask([m.parse('UPDATE people SET email = $1, ssn = $2, code = $3, note = $4 WHERE id = $5', 'save'), m.describe('S', 'save'), m.sync()])
  assert.equal(described.find((line) => line.startsWith('t')), 't \\0\\5\\0\\0\\0\\25\\0\\0\\0\\25\\0\\0\\0\\23\\0\\0\\0\\25\\0\\0\\0\\23')
  const int = (value: number) => { const b = Buffer.alloc(4); b.writeInt32BE(value); return b }
  for (const [formats, values] of [[[], [mail, ssn, String(code), 'x', '1']], [[0], [mail, ssn, String(code), 'x', '1']], [[1], [mail, ssn, int(code), 'x', int(1)]], [[0, 1, 1, 0, 0], [mail, ssn, int(code), 'x', '1']]] as const) {
    const lines = await s.client.ask([m.bind({ statement: 'save', values: [...values], valueFormats: [...formats] }), m.execute(), m.bind({ statement: 'save', portal: 'b', values: [...values], valueFormats: [...formats] }), m.execute('b'), m.sync()])
    assert.deepEqual(lines.filter((line) => line.startsWith('C')), ['C UPDATE 1\\0', 'C UPDATE 1\\0'], lines.join('\n'))
  }
  const lines = await s.client.ask([m.parse('SELECT id, code FROM people WHERE code = $1 AND id = $2', '', [23, 23]), m.bind({ values: [int(code), int(1)], valueFormats: [1], formats: [1] }), m.describe('P'), m.execute(), m.sync()])
  assert.equal(lines.filter((line) => line.startsWith('D')).length, 1, lines.join('\n'))
  assert.match((await s.client.ask([m.parse('SELECT id FROM people WHERE code = $1', '', [23, 23]), m.sync()])).join('\n'), /42501/)
  assert.match((await s.client.ask([m.parse('SELECT id FROM people WHERE code = $1'), m.bind({ values: [] }), m.sync()])).join('\n'), /08P01|requires/)
  assert.match((await s.client.ask([m.query('SELECT count(*) FROM people')])).join('\n'), /2/)
}))
test('nothing of the session tells the text that was sent', () => eachServer(async (s) => {
  const refused = async (...parts: Buffer[]) => { const lines = await s.client.ask(parts); assert.match(lines.join('\n'), /^E ERROR (42501|26000|0A000|22|42)/m, lines.join('\n')) }
  const where = `WHERE email = '${mail}'`
  await refused(m.query(`SELECT current_query() FROM people ${where}`))
  await refused(m.query(`SELECT said() FROM people ${where}`))
  await s.client.ask([m.parse(`SELECT id FROM people ${where}`, 'held'), m.sync()])
  await s.client.ask([m.query(`PREPARE other AS UPDATE people SET note = 'z' ${where}`)])
  for (const text of ['SELECT statement FROM pg_prepared_statements', 'TABLE pg_prepared_statements', 'SELECT p FROM pg_prepared_statements p', 'SELECT * FROM pg_prepared_statement()', 'EXPLAIN (COSTS OFF) EXECUTE held', 'EXPLAIN (COSTS OFF) EXECUTE other', 'EXPLAIN EXECUTE other', 'SELECT * FROM pg_cursor()', `EXPLAIN (COSTS OFF) DELETE FROM people ${where}`]) await refused(m.query(text))
  await s.client.ask([m.query('BEGIN'), m.query(`DECLARE c CURSOR FOR SELECT id, note FROM people ${where}`)], 2)
  await refused(m.query('SELECT statement FROM pg_cursors'))
  await s.client.ask([m.query('ROLLBACK')])
  await s.client.ask([m.query(`EXPLAIN (COSTS OFF) SELECT id FROM people ${where}`)])
  await s.client.ask([m.query('SET client_min_messages = debug5')])
  await s.client.ask([m.query(`SELECT id / 0 FROM people ${where}`)])
  await s.client.ask([m.query(`SELECT note::int FROM people ${where}`)])
  await s.client.ask([m.query(`INSERT INTO people (id, email) VALUES (9, '${mail}')`)])
  await s.client.ask([m.parse('INSERT INTO people (id, email) VALUES ($1, $2)'), m.bind({ values: ['9', mail] }), m.execute(), m.sync()])
  await s.client.ask([m.query(`UPDATE people SET id = 'x${mail}' ${where}`)])
  await s.client.ask([m.parse('SELECT $1, id FROM people WHERE email = $1'), m.bind({ values: [mail] }), m.execute(), m.sync()])
  await s.client.ask([m.parse('UPDATE people SET note = $1, email = $1 WHERE email = $1 RETURNING note, email'), m.bind({ values: [mail] }), m.execute(), m.sync()])
  await s.client.ask([m.query(`UPDATE people SET note = '${mail}', email = '${mail}' WHERE id = 1 RETURNING *`)])
  await s.client.ask([m.query(`INSERT INTO people (id, email, note) SELECT 8, '${mail}a', '${mail}' RETURNING note`)])
  await s.client.ask([m.query(`SELECT '${mail}', id FROM people ${where}`)])
  await s.client.ask([m.query(`SELECT id, email = '${mail}' FROM people`)])
  await s.client.ask([m.query(`SELECT CASE WHEN email = '${mail}' THEN '${mail}' END, note FROM people`)])
  await s.client.ask([m.query('UPDATE people SET note = \'x\' WHERE id = 1; DELETE FROM people WHERE id = 8')])
}))
test('a token that is asked for is counted like any look-up, and refused beyond its rate in words', () => eachServer(async (s) => {
  await s.client.ask([m.query(`SELECT id FROM people WHERE email IN ('${mail}', '${mail}')`)])
  const notes = s.record.filter(({ kind, body }) => kind === 'probe' && body.how === 'lookup')
  assert.deepEqual(notes.map(({ body }) => (body.columns as string[]).length), [2])
}, POLICY.replace('with: token }', 'with: token, lookups: 3/1m }')))

const counting = (): SessionPorts['rates'] => {
  const counts = new Map<string, number>()
  return { lookup: async (identity, { rule, column, count }) => { const key = `${identity}|${rule}|${column}`; const now = (counts.get(key) ?? 0) + 1; counts.set(key, now); return now <= count } }
}
test('attempts at masked columns are events of their own kind, and many of them an alert; other refusals and plain statements are neither', () => eachServer(async (s) => {
  const probes = (how: string) => s.record.filter(({ kind, body }) => kind === 'probe' && body.how === how).length
  for (let i = 0; i < 30; i++) await s.client.ask([m.query('SELECT id, email, note FROM people WHERE id = 1'), m.query('SELEC 1'), m.query('SELECT * FROM nowhere')], 3)
  assert.deepEqual([probes('refused'), probes('alert')], [0, 0])
  for (let i = 1; i < PROBES_ALERT; i++) await s.client.ask([m.query(i % 2 === 0 ? `DELETE FROM people WHERE email LIKE 'a%'` : `UPDATE people SET note = email`)])
  await new Promise((later) => setTimeout(later, 20))
  assert.deepEqual([probes('refused'), probes('alert')], [PROBES_ALERT - 1, 0])
  for (let i = 0; i < 5; i++) await s.client.ask([m.query(`SELECT id FROM people WHERE email = 'guess-${i}@x.example'`)])
  await new Promise((later) => setTimeout(later, 20))
  assert.deepEqual([probes('lookup'), probes('beyond the rate'), probes('alert')], [3, 2, 1])
}, POLICY.replace('with: token }', 'with: token, lookups: 3/1m }'), counting))
test('a write that compares masked columns is refused, or runs as it was written when a review rule covers it and a person allows it', async () => {
  const masks = 'mask: [{ name: hide, fields: ["*.email", "*.ssn"], with: redact }]'
  const policy = (rest: string) => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], ${masks}${rest} }]\n`
  const rules = ', review: [{ name: writes, operations: [sql.update, sql.delete, sql.merge], reviewers: { groups: [sam] }, wait: hold }]'
  const compares = [`UPDATE people SET note = 'seen' WHERE email LIKE 'marker%'`, `UPDATE people SET note = 'seen' FROM (SELECT 1) x WHERE ssn = '${SSN}' AND id = 1`, `DELETE FROM people WHERE email > 'zzz'`, `MERGE INTO people p USING (SELECT 1 AS one) x ON p.ssn = '${SSN}' AND x.one = 1 WHEN MATCHED THEN UPDATE SET note = 'seen'`]
  await eachServer(async (s) => {
    for (const text of compares) assert.match((await s.client.ask([m.query(text)])).join('\n'), /42501.*p\/hide.*masked/)
    assert.equal(s.record.filter(({ kind }) => kind === 'probe').length, compares.length)
  }, policy(''))
  await eachServer(async (s) => {
    for (const [i, text] of compares.entries()) {
      for (const extended of [false, true]) {
        for (const decision of ['deny', 'approve'] as const) {
          const waited = s.waiting.length, readies = s.client.count('Z'), from = s.client.seen.length
          s.client.send(...extended ? [m.parse(text), m.bind(), m.execute(), m.sync()] : [m.query(text)])
          await s.client.until(() => s.waiting.length > waited)
          assert.match(s.waiting.at(-1)!.request.reason, /masked/)
          s.waiting.at(-1)!.decide(decision)
          await s.client.ready(readies + 1)
          const lines = s.client.seen.slice(from).map(m.shown)
          if (decision === 'deny') assert.match(lines.join('\n'), /42501/)
          else assert.match(lines.join('\n'), i === 2 ? /C DELETE 0/ : /C (UPDATE|MERGE) 1/, `${text}\n${lines.join('\n')}`)
        }
      }
    }
    // Never reviewed: what would move values, show them, or run later.
    for (const text of ['UPDATE people SET note = ssn', `UPDATE people SET note = 'x' WHERE id = 1 RETURNING upper(email)`, `UPDATE people SET note = (SELECT email FROM people q LIMIT 1)`, `PREPARE later AS DELETE FROM people WHERE email > 'zzz'`, `EXPLAIN ANALYZE DELETE FROM people WHERE email > 'zzz'`, 'DELETE FROM people p USING people q WHERE p.id = q.id AND q.email > \'a\'']) {
      const waited = s.waiting.length
      assert.match((await s.client.ask([m.query(text)])).join('\n'), /42501/, text)
      assert.equal(s.waiting.length, waited, text)
    }
  }, policy(rules))
})
