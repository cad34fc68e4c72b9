// What column names can mean at one place of a query: the range table entries in sight, level by level, as the server's parser looks them up.
// Where the server would look further than is known here, every candidate is given and `certain` is false.
import type { Reference } from './resolve.ts'

/** System columns of every stored relation. */
export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid'])

/** One entry in sight. */
export interface Item {
  /** Its alias or name; null for an unnamed join or subselect. */
  readonly name: string | null
  readonly schema: string | null
  /** The relation's own entry, or null for what a subselect, function, CTE or VALUES makes. */
  readonly reference: Reference | null
  /** Output name → column of `reference` (or itself when derived). */
  readonly columns: ReadonlyMap<string, string>
  /** There may be more columns than `columns` knows of. */
  readonly open: boolean
  /** For a join under an alias: the entries it hides. */
  readonly members: readonly Item[]
  /** OLD and NEW of RETURNING, EXCLUDED: seen only when named. */
  readonly qualifiedOnly: boolean
}
export interface Scope { readonly items: readonly Item[]; readonly up: Scope | null }

export interface Target { readonly reference: Reference; readonly column: string }
export interface Found {
  readonly kind: 'column' | 'row' | 'star' | 'attribute' | 'unknown'
  readonly targets: readonly Target[]
  /** False when it may be something else too. */
  readonly certain: boolean
  /** For `attribute`: the function that is called if there is no such column. */
  readonly attribute: string | null
  /** Relations reached as a whole: by row, by `*`, by a function on the row. */
  readonly wholes: readonly Reference[]
}
const UNKNOWN: Found = { kind: 'unknown', targets: [], certain: false, attribute: null, wholes: [] }

export function item(name: string | null, columns: Iterable<string>, options: Partial<Omit<Item, 'columns' | 'name'>> = {}): Item {
  const map = new Map<string, string>()
  for (const column of columns) map.set(column, column)
  return { name, schema: null, reference: null, open: false, members: [], qualifiedOnly: false, ...options, columns: map }
}

/** Every column of an entry that belongs to a relation. */
export function all(entry: Item): Target[] {
  const out: Target[] = []
  if (entry.reference !== null) for (const column of entry.columns.values()) out.push({ reference: entry.reference, column })
  for (const member of entry.members) out.push(...all(member))
  return out
}

function wholes(entry: Item): Reference[] {
  return [...(entry.reference === null ? [] : [entry.reference]), ...entry.members.flatMap(wholes)]
}

/** The column of an entry by its output name: targets, or null when it has none of that name. */
function inItem(entry: Item, name: string): Target[] | null {
  const column = entry.columns.get(name)
  const out: Target[] = []
  if (entry.reference !== null && (column !== undefined || SYSTEM_COLUMNS.has(name))) out.push({ reference: entry.reference, column: column ?? name })
  for (const member of entry.members) out.push(...(inItem(member, name) ?? []))
  return out.length > 0 || column !== undefined ? out : null
}
const isOpen = (entry: Item): boolean => entry.open || entry.members.some(isOpen)

/** `a`: a column in the nearest level that has it, else a whole row of that name. */
export function findColumn(scope: Scope | null, name: string): Found {
  const targets: Target[] = []
  let certain = true
  for (let level = scope; level !== null; level = level.up) {
    let hit = false
    for (const entry of level.items) {
      if (entry.qualifiedOnly) continue
      const found = inItem(entry, name)
      if (found !== null) { hit = true; targets.push(...found) }
      else if (isOpen(entry)) certain = false
    }
    if (hit && certain) return { kind: 'column', targets, certain, attribute: null, wholes: [] }
  }
  if (targets.length > 0) return { kind: 'column', targets, certain: false, attribute: null, wholes: [] }
  const entry = findItem(scope, null, name)
  if (entry !== null) return { kind: 'row', targets: all(entry), certain: certain && !isOpen(entry), attribute: null, wholes: wholes(entry) }
  return UNKNOWN
}

export function findItem(scope: Scope | null, schema: string | null, name: string): Item | null {
  for (let level = scope; level !== null; level = level.up) {
    for (const entry of level.items) if (entry.name === name && (schema === null || entry.schema === schema)) return entry
  }
  return null
}

/** `t.a`, `s.t.a`: a column of that entry, else a function called on its row. */
export function findQualified(scope: Scope | null, schema: string | null, table: string, name: string): Found {
  const entry = findItem(scope, schema, table)
  if (entry === null) return UNKNOWN
  const found = inItem(entry, name)
  if (found !== null) return { kind: 'column', targets: found, certain: true, attribute: null, wholes: [] }
  // Not known to be a column: the row goes to a function, or it is a column nobody told us of.
  return { kind: 'attribute', targets: all(entry), certain: !isOpen(entry), attribute: name, wholes: wholes(entry) }
}

/** A row by its entry's name, `s.t` or `t`. */
export function findRow(scope: Scope | null, schema: string | null, name: string): Found {
  const entry = findItem(scope, schema, name)
  return entry === null ? UNKNOWN : { kind: 'row', targets: all(entry), certain: !isOpen(entry), attribute: null, wholes: wholes(entry) }
}

/** `*`, `t.*`. */
export function findStar(scope: Scope | null, schema: string | null, table: string | null): Found {
  if (table !== null) {
    const entry = findItem(scope, schema, table)
    return entry === null ? UNKNOWN : { kind: 'star', targets: all(entry), certain: !isOpen(entry), attribute: null, wholes: wholes(entry) }
  }
  const entries = (scope?.items ?? []).filter((entry) => !entry.qualifiedOnly)
  return { kind: 'star', targets: entries.flatMap(all), certain: !entries.some(isOpen), attribute: null, wholes: entries.flatMap(wholes) }
}
