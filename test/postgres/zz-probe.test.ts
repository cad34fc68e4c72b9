import { test } from 'node:test'
import * as m from './client.ts'
import { startPostgres } from '../servers/postgres.ts'
import { openTestSession } from './session.ts'
const POLICIES = `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write], review: [{ name: d, operations: [sql.delete], reviewers: { groups: [leads] }, within: 20s }], mask: [{ fields: [public.t.name], with: redact }] }]\n`
test('probe', async () => {
  const server = await startPostgres({ version: 15 })
  await server.sql(`CREATE TABLE t(id int PRIMARY KEY, name text); INSERT INTO t SELECT g, 'SECRET' || g FROM generate_series(1,10) g; CREATE TABLE n(id int, note text)`)
  for (const victim of ['DELETE FROM t WHERE id = $1::int', `SELECT name FROM t WHERE id = $1::int`]) for (const named of ['', 's1']) for (const pause of [0, 5]) {
    const s = await openTestSession(server, { policies: POLICIES })
    s.client.send(m.query('SELECT 1')); await new Promise((r) => setTimeout(r, 800))
    const before = s.client.seen.length
    s.client.send(Buffer.concat([m.parse(victim, named), m.sync()]))
    if (pause) await new Promise((r) => setTimeout(r, 300))
    s.client.send(Buffer.concat([
      m.parse('SELECT $1::int', 'bad'), m.bind({ statement: 'bad', values: ['abc'] }), ...(named ? [m.close('S', named)] : []), m.parse('SELECT note FROM n WHERE id = $1::int', named), m.sync(),
      m.bind({ statement: named, values: ['3'] }), m.execute(), m.sync()]))
    await new Promise((r) => setTimeout(r, 1500))
    console.log(JSON.stringify({ victim, named, pause, rows: (await server.sql('SELECT count(*) FROM t')).rows[0].count, seen: s.client.seen.slice(before).map(m.shown), waiting: s.waiting.length, failures: s.failures.map(String) }, null, 1))
    await s.end()
  }
  await server.stop()
})
