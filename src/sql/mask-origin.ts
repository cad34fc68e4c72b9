// Where the masked columns of an answer came from. In the text that is sent they are expressions, so the server reports no table for them; the
// wire puts table OID and attnum back from here. Only what is sure: an output whose place can't be counted is left as the server says.
import type { Node, SelectStmt } from 'libpg-query'
import type { Masked } from './mask-index.ts'
import { pathOf, type Ranged } from './mask-work.ts'
import type { Resolution } from './resolve.ts'
import { as, kindOf } from './walk.ts'

/** Output column `index`, from 0, shows column `number` of `relation` under its mask. */
export interface ShownOrigin { readonly index: number; readonly relation: number; readonly number: number }
type Read = Ranged & { readonly masked: Masked }

export function shownOrigins(statement: Node, reads: readonly Read[], byNode: Resolution['byNode']): ShownOrigin[] {
  const select = as('SelectStmt', statement)
  if (select === null || select.op !== 'SETOP_NONE' || select.valuesLists !== undefined) return []
  const out: ShownOrigin[] = []
  const mine = reads.filter((read) => read.query === select && (read.node.alias?.colnames ?? []).length === 0)
  let index = 0
  for (const node of select.targetList ?? []) {
    const ref = as('ColumnRef', as('ResTarget', node)?.val)
    const path = ref === null ? [] : pathOf(ref)
    if (path.at(-1) === '*') {
      const columns = path.length === 1 ? starColumns(select, mine, byNode) : rowColumns(mine.find((read) => read.reference.alias === path.at(-2))) ?? otherColumns(select, path.at(-2)!, byNode)
      if (columns === null) return out
      columns.forEach((column, offset) => { if (column !== null) out.push({ index: index + offset, ...column }) })
      index += columns.length
      continue
    }
    if (as('A_Indirection', as('ResTarget', node)?.val)?.indirection?.some((part) => kindOf(part) === 'A_Star') === true) return out
    const from = path.length === 0 ? [] : mine.filter((read) => (path.length === 1 || path.at(-2) === read.reference.alias) && read.masked.hidden.has(path.at(-1)!))
    if (from.length === 1) out.push({ index, relation: from[0]!.masked.relation.oid, number: from[0]!.masked.hidden.get(path.at(-1)!)!.column.number })
    index += 1
  }
  return out
}

type Columns = ({ relation: number; number: number } | null)[]
/** The columns behind `*`, when every item of FROM is a relation of known columns. */
function starColumns(select: SelectStmt, reads: readonly Read[], byNode: Resolution['byNode']): Columns | null {
  const out: Columns = []
  const add = (node: Node | undefined): boolean => {
    const join = as('JoinExpr', node)
    if (join !== null) return join.isNatural !== true && join.usingClause === undefined && join.alias === undefined && add(join.larg) && add(join.rarg)
    const range = as('RangeVar', node) ?? as('RangeVar', as('RangeTableSample', node)?.relation)
    const resolved = range === null ? undefined : byNode.get(range)?.resolved
    if (range === null || resolved?.kind !== 'relation') return false
    const columns = rowColumns(reads.find((read) => read.node === range)) ?? resolved.relation.columns.map(() => null)
    out.push(...columns)
    return true
  }
  return (select.fromClause ?? []).every(add) ? out : null
}
/** `t.*` of a relation that hides nothing. */
function otherColumns(select: SelectStmt, alias: string, byNode: Resolution['byNode']): Columns | null {
  const found = [...byNode.values()].filter((one) => one.alias === alias && one.query === select)
  const resolved = found.length === 1 ? found[0]!.resolved : undefined
  return resolved?.kind === 'relation' ? resolved.relation.columns.map(() => null) : null
}
function rowColumns(read: Read | undefined): Columns | null {
  if (read === undefined) return null
  const { relation, hidden } = read.masked
  return relation.columns.map((column) => hidden.has(column.name) ? { relation: relation.oid, number: column.number } : null)
}
