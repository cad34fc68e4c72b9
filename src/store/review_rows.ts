// A review as it lies in the store and as the rest of Sluice knows it. The text comes back exactly as it was asked.
import type { Identity } from '../core/identity.ts'
import type { Review, ReviewState } from '../core/review.ts'
import type { Wait } from '../core/policy.ts'

export interface ReviewRow {
  id: string; state: ReviewState; wait: Wait; instance: number | null; session: string; run: number; kind: 'statement' | 'answer'
  resource: string; database: string; requester: string; on_behalf_of: string | null; party: string; parties: string[]; rule: string; reason: string
  shown: string; binding: string; reviewer_groups: string[]; reviewer_users: string[]; within_ms: number; created_ms: number; expires_ms: number
  decided_ms: number | null; decided_issuer: string | null; decided_by: string | null; comment: string | null; ended_ms: number | null; ended_why: string | null
}

/** What the store knows beyond core's Review. */
export interface StoredReview extends Review {
  readonly instance: number | null
  readonly decidedAtMs: number | null
  readonly decidedByIssuer: string | null
  readonly endedAtMs: number | null
  readonly endedWhy: string | null
}

export function fromRow(row: ReviewRow): StoredReview {
  const shown = JSON.parse(row.shown) as { text: string; parameters: string[] }
  return {
    id: row.id, state: row.state, instance: row.instance, session: row.session, run: row.run, kind: row.kind, resource: row.resource, database: row.database,
    requester: row.requester, onBehalfOf: row.on_behalf_of, parties: row.parties, rule: row.rule, reason: row.reason, text: shown.text, parameters: shown.parameters,
    binding: row.binding, terms: { reviewers: { groups: row.reviewer_groups, users: row.reviewer_users }, withinMs: row.within_ms, wait: row.wait },
    createdAtMs: row.created_ms, expiresAtMs: row.expires_ms, decidedAtMs: row.decided_ms, decidedByIssuer: row.decided_issuer, decidedBy: row.decided_by,
    comment: row.comment, endedAtMs: row.ended_ms, endedWhy: row.ended_why,
  }
}

/** How an identity is named in `parties`. */
export function partyOf(identity: Pick<Identity, 'issuer' | 'subject'>): string { return `${identity.issuer} ${identity.subject}` }

/** An identity and, for an agent, the person behind it. */
export function partiesOf(identity: Pick<Identity, 'issuer' | 'subject' | 'onBehalfOf'>): string[] {
  return identity.onBehalfOf === null ? [partyOf(identity)] : [partyOf(identity), `${identity.issuer} ${identity.onBehalfOf}`]
}

/**
 * Whether one of these is the same person. The subject alone is compared, without regard to case: someone who signs in by two
 * issuers is one person, and a false match only asks for another reviewer.
 */
export function sharesPerson(parties: readonly string[], others: readonly string[]): boolean {
  const subject = (party: string) => party.slice(party.indexOf(' ') + 1).normalize('NFKC').trim().toLowerCase()
  const mine = new Set(parties.map(subject))
  return others.some((other) => mine.has(subject(other)))
}

export function addressedTo(review: Pick<Review, 'terms'>, identity: Pick<Identity, 'subject' | 'groups'>): boolean {
  const { groups, users } = review.terms.reviewers
  return users.includes(identity.subject) || identity.groups.some((group) => groups.includes(group))
}

/** Why this identity may not decide, as a sentence for it; null when it may. */
export function mayNotDecide(review: Review, identity: Identity): string | null {
  if (identity.agent) return 'a review is decided by a person, not by an agent'
  if (sharesPerson(review.parties, partiesOf(identity))) return 'nobody decides what they, or an agent of theirs, ask for'
  if (!addressedTo(review, identity)) return 'this review is addressed to others'
  return null
}
