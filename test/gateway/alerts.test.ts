// Data that walks out slowly: a budget that alerts counts over sessions and workers, tells once, and lets the work go on.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { callApi } from '../servers/api.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'

const ROWS = 1_000, DRIP = 900
let server: TestServer, issuer: TestIssuer, gateway: TestGateway, auditor: string
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE ROLE app LOGIN; CREATE TABLE customers (id int PRIMARY KEY, email text); INSERT INTO customers SELECT i, 'c' || i || '@x.example' FROM generate_series(1, 2000) i; GRANT SELECT ON customers TO app`)
  issuer = await startIssuer()
  gateway = await startTestGateway(`identity:
  issuers: [{ name: corp, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }]
resources:
  - { name: orders, protocol: postgres, address: "127.0.0.1:${server.port}", database: postgres, tls: disable, credential: { username: app, password: none }, tags: { pii: ["*.email"] } }
policies:
  - name: readers
    who: { groups: [dev] }
    on: { resources: [orders] }
    allow: [read]
    budget: [{ name: drip, rows: ${ROWS}, per: 1h, tags: [pii], then: alert }]
`, { gateway: '  auditors: { groups: [audit] }\n' })
  auditor = await issuer.token('eve@x.example', 'audit')
})
after(async () => { await gateway?.stop(); issuer?.stop(); await server?.stop() })

interface Alert { action: string; subject: string; detail: { rule: string; rows: number } }
const alerts = async () => (await callApi(gateway.web, auditor, 'GET', '/api/audit/events')).json<Alert[]>().filter(({ action }) => action === 'alert.volume')
async function takes(subject: string, sql: string): Promise<number | null> {
  const client = await gateway.client({ database: 'orders', password: await issuer.token(subject, 'dev') })
  try { return (await client.query(sql)).rowCount } finally { await client.end() }
}

test('ten sessions of a drip are told of before twice the budget has left, once, and go on', async () => {
  for (let session = 1; session <= 10; session++) {
    assert.equal(await takes('mallory@x.example', `SELECT email FROM customers LIMIT ${DRIP}`), DRIP)
    if (session === 1) assert.deepEqual(await alerts(), [])
    if (session === 2) for (let i = 0; i < 50 && (await alerts()).length === 0; i++) await sleep(100)
    if (session >= 2) assert.deepEqual((await alerts()).map(({ subject, detail }) => [subject.split(' ')[1], detail.rule, detail.rows]), [['mallory@x.example', 'readers/drip', ROWS]], `session ${session}`)
  }
})

test('what stays below, and what reads no such column, is quiet', async () => {
  for (let session = 0; session < 4; session++) {
    assert.equal(await takes('ana@x.example', 'SELECT email FROM customers WHERE id <= 100'), 100)
    assert.equal(await takes('ana@x.example', 'SELECT id FROM customers'), 2_000)
  }
  assert.equal((await alerts()).filter(({ subject }) => subject.includes('ana@')).length, 0)
})
