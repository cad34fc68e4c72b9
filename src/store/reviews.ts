// The reviews and their state machine: waiting → approved → used, or denied, expired, cancelled. Each step is one atomic UPDATE
// that names the state it leaves, and the database itself refuses steps from an end and changes of what was asked.
// Nothing here ever approves: only `decide`, by a person who is no party and is in a group it is addressed to, when they decide
// and again when it is released.
import { randomBytes } from 'node:crypto'
import type { Identity } from '../core/identity.ts'
import type { ReviewRequest, ReviewState } from '../core/review.ts'
import type { Clock } from './clock.ts'
import type { Database, Queries } from './database.ts'
import { fromRow, fromSummaryRow, mayNotDecide, partyOf, type ReviewRow, type ReviewSummary, type StoredReview, SUMMARY_COLUMNS } from './review_rows.ts'
import { checkedComment, checkedText, ReviewRefused, summaryOf } from './review_text.ts'

/** Of one requester, over all gateways. */
export const REVIEWS_WAITING_MAX = 20
export const REVIEWS_PER_MINUTE_MAX = 60
export const REVIEW_LIST_MAX = 500
const MINUTE_MS = 60_000

/** A further check of the approver at release, e.g. against groups that the configuration gives. */
export type StillReviewer = (approver: { issuer: string; subject: string }, review: StoredReview) => boolean | Promise<boolean>
export interface ReviewFilter {
  readonly states?: readonly ReviewState[]
  readonly resource?: string
  readonly limit?: number
}
export interface ReviewStep {
  readonly atMs: number
  readonly state: ReviewState
  readonly actor: string
  readonly note: string | null
}

export class Reviews {
  /** Groups that the configuration gives a person: they count as those of a credential do. */
  declared: (issuer: string, subject: string) => readonly string[] = () => []
  readonly #database: Database
  readonly #clock: Clock
  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  /** `instance` is the gateway that holds the client; null with `wait: refuse`, whose grant outlives it. Identical waiting requests of `refuse` are one. */
  async create(request: ReviewRequest, instance: number | null): Promise<StoredReview & { readonly merged: boolean }> {
    const shown = checkedText(request)
    const party = request.parties[0]
    if (party === undefined) throw new ReviewRefused('not-yours', 'a review needs a requester')
    const hold = request.terms.wait === 'hold'
    if (hold && instance === null) throw new ReviewRefused('not-yours', 'a held statement needs the gateway that holds it')
    return this.#database.transaction(async (queries) => {
      await queries.query("SELECT pg_advisory_xact_lock(hashtextextended('review ' || $1, 0))", [party])
      const merged = hold ? null : await this.#waiting(queries, party, request)
      if (merged !== null) return { ...merged, merged: true }
      await this.#refuseTooMany(queries, party)
      const [row] = await queries.query<ReviewRow>(
        `INSERT INTO sluice.reviews (id, wait, instance, session, run, kind, resource, database, requester, on_behalf_of, party, parties, rule, reason, shown, summary, text_lines, text_characters, binding,
           reviewer_groups, reviewer_users, within_ms, created_ms, expires_ms)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, n, n + $22::bigint FROM sluice.now_ms($23) n RETURNING *`,
        [
          `r${randomBytes(9).toString('base64url')}`,
          request.terms.wait,
          hold ? instance : null,
          request.session,
          request.run,
          request.kind,
          request.resource,
          request.database,
          request.requester,
          request.onBehalfOf,
          party,
          request.parties,
          request.rule,
          request.reason,
          shown,
          ...summaryOf(request.text),
          request.binding,
          request.terms.reviewers.groups,
          request.terms.reviewers.users,
          request.terms.withinMs,
          this.#clock.nowMs(),
        ],
      )
      return { ...fromRow(row!), merged: false }
    })
  }

  /** The decision of a person, once. Throws ReviewRefused. A grant of `wait: refuse` may then be used within the same time again. */
  async decide(id: string, approver: Identity, decision: 'approve' | 'deny', comment: string | null): Promise<StoredReview> {
    const review = await this.get(id)
    if (review === null) throw noSuchReview()
    const refusal = mayNotDecide(review, approver)
    if (refusal !== null) throw new ReviewRefused('not-yours', refusal)
    const said = checkedComment(comment)
    const [row] = await this.#database.query<ReviewRow>(
      `UPDATE sluice.reviews r SET state = $2, decided_issuer = $3, decided_by = $4, comment = $5, decided_ms = n,
         ended_ms = CASE WHEN $2 = 'denied' THEN n END, expires_ms = CASE WHEN $2 = 'approved' AND r.wait = 'refuse' THEN n + r.within_ms ELSE r.expires_ms END
       FROM sluice.now_ms($6) n WHERE r.id = $1 AND r.state = 'waiting' AND r.expires_ms > n
         AND ${reviewerStands('$3', '$4', '$7')} RETURNING r.*`,
      [id, decision === 'approve' ? 'approved' : 'denied', approver.issuer, approver.subject, said, this.#clock.nowMs(), this.declared(approver.issuer, approver.subject)],
    )
    if (row !== undefined) return fromRow(row)
    throw await this.#whyNot(id, 'waiting')
  }

  /** Lets what was approved run, exactly once however often and from wherever it is asked. `binding` is computed anew by the caller from what would run now. */
  async release(id: string, binding: string, stillReviewer: StillReviewer = () => true): Promise<StoredReview> {
    const review = await this.get(id)
    if (review === null) throw noSuchReview()
    if (review.state === 'approved' && review.binding !== binding) {
      await this.cancel(id, 'what would run is no longer what was approved')
      throw new ReviewRefused('changed', 'what would run now is not what was approved: the statement, its parameters, the session or the policy changed')
    }
    if (review.state === 'approved' && !(await stillReviewer({ issuer: review.decidedByIssuer!, subject: review.decidedBy! }, review)))
      return this.#leftGroup(id)
    const [row] = await this.#use(
      `r.id = $3 AND r.binding = $4 AND (r.wait = 'refuse' OR EXISTS (SELECT 1 FROM sluice.instances i WHERE i.number = r.instance AND i.ended_ms IS NULL))`,
      review,
      [id, binding],
    )
    if (row !== undefined) return fromRow(row)
    throw await this.#whyNot(id, 'approved')
  }

  /** With `wait: refuse`: uses a grant for the same statement of the same identity on the same resource, or null when there is none. */
  async redeem(parties: readonly string[], resource: string, binding: string, stillReviewer: StillReviewer = () => true): Promise<StoredReview | null> {
    const grants = await this.#database.query<ReviewRow>(
      "SELECT * FROM sluice.reviews WHERE binding = $1 AND party = $2 AND resource = $3 AND parties = $4 AND wait = 'refuse' AND state = 'approved' ORDER BY created_ms LIMIT 20",
      [binding, parties[0] ?? '', resource, parties],
    )
    for (const grant of grants.map(fromRow)) {
      try {
        return await this.release(grant.id, binding, stillReviewer)
      } catch (error) {
        if (!(error instanceof ReviewRefused)) throw error
      }
    }
    return null
  }

  /** The client left, the session ended, the requester gave up. Harmless on an ended review. */
  async cancel(id: string, why: string): Promise<StoredReview | null> {
    const [row] = await this.#database.query<ReviewRow>(
      "UPDATE sluice.reviews SET state = 'cancelled', ended_ms = sluice.now_ms($2), ended_why = $3 WHERE id = $1 AND state IN ('waiting', 'approved') RETURNING *",
      [id, this.#clock.nowMs(), why],
    )
    return row === undefined ? null : fromRow(row)
  }

  /** Ends what has expired and what dead gateways held; each is returned to one caller only, who records it. Once a second. */
  async sweep(): Promise<StoredReview[]> {
    const rows = await this.#database.query<ReviewRow>(
      `UPDATE sluice.reviews r SET ended_ms = n,
         state = CASE WHEN r.expires_ms <= n THEN 'expired' ELSE 'cancelled' END,
         ended_why = CASE WHEN r.expires_ms <= n THEN 'nobody decided or used it in time' ELSE 'the gateway that held the client ended' END
       FROM sluice.now_ms($1) n WHERE r.id IN (
         SELECT id FROM sluice.reviews o WHERE o.state IN ('waiting', 'approved') AND (o.expires_ms <= sluice.now_ms($1)
           OR (o.wait = 'hold' AND NOT EXISTS (SELECT 1 FROM sluice.instances i WHERE i.number = o.instance AND i.ended_ms IS NULL)))
         FOR UPDATE SKIP LOCKED)
       RETURNING r.*`,
      [this.#clock.nowMs()],
    )
    return rows.map(fromRow)
  }

  async get(id: string): Promise<StoredReview | null> {
    const [row] = await this.#database.query<ReviewRow>('SELECT * FROM sluice.reviews WHERE id = $1', [id])
    return row === undefined ? null : fromRow(row)
  }

  /** Which of these no longer wait, for waiters. */
  async over(ids: readonly string[]): Promise<string[]> {
    return (await this.#database.query<{ id: string }>("SELECT id FROM sluice.reviews WHERE id = ANY($1) AND state <> 'waiting'", [ids])).map(({ id }) => id)
  }

  /** Those addressed to a group of theirs or asked by them; newest first. */
  async visibleTo(identity: Identity, filter: ReviewFilter = {}): Promise<ReviewSummary[]> {
    const rows = await this.#database.query<ReviewRow>(
      `SELECT ${SUMMARY_COLUMNS} FROM sluice.reviews WHERE (reviewer_groups && $1 OR $2 = ANY(reviewer_users) OR $3 = ANY(parties))
         AND (cardinality($4::text[]) = 0 OR state = ANY($4)) AND ($5::text IS NULL OR resource = $5) ORDER BY created_ms DESC, id LIMIT $6`,
      [
        identity.groups,
        identity.subject,
        partyOf(identity),
        filter.states ?? [],
        filter.resource ?? null,
        Math.min(filter.limit ?? REVIEW_LIST_MAX, REVIEW_LIST_MAX),
      ],
    )
    return rows.map(fromSummaryRow)
  }

  async steps(id: string): Promise<ReviewStep[]> {
    return this.#database.query<ReviewStep>('SELECT at_ms AS "atMs", state, actor, note FROM sluice.review_steps WHERE review = $1 ORDER BY number', [id])
  }

  /** The one place where a review becomes used. The approver's groups are those of their latest credential. */
  #use(condition: string, review: StoredReview, values: readonly string[]): Promise<ReviewRow[]> {
    return this.#database.query<ReviewRow>(
      `UPDATE sluice.reviews r SET state = 'used', ended_ms = n FROM sluice.now_ms($1) n
       WHERE r.state = 'approved' AND r.expires_ms > n AND ${reviewerStands('r.decided_issuer', 'r.decided_by', '$2')} AND ${condition} RETURNING r.*`,
      [this.#clock.nowMs(), this.declared(review.decidedByIssuer ?? '', review.decidedBy ?? ''), ...values],
    )
  }

  async #leftGroup(id: string): Promise<never> {
    await this.cancel(id, 'the approver is no longer a reviewer')
    throw new ReviewRefused('reviewer-left', 'who approved it is no longer a reviewer: ask again')
  }

  async #whyNot(id: string, wanted: 'waiting' | 'approved'): Promise<ReviewRefused> {
    const review = await this.get(id)
    if (review === null) return noSuchReview()
    if (review.expiresAtMs <= this.#clock.nowMs() && (review.state === 'waiting' || review.state === 'approved'))
      return new ReviewRefused('expired', 'the review has expired')
    if (review.state === 'approved' && wanted === 'approved') return this.#leftGroup(id).catch((refused: unknown) => refused as ReviewRefused)
    if (review.state === 'waiting' && wanted === 'waiting') return new ReviewRefused('not-yours', 'you are no longer a reviewer of this')
    const words = {
      waiting: 'nobody has decided yet',
      approved: 'it was approved already',
      denied: 'it was denied',
      expired: 'it has expired',
      cancelled: 'it was cancelled',
      used: 'it was used already',
    }
    return new ReviewRefused(wanted === 'waiting' ? 'not-waiting' : 'not-approved', `the review is over: ${words[review.state]}`)
  }

  async #waiting(queries: Queries, party: string, request: ReviewRequest): Promise<StoredReview | null> {
    const [row] = await queries.query<ReviewRow>(
      `SELECT * FROM sluice.reviews WHERE party = $1 AND resource = $2 AND binding = $3 AND wait = 'refuse' AND state = 'waiting' AND expires_ms > sluice.now_ms($4)`,
      [party, request.resource, request.binding, this.#clock.nowMs()],
    )
    return row === undefined ? null : fromRow(row)
  }

  async #refuseTooMany(queries: Queries, party: string): Promise<void> {
    const now = this.#clock.nowMs()
    // One that ran out a moment ago and was not swept yet would stand in the way of its successor (reviews_merged).
    await queries.query(
      "UPDATE sluice.reviews SET state = 'expired', ended_ms = sluice.now_ms($2), ended_why = 'nobody decided or used it in time' WHERE party = $1 AND state = 'waiting' AND expires_ms <= sluice.now_ms($2)",
      [party, now],
    )
    const [count] = await queries.query<{ waiting: number; recent: number }>(
      "SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE created_ms > sluice.now_ms($2) - $3) AS recent FROM sluice.reviews WHERE party = $1 AND (state = 'waiting' OR created_ms > sluice.now_ms($2) - $3)",
      [party, now, MINUTE_MS],
    )
    if (count!.waiting >= REVIEWS_WAITING_MAX)
      throw new ReviewRefused('too-many', `${REVIEWS_WAITING_MAX} reviews of yours wait already: wait for a decision first`)
    if (count!.recent >= REVIEWS_PER_MINUTE_MAX) throw new ReviewRefused('too-many', `more than ${REVIEWS_PER_MINUTE_MAX} reviews in a minute: try again later`)
  }
}

/** Not revoked, and by their latest credential and the configuration a person to whom the review is addressed. */
const reviewerStands = (
  issuer: string,
  subject: string,
  declared: string,
) => `NOT EXISTS (SELECT 1 FROM sluice.revocations v WHERE v.kind = 'subject' AND v.value = ${issuer}::text || ' ' || ${subject}::text)
  AND EXISTS (SELECT 1 FROM sluice.people p WHERE p.issuer = ${issuer} AND p.subject = ${subject} AND NOT p.agent AND ((p.groups || ${declared}::text[]) && r.reviewer_groups OR p.subject = ANY (r.reviewer_users)))`

const noSuchReview = () => new ReviewRefused('no-such-review', 'there is no such review')
