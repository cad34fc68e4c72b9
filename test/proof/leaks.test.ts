// What the generator found once, by name: each told the two databases apart, or showed a value. None may again.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MemoryShelf } from '../postgres/session.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import { makeTwins } from './schema.ts'
import { query } from './scripts.ts'
import { type Lane, openLane, runScripts, sharedIds } from './twins.ts'

let server: TestServer, lane: Lane
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  sharedIds(await makeTwins(server, [{ wide: true }]))
  lane = await openLane(server, 0, true, [new MemoryShelf(), new MemoryShelf()], 'app')
})
after(async () => { await lane.close(); await server.stop() })

async function tellsNothing(texts: readonly string[], refused = 0): Promise<void> {
  const tally = await runScripts(lane, [{ kind: 'found', benign: false, sent: ['BEGIN', ...texts, 'ROLLBACK'].map(query) }])
  assert.deepEqual(tally.findings.map((f) => `${f.at}\n${f.a}\n${f.b}`), [])
  assert.equal(tally.refused, refused)
}

test('the width of a plan below a join or grouping is not the mean length of a hidden column', async () => {
  await tellsNothing(["EXPLAIN SELECT p.ssn, p.doc FROM people p JOIN orders o ON o.person_id = p.id"], 1)
  await tellsNothing(['PREPARE q AS SELECT p.ssn, p.doc FROM people p JOIN orders o ON o.person_id = p.id', 'EXPLAIN EXECUTE q'], 1)
  await tellsNothing(['EXPLAIN (COSTS OFF) SELECT p.ssn FROM people p JOIN orders o ON o.person_id = p.id', 'EXPLAIN SELECT ssn, doc FROM people WHERE id = 3 ORDER BY name'])
  await tellsNothing(['EXPLAIN SELECT count(p)::int, json_agg(p)::text FROM people p'], 1)
})
test('a column alias list does not make a condition on a hidden column look like a plain column', async () => {
  await tellsNothing(["EXPLAIN SELECT c0 FROM people p(c0, c1, c2, c3, c4, c5, c6) WHERE c6 LIKE '1%'"], 1)
  await tellsNothing(["SELECT c0, c6 FROM people p(c0, c1, c2, c3, c4, c5, c6) WHERE c6 < 'M' ORDER BY c6, c0"])
})
test('what other sessions run, with the values in it, is not shown', async () => {
  for (const text of ['SELECT query FROM pg_stat_activity', 'TABLE pg_catalog.pg_stat_activity', 'SELECT (a).query FROM pg_stat_activity a', 'SELECT pg_stat_get_backend_activity(1)', 'SELECT * FROM pg_stat_get_activity(NULL)']) await tellsNothing([text], 1)
})
test('EXECUTE of a name that a refused PREPARE did not make fails as the server fails it, however early it was sent', async () => {
  await tellsNothing(['PREPARE q AS SELECT f_run(ssn) FROM people', 'EXECUTE q', 'EXECUTE q'], 1)
})
