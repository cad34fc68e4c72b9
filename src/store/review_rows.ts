// A review as it lies in the store and as the rest of Sluice knows it. The text comes back exactly as it was asked.
import type { Identity } from '../core/identity.ts'
import type { Review, ReviewState } from '../core/review.ts'
import type { Wait } from '../core/policy.ts'

export interface ReviewRow {
  id: string
  state: ReviewState
  wait: Wait
  instance: number | null
  session: string
  run: number
  kind: 'statement' | 'answer' | 'change'
  resource: string
  database: string
  requester: string
  on_behalf_of: string | null
  party: string
  parties: string[]
  rule: string
  reason: string
  shown: string
  summary: string
  text_lines: number
  text_characters: number
  binding: string
  reviewer_groups: string[]
  reviewer_users: string[]
  within_ms: number
  created_ms: number
  expires_ms: number
  decided_ms: number | null
  decided_issuer: string | null
  decided_by: string | null
  comment: string | null
  ended_ms: number | null
  ended_why: string | null
}

/** What the store knows beyond core's Review. */
export interface StoredReview extends Review {
  readonly instance: number | null
  readonly decidedAtMs: number | null
  readonly decidedByIssuer: string | null
  readonly endedAtMs: number | null
  readonly endedWhy: string | null
}

/** For lists: the beginning of the text, and how long all of it is. */
export interface ReviewSummary extends Omit<StoredReview, 'text' | 'parameters'> {
  readonly summary: string
  readonly textLines: number
  readonly textCharacters: number
}
/** All of a row but `shown`. */
export const SUMMARY_COLUMNS = `id, state, wait, instance, session, run, kind, resource, database, requester, on_behalf_of, parties, rule, reason, binding, reviewer_groups, reviewer_users, within_ms,
  created_ms, expires_ms, decided_ms, decided_issuer, decided_by, comment, ended_ms, ended_why, summary, text_lines, text_characters`

export function fromRow(row: ReviewRow): StoredReview {
  const shown = JSON.parse(row.shown) as { text: string; parameters: string[] }
  return { ...commonOf(row), text: shown.text, parameters: shown.parameters }
}

export function fromSummaryRow(row: Omit<ReviewRow, 'shown'>): ReviewSummary {
  return { ...commonOf(row), summary: JSON.parse(row.summary) as string, textLines: row.text_lines, textCharacters: row.text_characters }
}

function commonOf(row: Omit<ReviewRow, 'shown'>): Omit<StoredReview, 'text' | 'parameters'> {
  return {
    id: row.id,
    state: row.state,
    instance: row.instance,
    session: row.session,
    run: row.run,
    kind: row.kind,
    resource: row.resource,
    database: row.database,
    requester: row.requester,
    onBehalfOf: row.on_behalf_of,
    parties: row.parties,
    rule: row.rule,
    reason: row.reason,
    binding: row.binding,
    terms: { reviewers: { groups: row.reviewer_groups, users: row.reviewer_users }, withinMs: row.within_ms, wait: row.wait },
    createdAtMs: row.created_ms,
    expiresAtMs: row.expires_ms,
    decidedAtMs: row.decided_ms,
    decidedByIssuer: row.decided_issuer,
    decidedBy: row.decided_by,
    comment: row.comment,
    endedAtMs: row.ended_ms,
    endedWhy: row.ended_why,
  }
}

/** How an identity is named in `parties`. */
export function partyOf(identity: Pick<Identity, 'issuer' | 'subject'>): string {
  return `${identity.issuer} ${identity.subject}`
}

/** An identity and, for an agent, the person behind it. */
export function partiesOf(identity: Pick<Identity, 'issuer' | 'subject' | 'onBehalfOf'>): string[] {
  return identity.onBehalfOf === null ? [partyOf(identity)] : [partyOf(identity), `${identity.issuer} ${identity.onBehalfOf}`]
}

/**
 * Whether one of these is the same person. The subject alone is compared, without regard to case: someone who signs in by two
 * issuers is one person, and a false match only asks for another reviewer.
 */
export function sharesPerson(parties: readonly string[], others: readonly string[]): boolean {
  const subject = (party: string) =>
    party
      .slice(party.indexOf(' ') + 1)
      .normalize('NFKC')
      .trim()
      .toLowerCase()
  const mine = new Set(parties.map(subject))
  return others.some((other) => mine.has(subject(other)))
}

export function addressedTo(review: Pick<Review, 'terms'>, identity: Pick<Identity, 'subject' | 'groups'>): boolean {
  const { groups, users } = review.terms.reviewers
  return users.includes(identity.subject) || identity.groups.some((group) => groups.includes(group))
}

/** Why this identity may not decide, as a sentence for it; null when it may. */
export function mayNotDecide(review: Pick<Review, 'parties' | 'terms'>, identity: Identity): string | null {
  if (identity.agent) return 'a review is decided by a person, not by an agent'
  if (sharesPerson(review.parties, partiesOf(identity))) return 'nobody decides what they, or an agent of theirs, ask for'
  if (!addressedTo(review, identity)) return 'this review is addressed to others'
  return null
}
