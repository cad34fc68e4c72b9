// What ends an open session, and how soon: a kill, a revocation, an expired credential, a policy that no longer allows it; and what
// does not: a changed file with an error in it. Cancel requests find their session from whatever worker takes them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { cancel, refusalOf, type Site, startSite, until } from './site.ts'

const NEWS_MS = 5_000
/** Resolves with how long it took until the session answers no more. */
async function ended(client: pg.Client, withinMs: number): Promise<number> {
  const started = Date.now()
  await until('the session ends', async () => { try { await client.query('SELECT 1'); return false } catch { return true } }, withinMs)
  return Date.now() - started
}
describe('what ends a session', () => {
  let site: Site
  let admin: string
  before(async () => { site = await startSite({ storeBeside: true }); admin = await site.token('ada@example.com', 'platform,audit') })
  after(async () => { await site.stop() })

  test('a kill by an admin reaches it, on whichever worker it is', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, (_, i) => site.connect(`victim${i}@example.com`, 'agents')))
    const list = (await site.api(admin, 'GET', '/api/sessions?open=true')).json<{ session: string; subject: string }[]>()
    for (const [i, client] of clients.entries()) {
      const mine = list.find((s) => s.subject === `victim${i}@example.com`)
      assert.ok(mine, 'the API lists it')
      const words = new Promise<{ code: string; message: string }>((done) => client.once('error', (error) => done(error as unknown as { code: string; message: string })))
      assert.equal((await site.api(admin, 'POST', `/api/sessions/${mine.session}/kill`)).status, 200)
      const farewell = await words
      assert.equal(farewell.code, '57P01')
      assert.match(farewell.message, /ended by/)
    }
  })

  test('a kill in the middle of a statement cancels it at the server too', async () => {
    const client = await site.connect('runner@example.com', 'agents')
    const running = client.query('SELECT count(*) FROM customers a, customers b, customers c').catch((error: unknown) => error as { code: string })
    await until('it runs', async () => (await site.server.sql("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%count(*)%' AND pid <> pg_backend_pid()")).rows.length > 0)
    const { session } = (await site.api(admin, 'GET', '/api/sessions?open=true')).json<{ session: string; subject: string }[]>().find((s) => s.subject === 'runner@example.com')!
    await site.api(admin, 'POST', `/api/sessions/${session}/kill`)
    await running
    await until('the server has stopped it', async () => (await site.server.sql("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%count(*)%' AND pid <> pg_backend_pid()")).rows.length === 0, 3_000)
  })

  test('cancel requests find their session from any worker, and a wrong secret finds none', async () => {
    for (let i = 0; i < 4; i++) {
      const client = await site.connect(`cancel${i}@example.com`, 'agents')
      const running = client.query('SELECT count(*) FROM customers a, customers b, customers c').catch((error: unknown) => error as { code: string })
      await sleep(200)
      await cancel(site.gateway.port, client, 1)
      assert.equal(await Promise.race([running.then(() => 'ended'), sleep(250).then(() => 'runs')]), 'runs')
      await cancel(site.gateway.port, client)
      assert.equal((await running as { code: string }).code, '57014')
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
      await client.end()
    }
  })

  test('a revoked subject is out within five seconds and does not come back', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => site.connect('mallory@example.com', 'agents')))
    const token = await site.token('mallory@example.com', 'agents')
    assert.equal((await site.api(admin, 'POST', '/api/identity/revoke', { kind: 'subject', issuer: 'test', subject: 'mallory@example.com', reason: 'left' })).status, 200)
    for (const client of clients) assert.ok(await ended(client, NEWS_MS) < NEWS_MS)
    assert.equal((await refusalOf(site.gateway.client({ database: 'orders', password: token }))).code, '28P01')
    assert.equal((await site.api(token, 'GET', '/api/whoami')).status, 401)
  })

  test('a revoked token ends what it opened and opens nothing more, while another of the same person does', async () => {
    const token = await site.token('nina@example.com', 'agents')
    const { jti } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { jti: string }
    const [one, other] = await Promise.all([site.gateway.client({ database: 'orders', password: token }), site.connect('nina@example.com', 'agents')])
    const answer = await site.api(admin, 'POST', '/api/identity/revoke', { kind: 'token-id', issuer: 'test', tokenId: jti, reason: 'leaked' })
    assert.equal(answer.status, 200)
    assert.ok(await ended(one, NEWS_MS) < NEWS_MS)
    // The news may reach one worker after another.
    const attempt = () => site.gateway.client({ database: 'orders', password: token }).then(async (client) => { await client.end(); return '' }, (error: Error) => error.message)
    await until('no worker lets it in', async () => (await Promise.all([attempt(), attempt(), attempt(), attempt()])).every((message) => /revoked/.test(message)), NEWS_MS)
    assert.equal((await other.query('SELECT 1 AS one')).rows[0].one, 1)
    await other.end()
  })

  test('an expired credential ends its session at most 30 s later', { timeout: 60_000 }, async () => {
    const client = await site.connect('short@example.com', 'agents', '&ttl=3')
    assert.ok(await ended(client, 36_000) <= 33_500)
  })

  test('a policy that no longer allows it ends the session within five seconds; a narrower one applies to the next statement', async () => {
    const client = await site.connect('pat@example.com', 'agents')
    site.edit((text) => text.replace('- { name: no-ddl, operations: [sql.drop]', '- { name: no-ddl, operations: [sql.drop, sql.insert]'))
    await until('the new rule holds', async () => { try { await client.query("INSERT INTO ledger (who, n) VALUES ('pat', 1)"); return false } catch (error) { return (error as { code: string }).code === '42501' } }, NEWS_MS)
    site.edit((text) => text.replace('- { name: no-ddl, operations: [sql.drop, sql.insert]', '- { name: no-ddl, operations: [sql.drop]').replace('groups: [agents]', 'groups: [nobody]'))
    assert.ok(await ended(client, NEWS_MS) < NEWS_MS)
    site.edit((text) => text.replace('groups: [nobody]', 'groups: [agents]'))
    await until('it is allowed again', async () => { try { await (await site.connect('pat@example.com', 'agents')).end(); return true } catch { return false } }, NEWS_MS)
  })

  test('a file with an error changes nothing and is reported, with its line', async () => {
    const client = await site.connect('sue@example.com', 'agents')
    const before = site.gateway.log().length
    site.edit((text) => text.replace('allow: [read, write]', 'alow: [read, write]'))
    await until('it is reported', () => /the configuration has an error|has an error/.test(site.gateway.log().slice(before)), NEWS_MS)
    assert.match(site.gateway.log().slice(before), /sluice\.yaml:\d+/)
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
    await client.query("INSERT INTO ledger (who, n) VALUES ('sue', 1)")
    site.edit((text) => text.replace('alow: [read, write]', 'allow: [read, write]'))
    await client.end()
  })

  test('SIGHUP reloads at once', async () => {
    const client = await site.connect('hugo@example.com', 'agents')
    site.edit((text) => text.replace('- { name: no-ddl, operations: [sql.drop]', '- { name: no-ddl, operations: [sql.drop, sql.update]'))
    site.gateway.child.kill('SIGHUP')
    await until('the new rule holds', async () => { try { await client.query('UPDATE ledger SET n = 0 WHERE id = 1'); return false } catch { return true } }, 900)
    site.edit((text) => text.replace('- { name: no-ddl, operations: [sql.drop, sql.update]', '- { name: no-ddl, operations: [sql.drop]'))
    site.gateway.child.kill('SIGHUP')
    await client.end()
  })
})
