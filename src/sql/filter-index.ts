// Which relations one identity may read only in part. A filter is inherited by partitions and children, and by their parents, whose rows are
// theirs; where a relation of that family lacks a column of it, nothing of that relation may be read.
import type { Catalog } from './catalog.ts'
import type { FilterOf, RowFilter } from './filter.ts'

export function filteredRelations(catalog: Catalog, familiesOf: (catalog: Catalog) => ReadonlyMap<number, number>, filters: readonly FilterOf[]): Map<number, RowFilter> {
  const out = new Map<number, RowFilter>()
  if (filters.length === 0) return out
  const families = familiesOf(catalog)
  const byFamily = new Map<number, FilterOf[]>()
  const relations = [...catalog.relations.values()].filter((relation) => relation.schema !== 'pg_catalog' && relation.schema !== 'information_schema' && /^[rpvmf]$/.test(relation.kind))
  for (const relation of relations) {
    for (const filter of filters) {
      if ((filter.schema !== '*' && filter.schema !== relation.schema) || filter.table !== relation.name) continue
      const family = families.get(relation.oid)!
      const known = byFamily.get(family) ?? []
      if (!known.includes(filter)) byFamily.set(family, [...known, filter])
    }
  }
  for (const relation of relations) {
    const mine = byFamily.get(families.get(relation.oid)!)
    if (mine === undefined) continue
    const columns = new Set(relation.columns.map((column) => column.name))
    const unread = mine.find(({ condition }) => condition === null)
    const missing = mine.find(({ condition }) => [...condition?.columns ?? []].some((name) => !columns.has(name)))
    if (unread !== undefined) out.set(relation.oid, none(mine, `its row filter ${unread.rule} can't be read: ${unread.mistake}`))
    else if (missing !== undefined) out.set(relation.oid, none(mine, `it lacks a column that its row filter ${missing.rule} asks for`))
    else out.set(relation.oid, all(mine))
  }
  return out
}

const none = (filters: readonly FilterOf[], refused: string): RowFilter => ({ rules: filters.map(({ rule }) => rule), columns: new Set(), text: () => '(false)', refused })
/** Several filters of one table all hold. */
function all(filters: readonly FilterOf[]): RowFilter {
  const conditions = filters.map(({ condition }) => condition!)
  return { rules: filters.map(({ rule }) => rule), columns: new Set(conditions.flatMap(({ columns }) => [...columns])), text: (of) => `(${conditions.map(({ text }) => text(of)).join(' AND ')})`, refused: null }
}
