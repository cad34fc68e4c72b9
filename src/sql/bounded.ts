// Whether a write is provably restricted to given keys. True only if a top-level AND term compares a column of the target by =, IN or
// two-sided BETWEEN with literals or parameters, or the terms match a full unique key to a source that is itself bounded. All else is false.
import type { InsertStmt, MergeStmt, Node, SelectStmt } from 'libpg-query'
import type { Relation } from './catalog.ts'
import type { Reference, Resolution } from './resolve.ts'
import { andTerms, columnOf, isGiven, mayGiveSeveral, operatorOf, selectOf } from './values.ts'
import { as, kindOf } from './walk.ts'

type Harmless = (path: readonly string[]) => boolean
/** Columns every row of the table, or any number of them, may share: no key at all. */
const SHARED = new Set(['tableoid', 'xmin', 'xmax', 'cmin', 'cmax'])

/** The column of `target` that a term compares with given values; null when it does no such thing. */
function givenColumn(term: Node, target: Reference, resolution: Resolution): string | null {
  const expr = as('A_Expr', term)
  if (expr === null) return null
  const own = (node: Node | undefined): string | null => {
    const found = columnOf(node, resolution)
    return found !== null && found.reference === target && !SHARED.has(found.column) ? found.column : null
  }
  const items = as('List', expr.rexpr)?.items ?? []
  switch (expr.kind) {
    case 'AEXPR_OP':
      if (operatorOf(expr.name) !== '=') return null
      if (isGiven(expr.rexpr)) return own(expr.lexpr)
      return isGiven(expr.lexpr) ? own(expr.rexpr) : null
    case 'AEXPR_IN': return operatorOf(expr.name) === '=' && items.length > 0 && items.every(isGiven) ? own(expr.lexpr) : null
    case 'AEXPR_BETWEEN': case 'AEXPR_BETWEEN_SYM': return items.length === 2 && items.every(isGiven) ? own(expr.lexpr) : null
    default: return null
  }
}

/** Whether the terms restrict `target` by given values. */
export function givenKeys(terms: readonly Node[], target: Reference, resolution: Resolution): boolean {
  return terms.some((term) => givenColumn(term, target, resolution) !== null)
}

/** UPDATE … FROM, DELETE … USING, MERGE: `from` are the other items of the query. */
export function boundedBy(terms: readonly Node[], target: Reference, from: readonly Node[], resolution: Resolution, harmless: Harmless): boolean {
  if (givenKeys(terms, target, resolution)) return true
  return from.some((source) => sourceBounded(source, terms, resolution, harmless) && keyMatched(terms, target, source, resolution))
}

/** Every column of one unique key of the target is equal to something of the source. */
function keyMatched(terms: readonly Node[], target: Reference, source: Node, resolution: Resolution): boolean {
  if (target.resolved.kind !== 'relation') return false
  const { relation } = target.resolved
  const matched = new Set<string>()
  for (const term of terms) {
    const expr = as('A_Expr', term)
    if (expr === null || expr.kind !== 'AEXPR_OP' || operatorOf(expr.name) !== '=') continue
    for (const [mine, other] of [[expr.lexpr, expr.rexpr], [expr.rexpr, expr.lexpr]]) {
      const own = columnOf(mine, resolution)
      if (own?.reference === target && ofSource(other, source, resolution)) matched.add(own.column)
    }
  }
  return keyColumns(relation).some((key) => key.every((column) => matched.has(column)))
}

export function keyColumns(relation: Relation): string[][] {
  return relation.uniqueKeys.filter((key) => key.length > 0).map((key) => key.map((number) => relation.columns.find((column) => column.number === number)?.name ?? '\0'))
}

function ofSource(node: Node | undefined, source: Node, resolution: Resolution): boolean {
  const ref = as('ColumnRef', node)
  if (ref === null) return false
  const range = as('RangeVar', source)
  const reference = range === null ? undefined : resolution.byNode.get(range)
  if (reference !== undefined && reference.resolved.kind !== 'cte') return columnOf(node, resolution)?.reference === reference
  // Derived sources have no columns of relations: only a qualified name says surely whose it is.
  const alias = range?.alias?.aliasname ?? range?.relname ?? as('RangeSubselect', source)?.alias?.aliasname
  const [table, column, ...more] = (ref.fields ?? []).map((field) => as('String', field)?.sval)
  return more.length === 0 && column !== undefined && table !== undefined && table === alias
}

function sourceBounded(source: Node, terms: readonly Node[], resolution: Resolution, harmless: Harmless): boolean {
  const range = as('RangeVar', source)
  if (range !== null) {
    const reference = resolution.byNode.get(range)
    if (reference === undefined) return false
    if (reference.resolved.kind !== 'cte') return givenKeys(terms, reference, resolution)
    return !reference.resolved.recursive && selectBounded(selectOf(reference.resolved.query ?? undefined), resolution, harmless)
  }
  const subselect = as('RangeSubselect', source)
  return subselect !== null && subselect.lateral !== true && selectBounded(selectOf(subselect.subquery), resolution, harmless)
}

/** VALUES, one row of expressions, or one relation restricted by given keys. */
export function selectBounded(select: SelectStmt | null, resolution: Resolution, harmless: Harmless): boolean {
  if (select === null || (select.op !== undefined && select.op !== 'SETOP_NONE')) return false
  if (select.valuesLists !== undefined) return !select.valuesLists.some((row) => mayGiveSeveral(row, harmless))
  if ((select.targetList ?? []).some((target) => mayGiveSeveral(target, harmless))) return false
  const from = select.fromClause ?? []
  if (from.length === 0) return true
  if (from.length > 1 || kindOf(from[0]) !== 'RangeVar') return false
  const reference = resolution.byNode.get(as('RangeVar', from[0])!)
  return reference !== undefined && reference.resolved.kind !== 'cte' && givenKeys(andTerms(select.whereClause), reference, resolution)
}

/** The rows an INSERT brings: what its ON CONFLICT DO UPDATE may touch. */
export function insertBounded(insert: InsertStmt, resolution: Resolution, harmless: Harmless): boolean {
  return insert.selectStmt === undefined || selectBounded(selectOf(insert.selectStmt), resolution, harmless)
}

export function mergeBounded(merge: MergeStmt, target: Reference, resolution: Resolution, harmless: Harmless): boolean {
  const wide = (merge.mergeWhenClauses ?? []).some((clause) => as('MergeWhenClause', clause)?.matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE')
  return !wide && boundedBy(andTerms(merge.joinCondition), target, merge.sourceRelation === undefined ? [] : [merge.sourceRelation], resolution, harmless)
}
