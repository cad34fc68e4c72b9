// Writes on filtered relations: an UPDATE or DELETE reaches only the filter's rows, and what an INSERT or UPDATE stores in the filter's columns
// is checked by the server in the same statement. What can't be checked so is refused.
import type { InsertStmt, Node, OnConflictClause, ResTarget, UpdateStmt } from 'libpg-query'
import type { RowFilter } from './filter.ts'
import { isQuiet } from './filter-read.ts'
import { value as givenValue } from './lookup.ts'
import { PLACE } from './mask-compare.ts'
import { castType, quote } from './mask-expression.ts'
import type { Masked, MaskIndex } from './mask-index.ts'
import { label } from './mask-index.ts'
import { type Ranged, Refusal, type Work } from './mask-work.ts'
import { as, kindOf, type Place, stringsOf } from './walk.ts'

/** A row outside the filter asks the server for a setting of this name, which no one can have: its error is told in words of ours. */
export const OUTSIDE = 'sluice.outside_the_row_filter'

interface Target { readonly work: Work; readonly masked: Masked; readonly filter: RowFilter; readonly ranged: Ranged }
const refuse = ({ filter, masked }: Pick<Target, 'filter' | 'masked'>, why: string, hint: string): never => { throw new Refusal(filter.rules[0] ?? 'filter', `${label(masked.relation)} is filtered by row: ${why}`, hint) }

export function filterWrite(work: Work, place: Place, ranged: Ranged, masked: Masked): void {
  const { filter } = masked
  if (filter === undefined) return
  const target: Target = { work, masked, filter, ranged }
  if (filter.refused !== null) refuse(target, filter.refused, 'ask whoever looks after the policy')
  for (const rule of filter.rules) work.filters.add(rule)
  switch (place.kind) {
    case 'InsertStmt': return filterInsert(target, place.body as InsertStmt)
    case 'UpdateStmt': {
      const update = place.body as UpdateStmt
      setColumns(target, update.targetList)
      return narrow(target, place.kind, update)
    }
    case 'DeleteStmt': return narrow(target, place.kind, place.body)
    default: refuse(target, 'MERGE can\'t be kept within it', 'use INSERT, UPDATE and DELETE')
  }
}

// ——— which rows ———

/** Adds the filter to the condition of an UPDATE or DELETE. */
function narrow(target: Target, kind: 'UpdateStmt' | 'DeleteStmt', body: { whereClause?: Node }): void {
  const { work, filter, ranged } = target
  const { whereClause: given } = body
  if (kindOf(given) === 'CurrentOfExpr') refuse(target, 'WHERE CURRENT OF can\'t be kept within it', 'say which rows by a key')
  const condition = filter.text((column) => `${quote(ranged.reference.alias)}.${quote(column)}`)
  const splice = work.splice()
  const { where, end } = clauses(target)
  if (given === undefined) {
    splice.insertAfter(end, ` WHERE ${condition}`)
    const expected = work.expect(`SELECT WHERE ${condition}`, whereOf)
    return compareWhere(work, kind, body, (_, now, same) => same(expected, now))
  }
  // Where it could fail, what the client asks is evaluated for the filter's rows only.
  const quiet = isQuiet(given)
  const [before, after] = quiet ? [` ${condition} AND (`, ')'] : [` CASE WHEN ${condition} THEN (`, ') ELSE false END']
  splice.insertAfter(where + 1, before)
  splice.insertAfter(end, after)
  const model = work.expect(`SELECT WHERE ${before} sluice_asked ${after}`, whereOf)
  compareWhere(work, kind, body, (was, now, same) => {
    const hole = (old: unknown, made: unknown): boolean => {
      if (isHole(old)) return same(was, made)
      if (typeof old !== 'object' || old === null) return old === made
      if (typeof made !== 'object' || made === null || Array.isArray(old) !== Array.isArray(made)) return false
      const keys = Object.keys(old).filter((key) => !PLACE.test(key))
      return keys.length === Object.keys(made).filter((key) => !PLACE.test(key)).length && keys.every((key) => hole((old as Record<string, unknown>)[key], (made as Record<string, unknown>)[key]))
    }
    return hole(model, now)
  })
}
const whereOf = (made: Node): unknown => as('SelectStmt', made)?.whereClause
const isHole = (node: unknown): boolean => stringsOf(as('ColumnRef', node as Node)?.fields)?.join() === 'sluice_asked'

function compareWhere(work: Work, kind: 'UpdateStmt' | 'DeleteStmt', body: object, compare: (was: unknown, now: unknown, same: (a: unknown, b: unknown) => boolean) => boolean): void {
  work.expected.set(body, (old, now, same) => {
    const [was, is] = [bodyOf(old, kind), bodyOf(now, kind)]
    if (was === null || is === null) return false
    const { whereClause: asked, ...others } = was
    const { whereClause: made, ...rest } = is
    return same(others, rest) && compare(asked, made, same)
  })
}
function bodyOf(node: unknown, kind: string): Record<string, unknown> | null {
  const body = (node as Record<string, unknown> | null)?.[kind]
  return typeof body === 'object' && body !== null ? body as Record<string, unknown> : null
}

/** Tokens of a write from its target on: its WHERE (or -1), and the end of what it may cover. Those words are reserved: no name can be one. */
function clauses({ work, ranged, masked, filter }: Target, from = ranged.node.location ?? 0): { where: number; end: number } {
  const splice = work.splice()
  let where = -1, depth = 0
  let at = splice.at(from)
  for (; at < splice.tokens.length; at += 1) {
    const word = splice.word(at)
    if (word === '(' || word === '[') depth += 1
    else if (word === ')' || word === ']') { if (depth === 0) break; depth -= 1 }
    else if (depth === 0 && (word === ';' || word === 'returning')) break
    else if (depth === 0 && word === 'where') { if (where >= 0) refuse({ masked, filter }, 'its condition could not be placed', 'write it more plainly'); where = at }
  }
  return { where, end: at }
}

// ——— what is stored ———

function filterInsert(target: Target, insert: InsertStmt): void {
  const { masked, filter } = target
  const conflict = insert.onConflictClause
  if (conflict?.action === 'ONCONFLICT_UPDATE') replaces(target, conflict)
  const columns = insert.cols === undefined ? masked.relation.columns.map(({ name }) => name) : insert.cols.map((node) => { const to = as('ResTarget', node); return to?.indirection === undefined ? to?.name ?? '' : '' })
  const missing = [...filter.columns].find((name) => !columns.includes(name))
  if (missing !== undefined) refuse(target, `an INSERT must give ${missing}`, `name ${missing} and give it as a literal or parameter`)
  const select = as('SelectStmt', insert.selectStmt)
  const rows = select?.valuesLists?.map((row) => as('List', row)?.items ?? []) ?? (select !== null && select.op === 'SETOP_NONE' ? [(select.targetList ?? []).map((node) => as('ResTarget', node)?.val)] : [])
  if (rows.length === 0) refuse(target, 'an INSERT must give values', `give ${[...filter.columns].join(', ')} as literals or parameters`)
  const stars = rows.some((row) => row.some((value) => kindOf(as('ColumnRef', value)?.fields?.at(-1)) === 'A_Star' || as('A_Indirection', value) !== null))
  if (stars) refuse(target, 'an INSERT must give its columns one by one', 'list the columns instead of *')
  for (const row of rows) checkRow(target, new Map([...filter.columns].map((name) => [name, row[columns.indexOf(name)]])), () => null)
}

/** ON CONFLICT DO UPDATE changes a row that is there: only one within the filter, and its filter columns stay. */
function replaces(target: Target, conflict: OnConflictClause): void {
  for (const node of conflict.targetList ?? []) {
    const to = as('ResTarget', node)
    const same = stringsOf(as('ColumnRef', to?.val)?.fields)?.join('.')
    if (target.filter.columns.has(to?.name ?? '') && (target.filter.columns.size > 1 || same !== `excluded.${to?.name}`)) refuse(target, `ON CONFLICT may not change ${to?.name}`, 'leave it out of SET')
  }
  if (conflict.whereClause !== undefined) refuse(target, 'ON CONFLICT with a WHERE of its own can\'t be kept within it', 'leave the WHERE out')
  const { work, filter, ranged } = target
  const splice = work.splice()
  const condition = filter.text((column) => `${quote(ranged.reference.alias)}.${quote(column)}`)
  splice.insertAfter(clauses(target, conflict.location ?? -1).end, ` WHERE ${condition}`)
  const expected = work.expect(`SELECT WHERE ${condition}`, whereOf)
  work.expected.set(conflict, (old, now, same) => {
    const { whereClause: made, ...rest } = now as Record<string, unknown>
    return same({ ...old as object }, rest) && same(expected, made)
  })
}
function setColumns(target: Target, list: readonly Node[] | undefined): void {
  const { filter, ranged } = target
  const given = new Map<string, Node | undefined>()
  for (const node of list ?? []) {
    const to: ResTarget | null = as('ResTarget', node)
    if (to !== null && filter.columns.has(to.name ?? '')) given.set(to.name!, to.indirection === undefined ? to.val : undefined)
  }
  if (given.size > 0) checkRow(target, given, (column) => `${quote(ranged.reference.alias)}.${quote(column)}`)
}

/** Puts the check around the first of the given values: one that leads out of the filter becomes an error of the server. */
function checkRow(target: Target, given: ReadonlyMap<string, Node | undefined>, other: (column: string) => string | null): void {
  const { work, masked, filter } = target
  const splice = work.splice()
  const sources = new Map<string, string>()
  let first: { first: number; end: number; node: Node; column: string } | null = null
  for (const [column, node] of given) {
    const place = node === undefined ? null : givenValue(node, work, true)
    if (node === undefined || place === null) return refuse(target, `the new ${column} must be one given value`, `give ${column} as a literal or parameter`)
    sources.set(column, splice.source(place.first, place.end))
    first ??= { first: place.first, end: place.end, node, column }
  }
  if (first === null) return
  const type = (name: string) => castType(masked.relation.columns.find((column) => column.name === name)!)
  const condition = filter.text((column) => sources.has(column) ? `(${sources.get(column)})::${type(column)}` : other(column) ?? 'NULL')
  const plain = wideType(type(first.column))
  const text = `CASE WHEN ${condition} THEN (${sources.get(first.column)})::${plain} ELSE pg_catalog.current_setting('${OUTSIDE}')::${plain} END`
  splice.replace(first.first, first.end, text)
  const expected = work.expect(`SELECT ${text}`, (made) => as('ResTarget', as('SelectStmt', made)?.targetList?.[0])?.val)
  work.expected.set(bodyIn(first.node), (_, now, same) => same(expected, now))
}
const bodyIn = (node: Node): object => (node as unknown as Record<string, object>)[kindOf(node)!]!
/** A type without its length: the column's own assignment says when a value is too long, a cast would cut it. */
export function wideType(type: string): string {
  const wide = type.replace(/\s*\(\d+(,\s*-?\d+)?\)/, '')
  return /^character(\[\])*$/.test(wide) ? wide.replace('character', 'pg_catalog.bpchar') : /^bit(\[\])*$/.test(wide) ? wide.replace('bit', 'bit varying') : wide
}

// ——— what takes whole tables ———

/** Statements that empty or drop a filtered table would reach every row of it. */
export function checkWholeTables(index: MaskIndex, work: Pick<Work, 'names'>, kind: string, body: object): void {
  const filtered = [...index.masked.values()].filter(({ filter }) => filter !== undefined)
  if (filtered.length === 0) return
  const no = (masked: Masked, what: string): never => refuse({ filter: masked.filter!, masked }, `${what} would reach all its rows`, 'DELETE the rows that are yours')
  if (kind === 'TruncateStmt') {
    if ((body as { behavior?: string }).behavior === 'DROP_CASCADE') no(filtered[0]!, 'TRUNCATE … CASCADE')
    for (const { reference } of work.names.ranges) if (reference.resolved.kind === 'relation') { const hit = index.masked.get(reference.resolved.relation.oid); if (hit?.filter !== undefined) no(hit, 'TRUNCATE') }
  }
  if (kind === 'DropOwnedStmt') no(filtered[0]!, 'DROP OWNED')
  if (kind === 'DropStmt') {
    const { objects, removeType, behavior } = body as { objects?: Node[]; removeType?: string; behavior?: string }
    if (/^OBJECT_(SCHEMA|EXTENSION|TYPE|DOMAIN)$/.test(removeType ?? '') && behavior === 'DROP_CASCADE') no(filtered[0]!, 'DROP … CASCADE')
    for (const object of objects ?? []) {
      const name = stringsOf(as('List', object)?.items)?.at(-1)
      const hit = filtered.find(({ relation }) => relation.name === name)
      if (hit !== undefined && /^OBJECT_(TABLE|FOREIGN_TABLE|VIEW|MATVIEW)$/.test(removeType ?? '')) no(hit, 'DROP')
    }
  }
}
