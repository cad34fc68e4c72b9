// What a session needs from outside core: the record, people, accounts. The gateway implements them over its bus; tests by hand.
import type { Budget } from './policy.ts'
import type { ReviewRequest } from './review.ts'
import type { Lookup } from './statement.ts'

export type ReviewOutcome =
  | { readonly kind: 'approved'; readonly id: string; readonly by: string }
  | { readonly kind: 'denied'; readonly id: string; readonly by: string; readonly comment: string | null }
  | { readonly kind: 'expired'; readonly id: string }
  | { readonly kind: 'cancelled'; readonly id: string; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string }

export interface Held { readonly outcome: Promise<ReviewOutcome>; cancel(why: string): void }
export interface ReviewPort {
  /** Asks people and waits. `opened` is told the address once. An approval has been released, once and for this binding, when it resolves. */
  hold(request: ReviewRequest, opened: (id: string, url: string) => void): Held
  /** For `wait: refuse`: uses an approval given earlier for the same binding, or files a request and gives its address. */
  redeem(request: ReviewRequest): Promise<{ readonly kind: 'released'; readonly id: string; readonly by: string } | { readonly kind: 'filed'; readonly id: string; readonly url: string } | { readonly kind: 'failed'; readonly why: string }>
}
/** Rows taken of an account, and the slice of its window that they count in. */
export interface Lease { readonly granted: number; readonly slice: number }
/** Rows of an account shared over sessions, workers and gateways: no lease, no rows. */
export interface BudgetPort {
  /** At once when this worker holds some. */
  lease(account: BudgetAccount, rows: number): Lease | Promise<Lease>
  /** What a lease did not use up. */
  giveBack(account: BudgetAccount, lease: Lease): void
  /** A budget that only alerts is used up: who looks after it is told, once in its window. */
  alert(account: BudgetAccount, by: { readonly session: string; readonly resource: string; readonly party: string }): void
}
export interface BudgetAccount { readonly budget: Budget; readonly key: string }
export interface RatePort {
  /** Whether one more look-up is within its rate. */
  lookup(identity: string, lookup: Lookup): boolean | Promise<boolean>
}
export interface SessionPorts {
  readonly reviews: ReviewPort
  readonly budgets: BudgetPort
  readonly rates: RatePort
  /** A keyed SHA-256 (hex) under the installation's key: names a value in the record without giving it away. */
  keyedHash(bytes: string | Uint8Array): string
  now(): number
}
