// What policies that only observe would have done with a run: told in the record, never acted on.
import type { Budget, Grant, Limit, Observation, SessionFacts } from './policy.ts'
import type { BudgetAccount, Lease } from './ports.ts'
import type { Ask, Plan } from './session.ts'
import type { Statement } from './statement.ts'

export interface Observing {
  grant(): Grant
  readonly facts: SessionFacts
  note(run: number, observations: readonly Observation[]): void
  accounts(statement: Statement, budgets: readonly Budget[]): readonly BudgetAccount[]
  lease(account: BudgetAccount, rows: number): Lease | Promise<Lease>
}
/** What is looked at again when the run has ended. */
interface Watched { readonly limits: readonly Limit[]; readonly accounts: readonly BudgetAccount[]; readonly single: boolean }

const told = (rule: string, would: Observation['would']): Observation => ({ policy: rule.slice(0, rule.indexOf('/')), rule, would })

export class Observer {
  readonly #by: Observing
  readonly #watched = new Map<number, Watched>()
  constructor(by: Observing) { this.#by = by }

  /** Before it runs: rules, masks, and limits that it provably passes. */
  asked(ask: Ask, run: number): void {
    const { statement } = ask
    const grant = this.#by.grant()
    const found = [...grant.observe(statement, this.#by.facts, ask.parameters ?? undefined)]
    const limits: Limit[] = []
    for (const limit of statement.exempt ? [] : grant.observedLimits(statement, this.#by.facts, ask.parameters ?? undefined)) {
      if (ask.within === null && Number.isFinite(statement.rowsMax) && statement.rowsMax > limit.rows) found.push(told(limit.rule, limit.then))
      else limits.push(limit)
    }
    if (found.length > 0) this.#by.note(run, found)
    const accounts = statement.exempt ? [] : this.#by.accounts(statement, grant.observedBudgets)
    if (limits.length + accounts.length > 0) this.#watched.set(ask.within?.run ?? run, { limits, accounts, single: statement.single })
  }
  refused(run: number): void { this.#watched.delete(run) }

  /** When it has ended: what it released, against limits and budgets. */
  ended(plan: Plan): void {
    const watched = this.#watched.size === 0 ? undefined : this.#watched.get(plan.run)
    if (watched === undefined) return
    this.#watched.delete(plan.run)
    const { rows } = plan
    const found = watched.limits.filter((limit) => rows > limit.rows || (!watched.single && plan.bytes > limit.bytes)).map((limit) => told(limit.rule, limit.then))
    if (found.length > 0) this.#by.note(plan.run, found)
    if (rows === 0) return
    for (const account of watched.accounts) {
      const settle = ({ granted }: Lease): void => { if (granted < rows) this.#by.note(plan.run, [told(account.budget.rule, account.budget.then)]) }
      const lease = this.#by.lease(account, rows)
      // An account that can't be asked for is no reason to end a session that it does not bind.
      if (lease instanceof Promise) lease.then(settle, () => {})
      else settle(lease)
    }
  }
}
