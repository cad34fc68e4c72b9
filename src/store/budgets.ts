// Accounts of rows, bytes and look-ups over windows, shared by all workers and gateways. A lease takes some of what is left, and
// its taker counts that itself; without a lease nothing is released. The window slides in slices, so that its edge gives nothing
// away: what was taken up to one slice more than the window ago still counts.
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'

const SLICES = 24
const SLICE_MIN_MS = 1_000
const FORGET_AFTER_MS = 32 * 86_400_000

export interface Account {
  /** Rule, identity or table, and unit: `rule|corp ana@example.com|rows`. */
  readonly name: string
  readonly most: number
  readonly perMs: number
}
export interface Lease { readonly granted: number; readonly slice: number }

export class Budgets {
  readonly #database: Database
  readonly #clock: Clock
  constructor(database: Database, clock: Clock) { this.#database = database; this.#clock = clock }

  /** Between 0 and `ask`, atomically: over all takers never more than `most` within the window. */
  async lease(account: Account, ask: number): Promise<Lease> {
    const width = Math.max(SLICE_MIN_MS, Math.ceil(account.perMs / SLICES))
    const slice = Math.floor(this.#clock.nowMs() / width) * width
    const [row] = await this.#database.query<{ granted: number }>('SELECT sluice.lease($1, $2, $3, $4, $5, $6) AS granted',
      [account.name, slice, Math.ceil(account.perMs / width) + 1, width, Math.floor(account.most), Math.max(0, Math.floor(ask))])
    return { granted: row!.granted, slice }
  }

  /** What a lease did not use up. Never gives back more than is there. */
  async giveBack(account: Account, lease: Lease, unused: number): Promise<void> {
    if (unused <= 0) return
    await this.#database.query('UPDATE sluice.budget_slices SET taken = greatest(0, taken - $3) WHERE account = $1 AND slice_ms = $2',
      [account.name, lease.slice, Math.min(Math.floor(unused), lease.granted)])
  }

  async sweep(): Promise<void> {
    await this.#database.query('DELETE FROM sluice.budget_slices WHERE slice_ms < $1', [this.#clock.nowMs() - FORGET_AFTER_MS])
  }
}
