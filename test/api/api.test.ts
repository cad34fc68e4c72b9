// What the API must withstand: a page of another site, a borrowed cookie or token, a record that can't be written, bad input; and
// what it must never give out.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeApi } from '../../src/api/app.ts'
import { listen } from '../../src/api/server.ts'
import type { Api } from '../../src/api/route.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { Store } from '../../src/store/store.ts'
import { asking, person, startStore, type StoreFixture } from '../store/fixture.ts'
import { type Gateway, makeGateway } from './fixture.ts'

/** What these tests read of any answer. */
interface Answer {
  readonly reviews: readonly { readonly id: string }[]
  readonly error: { readonly message: string }
  readonly secret: string
  readonly issuer: string
  readonly admin: boolean
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

describe('the API withstands', () => {
  let fixture: StoreFixture
  let store: Store
  let gateway: Gateway
  let api: Api
  let instance: number
  const sam = person('sam@example.com', ['leads'])
  const root = person('root@example.com', ['platform'])

  before(async () => {
    fixture = await startStore()
    store = await fixture.open()
    gateway = makeGateway(store)
    api = makeApi(gateway.ports)
    instance = (await store.begin()).number
    gateway.identities.set('token-of-sam', sam)
    gateway.identities.set('token-of-root', root)
  })
  after(() => fixture.stop())

  const call = async (method: string, path: string, headers: Record<string, string>, body?: unknown) => {
    const answer = await api.app.request(`https://gw:8443${path}`, {
      method,
      headers: { host: 'gw:8443', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, text, headers: answer.headers, json: () => JSON.parse(text) as Answer }
  }
  const as = (token: string) => ({ authorization: `Bearer ${token}` })
  const cookieOf = async (identity: Identity) => ({ cookie: `__Host-sluice-session=${(await store.tokens.mint(identity, 'web', null, 60_000)).secret}` })

  test('another site, which the browser lends the cookie', async () => {
    const cookie = await cookieOf(sam)
    const decide = async (headers: Record<string, string>) => {
      const review = await store.reviews.create(asking(person(`asker-${Math.random()}`)), instance)
      return (await call('POST', `/api/reviews/${review.id}/approve`, { ...cookie, ...headers }, {})).status
    }
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'https://gw:8444' },
      { origin: 'https://gw:8443.evil.example' },
      { origin: 'https://gw:8443', 'sec-fetch-site': 'same-site' },
      { origin: 'https://gw:8443', 'sec-fetch-site': 'cross-site' },
      { origin: 'not a url' },
    ] as Record<string, string>[]) {
      assert.equal(await decide(headers), 403, JSON.stringify(headers))
    }
    assert.equal(await decide({ origin: 'https://gw:8443' }), 200)
    assert.equal(await decide({ origin: 'https://gw:8443', 'sec-fetch-site': 'same-origin' }), 200)
    assert.equal((await call('GET', '/api/whoami', cookie)).status, 200)
    assert.equal((await call('GET', '/api/whoami', { ...cookie, 'sec-fetch-site': 'none' })).status, 200)
    for (const headers of [{ 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'https://gw:8444' }] as Record<string, string>[])
      assert.equal((await call('GET', '/api/whoami', { ...cookie, ...headers })).status, 403)
  })

  test('a form post, and any other content type than JSON', async () => {
    const cookie = { ...(await cookieOf(sam)), origin: 'https://gw:8443' }
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const review = await store.reviews.create(asking(person('former')), instance)
      assert.equal((await call('POST', `/api/reviews/${review.id}/approve`, { ...cookie, 'content-type': type }, {})).status, 415)
      assert.equal((await store.reviews.get(review.id))!.state, 'waiting')
      await store.reviews.cancel(review.id, 'x')
    }
  })

  test('a cookie used as a token, a token used as a cookie, and a cookie name of plain HTTP', async () => {
    const web = (await store.tokens.mint(sam, 'web', null, 60_000)).secret
    const bound = (await store.tokens.mint(sam, 'resource', 'orders', 60_000)).secret
    assert.equal((await call('GET', '/api/whoami', as(web))).status, 401)
    assert.equal((await call('GET', '/api/whoami', { cookie: `__Host-sluice-session=${bound}` })).status, 401)
    assert.equal((await call('GET', '/api/whoami', { cookie: `sluice-session=${web}` })).status, 401)
    for (const authorization of ['', 'Bearer', 'Bearer ', 'Basic eDp5', `Bearer ${'x'.repeat(20_000)}`, 'Bearer a b'])
      assert.equal((await call('GET', '/api/whoami', { authorization })).status, 401)
  })

  test("a token for one resource sees its identity's reviews of that resource and no others", async () => {
    const asker = person('narrow')
    const bound = as((await store.tokens.mint({ ...asker, groups: ['leads'] }, 'resource', 'orders', 60_000)).secret)
    const mine = await store.reviews.create(asking(asker), instance)
    const elsewhere = await store.reviews.create(asking(asker, { resource: 'billing' }), instance)
    const others = await store.reviews.create(asking(person('other')), instance)
    const listed = (await call('GET', '/api/reviews', bound)).json().reviews.map(({ id }) => id)
    assert.deepEqual(listed, [mine.id])
    assert.equal((await call('GET', `/api/reviews/${mine.id}`, bound)).status, 200)
    for (const { id } of [elsewhere, others]) assert.equal((await call('GET', `/api/reviews/${id}`, bound)).status, 404)
    for (const { id } of [mine, elsewhere, others]) await store.reviews.cancel(id, 'x')
  })

  test('a revoked or expired identity, on the next request', async () => {
    const gone = person('gone@example.com')
    gateway.identities.set('token-of-gone', gone)
    const cookie = await cookieOf(gone)
    assert.equal((await call('GET', '/api/whoami', as('token-of-gone'))).status, 200)
    assert.equal(
      (await call('POST', '/api/identity/revoke', as('token-of-root'), { kind: 'subject', issuer: 'corp', subject: 'gone@example.com' })).status,
      200,
    )
    assert.equal((await call('GET', '/api/whoami', as('token-of-gone'))).status, 401)
    assert.equal((await call('GET', '/api/whoami', cookie)).status, 401)
    gateway.identities.set('token-of-late', person('late', [], { expiresAtMs: Date.now() - 1 }))
    assert.equal((await call('GET', '/api/whoami', as('token-of-late'))).status, 401)
  })

  test("a record that can't be written: nothing is done, and it is said", async () => {
    const review = await store.reviews.create(asking(person('unrecorded')), instance)
    gateway.recordFails = true
    try {
      assert.equal((await call('POST', `/api/reviews/${review.id}/approve`, as('token-of-sam'), {})).status, 500)
      assert.equal((await call('POST', '/api/tokens', as('token-of-sam'), { resource: 'orders' })).status, 500)
      assert.equal((await call('PUT', '/api/secrets/never', as('token-of-root'), { value: 'x' })).status, 500)
    } finally {
      gateway.recordFails = false
    }
    assert.equal((await store.reviews.get(review.id))!.state, 'waiting')
    assert.ok(!(await store.secrets.list()).some(({ name }) => name === 'never'))
    await store.reviews.cancel(review.id, 'x')
  })

  test('a decision on another review than the one that was read', async () => {
    const review = await store.reviews.create(asking(person('reader')), instance)
    assert.equal((await call('POST', `/api/reviews/${review.id}/approve`, as('token-of-sam'), { binding: 'f'.repeat(64) })).status, 409)
    assert.equal((await call('POST', `/api/reviews/${review.id}/approve`, as('token-of-sam'), { binding: review.binding, comment: 'ok' })).status, 200)
    assert.equal((await call('POST', `/api/reviews/${review.id}/deny`, as('token-of-sam'), {})).status, 409)
  })

  test('bad input, with a message and without an effect', async () => {
    for (const [method, path, body] of [
      ['POST', '/api/tokens', { resource: 'orders', ttlSeconds: 0 }],
      ['POST', '/api/tokens', { resource: 'orders', extra: 1 }],
      ['POST', '/api/tokens', { resource: '../x' }],
      ['POST', '/api/tokens', []],
      ['PUT', '/api/resources/UPPER', { body: {}, version: 0 }],
      ['PUT', '/api/resources/new', { body: { bad: 1 }, version: 0 }],
      ['GET', '/api/reviews?state=nonsense', undefined],
      ['GET', '/api/sessions?limit=-1', undefined],
      ['POST', '/api/identity/revoke', { kind: 'everything' }],
    ] as const) {
      const answer = await call(method, path, as('token-of-root'), body)
      assert.equal(answer.status, 400, `${path} ${answer.text}`)
      assert.ok(answer.json().error.message.length > 0)
    }
    assert.equal((await call('POST', '/api/tokens', as('token-of-sam'), { resource: 'unknown' })).status, 404)
    assert.equal((await call('PUT', '/api/resources/orders', as('token-of-root'), { body: {}, version: 0 })).status, 409, 'declared in the file')
    const large = await api.app.request('/api/policies/check', {
      method: 'POST',
      headers: { ...as('token-of-root'), 'content-type': 'application/json', 'content-length': '3000000' },
      body: JSON.stringify({ text: 'x'.repeat(2_999_000) }),
    })
    assert.equal(large.status, 413)
    assert.equal((await call('GET', '/api/nothing', {})).status, 404)
    assert.equal((await call('GET', '/page.js/../../../etc/passwd', {})).status, 404)
  })

  test('a secret goes in and never comes out', async () => {
    assert.equal((await call('PUT', '/api/secrets/orders', as('token-of-root'), { value: 'canary-4711' })).status, 200)
    const minted = (await call('POST', '/api/tokens', as('token-of-sam'), { resource: 'orders' })).json().secret
    const seen: string[] = [JSON.stringify(gateway.events), JSON.stringify(await store.admin.list(null, 1_000))]
    for (const { method, path } of api.app.routes) {
      if (method !== 'GET' || path.endsWith('/stream')) continue
      for (const token of ['token-of-root', 'token-of-sam']) seen.push((await call('GET', path.replace(':name', 'orders').replace(':id', 'x'), as(token))).text)
    }
    assert.ok(!seen.join('\n').includes('canary-4711') && !seen.join('\n').includes(minted))
    const { rows } = await fixture.server.sql(
      'SELECT (SELECT json_agg(t)::text FROM sluice.tokens t) || (SELECT json_agg(a)::text FROM sluice.admin_events a) AS all',
      'sluice',
    )
    assert.ok(!rows[0].all.includes(minted.slice(4)))
  })

  test('break-glass works without the identity provider, and each use is in the record before it is honoured', async () => {
    const account = await store.emergency.issue('ops', ['platform'], 60_000)
    const answer = await call('GET', '/api/whoami', as(account.secret))
    assert.deepEqual([answer.json().issuer, answer.json().admin], ['sluice', true])
    assert.ok(gateway.events.some(({ action, actor, detail }) => action === 'emergency.used' && actor === 'sluice ops' && detail.what === 'GET /api/whoami'))
    assert.equal((await store.emergency.uses()).length, 1)
    gateway.identities.set('break-glass:root:x', person('root', ['platform'], { issuer: 'sluice' }))
    assert.equal((await call('GET', '/api/whoami', as('break-glass:root:x'))).status, 200)
    assert.deepEqual((await store.emergency.uses()).map(({ tokenId, subject }) => [tokenId, subject])[0], ['account root', 'root'])
    gateway.recordFails = true
    assert.equal((await call('GET', '/api/whoami', as(account.secret))).status, 500)
    gateway.recordFails = false
  })

  test('a page that would frame it or run a script in it: the headers forbid both, and nothing is cached', async () => {
    for (const path of ['/', '/api/whoami', '/nothing']) {
      const { headers } = await call('GET', path, as('token-of-sam'))
      const policy = headers.get('content-security-policy')!
      for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"])
        assert.ok(policy.includes(part), part)
      assert.doesNotMatch(policy, /unsafe|\*/)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      assert.equal(headers.get('access-control-allow-origin'), null)
      assert.match(headers.get('cache-control')!, /no-store|no-cache/)
    }
  })

  test('a sign-in that is sent elsewhere: the next page is one of ours, a foreign callback starts nothing', async () => {
    assert.equal((await call('GET', '/login/callback?code=x&state=y', {})).headers.get('location'), '/?login=too-late')
    assert.equal(
      (await call('GET', '/login/callback?code=x&state=y', { cookie: `__Host-sluice-login=${'A'.repeat(200)}` })).headers.get('location'),
      '/?login=too-late',
    )
    assert.equal((await call('GET', '/login?issuer=nobody&next=https://evil.example', {})).headers.get('location'), '/?login=unknown-issuer')
  })

  test('OpenAPI describes every route of the API', async () => {
    const document = (await call('GET', '/api/openapi.json', {})).json()
    assert.equal(document.openapi, '3.1.0')
    for (const name of api.accesses.keys()) {
      const [method, path] = name.split(' ') as [string, string]
      if (path !== '/api/openapi.json') assert.ok(document.paths[path]?.[method.toLowerCase()], name)
    }
  })

  test('listening without TLS anywhere but on loopback is refused; on loopback it serves', async () => {
    await assert.rejects(listen(api, { host: '0.0.0.0', port: 0, tls: null }), /loopback/)
    const web = await listen(api, { host: '127.0.0.1', port: 0, tls: null })
    try {
      assert.equal((await fetch(`${web.url}/health`)).status, 200)
      assert.equal(await (await fetch(`${web.url}/metrics`)).text(), 'sluice_up 1\n', 'this machine may scrape')
      const stop = new AbortController()
      const stream = await fetch(`${web.url}/api/reviews/stream`, { headers: as('token-of-sam'), signal: stop.signal })
      const reader = stream.body!.getReader()
      const next = async () => Buffer.from((await reader.read()).value!).toString()
      assert.match(await next(), /changed/)
      const from = performance.now()
      await store.reviews.create(asking(person('streamed')), instance)
      assert.match(await next(), /changed/)
      assert.ok(performance.now() - from < 2_000)
      stop.abort()
    } finally {
      await web.close()
    }
  })

  test('what was not expected is logged and not told', async () => {
    const before = gateway.failures.length
    const broken = makeApi({
      ...gateway.ports,
      grants: async () => {
        throw new Error('canary-of-the-inside')
      },
    })
    const answer = await broken.app.request('/api/resources', { headers: as('token-of-sam') })
    assert.equal(answer.status, 500)
    assert.doesNotMatch(await answer.text(), /canary/)
    assert.equal(gateway.failures.length, before + 1)
  })
})
