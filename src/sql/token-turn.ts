// Tokens on the way in: where a statement gives one for a tokenized column, the server gets the value that it stands for. And what an
// UPDATE writes back as it was shown, a mask or a token, leaves the column as it was. A literal is turned here; for a parameter the text
// gets further ones, which are given what it stands for when it is known. The parameter itself never changes: it may stand elsewhere too.
import type { A_Expr, Node } from 'libpg-query'
import { literalOf } from './filter.ts'
import { wideType } from './filter-write.ts'
import { given, givenList, value as givenValue } from './lookup.ts'
import { castType, HASH_SHAPE, HIDDEN_TEXT, isMaskText, isText, quote, relationName, shows } from './mask-expression.ts'
import type { Hidden, Masked } from './mask-index.ts'
import { label } from './mask-index.ts'
import type { Ranged, Work } from './mask-work.ts'
import { as, kindOf } from './walk.ts'

export interface GivenPlace { readonly first: number; readonly end: number; readonly parameter: number | null; readonly text: string | null; readonly node: Node }
const hasTokens = (work: Work, hidden: Hidden): boolean => hidden.with === 'token' && work.tokens?.has(hidden.column) === true

/** What a tokenized column is to be compared with in place of what was given; null: one of these is no token. */
export function turnedForCompare(work: Work, hidden: Hidden, places: readonly GivenPlace[]): string[] | null {
  if (!hasTokens(work, hidden) || (work.wrapper === 'prepare' && places.some(({ parameter }) => parameter !== null))) return null
  // As the server itself would take what is compared with it: of one parameter it wants one type.
  const type = /^(text|character varying)/.test(hidden.column.typeName) ? 'pg_catalog.text' : wideType(castType(hidden.column))
  const turned = places.map(({ text }) => text === null ? null : work.tokens!.back(hidden.column, text))
  if (places.some(({ parameter }, i) => parameter === null && turned[i] === null)) return null
  return places.map(({ parameter }, i) => {
    if (parameter === null) { work.opened.add(hidden.column.name); return `(${literalOf(turned[i]!.value)}::${type})` }
    const value = nextParameter(work)
    work.turned.push({ parameter, column: hidden.column, value, certain: null, plain: hidden.lookups !== null })
    // The client's own parameter keeps its type; what it is not stays NULL, which equals nothing.
    return `(CASE WHEN $${parameter}::${type} IS NOT NULL THEN $${value}::${type} END)`
  })
}
const nextParameter = (work: Work): number => { work.parameters.last += 1; return work.parameters.last }

/** `token column = given` and `IN (given, …)` in the condition of an UPDATE or DELETE; the references that were taken care of. */
export function turnCondition(work: Work, ranged: Ranged, masked: Masked, condition: Node | undefined): ReadonlySet<object> {
  const done = new Set<object>()
  if (condition === undefined || work.tokens === null || work.wrapper === 'explain') return done
  for (const term of conjuncts(condition)) {
    const expression: A_Expr | null = as('A_Expr', term)
    const hit = expression === null ? null : given(expression, { ...ranged, masked }, work) ?? givenList(expression, { ...ranged, masked }, work)
    const hidden = hit === null ? undefined : masked.hidden.get(hit.column)
    if (hit === null || hidden === undefined || !hasTokens(work, hidden)) continue
    const texts = turnedForCompare(work, hidden, hit.values)
    // Another value would be compared with what is hidden.
    if (texts === null) continue
    hit.values.forEach((place, i) => { put(work, place, texts[i]!); counted(work, masked, hidden, place) })
    done.add(hit.ref)
  }
  return done
}
export function counted(work: Work, { relation }: Masked, hidden: Hidden, place: GivenPlace): void {
  if (hidden.lookups === null) return
  const splice = work.splice()
  const [from, to] = [splice.tokens[place.first]!, splice.tokens[place.end - 1]!]
  work.lookups.push({ schema: relation.schema, table: relation.name, column: hidden.column.name, rule: hidden.rule, count: hidden.lookups.count, perMs: hidden.lookups.perMs, parameter: place.parameter, at: from.start, length: to.end - from.start })
}
function conjuncts(node: Node): Node[] {
  const bool = as('BoolExpr', node)
  return bool?.boolop === 'AND_EXPR' ? (bool.args ?? []).flatMap(conjuncts) : [node]
}
function put(work: Work, place: GivenPlace, text: string): void {
  work.splice().replace(place.first, place.end, text)
  const expected = work.expect(`SELECT ${text}`, (made) => as('ResTarget', as('SelectStmt', made)?.targetList?.[0])?.val)
  work.expected.set((place.node as unknown as Record<string, object>)[kindOf(place.node)!]!, (_, now, same) => same(expected, now))
}

/**
 * A value that is stored in a masked column, given plainly: a token becomes its value; what an UPDATE writes back as the mask showed it becomes
 * the column itself (`row`: the name of the row that is changed; null for INSERT). False: nothing was done, and the value is to be checked.
 */
export function turnStored(work: Work, masked: Masked, hidden: Hidden, node: Node, row: string | null): boolean {
  const { column } = hidden
  if (column.typeKind === 'd' || column.generated !== '' || work.wrapper === 'explain') return false
  const constant = as('A_Const', node)
  const kept = row === null ? null : `${quote(row)}.${quote(column.name)}`
  if (constant?.isnull === true) {
    if (kept === null) return false
    if (!showsNull(work, hidden)) return hasTokens(work, hidden)
    const splice = work.splice()
    const first = splice.at(constant.location ?? 0)
    put(work, { first, end: first + 1, parameter: null, text: null, node }, kept)
    return noted(work, masked, hidden)
  }
  const place = givenValue(node, work, true)
  if (place === null) return false
  const type = wideType(castType(column))
  if (place.parameter !== null) return work.wrapper !== 'prepare' && turnParameter(work, masked, hidden, place, type, kept)
  if (place.text === null) return false
  if (kept !== null && isMaskText(hidden, place.text)) { put(work, place, kept); return noted(work, masked, hidden) }
  const turned = hasTokens(work, hidden) ? work.tokens!.back(column, place.text) : null
  if (turned === null) return false
  work.opened.add(column.name)
  const value = `${literalOf(turned.value)}::${type}`
  put(work, place, turned.certain ? `(${value})` : `(CASE WHEN ${isThere(masked, hidden, value)} THEN ${value} ELSE ${literalOf(place.text)}::${type} END)`)
  return true
}
function noted(work: Work, masked: Masked, hidden: Hidden): true { work.kept.add(`${label(masked.relation)}.${hidden.column.name}`); return true }
/** Whether it may show NULL for a value; all of these types' values have tokens. */
const showsNull = (work: Work, hidden: Hidden): boolean => shows(hidden) === 'null' && !(hasTokens(work, hidden) && /^(integer|bigint|uuid)$/.test(hidden.column.typeName))

function turnParameter(work: Work, masked: Masked, hidden: Hidden, place: GivenPlace, type: string, kept: string | null): boolean {
  const given = `$${place.parameter}::${type}`
  const cases: string[] = []
  if (kept !== null) {
    if (showsNull(work, hidden)) cases.push(`WHEN ${given} IS NULL THEN ${kept}`)
    else if (isText(hidden.column)) cases.push(`WHEN ${looksMasked(hidden, `(${given})::pg_catalog.text`)} THEN ${kept}`)
  }
  if (hasTokens(work, hidden)) {
    const value = nextParameter(work), certain = nextParameter(work)
    work.turned.push({ parameter: place.parameter!, column: hidden.column, value, certain, plain: false })
    cases.push(`WHEN $${certain}::${type} IS NOT NULL THEN $${certain}::${type}`, `WHEN ${isThere(masked, hidden, `$${value}::${type}`)} THEN $${value}::${type}`)
  }
  if (cases.length === 0) return false
  // What an INSERT gives is still looked at when it is known.
  if (kept === null) work.stored.push({ parameter: place.parameter!, hidden, nullRefused: false, column: `${label(masked.relation)}.${hidden.column.name}` })
  put(work, place, `(CASE ${cases.join(' ')} ELSE ${given} END)`)
  return true
}
/** Whether a value is one of this column's, among the rows that may be read: what looks like a token and could be a value of its own is a token then. */
function isThere({ relation, filter }: Masked, hidden: Hidden, value: string): string {
  return `EXISTS (SELECT FROM ${relationName(relation)} WHERE ${quote(hidden.column.name)} OPERATOR(pg_catalog.=) ${value}${filter === undefined ? '' : ` AND ${filter.text(quote)}`})`
}
/** The same as isMaskText, asked of the server. */
function looksMasked(hidden: Hidden, text: string): string {
  const cut = Number(/\((\d+)\)/.exec(hidden.column.typeName)?.[1] ?? HIDDEN_TEXT.length)
  const equals = (word: string) => `pg_catalog.rtrim(${text}) OPERATOR(pg_catalog.=) '${word}'`
  const words = [equals(HIDDEN_TEXT), ...(cut > 1 && cut < HIDDEN_TEXT.length ? [equals(HIDDEN_TEXT.slice(0, cut))] : [])]
  if (hidden.with === 'partial') words.push(`pg_catalog.strpos(${text}, '***') OPERATOR(pg_catalog.>) 0`)
  if (hidden.with === 'hash') words.push(`${text} OPERATOR(pg_catalog.~) '${HASH_SHAPE}'`)
  return `(${words.join(' OR ')})`
}
