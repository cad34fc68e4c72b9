// A look-up by one given value: `column = literal or parameter` on a masked column, as a top-level AND term of a SELECT's WHERE, is asked of
// the real column, but only for the keys of its rows. No other predicate ever reaches a masked column, and the caller counts each one.
import type { A_Expr, Node } from 'libpg-query'
import { isText, quote, relationName } from './mask-expression.ts'
import type { Masked } from './mask-index.ts'
import { label } from './mask-index.ts'
import { pathOf, type Ranged, type Usage, type Work } from './mask-work.ts'
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
    const hit = expression === null ? null : given(expression, read, work)
    if (expression === null || hit === null) continue
    const mask = hidden.get(hit.column)!
    if (mask.lookups === null || !isText(mask.column) && !/^(integer|bigint|smallint|numeric|uuid|date)/.test(mask.column.typeName)) continue
    const splice = work.splice()
    const alias = quote(read.reference.alias)
    const [left, right] = key.length === 1 ? [`${alias}.${quote(key[0]!.name)}`, quote(key[0]!.name)]
      : [`(${key.map((column) => `${alias}.${quote(column.name)}`).join(', ')})`, key.map((column) => quote(column.name)).join(', ')]
    const value = splice.source(hit.valueFirst, hit.valueEnd)
    const text = `(${left} OPERATOR(pg_catalog.=) ANY (SELECT ${right} FROM ${read.reference.only ? 'ONLY ' : ''}${relationName(relation)} WHERE ${quote(hit.column)} OPERATOR(pg_catalog.=) ${value}))`
    splice.replace(hit.first, hit.end, text)
    const expected = work.expect(`SELECT ${text}`, (made) => as('ResTarget', as('SelectStmt', made)?.targetList?.[0])?.val)
    work.expected.set(expression, (_, now, same) => same(expected, now))
    const from = splice.tokens[hit.valueFirst]!, to = splice.tokens[hit.valueEnd - 1]!
    work.lookups.push({
      schema: relation.schema, table: relation.name, column: hit.column, rule: mask.rule, count: mask.lookups.count, perMs: mask.lookups.perMs,
      parameter: hit.parameter, at: from.start, length: to.end - from.start,
    })
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

interface Given { readonly column: string; readonly ref: object; readonly first: number; readonly end: number; readonly valueFirst: number; readonly valueEnd: number; readonly parameter: number | null }
/** `t.column = value` or `value = t.column`, written with nothing else around. */
function given(expression: A_Expr, read: Ranged & { readonly masked: Masked }, work: Work): Given | null {
  const operator = stringsOf(expression.name)
  if (expression.kind !== 'AEXPR_OP' || operator?.length !== 1 || operator[0] !== '=') return null
  for (const [side, other] of [[expression.lexpr, expression.rexpr], [expression.rexpr, expression.lexpr]] as const) {
    const ref = as('ColumnRef', side)
    if (ref === null) continue
    const path = pathOf(ref)
    const column = path.at(-1)!
    if (!read.masked.hidden.has(column) || path.length > 2 || (path.length === 2 && path[0] !== read.reference.alias)) continue
    if (path.length === 1 && !onlyMine(ref, read, work)) continue
    const splice = work.splice()
    const first = splice.at(ref.location ?? 0)
    const refEnd = splice.afterPath(first, path.length)
    const place = value(other, work)
    if (place === null) continue
    const [begin, stop] = side === expression.lexpr ? [first, place.end] : [place.first, refEnd]
    const equals = side === expression.lexpr ? refEnd : place.end
    // Exactly `ref = value`: nothing but the operator between them.
    if (splice.word(equals) !== '=' || equals + 1 !== (side === expression.lexpr ? place.first : first)) continue
    return { column, ref, first: begin, end: stop, valueFirst: place.first, valueEnd: place.end, parameter: place.parameter }
  }
  return null
}

/** The place of one literal or parameter, with a plain cast at most: to text, or to `any` type of one word. */
export function value(node: Node | undefined, work: Work, any = false): { first: number; end: number; parameter: number | null } | null {
  const cast = as('TypeCast', node)
  const inner = cast === null ? node : cast.arg
  const constant = as('A_Const', inner)
  const parameter = as('ParamRef', inner)
  if ((constant === null || constant.isnull === true || (constant.sval === undefined && constant.ival === undefined && !(any && (constant.boolval !== undefined || constant.fval !== undefined)))) && parameter === null) return null
  const location = constant?.location ?? parameter?.location ?? 0
  const splice = work.splice()
  const first = splice.at(location)
  if (splice.word(first + 1) === 'uescape') return null
  let end = first + 1
  if (cast !== null) {
    if (splice.word(end) !== '::' || !(any ? /^[a-z_][a-z0-9_]*$/ : /^(text|varchar)$/).test(splice.word(end + 1)) || stringsOf(cast.typeName?.names)?.length === 0) return null
    end += 2
  }
  return { first, end, parameter: parameter?.number ?? null }
}

/** Whether a bare name can't be another entry's column: as the server resolves it. */
function onlyMine(ref: object, read: Ranged, work: Work): boolean {
  const use = work.uses.get(ref)
  return use !== undefined && use.certain && use.kind === 'column' && use.targets.length === 1 && use.targets[0]!.reference.node === read.node
}
