// Relation name → relation, as the server would look it up. In doubt it says so: a name is never resolved by guess, because masks and
// rules hang on which relation it is.
import type { Node, RangeVar } from 'libpg-query'
import type { Catalog, NameContext, Relation } from './catalog.ts'

export type Resolved =
  /** A relation of the user's, or a temporary one. */
  | { readonly kind: 'relation'; readonly relation: Relation }
  /** One of pg_catalog or information_schema; `relation` when the catalog was loaded with it. */
  | { readonly kind: 'system'; readonly schema: string; readonly name: string; readonly relation: Relation | null }
  /** `query` is the entry's own statement; `recursive` when its WITH says so. */
  | { readonly kind: 'cte'; readonly name: string; readonly query: Node | null; readonly recursive: boolean }
  /** The path is known and nothing of that name is on it: the server will say 42P01, unless it was made within the last second. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'unresolved'; readonly why: string }

export const isSystemSchema = (schema: string): boolean => schema === 'pg_catalog' || schema === 'information_schema'
export const isTemporarySchema = (schema: string): boolean => schema === 'pg_temp' || schema.startsWith('pg_temp_')

/** `context` null: the session's search path is not known (any more). */
export function resolveName(name: RangeVar, catalog: Catalog, context: NameContext | null): Resolved {
  const relname = name.relname ?? ''
  if (name.schemaname !== undefined && name.schemaname !== '') return resolveIn(name.schemaname, relname, catalog, context)
  if (context === null) return { kind: 'unresolved', why: 'the search path is not known here' }
  let temporarySearched = false
  for (const schema of context.searchPath) {
    if (isTemporarySchema(schema)) temporarySearched = true
    const found = resolveIn(schema, relname, catalog, context)
    if (found.kind !== 'missing') return found
  }
  if (!temporarySearched && context.temporary.has(relname)) return { kind: 'unresolved', why: 'a temporary relation may have this name' }
  return { kind: 'missing' }
}

function resolveIn(schema: string, name: string, catalog: Catalog, context: NameContext | null): Resolved {
  if (isTemporarySchema(schema)) {
    if (context === null) return { kind: 'unresolved', why: 'temporary relations are not known here' }
    // pg_temp_3 may be another session's; only pg_temp, and what the path has, is surely ours.
    if (schema !== 'pg_temp' && !context.searchPath.includes(schema)) return { kind: 'unresolved', why: 'a temporary schema is named by number' }
    const temporary = context.temporary.get(name)
    return temporary === undefined ? { kind: 'missing' } : { kind: 'relation', relation: temporary }
  }
  const relation = catalog.byName.get(`${schema}.${name}`) ?? null
  if (isSystemSchema(schema)) {
    if (relation !== null || schema === 'information_schema' || name.startsWith('pg_')) return { kind: 'system', schema, name, relation }
    return { kind: 'missing' }
  }
  if (schema === 'pg_toast') return { kind: 'unresolved', why: 'a TOAST table is named' }
  return relation === null ? { kind: 'missing' } : { kind: 'relation', relation }
}

/** `schema.name` for rules and reviewers; null when it isn't one known relation. */
export function qualified(resolved: Resolved): string | null {
  if (resolved.kind === 'relation') return `${resolved.relation.temporary ? 'pg_temp' : resolved.relation.schema}.${resolved.relation.name}`
  if (resolved.kind === 'system') return `${resolved.schema}.${resolved.name}`
  return null
}
