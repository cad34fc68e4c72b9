// What only the client's own connection can tell: how its session resolves names. One statement, swallowed by Sluice, that nothing the
// client has made can bend: every function, type, relation and operator in it is qualified with pg_catalog.
import type { Column, NameContext, Relation, RelationKind } from './catalog.ts'
import { columnOf, type Row } from './load.ts'

export interface SessionState extends NameContext {
  readonly role: string
  readonly standardConformingStrings: boolean
  readonly clientEncoding: string
}

/** One row: schemas as JSON, role, standard_conforming_strings, client_encoding, temporary relations as JSON. */
export const probeSql = `SELECT pg_catalog.to_json(pg_catalog.current_schemas(true))::pg_catalog.text, CURRENT_USER::pg_catalog.text,
  pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('client_encoding'),
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(c.oid, n.nspname, c.relname, c.relkind,
      (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
      (SELECT pg_catalog.json_agg(DISTINCT d.refobjid::pg_catalog.text) FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) r.oid
        WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.<>) c.oid),
      (SELECT pg_catalog.json_agg(i.inhparent) FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid)))::pg_catalog.text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog."char"[]))`

type Temporary = readonly [number | string, string, string, RelationKind, readonly (readonly unknown[])[] | null, readonly string[] | null, readonly (number | string)[] | null]

export function contextFrom(row: Row): SessionState {
  const [schemas, role, strings, encoding, temporary] = row
  const searchPath = JSON.parse(schemas ?? '[]') as string[]
  const relations = (temporary === null || temporary === undefined ? [] : JSON.parse(temporary)) as Temporary[]
  return {
    searchPath, role: role ?? '', standardConformingStrings: strings === 'on', clientEncoding: encoding ?? '',
    temporary: new Map(relations.map((entry) => [entry[2], relationOf(entry)])),
  }
}

function relationOf([oid, schema, name, kind, columns, reads, parents]: Temporary): Relation {
  return {
    oid: Number(oid), schema, name, kind, temporary: true, columns: (columns ?? []).map((c): Column => columnOf(c.map((value) => value === null ? null : String(value)))),
    primaryKey: null, uniqueKeys: [], parents: (parents ?? []).map(Number), reads: (reads ?? []).map(Number), rules: false, triggers: [], references: [],
  }
}
