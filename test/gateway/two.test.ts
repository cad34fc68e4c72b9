// Two gateways on one store: an approval is released once over both, a kill and a revocation reach the other, and what an admin changes at
// one is in force at both.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { callApi } from '../servers/api.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, type TestServer } from '../servers/postgres.ts'
import { POLICIES, until } from './site.ts'

/** Of each gateway: 100 together. */
const PARALLEL = 50
const NEWS_MS = 5_000

describe('two gateways on one store', () => {
  let server: TestServer, issuer: TestIssuer, gateways: TestGateway[], admin: string
  before(async () => {
    ;[server, issuer] = await Promise.all([startPostgres({ settings: { max_connections: '300' } }), startIssuer()])
    for (const text of ['CREATE ROLE gw LOGIN', 'CREATE DATABASE orders OWNER gw', 'CREATE DATABASE sluice']) await server.sql(text)
    await server.sql("CREATE TABLE customers (id int PRIMARY KEY, ssn text); INSERT INTO customers SELECT g, 'x' FROM generate_series(1, 100) g; CREATE TABLE deleted (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO deleted VALUES (OLD.id); RETURN NULL; END$$; CREATE TRIGGER note BEFORE DELETE ON customers FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE customers OWNER TO gw; ALTER TABLE deleted OWNER TO gw", 'orders')
    const yaml = `identity:
  issuers: [{ name: test, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }]
resources:
  - { name: orders, protocol: postgres, address: "127.0.0.1:${server.port}", database: orders, tls: disable, credential: { username: gw }, limits: { sessions: 200 } }
${POLICIES}`
    const gateway = `  store: "postgres://gwsuper@127.0.0.1:${server.port}/sluice"\n  admins: { groups: [platform] }\n  auditors: { groups: [audit] }\n`
    gateways = [await startTestGateway(yaml, { gateway, workers: 1 }), await startTestGateway(yaml, { gateway, workers: 1 })]
    admin = await issuer.token('ada@example.com', 'platform,audit')
  })
  after(async () => { await Promise.all((gateways ?? []).map((one) => one.stop())); issuer?.stop(); await server?.stop() })
  const api = (at: number, token: string, method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => callApi(gateways[at]!.web, token, method, path, body)
  const over = (client: pg.Client) => until('it ends', () => client.query('SELECT 1').then(() => false, () => true), NEWS_MS)

  test('an approval is released once, whoever of a hundred at both asks first', async () => {
    const token = await issuer.token('rob@example.com', 'robots')
    const clients = (await Promise.all(gateways.map((one) => Promise.all(Array.from({ length: PARALLEL }, () => one.client({ database: 'orders', password: token })))))).flat()
    const sql = 'DELETE FROM customers WHERE id = 7'
    await assert.rejects(clients[0]!.query(sql), { code: '42501' })
    const lead = await issuer.token('lea@example.com', 'leads')
    const { id } = await until('the review', async () => (await api(1, lead, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string }[] }>().reviews[0])
    assert.equal((await api(1, lead, 'POST', `/api/reviews/${id}/approve`, {})).status, 200)
    const answers = await Promise.all(clients.map((client) => client.query(sql).then(() => 'ran', (error: { code: string }) => error.code)))
    assert.equal(answers.filter((answer) => answer === 'ran').length, 1)
    assert.equal(answers.filter((answer) => answer === '42501').length, 2 * PARALLEL - 1)
    assert.equal(Number((await server.sql('SELECT count(*) AS n FROM deleted', 'orders')).rows[0].n), 1)
    await Promise.all(clients.map((client) => client.end()))
  })

  test('a kill by id or by identity and a revocation at one end sessions at the other', async () => {
    const enter = async (who: string) => gateways[1]!.client({ database: 'orders', password: await issuer.token(who, 'agents') })
    const [byId, byIdentity, revoked, spared] = await Promise.all(['ida@example.com', 'ian@example.com', 'rex@example.com', 'sam@example.com'].map(enter))
    const there = (await api(1, admin, 'GET', '/api/sessions?open=true')).json<{ session: string; subject: string }[]>()
    const { session } = there.find(({ subject }) => subject === 'ida@example.com')!
    assert.equal((await api(0, await issuer.token('sam@example.com', 'agents'), 'POST', `/api/sessions/${session}/kill`)).status, 404, 'not theirs to end')
    assert.equal((await api(0, admin, 'POST', '/api/sessions/snothere/kill')).status, 404)
    assert.equal((await api(0, admin, 'POST', `/api/sessions/${session}/kill`)).status, 200)
    await over(byId!)
    assert.equal((await api(0, admin, 'POST', '/api/sessions/kill', { issuer: 'test', subject: 'ian@example.com' })).status, 200)
    await over(byIdentity!)
    assert.equal((await api(0, admin, 'POST', '/api/identity/revoke', { kind: 'subject', issuer: 'test', subject: 'rex@example.com' })).status, 200)
    await over(revoked!)
    await assert.rejects(enter('rex@example.com'), { code: '28P01' })
    assert.equal((await spared!.query('SELECT 1 AS one')).rows[0].one, 1)
    await spared!.end()
  })

  test('a policy that an admin registers at one refuses at the other within seconds', async () => {
    const client = await gateways[1]!.client({ database: 'orders', password: await issuer.token('pam@example.com', 'agents') })
    assert.equal((await api(0, admin, 'PUT', '/api/policies/freeze', { body: { who: { any: true }, on: {}, deny: [{ name: 'all', operations: ['sql.select'] }] }, version: 0 })).status, 200)
    await until('it refuses', () => client.query('SELECT 1').then(() => false, (error: { code: string }) => error.code === '42501'), NEWS_MS)
    await client.end()
  })
})
