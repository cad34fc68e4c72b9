// Which accounts a statement's rows are charged to, and how much is asked of one at a time.
import type { Identity } from './identity.ts'
import type { Budget } from './policy.ts'
import type { BudgetAccount } from './ports.ts'
import type { Statement } from './statement.ts'
import { isCounted, tablesCounted } from './tags.ts'

/** Rows asked of a budget at a time: small beside the budget, so that sessions at work at once don't starve each other; more as a run goes on. */
const LEASE_ROWS = 1_000
const LEASE_PARTS = 20
export const leaseRows = (account: BudgetAccount, rowsMax: number, rows: number): number => Math.max(1, Math.min(rowsMax, Math.max(rows, Math.min(LEASE_ROWS, Math.floor(account.budget.rows / LEASE_PARTS)))))

export function accountsOf(budgets: readonly Budget[], statement: Statement, resource: string, identity: Identity): BudgetAccount[] {
  const who = `${identity.issuer} ${identity.subject}`
  const accounts: BudgetAccount[] = []
  for (const budget of budgets) {
    const counted = statement.effects.filter((effect) => effect.access === 'read' && isCounted(budget, effect))
    if (budget.of === 'identity') { if (counted.length > 0) accounts.push({ budget, key: `${budget.rule}|${resource}|${who}` }) }
    else for (const table of tablesCounted(budget, counted)) accounts.push({ budget, key: `${budget.rule}|${resource}|${who}|${table}` })
  }
  return accounts
}
