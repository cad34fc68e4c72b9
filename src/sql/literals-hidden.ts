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
    if (kind === 'CopyStmt' || kind === 'DoStmt' || kind === 'CreateFunctionStmt' || kind === 'ExecuteStmt' || kind === 'CallStmt') return null
    let plain = true
    walk(node, (place) => {
      if (place.kind !== 'A_Const') return
      const { location } = place.body as { location?: number }
      const about = concerns(place, names, node)
      if (about === null) plain = false
      else if (about) found.add(location ?? 0)
    })
    if (!plain) return null
  }
  return found
}

/** Climbs to what the literal is written to or stands beside. */
function concerns(place: Place, names: ReadonlySet<string>, statement: Node): boolean | null {
  for (let at: Place | null = place.up; at !== null; at = at.up) {
    if (at.kind === 'A_Expr' || at.kind === 'FuncCall' || at.kind === 'CaseExpr' || at.kind === 'CoalesceExpr' || at.kind === 'RowExpr') {
      if (namesIn({ [at.kind]: at.body } as unknown as Node, names)) return true
      continue
    }
    if (at.kind === 'ResTarget') {
      const { name } = at.body as { name?: string }
      if (name !== undefined && names.has(name)) return true
      if (at.up?.kind === 'UpdateStmt' || at.up?.kind === 'OnConflictClause') return false
    }
    if (at.kind === 'InsertStmt') return insertsInto(at, place, names)
    if (at.kind === 'SelectStmt' && at.up?.kind !== 'InsertStmt') return false
  }
  return as('InsertStmt', statement) === null ? false : null
}

/** By position of the value in its row and of the column in the list; without a list every value may be one. */
function insertsInto(insert: Place, literal: Place, names: ReadonlySet<string>): boolean {
  const { cols } = insert.body as { cols?: Node[] }
  if (cols === undefined) return true
  const hidden = cols.map((node) => names.has(as('ResTarget', node)?.name ?? ''))
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
function namesIn(node: Node, names: ReadonlySet<string>): boolean {
  let hit = false
  walk(node, (place) => {
    if (place.kind !== 'ColumnRef') return
    const fields = (place.body as { fields?: Node[] }).fields ?? []
    const last = fields.at(-1)
    if (as('A_Star', last) !== null || names.has(stringOf(last) ?? stringsOf(fields)?.at(-1) ?? '')) hit = true
  })
  return hit
}
