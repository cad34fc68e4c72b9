import type { ReviewTerms } from './policy.ts'

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
