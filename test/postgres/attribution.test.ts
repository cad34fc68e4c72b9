// The server is told who acts, and nothing a client says changes that; the client is told its own name.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession, type TestSession } from './session.ts'

const WHO = 'agent@example.com'
let server: TestServer
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE ROLE "${WHO}"; CREATE ROLE app LOGIN; GRANT "${WHO}" TO app; CREATE TABLE kept(id int, who text DEFAULT current_user); GRANT ALL ON kept TO "${WHO}"; GRANT USAGE, CREATE ON SCHEMA public TO app, "${WHO}";
    CREATE FUNCTION sneaky() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('application_name', 'nobody', false); END $$`)
})
after(async () => { await server.stop() })
async function within(attribution: string, body: (s: TestSession) => Promise<void>, user = 'gwsuper'): Promise<void> {
  const session = await openTestSession(server, { resource: `, attribution: ${attribution}`, user })
  try { await body(session) } finally { await session.end() }
}
const say = async (s: TestSession, text: string) => (await s.client.ask([m.query(text)])).slice(0, -1).join('\n')
const seen = async (s: TestSession) => String((await server.sql(`SELECT application_name FROM pg_stat_activity WHERE pid = ${s.upstream.backendKey.pid}`)).rows[0].application_name)

test('application_name begins with who acts, whatever the client sets, and the client is told its own', () => within('application_name', async (s) => {
  assert.equal(await seen(s), `${WHO} test`)
  for (const [text, expected] of [
    ["SET application_name = 'mine'", 'mine'], ['SET application_name TO other', 'other'], ["SET SESSION application_name = E'it\\'s'", "it's"], ["SELECT 1; SET application_name = 'second'; SELECT 2", 'second'],
    ["SELECT pg_catalog.set_config('application_name', 'called', false)", 'called'], ["BEGIN; SET LOCAL application_name = 'gone'; COMMIT", 'called'], [`SET application_name = '${WHO} twice'`, `${WHO} twice`], ['SET application_name = \'\'', ''],
    ['RESET application_name', 'test'], ["SET application_name = 'x'; RESET ALL", 'test'], ["SET application_name = 'x'; DISCARD PLANS", 'x'], ['DISCARD ALL', 'test'], ['SET application_name TO DEFAULT', 'test'],
  ] as const) {
    assert.doesNotMatch(await say(s, text), /^E/m, text)
    assert.equal(await seen(s), `${WHO} ${expected}`.trim(), text)
    const shown = await say(s, 'SHOW application_name')
    assert.ok(expected === '' ? !shown.includes(WHO) : shown.includes(expected), `${text}: ${shown}`)
    if (!expected.includes(WHO)) assert.ok(!shown.includes(WHO), shown)
  }
  assert.ok(s.client.lines().some((l) => l === 'S application_name\\0mine\\0'), s.client.lines().join('\n'))
  assert.ok(!s.client.lines().some((l) => l.startsWith(`S application_name\\0${WHO} mine`)))
  const all = await s.client.ask([m.query('SHOW ALL')])
  assert.ok(all.some((l) => l.includes('application_name')) && !all.join().includes(WHO))
  const sent = s.record.filter((e) => String(e.body.sent).includes(`${WHO} mine`))
  assert.equal(sent.length, 1, 'the record holds what was asked and what was sent')
}))
test('… by the extended protocol, by PREPARE and by parameters', () => within('application_name', async (s) => {
  await s.client.ask([m.parse("SET application_name = 'ext'"), m.bind(), m.execute(), m.sync()])
  assert.equal(await seen(s), `${WHO} ext`)
  await say(s, "PREPARE p AS SELECT set_config('application_name', 'prepared', false)")
  await say(s, 'EXECUTE p')
  assert.equal(await seen(s), `${WHO} prepared`)
  assert.match((await s.client.ask([m.parse("SELECT set_config('application_name', $1, false)"), m.bind({ values: ['param'] }), m.execute(), m.sync()])).join(), /42501/)
  assert.match(await say(s, "SELECT set_config('application_name', 'a' || 'b', false)"), /42501/)
  assert.equal(await seen(s), `${WHO} prepared`)
}))
test('a session in which something else replaced it ends', () => within('application_name', async (s) => {
  s.client.send(m.query('SELECT sneaky()'))
  assert.match(await s.over, /application_name/)
}))
test('set_role: the server runs everything as the role of the identity, and no statement leaves it', () => within('set_role', async (s) => {
  const who = async () => (await say(s, 'SELECT current_user')).split('\n')[1] ?? ''
  assert.match(await who(), new RegExp(WHO))
  for (const text of ['SET ROLE NONE', 'SET ROLE app', 'SET LOCAL ROLE app', "SET role = 'app'", 'SET SESSION AUTHORIZATION app', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION', 'DISCARD ALL', "SELECT set_config('role', 'app', false)", "SELECT 1; SET ROLE NONE; SELECT 2", 'PREPARE x AS SELECT set_config(\'role\', \'none\', false)']) {
    assert.match(await say(s, text), /42501/, text)
    assert.match(await who(), new RegExp(WHO), text)
  }
  for (const text of ['RESET ROLE', 'RESET ALL', 'BEGIN; RESET ROLE; COMMIT', 'DISCARD TEMP']) {
    assert.doesNotMatch(await say(s, text), /^E/m, text)
    assert.match(await who(), new RegExp(WHO), text)
  }
  await say(s, 'INSERT INTO kept(id) VALUES (1)')
  assert.equal((await server.sql('SELECT who FROM kept')).rows[0].who, WHO)
}, 'app'))
test('… not by a DO block either: the session ends', () => within('set_role', async (s) => {
  s.client.send(m.query("DO $$ BEGIN SET ROLE NONE; END $$"))
  await s.client.ready()
  s.client.send(m.query('INSERT INTO kept(id) VALUES (2)'))
  assert.match(await s.over, /role/)
  assert.equal((await server.sql('SELECT count(*) FROM kept WHERE id = 2')).rows[0].count, '0')
}, 'app'))
