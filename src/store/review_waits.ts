// Lets a gateway wait for decisions: one bell for all, and one query for all that wait whenever a ring may have been lost.
import type { Bell } from './bell.ts'
import type { Reviews } from './reviews.ts'
import type { StoredReview } from './review_rows.ts'

/** Also without a ring every waiting review is looked at this often. */
const LOOK_EVERY_MS = 2_000
export const WAITS_MAX = 10_000

export interface ReviewWaits {
  /** Resolves when the review is no longer waiting. Rejects when `signal` aborts; the caller then cancels the review. */
  decision(id: string, signal: AbortSignal): Promise<StoredReview>
  close(): void
}

export function waitForReviews(reviews: Reviews, bell: Bell): ReviewWaits {
  const waits = new Map<string, Set<(review: StoredReview) => void>>()
  const look = async (ids: readonly string[]) => {
    if (ids.length === 0) return
    for (const id of await reviews.over(ids)) {
      const review = await reviews.get(id)
      if (review !== null) for (const settle of waits.get(id) ?? []) settle(review)
    }
  }
  // A store that is away answers at a later look; expiry is the caller's own timer as well as the sweeper's.
  const lookQuietly = (ids: readonly string[]) => { look(ids).catch(() => {}) }
  const offRing = bell.on('review', (ring) => { if (waits.has(ring.id) && ring.state !== 'waiting') lookQuietly([ring.id]) })
  const offMissed = bell.onMissed(() => lookQuietly([...waits.keys()]))
  const timer = setInterval(() => lookQuietly([...waits.keys()]), LOOK_EVERY_MS)
  timer.unref()
  return {
    decision(id, signal) {
      if (waits.size >= WAITS_MAX) return Promise.reject(new RangeError('too many reviews wait'))
      return new Promise((done, fail) => {
        const settle = (review: StoredReview) => { leave(); done(review) }
        const aborted = () => { leave(); fail(signal.reason) }
        const leave = () => {
          signal.removeEventListener('abort', aborted)
          const all = waits.get(id)
          all?.delete(settle)
          if (all?.size === 0) waits.delete(id)
        }
        if (signal.aborted) { fail(signal.reason); return }
        signal.addEventListener('abort', aborted)
        const all = waits.get(id) ?? new Set()
        waits.set(id, all.add(settle))
        lookQuietly([id])
      })
    },
    close() { offRing(); offMissed(); clearInterval(timer); waits.clear() },
  }
}
