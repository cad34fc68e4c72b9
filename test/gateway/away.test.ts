// What Sluice depends on goes away and comes back: the control store, the identity provider, the database behind it. Nobody hangs, nothing
// opens that could not be decided, what runs goes on for its time, and all of it works again by itself.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { startTestGateway, type TestGateway } from '../servers/gateway.ts'
import { type Forward, startForward } from '../servers/forward.ts'
import { startPostgres, type TestServer } from '../servers/postgres.ts'
import { type RefreshingIssuer, startRefreshing } from '../servers/refreshing.ts'
import { until } from './site.ts'

const GRACE_MS = 6_000
interface Failure { readonly code: string; readonly message: string; readonly tookMs: number }

describe('what goes away and comes back', () => {
  let server: TestServer, issuer: RefreshingIssuer, store: Forward, target: Forward, gateway: TestGateway
  before(async () => {
    ;[server, issuer] = await Promise.all([startPostgres({ hba: 'local all all trust\nhost all all 127.0.0.1/32 trust\n' }), startRefreshing()])
    issuer.ttlSeconds = 600
    for (const text of ['CREATE DATABASE orders', 'CREATE DATABASE sluice', 'CREATE ROLE reading LOGIN', 'CREATE ROLE writing LOGIN', 'CREATE ROLE ruling LOGIN SUPERUSER']) await server.sql(text)
    await server.sql('CREATE TABLE things (id int PRIMARY KEY); INSERT INTO things SELECT generate_series(1, 100); GRANT SELECT ON things TO reading; GRANT SELECT, INSERT, DELETE ON things TO writing', 'orders')
    ;[store, target] = await Promise.all([startForward(server.port), startForward(server.port)])
    // The database seems to be away while the gateway starts.
    target.cut()
    gateway = await startTestGateway(`identity:
  issuers: [{ name: test, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }]
resources:
  - name: orders
    protocol: postgres
    address: 127.0.0.1:${target.port}
    database: orders
    tls: disable
    credential: { read: { username: reading }, write: { username: writing }, admin: { username: ruling } }
  - { name: partly, protocol: postgres, address: "127.0.0.1:${target.port}", database: orders, tls: disable, credential: { read: { username: reading } } }
policies:
  - { name: readers, who: { groups: [readers] }, on: {}, allow: [read] }
  - { name: writers, who: { groups: [writers, agents] }, on: {}, allow: [read, write] }
  - { name: rulers, who: { groups: [rulers] }, on: {}, allow: [read, write, admin] }
  - { name: asked, who: { groups: [agents] }, on: {}, review: [{ name: deletes, operations: [sql.delete], reviewers: { groups: [leads] }, within: 20s }] }
`, { gateway: `  store: "postgres://gwsuper@127.0.0.1:${store.port}/sluice"\n  limits: { store_grace: ${GRACE_MS}ms }\n` })
  })
  after(async () => { await gateway?.stop(); store?.stop(); target?.stop(); issuer?.stop(); await server?.stop() })

  const open = async (groups: string[], database = 'orders', subject = 'ann@example.com'): Promise<pg.Client> => { issuer.groups = groups; return gateway.client({ database, password: await issuer.token(subject) }) }
  const failure = async (work: () => Promise<pg.Client>): Promise<Failure> => {
    const from = Date.now()
    try { await (await work()).end() } catch (error) { const { code, message } = error as Failure; return { code, message, tookMs: Date.now() - from } }
    throw new Error('it was let in')
  }

  test('started while its database is away, it serves: a clear error, and sessions once the database is there', async () => {
    const refused = await failure(() => open(['readers']))
    assert.equal(refused.code, '08006')
    assert.match(refused.message, /the target/)
    target.mend()
    const client = await until('it opens', () => open(['readers']).catch(() => null))
    assert.equal((await client.query('SELECT count(*)::int AS n FROM things')).rows[0].n, 100)
    await client.end()
  })

  test('a session gets the weakest credential that covers what its policies allow', async () => {
    for (const [groups, role] of [[['readers'], 'reading'], [['writers'], 'writing'], [['readers', 'writers'], 'writing'], [['rulers'], 'ruling']] as const) {
      const client = await open([...groups])
      assert.equal((await client.query('SELECT current_user AS who')).rows[0].who, role, groups.join())
      if (role === 'writing') await client.query('INSERT INTO things VALUES (1000); DELETE FROM things WHERE id = 1000')
      await client.end()
    }
    const none = await failure(() => open(['writers'], 'partly'))
    assert.equal(none.code, '42501')
    assert.match(none.message, /no credential that covers write/)
    assert.equal((await (await open(['readers'], 'partly')).query('SELECT current_user AS who')).rows[0].who, 'reading')
  })

  test('the database restarts: its sessions end with an error, none hangs, nothing runs twice, and new ones work', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => open(['writers'])))
    const running = clients[0]!.query('SELECT count(*) FROM things a, things b, things c, things d, things e').then(() => null, (error: Failure) => error)
    const inside = clients[1]!
    await inside.query('BEGIN; INSERT INTO things VALUES (2000)')
    await sleep(100)
    const from = Date.now()
    await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writing'")
    const ended = await running
    assert.ok(ended !== null && (ended.code === '57P01' || /terminat|closed/i.test(ended.message)), JSON.stringify(ended))
    for (const client of clients.slice(1)) await assert.rejects(client.query('SELECT 1'))
    assert.ok(Date.now() - from < 5_000)
    target.cut()
    assert.equal((await failure(() => open(['writers']))).code, '08006')
    target.mend()
    const client = await until('it opens again', () => open(['writers']).catch(() => null))
    assert.equal((await client.query('SELECT count(*)::int AS n FROM things WHERE id = 2000')).rows[0].n, 0)
    await client.end()
  })

  test('the identity provider is down: known keys go on, an unknown key costs one question in half a minute', async () => {
    const asked = issuer.keysAsked()
    issuer.answers = false
    await (await open(['readers'])).end()
    const [head, claims, signature] = (await issuer.token('x@example.com')).split('.')
    const foreign = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(head!, 'base64url').toString()) as object, kid: 'unknown' })).toString('base64url')
    const refused = await Promise.all(Array.from({ length: 12 }, () => failure(() => gateway.client({ database: 'orders', password: `${foreign}.${claims}.${signature}` }))))
    for (const { code } of refused) assert.equal(code, '28P01')
    assert.ok(issuer.keysAsked() - asked <= 1, `${issuer.keysAsked() - asked} questions`)
    issuer.answers = true
  })

  for (const how of ['cut', 'stall'] as const) {
    test(`the control store is away (${how}): nobody new, soon and clearly; who is in goes on, what needs a review does not; then all of it works again`, async () => {
      const client = await open(['agents'], 'orders', `in-${how}@example.com`)
      store[how]()
      await until('it is noticed', () => failure(() => open(['readers'])).then(({ code }) => code === '58000', () => false), 2_500)
      const refused = await failure(() => open(['readers']))
      assert.ok(refused.tookMs < 2_000, `${refused.tookMs} ms`)
      assert.match(refused.message, /the control store does not answer, so nobody new is let in/)
      assert.ok((await failure(() => gateway.client({ database: 'orders', password: `slc_${'x'.repeat(43)}` }))).tookMs < 2_000)
      assert.equal((await client.query('SELECT count(*)::int AS n FROM things')).rows[0].n, 100, 'it goes on')
      const held = await client.query('DELETE FROM things WHERE id = 1').then(() => null, (error: Failure) => error)
      assert.equal(held?.code, '42501', 'nobody can be asked')
      await until('at the end of the grace it is ended', () => client.query('SELECT 1').then(() => false, () => true), GRACE_MS + 3_000)
      store.mend()
      const again = await until('it opens again', () => open(['readers']).catch(() => null))
      assert.equal((await again.query('SELECT 1 AS one')).rows[0].one, 1)
      await again.end()
    })
  }
})
