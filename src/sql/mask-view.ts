// Which columns of a view show masked ones, by the view's own definition. Only what can be followed for certain: plain columns of relations
// joined and filtered by other columns. Of anything else nothing is known (null), and the view may not be read: an expression over a
// masked column is computed inside the view on real values, and its errors would carry them; a filter by one would tell of it.
import type { ColumnRef, Node, RangeVar, SelectStmt } from 'libpg-query'
import type { Catalog, Relation } from './catalog.ts'
import { parseShort } from './grammar.ts'
import type { Hidden, Masked } from './mask-index.ts'
import { as, stringsOf, walk } from './walk.ts'

/** Nodes by which a view is more than columns, joins and filters. */
const BEYOND = new Set(['SubLink', 'RangeSubselect', 'RangeFunction', 'RangeTableFunc', 'RangeTableSample', 'JsonTable', 'WithClause', 'WindowDef', 'A_Indirection', 'CommonTableExpr'])

export function viewHidden(view: Relation, catalog: Catalog, masked: ReadonlyMap<number, Masked>): Map<string, Hidden> | null {
  const parsed = view.definition === undefined ? null : parseShort(view.definition)
  const select = parsed?.kind === 'tree' && parsed.statements.length === 1 ? as('SelectStmt', parsed.statements[0]!.node) : null
  if (select === null || view.rules || !isPlain(select) || select.targetList?.length !== view.columns.length) return null
  const sources = new Map<string, Masked | null>()   // alias → what it hides
  let clear = true
  walk({ SelectStmt: select }, ({ kind, body }) => {
    if (kind === null || BEYOND.has(kind)) clear = false
    if (kind === 'JoinExpr' && ((body as { isNatural?: boolean }).isNatural === true || (body as { alias?: object }).alias !== undefined || (body as { usingClause?: Node[] }).usingClause !== undefined)) clear = false
    if (kind === 'RangeVar') clear = source(body, catalog, masked, sources) && clear
  })
  if (!clear) return null
  const hidden = new Map<string, Hidden>()
  for (const [index, node] of select.targetList.entries()) {
    const value = as('ResTarget', node)?.val
    const mask = value === undefined ? null : reads(as('ColumnRef', value), sources)
    if (mask === 'row') return null
    if (mask !== null) { const column = view.columns[index]!; hidden.set(column.name, { with: mask.with, rule: mask.rule, lookups: null, column: mask.column.generated === 'v' ? { ...column, generated: 'v' } : column }) }
    else if (value !== undefined && touches(value, sources)) return null
  }
  const others = [...select.fromClause ?? [], ...select.sortClause ?? [], ...[select.whereClause, select.limitCount, select.limitOffset].filter((node) => node !== undefined)]
  return others.some((node) => touches(node, sources)) ? null : hidden
}

function isPlain(select: SelectStmt): boolean {
  return select.op === 'SETOP_NONE' && select.distinctClause === undefined && select.groupClause === undefined && select.havingClause === undefined && select.windowClause === undefined && select.withClause === undefined && select.valuesLists === undefined
    && (select.sortClause ?? []).every((item) => as('A_Const', as('SortBy', item)?.node) === null)
}

function source(node: RangeVar, catalog: Catalog, masked: ReadonlyMap<number, Masked>, sources: Map<string, Masked | null>): boolean {
  const relation = catalog.byName.get(`${node.schemaname}.${node.relname}`)
  const alias = node.alias?.aliasname ?? node.relname ?? ''
  if (node.schemaname === undefined || relation === undefined || sources.has(alias) || node.alias?.colnames !== undefined) return false
  sources.set(alias, masked.get(relation.oid) ?? null)
  return true
}

/** The masked column that a reference is, `row` when it could be more than one column, null when it is neither. */
function reads(ref: ColumnRef | null, sources: ReadonlyMap<string, Masked | null>): Hidden | 'row' | null {
  if (ref === null) return null
  const path = stringsOf(ref.fields)
  if (path === null || path.length === 0) return 'row'
  const name = path.at(-1)!
  const from = path.length === 1 ? [...sources.values()] : [sources.get(path.at(-2)!) ?? null]
  if (path.length === 1 && sources.has(name)) return 'row'
  if (path.length > 2 || (path.length === 2 && !sources.has(path[0]!))) return 'row'
  for (const one of from) {
    const mask = one?.hidden.get(name)
    if (mask !== undefined) return mask
    if (one !== null && path.length === 2 && !one.relation.columns.some((column) => column.name === name)) return 'row'
  }
  return null
}
function touches(node: Node, sources: ReadonlyMap<string, Masked | null>): boolean {
  let hit = false
  walk(node, ({ kind, body }) => { if (kind === 'ColumnRef' && reads(body, sources) !== null) hit = true })
  return hit
}
