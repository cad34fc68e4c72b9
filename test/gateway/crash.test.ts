// Processes that end, asked and unasked: a drain, a worker that dies, a supervisor that dies; and what is around the gateway being
// away: the store, the server, at the start and in the middle.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { alive, descendants, refusalOf, type Site, startSite, until } from './site.ts'

const commandOf = (pid: number) => { try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') } catch { return '' } }
const workersOf = (site: Site) => descendants(site.gateway.child.pid!).filter((pid) => /gateway\/worker\.(ts|js)/.test(commandOf(pid)))
const storeOf = (site: Site) => Number(readFileSync(join(storeData(site), 'postmaster.pid'), 'utf8').split('\n')[0])
function storeData(site: Site): string {
  const pid = descendants(site.gateway.child.pid!).find((p) => /bin\/postgres /.test(commandOf(p)))
  return / -D (\S+)/.exec(commandOf(pid!))![1]!
}

describe('processes that end', () => {
  let site: Site, admin: string
  before(async () => { site = await startSite(); admin = await site.token('ada@example.com', 'platform,audit', '&ttl=3600') })
  after(async () => { await site.stop() })

  test('a worker that dies takes only its own sessions with it, is recovered on record, and another takes its place', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, (_, i) => site.connect(`w${i}@example.com`, 'agents')))
    for (const client of clients) await client.query('SELECT 1')
    const workers = workersOf(site)
    assert.equal(workers.length, 2)
    process.kill(workers[0]!, 'SIGKILL')
    await sleep(300)
    const left = (await Promise.allSettled(clients.map((client) => client.query('SELECT 1')))).filter((r) => r.status === 'fulfilled').length
    assert.ok(left > 0 && left < 6, `${left} of 6 sessions went on`)
    await until('another worker', () => workersOf(site).length === 2 && !workersOf(site).includes(workers[0]!))
    await until('logins work', async () => { try { await (await site.connect('again@example.com', 'agents')).end(); return true } catch { return false } })
    assert.match(site.gateway.log(), /was signed as it was left/)
    const index = (await site.api(admin, 'GET', '/api/sessions?open=false')).json<{ endedWhy: string | null }[]>()
    assert.equal(index.filter((s) => s.endedWhy === 'its worker ended').length, 6 - left)
    const verified = (await site.api(admin, 'GET', '/api/audit/verify')).json<{ ok: boolean; firstBad: unknown }>()
    assert.equal(verified.ok, true, JSON.stringify(verified))
    for (const client of clients) await client.end().catch(() => {})
  })

  test('the web process is replaced too', async () => {
    const web = descendants(site.gateway.child.pid!).find((pid) => /gateway\/web\.(ts|js)/.test(commandOf(pid)))!
    process.kill(web, 'SIGKILL')
    await until('the API answers', async () => { try { return (await site.api(admin, 'GET', '/api/whoami')).status === 200 } catch { return false } })
  })

  test('when the store is away running sessions go on, what needs it is refused soon, and it all comes back', { timeout: 60_000 }, async () => {
    const client = await site.connect('stu@example.com', 'agents')
    const store = [storeOf(site), ...descendants(storeOf(site))]
    for (const pid of store) process.kill(pid, 'SIGSTOP')
    try {
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
      await client.query("INSERT INTO ledger (who, n) VALUES ('stu', 1)")
      const started = Date.now()
      const refused = await refusalOf(client.query('DELETE FROM customers WHERE id = 1'))
      assert.equal(refused.code, '42501')
      assert.ok(Date.now() - started < 14_000, `refused after ${Date.now() - started} ms`)
    } finally { for (const pid of store) if (alive(pid)) process.kill(pid, 'SIGCONT') }
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
    await client.end()
    await until('reviews work again', async () => {
      const other = await site.connect('stu@example.com', 'hurried')
      try { return /in time/.test(JSON.stringify(await refusalOf(other.query('DELETE FROM customers WHERE id = 1')).then((e) => [e.message, e.detail]))) } finally { await other.end() }
    }, 20_000)
  })

  test('a store that dies is started again, and running sessions do not notice', { timeout: 60_000 }, async () => {
    const client = await site.connect('sto@example.com', 'agents')
    process.kill(storeOf(site), 'SIGKILL')
    for (let i = 0; i < 10; i++) { await client.query("INSERT INTO ledger (who, n) VALUES ('sto', 1)"); await sleep(50) }
    await until('the store serves', async () => { try { return (await site.api(admin, 'GET', '/api/whoami')).status === 200 && (await site.api(admin, 'GET', '/ready')).status === 200 } catch { return false } }, 20_000)
    await client.end()
  })

  test('an upstream that restarts ends its sessions with its own words; a new one reaches it again, and nothing hangs meanwhile', { timeout: 60_000 }, async () => {
    const client = await site.connect('upa@example.com', 'agents')
    const words = new Promise<{ code?: string }>((done) => client.once('error', (error) => done(error as { code?: string })))
    await site.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gw'")
    assert.equal((await words).code, '57P01')
    await until('a new session', async () => { try { const other = await site.connect('upa@example.com', 'agents'); try { return (await other.query('SELECT count(*)::int AS n FROM ledger')).rows.length === 1 } finally { await other.end() } } catch { return false } })
  })

  test('SIGTERM: no new sessions, running ones get the farewell in time, and every process is gone within ten seconds', { timeout: 60_000 }, async () => {
    const client = await site.connect('end@example.com', 'agents')
    const idle = await site.connect('idle@example.com', 'agents')
    const words = Promise.all([client, idle].map((c) => new Promise<{ code?: string }>((done) => c.once('error', (error) => done(error as { code?: string })))))
    void client.query('SELECT pg_sleep(60)').catch(() => {})
    const all = [site.gateway.child.pid!, ...descendants(site.gateway.child.pid!)]
    assert.ok(all.length > 4)
    const started = Date.now()
    site.gateway.child.kill('SIGTERM')
    await sleep(300)
    await assert.rejects(site.connect('late@example.com', 'agents'))
    await until('all are gone', () => all.every((pid) => !alive(pid)), 10_000)
    assert.ok(Date.now() - started < 10_000)
    for (const { code } of await words) assert.equal(code, '57P01')
    await site.restart()
  })

  test('a supervisor that is killed takes its workers with it; the next start recovers, and the index of sessions is whole again', { timeout: 60_000 }, async () => {
    const client = await site.connect('kil@example.com', 'agents')
    await client.query('SELECT 42')
    const children = descendants(site.gateway.child.pid!).filter((pid) => !/bin\/postgres|postgres:/.test(commandOf(pid)))
    site.gateway.child.kill('SIGKILL')
    await until('they are gone', () => children.every((pid) => !alive(pid)), 3_000)
    await site.restart()
    const found = await until('its session is in the index', async () => (await site.api(admin, 'GET', '/api/sessions?subject=kil@example.com')).json<{ endedWhy: string | null; statements: number }[]>()[0])
    assert.match(found.endedWhy ?? '', /ended without closing/)
    assert.equal(found.statements, 1)
    assert.equal((await site.api(admin, 'GET', '/api/audit/verify')).json<{ ok: boolean }>().ok, true)
  })

  test('it starts while the server is away, says so to who connects, and serves once it is there', { timeout: 60_000 }, async () => {
    const text = readFileSync(site.gateway.config, 'utf8')
    site.edit((t) => t.replace(`address: 127.0.0.1:${site.server.port}`, 'address: 127.0.0.1:9'))
    await until('it is reloaded', async () => (await refusalOf(site.connect('off@example.com', 'agents').then(async (c) => { await c.end(); throw Object.assign(new Error(), { code: 'still' }) }))).code === '08006', 8_000)
    assert.equal((await site.api(admin, 'GET', '/health')).status, 200)
    site.edit(() => text)
    await until('it serves', async () => { try { await (await site.connect('on@example.com', 'agents')).end(); return true } catch { return false } }, 8_000)
  })
})
