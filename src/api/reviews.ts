// /api/reviews: what waits for me, what I asked for, and the decision. Whom a review is not addressed to and who did not ask
// for it can't tell it from one that doesn't exist.
import { addressedTo, mayNotDecide, partiesOf, type ReviewSummary, type StoredReview } from '../store/review_rows.ts'
import { ReviewRefused } from '../store/review_text.ts'
import type { Caller } from './access.ts'
import { act } from './act.ts'
import { NotFound } from './errors.ts'
import { reviewStream } from './review_stream.ts'
import { type Api, body, json, other, route } from './route.ts'
import {
  decisionInput,
  idParameter,
  reviewDetailSchema,
  reviewListSchema,
  reviewQuery,
  reviewSchema,
  type ReviewSummaryView,
  type ReviewView,
} from './schema.ts'

export function reviews(api: Api): void {
  const { ports } = api
  const visible = async (id: string, caller: Caller): Promise<StoredReview> => {
    const review = await ports.store.reviews.get(id)
    if (review === null || !(isMine(review, caller) || (caller.boundTo === null && addressedTo(review, caller.identity)))) throw new NotFound('review')
    if (caller.boundTo !== null && review.resource !== caller.boundTo) throw new NotFound('review')
    return review
  }

  route(
    api,
    'token',
    json(
      { method: 'get', path: '/api/reviews', request: { query: reviewQuery }, summary: 'Reviews addressed to you or asked by you, newest first' },
      reviewListSchema,
    ),
    async (c) => {
      const caller = c.get('caller')
      const { state, resource } = c.req.valid('query')
      const list = await ports.store.reviews.visibleTo(caller.boundTo === null ? caller.identity : { ...caller.identity, groups: [] }, {
        ...(state === undefined ? {} : { states: [state] }),
        ...(caller.boundTo !== null ? { resource: caller.boundTo } : resource === undefined ? {} : { resource }),
      })
      return c.json(
        {
          nowMs: ports.store.clock.nowMs(),
          reviews: list
            .filter((review) => caller.boundTo === null || isMine(review, caller))
            .map((review) => ({ ...commonOf(review, caller), summary: review.summary, textLines: review.textLines, textCharacters: review.textCharacters })),
        },
        200,
      )
    },
  )

  const stream = reviewStream(ports)
  route(
    api,
    'person',
    other({ method: 'get', path: '/api/reviews/stream', summary: 'Says when reviews changed (server-sent events)' }, 'text/event-stream'),
    (c) => stream(c),
  )

  route(
    api,
    'token',
    json({ method: 'get', path: '/api/reviews/{id}', request: { params: idParameter }, summary: 'One review with its steps' }, reviewDetailSchema),
    async (c) => {
      const review = await visible(c.req.valid('param').id, c.get('caller'))
      return c.json({ ...viewOf(review, c.get('caller')), steps: await ports.store.reviews.steps(review.id) }, 200)
    },
  )

  for (const decision of ['approve', 'deny'] as const) {
    route(
      api,
      'person',
      json(
        {
          method: 'post',
          path: `/api/reviews/{id}/${decision}`,
          request: { params: idParameter, body: body(decisionInput) },
          summary: `${decision === 'approve' ? 'Approve' : 'Deny'} a review`,
        },
        reviewSchema,
      ),
      async (c) => {
        const caller = c.get('caller')
        const { comment, binding } = c.req.valid('json')
        const review = await visible(c.req.valid('param').id, caller)
        const refusal = mayNotDecide(review, caller.identity)
        if (refusal !== null) throw new ReviewRefused('not-yours', refusal)
        if (binding !== undefined && binding !== review.binding) throw new ReviewRefused('changed', 'this is not the review you read: read it again')
        const decided = await act(
          ports,
          caller,
          `review.${decision}`,
          review.id,
          {
            session: review.session,
            run: review.run,
            resource: review.resource,
            requester: review.requester,
            binding: review.binding,
            comment: comment ?? null,
          },
          () => ports.store.reviews.decide(review.id, caller.identity, decision, comment ?? null),
        )
        return c.json(viewOf(decided, caller), 200)
      },
    )
  }
}

function isMine(review: Pick<StoredReview, 'parties'>, caller: Caller): boolean {
  return partiesOf({ ...caller.identity, onBehalfOf: null }).some((party) => review.parties.includes(party))
}

function viewOf(review: StoredReview, caller: Caller): ReviewView {
  return { ...commonOf(review, caller), text: review.text, parameters: [...review.parameters] }
}

function commonOf(review: StoredReview | ReviewSummary, caller: Caller): Omit<ReviewSummaryView, 'summary' | 'textLines' | 'textCharacters'> {
  const {
    id,
    state,
    kind,
    requester,
    onBehalfOf,
    resource,
    database,
    session,
    rule,
    reason,
    binding,
    createdAtMs,
    expiresAtMs,
    decidedAtMs,
    decidedBy,
    comment,
    endedAtMs,
    endedWhy,
  } = review
  return {
    id,
    state,
    kind,
    wait: review.terms.wait,
    requester,
    onBehalfOf,
    resource,
    database,
    session,
    rule,
    reason,
    binding,
    reviewers: { groups: [...review.terms.reviewers.groups], users: [...review.terms.reviewers.users] },
    createdAtMs,
    expiresAtMs,
    decidedAtMs,
    decidedBy,
    comment,
    endedAtMs,
    endedWhy,
    mine: isMine(review, caller),
    mayNotDecide: mayNotDecide(review, caller.identity),
  }
}
