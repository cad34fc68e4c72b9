// The rest of the control store against a real PostgreSQL: migrations, tokens, revocations, leases, sealed secrets, the bell.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { migrate, readMigrations } from '../../src/store/migrate.ts'
import { newSealKey, type SealKey } from '../../src/store/seal.ts'
import { covers } from '../../src/store/revocations.ts'
import type { Store } from '../../src/store/store.ts'
import { asking, handClock, person, startStore, type StoreFixture } from './fixture.ts'

describe('the control store', () => {
  let fixture: StoreFixture
  let store: Store
  let other: Store
  before(async () => {
    fixture = await startStore()
    store = (await Promise.all(Array.from({ length: 4 }, () => fixture.open())))[0]!
    other = await fixture.open()
  })
  after(() => fixture.stop())

  test('migrations ran once though four gateways started at once, and an altered or newer store is refused', async () => {
    const { rows } = await fixture.server.sql('SELECT name FROM sluice.migrations', 'sluice')
    assert.deepEqual(
      rows.map((row) => row.name),
      readMigrations().map(({ name }) => name),
    )
    assert.deepEqual(await migrate(fixture.address), [])
    await assert.rejects(migrate(fixture.address, []), /newer version/)
    await assert.rejects(
      migrate(
        fixture.address,
        readMigrations().map((one) => ({ ...one, hash: 'x' })),
      ),
      /another text/,
    )
  })

  test('a migration that fails leaves nothing behind', async () => {
    const broken = { name: '9999_broken.sql', sql: 'CREATE TABLE sluice.half (x int); SELECT 1/0', hash: 'x' }
    await assert.rejects(migrate(fixture.address, [...readMigrations(), broken]))
    await assert.rejects(fixture.server.sql('SELECT * FROM sluice.half', 'sluice'), /does not exist/)
  })

  test('a token opens as its identity for its resource, and is in the store as a hash only', async () => {
    const ana = person('ana@example.com', ['dev'], { expiresAtMs: Date.now() + 60_000 })
    const token = await store.tokens.mint(ana, 'resource', 'orders', 900_000)
    assert.match(token.secret, /^[\x21-\x7e]{1,64}$/)
    assert.equal(token.expiresAtMs, ana.expiresAtMs, 'never longer than what it was made from')
    const opened = await other.tokens.open(token.secret)
    assert.deepEqual({ ...opened.identity, credentialHash: '' }, { ...ana, credentialHash: '' })
    assert.equal(opened.boundTo, 'orders')
    const { rows } = await fixture.server.sql('SELECT t::text FROM sluice.tokens t', 'sluice')
    assert.ok(!JSON.stringify(rows).includes(token.secret.slice(4)))
    for (const wrong of ['', 'slc_', `${token.secret}x`, token.secret.slice(0, -1), token.secret.toLowerCase(), `slc_${'A'.repeat(43)}`])
      await assert.rejects(store.tokens.open(wrong), /not valid/)
    await assert.rejects(store.tokens.mint({ ...ana, expiresAtMs: Date.now() - 1 }, 'resource', 'orders', 1_000), /sign in again/)
  })

  test('an expired token stays so when the clock goes back', async () => {
    const clock = handClock()
    const late = await fixture.open(clock)
    const token = await store.tokens.mint(person('late'), 'resource', 'orders', 60_000)
    clock.aheadMs = 61_000
    await assert.rejects(late.tokens.open(token.secret), /not valid/)
    await late.tokens.sweep(86_400_000)
    clock.aheadMs = 0
    await assert.rejects(late.tokens.open(token.secret), /not valid/)
  })

  test("a token ends by itself, with the credential it was made from, by that one's id, and with its subject or the person behind", async () => {
    const make = (more = {}) => {
      const who = person(`r-${Math.random()}`, [], more)
      return store.tokens.mint(who, 'resource', 'orders', 60_000).then((token) => ({ who, token }))
    }
    const rings: string[] = []
    const off = other.bell.on('revoked', ({ value }) => rings.push(value))
    const self = await make()
    assert.equal(await store.tokens.revoke(self.token.id, 'corp somebody', 'x'), false)
    assert.equal(await store.tokens.revoke(self.token.id, `corp ${self.who.subject}`, 'x'), true)
    const parent = await make()
    const opened = await store.tokens.open(parent.token.secret)
    await store.revocations.revoke({ kind: 'credential', value: parent.who.credentialHash }, 'admin', 'lost')
    const byId = await make()
    await store.revocations.revoke({ kind: 'token-id', value: `corp ${byId.who.tokenId}` }, 'admin', 'lost')
    const bySubject = await make()
    await store.revocations.revoke({ kind: 'subject', value: `corp ${bySubject.who.subject}` }, 'admin', 'left')
    const behind = await make({ agent: true, onBehalfOf: bySubject.who.subject })
    for (const { token } of [self, parent, byId, bySubject, behind]) await assert.rejects(other.tokens.open(token.secret), /not valid/)
    const bystander = await make()
    await other.tokens.open(bystander.token.secret)
    await sleep(50)
    assert.ok(rings.includes(opened.identity.credentialHash), 'an open session of a token hears that its parent was revoked')
    off()
    assert.equal(await store.revocations.covering(behind.who), true)
    assert.equal(await store.revocations.covering(bystander.who), false)
    const all = await store.revocations.all()
    assert.ok(all.some((one) => covers(one, behind.who)) && !all.some((one) => covers(one, bystander.who)))
    await store.revocations.lift({ kind: 'subject', value: `corp ${bySubject.who.subject}` })
    await other.tokens.open(behind.token.secret)
  })

  test('leases never give more than the account holds, whoever asks at once', async () => {
    const account = { name: 'budget|corp ana|rows', most: 1_000, perMs: 86_400_000 }
    const leases = await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? store : other).budgets.lease(account, 37)))
    assert.equal(
      leases.reduce((sum, { granted }) => sum + granted, 0),
      1_000,
    )
    assert.equal((await store.budgets.lease(account, 1)).granted, 0)
    const some = leases.find(({ granted }) => granted === 37)!
    await store.budgets.giveBack(account, some, 1_000_000)
    assert.equal((await other.budgets.lease(account, 100)).granted, 37)
    assert.equal((await store.budgets.lease({ ...account, name: 'another' }, 5)).granted, 5)
    assert.equal((await store.budgets.lease({ ...account, name: 'empty', most: 0 }, 5)).granted, 0)
    assert.equal((await store.budgets.lease({ ...account, name: 'another' }, -5)).granted, 0)
  })

  test('the window slides: what was taken counts for all of it, and no longer than one slice more', async () => {
    const clock = handClock()
    const timed = await fixture.open(clock)
    const account = { name: 'sliding', most: 100, perMs: 24_000 }
    assert.equal((await timed.budgets.lease(account, 100)).granted, 100)
    clock.aheadMs = 23_900
    assert.equal((await timed.budgets.lease(account, 1)).granted, 0)
    clock.aheadMs = 26_000
    assert.equal((await timed.budgets.lease(account, 1)).granted, 1)
  })

  test('sealed secrets round trip, are sealed in the table, survive a rotation and do not open with another key', async () => {
    let kept: readonly SealKey[] = []
    const keyring = {
      keys: [newSealKey()] as readonly SealKey[],
      keep(keys: readonly SealKey[]) {
        kept = keys
      },
    }
    await store.secrets.put(keyring, 'orders', Buffer.from('hunter22-canary'), 'corp root')
    await store.secrets.put(keyring, 'payments', Buffer.from('second'), 'corp root')
    assert.equal((await other.secrets.open(keyring, 'orders')).toString(), 'hunter22-canary')
    const { rows } = await fixture.server.sql("SELECT encode(sealed, 'escape') AS bytes FROM sluice.secrets", 'sluice')
    assert.ok(!JSON.stringify(rows).includes('canary'))
    const before = keyring.keys[0]!
    assert.equal((await store.secrets.rotate(keyring)).resealed, 2)
    assert.equal((await other.secrets.open(keyring, 'orders')).toString(), 'hunter22-canary')
    assert.deepEqual(kept, keyring.keys)
    assert.equal((await store.secrets.rotate(keyring)).resealed, 2)
    assert.ok(!kept.some(({ id }) => id === before.id))
    await assert.rejects(store.secrets.open({ ...keyring, keys: [before] }, 'orders'), /does not open/)
    await fixture.server.sql("UPDATE sluice.secrets a SET sealed = b.sealed FROM sluice.secrets b WHERE a.name = 'orders' AND b.name = 'payments'", 'sluice')
    await assert.rejects(store.secrets.open(keyring, 'orders'), /does not open/)
  })

  test('two who change one object at once do not overwrite each other', async () => {
    await store.objects.put('resource', 'wiki', { protocol: 'postgres' }, 0, 'corp root')
    await assert.rejects(store.objects.put('resource', 'wiki', {}, 0, 'corp root'), /already/)
    const tries = await Promise.allSettled([store.objects.put('resource', 'wiki', { a: 1 }, 1, 'x'), other.objects.put('resource', 'wiki', { a: 2 }, 1, 'y')])
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.equal((await store.objects.get('resource', 'wiki'))!.version, 2)
  })

  test('when the bell loses its connection it comes back, says so, and nothing that waits is lost', async () => {
    const instance = (await store.begin()).number
    const sam = person('sam@example.com', ['leads'])
    await store.people.saw(sam)
    const review = await store.reviews.create(asking(person('bell')), instance)
    const decision = store.waits.decision(review.id, AbortSignal.timeout(10_000))
    let missed = 0
    store.bell.onMissed(() => {
      missed++
    })
    await fixture.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'sluice' AND query LIKE 'LISTEN%'", 'sluice')
    await other.reviews.decide(review.id, sam, 'approve', null)
    assert.equal((await decision).state, 'approved')
    while (missed === 0) await sleep(20)
    assert.ok(store.bell.connected)
  })

  test('errors of the store carry no value', async () => {
    await assert.rejects(store.objects.put('secret-kind' as 'resource', 'secret-value', {}, 0, 'x'), (error: Error) => {
      assert.doesNotMatch(`${error.message} ${String(error.cause)} ${error.stack}`, /secret-value/)
      return true
    })
    assert.equal(await store.health(), null)
  })
})
