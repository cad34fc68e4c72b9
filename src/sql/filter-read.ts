// A filtered relation stands in a read as a subselect with its condition. The server may evaluate the statement's own conditions before that
// one, where an error of theirs would tell of rows that the filter keeps away: unless all of them are comparisons that can't fail, the
// subselect gets a fence (OFFSET 0), behind which nothing of the statement is evaluated early.
import type { Node } from 'libpg-query'
import type { Names } from './mask-work.ts'
import { as, kindOf, stringsOf, walk } from './walk.ts'

const COMPARES = new Set(['=', '<>', '!=', '<', '>', '<=', '>='])

/** Whether a condition of the statement could tell something by failing. */
export function needsFence(names: Names): boolean {
  const conditions: (Node | undefined)[] = names.joins.map((join) => join.quals)
  for (const select of names.selects) conditions.push(select.whereClause, select.havingClause)
  for (const { body } of names.writes) conditions.push((body as { whereClause?: Node }).whereClause, (body as { joinCondition?: Node }).joinCondition)
  return conditions.some((condition) => !isQuiet(condition))
}
/** A condition of comparisons of plain columns with plain columns, literals and parameters. */
export function isQuiet(node: Node | undefined): boolean {
  if (node === undefined) return true
  const bool = as('BoolExpr', node)
  if (bool !== null) return (bool.args ?? []).every(isQuiet)
  const test = as('NullTest', node)
  if (test !== null) return isPlain(test.arg)
  const operation = as('A_Expr', node)
  if (operation !== null) {
    const operator = stringsOf(operation.name)?.join('.') ?? ''
    const several = as('List', operation.rexpr)?.items
    switch (operation.kind) {
      case 'AEXPR_OP': if (COMPARES.has(operator) && isPlain(operation.lexpr) && isPlain(operation.rexpr)) return true; break
      case 'AEXPR_OP_ANY': if (COMPARES.has(operator) && isPlain(operation.lexpr) && isPlain(operation.rexpr)) return true; break
      case 'AEXPR_IN': case 'AEXPR_BETWEEN': case 'AEXPR_NOT_BETWEEN': if (isPlain(operation.lexpr) && several?.every(isPlain) === true) return true; break
      default:
    }
  }
  return isPlain(node) || !readsAnything(node)
}
function isPlain(node: Node | undefined): boolean {
  const kind = kindOf(node)
  if (kind === 'ColumnRef' || kind === 'A_Const' || kind === 'ParamRef') return true
  const inner = as('TypeCast', node)?.arg
  return inner !== undefined && (as('A_Const', inner) !== null || as('ParamRef', inner) !== null)
}
function readsAnything(node: Node): boolean {
  let hit = false
  walk(node, ({ kind }) => { if (kind === 'ColumnRef' || kind === 'SubLink' || kind === null) hit = true })
  return hit
}
