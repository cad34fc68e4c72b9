// A look-up by one given value: `column = literal or parameter` on a masked column, as a top-level AND term of a SELECT's WHERE, is asked of
// the real column, but only for the keys of its rows. No other predicate ever reaches a masked column, and the caller counts each one.
import type { A_Expr, Node } from 'libpg-query'
import { isText, quote, relationName } from './mask-expression.ts'
import type { Masked } from './mask-index.ts'
import { label } from './mask-index.ts'
import { pathOf, type Ranged, type Usage, type Work } from './mask-work.ts'
import { counted, type GivenPlace, turnedForCompare } from './token-turn.ts'
import { as, stringsOf } from './walk.ts'

/** Rewrites the look-ups on one relation and gives the columns of its key, which the statement now uses. */
export function lookups(work: Work, read: Ranged & { readonly masked: Masked }, usage: Usage): readonly string[] {
  const { relation, hidden, parent } = read.masked
  const select = work.names.selects.find((one) => one === read.query)
  // A prepared text runs later, uncounted; a plan would tell estimates made from the real values; a child's rows are outside its parent's key.
  if (select?.whereClause === undefined || work.wrapper === 'prepare' || work.wrapper === 'explain' || work.names.writes.length > 0) return []
  if (relation.primaryKey === null || (parent && relation.kind !== 'p') || relation.kind === 'v' || (read.node.alias?.colnames ?? []).length > 0) return []
  const key = relation.primaryKey.map((number) => relation.columns.find((column) => column.number === number)!)
  if (key.some((column) => hidden.has(column.name))) return []
  let found = false
  for (const term of conjuncts(select.whereClause)) {
    const expression = as('A_Expr', term)
    const hit = expression === null ? null : given(expression, read, work) ?? givenList(expression, read, work)
    if (expression === null || hit === null) continue
    const mask = hidden.get(hit.column)!
    const turned = turnedForCompare(work, mask, hit.values)
    if (turned === null && (hit.values.length > 1 || mask.lookups === null || !hit.plain || !isText(mask.column) && !/^(integer|bigint|smallint|numeric|uuid|date)/.test(mask.column.typeName))) continue
    const splice = work.splice()
    const alias = quote(read.reference.alias)
    const [left, right] = key.length === 1 ? [`${alias}.${quote(key[0]!.name)}`, quote(key[0]!.name)]
      : [`(${key.map((column) => `${alias}.${quote(column.name)}`).join(', ')})`, key.map((column) => quote(column.name)).join(', ')]
    const value = turned !== null ? turned.length === 1 ? turned[0]! : `ANY (ARRAY[${turned.join(', ')}])` : splice.source(hit.values[0]!.first, hit.values[0]!.end)
    const filter = read.masked.filter === undefined ? '' : ` AND ${read.masked.filter.text(quote)}`
    const text = `(${left} OPERATOR(pg_catalog.=) ANY (SELECT ${right} FROM ${read.reference.only ? 'ONLY ' : ''}${relationName(relation)} WHERE ${quote(hit.column)} OPERATOR(pg_catalog.=) ${value}${filter}))`
    splice.replace(hit.first, hit.end, text)
    const expected = work.expect(`SELECT ${text}`, (made) => as('ResTarget', as('SelectStmt', made)?.targetList?.[0])?.val)
    work.expected.set(expression, (_, now, same) => same(expected, now))
    for (const place of hit.values) counted(work, read.masked, mask, place)
    usage.by.set(hit.column, (usage.by.get(hit.column) ?? []).filter((named) => named.ref !== hit.ref))
    if (usage.by.get(hit.column)!.length === 0 && !usage.all) usage.columns.delete(hit.column)
    work.touched.add(label(relation))
    found = true
  }
  return found ? key.map((column) => column.name) : []
}

function conjuncts(node: Node): Node[] {
  const bool = as('BoolExpr', node)
  return bool?.boolop === 'AND_EXPR' ? (bool.args ?? []).flatMap(conjuncts) : [node]
}

export interface Given { readonly column: string; readonly ref: object; readonly first: number; readonly end: number; readonly values: readonly GivenPlace[]; /** No cast but to text. */ readonly plain: boolean }
/** `t.column = value` or `value = t.column`, written with nothing else around. */
export function given(expression: A_Expr, read: Ranged & { readonly masked: Masked }, work: Work): Given | null {
  const operator = stringsOf(expression.name)
  if (expression.kind !== 'AEXPR_OP' || operator?.length !== 1 || operator[0] !== '=') return null
  for (const [side, other] of [[expression.lexpr, expression.rexpr], [expression.rexpr, expression.lexpr]] as const) {
    const named = namedColumn(side, read, work)
    if (named === null) continue
    const splice = work.splice()
    const place = value(other, work, true)
    if (place === null) continue
    const [begin, stop] = side === expression.lexpr ? [named.first, place.end] : [place.first, named.end]
    const equals = side === expression.lexpr ? named.end : place.end
    // Exactly `ref = value`: nothing but the operator between them.
    if (splice.word(equals) !== '=' || equals + 1 !== (side === expression.lexpr ? place.first : named.first)) continue
    return { column: named.column, ref: named.ref, first: begin, end: stop, values: [place], plain: value(other, work) !== null }
  }
  return null
}
/** `t.column IN (value, …)`, of a tokenized column. */
export function givenList(expression: A_Expr, read: Ranged & { readonly masked: Masked }, work: Work): Given | null {
  const items = as('List', expression.rexpr)?.items ?? []
  const named = expression.kind === 'AEXPR_IN' && stringsOf(expression.name)?.join() === '=' && items.length > 0 ? namedColumn(expression.lexpr, read, work) : null
  if (named === null || read.masked.hidden.get(named.column)?.with !== 'token') return null
  const splice = work.splice()
  if (splice.word(named.end) !== 'in' || splice.word(named.end + 1) !== '(') return null
  const values = items.map((item) => value(item, work, true))
  if (values.some((place) => place === null)) return null
  return { column: named.column, ref: named.ref, first: named.first, end: splice.afterParenthesis(named.end + 1), values: values as GivenPlace[], plain: false }
}
/** A reference to a masked column of this relation and no other, with its place. */
function namedColumn(node: Node | undefined, read: Ranged & { readonly masked: Masked }, work: Work): { column: string; ref: object; first: number; end: number } | null {
  const ref = as('ColumnRef', node)
  if (ref === null) return null
  const path = pathOf(ref)
  const column = path.at(-1)!
  if (!read.masked.hidden.has(column) || path.length > 2 || (path.length === 2 && path[0] !== read.reference.alias)) return null
  if (path.length === 1 && !onlyMine(ref, read, work)) return null
  const splice = work.splice()
  const first = splice.at(ref.location ?? 0)
  return { column, ref, first, end: splice.afterPath(first, path.length) }
}

/** The place of one literal or parameter, with a plain cast at most: to text, or to `any` type of one word. */
export function value(node: Node | undefined, work: Work, any = false): GivenPlace | null {
  const cast = as('TypeCast', node)
  const inner = cast === null ? node : cast.arg
  const constant = as('A_Const', inner)
  const parameter = as('ParamRef', inner)
  if (node === undefined || ((constant === null || constant.isnull === true || (constant.sval === undefined && constant.ival === undefined && !(any && (constant.boolval !== undefined || constant.fval !== undefined)))) && parameter === null)) return null
  const location = constant?.location ?? parameter?.location ?? 0
  const splice = work.splice()
  const first = splice.at(location)
  if (splice.word(first + 1) === 'uescape') return null
  const negative = any && constant !== null && constant.sval === undefined && splice.word(first) === '-'
  let end = first + (negative ? 2 : 1)
  if (cast !== null) {
    if (negative || splice.word(end) !== '::' || !(any ? /^[a-z_][a-z0-9_]*$/ : /^(text|varchar)$/).test(splice.word(end + 1)) || stringsOf(cast.typeName?.names)?.length === 0 || cast.typeName?.typmods !== undefined || cast.typeName?.arrayBounds !== undefined) return null
    end += 2
  }
  const text = constant === null ? null : constant.sval !== undefined ? constant.sval.sval ?? '' : constant.ival !== undefined ? String(constant.ival.ival ?? 0) : constant.fval?.fval ?? null
  return { first, end, parameter: parameter?.number ?? null, text, node }
}

/** Whether a bare name can't be another entry's column: as the server resolves it. */
function onlyMine(ref: object, read: Ranged, work: Work): boolean {
  const use = work.uses.get(ref)
  return use !== undefined && use.certain && use.kind === 'column' && use.targets.length === 1 && use.targets[0]!.reference.node === read.node
}
