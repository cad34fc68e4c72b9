// A foreign table of postgres_fdw shows a table of another server, or of this one. Where that is does not matter: columns of a table here that is
// called like the one there are hidden in the foreign table too, under whatever names it gives them.
import type { Catalog, Relation } from './catalog.ts'
import { type Hidden, label, type Masked, stronger } from './mask-index.ts'

/** Hides or blocks what a foreign table shows of masked relations. True when something changed. */
export function spreadToForeign(relation: Relation, catalog: Catalog, masked: Map<number, Masked>, blocked: Map<number, string>): boolean {
  const { remote } = relation
  const shown = remote === undefined ? undefined : catalog.byName.get(`${remote.schema}.${remote.table}`)
  if (remote === undefined || shown === undefined || shown.oid === relation.oid) return false
  const mine = masked.get(relation.oid)
  const source = masked.get(shown.oid)
  const past = source?.filter !== undefined && mine?.filter === undefined ? ', past its row filter' : ''
  if (blocked.has(shown.oid) || past !== '') { masked.delete(relation.oid); blocked.set(relation.oid, `${label(relation)} leads to masked data through ${label(shown)}${past}`); return true }
  if (source === undefined) return false
  const hidden = new Map(mine?.hidden)
  let grew = false
  for (const column of relation.columns) {
    const mask = source.hidden.get(remote.columns.find(([number]) => number === column.number)?.[1] ?? column.name)
    const known = hidden.get(column.name)
    if (mask === undefined || (known !== undefined && !stronger(mask, known))) continue
    const { constant } = mask
    const inherited: Hidden = { with: mask.with, rule: mask.rule, lookups: null, column, ...constant === true ? { constant } : {} }
    hidden.set(column.name, inherited)
    grew = true
  }
  if (grew) masked.set(relation.oid, { ...mine ?? { relation, parent: false }, hidden })
  return grew
}
