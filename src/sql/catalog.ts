// What the database says about itself, as far as judging SQL needs it. Plain data: loaded on Sluice's own connection,
// sent over the bus to the other workers, never mutated. Object ids are numbers (uint32).

/** kind: r table, p partitioned, v view, m materialized view, f foreign, S sequence, c composite, i/I index, t toast. */
export type RelationKind = 'r' | 'p' | 'v' | 'm' | 'f' | 'S' | 'c' | 'i' | 'I' | 't'
export interface Column {
  readonly name: string
  /** attnum, from 1. */
  readonly number: number
  readonly type: number
  readonly typmod: number
  /** format_type(atttypid, atttypmod), e.g. `character varying(20)`; usable in a cast. */
  readonly typeName: string
  readonly notNull: boolean
  /** '' plain, 's' stored generated, 'v' virtual generated. */
  readonly generated: '' | 's' | 'v'
  /** Numbers of the columns a generated column is computed from. */
  readonly generatedFrom: readonly number[]
  /** pg_type.typtype: b base, d domain, e enum, c composite, r range, m multirange. Absent: not known. */
  readonly typeKind?: string
}
export interface Trigger { readonly name: string; readonly routine: number }
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: RelationKind
  readonly temporary: boolean
  readonly columns: readonly Column[]
  /** Column numbers of the primary key; null when there is none. */
  readonly primaryKey: readonly number[] | null
  /** Column numbers of every unique, non-partial index without expressions, primary key included. */
  readonly uniqueKeys: readonly (readonly number[])[]
  /** Column numbers of every index, whatever its kind, included columns too; 0 = an expression. */
  readonly indexes?: readonly (readonly number[])[]
  /** Direct parents by inheritance or partitioning. */
  readonly parents: readonly number[]
  /** Column numbers of its partition key; 0 = an expression; [] = not partitioned. */
  readonly partitionKey?: readonly number[]
  /** For views and materialized views: relations that pg_depend leads to (direct). */
  readonly reads: readonly number[]
  /** Columns of other relations that its rules name, as the server's own analysis has them: [relation, number]. */
  readonly readColumns?: readonly (readonly [relation: number, number: number])[]
  /** Routines that the server runs for it (direct, by pg_depend): in a view or rule, a default, generated column, check, policy or index. */
  readonly calls?: readonly number[]
  /** What a view or materialized view selects, in the server's words, every relation qualified. */
  readonly definition?: string
  /** What a foreign table of postgres_fdw shows: the table's name over there, and columns that are called otherwise there. */
  readonly remote?: { readonly schema: string; readonly table: string; readonly columns: readonly (readonly [number: number, name: string])[] }
  /** Rules other than a view's own. */
  readonly rules: boolean
  /** User triggers (not those of foreign keys). */
  readonly triggers: readonly Trigger[]
  /** Foreign keys FROM this relation: referenced relation oids. */
  readonly references: readonly number[]
}
export interface Routine {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** f function, p procedure, a aggregate, w window. */
  readonly kind: 'f' | 'p' | 'a' | 'w'
  /** Argument types, format_type, in order. */
  readonly arguments: readonly string[]
  readonly language: string
  /** i immutable, s stable, v volatile. */
  readonly volatility: 'i' | 's' | 'v'
  /** The extension it belongs to, or null. */
  readonly extension: string | null
  /** Source text, for SQL and PL functions. */
  readonly body: string
  /** Gives any number of rows. Absent: not known. */
  readonly set?: boolean
  /** `name=value` of its own SET clauses. Absent: not known. */
  readonly settings?: readonly string[]
  /** Defaults of its arguments, in the server's words. */
  readonly defaults?: string | null
  /** Names of its input arguments, in order; '' without one. */
  readonly argumentNames?: readonly string[]
}
/** An operator, cast or type outside pg_catalog, with the routines the server may call through it. */
export interface Behind { readonly schema: string; readonly name: string; readonly routines: readonly number[] }
export interface Catalog {
  /** server_version_num, e.g. 180004. */
  readonly serverVersion: number
  /** Grows by one on each change seen. */
  readonly generation: number
  readonly relations: ReadonlyMap<number, Relation>
  /** `schema.name` (exact, unquoted, joined by a NUL-free dot) → relation. */
  readonly byName: ReadonlyMap<string, Relation>
  /** Routines outside pg_catalog and information_schema, by bare name. */
  readonly routines: ReadonlyMap<string, readonly Routine[]>
  readonly routineById: ReadonlyMap<number, Routine>
  /** Operators outside pg_catalog, by bare name. */
  readonly operators: ReadonlyMap<string, readonly Behind[]>
  /** Types outside pg_catalog (domains, enums, composites, base types of extensions), by bare name; `routines`: I/O, check and cast functions. */
  readonly types: ReadonlyMap<string, readonly Behind[]>
  readonly schemas: ReadonlySet<string>
}
/** What a client's session resolves names by; from probes on its own connection, never from the text of SET. */
export interface NameContext {
  /** Schemas in order of search, as current_schemas(true) gives them (pg_temp and pg_catalog included). */
  readonly searchPath: readonly string[]
  /** Temporary relations of this session, by name. */
  readonly temporary: ReadonlyMap<string, Relation>
}
