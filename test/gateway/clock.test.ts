// The gateway's wall clock jumps back an hour, and forward and back: what has expired stays so. Tokens, sessions, approvals.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Site, startSite, until } from './site.ts'

const HOUR_MS = 3_600_000
/** The clocks of an issuer and of the gateway may differ by so much. */
const SKEW_SECONDS = 60
/** The processes look at the file twenty times a second. */
const SEEN_MS = 200

describe('clocks that jump', () => {
  let site: Site, folder: string
  const jump = async (ms: number) => { writeFileSync(join(folder, 'clock'), String(ms)); await sleep(SEEN_MS) }
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-clock-'))
    await (async () => { writeFileSync(join(folder, 'clock'), '0') })()
    site = await startSite({ storeBeside: true, env: { NODE_OPTIONS: `--import ${fileURLToPath(new URL('../servers/clock.mjs', import.meta.url))}`, SLUICE_TEST_CLOCK: join(folder, 'clock') } })
  })
  after(async () => { await site?.stop(); rmSync(folder, { recursive: true, force: true }) })

  test('back by an hour: no token, no session and no approval comes back to life', async () => {
    // Two seconds of life left, counted with what clocks may differ by.
    const dying = await site.token('dee@example.com', 'agents', `&ttl=${2 - SKEW_SECONDS}`)
    const enter = (password: string) => site.gateway.client({ database: 'orders', password }).then(async (client) => { await client.end(); return 'in' }, (error: { code: string }) => error.code)
    assert.equal(await enter(dying), 'in')
    const person = await site.token('ann@example.com', 'agents')
    const made = (await site.api(person, 'POST', '/api/tokens', { resource: 'orders', ttlSeconds: 2 })).json<{ secret: string }>().secret
    assert.equal(await enter(made), 'in')
    // Its session ends 25 s after the credential: five seconds from now.
    const open = await site.gateway.client({ database: 'orders', password: await site.token('eve@example.com', 'agents', '&ttl=-20') })
    const from = Date.now()
    const hurried = await site.connect('hal@example.com', 'hurried')
    const lead = await site.token('lea@example.com', 'leads')
    const held = hurried.query('DELETE FROM customers WHERE id = 4301').then(() => 'ran', (error: { code: string }) => error.code)
    const { id } = await until('the review', async () => (await site.api(lead, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string; requester: string }[] }>().reviews.find((one) => one.requester === 'hal@example.com'))
    await sleep(1_000)
    await jump(-HOUR_MS)
    await until('the token is over', async () => (await enter(dying)) === '28P01', 5_000)
    await until('the made token is over', async () => (await enter(made)) === '28P01', 5_000)
    assert.equal(await held, '42501', 'nobody decided in time')
    assert.notEqual((await site.api(lead, 'POST', `/api/reviews/${id}/approve`, {})).status, 200)
    await until('the session is over', () => open.query('SELECT 1').then(() => false, () => true), 9_000)
    assert.ok(Date.now() - from < 9_000)
    for (let i = 0; i < 4; i++) assert.deepEqual([await enter(dying), await enter(made)], ['28P01', '28P01'])
    await hurried.end()
  })

  test('forward by an hour and back: what expired meanwhile stays so, and a good token is taken again', async () => {
    await jump(0)
    const person = await site.token('bob@example.com', 'agents', '&ttl=600')
    const made = (await site.api(person, 'POST', '/api/tokens', { resource: 'orders', ttlSeconds: 300 })).json<{ secret: string }>().secret
    const robot = await site.connect('rob@example.com', 'robots', '&ttl=9000')
    await assert.rejects(robot.query('DELETE FROM customers WHERE id = 4302'), { code: '42501' })
    const lead = await site.token('lea@example.com', 'leads', '&ttl=7200')
    const { id } = await until('the review', async () => (await site.api(lead, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string; requester: string }[] }>().reviews.find((one) => one.requester === 'rob@example.com'))
    assert.equal((await site.api(lead, 'POST', `/api/reviews/${id}/approve`, {})).status, 200)
    await jump(HOUR_MS)
    await sleep(1_500)
    await jump(0)
    await assert.rejects(robot.query('DELETE FROM customers WHERE id = 4302'), { code: '42501' }, 'the approval ran out')
    await assert.rejects(site.gateway.client({ database: 'orders', password: made }), { code: '28P01' })
    assert.equal(Number((await site.server.sql('SELECT count(*) AS n FROM customers WHERE id = 4302', 'orders')).rows[0].n), 1)
    await robot.end()
  })
})
