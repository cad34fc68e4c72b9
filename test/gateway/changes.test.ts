// Policies and issuers through the API of a whole gateway: what tightens is in force on every worker within seconds, what loosens waits for
// a second admin, nobody agrees with themselves, and each step is in the record.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { callApi } from '../servers/api.ts'
import { startIssuer } from '../servers/gateway.ts'
import { refusalOf, type Site, startSite, until } from './site.ts'

const IN_FORCE_MS = 5_000
const SESSIONS = 6
interface Waits { readonly review: string; readonly url: string; readonly why: string }

describe('what admins change through the API', () => {
  let site: Site, ada: string, abe: string, audit: string
  before(async () => {
    site = await startSite({ storeBeside: true })
    ;[ada, abe, audit] = await Promise.all([site.token('ada@example.com', 'platform'), site.token('abe@example.com', 'platform'), site.token('aud@example.com', 'audit')])
  })
  after(async () => { await site.stop() })
  const call = (token: string, method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, body?: unknown) => callApi(site.gateway.web, token, method, path, body)
  const events = async (action: string) => (await call(audit, 'GET', '/api/audit/events')).json<{ action: string; actor: string; subject: string; detail: Record<string, unknown> }[]>().filter((one) => one.action === action)

  test('a policy that allows waits for a second admin; approved, it opens on every worker within seconds, once', async () => {
    const body = { who: { groups: ['late'] }, on: { resources: ['orders'] }, allow: ['read'] }
    const asked = await call(ada, 'PUT', '/api/policies/latecomers', { body, version: 0 })
    assert.equal(asked.status, 202, asked.text)
    const { review, why } = asked.json<Waits>()
    assert.match(why, /allows something.*another admin must approve/)
    const late = await site.token('lou@example.com', 'late')
    const enter = () => site.gateway.client({ database: 'orders', password: late })
    await assert.rejects(enter(), { code: '3D000' })
    // Once more changes nothing: it is the same question.
    assert.equal((await call(ada, 'PUT', '/api/policies/latecomers', { body, version: 0 })).json<Waits>().review, review)
    const own = await call(ada, 'POST', `/api/reviews/${review}/approve`, {})
    assert.equal(own.status, 403)
    assert.match(own.text, /nobody decides what they/)
    assert.equal((await call(late, 'POST', `/api/reviews/${review}/approve`, {})).status, 404)
    const shown = (await call(abe, 'GET', `/api/reviews/${review}`)).json<{ text: string; kind: string }>()
    assert.equal(shown.kind, 'change')
    assert.match(shown.text, /"late"[^]*"read"/)
    assert.equal((await call(abe, 'POST', `/api/reviews/${review}/approve`, {})).status, 200)
    await assert.rejects(enter(), { code: '3D000' }, 'approved is not yet in force')
    const wider = await call(ada, 'PUT', '/api/policies/latecomers', { body: { ...body, allow: ['read', 'write'] }, version: 0 })
    assert.equal(wider.status, 202, 'another text than the one approved')
    // Whoever else asks for the same has not been approved.
    assert.equal((await call(abe, 'PUT', '/api/policies/latecomers', { body, version: 0 })).status, 202)
    const done = await call(ada, 'PUT', '/api/policies/latecomers', { body, version: 0 })
    assert.equal(done.status, 200, done.text)
    const from = Date.now()
    const clients = []
    for (let i = 0; i < SESSIONS; i++) clients.push(await until('it opens', () => enter().catch(() => null), IN_FORCE_MS))
    assert.ok(Date.now() - from < IN_FORCE_MS)
    for (const client of clients) assert.equal((await client.query('SELECT count(*)::int AS n FROM customers WHERE id < 10')).rows[0].n, 9)
    await Promise.all(clients.map((client) => client.end()))
    assert.equal((await call(ada, 'DELETE', '/api/policies/latecomers')).status, 200, 'taking away needs one')
    await assert.rejects(enter(), { code: '3D000' })
    assert.equal((await call(ada, 'PUT', '/api/policies/latecomers', { body, version: 0 })).status, 202, 'the approval was used')
    const [put] = await events('policy.put')
    assert.deepEqual([put?.actor, put?.detail.approvedBy, put?.detail.review], ['test ada@example.com', 'abe@example.com', review])
    assert.equal((await events('policy.put.asked')).length >= 3, true)
    assert.equal((await events('policy.remove')).length, 1)
  })

  test('a policy that refuses is one admin\'s word: open sessions feel it within seconds; to take it back needs two', async () => {
    const clients = await Promise.all(Array.from({ length: SESSIONS }, (_, i) => site.connect(`open${i}@example.com`, 'agents')))
    const stop = { who: { any: true }, on: {}, deny: [{ name: 'frozen', operations: ['sql.insert'] }] }
    const put = await call(ada, 'PUT', '/api/policies/freeze', { body: stop, version: 0 })
    assert.equal(put.status, 200, put.text)
    const from = Date.now()
    for (const client of clients) {
      await until('it is refused', async () => { try { await client.query("INSERT INTO ledger (who, n) VALUES ('x', 1)"); return false } catch (error) { return (error as { code: string }).code === '42501' } }, IN_FORCE_MS)
      assert.match((await refusalOf(client.query("INSERT INTO ledger (who, n) VALUES ('x', 1)"))).message, /freeze\/frozen/)
    }
    assert.ok(Date.now() - from < IN_FORCE_MS)
    assert.equal((await call(ada, 'PUT', '/api/policies/freeze', { body: { ...stop, deny: [{ name: 'frozen', operations: ['sql.update'] }] }, version: 1 })).status, 202)
    const removal = await call(ada, 'DELETE', '/api/policies/freeze')
    assert.equal(removal.status, 202, removal.text)
    // Changed meanwhile: what was approved is no longer what would happen.
    assert.equal((await call(abe, 'POST', `/api/reviews/${removal.json<Waits>().review}/approve`, {})).status, 200)
    assert.equal((await call(abe, 'PUT', '/api/policies/freeze', { body: { ...stop, deny: [...stop.deny, { name: 'more', operations: ['sql.merge'] }] }, version: 1 })).status, 200)
    assert.equal((await call(ada, 'DELETE', '/api/policies/freeze')).status, 202)
    assert.equal((await call(abe, 'PUT', '/api/policies/freeze', { body: stop, version: 1 })).status, 409)
    const listed = (await call(audit, 'GET', '/api/policies')).json<{ policies: { name: string; origin: string }[] }>().policies
    assert.deepEqual([listed.find(({ name }) => name === 'freeze')?.origin, listed.find(({ name }) => name === 'people')?.origin], ['store', 'file'])
    const again = (await call(ada, 'DELETE', '/api/policies/freeze')).json<Waits>()
    assert.equal((await call(abe, 'POST', `/api/reviews/${again.review}/approve`, {})).status, 200)
    assert.equal((await call(ada, 'DELETE', '/api/policies/freeze')).status, 200)
    await until('it runs again', () => clients[0]!.query("INSERT INTO ledger (who, n) VALUES ('x', 1)").then(() => true, () => false), IN_FORCE_MS)
    await Promise.all(clients.map((client) => client.end()))
  })

  test('a policy with a mistake, and one of the file, are refused with where and why', async () => {
    const bad = await call(ada, 'PUT', '/api/policies/wrong', { body: { who: { any: true }, on: {}, allow: ['reed'], colour: 'red' }, version: 0 })
    assert.equal(bad.status, 400)
    assert.match(bad.text, /allow\[0\].*did you mean `read`/)
    assert.match(bad.text, /unknown key `colour`/)
    const twice = await call(ada, 'PUT', '/api/policies/wrong', { body: { who: { any: true }, on: {}, deny: [{ name: 'd', detect: ['ssn'] }] }, version: 0 })
    assert.equal(twice.status, 400)
    assert.match(twice.text, /no detector is named `ssn`/)
    assert.equal((await call(ada, 'PUT', '/api/policies/people', { body: { who: { any: true }, on: {}, allow: [] }, version: 0 })).status, 409)
    assert.equal((await call(ada, 'DELETE', '/api/policies/people')).status, 409)
    assert.equal((await call(ada, 'PUT', '/api/issuers/test', { body: { issuer: site.issuer.url, audience: 'x' }, version: 0 })).status, 409)
    assert.match((await call(ada, 'PUT', '/api/issuers/again', { body: { issuer: site.issuer.url, audience: 'x' }, version: 0 })).text, /second issuer with this address/)
    assert.match((await call(ada, 'PUT', '/api/issuers/leaky', { body: { issuer: 'https://l.example', audience: 'x', client_id: 'c', client_secret: { env: 'HOME' } }, version: 0 })).text, /from the store/)
  })

  test('an issuer is believed once two admins say so, and no longer once one says not', async () => {
    const second = await startIssuer()
    try {
      const body = { issuer: second.url, audience: 'sluice', subject: 'email' }
      const token = await second.token('gus@guests.example', 'agents')
      await assert.rejects(site.gateway.client({ database: 'orders', password: token }), { code: '28P01' })
      const { review } = (await call(ada, 'PUT', '/api/issuers/guests', { body, version: 0 })).json<Waits>()
      assert.equal((await call(abe, 'POST', `/api/reviews/${review}/approve`, {})).status, 200)
      assert.equal((await call(ada, 'PUT', '/api/issuers/guests', { body, version: 0 })).status, 200)
      const client = await until('they may enter', () => site.gateway.client({ database: 'orders', password: token }).catch(() => null), IN_FORCE_MS)
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
      assert.deepEqual((await call(audit, 'GET', '/api/issuers')).json<{ name: string; origin: string }[]>().map(({ name, origin }) => `${name} ${origin}`), ['test file', 'guests store'])
      assert.equal((await call(ada, 'DELETE', '/api/issuers/guests')).status, 200)
      await until('the door is shut', () => site.gateway.client({ database: 'orders', password: token }).then((late) => late.end().then(() => false), () => true), IN_FORCE_MS)
      await until('who is inside is out', () => client.query('SELECT 1').then(() => false, () => true), IN_FORCE_MS)
    } finally { second.stop() }
  })

  test('a stored policy that can\'t be read closes, and an admin repairs it; what was loaded is in the record', async () => {
    const client = await site.connect('zoe@example.com', 'agents')
    await site.server.sql("INSERT INTO sluice.objects (kind, name, body, changed_ms, changed_by) VALUES ('policy', 'broken', '{\"nonsense\": true}', 0, 'x'); SELECT pg_notify('sluice', '{\"topic\":\"objects\",\"kind\":\"policy\",\"name\":\"broken\"}')", 'sluice')
    await until('everything is closed', () => client.query('SELECT 1').then(() => false, (error: { detail?: string }) => /broken.*can't be read/.test(error.detail ?? '')), IN_FORCE_MS)
    const repair = await call(ada, 'DELETE', '/api/policies/broken')
    assert.equal(repair.status, 202, 'what it refused is not known')
    assert.equal((await call(abe, 'POST', `/api/reviews/${repair.json<Waits>().review}/approve`, {})).status, 200)
    assert.equal((await call(ada, 'DELETE', '/api/policies/broken')).status, 200)
    await until('it runs again', () => client.query('SELECT 1').then(() => true, () => false), IN_FORCE_MS)
    await client.end()
    const verified = (await call(audit, 'GET', '/api/audit/verify')).json<{ ok: boolean }>()
    assert.equal(verified.ok, true)
  })
})
