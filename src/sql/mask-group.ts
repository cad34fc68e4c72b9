// GROUP BY a primary key lets a statement use the table's other columns, which depend on it. A subselect has no key, so they are appended to
// the GROUP BY: the groups stay the same.
import type { ColumnRef, Node, SelectStmt } from 'libpg-query'
import { quote } from './mask-expression.ts'
import type { Masked } from './mask-index.ts'
import { label } from './mask-index.ts'
import { pathOf, type Ranged, Refusal, type Usage, type Work } from './mask-work.ts'
import { as, kindOf, stringsOf, walk } from './walk.ts'

/** Columns inside these need not be grouped by. A name that is missing here costs nothing but a wider GROUP BY. */
const AGGREGATES = new Set(['count', 'sum', 'avg', 'min', 'max', 'array_agg', 'string_agg', 'json_agg', 'jsonb_agg', 'json_object_agg', 'jsonb_object_agg', 'bool_and', 'bool_or', 'every', 'xmlagg', 'any_value'])
/** Types that can't be grouped by. */
const UNGROUPABLE = /^(json|xml|point|lseg|box|path|polygon|circle|line)(\W|$)/
/** Reserved words that end a GROUP BY clause. */
const ENDS = new Set(['having', 'window', 'union', 'intersect', 'except', 'order', 'limit', 'offset', 'fetch', 'for', 'on', 'returning', 'with', ';', ')'])

export function groupByKey(work: Work, read: Ranged & { readonly masked: Masked }, usage: Usage): void {
  const { relation, hidden } = read.masked
  const select = work.names.selects.find((one) => one === read.query)
  if (select?.groupClause === undefined || relation.primaryKey === null) return
  const grouped = new Set(select.groupClause.flatMap((node) => groupedColumn(node, select, read)))
  const key = relation.primaryKey.map((number) => relation.columns.find((column) => column.number === number)!)
  if (key.some((column) => hidden.has(column.name) || !grouped.has(column.name))) return
  if (usage.whole) throw new Refusal('mask', `the whole row of ${label(relation)} is used beside GROUP BY`, 'name its columns')
  const wanted = usage.all && hasStar(select, read) ? new Set(relation.columns.map((column) => column.name)) : usedOutsideAggregates(select, read, usage)
  const missing = relation.columns.filter((column) => usage.columns.has(column.name) && wanted.has(column.name) && !grouped.has(column.name))
  if (missing.length === 0) return
  for (const column of missing) if (UNGROUPABLE.test(column.typeName)) throw new Refusal('mask', `${label(relation)}.${column.name} can't be grouped by`, 'join the grouped result to the table instead')
  const list = missing.map((column) => `${quote(read.reference.alias)}.${quote(column.name)}`)
  const splice = work.splice()
  splice.insertAfter(endOfGroup(work, select.groupClause), `, ${list.join(', ')}`)
  const appended = work.expect(`SELECT GROUP BY ${list.join(', ')}`, (made) => as('SelectStmt', made)?.groupClause) as unknown[]
  const before = work.expected.get(select.groupClause)
  if (before !== undefined) throw new Refusal('mask', 'two masked tables are grouped by their keys in one SELECT', 'group one of them in a subselect')
  work.expected.set(select.groupClause, (old, now, same) => {
    const [was, is] = [old as unknown[], now as unknown[]]
    return Array.isArray(is) && is.length === was.length + appended.length && was.every((node, index) => same(node, is[index])) && appended.every((node, index) => same(node, is[was.length + index]))
  })
}

function groupedColumn(node: Node, select: SelectStmt, read: Ranged & { readonly masked: Masked }): string[] {
  const number = as('A_Const', node)?.ival?.ival
  if (number !== undefined) {
    // `SELECT t.*, … GROUP BY 1`: the number counts the columns behind the star.
    const first = as('ColumnRef', as('ResTarget', select.targetList?.[0])?.val)
    if (first !== null && kindOf(first.fields?.at(-1)) === 'A_Star') return pathOf(first).at(-2) === read.reference.alias || (pathOf(first).length === 1 && as('RangeVar', select.fromClause?.[0]) === read.node) ? [read.masked.relation.columns[number - 1]?.name ?? ''] : []
    const target = as('ResTarget', select.targetList?.[number - 1])?.val
    return target === undefined ? [] : columnOf(as('ColumnRef', target), read)
  }
  const ref = as('ColumnRef', node)
  const own = columnOf(ref, read)
  if (own.length > 0 || ref === null) return own
  const named = (select.targetList ?? []).map((target) => as('ResTarget', target)).find((target) => target?.name === pathOf(ref).at(-1))
  return columnOf(as('ColumnRef', named?.val), read)
}
function columnOf(ref: ColumnRef | null, { reference, masked }: Ranged & { readonly masked: Masked }): string[] {
  if (ref === null) return []
  const path = pathOf(ref)
  const name = path.at(-1)!
  return (path.length === 1 || path.at(-2) === reference.alias) && masked.relation.columns.some((column) => column.name === name) ? [name] : []
}
function hasStar(select: SelectStmt, read: Ranged): boolean {
  return (select.targetList ?? []).some((target) => {
    const ref = as('ColumnRef', as('ResTarget', target)?.val)
    return ref !== null && kindOf(ref.fields?.at(-1)) === 'A_Star' && (pathOf(ref).length === 1 || pathOf(ref).at(-2) === read.reference.alias)
  })
}
function usedOutsideAggregates(select: SelectStmt, read: Ranged & { readonly masked: Masked }, usage: Usage): Set<string> {
  const out = new Set<string>()
  for (const node of [...select.targetList ?? [], ...select.sortClause ?? [], ...select.distinctClause ?? [], ...select.windowClause ?? [], ...select.havingClause === undefined ? [] : [select.havingClause]]) {
    if (Object.keys(node).length > 0) walk(node, ({ kind, body }) => {
      if (kind === 'FuncCall' && (body as { over?: object }).over === undefined && AGGREGATES.has(stringsOf((body as { funcname?: Node[] }).funcname)?.at(-1) ?? '')) return false
      if (kind === 'ColumnRef') for (const name of columnOf(body, read)) if (usage.columns.has(name)) out.add(name)
      return undefined
    })
  }
  return out
}

/** Index after the last token of the GROUP BY clause. */
function endOfGroup(work: Work, clause: readonly Node[]): number {
  const splice = work.splice()
  let location = Infinity
  for (const node of clause) walk(node, ({ body }) => { const at = (body as { location?: number }).location; if (at !== undefined && at >= 0 && at < location) location = at })
  let by = splice.at(location)
  while (by > 0 && !(splice.word(by) === 'by' && splice.word(by - 1) === 'group')) by -= 1
  let depth = 0
  for (let at = by + 1; at < splice.tokens.length; at += 1) {
    const word = splice.word(at)
    if (depth === 0 && ENDS.has(word)) return at
    if (word === '(' || word === '[') depth += 1
    else if (word === ')' || word === ']') depth -= 1
  }
  return splice.tokens.length
}
