// Core's ReviewPort over the store: a held statement waits here for its decision and is released at once; with `wait: refuse` an
// earlier approval is used or a request filed. Whatever goes wrong is `failed`: nothing runs.
import { SluiceError } from '../core/errors.ts'
import type { Held, ReviewOutcome, ReviewPort } from '../core/ports.ts'
import type { ReviewRequest } from '../core/review.ts'
import type { StillReviewer } from './reviews.ts'
import type { Store } from './store.ts'
import type { StoredReview } from './review_rows.ts'

export interface DeskOptions {
  readonly store: Store
  /** Number of this gateway's instance. */
  readonly instance: number
  readonly reviewUrl: (id: string) => string
  readonly stillReviewer?: StillReviewer
  /** Each new waiting review, once: the webhook. */
  readonly waiting?: (review: StoredReview) => void
}

export function openReviewDesk(options: DeskOptions): ReviewPort {
  const { store } = options
  return {
    hold(request, opened): Held {
      const leaving = new AbortController()
      return { outcome: hold(options, request, opened, leaving.signal), cancel: (why) => leaving.abort(new Error(why)) }
    },
    async redeem(request) {
      try {
        const released = await store.reviews.redeem(request.parties, request.resource, request.binding, options.stillReviewer)
        if (released !== null) return { kind: 'released', id: released.id, by: released.decidedBy! }
        const filed = await store.reviews.create(request, null)
        if (!filed.merged) options.waiting?.(filed)
        return { kind: 'filed', id: filed.id, url: options.reviewUrl(filed.id) }
      } catch (error) { return { kind: 'failed', why: whyOf(error) } }
    },
  }
}

async function hold(options: DeskOptions, request: ReviewRequest, opened: (id: string, url: string) => void, leaving: AbortSignal): Promise<ReviewOutcome> {
  const { store } = options
  let id = ''
  try {
    const review = await store.reviews.create(request, options.instance)
    id = review.id
    if (!leaving.aborted) {
      opened(id, options.reviewUrl(id))
      options.waiting?.(review)
    }
    const decided = await store.waits.decision(id, leaving)
    if (decided.state !== 'approved') return outcomeOf(decided)
    if (leaving.aborted) throw leaving.reason
    const released = await store.reviews.release(id, request.binding, options.stillReviewer)
    return { kind: 'approved', id, by: released.decidedBy! }
  } catch (error) {
    const why = leaving.aborted ? (leaving.reason as Error).message : whyOf(error)
    // Should this fail too, the sweeper ends it when this gateway or the time is over; nobody releases it any more.
    if (id !== '') await store.reviews.cancel(id, why).catch(() => {})
    return leaving.aborted && id !== '' ? { kind: 'cancelled', id, why } : { kind: 'failed', why }
  }
}

function outcomeOf(review: StoredReview): ReviewOutcome {
  switch (review.state) {
    case 'denied': return { kind: 'denied', id: review.id, by: review.decidedBy!, comment: review.comment }
    case 'expired': return { kind: 'expired', id: review.id }
    case 'cancelled': return { kind: 'cancelled', id: review.id, why: review.endedWhy ?? 'it was cancelled' }
    default: return { kind: 'failed', why: 'the review was used already' }
  }
}

function whyOf(error: unknown): string { return error instanceof SluiceError && error.public ? error.message : 'an internal error' }
