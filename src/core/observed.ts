// What policies that only observe would have done with a run: told in the record, never acted on.
import type { Budget, Grant, Limit, Observation, SessionFacts } from './policy.ts'
import type { BudgetAccount, Lease } from './ports.ts'
import type { Ask, Plan } from './session.ts'
import type { Statement } from './statement.ts'

export interface Observing {
  readonly grant: Grant
  readonly facts: SessionFacts
  note(run: number, observations: readonly Observation[]): void
  accounts(statement: Statement, budgets: readonly Budget[]): readonly BudgetAccount[]
  lease(account: BudgetAccount, rows: number): Lease | Promise<Lease>
}
/** What is looked at again when the run has ended. */
export interface Watched { readonly limits: readonly Limit[]; readonly accounts: readonly BudgetAccount[]; readonly single: boolean }

const told = (rule: string, would: Observation['would']): Observation => ({ policy: rule.slice(0, rule.indexOf('/')), rule, would })

/** Before it runs: rules, masks, and limits that it provably passes. Null when nothing is left to look at. */
export function observed(by: Observing, ask: Ask, run: number): Watched | null {
  const { statement } = ask
  const found = [...by.grant.observe(statement, by.facts, ask.parameters ?? undefined)]
  const limits = statement.exempt ? [] : by.grant.observedLimits(statement, by.facts, ask.parameters ?? undefined)
  const later: Limit[] = []
  for (const limit of limits) {
    if (ask.within === null && Number.isFinite(statement.rowsMax) && statement.rowsMax > limit.rows) found.push(told(limit.rule, limit.then))
    else later.push(limit)
  }
  if (found.length > 0) by.note(run, found)
  const accounts = statement.exempt ? [] : by.accounts(statement, by.grant.observedBudgets)
  return later.length + accounts.length === 0 ? null : { limits: later, accounts, single: statement.single }
}

/** When it has ended: what it released, against limits and budgets. */
export function observedEnd(by: Observing, watched: Watched, plan: Plan): void {
  const found = watched.limits.filter((limit) => plan.rows > limit.rows || (!watched.single && plan.bytes > limit.bytes)).map((limit) => told(limit.rule, limit.then))
  if (found.length > 0) by.note(plan.run, found)
  if (plan.rows === 0) return
  for (const account of watched.accounts) {
    const settle = ({ granted }: Lease): void => { if (granted < plan.rows) by.note(plan.run, [told(account.budget.rule, account.budget.then)]) }
    const lease = by.lease(account, plan.rows)
    // An account that can't be asked for is no reason to end a session that it does not bind.
    if (lease instanceof Promise) lease.then(settle, () => {})
    else settle(lease)
  }
}
