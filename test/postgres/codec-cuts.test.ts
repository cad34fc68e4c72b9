// One conversation, its client's bytes cut at every place and into segments of 1, 7 and 1460 bytes: the same answer and the same bytes upstream.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { MemoryShelf, openTestSession, type TestSession } from './session.ts'

const POLICIES = 'policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], deny: [{ name: no-drop, operations: [sql.drop] }], mask: [{ fields: [public.t.name], with: redact }] }]\n'
const CONVERSATION = Buffer.concat([
  m.query('SELECT id, name FROM t'), m.parse('SELECT $1::int', 'a'), m.bind({ statement: 'a', values: ['5'], formats: [1] }), m.describe('P'), m.execute(), m.query('DROP TABLE t'), m.sync(),
  m.query('COPY t FROM STDIN'), m.copyData('90\tx\n'), m.copyFail(), m.parse('SELECT 1 / (id - 1) FROM t'), m.bind(), m.execute(), m.sync(), m.close('S', 'a'), m.flush(), m.sync(), m.query('SELECT \'the end\''),
])
let server: TestServer, s: TestSession
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql("CREATE TABLE t(id int, name text); INSERT INTO t VALUES (1, 'MARKER')")
  s = await openTestSession(server, { policies: POLICIES, shelf: new MemoryShelf() })
})
after(async () => { await s.end(); await server.stop() })

async function play(segments: readonly Buffer[]): Promise<{ seen: string[]; sent: string }> {
  const from = s.client.seen.length
  s.tap.length = 0
  for (const segment of segments) { s.client.send(segment); await new Promise((later) => setImmediate(later)) }
  await s.client.until((seen) => seen.at(-1)?.type === 'Z' && seen.at(-3)?.body.includes('the end') === true && seen.length > from + 3)
  return { seen: s.client.lines().slice(from), sent: Buffer.concat(s.tap).toString('latin1').replaceAll(/SLUICE REFUSED run \d+/g, 'SLUICE REFUSED run 0') }
}
/** Run numbers grow, and lengths with them. What the server would skip is in no message here: it is forwarded or not as the error is known. */
const lengthless = (sent: string) => sent.replaceAll(/Q[\s\S]{4}SLUICE REFUSED/g, 'Q....SLUICE REFUSED')
test('wherever its bytes are cut, a conversation is answered and forwarded the same', async () => {
  await s.client.ask([m.query('SELECT 0')])
  const whole = await play([CONVERSATION])
  assert.ok(whole.seen.some((line) => line.includes('42501')) && whole.seen.some((line) => line.includes('hidden')) && !whole.seen.join().includes('MARKER'), whole.seen.join('\n'))
  const cuts: (readonly Buffer[])[] = []
  for (let at = 1; at < CONVERSATION.length; at++) cuts.push([CONVERSATION.subarray(0, at), CONVERSATION.subarray(at)])
  for (const size of [1, 7, 1460]) cuts.push(Array.from({ length: Math.ceil(CONVERSATION.length / size) }, (_, i) => CONVERSATION.subarray(i * size, (i + 1) * size)))
  for (const [number, cut] of cuts.entries()) {
    const found = await play(cut)
    assert.deepEqual(found.seen, whole.seen, `cut ${number}`)
    assert.equal(lengthless(found.sent), lengthless(whole.sent), `cut ${number}`)
  }
})
