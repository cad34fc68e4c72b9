// Groups of `identity.people`: they open resources, make reviewers, and go with the file: from open sessions within seconds, and from
// tokens that were made while they stood.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Site, startSite, until } from './site.ts'

describe('groups that the configuration gives', () => {
  let site: Site
  before(async () => { site = await startSite({ storeBeside: true }) })
  after(async () => { await site.stop() })
  const people = (list: string) => site.edit((text) => text.replace(/( {2}people: .*\n)?resources:/, `${list === '' ? '' : `  people: [${list}]\n`}resources:`))
  const settled = () => until('the reload', () => { const at = site.gateway.log().split('the configuration was reloaded').length - 1; return at > reloads && (reloads = at) }, 8_000)
  let reloads = 0

  test('they open a resource at once and, taken away, end its sessions and void its tokens within seconds', async () => {
    const token = await site.token('pia@example.com', 'nobody')
    await assert.rejects(site.gateway.client({ database: 'orders', password: token }), { code: '3D000' })
    assert.equal((await site.api(token, 'POST', '/api/tokens', { resource: 'orders' })).status, 404)
    people('{ subject: pia@example.com, groups: [agents] }')
    await settled()
    const direct = await until('she may enter', () => site.gateway.client({ database: 'orders', password: token }).catch(() => null))
    const made = await site.api(token, 'POST', '/api/tokens', { resource: 'orders' })
    assert.equal(made.status, 200, made.text)
    const { secret } = made.json<{ secret: string }>()
    const byToken = await site.gateway.client({ database: 'orders', password: secret })
    people('')
    const from = Date.now()
    for (const client of [direct, byToken]) await until('the session ends', async () => { try { await client.query('SELECT 1'); return false } catch { return true } })
    assert.ok(Date.now() - from < 5_000)
    await settled()
    await assert.rejects(site.gateway.client({ database: 'orders', password: secret }), { code: '3D000' })
  })

  test('a reviewer by the configuration decides, and releases nothing once it no longer says so', async () => {
    people('{ subject: rea@example.com, groups: [leads] }')
    await settled()
    const reviewer = await site.token('rea@example.com', '')
    const waiting = (who: string) => until('the review', async () => (await site.api(reviewer, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string; requester: string }[] }>().reviews.find((one) => one.requester === who))
    const client = await site.connect('una@example.com', 'agents')
    const work = client.query('DELETE FROM customers WHERE id = 4101')
    const { id } = await waiting('una@example.com')
    assert.equal((await site.api(reviewer, 'POST', `/api/reviews/${id}/approve`, {})).status, 200)
    assert.equal((await work).rowCount, 1)
    const robot = await site.connect('rob@example.com', 'robots')
    await assert.rejects(robot.query('DELETE FROM customers WHERE id = 4102'), { code: '42501' })
    const filed = await waiting('rob@example.com')
    assert.equal((await site.api(reviewer, 'POST', `/api/reviews/${filed.id}/approve`, {})).status, 200)
    people('')
    await settled()
    await assert.rejects(robot.query('DELETE FROM customers WHERE id = 4102'), { code: '42501' }, 'the approver is no reviewer any more')
    await Promise.all([client.end(), robot.end()])
  })
})
