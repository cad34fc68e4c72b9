// Rows of budgets that this worker holds: what one statement did not use the next one takes without a question. A lease counts in the slice
// of the window it was taken from, so it is kept no longer than a slice; then it goes back to the account.
import type { BudgetAccount, BudgetPort, Lease } from '../core/ports.ts'
import type { WorkerBus } from './door.ts'

/** The store's windows slide in this many slices. */
const SLICES = 24
const KEPT_MS_MIN = 1_000
/** Accounts held at once; beyond, leases go back at once. */
const HELD_MAX = 10_000

interface Held { readonly account: BudgetAccount; readonly slice: number; readonly untilMs: number; rows: number }

export class Leases implements BudgetPort {
  readonly #bus: WorkerBus
  readonly #held = new Map<string, Held>()
  constructor(bus: WorkerBus) {
    this.#bus = bus
    setInterval(() => this.#sweep(Date.now()), KEPT_MS_MIN).unref()
  }

  lease(account: BudgetAccount, rows: number): Lease | Promise<Lease> {
    const held = this.#held.get(account.key)
    if (held !== undefined && held.rows > 0 && Date.now() < held.untilMs) {
      const granted = Math.min(rows, held.rows)
      held.rows -= granted
      return { granted, slice: held.slice }
    }
    return this.#bus.ask('lease', { key: account.key, budget: account.budget, rows }).catch(() => ({ granted: 0, slice: 0 }))
  }
  giveBack(account: BudgetAccount, lease: Lease): void {
    if (lease.granted <= 0) return
    const held = this.#held.get(account.key)
    if (held !== undefined && held.slice === lease.slice) { held.rows += lease.granted; return }
    if (held !== undefined || this.#held.size >= HELD_MAX) { this.#tell(account, lease); return }
    this.#held.set(account.key, { account, slice: lease.slice, untilMs: Date.now() + Math.max(KEPT_MS_MIN, account.budget.perMs / SLICES), rows: lease.granted })
  }
  readonly #alerted = new Map<string, number>()
  /** The supervisor knows whether another told it already; this only spares it the same news for every statement. */
  alert(account: BudgetAccount, by: { readonly session: string; readonly resource: string; readonly party: string }): void {
    const nowMs = Date.now()
    if (nowMs < (this.#alerted.get(account.key) ?? 0)) return
    if (this.#alerted.size >= HELD_MAX) this.#alerted.clear()
    this.#alerted.set(account.key, nowMs + Math.max(KEPT_MS_MIN, account.budget.perMs / SLICES))
    this.#bus.tell('alert', { key: account.key, budget: account.budget, ...by })
  }
  #sweep(nowMs: number): void {
    for (const [key, held] of this.#held) {
      if (nowMs < held.untilMs) continue
      this.#held.delete(key)
      if (held.rows > 0) this.#tell(held.account, { granted: held.rows, slice: held.slice })
    }
  }
  #tell(account: BudgetAccount, lease: Lease): void { this.#bus.tell('giveBack', { key: account.key, budget: account.budget, lease }) }
}
