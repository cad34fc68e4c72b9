// Which literals of a statement are, or may be, values of masked columns: written to one, compared with one, or computed beside one. Only
// those are hidden in the record and from reviewers, who must read the rest. In doubt a literal counts.
import type { Node } from 'libpg-query'
import type { Catalog } from './catalog.ts'
import { maskIndex, type MaskOf } from './mask-index.ts'
import type { StatementReading } from './reading.ts'
import { as, type Place, stringOf, stringsOf, walk } from './walk.ts'

/** Byte positions where such literals begin; null: which ones can't be told. */
export function hiddenLiterals(readings: readonly StatementReading[], catalog: Catalog, masked: MaskOf, touched: readonly string[]): ReadonlySet<number> | null {
  const names = new Set<string>()
  for (const { relation, hidden } of maskIndex(catalog, masked).masked.values()) if (touched.includes(`${relation.schema}.${relation.name}`)) for (const name of hidden.keys()) names.add(name)
  const found = new Set<number>()
  for (const { node, kind } of readings) {
    const known = namesOf(node, names)
    if (kind === 'CopyStmt' || kind === 'DoStmt' || kind === 'CreateFunctionStmt' || kind === 'ExecuteStmt' || kind === 'CallStmt') return null
    let plain = true
    walk(node, (place) => {
      if (place.kind !== 'A_Const') return
      const { location } = place.body as { location?: number }
      const about = concerns(place, known, node)
      if (about === null) plain = false
      else if (about) found.add(location ?? 0)
    })
    if (!plain) return null
  }
  return found
}

/** Names under which masked columns go in this statement: their own, what they or what is made of them are called, and whole rows. */
interface Names { readonly columns: ReadonlySet<string>; readonly rows: ReadonlySet<string> }
function namesOf(statement: Node, masked: ReadonlySet<string>): Names {
  const columns = new Set(masked), rows = new Set<string>()
  walk(statement, ({ kind, body }) => {
    if (kind === 'RangeVar') { const { relname, alias } = body as { relname?: string; alias?: { aliasname?: string } }; rows.add(alias?.aliasname ?? relname ?? '') }
    if (kind === 'CommonTableExpr') rows.add((body as { ctename?: string }).ctename ?? '')
    if (kind === 'Alias') rows.add((body as { aliasname?: string }).aliasname ?? '')
    // What a list calls the columns of something may be any of them.
    const lists = kind === 'Alias' ? (body as { colnames?: Node[] }).colnames : kind === 'CommonTableExpr' ? (body as { aliascolnames?: Node[] }).aliascolnames : undefined
    for (const name of stringsOf(lists) ?? []) columns.add(name)
  })
  for (let before = -1; before !== columns.size;) {
    before = columns.size
    walk(statement, ({ kind, body }) => {
      const { name, val } = body as { name?: string; val?: Node }
      if (kind === 'ResTarget' && name !== undefined && val !== undefined && namesIn(val, { columns, rows })) columns.add(name)
    })
  }
  return { columns, rows }
}

/** Climbs to what the literal is written to or stands beside. */
function concerns(place: Place, names: Names, statement: Node): boolean | null {
  let below = place
  for (let at: Place | null = place.up; at !== null; below = at, at = at.up) {
    if (at.kind === 'A_Expr' || at.kind === 'FuncCall' || at.kind === 'CaseExpr' || at.kind === 'CoalesceExpr' || at.kind === 'RowExpr') {
      if (namesIn({ [at.kind]: at.body } as unknown as Node, names)) return true
      continue
    }
    if (at.kind === 'ResTarget') {
      const { name } = at.body as { name?: string }
      if (name !== undefined && at.field !== 'targetList' && names.columns.has(name)) return true
      if (name !== undefined && at.up?.kind !== 'SelectStmt' && names.columns.has(name)) return true
      if (at.up?.kind === 'UpdateStmt' || at.up?.kind === 'OnConflictClause') return false
    }
    if (at.kind === 'InsertStmt') return insertsInto(at, place, names)
    // A value that a query inside of another gives may meet a masked column there: in a set operation, IN (VALUES …), a join.
    if (at.kind === 'SelectStmt' && at.up?.kind !== 'InsertStmt') return (below.field === 'targetList' || below.field === 'valuesLists') && INSIDE.has(at.up?.kind ?? '') && namesIn(statement, names)
  }
  return as('InsertStmt', statement) === null ? false : null
}

/** By position of the value in its row and of the column in the list; without a list every value may be one. */
const INSIDE = new Set<string>(['SelectStmt', 'SubLink', 'RangeSubselect', 'CommonTableExpr'])
function insertsInto(insert: Place, literal: Place, names: Names): boolean {
  const { cols } = insert.body as { cols?: Node[] }
  if (cols === undefined) return true
  const hidden = cols.map((node) => names.columns.has(as('ResTarget', node)?.name ?? ''))
  if (!hidden.includes(true)) return false
  const values = (insert.body as { selectStmt?: Node }).selectStmt
  const rows = as('SelectStmt', values)?.valuesLists
  if (rows === undefined) return true
  for (const row of rows) {
    const items = as('List', row)?.items ?? []
    for (const [i, item] of items.entries()) if (hidden[i] === true && holds(item, literal.body)) return true
  }
  return false
}
function holds(node: Node, body: object): boolean {
  let hit = false
  walk(node, (place) => { if (place.body === body) hit = true })
  return hit
}
function namesIn(node: Node, { columns, rows }: Names): boolean {
  let hit = false
  walk(node, (place) => {
    // (row).column
    if (place.kind === 'A_Indirection') for (const step of (place.body as { indirection?: Node[] }).indirection ?? []) if (as('A_Star', step) !== null || columns.has(stringOf(step) ?? '')) hit = true
    if (place.kind !== 'ColumnRef') return
    const fields = (place.body as { fields?: Node[] }).fields ?? []
    const last = fields.at(-1)
    const name = stringOf(last)
    if (as('A_Star', last) !== null || (name !== null && (columns.has(name) || rows.has(name)))) hit = true
  })
  return hit
}
