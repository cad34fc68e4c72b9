// A point read: one stored row, picked by its full unique key, with plain columns for output. Its size is the row's own and says nothing
// about bulk, so a limit of bytes does not hold it; anything that could gather other rows into one is no point read.
import type { StatementReading } from './reading.ts'
import { keyColumns } from './bounded.ts'
import { andTerms, columnOf, isGiven, operatorOf } from './values.ts'
import { as, kindOf } from './walk.ts'

/** Whether all that it is given is compared with a plain column each, which the masks' reading then knows about, and nothing else is computed. */
export function comparesColumns(reading: StatementReading): boolean {
  return isPointRead(reading) && as('SelectStmt', reading.node)!.sortClause === undefined && andTerms(as('SelectStmt', reading.node)!.whereClause).every((term) => {
    const compared = as('A_Expr', term)
    return compared !== null && compared.kind === 'AEXPR_OP' && (columnOf(compared.lexpr, reading.resolution) !== null && isGiven(compared.rexpr) || columnOf(compared.rexpr, reading.resolution) !== null && isGiven(compared.lexpr))
  })
}

export function isPointRead(reading: StatementReading): boolean {
  const select = as('SelectStmt', reading.node)
  const references = reading.resolution.references
  const only = references[0]
  if (select === null || references.length !== 1 || only === undefined || only.resolved.kind !== 'relation' || only.role !== 'read') return false
  if (select.op !== undefined && select.op !== 'SETOP_NONE' || select.withClause !== undefined || select.groupClause !== undefined || select.intoClause !== undefined || select.windowClause !== undefined) return false
  if ((select.fromClause ?? []).length !== 1 || kindOf(select.fromClause![0]) !== 'RangeVar') return false
  if (!(select.targetList ?? []).every((target) => kindOf(as('ResTarget', target)?.val) === 'ColumnRef')) return false
  const given = new Set<string>()
  for (const term of andTerms(select.whereClause)) {
    const compared = as('A_Expr', term)
    if (compared === null || compared.kind !== 'AEXPR_OP' || operatorOf(compared.name) !== '=') continue
    const column = columnOf(compared.lexpr, reading.resolution) ?? columnOf(compared.rexpr, reading.resolution)
    if (column !== null && (isGiven(compared.lexpr) || isGiven(compared.rexpr))) given.add(column.column)
  }
  const { relation } = only.resolved
  return relation.parents.length === 0 && keyColumns(relation).some((key) => key.length > 0 && key.every((column) => given.has(column)))
}
