// Tells a page that reviews it may see changed. It says only that, never what: the page asks again, as whoever it is then. Ends
// when the credential does, so that a revoked one does not listen on.
import { streamSSE } from 'hono/streaming'
import { SluiceError } from '../core/errors.ts'
import { addressedTo, partyOf } from '../store/review_rows.ts'
import type { ApiContext } from './access.ts'
import type { ApiPorts } from './ports.ts'

const STREAMS_MAX = 1_000
const STREAMS_OF_ONE_MAX = 10
/** Also how soon a revoked one is noticed. */
const HEARTBEAT_MS = 4_000

export function reviewStream(ports: ApiPorts): (c: ApiContext) => Response {
  const open = new Map<string, number>()
  let total = 0
  return (c) => {
    const { identity } = c.get('caller')
    const party = partyOf(identity)
    const mine = open.get(party) ?? 0
    if (total >= STREAMS_MAX || mine >= STREAMS_OF_ONE_MAX) throw new SluiceError('TOO_MANY_STREAMS', 'too many pages are open: close some')
    total++
    open.set(party, mine + 1)
    return streamSSE(c, async (stream) => {
      let wake = () => {}
      let changed = true
      const ring = () => { changed = true; wake() }
      const offReview = ports.store.bell.on('review', ({ id }) => {
        ports.store.reviews.get(id).then((review) => { if (review !== null && (addressedTo(review, identity) || review.parties.includes(party))) ring() }, () => {})
      })
      const offMissed = ports.store.bell.onMissed(ring)
      stream.onAbort(() => wake())
      try {
        while (!stream.aborted && identity.expiresAtMs > ports.store.clock.nowMs() && !(await ports.store.revocations.covering(identity))) {
          await stream.writeSSE({ event: changed ? 'changed' : 'beat', data: '' })
          changed = false
          // Both may have happened while that was written, when nothing listened yet.
          if (changed || stream.aborted) continue
          await new Promise<void>((done) => { const timer = setTimeout(done, HEARTBEAT_MS); wake = () => { clearTimeout(timer); done() } })
        }
      } finally {
        offReview()
        offMissed()
        total--
        const left = open.get(party)! - 1
        if (left === 0) open.delete(party)
        else open.set(party, left)
      }
    })
  }
}
