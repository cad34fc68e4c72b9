// Who may do what in Sluice itself: every route called as every role. A route that is missing from the table fails the test.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeApi } from '../../src/api/app.ts'
import type { Api } from '../../src/api/route.ts'
import type { Store } from '../../src/store/store.ts'
import { asking, person, startStore, type StoreFixture } from '../store/fixture.ts'
import { type Gateway, liveSession, makeGateway } from './fixture.ts'

const ROLES = ['nobody', 'bound', 'person', 'reviewer', 'requester', 'agent', 'admin', 'auditor'] as const
type Role = (typeof ROLES)[number]
/** What each role gets, in the order of ROLES: + allowed, 0 not signed in, - not allowed, ? can't tell whether it exists. */
interface Row {
  readonly call: string
  readonly body?: unknown
  readonly gets: string
  readonly as?: string
}

//                                                                       n b p r q a A a
//                                                                       o o e e e g d u
const TABLE: readonly Row[] = [
  { call: 'GET /', gets: '++++++++' },
  { call: 'GET /page.css', gets: '++++++++' },
  { call: 'GET /page.js', gets: '++++++++' },
  { call: 'GET /views.js', gets: '++++++++' },
  { call: 'GET /inert.js', gets: '++++++++' },
  { call: 'GET /reviews/{id}', as: 'GET /reviews/REVIEW', gets: '++++++++' },
  { call: 'GET /health', gets: '++++++++' },
  { call: 'GET /ready', gets: '++++++++' },
  { call: 'GET /metrics', gets: '0-----++' },
  { call: 'GET /login', gets: '++++++++' },
  { call: 'GET /login/callback', gets: '++++++++' },
  { call: 'GET /login/issuers', gets: '++++++++' },
  { call: 'POST /logout', gets: '0-++++++' },
  { call: 'GET /api/openapi.json', gets: '++++++++' },
  { call: 'GET /api/gateway', gets: '++++++++' },
  { call: 'GET /api/whoami', gets: '0+++++++' },
  { call: 'GET /api/resources', gets: '0-++++++' },
  { call: 'GET /api/resources/{name}', as: 'GET /api/resources/wiki', gets: '0-----+-' },
  { call: 'PUT /api/resources/{name}', as: 'PUT /api/resources/wiki', body: { body: {}, version: 1 }, gets: '0-----+-' },
  { call: 'POST /api/resources/{name}/test', as: 'POST /api/resources/wiki/test', gets: '0-----+-' },
  { call: 'POST /api/resources/{name}/classify', as: 'POST /api/resources/wiki/classify', gets: '0-----+-' },
  { call: 'DELETE /api/resources/{name}', as: 'DELETE /api/resources/wiki', gets: '0-----+-' },
  { call: 'POST /api/tokens', body: { resource: 'orders' }, gets: '0-++++++' },
  { call: 'GET /api/tokens', gets: '0-++++++' },
  { call: 'DELETE /api/tokens/{id}', as: 'DELETE /api/tokens/TOKEN', gets: '0-??+?+?' },
  { call: 'GET /api/reviews', gets: '0+++++++' },
  { call: 'GET /api/reviews/stream', gets: '0-++++++' },
  { call: 'GET /api/reviews/{id}', as: 'GET /api/reviews/REVIEW', gets: '0+?++???' },
  { call: 'POST /api/reviews/{id}/approve', as: 'POST /api/reviews/REVIEW/approve', body: {}, gets: '0-?+-???' },
  { call: 'POST /api/reviews/{id}/deny', as: 'POST /api/reviews/REVIEW/deny', body: {}, gets: '0-?+-???' },
  { call: 'GET /api/sessions', gets: '0-++++++' },
  { call: 'GET /api/sessions/{id}', as: 'GET /api/sessions/SESSION', gets: '0-??+??+' },
  { call: 'POST /api/sessions/{id}/kill', as: 'POST /api/sessions/SESSION/kill', gets: '0-??+?+?' },
  { call: 'POST /api/sessions/{id}/cancel', as: 'POST /api/sessions/SESSION/cancel', gets: '0-??+?+?' },
  { call: 'POST /api/sessions/kill', body: { issuer: 'corp', subject: 'requester' }, gets: '0---+-+-' },
  { call: 'POST /api/sessions/renew', body: { credential: '0'.repeat(64) }, gets: '0-++++++' },
  { call: 'GET /api/sessions/{id}/events', as: 'GET /api/sessions/SESSION/events', gets: '0-??+??+' },
  { call: 'GET /api/sessions/{id}/tail', as: 'GET /api/sessions/SESSION/tail', gets: '0-??+??+' },
  { call: 'GET /api/sessions/{id}/replay', as: 'GET /api/sessions/SESSION/replay', gets: '0------+' },
  { call: 'GET /api/sessions/{id}/export', as: 'GET /api/sessions/SESSION/export', gets: '0------+' },
  { call: 'GET /api/policies', gets: '0-----++' },
  { call: 'POST /api/policies/check', body: { text: '' }, gets: '0-++++++' },
  { call: 'POST /api/policies/explain', body: { resource: 'orders', statement: 'SELECT 1' }, gets: '0-++++++' },
  { call: 'GET /api/policies/{name}', as: 'GET /api/policies/kept', gets: '0-----++' },
  { call: 'PUT /api/policies/{name}', as: 'PUT /api/policies/fresh', body: { body: { who: { any: true }, on: {}, allow: ['read'] }, version: 0 }, gets: '0-----+-' },
  { call: 'DELETE /api/policies/{name}', as: 'DELETE /api/policies/kept', gets: '0-----+-' },
  { call: 'GET /api/issuers', gets: '0-----++' },
  { call: 'GET /api/issuers/{name}', as: 'GET /api/issuers/kept', gets: '0-----+-' },
  { call: 'PUT /api/issuers/{name}', as: 'PUT /api/issuers/fresh', body: { body: { issuer: 'https://new.example', audience: 'sluice' }, version: 0 }, gets: '0-----+-' },
  { call: 'DELETE /api/issuers/{name}', as: 'DELETE /api/issuers/kept', gets: '0-----+-' },
  { call: 'GET /api/audit/verify', gets: '0------+' },
  { call: 'GET /api/audit/events', gets: '0------+' },
  { call: 'GET /api/secrets', gets: '0-----+-' },
  { call: 'PUT /api/secrets/{name}', as: 'PUT /api/secrets/orders', body: { value: 'x' }, gets: '0-----+-' },
  { call: 'DELETE /api/secrets/{name}', as: 'DELETE /api/secrets/orders', gets: '0-----+-' },
  { call: 'POST /api/identity/revoke', body: { kind: 'subject', issuer: 'corp', subject: 'somebody-else' }, gets: '0-----+-' },
  { call: 'POST /api/identity/restore', body: { kind: 'subject', issuer: 'corp', subject: 'somebody-else' }, gets: '0-----+-' },
  { call: 'POST /api/emergency', gets: '0-------' },
  { call: 'POST /api/reload', gets: '0-----+-' },
]

describe('the API', () => {
  let fixture: StoreFixture
  let store: Store
  let gateway: Gateway
  let api: Api
  let instance: number
  const secrets: Partial<Record<Role, string>> = {}
  const requester = person('requester', ['dev'])

  before(async () => {
    fixture = await startStore()
    store = await fixture.open()
    gateway = makeGateway(store)
    api = makeApi(gateway.ports)
    instance = (await store.begin()).number
    const identities = {
      person: person('person', ['dev']),
      reviewer: person('reviewer', ['leads']),
      requester,
      agent: person('bot', ['platform', 'audit', 'leads2'], { agent: true, onBehalfOf: 'somebody' }),
      admin: person('admin', ['platform']),
      auditor: person('auditor', ['audit']),
    }
    for (const [role, identity] of Object.entries(identities)) {
      secrets[role as Role] = `secret-of-${role}`
      gateway.identities.set(`secret-of-${role}`, identity)
    }
    secrets.bound = (await store.tokens.mint(requester, 'resource', 'orders', 60_000)).secret
    gateway.live.set('session-1', liveSession('session-1', requester))
  })
  after(() => fixture.stop())

  async function status(role: Role, row: Row): Promise<string> {
    const [method, template] = (row.as ?? row.call).split(' ') as [string, string]
    if (row.call.includes('/api/resources/{name}')) await store.objects.put('resource', 'wiki', {}, 0, 'x').catch(() => {})
    if (row.call.includes('PUT /api/resources')) await fixture.server.sql('UPDATE sluice.objects SET version = 1', 'sluice')
    if (row.call.includes('/api/policies/{name}')) await store.objects.put('policy', 'kept', { who: { any: true }, on: {}, allow: ['read'] }, 0, 'x').catch(() => {})
    if (row.call.includes('/api/issuers/{name}')) await store.objects.put('issuer', 'kept', { issuer: 'https://kept.example', audience: 'sluice' }, 0, 'x').catch(() => {})
    if (row.call === 'DELETE /api/secrets/{name}') await store.secrets.putSealed('orders', 'k', Buffer.from('x'), 'x')
    if (row.call === 'POST /api/identity/restore') await store.revocations.revoke({ kind: 'subject', value: 'corp somebody-else' }, 'x', 'x')
    const review = template.includes('REVIEW') ? await store.reviews.create(asking(requester), instance) : null
    const token = template.includes('TOKEN') ? (await store.tokens.mint(requester, 'resource', 'orders', 60_000)).id : ''
    const path = template
      .replace('REVIEW', review?.id ?? '')
      .replace('TOKEN', token)
      .replace('SESSION', 'session-1')
    const headers = new Headers(role === 'nobody' ? {} : { authorization: `Bearer ${secrets[role]}` })
    if (row.body !== undefined) headers.set('content-type', 'application/json')
    const stop = new AbortController()
    const answer = await api.app.request(path, { method, headers, signal: stop.signal, ...(row.body === undefined ? {} : { body: JSON.stringify(row.body) }) })
    const read = answer.headers.get('content-type')?.startsWith('text/event-stream') ? '' : await answer.text()
    if (read === '') await answer.body?.cancel().catch(() => {})
    stop.abort()
    if (review !== null) await store.reviews.cancel(review.id, 'the test went on')
    const sign =
      answer.status === 401 ? '0' : answer.status === 403 ? '-' : answer.status === 404 ? '?' : answer.status < 400 ? '+' : `[${answer.status} ${read}]`
    return sign
  }

  for (const row of TABLE) {
    test(`${row.call} answers each role as the table says`, async () => {
      let got = ''
      for (const role of ROLES) got += await status(role, row)
      assert.equal(got, row.gets)
    })
  }

  test('no route is missing from the table, and every route has its access class', () => {
    const declared = new Set(TABLE.map(({ call }) => call))
    const routes = api.app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path.replace(/:([a-z]+)/g, '{$1}')}`)
    assert.ok(routes.length >= declared.size)
    for (const one of routes) {
      assert.ok(declared.has(one), `${one} is not in the table`)
      assert.ok(api.accesses.has(one), `${one} has no access class`)
    }
    for (const one of declared) assert.ok(routes.includes(one), `${one} is in the table and is no route`)
  })

  test('what fails unexpectedly is logged, and nothing did', () =>
    assert.deepEqual(
      gateway.failures.filter((e) => !String(e).includes('aborted')),
      [],
    ))
})
