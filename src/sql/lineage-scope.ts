// Names in sight while lineage is followed, level by level, as the server's parser looks them up. A name that could be several columns is all
// of them; one that is none is not followed.
import { type Flow, merge, Unfollowed } from './flow.ts'
import { SYSTEM_COLUMNS } from './scope.ts'

export interface Entry {
  /** Null for a join or subselect without a name. */
  readonly name: string | null
  readonly columns: readonly { readonly name: string; readonly flow: Flow }[]
  /** Of columns whose names are not known. */
  readonly open: Flow | null
  /** Seen only when named: what an alias of a join stands before. */
  readonly hidden?: boolean
  /** Columns that USING merged: seen once by a bare name, and `*` shows them in another order. */
  readonly merged?: boolean
}
export interface Level { readonly entries: readonly Entry[]; readonly up: Level | null }

const columnsOf = (entry: Entry, name: string): Flow[] => entry.columns.filter((column) => column.name === name).map(({ flow }) => flow)
const one = (flows: readonly Flow[]): Flow => flows.length === 1 ? flows[0]! : merge(flows, flows.every((flow) => flow.how !== 'computed') ? 'kept' : 'computed')

/** `a`; null: no column of that name, nor a row. */
export function bare(sight: Level | null, name: string): Flow | null {
  const open: Flow[] = []
  for (let level = sight; level !== null; level = level.up) {
    const entries = level.entries.filter((entry) => entry.hidden !== true)
    const found = entries.flatMap((entry) => columnsOf(entry, name))
    open.push(...entries.flatMap((entry) => entry.open === null ? [] : [entry.open]))
    if (found.length > 0) return open.length === 0 ? one(found) : merge([...found, ...open], 'computed')
  }
  if (open.length > 0) return merge(open, 'computed')
  const entry = entryOf(sight, name)
  return entry === null ? null : row(entry)
}
export function entryOf(sight: Level | null, name: string): Entry | null {
  for (let level = sight; level !== null; level = level.up) for (const entry of level.entries) if (entry.name === name) return entry
  return null
}
/** `t.a`. */
export function qualifiedColumn(sight: Level | null, table: string, name: string): Flow | null {
  const entry = entryOf(sight, table)
  if (entry === null) return null
  const found = columnsOf(entry, name)
  if (found.length > 0) return one(found)
  if (entry.open !== null) return entry.open
  if (SYSTEM_COLUMNS.has(name)) return merge([], 'kept')
  throw new Unfollowed(`${table}.${name} is no column known here`)
}
export const row = (entry: Entry): Flow => merge([...entry.columns.map(({ flow }) => flow), ...entry.open === null ? [] : [entry.open]], 'computed')
/** `*`, `t.*` in a list of outputs. */
export function star(sight: Level, table: string | null): readonly { readonly name: string; readonly flow: Flow }[] {
  const entries = table === null ? sight.entries.filter((entry) => entry.hidden !== true) : [entryOf(sight, table)]
  return entries.flatMap((entry) => {
    if (entry === null || entry.open !== null || (table === null && entry.merged === true)) throw new Unfollowed('the columns behind * are not known')
    return entry.columns
  })
}
