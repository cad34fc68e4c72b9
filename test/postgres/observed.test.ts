// Policies that only observe: limits, budgets, reviews and masks change nothing, and what they would have done is in the record.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession } from './session.ts'

let server: TestServer
before(async () => { server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! }); await server.sql("CREATE TABLE t(id int PRIMARY KEY, name text); INSERT INTO t SELECT g, 'plain' FROM generate_series(1, 500) g") })
after(async () => { await server.stop() })

test('what an observing policy would have done is told for each run, and the client sees none of it', async () => {
  const s = await openTestSession(server, { policies: `policies:
  - { name: all, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin] }
  - { name: o, mode: observe, who: { any: true }, on: { resources: [r] }, deny: [{ name: no-delete, operations: [sql.delete] }, { name: many, rows: 100 }], review: [{ name: wide, bytes: 5000, reviewers: { groups: [sam] } }, { name: look, operations: [sql.update], reviewers: { groups: [sam] } }], mask: [{ fields: [public.t.name], with: redact }], budget: [{ name: day, rows: 700, per: 24h, then: deny }] }\n` })
  try {
    const told = async (text: string) => {
      const from = s.record.length
      const lines = await s.client.ask([m.query(text)])
      assert.ok(!lines.some((l) => /^[EN]/.test(l)) && !lines.join().includes('hidden'), lines.join('\n'))
      return s.record.slice(from).filter((e) => e.body.what === 'observed').flatMap((e) => (e.body.observations as { rule: string; would: string }[]).map((o) => `${o.rule} ${o.would}`)).sort()
    }
    for (let twice = 0; twice < 2; twice++) {
      assert.deepEqual(await told('SELECT id FROM t WHERE id = 1'), [])
      assert.deepEqual(await told('SELECT name FROM t WHERE id = 1'), ['o/mask-1 mask'])
      assert.deepEqual(await told("UPDATE t SET name = name WHERE id = 1"), ['o/look review', 'o/mask-1 mask'])
      assert.deepEqual(await told('DELETE FROM t WHERE id = -1'), ['o/no-delete deny'])
      assert.deepEqual(await told('SELECT id FROM t'), ['o/many deny', 'o/wide review'])
      assert.deepEqual(await told('SELECT id FROM t WHERE id < 9 LIMIT 400'), ['o/many deny'], 'provable beforehand')
    }
    const lease = s.leased.filter((l) => l.rule === 'o/day').map((l) => l.rows)
    assert.deepEqual(lease.filter((rows) => rows > 100), [500, 500])
    s.budgetLeft.rows = 10
    assert.ok((await told('SELECT id FROM t')).includes('o/day deny'))
  } finally { await s.end() }
})
