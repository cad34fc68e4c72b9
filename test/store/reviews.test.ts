// Reviews against a real store: who may decide, that one approval lets one statement run once, and every way it must not.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ReviewRefused } from '../../src/store/review_text.ts'
import { REVIEWS_WAITING_MAX } from '../../src/store/reviews.ts'
import { partiesOf } from '../../src/store/review_rows.ts'
import type { Store } from '../../src/store/store.ts'
import { asking, handClock, person, startStore, type StoreFixture } from './fixture.ts'

const refused = (refusal: string) => (error: unknown) => {
  assert.ok(error instanceof ReviewRefused, String(error))
  assert.equal(error.refusal, refusal)
  return true
}

describe('reviews', () => {
  let fixture: StoreFixture
  let store: Store
  let other: Store
  let instance: number
  const ana = person('ana@example.com', ['dev', 'leads'])
  const sam = person('sam@example.com', ['leads'])
  const agent = person('bot', ['agents', 'leads'], { agent: true, onBehalfOf: 'ana@example.com' })

  before(async () => {
    fixture = await startStore()
    store = await fixture.open()
    other = await fixture.open()
    instance = (await store.begin()).number
    for (const identity of [ana, sam, agent]) await store.people.saw(identity)
  })
  after(() => fixture.stop())

  test('one approval is released exactly once, also by 100 at once over two gateways', async () => {
    for (const wait of ['hold', 'refuse'] as const) {
      const request = asking(person(`requester-${wait}`), { wait })
      const review = await store.reviews.create(request, instance)
      await other.reviews.decide(review.id, sam, 'approve', 'fine')
      const tries = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? store : other).reviews.release(review.id, request.binding)))
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const one of tries) if (one.status === 'rejected') refused('not-approved')(one.reason)
      assert.deepEqual(
        (await store.reviews.steps(review.id)).map(({ state }) => state),
        ['waiting', 'approved', 'used'],
      )
    }
  })

  test('100 redeems of one grant give exactly one, and only to the same identity on the same resource', async () => {
    const who = person('redeemer')
    const request = asking(who, { wait: 'refuse' })
    const review = await store.reviews.create(request, null)
    assert.equal(await store.reviews.redeem(partiesOf(who), 'orders', request.binding), null)
    await store.reviews.decide(review.id, sam, 'approve', null)
    assert.equal(await store.reviews.redeem(partiesOf(who), 'payments', request.binding), null)
    assert.equal(await store.reviews.redeem(['corp somebody'], 'orders', request.binding), null)
    assert.equal(await store.reviews.redeem(['corp redeemer', 'corp ana@example.com'], 'orders', request.binding), null)
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? store : other).reviews.redeem(partiesOf(who), 'orders', request.binding)),
    )
    assert.equal(all.filter((one) => one !== null).length, 1)
  })

  test('nobody decides what they or an agent of theirs ask for, by whatever issuer they come', async () => {
    const own = await store.reviews.create(asking(ana), instance)
    const agents = await store.reviews.create(asking(agent), instance)
    const elsewhere = person('Ana@Example.com ', ['leads'], { issuer: 'partner' })
    for (const review of [own, agents]) {
      for (const approver of [ana, elsewhere, agent, person('other-bot', ['leads'], { agent: true, onBehalfOf: 'sam@example.com' })]) {
        await assert.rejects(store.reviews.decide(review.id, approver, 'approve', null), refused('not-yours'))
        await assert.rejects(store.reviews.decide(review.id, approver, 'deny', null), refused('not-yours'))
      }
      assert.equal((await store.reviews.get(review.id))!.state, 'waiting')
    }
  })

  test('only who is in a group it is addressed to, or named, decides', async () => {
    const review = await store.reviews.create(
      asking(person('r1'), { terms: { reviewers: { groups: ['leads'], users: ['eve@example.com'] }, withinMs: 60_000, wait: 'hold' } }),
      instance,
    )
    await assert.rejects(store.reviews.decide(review.id, person('joe', ['lead', 'leads2', 'Leads']), 'approve', null), refused('not-yours'))
    const eve = person('eve@example.com')
    await store.people.saw(eve)
    assert.equal((await store.reviews.decide(review.id, eve, 'deny', 'no')).state, 'denied')
    await assert.rejects(store.reviews.decide(review.id, sam, 'approve', null), refused('not-waiting'))
    await assert.rejects(store.reviews.release(review.id, review.binding), refused('not-approved'))
  })

  test('two decisions at once are one decision', async () => {
    const review = await store.reviews.create(asking(person('r2')), instance)
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? store : other).reviews.decide(review.id, sam, i % 2 === 0 ? 'approve' : 'deny', null)),
    )
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  test('a reviewer who left the group between click and release releases nothing', async () => {
    const lee = person('lee@example.com', ['leads'])
    await store.people.saw(lee)
    for (const wait of ['hold', 'refuse'] as const) {
      const request = asking(person(`left-${wait}`), { wait })
      const review = await store.reviews.create(request, instance)
      await store.reviews.decide(review.id, lee, 'approve', null)
      await store.people.saw(person('lee@example.com', ['dev']))
      // The older credential, shown again, makes nobody a reviewer again: here, and in another process.
      await store.people.saw(lee)
      await other.people.saw(lee)
      await assert.rejects(store.reviews.release(review.id, request.binding), refused('reviewer-left'))
      await store.people.saw(person('lee@example.com', ['leads']))
      await assert.rejects(store.reviews.release(review.id, request.binding), refused('not-approved'))
    }
  })

  test('an approver who was revoked, or whom the configuration no longer names, releases nothing', async () => {
    const max = person('max@example.com', ['leads'])
    await store.people.saw(max)
    const first = await store.reviews.create(asking(person('r3')), instance)
    await store.reviews.decide(first.id, max, 'approve', null)
    await assert.rejects(
      store.reviews.release(first.id, first.binding, () => false),
      refused('reviewer-left'),
    )
    const second = await store.reviews.create(asking(person('r3')), instance)
    await store.reviews.decide(second.id, max, 'approve', null)
    await store.revocations.revoke({ kind: 'subject', value: 'corp max@example.com' }, 'corp root', 'left')
    await assert.rejects(store.reviews.release(second.id, second.binding), refused('reviewer-left'))
    const third = await store.reviews.create(asking(person('r3')), instance)
    await assert.rejects(store.reviews.decide(third.id, max, 'approve', null), refused('not-yours'))
  })

  test('one changed byte ends the approval', async () => {
    const review = await store.reviews.create(asking(person('r4')), instance)
    await store.reviews.decide(review.id, sam, 'approve', null)
    await assert.rejects(
      store.reviews.release(
        review.id,
        review.binding.replace(/.$/, (c) => (c === '0' ? '1' : '0')),
      ),
      refused('changed'),
    )
    await assert.rejects(store.reviews.release(review.id, review.binding), refused('not-approved'))
  })

  test('what expired is refused and stays so when the clock goes back', async () => {
    const clock = handClock()
    const late = await fixture.open(clock)
    const waiting = await store.reviews.create(asking(person('r5')), instance)
    const approved = await store.reviews.create(asking(person('r5')), instance)
    await store.reviews.decide(approved.id, sam, 'approve', null)
    clock.aheadMs = 3_600_000
    await assert.rejects(late.reviews.decide(waiting.id, sam, 'approve', null), refused('expired'))
    await assert.rejects(late.reviews.release(approved.id, approved.binding), refused('expired'))
    const swept = (await late.reviews.sweep()).filter(({ requester }) => requester === 'r5')
    assert.deepEqual(
      swept.map(({ state }) => state),
      ['expired', 'expired'],
    )
    clock.aheadMs = 0
    await assert.rejects(late.reviews.decide(waiting.id, sam, 'approve', null), refused('not-waiting'))
    await assert.rejects(late.reviews.release(approved.id, approved.binding), refused('not-approved'))
  })

  test('approve and expire at the same instant give one end, and the steps tell which', async () => {
    const clock = handClock()
    const late = await fixture.open(clock)
    clock.aheadMs = 3_600_000
    for (let i = 0; i < 10; i++) {
      const review = await store.reviews.create(asking(person(`race-${i}`)), instance)
      const [decided, swept] = await Promise.allSettled([store.reviews.decide(review.id, sam, 'approve', null), late.reviews.sweep()])
      const expired = swept.status === 'fulfilled' && swept.value.some(({ id }) => id === review.id)
      const released = await store.reviews.release(review.id, review.binding).then(
        () => true,
        () => false,
      )
      assert.ok(!(expired && released))
      assert.equal((await store.reviews.get(review.id))!.state, expired ? 'expired' : 'used', `${decided.status}`)
    }
  })

  test('identical waiting requests of refuse are one; another identity or byte is another', async () => {
    const who = person('merger')
    const request = asking(who, { wait: 'refuse' })
    const made = await Promise.all(Array.from({ length: 10 }, () => store.reviews.create(request, null)))
    assert.equal(new Set(made.map(({ id }) => id)).size, 1)
    assert.equal(made.filter(({ merged }) => !merged).length, 1)
    assert.notEqual((await store.reviews.create({ ...request, binding: 'f'.repeat(64) }, null)).id, made[0]!.id)
    assert.notEqual((await store.reviews.create(asking(person('merger2'), { wait: 'refuse', binding: request.binding }), null)).id, made[0]!.id)
  })

  test('one requester may not flood the reviewers, also not over two gateways', async () => {
    const who = person('flooder')
    const tries = await Promise.allSettled(
      Array.from({ length: REVIEWS_WAITING_MAX + 15 }, (_, i) => (i % 2 === 0 ? store : other).reviews.create(asking(who), instance)),
    )
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, REVIEWS_WAITING_MAX)
    for (const one of tries) if (one.status === 'rejected') refused('too-many')(one.reason)
  })

  test('text and parameters come back exactly, whatever is in them', async () => {
    const text = "SELECT '\u202e\u200b\u0000\ud800\u001b[2J<script>' -- \r\n\t"
    const review = await store.reviews.create(asking(person('r6'), { text, parameters: ['\u0000', '', '\ud83d'] }), instance)
    const back = (await other.reviews.get(review.id))!
    assert.equal(back.text, text)
    assert.deepEqual(back.parameters, ['\u0000', '', '\ud83d'])
    await assert.rejects(store.reviews.create(asking(person('r6'), { text: 'x'.repeat(2_000_000) }), instance), refused('too-large'))
  })

  test('a waiting gateway hears of a decision promptly, and of a cancel', async () => {
    const review = await store.reviews.create(asking(person('r7')), instance)
    const decision = store.waits.decision(review.id, AbortSignal.timeout(5_000))
    await sleep(50)
    const from = performance.now()
    await other.reviews.decide(review.id, sam, 'approve', null)
    assert.equal((await decision).state, 'approved')
    assert.ok(performance.now() - from < 1_000)
    const second = await store.reviews.create(asking(person('r7')), instance)
    const cancelled = store.waits.decision(second.id, AbortSignal.timeout(5_000))
    await store.reviews.cancel(second.id, 'the client left')
    assert.equal((await cancelled).state, 'cancelled')
    await assert.rejects(store.reviews.decide(second.id, sam, 'approve', null), refused('not-waiting'))
  })

  test('a gateway that ends or dies takes its holds with it; grants survive', async () => {
    const dead = await fixture.open()
    const its = await dead.begin()
    const held = await dead.reviews.create(asking(person('r8')), its.number)
    const approvedHold = await dead.reviews.create(asking(person('r8')), its.number)
    await store.reviews.decide(approvedHold.id, sam, 'approve', null)
    const grant = await dead.reviews.create(asking(person('r8'), { wait: 'refuse' }), null)
    await store.reviews.decide(grant.id, sam, 'approve', null)
    await its.end()
    await assert.rejects(store.reviews.release(approvedHold.id, approvedHold.binding), ReviewRefused)
    await store.reviews.sweep()
    assert.equal((await store.reviews.get(held.id))!.state, 'cancelled')
    assert.equal((await store.reviews.get(approvedHold.id))!.state, 'cancelled')
    assert.equal((await store.reviews.release(grant.id, grant.binding)).state, 'used')
  })

  test('the database itself refuses to revive, to skip the approval and to change what was asked', async () => {
    const review = await store.reviews.create(asking(person('r9')), instance)
    const change = (set: string) => fixture.server.sql(`UPDATE sluice.reviews SET ${set} WHERE id = '${review.id}'`, 'sluice')
    await assert.rejects(change("state = 'used', decided_by = 'x'"))
    await assert.rejects(change("state = 'approved'"))
    await assert.rejects(change("binding = 'x'"))
    await assert.rejects(change("shown = '{}'"))
    await store.reviews.decide(review.id, sam, 'deny', null)
    await assert.rejects(change("state = 'approved'"))
    await assert.rejects(change("state = 'waiting'"))
  })

  test('a list shows what is addressed to a group of theirs and what they ask, nothing else', async () => {
    const mine = await store.reviews.create(
      asking(person('lister'), { resource: 'listed', terms: { reviewers: { groups: ['security'], users: [] }, withinMs: 60_000, wait: 'hold' } }),
      instance,
    )
    const ids = async (identity: Parameters<Store['reviews']['visibleTo']>[0]) =>
      (await store.reviews.visibleTo(identity, { resource: 'listed' })).map(({ id }) => id)
    assert.deepEqual(await ids(person('x', ['security'])), [mine.id])
    assert.deepEqual(await ids(person('lister')), [mine.id])
    assert.deepEqual(await ids(sam), [])
    assert.deepEqual(await ids(person('lister', [], { issuer: 'partner' })), [])
  })
})
