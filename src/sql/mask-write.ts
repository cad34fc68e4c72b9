// Writes on relations with masked columns. They pass as the client wrote them, because they must meet the real rows; so they may not read,
// compare or return a masked column in any way but plainly in RETURNING, which the wire masks, and may not store what a mask shows.
import type { InsertStmt, MergeStmt, Node, OnConflictClause, RangeVar, ResTarget, ReturningClause, UpdateStmt } from 'libpg-query'
import { filterWrite } from './filter-write.ts'
import { isMaskText, shows } from './mask-expression.ts'
import type { Hidden, Masked } from './mask-index.ts'
import { label } from './mask-index.ts'
import { maskedOf, noteWire, pathOf, type Ranged, Refusal, refsBelow, type Work } from './mask-work.ts'
import { turnCondition, turnStored } from './token-turn.ts'
import { as, kindOf, type Place, walk, walkBody } from './walk.ts'

interface Target { readonly work: Work; readonly masked: Masked; readonly ranged: Ranged; /** References that were turned into look-ups by a token. */ readonly turned: ReadonlySet<object>; readonly names: ReadonlySet<string>; readonly top: boolean }
type WriteStmt = { relation?: RangeVar; returningClause?: ReturningClause }

export function maskWrite(work: Work, place: Place, top: boolean): void {
  const body = place.body as WriteStmt
  const ranged = work.names.ranges.find((one) => one.node === body.relation)
  if (ranged === undefined) throw new Refusal('mask', 'the target of a write could not be told', 'name it with its schema')
  const insert = place.kind === 'InsertStmt' ? place.body as InsertStmt : null
  const masked = maskedOf(work, ranged, insert === null || insert.onConflictClause !== undefined || insert.returningClause !== undefined)
  if (masked !== null && masked.filter !== undefined) filterWrite(work, place, ranged, masked)
  if (masked === null) {
    const { resolved } = ranged.reference
    if (resolved.kind !== 'relation') return
    if (work.index.clear.has(resolved.relation.oid)) throw new Refusal('mask', `${label(resolved.relation)} is a view over a table with masked columns`, 'write to the table itself')
    for (const reached of work.index.stirs.get(resolved.relation.oid) ?? []) work.touched.add(reached)
    return
  }
  if (masked.relation.kind === 'v' || masked.relation.kind === 'm') throw new Refusal('mask', `${label(masked.relation)} is a view over masked columns`, 'write to the table itself')
  if (masked.relation.rules) throw new Refusal('mask', `${label(masked.relation)} has rules that a write would run on masked values`, 'write to a table without rules')
  if (masked.hidden.size === 0) return
  const turned = place.kind === 'UpdateStmt' || place.kind === 'DeleteStmt' ? turnCondition(work, ranged, masked, (place.body as { whereClause?: Node }).whereClause) : new Set<object>()
  const target: Target = { work, masked, ranged, turned, names: rowNames(ranged, body.returningClause), top }
  if (insert !== null) checkInsert(target, insert)
  else {
    checkUnread(target, place.body, 'returningClause')
    if (place.kind === 'UpdateStmt') checkStored(target, (place.body as UpdateStmt).targetList, ranged.reference.alias)
    if (place.kind === 'MergeStmt') checkMerge(target, place.body)
  }
  checkReturning(target, body.returningClause)
}

/** The names under which the target's row can be used. */
function rowNames(ranged: Ranged, returning: ReturningClause | undefined): Set<string> {
  const names = new Set([ranged.reference.alias, 'old', 'new'])
  for (const option of returning?.options ?? []) { const value = as('ReturningOption', option)?.value; if (value !== undefined) names.add(value) }
  return names
}

function refuseRead({ masked }: Target, column: string | null, reviewable = false): never {
  const hidden = column === null ? undefined : masked.hidden.get(column)
  throw new Refusal(hidden?.rule ?? 'mask', column === null ? `a write may not read whole rows of ${label(masked.relation)}, which has masked columns` : `a write may not read or compare ${label(masked.relation)}.${column}, which is masked`,
    'say which rows by columns that are not masked', reviewable)
}

/** What a reference reads of the target, at worst: a masked column, `row`, or nothing. */
function reads(target: Target, path: readonly string[]): string | 'row' | null {
  const { masked, names } = target
  const name = path.at(-1)!
  const known = masked.relation.columns.some((column) => column.name === name)
  if (path.length === 1) return masked.hidden.has(name) ? name : names.has(name) && !known ? 'row' : null
  const qualifier = path.at(-2)!
  if (!names.has(qualifier) && qualifier !== masked.relation.name) return null
  if (name === '*') return 'row'
  return masked.hidden.has(name) ? name : known || SYSTEM.has(name) ? null : 'row'
}
const SYSTEM = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid'])

function checkUnread(target: Target, body: object, except: string): void {
  for (const [field, value] of Object.entries(body)) {
    if (field === except || typeof value !== 'object' || value === null) continue
    const reviewable = (field === 'whereClause' || field === 'joinCondition') && target.work.wrapper === 'none'
    if (reviewable && target.work.reviewed) continue
    for (const node of Array.isArray(value) ? value as Node[] : [value as Node]) {
      const visit = (place: Place): void => {
        if (place.kind !== 'ColumnRef' || target.turned.has(place.body)) return
        const found = reads(target, pathOf(place.body))
        if (found !== null && !ownValue(place, target)) refuseRead(target, found === 'row' ? null : found, reviewable)
      }
      if (kindOf(node) !== null) walk(node, visit)
      else if (field === 'withClause') walkBody('WithClause', node, visit)
      else if (field === 'onConflictClause') walkBody('OnConflictClause', node, visit)
    }
  }
}
/** `SET ssn = EXCLUDED.ssn`: the client's own value, to the place it was given for. */
function ownValue(place: Place, { masked }: Target): boolean {
  const path = pathOf(place.body)
  const to = place.up?.kind === 'ResTarget' ? (place.up.body as ResTarget).name : undefined
  return path.length === 2 && path[0] === 'excluded' && to !== undefined && masked.hidden.has(to) && path[1] === to
}

function checkInsert(target: Target, insert: InsertStmt): void {
  const { masked, work, ranged } = target
  const conflict = insert.onConflictClause
  if (conflict !== undefined) {
    const excluding: Target = { ...target, names: new Set([...target.names, 'excluded']) }
    checkUnread(excluding, { onConflictClause: conflict }, '')
    checkArbiter(target, conflict)
    checkStored(target, conflict.targetList, ranged.reference.alias)
  }
  const columns = insert.cols === undefined ? masked.relation.columns.map((column) => column.name) : insert.cols.map((node) => as('ResTarget', node)?.name ?? '')
  const replaces = new Set((conflict?.targetList ?? []).map((node) => as('ResTarget', node)?.name ?? ''))
  const select = as('SelectStmt', insert.selectStmt)
  const rows = select?.valuesLists?.map((row) => as('List', row)?.items ?? []) ?? [(select?.targetList ?? []).map((node) => as('ResTarget', node)?.val)]
  for (const row of rows) {
    row.forEach((value, index) => {
      const hidden = masked.hidden.get(columns[index] ?? '')
      if (hidden !== undefined && value !== undefined && !turnStored(work, masked, hidden, value, null)) checkValue(work, masked, hidden, value, replaces.has(hidden.column.name))
    })
  }
}

function checkArbiter({ masked }: Target, conflict: OnConflictClause): void {
  const named = (conflict.infer?.indexElems ?? []).map((node) => as('IndexElem', node)?.name)
  const unique = masked.relation.uniqueKeys.some((key) => key.some((number) => [...masked.hidden.values()].some((hidden) => hidden.column.number === number)))
  const hits = conflict.infer === undefined || conflict.infer.conname !== undefined || named.length === 0 ? unique : named.some((name) => name === undefined || masked.hidden.has(name))
  if (hits) throw new Refusal('mask', `ON CONFLICT would compare a masked column of ${label(masked.relation)}`, 'name a key that is not masked: ON CONFLICT (id)')
}

function checkMerge(target: Target, merge: MergeStmt): void {
  for (const clause of merge.mergeWhenClauses ?? []) {
    const when = as('MergeWhenClause', clause)
    if (when === null) continue
    if (when.commandType === 'CMD_INSERT') {
      const columns = when.targetList === undefined ? target.masked.relation.columns.map((column) => column.name) : when.targetList.map((node) => as('ResTarget', node)?.name ?? '')
      when.values?.forEach((value, index) => {
        const hidden = target.masked.hidden.get(columns[index] ?? '')
        if (hidden !== undefined) checkValue(target.work, target.masked, hidden, value, false)
      })
    } else checkStored(target, when.targetList, null)
  }
}

/** `row`: the name of the row as it was; null where it can't be kept. */
function checkStored({ masked, work }: Target, list: readonly Node[] | undefined, row: string | null): void {
  for (const node of list ?? []) {
    const to = as('ResTarget', node)
    const hidden = masked.hidden.get(to?.name ?? '')
    if (to?.val === undefined || hidden === undefined) continue
    const multiple = as('MultiAssignRef', to.val)
    const value = multiple === null ? to.val : as('RowExpr', multiple.source)?.args?.[(multiple.colno ?? 1) - 1] ?? multiple.source
    if (value !== undefined && !(row !== null && multiple === null && to.indirection === undefined && turnStored(work, masked, hidden, value, row))) checkValue(work, masked, hidden, value, true)
  }
}

/** Refuses a literal that is what the mask shows, and hands over parameters to be looked at when they are known. */
function checkValue(work: Work, masked: Masked, hidden: Hidden, value: Node, replaces: boolean): void {
  const nullRefused = replaces && shows(hidden) === 'null'
  const column = `${label(masked.relation)}.${hidden.column.name}`
  walk(value, ({ kind, body, up }) => {
    if (kind === 'ParamRef') work.stored.push({ parameter: (body as { number?: number }).number ?? 0, hidden, nullRefused, column })
    if (kind !== 'A_Const') return
    const constant = body as { isnull?: boolean; sval?: { sval?: string } }
    const text = constant.sval?.sval
    if ((text !== undefined && isMaskText(hidden, text)) || (constant.isnull === true && nullRefused && (up === null || up.kind === 'TypeCast'))) {
      throw new Refusal(hidden.rule, `this would store the mask itself in ${column}`, 'leave masked columns out of the write, or give a real value')
    }
  })
}
/** Whether a parameter's value (text, or null for NULL) is what the mask shows: the run is refused then. */
export function storesMask({ hidden, nullRefused }: { readonly hidden: Hidden; readonly nullRefused: boolean }, value: string | null): boolean {
  return value === null ? nullRefused : isMaskText(hidden, value)
}

function checkReturning(target: Target, clause: ReturningClause | undefined): void {
  const { work, masked } = target
  for (const node of clause?.exprs ?? []) {
    const ref = as('ColumnRef', as('ResTarget', node)?.val)
    const path = ref === null ? [] : pathOf(ref)
    const star = path.at(-1) === '*'
    const mine = star && (path.length === 1 || reads(target, path) === 'row')
    const found = star ? null : ref === null ? null : reads(target, path)
    if (mine || (found !== null && found !== 'row')) {
      if (!target.top || work.wrapper === 'copy' || work.wrapper === 'create') refuseRead(target, found === 'row' ? null : found)
      for (const hidden of masked.hidden.values()) if (mine || hidden.column.name === found) noteWire(work, masked.relation, hidden)
      continue
    }
    if (star) continue
    for (const inner of refsBelow(node)) {
      const used = reads(target, pathOf(inner))
      if (used !== null) refuseRead(target, used === 'row' ? null : used)
    }
  }
}
