// Columns masked by `token` whose values may leave the server as they are, for the wire to make tokens of: only where a statement shows them,
// groups by them, joins them to one another, counts them or asks whether they are NULL, which their tokens would answer alike. One other
// use of such a column, and all uses of it see the mask.
import type { ColumnRef, Node, SelectStmt } from 'libpg-query'
import type { Column } from './catalog.ts'
import type { Masked } from './mask-index.ts'
import type { ShownOrigin } from './mask-origin.ts'
import { isShown, type Named, noteWire, type Passed, pathOf, type Ranged, type Usage, type Work } from './mask-work.ts'
import { as, type Place, stringsOf } from './walk.ts'

export type Read = Ranged & { readonly masked: Masked }
export interface Reading { readonly read: Read; readonly usage: Usage }
type Passes = ReadonlyMap<Read, ReadonlySet<string>>
const NONE: Passes = new Map()

export function tokenPasses(work: Work, readings: readonly Reading[], statement: Node, origins: readonly ShownOrigin[]): Passes {
  const top = as('SelectStmt', statement)
  if (work.tokens === null || top === null || !isPlain(work, top)) return NONE
  const out = new Map<Read, Set<string>>()
  for (const { read, usage } of readings) {
    if (read.query !== top || usage.whole || !/^[rpfvm]$/.test(read.masked.relation.kind) || (read.node.alias?.colnames ?? []).length > 0) continue
    const columns = new Set<string>()
    for (const { column, constant, with: kind } of read.masked.hidden.values()) {
      if (kind === 'token' && constant !== true && usage.columns.has(column.name) && work.tokens.has(column) && isPlaced(read, readings, column, top, work, origins)) columns.add(column.name)
    }
    out.set(read, columns)
  }
  // A join needs both sides: what falls out takes its partners along.
  for (let fell = true; fell;) {
    fell = false
    for (const { read, usage } of readings) {
      for (const name of [...out.get(read) ?? []]) {
        const twin = readings.find((one) => one.read !== read && one.read.masked.relation.oid === read.masked.relation.oid && one.usage.columns.has(name) && out.get(one.read)?.has(name) !== true)
        if (twin === undefined && (usage.by.get(name) ?? []).every((named) => isPure(named, top, out, read, name, work))) continue
        out.get(read)!.delete(name)
        fell = true
      }
    }
  }
  for (const [read, columns] of out) for (const name of columns) noteWire(work, read.masked.relation, read.masked.hidden.get(name)!)
  const passes = [...out.values()].some((columns) => columns.size > 0)
  return passes && !shuffle(work, top) ? drop(work, out) : out
}

function drop(work: Work, out: Passes): Passes {
  for (const [read, columns] of out) for (const name of columns) work.wire.delete(`${read.masked.relation.oid}.${read.masked.hidden.get(name)!.column.number}`)
  return NONE
}

function isPlain(work: Work, top: SelectStmt): boolean {
  return work.single && (work.wrapper === 'none' || work.wrapper === 'cursor' || work.wrapper === 'copy') && top.op === 'SETOP_NONE' && top.valuesLists === undefined && top.intoClause === undefined && work.names.writes.length === 0
    && work.names.using.size === 0 && work.names.joins.every((join) => join.isNatural !== true && join.alias === undefined && join.join_using_alias === undefined)
}

/** Whether every place of the answer that shows it can be counted, and none of them is sorted by. */
function isPlaced(read: Read, readings: readonly Reading[], column: Column, top: SelectStmt, work: Work, origins: readonly ShownOrigin[]): boolean {
  const stars = work.names.columns.filter(({ star, path, query, place }) => star && (path.length === 0 ? query === top : path.at(-1) === read.reference.alias) && (place.up?.kind !== 'ResTarget' || place.up.up?.body !== top || place.up.field !== 'targetList'))
  if (stars.length > 0) return false
  const shownOf = ({ usage }: Reading) => (usage.by.get(column.name) ?? []).filter((named) => isShown(named) && named.query === top)
  const starredOf = (one: Read) => (top.targetList ?? []).filter((node) => { const path = starOf(node); return path !== null && (path.length === 1 || path.at(-2) === one.reference.alias) })
  // A table may stand here more than once.
  const twins = readings.filter((one) => one.read.masked.relation.oid === read.masked.relation.oid && one.read.query === top)
  const expected = twins.reduce((sum, twin) => sum + shownOf(twin).length + starredOf(twin.read).length, 0)
  if (origins.filter((one) => one.relation === read.masked.relation.oid && one.number === column.number).length !== expected) return false
  const shown = twins.flatMap(shownOf), starred = twins.flatMap((twin) => starredOf(twin.read))
  const outputs = new Set(shown.map((named) => (named.place.up?.body as { name?: string }).name ?? column.name))
  if (starred.length > 0) outputs.add(column.name)
  return (top.sortClause ?? []).every((item) => {
    const node = as('SortBy', item)?.node
    const path = as('ColumnRef', node)
    if (path !== null) return !(pathOf(path).length === 1 && outputs.has(pathOf(path)[0]!))
    const ordinal = as('A_Const', node)?.ival?.ival
    if (as('A_Const', node) === null) return true
    return starred.length === 0 && (top.targetList ?? []).every((target) => starOf(target) === null) && ordinal !== undefined && !shown.some((named) => named.ref === as('ColumnRef', as('ResTarget', top.targetList?.[ordinal - 1])?.val))
  })
}
function starOf(node: Node): string[] | null {
  const ref = as('ColumnRef', as('ResTarget', node)?.val)
  const path = ref === null ? [] : pathOf(ref)
  return path.at(-1) === '*' ? path : null
}

function isPure(named: Named, top: SelectStmt, passes: Passes, read: Read, name: string, work: Work): boolean {
  const { place, ref } = named
  if (named.query !== top) return false
  if (isShown(named)) return true
  const up = place.up
  if (up?.body === top && place.field === 'groupClause') return true
  if (up?.kind === 'NullTest') return true
  if (up?.kind === 'FuncCall') {
    const call = up.body as { funcname?: Node[]; args?: Node[]; over?: object; agg_order?: Node[]; agg_filter?: Node }
    const path = stringsOf(call.funcname) ?? []
    return place.field === 'args' && call.args?.length === 1 && call.over === undefined && call.agg_order === undefined && (path.join('.') === 'count' || path.join('.') === 'pg_catalog.count') && (work.routines.get('count') ?? []).length === 0
  }
  if (up?.kind !== 'A_Expr' || !isCondition(up, top)) return false
  const { kind, name: operator, lexpr, rexpr } = up.body as { kind?: string; name?: Node[]; lexpr?: Node; rexpr?: Node }
  if (kind !== 'AEXPR_OP' || stringsOf(operator)?.join('.') !== '=') return false
  const other = as('ColumnRef', lexpr) === ref ? as('ColumnRef', rexpr) : as('ColumnRef', lexpr)
  return other !== null && partnerOf(other, passes, work, read.masked.hidden.get(name)!.column)
}
/** Whether a reference is for certain a passing column whose tokens are made alike. */
function partnerOf(ref: ColumnRef, passes: Passes, work: Work, column: Column): boolean {
  const use = work.uses.get(ref)
  if (use === undefined || !use.certain || use.kind !== 'column' || use.targets.length !== 1) return false
  const read = [...passes.keys()].find((one) => one.node === use.targets[0]!.reference.node)
  const name = pathOf(ref).at(-1)!
  return read !== undefined && passes.get(read)!.has(name) && work.tokens!.alike(column, read.masked.hidden.get(name)!.column)
}
/** A term of WHERE or of a join's ON, beside others by AND. */
function isCondition(place: Place, top: SelectStmt): boolean {
  let at: Place | null = place
  while (at !== null && at.up !== null && at.up.kind === 'BoolExpr' && (at.up.body as { boolop?: string }).boolop === 'AND_EXPR') at = at.up
  return at !== null && ((at.field === 'whereClause' && at.up?.body === top) || (at.field === 'quals' && at.up?.kind === 'JoinExpr'))
}

// ——— the order of groups ———

const RANDOM = 'pg_catalog.random()'
/** The server finds groups by sorting values: their order would tell the values' own. False when that can't be helped here. */
function shuffle(work: Work, top: SelectStmt): boolean {
  const distinct = top.distinctClause !== undefined
  if (top.groupClause === undefined && !distinct) return true
  if (distinct && top.distinctClause!.some((node) => Object.keys(node).length > 0)) return false
  const limited = top.limitCount !== undefined || top.limitOffset !== undefined
  const splice = work.splice()
  if (top.sortClause !== undefined) {
    if (distinct || work.expected.has(top) || top.limitOption === 'LIMIT_OPTION_WITH_TIES') return false
    let at = splice.tokens.length, depth = 0
    const locations: number[] = []
    const find = (value: unknown): void => { if (typeof value === 'object' && value !== null) for (const [key, inner] of Object.entries(value)) { if (key === 'location' && typeof inner === 'number' && inner >= 0) locations.push(inner); else find(inner) } }
    find(top.sortClause)
    let by = splice.at(Math.min(...locations))
    while (by > 0 && !(splice.word(by) === 'by' && splice.word(by - 1) === 'order')) by -= 1
    for (at = by + 1; at < splice.tokens.length; at += 1) {
      const word = splice.word(at)
      if (word === '(' || word === '[') depth += 1
      else if (word === ')' || word === ']') { if (depth === 0) break; depth -= 1 }
      else if (depth === 0 && (word === ';' || word === 'limit' || word === 'offset' || word === 'fetch' || word === 'for')) break
    }
    splice.insertAfter(at, `, ${RANDOM}`)
    const added = work.expect(`SELECT ORDER BY ${RANDOM}`, (made) => as('SelectStmt', made)?.sortClause?.[0])
    work.expected.set(top, (old, now, same) => {
      const [was, is] = [(old as { SelectStmt: SelectStmt }).SelectStmt, as('SelectStmt', now as Node)]
      if (is === null) return false
      const { sortClause: asked, ...others } = was
      const { sortClause: made, ...rest } = is
      return same(others, rest) && made?.length === (asked?.length ?? 0) + 1 && same(asked, made.slice(0, -1)) && same(added, made.at(-1))
    })
    return true
  }
  if (limited || top.lockingClause !== undefined || work.wrapper !== 'none' || !work.single || work.expected.has(top)) return false
  const last = splice.tokens.findLastIndex((token) => token.text !== ';')
  const [before, after] = ['SELECT * FROM (', `) AS "sluice" ORDER BY ${RANDOM}`]
  splice.edits.push({ at: splice.tokens[0]!.start, length: 0, with: before })
  splice.insertAfter(last + 1, after)
  const model = work.expect(`${before}SELECT${after}`, (made) => made) as { SelectStmt: SelectStmt }
  work.expected.set(top, (old, now, same) => {
    const [around, made] = [model.SelectStmt, as('SelectStmt', now as Node)]
    const inner = as('RangeSubselect', made?.fromClause?.[0])
    if (made === null || inner === null) return false
    const { fromClause: _, ...rest } = made
    const { fromClause: place, ...expected } = around
    return same(expected, rest) && made.fromClause?.length === 1 && same({ ...as('RangeSubselect', place?.[0]), subquery: {} }, { ...inner, subquery: {} })
      && same({ SelectStmt: { ...(old as { SelectStmt: SelectStmt }).SelectStmt } }, inner.subquery)
  })
  return true
}

/** Where the passing columns stand in the answer, with what the wire needs to make their tokens. */
export function passedOf(origins: readonly ShownOrigin[], passes: Passes): Passed[] {
  return origins.flatMap((origin) => {
    for (const [read, columns] of passes) {
      const column = read.masked.relation.oid === origin.relation ? read.masked.relation.columns.find((one) => one.number === origin.number) : undefined
      if (column !== undefined && columns.has(column.name)) return [{ ...origin, type: column.type, typmod: column.typmod }]
    }
    return []
  })
}
