// Which columns of a view show masked data, by the view's own definition, and why a view may not be read: one that filters, joins, groups or
// sorts by a masked column tells of it by its rows, unless the resource lists it as fit to be read. A view is never opened: what it computes
// of masked columns it computes on real values, inside, and its columns are hidden from outside.
import type { Catalog, Relation } from './catalog.ts'
import { resultOf, routineLineage, viewLineage } from './definitions.ts'
import { sensitivityOf } from './excluded.ts'
import { type Flow, type Lineage, Unfollowed } from './flow.ts'
import { EXTENSION_NAMES } from './functions.ts'
import { type ColumnRule, type Hidden, label, type Masked, ORDER } from './mask-index.ts'

/** What is masked so far, and who vouches for what. */
export interface Spread {
  readonly catalog: Catalog
  readonly masked: ReadonlyMap<number, Masked>
  readonly blocked: ReadonlyMap<number, string>
  readonly suspects: ReadonlySet<number>
  /** Views that the resource lists. */
  readonly views: ReadonlySet<string>
  /** Routines that the resource lists, as schema.name(types). */
  readonly harmless: (routine: number) => boolean
}
export type ViewMask = { readonly hidden: Map<string, Hidden>; /** Its filters and joins work on values, and may fail by them. */ readonly onValues: boolean } | { readonly blocked: string }
/** What a source carries. */
interface Taint { readonly rule: ColumnRule; readonly column: string; /** NULL only where the value is. */ readonly faithful: boolean; readonly generated: boolean }

export function viewMask(view: Relation, spread: Spread): ViewMask {
  const { catalog, blocked, suspects } = spread
  const behind = view.reads.find((oid) => blocked.has(oid))
  if (behind !== undefined) return { blocked: `${label(view)} leads to masked data through ${label(catalog.relations.get(behind)!)}` }
  const suspect = (view.calls ?? []).find((oid) => suspects.has(oid))
  if (suspect !== undefined) return { blocked: `${label(view)} leads to masked data through function ${catalog.routineById.get(suspect)!.name}` }
  const kept = view.reads.find((oid) => keepsSecrets(catalog.relations.get(oid)))
  if (kept !== undefined) return { blocked: `${label(view)} shows ${label(catalog.relations.get(kept)!)}, which may hold values of masked columns` }
  const found = viewLineage(catalog, view)
  if (found instanceof Unfollowed) return { blocked: `the definition of ${label(view)} is not followed: ${found.message}` }
  const listed = spread.views.has(label(view))
  const decided = taintsOf(found.decides, spread)
  if (decided.length > 0 && !listed) return { blocked: `${label(view)} filters, joins, groups or sorts by ${decided[0]!.column}, which is masked` }
  const handed = handedOn(found, spread)
  if (handed !== null) return { blocked: `${label(view)} hands masked values to function ${handed}, which is not followed` }
  // Routines behind casts and the like, which a text does not name.
  const unnamed = (view.calls ?? []).find((oid) => catalog.routineById.has(oid) && !trusted(oid, spread, true) && !found.handed.some(({ routine }) => routine === oid))
  if (unnamed !== undefined && readsMasked(view, spread)) return { blocked: `${label(view)} uses function ${catalog.routineById.get(unnamed)!.name}, which is not followed` }
  const hidden = new Map<string, Hidden>()
  found.outputs.forEach(({ flow }, index) => {
    const column = view.columns[index]!
    const taints = taintsOf(flow, spread)
    if (taints.length === 0) return
    const plain = flow.how === 'column' && taints.length === 1
    const strongest = taints.map(({ rule }) => rule).toSorted((a, b) => ORDER.indexOf(a.with) - ORDER.indexOf(b.with))[0]!
    const constant = flow.how === 'computed' || flow.nulls.size > 0 && taints.length > 0 || taints.some(({ faithful }) => !faithful)
    hidden.set(column.name, {
      with: plain ? strongest.with : strongest.with === 'null' ? 'null' : 'redact', rule: strongest.rule, lookups: null,
      column: taints.some(({ generated }) => generated) ? { ...column, generated: 'v' } : column, ...constant ? { constant: true } : {},
    })
  })
  return { hidden, onValues: listed && decided.length > 0 }
}

const readsMasked = (view: Relation, { masked }: Spread): boolean => view.reads.some((oid) => masked.has(oid))
/** Relations of the server that hold samples of values, or what other sessions sent. */
export const keepsSecrets = (relation: Relation | undefined): boolean => relation !== undefined && (relation.schema === 'pg_catalog' || relation.name.startsWith('pg_stat_statements')) && sensitivityOf(relation.name) !== null && sensitivityOf(relation.name)!.column === undefined

/** Every masked thing that a flow depends on. */
function taintsOf(flow: Flow, spread: Spread): Taint[] {
  const out: Taint[] = []
  for (const source of flow.sources) { const taint = taintOf(source, spread); if (taint !== null) out.push(taint) }
  // Whether a column is NULL is not hidden, unless that itself is computed.
  for (const source of flow.nulls) { const taint = taintOf(source, spread); if (taint !== null && !taint.faithful) out.push(taint) }
  return out
}
function taintOf(source: string, spread: Spread): Taint | null {
  if (source.startsWith('$') || source === '*') return null
  if (source.startsWith('f')) return routineTaint(Number(source.slice(1)), spread)
  const [oid, number] = source.split('.').map(Number)
  const masked = spread.masked.get(oid!)
  if (masked === undefined) return null
  for (const hidden of masked.hidden.values()) {
    if (hidden.column.number !== number) continue
    return { rule: hidden, column: `${label(masked.relation)}.${hidden.column.name}`, faithful: hidden.constant !== true, generated: hidden.column.generated === 'v' }
  }
  return null
}
/** What a routine gives, whatever it is given. */
export function routineTaint(oid: number, spread: Spread): Taint | null {
  const routine = spread.catalog.routineById.get(oid)
  if (routine === undefined || spread.harmless(oid)) return null
  const found = routineLineage(spread.catalog, routine)
  if (found instanceof Unfollowed) return null      // its text names nothing masked: else it would be a suspect
  const taint = taintsOf(resultOf(found), spread)[0]
  return taint === undefined ? null : { ...taint, faithful: false }
}
/** A routine that is given masked values and is not known to keep them to its result. */
export function handedOn(found: Lineage, spread: Spread): string | null {
  for (const { routine, given, behind } of found.handed) {
    if ((given.sources.has('*') || taintsOf(given, spread).length > 0) && !trusted(routine, spread, behind)) return spread.catalog.routineById.get(routine)?.name ?? String(routine)
  }
  return null
}
/** Listed, of a well-known extension, or in SQL that hands what it is given to nobody else. */
export function trusted(oid: number, spread: Spread, behind: boolean): boolean {
  const routine = spread.catalog.routineById.get(oid)
  if (routine === undefined || spread.harmless(oid)) return true
  if (routine.extension !== null) return EXTENSION_NAMES.get(routine.extension)?.has(routine.name) === true || (behind && routine.language === 'c' && routine.volatility !== 'v')
  const found = routineLineage(spread.catalog, routine)
  return !(found instanceof Unfollowed) && routine.volatility !== 'v' && found.handed.every((one) => trusted(one.routine, spread, one.behind))
}
