// Reviews through the whole thing: a statement is held in its open session, another person decides over the API, and what was approved
// runs, once. Nobody decides for themselves; who leaves cancels; an answer that grows too long pauses with nothing beyond the bound sent.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { compiled } from '../servers/gateway.ts'
import { cancel, refusalOf, type Site, startSite, until } from './site.ts'

const SECRET = 'hook-canary-71ab02'
interface Listed { readonly id: string; readonly state: string; readonly requester: string; readonly summary: string; readonly mayNotDecide: string | null }

describe('reviews through the whole gateway', () => {
  let site: Site, lead: string
  const told: { headers: IncomingHttpHeaders; body: string }[] = []
  const hook = createServer((request, answer) => { let body = ''; request.on('data', (part) => { body += part }); request.on('end', () => { told.push({ headers: request.headers, body }); answer.end() }) })
  before(async () => {
    await new Promise<void>((ready) => hook.listen(0, '127.0.0.1', ready))
    site = await startSite({ storeBeside: true, gateway: `  webhook: { url: "http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook", secret: { env: HOOK_SECRET } }\n`, env: { HOOK_SECRET: SECRET } })
    lead = await site.token('lea@example.com', 'leads')
  })
  after(async () => { await site.stop(); hook.close() })

  const waiting = (who: string, token = lead) => until(`a review of ${who}`, async () => (await site.api(token, 'GET', '/api/reviews?state=waiting')).json<{ reviews: Listed[] }>().reviews.find((r) => r.requester === who))
  const decide = (id: string, what: 'approve' | 'deny', token = lead, comment?: string) => site.api(token, 'POST', `/api/reviews/${id}/${what}`, comment === undefined ? {} : { comment })
  const held = (client: pg.Client, text: string, values?: unknown[]) => { const work = client.query(text, values); work.catch(() => {}); return work }
  const count = async (where: string) => Number((await site.server.sql(`SELECT count(*) AS n FROM customers WHERE ${where}`, 'orders')).rows[0].n)

  test('a held statement runs after another person approved it, and a webhook told of it, signed', async () => {
    const client = await site.connect('ann@example.com', 'agents')
    const notices: string[] = []
    client.on('notice', (notice) => notices.push(notice.message ?? ''))
    const work = held(client, 'DELETE FROM customers WHERE id = 4001')
    const review = await waiting('ann@example.com')
    assert.equal(await count('id = 4001'), 1, 'nothing ran')
    assert.ok(notices.some((n) => n.includes(`/reviews/${review.id}`)), `the client was told where: ${notices.join()}`)
    const call = await until('the webhook', () => told.find(({ body }) => body.includes(review.id)))
    const signature = Object.entries(call.headers).find(([name]) => name.includes('signature'))
    assert.ok(signature, 'it is signed')
    // The guide's own recipe.
    const recipe = /```js\n([^]*?)```/.exec(readFileSync(new URL('../../docs/guides/reviews.md', import.meta.url), 'utf8'))![1]!
    const { isOurs } = await import(`data:text/javascript,${encodeURIComponent(recipe)}`) as { isOurs(secret: string, header: string, body: string): boolean }
    const header = String(call.headers['sluice-signature'])
    assert.equal(isOurs(SECRET, header, call.body), true)
    assert.equal(isOurs(SECRET, header, call.body.replace(review.id, `${review.id}x`)), false)
    assert.equal(isOurs('another secret', header, call.body), false)
    assert.equal(isOurs(SECRET, header.replace(/t=(\d+)/, (_, seconds: string) => `t=${Number(seconds) - 400}`), call.body), false)
    assert.ok(!call.body.includes(SECRET))
    assert.equal((await decide(review.id, 'approve')).status, 200)
    assert.equal((await work).rowCount, 1)
    assert.equal(await count('id = 4001'), 0)
    await client.end()
  })

  test('a reviewer decides at the command line: list, show, approve, deny', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-reviews-'))
    try {
      mkdirSync(join(folder, 'sluice/profiles'), { recursive: true })
      const profile = { gateway: `https://127.0.0.1:${site.gateway.web}`, ca: readFileSync(join(site.gateway.data, 'keys/ca.pem'), 'utf8'), postgres: null, issuer: null, token: lead, refreshToken: null, expiresAtMs: Date.now() + 300_000 }
      writeFileSync(join(folder, 'sluice/profiles/default.json'), JSON.stringify(profile), { mode: 0o600 })
      const sluice = (...line: string[]) => new Promise<{ out: string; error: string }>((done) => { execFile(process.execPath, [fileURLToPath(new URL('../../src/cli/index.ts', import.meta.url)), ...line], { env: { ...process.env, XDG_CONFIG_HOME: folder, NODE_COMPILE_CACHE: compiled() } }, (_, out, error) => done({ out, error })) })
      const client = await site.connect('cli@example.com', 'agents')
      const work = held(client, 'DELETE FROM customers WHERE id = 4201')
      const { id } = await waiting('cli@example.com')
      assert.match((await sluice('reviews')).out, new RegExp(id))
      assert.match((await sluice('reviews', 'show', id)).out, /DELETE FROM customers WHERE id = 4201/)
      const approved = await sluice('reviews', 'approve', id, '-m', 'ticket 4711')
      assert.equal(approved.error, '')
      assert.equal((await work).rowCount, 1)
      const second = held(client, 'DELETE FROM customers WHERE id = 4202')
      const other = await waiting('cli@example.com')
      await sluice('reviews', 'deny', other.id, '-m', 'use the archive')
      assert.match((await refusalOf(second)).detail ?? '', /use the archive/)
      assert.match((await sluice('reviews', 'approve', other.id)).error, /^sluice: .*over.*denied/)
      // What other policies would have said of that session, by an auditor.
      await refusalOf(client.query('DROP TABLE customers'))
      await client.query('SELECT id FROM customers WHERE id = $1', [4203])
      await client.query('UPDATE customers SET note = note WHERE id = 4203')
      writeFileSync(join(folder, 'sluice/profiles/default.json'), JSON.stringify({ ...profile, token: await site.token('aud@example.com', 'audit') }), { mode: 0o600 })
      const changed = join(folder, 'changed.yaml')
      const text = readFileSync(site.gateway.config, 'utf8')
      writeFileSync(changed, text.replace('operations: [sql.drop]', 'operations: [sql.update]').replace('allow: [read, write]', 'allow: [read, write, admin]'))
      const { session } = (await site.api(await site.token('aud@example.com', 'audit'), 'GET', '/api/sessions?open=true&subject=cli@example.com')).json<{ session: string }[]>()[0]!
      const replay = async (file: string) => JSON.parse((await sluice('policy', 'replay', file, session, '--json')).out) as { statements: number; changed: { text: string; was: string; now: string; nowRule: string }[] }
      const found = await replay(changed)
      assert.deepEqual(found.changed.map((one) => [one.text.split(' ')[0], one.was, one.now]).sort(), [['DROP', 'deny', 'allow'], ['UPDATE', 'allow', 'deny']])
      assert.ok(found.changed.some(({ nowRule }) => nowRule === 'people/no-ddl'))
      assert.deepEqual((await replay(site.gateway.config)).changed, [], 'the same policies say the same')
      assert.match((await sluice('policy', 'replay', changed, session)).out, /^2 of \d+ verdicts in 1 sessions would be others$/m)
      await client.end()
    } finally { rmSync(folder, { recursive: true, force: true }) }
  })

  test('denied, it is refused with the reviewer\'s words and the session goes on', async () => {
    const client = await site.connect('ben@example.com', 'agents')
    const work = held(client, 'DELETE FROM customers WHERE id = $1', [4002])
    const review = await waiting('ben@example.com')
    assert.equal((await decide(review.id, 'deny', lead, 'not this one')).status, 200)
    const refused = await refusalOf(work)
    assert.equal(refused.code, '42501')
    assert.match(`${refused.message} ${refused.detail}`, /not this one/)
    assert.equal(await count('id = 4002'), 1)
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
    await client.end()
  })

  test('nobody in time: it expires', async () => {
    const client = await site.connect('cat@example.com', 'hurried')
    const started = Date.now()
    const refused = await refusalOf(client.query('DELETE FROM customers WHERE id = 4003'))
    assert.match(`${refused.message} ${refused.detail}`, /in time/)
    assert.ok(Date.now() - started < 6_000)
    await client.end()
  })

  test('nobody decides their own, nor does who is not asked', async () => {
    const client = await site.connect('dan@example.com', 'agents,leads')
    const work = held(client, 'DELETE FROM customers WHERE id = 4004')
    const review = await waiting('dan@example.com')
    const own = await site.token('dan@example.com', 'agents,leads')
    assert.equal((await decide(review.id, 'approve', own)).status, 403)
    assert.equal((await decide(review.id, 'approve', await site.token('eve@example.com', 'agents'))).status, 404)
    assert.equal(await count('id = 4004'), 1)
    await decide(review.id, 'deny')
    await refusalOf(work)
    await client.end()
  })

  test('who left the group between the request and the click decides nothing', async () => {
    const client = await site.connect('fay@example.com', 'agents')
    const work = held(client, 'DELETE FROM customers WHERE id = 4005')
    const review = await waiting('fay@example.com')
    const then = await site.token('gil@example.com', 'leads')
    assert.equal((await site.api(then, 'GET', '/api/whoami')).status, 200)
    await (await site.connect('gil@example.com', 'agents')).end()
    await sleep(200)
    assert.notEqual((await decide(review.id, 'approve', then)).status, 200, 'a session told that gil is a lead no more')
    assert.equal(await count('id = 4005'), 1)
    await decide(review.id, 'deny')
    await refusalOf(work)
    await client.end()
  })

  test('refused with an address, the same statement of the same identity passes once after the approval, also against a hundred at once', async () => {
    const client = await site.connect('rob@example.com', 'robots')
    const text = 'DELETE FROM customers WHERE id = 4010 RETURNING id'
    const refused = await refusalOf(client.query(text))
    assert.equal(refused.code, '42501')
    assert.match(`${refused.message} ${refused.detail} ${refused.hint}`, /\/reviews\//)
    const review = await waiting('rob@example.com')
    assert.equal((await decide(review.id, 'approve')).status, 200)
    const other = await site.connect('rob@example.com', 'robots')
    assert.equal((await refusalOf(other.query('DELETE FROM customers WHERE id = 4011 RETURNING id'))).code, '42501', 'another statement does not pass')
    const someone = await site.connect('sam@example.com', 'robots')
    assert.equal((await refusalOf(someone.query(text))).code, '42501', 'another identity does not pass')
    const clients = await Promise.all(Array.from({ length: 10 }, () => site.connect('rob@example.com', 'robots')))
    await Promise.all(clients.map((c) => c.query('SELECT 1')))
    const results = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => clients[i % 10]!.query(text)))
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1)
    assert.equal(await count('id = 4010'), 0)
    await Promise.all([client, other, someone, ...clients].map((c) => c.end()))
  })

  test('an answer of too many rows pauses at the bound, and goes on or ends as decided', async () => {
    for (const what of ['approve', 'deny'] as const) {
      const who = `row-${what}@example.com`
      const client = await site.connect(who, 'agents')
      let released = 0
      const query = new pg.Query('SELECT id, ssn FROM customers WHERE id <= 1500 ORDER BY id')
      query.on('row', () => { released++ })
      const work = new Promise<pg.QueryResult>((done, fail) => { query.on('end', done as () => void); query.on('error', fail) })
      work.catch(() => {})
      client.query(query)
      const review = await waiting(who)
      await sleep(100)
      assert.equal(released, 100, 'the bound was released, and nothing beyond it')
      await decide(review.id, what)
      if (what === 'approve') {
        const { rows } = await work as unknown as { rows: { ssn: string }[] }
        assert.equal(released, 1500)
        assert.ok(rows.every((row) => row.ssn === '[hidden]'))
      } else {
        assert.equal((await refusalOf(work)).code, '42501')
        assert.equal(released, 100)
      }
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
      await client.end()
    }
  })

  test('an answer of too many bytes pauses too', async () => {
    const client = await site.connect('hal@example.com', 'agents')
    const work = held(client, "SELECT repeat('x', 5000) AS long FROM customers WHERE id <= 90")
    const review = await waiting('hal@example.com')
    await decide(review.id, 'approve')
    assert.equal((await work).rows.length, 90)
    await client.end()
  })

  test('a client that leaves cancels its review, and a cancel request ends the wait', async () => {
    const client = await site.connect('ida@example.com', 'agents')
    void held(client, 'DELETE FROM customers WHERE id = 4020')
    const review = await waiting('ida@example.com')
    ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
    const state = await until('it is cancelled', async () => { const { state: now } = (await site.api(lead, 'GET', `/api/reviews/${review.id}`)).json<{ state: string }>(); return now === 'waiting' ? null : now })
    assert.equal(state, 'cancelled')
    assert.notEqual((await decide(review.id, 'approve')).status, 200)
    assert.equal(await count('id = 4020'), 1)
    const other = await site.connect('jim@example.com', 'agents')
    const work = held(other, 'DELETE FROM customers WHERE id = 4021')
    await waiting('jim@example.com')
    await cancel(site.gateway.port, other)
    assert.equal((await refusalOf(work)).code, '57014')
    assert.equal((await other.query('SELECT 1 AS one')).rows[0].one, 1)
    assert.equal(await count('id = 4021'), 1)
    await other.end()
  })

  test('a gateway that is killed while a statement waits: it never runs, and is cancelled on record', async () => {
    const client = await site.connect('jan@example.com', 'agents')
    void held(client, 'DELETE FROM customers WHERE id = 4030')
    const review = await waiting('jan@example.com')
    await site.restart('kill')
    const state = await until('it is cancelled', async () => { const { state: now } = (await site.api(lead, 'GET', `/api/reviews/${review.id}`)).json<{ state: string }>(); return now === 'waiting' ? null : now })
    assert.equal(state, 'cancelled')
    assert.notEqual((await decide(review.id, 'approve')).status, 200)
    assert.equal(await count('id = 4030'), 1)
  })
})
