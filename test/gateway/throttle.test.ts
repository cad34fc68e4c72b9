// Failed logins at a whole gateway: counted over all workers, refused unread beyond the limit at the database's port and the API alike,
// told in metrics and record, and no obstacle to who was in already.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Site, startSite, until } from './site.ts'

let site: Site
before(async () => { site = await startSite({ storeBeside: true, gateway: '  limits: { failed_logins: 30, failed_logins_of_one: 6 }\n' }) })
after(async () => { await site?.stop() })

test('beyond the limit logins are refused unread, and one that was accepted passes', async () => {
  const good = await site.token('gil@example.com', 'agents')
  await (await site.gateway.client({ database: 'orders', password: good })).end()
  await (await site.gateway.client({ database: 'orders', password: good })).end()
  await (await site.gateway.client({ database: 'orders', password: good })).end()
  const forged = async (subject: string, i: number) => { const [head, claims] = (await site.token(subject, 'agents')).split('.'); return `${head}.${claims}.${Buffer.alloc(64, i).toString('base64url')}` }
  const attempt = (password: string) => site.gateway.client({ database: 'orders', password }).then(() => 'in', (error: { code: string; message: string }) => `${error.code} ${error.message}`)
  const mal = []
  for (let i = 0; i < 12; i++) mal.push(await attempt(await forged('mal@example.com', i)))
  assert.equal(mal.filter((answer) => answer.includes('signature is wrong')).length >= 6, true)
  assert.match(mal.at(-1)!, /^28P01 .*too many logins of this identity from this address have failed: try again in \d+ s/)
  assert.match(await attempt(await site.token('fay@example.com', 'agents')), /^in$/, 'somebody else at the same address')
  for (let i = 0; i < 30; i++) await attempt(await forged(`many${i}@example.com`, i))
  assert.match(await attempt(await site.token('eva@example.com', 'agents')), /too many logins from this address/)
  assert.equal(await attempt(good), 'in', 'it was accepted before')
  const api = await site.api(await site.token('eva@example.com', 'agents'), 'GET', '/api/whoami')
  assert.equal(api.status, 429, api.text)
  // Metrics come from this machine without a credential.
  const metrics = await until('metrics tell', async () => { const text = (await site.api('', 'GET', '/metrics')).text; return /reason="THROTTLED"/.test(text) ? text : null })
  assert.match(metrics, /sluice_login_throttles_total\{kind="address"\} 1/)
  assert.match(metrics, /sluice_login_throttles_total\{kind="identity"\} 1/)
  assert.match(site.gateway.log(), /too many logins failed/)
})
