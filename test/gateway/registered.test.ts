// A resource registered through the API is served by every worker at once, and gone when it is removed.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, type TestServer } from '../servers/postgres.ts'

let server: TestServer, issuer: TestIssuer, gateway: TestGateway, admin: string
before(async () => {
  server = await startPostgres({ version: 18 })
  await server.sql('CREATE ROLE app LOGIN')
  issuer = await startIssuer()
  gateway = await startTestGateway(`identity:
  issuers: [{ name: corp, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }]
policies:
  - { name: readers, who: { groups: [dev] }, on: { labels: { env: test } }, allow: [read] }
`, { gateway: '  admins: { groups: [platform] }\n' })
  admin = await issuer.token('ana@x.example', 'platform,dev')
})
after(async () => { await gateway?.stop(); issuer?.stop(); await server?.stop() })

async function call(method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }> {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  try {
    const answer = await fetch(`https://127.0.0.1:${gateway.web}${path}`, { method, headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    return { status: answer.status, json: await answer.json().catch(() => null) }
  } finally { if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED; else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before }
}

test('what is registered is tested, served by each worker, and gone once it is removed', async () => {
  const declared = { protocol: 'postgres', address: `127.0.0.1:${server.port}`, database: 'postgres', tls: 'disable', credential: { username: 'app' }, labels: { env: 'test' } }
  const put = await call('PUT', '/api/resources/late', { body: declared, version: 0 })
  assert.equal(put.status, 200, JSON.stringify(put.json))
  const tested = await call('POST', '/api/resources/late/test')
  assert.equal((tested.json as { ok: boolean }).ok, true, JSON.stringify(tested.json))
  for (let i = 0; i < 4; i++) {
    const client = await gateway.client({ database: 'late', password: admin })
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
    await client.end()
  }
  assert.equal((await call('DELETE', '/api/resources/late')).status, 200)
  await assert.rejects(gateway.client({ database: 'late', password: admin }), { code: '3D000' })
})
