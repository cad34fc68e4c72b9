import type { ReviewTerms } from './policy.ts'
import type { ReviewOutcome } from './ports.ts'
import type { Denied } from './session.ts'

export type ReviewState = 'waiting' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'used'
/** What a person is asked to allow. Bound to `binding`: anything that differs at release is refused. */
export interface ReviewRequest {
  readonly session: string
  readonly run: number
  readonly resource: string
  readonly database: string
  readonly requester: string
  readonly onBehalfOf: string | null
  /** `issuer subject` of requester and of the person behind an agent: none of these may approve. */
  readonly parties: readonly string[]
  readonly rule: string
  readonly reason: string
  /** Complete text with hidden values as in the Record. */
  readonly text: string
  readonly parameters: readonly string[]
  /** `change`: of what Sluice itself enforces, by an admin. */
  readonly kind: 'statement' | 'answer' | 'change'
  /** SHA-256 (hex) over exact bytes with parameters, resource, database, identity, session state (role, search_path), policy version. */
  readonly binding: string
  readonly terms: ReviewTerms
}
export interface Review extends ReviewRequest {
  readonly id: string
  readonly state: ReviewState
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly decidedBy: string | null
  readonly comment: string | null
}

/** How a review that released nothing is told to who waited for it. */
export function unreleased(outcome: ReviewOutcome): Pick<Denied, 'message' | 'hint' | 'code'> {
  switch (outcome.kind) {
    case 'denied': return { message: `${outcome.by} denied it${outcome.comment === null ? '' : `: ${outcome.comment}`}`, hint: 'ask the reviewer what would be allowed', code: 'policy' }
    case 'expired': return { message: 'nobody decided in time', hint: 'ask again when a reviewer is there', code: 'policy' }
    case 'cancelled': return { message: `the wait was ended: ${outcome.why}`, hint: 'ask again', code: 'cancelled' }
    case 'failed': return { message: `no review could be asked for: ${outcome.why}`, hint: 'tell whoever runs this gateway', code: 'policy' }
    default: return { message: 'it was approved', hint: '', code: 'policy' }
  }
}
