// Reading a masked relation: its place in the text becomes a subselect in which the masked columns are already hidden, so whatever the
// statement computes is computed on masks. Everything else of the text stays as the client wrote it.
import type { ColumnRef, Node, RangeTableSample, ResTarget, SelectStmt } from 'libpg-query'
import type { Masked } from './mask-index.ts'
import { label } from './mask-index.ts'
import { isText, maskExpression, quote, relationName } from './mask-expression.ts'
import { needsFence } from './filter-read.ts'
import { groupByKey } from './mask-group.ts'
import { lookups } from './lookup.ts'
import type { ShownOrigin } from './mask-origin.ts'
import { passedOf, type Read, tokenPasses } from './token-pass.ts'
import { isShown, type Named, noteHidden, noteWire, pathOf, type Ranged, Refusal, refsBelow, type Usage, usageOf, type Work } from './mask-work.ts'
import { as, kindOf, type Place, stringsOf, walk } from './walk.ts'

export function maskReads(work: Work, reads: readonly Read[], statement: Node, origins: readonly ShownOrigin[]): void {
  const readings = reads.map((read) => {
    const usage = usageOf(work.names, read, read.masked.relation)
    sameNames(work, read)
    if (work.names.writes.length > 0) writesRead(read, usage)
    for (const column of lookups(work, read, usage)) usage.columns.add(column)
    return { read, usage }
  })
  const tokens = tokenPasses(work, readings, statement, origins)
  work.passed.push(...passedOf(origins, tokens))
  for (const { read, usage } of readings) {
    joins(work, read, tokens.get(read) ?? NOTHING)
    const passes = new Set([...passing(work, read, usage, statement), ...tokens.get(read) ?? NOTHING])
    replace(work, read, usage, passes)
    qualifiedNames(work, read)
    wholeRows(work, read, usage)
    groupByKey(work, read, usage)
  }
}
const NOTHING: ReadonlySet<string> = new Set()

/** `SELECT list FROM ONLY schema.table`, with the columns that are used in the table's own order. */
export function subselect(work: Work, masked: Masked, usage: Pick<Usage, 'columns' | 'system' | 'by'>, only: boolean, sample: string, passes: ReadonlySet<string> = new Set()): string {
  const { relation, hidden } = masked
  const list: string[] = [...usage.system]
  for (const column of relation.columns) {
    if (!usage.columns.has(column.name)) continue
    const mask = hidden.get(column.name)
    if (mask !== undefined) noteHidden(work, relation, mask, !passes.has(column.name) && (usage.by.get(column.name) ?? []).some((named) => !isShown(named)))
    list.push(mask === undefined || passes.has(column.name) ? quote(column.name) : `${maskExpression(mask)} AS ${quote(column.name)}`)
  }
  return `SELECT ${list.join(', ')}${list.length > 0 ? ' ' : ''}FROM ${only ? 'ONLY ' : ''}${relationName(relation)}${sample}${filtered(work, masked)}`
}
function filtered(work: Work, { filter }: Masked): string {
  if (filter === undefined) return ''
  for (const rule of filter.rules) work.filters.add(rule)
  return ` WHERE ${filter.text(quote)}${needsFence(work.names) ? ' OFFSET 0' : ''}`
}

function replace(work: Work, read: Ranged & { readonly masked: Masked }, usage: Usage, passes: ReadonlySet<string>): void {
  const { node, place, reference } = read
  const splice = work.splice()
  if (usage.system.size > 0 && (usage.all || usage.whole)) {
    throw new Refusal('mask', `a system column of ${label(read.masked.relation)} is named beside all its columns`, 'name the columns instead of * and of the whole row')
  }
  let first = splice.at(node.location ?? 0)
  let end = splice.afterPath(first, 1 + (node.schemaname === undefined ? 0 : 1) + (node.catalogname === undefined ? 0 : 1))
  if (reference.only) {
    if (splice.word(first - 1) === '(' && splice.word(first - 2) === 'only') { first -= 2; end += 1 }
    else if (splice.word(first - 1) === 'only') first -= 1
    else throw new Refusal('mask', 'ONLY could not be placed', 'write ONLY before the table')
  }
  if (splice.word(end) === '*' ) end += 1
  const command = splice.word(first - 1) === 'table' && place.up?.kind === 'SelectStmt' && first - 1 >= 0 && isTableCommand(place.up.body)
  if (command) first -= 1
  let sample = ''
  const sampled = place.up?.kind === 'RangeTableSample' ? place.up.body as RangeTableSample : null
  if (sampled !== null) {
    const method = splice.at(sampled.location ?? -1)
    let after = splice.afterParenthesis(splice.afterPath(method, sampled.method?.length ?? 1))
    if (sampled.repeatable !== undefined) after = splice.afterParenthesis(after + 1)
    for (const argument of [...sampled.args ?? [], ...sampled.repeatable === undefined ? [] : [sampled.repeatable]]) {
      walk(argument, ({ kind }) => { if (kind === 'SubLink' || kind === 'FuncCall' || kind === 'ColumnRef') throw new Refusal('mask', 'TABLESAMPLE of a masked table takes literals and parameters only', 'write the percentage as a number') })
    }
    sample = ` TABLESAMPLE ${splice.source(method, after)}`
    end = after
  }
  const inner = subselect(work, read.masked, usage, reference.only, sample, passes)
  const names = stringsOf(node.alias?.colnames) ?? []
  const alias = ` AS ${quote(reference.alias)}${names.length > 0 ? ` (${names.map(quote).join(', ')})` : ''}`
  const written = sampled === null && node.alias !== undefined
  splice.replace(first, end, `${command ? 'SELECT * FROM ' : ''}(${inner})${written ? '' : alias}`)
  const expected = work.expect(`SELECT FROM (${inner})${alias}`, (made) => as('SelectStmt', made)?.fromClause?.[0])
  work.expected.set(sampled ?? node, (_, now, same) => same(expected, now))
}

function isTableCommand(select: SelectStmt): boolean {
  const only = as('ColumnRef', as('ResTarget', select.targetList?.[0])?.val)
  return only !== null && kindOf(only.fields?.[0]) === 'A_Star' && (only.location ?? -1) < 0
}

/** A subselect has its bare name only: another entry of that name in sight would take its place, or clash. */
function sameNames(work: Work, read: Ranged & { readonly masked: Masked }): void {
  const { reference, masked } = read
  if (reference.aliased) return
  const qualified = work.names.columns.some(({ path, star }) => path.length - (star ? 0 : 1) > 1 && path.at(star ? -1 : -2) === reference.alias)
  for (const other of work.names.ranges) {
    if (other.node === read.node || other.reference.alias !== reference.alias) continue
    const same = !other.reference.aliased && other.reference.resolved.kind === 'relation' && other.reference.resolved.relation.oid === masked.relation.oid
    if (same || (!qualified && other.query !== read.query)) continue
    throw new Refusal('mask', `${label(masked.relation)} stands beside another relation called ${reference.alias}`, 'give each an alias of its own')
  }
}

/** `public.customers.ssn` → `customers.ssn`. */
function qualifiedNames(work: Work, read: Ranged & { readonly masked: Masked }): void {
  const { reference, masked } = read
  if (reference.aliased) return
  for (const { ref, path, star } of work.names.columns) {
    const extra = path.length - (star ? 1 : 2)
    if (extra < 1 || path.at(star ? -1 : -2) !== reference.alias || path.at(star ? -2 : -3) !== masked.relation.schema || work.expected.has(ref)) continue
    const splice = work.splice()
    const first = splice.at(ref.location ?? 0)
    splice.replace(first, splice.afterPath(first, extra + 1), quote(reference.alias))
    work.expected.set(ref, (_, now, same) => same({ ColumnRef: { ...ref, fields: ref.fields?.slice(extra) } }, now))
  }
}

/** `SELECT c FROM customers c`: the row keeps the table's own type. A row that an outer join did not find stays NULL. */
function wholeRows(work: Work, read: Ranged & { readonly masked: Masked }, usage: Usage): void {
  if (!usage.whole || read.masked.relation.kind === 'v') return
  const { alias } = read.reference
  for (const { ref, path, star, place, query } of work.names.columns) {
    const target = place.up?.body as ResTarget | undefined
    if (star || path.length !== 1 || path[0] !== alias || query !== read.query || place.up?.kind !== 'ResTarget' || place.up.up?.kind !== 'SelectStmt' || place.up.field !== 'targetList') continue
    if (read.masked.relation.columns.some((column) => column.name === alias)) continue
    const row = quote(alias)
    const expression = `CASE WHEN NOT (${row} IS NULL) THEN ${row}::${relationName(read.masked.relation)} END`
    const splice = work.splice()
    const first = splice.at(ref.location ?? 0)
    const end = splice.afterName(first)
    splice.replace(first, end, expression)
    // Its name goes behind what the client put around it: `SELECT (c)`.
    let around = 0
    while (splice.word(first - 1 - around) === '(' && splice.word(end + around) === ')') around += 1
    if (target?.name === undefined) splice.insertAfter(end + around, ` AS ${row}`)
    const expected = work.expect(`SELECT ${expression} AS ${quote(target?.name ?? alias)}`, (made) => as('SelectStmt', made)?.targetList?.[0])
    work.expected.set(target!, (_, now, same) => same(expected, now))
  }
}

/** Operators that make a value and compare nothing. */
const COMPUTES = new Set(['||', '+', '-', '*', '/', '%', '^', '->', '->>', '#>', '#>>'])
/** Whether an expression decides which rows meet: it stands in WHERE or ON. */
function restricts(place: Place): boolean {
  let at = place
  while (at.up !== null && !(at.up.kind ?? '').endsWith('Stmt')) at = at.up
  return ['whereClause', 'fromClause', 'usingClause', 'joinCondition', 'sourceRelation'].includes(at.field)
}

/** Under a constant mask every row would meet every row: refused rather than answered with a cross product. */
function joins(work: Work, read: Read, passes: ReadonlySet<string>): void {
  const { masked, reference } = read
  const refuse = (column: string): never => {
    throw new Refusal(masked.hidden.get(column)!.rule, `${label(masked.relation)}.${column} is masked, so nothing can be joined by it`, 'join by a key that is not masked')
  }
  for (const name of work.names.using) if (masked.hidden.has(name)) refuse(name)
  const mine = (ref: ColumnRef): string | null => {
    const path = pathOf(ref)
    const name = path.at(-1)!
    return (path.length === 1 || path.at(-2) === reference.alias) && masked.relation.columns.some((column) => column.name === name) ? name : null
  }
  for (const { expression, place } of work.names.comparisons) {
    if (COMPUTES.has(stringsOf(expression.name)?.at(-1) ?? '') || !restricts(place)) continue
    const sides = [refsBelow(expression.lexpr), refsBelow(expression.rexpr)]
    for (const [side, other] of [[sides[0]!, sides[1]!], [sides[1]!, sides[0]!]]) {
      const column = side!.map(mine).find((name) => name !== null && masked.hidden.has(name) && !passes.has(name))
      if (typeof column === 'string' && other!.some((ref) => mine(ref) === null)) refuse(column)
    }
  }
}

function writesRead(read: Ranged & { readonly masked: Masked }, usage: Usage): void {
  const column = [...usage.columns].find((name) => read.masked.hidden.has(name))
  if (column === undefined) return
  throw new Refusal(read.masked.hidden.get(column)!.rule, `a write may not read ${label(read.masked.relation)}.${column}, which is masked`, 'name only columns that are not masked (not *)')
}

/** Hashed columns that go out as they are, to be hashed on the wire: shown once by the outermost SELECT and used for nothing else. */
function passing(work: Work, read: Ranged & { readonly masked: Masked }, usage: Usage, statement: Node): ReadonlySet<string> {
  const out = new Set<string>()
  const { relation, hidden } = read.masked
  const top = as('SelectStmt', statement)
  const plain = top !== null && /^[rpf]$/.test(relation.kind) && read.query === top && (work.wrapper === 'none' || work.wrapper === 'cursor') && !usage.whole && top.op === 'SETOP_NONE' && work.names.selects.length === 1
    && top.distinctClause === undefined && top.groupClause === undefined && top.havingClause === undefined && top.windowClause === undefined && top.intoClause === undefined
    && work.names.joins.length === 0 && (read.node.alias?.colnames ?? []).length === 0 && work.names.writes.length === 0
  if (!plain) return out
  const sorted = (top.sortClause ?? []).map((item) => as('SortBy', item)?.node)
  if (sorted.some((node) => as('ColumnRef', node) === null)) return out
  const sortNames = new Set(sorted.map((node) => pathOf(as('ColumnRef', node)!).at(-1)))
  const outputs = (named: Named) => (named.place.up?.body as ResTarget).name ?? named.path.at(-1)
  for (const mask of hidden.values()) {
    const name = mask.column.name
    const uses = usage.by.get(name) ?? []
    if (mask.with !== 'hash' || !usage.columns.has(name) || !isText(mask.column) || sortNames.has(name)) continue
    if (uses.some((named) => !isShown(named) || named.query !== top || sortNames.has(outputs(named)))) continue
    out.add(name)
    noteWire(work, relation, mask)
  }
  return out
}

/** A mask of a table's own columns for COPY table TO: what COPY itself would take. */
export function copyTable(work: Work, read: Ranged & { readonly masked: Masked }, attributes: readonly Node[] | undefined): void {
  const { relation } = read.masked
  if (relation.kind !== 'r') throw new Refusal('mask', `${label(relation)} is no plain table`, 'use COPY (SELECT …) TO')
  const named = stringsOf(attributes)
  const columns = new Set(attributes === undefined ? relation.columns.filter((column) => column.generated === '').map((column) => column.name) : named ?? [])
  const splice = work.splice()
  const first = splice.at(read.node.location ?? 0)
  let end = splice.afterPath(first, 1 + (read.node.schemaname === undefined ? 0 : 1) + (read.node.catalogname === undefined ? 0 : 1))
  if (attributes !== undefined) end = splice.afterParenthesis(end)
  // In the order that COPY was asked for, and without children: COPY of a table takes its own rows only.
  const order = named === null || attributes === undefined ? relation.columns : named.map((name) => relation.columns.find((column) => column.name === name))
  if (order.some((column) => column === undefined)) throw new Refusal('mask', `a column of COPY is not one of ${label(relation)}`, 'name columns of the table')
  const passes = new Set<string>()
  for (const [index, column] of order.filter((one) => columns.has(one!.name)).entries()) {
    const hidden = read.masked.hidden.get(column!.name)
    if (hidden?.with !== 'token' || !work.single || work.tokens?.has(column!) !== true) continue
    passes.add(column!.name)
    noteWire(work, relation, hidden)
    work.passed.push({ index, relation: relation.oid, number: column!.number, type: column!.type, typmod: column!.typmod })
  }
  const inner = subselect(work, { ...read.masked, relation: { ...relation, columns: order.map((column) => column!) } }, { columns, system: new Set(), by: new Map() }, true, '', passes)
  splice.replace(first, end, `(${inner})`)
  const expected = work.expect(inner, (made) => made)
  work.expected.set(read.place.up!.body, (old, now, same) => {
    const { relation: _, attlist: __, ...rest } = (old as { CopyStmt: Record<string, unknown> }).CopyStmt
    return same({ CopyStmt: { ...rest, query: expected } }, now)
  })
}
