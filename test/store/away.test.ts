// The control store goes away: whoever asks is refused soon and told so, and nothing is approved.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StoreFailed } from '../../src/store/database.ts'
import { openReviewDesk } from '../../src/store/review_desk.ts'
import { openStore } from '../../src/store/store.ts'
import { asking, person, startStore } from './fixture.ts'

const SOON_MS = 2_500

test('with the store gone every question is refused soon, a hold fails, and health says so', async () => {
  const fixture = await startStore()
  const store = await fixture.open()
  const instance = await store.begin()
  const token = await store.tokens.mint(person('ana'), 'resource', 'orders', 60_000)
  await fixture.server.stop()
  const from = performance.now()
  await assert.rejects(store.tokens.open(token.secret), StoreFailed)
  await assert.rejects(store.revocations.covering(person('ana')), StoreFailed)
  await assert.rejects(store.budgets.lease({ name: 'x', most: 1, perMs: 1_000 }, 1), StoreFailed)
  const desk = openReviewDesk({ store, instance: instance.number, reviewUrl: (id) => id })
  assert.equal((await desk.hold(asking(person('ana')), () => {}).outcome).kind, 'failed')
  assert.equal((await desk.redeem(asking(person('ana'), { wait: 'refuse' }))).kind, 'failed')
  assert.match((await store.health())!, /control store failed/)
  assert.ok(performance.now() - from < SOON_MS)
  await instance.end()
  await store.close()
})

test('a store that is not there is said to be so, soon', async () => {
  const from = performance.now()
  await assert.rejects(openStore({ url: 'postgres://sluice:canary-password@127.0.0.1:1/sluice' }), (error: Error) => {
    assert.ok(error instanceof StoreFailed)
    assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)}`, /canary/)
    return true
  })
  assert.ok(performance.now() - from < SOON_MS)
})
