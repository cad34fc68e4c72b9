// Core's review port over the store, and gateways that are killed while reviews wait.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ReviewPort } from '../../src/core/ports.ts'
import { openReviewDesk } from '../../src/store/review_desk.ts'
import { partiesOf } from '../../src/store/review_rows.ts'
import type { Store } from '../../src/store/store.ts'
import { asking, person, startStore, type StoreFixture } from './fixture.ts'

describe('the review desk', () => {
  let fixture: StoreFixture
  let store: Store
  let desk: ReviewPort
  const told: string[] = []
  const sam = person('sam@example.com', ['leads'])
  before(async () => {
    fixture = await startStore()
    store = await fixture.open()
    await store.people.saw(sam)
    desk = openReviewDesk({ store, instance: (await store.begin()).number, reviewUrl: (id) => `https://gw/reviews/${id}`, waiting: ({ id }) => told.push(id) })
  })
  after(() => fixture.stop())

  const hold = (request = asking(person(`h-${Math.random()}`))) => {
    let opened: (id: string) => void
    const id = new Promise<string>((done) => {
      opened = done
    })
    const held = desk.hold(request, (given, url) => {
      assert.equal(url, `https://gw/reviews/${given}`)
      opened(given)
    })
    return { ...held, id, request }
  }

  test('a held statement is approved and released, denied, or cancelled when its client leaves', async () => {
    const yes = hold()
    await store.reviews.decide(await yes.id, sam, 'approve', null)
    assert.deepEqual(await yes.outcome, { kind: 'approved', id: await yes.id, by: 'sam@example.com' })
    assert.equal((await store.reviews.get(await yes.id))!.state, 'used')
    const no = hold()
    await store.reviews.decide(await no.id, sam, 'deny', 'not today')
    assert.deepEqual(await no.outcome, { kind: 'denied', id: await no.id, by: 'sam@example.com', comment: 'not today' })
    const left = hold()
    const id = await left.id
    left.cancel('the client left')
    assert.deepEqual(await left.outcome, { kind: 'cancelled', id, why: 'the client left' })
    assert.equal((await store.reviews.get(id))!.state, 'cancelled')
    const early = hold()
    early.cancel('the client left at once')
    assert.equal((await early.outcome).kind, 'cancelled')
    assert.ok(told.includes(await yes.id) && told.includes(id))
  })

  test('a client that leaves as it is approved: it runs once or not at all, never after it was told cancelled', async () => {
    for (let i = 0; i < 20; i++) {
      const held = hold()
      const id = await held.id
      const deciding = store.reviews.decide(id, sam, 'approve', null).catch(() => null)
      if (i % 2 === 0) await sleep(i / 4)
      held.cancel('the client left')
      const outcome = await held.outcome
      await deciding
      const { state } = (await store.reviews.get(id))!
      assert.equal(state === 'used', outcome.kind === 'approved', `${outcome.kind} ${state}`)
    }
  })

  test('it expires by the sweeper, and the outcome says so', async () => {
    const stop = store.sweeping(() => {})
    const held = hold(asking(person('slow'), { withinMs: 300 }))
    assert.deepEqual(await held.outcome, { kind: 'expired', id: await held.id })
    stop()
  })

  test('with refuse it is filed once, told once, and passes once when it was approved', async () => {
    const request = asking(person('refused'), { wait: 'refuse' })
    const filed = await desk.redeem(request)
    const again = await desk.redeem({ ...request, run: 8, session: 's-2' })
    assert.ok(filed.kind === 'filed' && again.kind === 'filed' && filed.id === again.id)
    assert.equal(told.filter((id) => id === filed.id).length, 1)
    await store.reviews.decide(filed.id, sam, 'approve', null)
    assert.deepEqual(await desk.redeem({ ...request, session: 's-3' }), { kind: 'released', id: filed.id, by: 'sam@example.com' })
    assert.equal((await desk.redeem(request)).kind, 'filed')
  })

  test('what goes wrong is failed, not approved', async () => {
    const large = hold(asking(person('large'), { text: 'x'.repeat(2_000_000) }))
    assert.equal((await large.outcome).kind, 'failed')
    assert.equal((await desk.redeem(asking(person('large'), { wait: 'refuse', text: 'x'.repeat(2_000_000) }))).kind, 'failed')
  })

  test('SIGKILL with 20 holds and a grant: within 5 s the holds are cancelled, each told to one sweeper, and the grant still passes', async () => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('./holder.ts', import.meta.url)), JSON.stringify(fixture.address)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ids = await new Promise<string[]>((done) => {
      let text = ''
      child.stdout.on('data', (bytes) => {
        text += bytes
        if (text.endsWith('\n')) done(JSON.parse(text))
      })
    })
    const [grant, ...held] = ids as [string, ...string[]]
    await store.reviews.decide(grant, sam, 'approve', null)
    await store.reviews.decide(held[0]!, sam, 'approve', null)
    const ended: string[] = []
    const stops = [store, await fixture.open()].map((one) => one.sweeping(({ id }) => ended.push(id)))
    await sleep(1_500)
    assert.deepEqual(ended, [], 'a gateway that lives keeps what it holds')
    const from = performance.now()
    child.kill('SIGKILL')
    while (ended.length < held.length && performance.now() - from < 8_000) await sleep(50)
    assert.ok(performance.now() - from < 5_500, `${performance.now() - from} ms`)
    await sleep(1_200)
    for (const stop of stops) stop()
    assert.deepEqual([...ended].sort(), [...held].sort())
    for (const id of held) assert.equal((await store.reviews.get(id))!.state, 'cancelled')
    const approved = (await store.reviews.get(grant))!
    assert.equal((await store.reviews.redeem(partiesOf(person('holder')), 'orders', approved.binding))!.id, grant)
  })
})
