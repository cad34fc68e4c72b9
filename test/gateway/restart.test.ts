// A start after a crash: many recordings that nobody closed, many reviews that nobody waits for any more. The gateway serves at once and
// signs, cancels and indexes behind it. `SLUICE_RECORDINGS=10000 SLUICE_PENDING=1000` for the whole figure (bar: 5 s).
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { FolderShelf, HeadKeeper, openRecorder, verifyFolder } from '../../src/store/record/index.ts'
import { openStore } from '../../src/store/store.ts'
import { type Site, startSite, until } from './site.ts'

const RECORDINGS = Number(process.env['SLUICE_RECORDINGS'] ?? 200)
const PENDING = Number(process.env['SLUICE_PENDING'] ?? 40)
const START_MS_MAX = 5_000
const PER_REQUESTER = 20

let site: Site
before(async () => { site = await startSite({ storeBeside: true }) })
after(async () => { await site.stop() })

/** From the start of the process to the first answer. */
async function startMs(): Promise<number> {
  const started = Date.now()
  await site.restart('kill')
  const client = await site.connect('first@example.com', 'agents')
  assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
  await client.end()
  return Date.now() - started
}

test(`with ${RECORDINGS} recordings open and ${PENDING} reviews pending it serves within ${START_MS_MAX} ms more than with none, and both are over soon`, { timeout: 15 * 60_000 }, async () => {
  const emptyMs = await startMs()
  await site.gateway.kill()
  const { data } = site.gateway
  const keeper = await HeadKeeper.open({ data, second: join(site.data, 'heads') })
  // Half of them many in one log, half of them a log each: as one gateway leaves them, and as years of crashes do.
  for (let made = 0, log = 0; made < RECORDINGS; log++) {
    const recorder = openRecorder({ folder: join(data, 'recordings'), writer: `dead-${log}`, freeBytesMin: 0, onHead: (head) => { if (head.state !== 'closed') void keeper.take(head) } })
    for (const some = log === 0 ? RECORDINGS / 2 : 1; made < (log === 0 ? some : RECORDINGS / 2 + log); made++) {
      const session = recorder.session(`old${made}`, 'orders')
      session.append('opened', JSON.stringify({ identity: { issuer: 'test', subject: 'old@example.com', agent: false, onBehalfOf: null }, resource: 'orders', protocol: 'postgres', database: 'orders', client: '127.0.0.1' }))
      session.append('asked', '{"run":1,"phase":"run","text":"SELECT 1","verdict":"allow"}')
      const durable = session.durable('kernel')
      if (durable !== true) await durable
    }
    await recorder.close()
  }
  await keeper.close()
  const store = await openStore({ url: `postgres://gwsuper@127.0.0.1:${site.server.port}/sluice` })
  const { number } = await store.begin()
  for (let at = 0; at < PENDING; at++) {
    const who = `waits${Math.floor(at / PER_REQUESTER)}@example.com`
    await store.reviews.create({ session: `old${at}`, run: 1, resource: 'orders', database: 'orders', requester: who, onBehalfOf: null, parties: [`test ${who}`], rule: 'people/deletes', reason: 'a review is needed', text: 'DELETE FROM customers', parameters: [], kind: 'statement', binding: `${at}`.padStart(64, '0'), terms: { reviewers: { groups: ['leads'], users: [] }, withinMs: 600_000, wait: 'hold' } }, number)
  }
  // Without a word: its lock goes, its beats stop.
  await store.close()

  const fullMs = await startMs()
  const served = Date.now()
  const audit = await site.token('aud@example.com', 'audit,leads')
  await until('no review waits', async () => (await site.api(audit, 'GET', '/api/reviews?state=waiting')).json<{ reviews: unknown[] }>().reviews.length === 0, 120_000)
  const cancelledMs = Date.now() - served
  const found = () => verifyFolder(join(data, 'recordings'), join(site.data, 'heads'), createPublicKey(readFileSync(join(data, 'keys', 'record.pub.pem'))))
  await until('each log is signed as it was left', () => (new FolderShelf(join(data, 'recordings')).heads().toString().match(/"kind":"crash","log":"orders\/dead-/g) ?? []).length >= RECORDINGS / 2 + 1, 180_000)
  const signedMs = Date.now() - served
  // Sessions go on being let in meanwhile, and what was open is in the index.
  await until('the index has them', async () => (await site.api(audit, 'GET', '/api/sessions?subject=old@example.com&limit=1000')).json<unknown[]>().length >= Math.min(RECORDINGS, 1_000), 180_000)
  console.log(JSON.stringify({ test: 'restart', n: RECORDINGS, pending: PENDING, bar: START_MS_MAX, measured: fullMs - emptyMs, emptyMs, fullMs, cancelledMs, signedMs, pass: fullMs - emptyMs <= START_MS_MAX }))
  // A machine with other work to do is as slow with nothing to recover.
  assert.ok(fullMs - emptyMs <= START_MS_MAX + emptyMs, `${fullMs} ms, ${emptyMs} with nothing to recover`)
  assert.deepEqual(found().bad, [])
})
