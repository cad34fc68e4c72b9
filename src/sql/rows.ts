// How many rows of relations an answer can hold at most, as far as the text and the catalog prove it: LIMIT, aggregates, unique keys,
// VALUES. Infinity in doubt. Functions that give several rows multiply after every filter, so one of them undoes all proofs but LIMIT.
import type { JoinExpr, Node, SelectStmt } from 'libpg-query'
import type { Catalog } from './catalog.ts'
import { keyColumns } from './bounded.ts'
import type { Reference, Resolution } from './resolve.ts'
import { andTerms, columnOf, hasAggregate, isGiven, mayGiveSeveral, operatorOf, selectOf } from './values.ts'
import { as, kindOf } from './walk.ts'

/** `parameter`: the value that this parameter has at Bind. */
export type RowsMax = number | { readonly parameter: number }
export interface Ground { readonly resolution: Resolution; readonly catalog: Catalog; readonly scalar: (path: readonly string[]) => boolean }

export function rowsMaxOf(select: SelectStmt, ground: Ground): RowsMax {
  const own = withoutLimit(select, ground)
  const limit = select.limitOption === 'LIMIT_OPTION_WITH_TIES' ? Infinity : limitOf(select.limitCount)
  if (typeof limit === 'number') return Math.min(own, limit)
  return own === Infinity ? limit : own
}
const certain = (rows: RowsMax): number => typeof rows === 'number' ? rows : Infinity

function limitOf(node: Node | undefined): RowsMax {
  if (node === undefined) return Infinity
  const cast = as('TypeCast', node)
  if (cast !== null) return limitOf(cast.arg)
  const parameter = as('ParamRef', node)
  if (parameter !== null) return { parameter: parameter.number ?? 0 }
  const constant = as('A_Const', node)
  if (constant === null || constant.isnull === true) return Infinity
  const text = constant.ival !== undefined ? String(constant.ival.ival ?? 0) : constant.sval?.sval ?? constant.fval?.fval ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : Infinity
}

function withoutLimit(select: SelectStmt, ground: Ground): number {
  if (select.larg !== undefined && select.rarg !== undefined) {
    const left = certain(rowsMaxOf(select.larg, ground))
    const right = certain(rowsMaxOf(select.rarg, ground))
    if (select.op === 'SETOP_INTERSECT') return Math.min(left, right)
    return select.op === 'SETOP_EXCEPT' ? left : left + right
  }
  if (select.valuesLists !== undefined) return select.valuesLists.some((row) => mayGiveSeveral(row, ground.scalar)) ? Infinity : select.valuesLists.length
  const targets = select.targetList ?? []
  if (targets.some((target) => mayGiveSeveral(target, ground.scalar))) return Infinity
  if (select.groupClause === undefined && (select.havingClause !== undefined || targets.some(hasAggregate))) return 1
  // Grouping sets may give more rows than they get.
  if ((select.groupClause ?? []).some((item) => kindOf(item) === 'GroupingSet')) return Infinity
  const terms = [...andTerms(select.whereClause), ...innerTerms(select.fromClause)]
  return product(select.fromClause ?? [], terms, pinned(terms, ground), ground)
}

/** Conditions of inner joins hold for every row, like WHERE. */
function innerTerms(from: readonly Node[] | undefined): Node[] {
  return (from ?? []).flatMap((node) => {
    const join = as('JoinExpr', node)
    if (join === null || (join.jointype ?? 'JOIN_INNER') !== 'JOIN_INNER') return []
    return [...andTerms(join.quals), ...innerTerms(present(join.larg, join.rarg))]
  })
}

/** Relations of which at most one row can pass: a full unique key is given, or equal to columns of such a relation. */
function pinned(terms: readonly Node[], ground: Ground): ReadonlySet<Reference> {
  const equal: { own: { reference: Reference; column: string }; other: Reference | null }[] = []
  for (const term of terms) {
    const expr = as('A_Expr', term)
    if (expr === null || expr.kind !== 'AEXPR_OP' || operatorOf(expr.name) !== '=') continue
    for (const [mine, theirs] of [[expr.lexpr, expr.rexpr], [expr.rexpr, expr.lexpr]]) {
      const own = columnOf(mine, ground.resolution)
      if (own === null) continue
      if (isGiven(theirs)) equal.push({ own, other: null })
      else { const other = columnOf(theirs, ground.resolution); if (other !== null && other.reference !== own.reference) equal.push({ own, other: other.reference }) }
    }
  }
  const done = new Set<Reference>()
  for (let grew = true; grew;) {
    grew = false
    for (const { own: { reference } } of equal) {
      if (done.has(reference) || !keysHold(reference, ground.catalog)) continue
      const columns = new Set(equal.filter(({ own, other }) => own.reference === reference && (other === null || done.has(other))).map(({ own }) => own.column))
      if (reference.resolved.kind === 'relation' && keyColumns(reference.resolved.relation).some((key) => key.every((column) => columns.has(column)))) { done.add(reference); grew = true }
    }
  }
  return done
}

const parentsOf = new WeakMap<Catalog, ReadonlySet<number>>()
/** A unique key of a plain parent says nothing about its children. */
function keysHold(reference: Reference, catalog: Catalog): boolean {
  if (reference.resolved.kind !== 'relation') return false
  const { relation } = reference.resolved
  if (relation.kind === 'p' || reference.only) return true
  let parents = parentsOf.get(catalog)
  if (parents === undefined) { parents = new Set([...catalog.relations.values()].flatMap((one) => one.parents)); parentsOf.set(catalog, parents) }
  return relation.kind === 'r' && !relation.temporary && !parents.has(relation.oid)
}

function product(from: readonly Node[], terms: readonly Node[], known: ReadonlySet<Reference>, ground: Ground): number {
  return from.reduce((rows, node) => times(rows, rowsOfItem(node, terms, known, ground)), 1)
}
const times = (a: number, b: number): number => a === 0 || b === 0 ? 0 : a * b

function rowsOfItem(node: Node, terms: readonly Node[], known: ReadonlySet<Reference>, ground: Ground): number {
  switch (kindOf(node)) {
    case 'RangeVar': {
      const reference = ground.resolution.byNode.get(as('RangeVar', node)!)
      if (reference === undefined) return Infinity
      if (known.has(reference)) return 1
      if (reference.resolved.kind !== 'cte' || reference.resolved.recursive) return Infinity
      const select = selectOf(reference.resolved.query ?? undefined)
      return select === null ? Infinity : certain(rowsMaxOf(select, ground))
    }
    case 'RangeTableSample': return rowsOfItem(as('RangeTableSample', node)!.relation!, terms, known, ground)
    case 'RangeSubselect': {
      const select = selectOf(as('RangeSubselect', node)!.subquery)
      return select === null ? Infinity : certain(rowsMaxOf(select, ground))
    }
    case 'RangeFunction': return as('RangeFunction', node)!.is_rowsfrom === true || mayGiveSeveral(node, ground.scalar) ? Infinity : 1
    case 'JoinExpr': {
      const join: JoinExpr = as('JoinExpr', node)!
      const left = rowsOfItem(join.larg!, terms, known, ground)
      const right = rowsOfItem(join.rarg!, terms, known, ground)
      // An outer join keeps rows without a partner.
      if (join.jointype === 'JOIN_LEFT') return times(left, Math.max(1, right))
      if (join.jointype === 'JOIN_RIGHT') return times(right, Math.max(1, left))
      return join.jointype === 'JOIN_FULL' ? left + right + times(left, right) : times(left, right)
    }
    default: return Infinity
  }
}
const present = (...nodes: readonly (Node | undefined)[]): Node[] => nodes.filter((node) => node !== undefined)
