import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StoredReview } from './review_rows.ts'
import { sign, signatureHolds, startWebhook, WEBHOOK_QUEUE_MAX } from './webhook.ts'

const review: StoredReview = {
  id: 'r1',
  state: 'waiting',
  instance: 1,
  session: 's',
  run: 1,
  resource: 'orders',
  database: 'orders',
  requester: 'bot',
  onBehalfOf: 'ana',
  parties: ['corp bot'],
  rule: 'bulk',
  reason: 'many rows',
  text: 'SELECT canary-text',
  parameters: ['canary-parameter'],
  kind: 'statement',
  binding: 'canary-binding',
  terms: { reviewers: { groups: ['leads'], users: [] }, withinMs: 1, wait: 'hold' },
  createdAtMs: 0,
  expiresAtMs: 1,
  decidedBy: null,
  decidedByIssuer: null,
  decidedAtMs: null,
  comment: null,
  endedAtMs: null,
  endedWhy: null,
}

async function receiver(statuses: number[]) {
  const calls: { body: string; signature: string }[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (bytes) => {
      body += bytes
    })
    request.on('end', () => {
      calls.push({ body, signature: String(request.headers['sluice-signature']) })
      response.writeHead(statuses.shift() ?? 204, { location: '/elsewhere' }).end()
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    calls,
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}/hook`,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

test('a hook is told who asks and where to look, signed, and never the text or its values', async () => {
  const to = await receiver([])
  const hook = startWebhook({ url: to.url, secret: 'k', reviewUrl: (id) => `https://gw/?review=${id}`, failed: assert.fail })
  hook.tell(review)
  while (hook.pending > 0) await sleep(5)
  const { body, signature } = to.calls[0]!
  assert.doesNotMatch(body, /canary/)
  assert.equal(JSON.parse(body).url, 'https://gw/?review=r1')
  const now = Date.now() / 1000
  assert.ok(signatureHolds('k', body, signature, now))
  assert.ok(!signatureHolds('other', body, signature, now))
  assert.ok(!signatureHolds('k', `${body} `, signature, now))
  assert.ok(!signatureHolds('k', body, sign('k', body, Math.floor(now) - 3_600), now))
  assert.ok(!signatureHolds('k', body, 'nonsense', now))
  to.stop()
})

test('a hook that fails is tried again, one that refuses or redirects is not followed, and the failure is told', async () => {
  const to = await receiver([503, 500, 204, 400, 302, 302, 302, 302, 302, 302])
  const failures: string[] = []
  const hook = startWebhook({ url: to.url, secret: 'k', reviewUrl: (id) => id, failed: (message) => failures.push(message), backoffFirstMs: 1 })
  for (let i = 0; i < 3; i++) hook.tell(review)
  while (hook.pending > 0) await sleep(5)
  assert.equal(to.calls.length, 10)
  assert.equal(failures.length, 2)
  to.stop()
})

test('the queue is bounded and ends with the gateway', async () => {
  const failures: string[] = []
  const hook = startWebhook({ url: 'http://127.0.0.1:1/', secret: 'k', reviewUrl: (id) => id, failed: (message) => failures.push(message) })
  for (let i = 0; i < WEBHOOK_QUEUE_MAX + 5; i++) hook.tell(review)
  assert.equal(failures.length, 5)
  hook.close()
  assert.equal(hook.pending, 0)
})
