// Tells a configured address that a review waits. It names the review and who asks, never the text or its values: whoever wants
// those signs in. Signed, retried, bounded; a hook that fails never holds up a review, which is on the page all the same.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { StoredReview } from './review_rows.ts'

export const WEBHOOK_QUEUE_MAX = 1_000
const ATTEMPTS_MAX = 6
const TIMEOUT_MS = 5_000
const BACKOFF_FIRST_MS = 1_000
const BACKOFF_MOST_MS = 60_000
/** A receiver refuses older signatures, so that a captured call can't be replayed later. */
export const SIGNATURE_AGE_MAX_SECONDS = 300

export interface WebhookOptions {
  readonly url: string
  readonly secret: string
  /** Address of a review's page. */
  readonly reviewUrl: (id: string) => string
  readonly failed: (message: string) => void
  readonly backoffFirstMs?: number
}
export interface Webhook {
  tell(review: StoredReview): void
  readonly pending: number
  close(): void
}

export function startWebhook(options: WebhookOptions): Webhook {
  const stop = new AbortController()
  const queue: string[] = []
  let working = false
  const work = async () => {
    if (working) return
    working = true
    for (let body = queue[0]; body !== undefined && !stop.signal.aborted; body = queue[0]) {
      const failure = await deliver(options, body, stop.signal)
      if (failure !== null && !stop.signal.aborted) options.failed(`the webhook was not told of a waiting review: ${failure}`)
      queue.shift()
    }
    working = false
  }
  return {
    tell(review) {
      if (queue.length >= WEBHOOK_QUEUE_MAX) {
        options.failed('the webhook was not told of a waiting review: too many wait to be told')
        return
      }
      queue.push(bodyOf(review, options.reviewUrl(review.id)))
      void work()
    },
    get pending() {
      return queue.length
    },
    close() {
      stop.abort()
      queue.length = 0
    },
  }
}

function bodyOf(review: StoredReview, url: string): string {
  return JSON.stringify({
    event: 'review.waiting',
    id: review.id,
    url,
    resource: review.resource,
    database: review.database,
    requester: review.requester,
    onBehalfOf: review.onBehalfOf,
    rule: review.rule,
    reason: review.reason,
    reviewers: review.terms.reviewers,
    createdAt: new Date(review.createdAtMs).toISOString(),
    expiresAt: new Date(review.expiresAtMs).toISOString(),
  })
}

/** Null when it was taken. */
async function deliver(options: WebhookOptions, body: string, stop: AbortSignal): Promise<string | null> {
  let failure = ''
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (attempt > 0)
      await pause(Math.min(BACKOFF_MOST_MS, (options.backoffFirstMs ?? BACKOFF_FIRST_MS) * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2), stop)
    if (stop.aborted) return 'stopped'
    try {
      const answer = await fetch(options.url, {
        method: 'POST',
        body,
        redirect: 'error',
        signal: AbortSignal.any([stop, AbortSignal.timeout(TIMEOUT_MS)]),
        headers: { 'content-type': 'application/json', 'user-agent': 'sluice', 'sluice-signature': sign(options.secret, body, Math.floor(Date.now() / 1000)) },
      })
      await answer.body?.cancel()
      if (answer.ok) return null
      failure = `status ${answer.status}`
      // It understood and refused: asking again changes nothing.
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 408 && answer.status !== 429) return failure
    } catch (error) {
      failure = (error as Error).name === 'TimeoutError' ? 'no answer in time' : 'not reachable'
    }
  }
  return failure
}

/** `t=<unix seconds>,v1=<HMAC-SHA256 of "t.body" in hex>`. */
export function sign(secret: string, body: string, seconds: number): string {
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
}

/** What a receiver does; here for the tests and the guide. */
export function signatureHolds(secret: string, body: string, header: string, nowSeconds: number): boolean {
  const [, seconds, given] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(header) ?? []
  if (seconds === undefined || given === undefined || Math.abs(nowSeconds - Number(seconds)) > SIGNATURE_AGE_MAX_SECONDS) return false
  return timingSafeEqual(Buffer.from(sign(secret, body, Number(seconds))), Buffer.from(header))
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const ended = () => {
      clearTimeout(timer)
      stop.removeEventListener('abort', ended)
      done()
    }
    const timer = setTimeout(ended, ms)
    stop.addEventListener('abort', ended)
  })
}
