// The catalog of one database as plain data: the queries that read it, and rows → Catalog. Pure: whoever holds a connection of Sluice's
// own runs the queries and hands the rows over, every value as the server's text (null for NULL). Nothing here may depend on the
// names a client can make: all is qualified, and `path` comes first, so that format_type qualifies what is not built in.
import type { Behind, Catalog, Column, Relation, RelationKind, Routine, Trigger } from './catalog.ts'

/** One row: the text of each column, in the query's order. */
export type Row = readonly (string | null)[]
export interface CatalogQuery { readonly name: string; readonly sql: string }

/** Relations that can be named in a statement: not indexes and TOAST, not other sessions' temporary ones. */
const NAMED = `c.relkind IN ('r','p','v','m','f','S','c') AND c.relpersistence <> 't'`
const OURS = `n.nspname NOT IN ('pg_catalog', 'information_schema')`

/** All of them in one transaction (REPEATABLE READ, read only) give one state of the catalog. Versions 14 to 18. */
export function catalogQueries(_serverVersion: number): readonly CatalogQuery[] {
  return [
    { name: 'path', sql: `SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)` },
    { name: 'relations', sql: `SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text,
        (c.relhasrules AND EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'))::text
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ${NAMED} ORDER BY c.oid` },
    { name: 'columns', sql: `SELECT a.attrelid::text, a.attname::text, a.attnum::text, a.atttypid::text, a.atttypmod::text,
        pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull::text, a.attgenerated::text, t.typtype::text
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      WHERE ${NAMED} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum` },
    { name: 'keys', sql: `SELECT i.indrelid::text, i.indisprimary::text, i.indnkeyatts::text, i.indkey::text,
        (i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND i.indimmediate)::text
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid WHERE ${NAMED} ORDER BY i.indexrelid` },
    { name: 'parents', sql: `SELECT inhrelid::text, inhparent::text FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno` },
    { name: 'partitioned', sql: `SELECT partrelid::text, partattrs::text FROM pg_catalog.pg_partitioned_table` },
    // What a view or another rule leads to: relations, and routines named or standing behind an operator. And the routines that the server
    // runs for a table: in defaults, generated columns, checks, policies, indexes.
    { name: 'reads', sql: `SELECT DISTINCT r.ev_class::text, d.refclassid::pg_catalog.regclass::text,
        CASE WHEN d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass THEN (SELECT o.oprcode::oid FROM pg_catalog.pg_operator o WHERE o.oid = d.refobjid) ELSE d.refobjid END::text, d.refobjsubid::text
      FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
      WHERE d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
        AND NOT (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.ev_class)
      UNION SELECT o.relation::text, 'pg_proc', d.refobjid::text, '0'
      FROM (SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass AS class, oid, adrelid AS relation FROM pg_catalog.pg_attrdef
        UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid, conrelid FROM pg_catalog.pg_constraint WHERE conrelid <> 0
        UNION ALL SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, oid, polrelid FROM pg_catalog.pg_policy
        UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, indexrelid, indrelid FROM pg_catalog.pg_index) o
      JOIN pg_catalog.pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass` },
    { name: 'views', sql: `SELECT c.oid::text, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND ${OURS}` },
    { name: 'foreign', sql: `SELECT f.ftrelid::text, '0', o.option_name, o.option_value FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
        CROSS JOIN LATERAL (SELECT '' AS option_name, '' AS option_value UNION ALL SELECT * FROM pg_catalog.pg_options_to_table(f.ftoptions)) o WHERE w.fdwname = 'postgres_fdw'
      UNION ALL SELECT a.attrelid::text, a.attnum::text, o.option_name, o.option_value FROM pg_catalog.pg_attribute a, pg_catalog.pg_options_to_table(a.attfdwoptions) o WHERE a.attfdwoptions IS NOT NULL AND o.option_name = 'column_name'` },
    { name: 'triggers', sql: `SELECT t.tgrelid::text, t.tgname::text, t.tgfoid::oid::text FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal ORDER BY t.oid` },
    { name: 'references', sql: `SELECT DISTINCT conrelid::text, confrelid::text FROM pg_catalog.pg_constraint WHERE contype = 'f'` },
    { name: 'generated', sql: `SELECT DISTINCT a.attrelid::text, a.attnum::text, d.refobjsubid::text
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = a.attrelid AND d.refobjsubid > 0 AND d.refobjsubid <> a.attnum
        AND ((d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid)
          OR (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum))
      WHERE a.attgenerated <> ''` },
    { name: 'routines', sql: `SELECT p.oid::text, n.nspname::text, p.proname::text, p.prokind::text,
        (SELECT pg_catalog.string_agg(pg_catalog.format_type(u.t, NULL), E'\\x01' ORDER BY u.i) FROM pg_catalog.unnest(p.proargtypes::oid[]) WITH ORDINALITY u(t, i)),
        l.lanname::text, p.provolatile::text,
        (SELECT e.extname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
          WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'),
        CASE WHEN l.lanname IN ('c', 'internal') THEN '' WHEN p.prosqlbody IS NOT NULL THEN pg_catalog.pg_get_function_sqlbody(p.oid) ELSE p.prosrc END,
        p.proretset::text, pg_catalog.array_to_string(p.proconfig, E'\\x01'), pg_catalog.pg_get_expr(p.proargdefaults, 0),
        (SELECT pg_catalog.string_agg(u.name, E'\\x01' ORDER BY u.i) FROM pg_catalog.unnest(p.proargnames) WITH ORDINALITY u(name, i) WHERE p.proargmodes IS NULL OR p.proargmodes[u.i] IN ('i', 'b', 'v'))
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE ${OURS} ORDER BY p.oid` },
    { name: 'operators', sql: `SELECT n.nspname::text, o.oprname::text, o.oprcode::oid::text FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE ${OURS} ORDER BY o.oid` },
    { name: 'types', sql: `SELECT t.oid::text, n.nspname::text, t.typname::text,
        pg_catalog.concat_ws(' ', t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid, t.typmodin::oid, t.typmodout::oid)
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE ${OURS} AND n.nspname !~ '^pg_(temp|toast)' ORDER BY t.oid` },
    // Routines that the server calls through a type: casts from and to it, and a domain's checks.
    { name: 'casts', sql: `SELECT t.oid::text, k.castfunc::oid::text FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_type t ON t.oid IN (k.castsource, k.casttarget) WHERE k.castfunc <> 0 AND t.oid >= 16384
      UNION SELECT k.contypid::text, d.refobjid::text FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass WHERE k.contypid <> 0` },
    { name: 'schemas', sql: `SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(temp|toast)'` },
  ]
}

/** Differs whenever any transaction was begun or ended: while it is equal, `changedQuery` need not be asked. */
export const movedQuery = 'SELECT pg_catalog.pg_current_snapshot()::text'

/**
 * One text that differs after any DDL: count and sum of xmin per catalog. An update or a delete with an insert raises the sum (a new xid
 * is larger), a delete alone lowers the count; freezing changes it for nothing, which costs one loading. Temporary objects don't count.
 */
export const changedQuery = (() => {
  const sum = (from: string, where = '') => `(SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(x.xmin::text::bigint)) FROM ${from}${where === '' ? '' : ` WHERE ${where}`})`
  const named = `JOIN pg_catalog.pg_class c ON c.oid = x.attrelid AND c.relpersistence <> 't' AND c.relkind IN ('r','p','v','m','f','c')`
  return `SELECT pg_catalog.concat_ws(',', ${[
    sum('pg_catalog.pg_class x', `x.relpersistence <> 't' AND x.relkind <> 't'`),
    sum(`pg_catalog.pg_attribute x ${named}`, 'x.attnum > 0'),
    sum('pg_catalog.pg_attrdef x'), sum('pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indrelid', `c.relpersistence <> 't'`),
    sum('pg_catalog.pg_inherits x'), sum('pg_catalog.pg_proc x'), sum('pg_catalog.pg_namespace x', `x.nspname !~ '^pg_(toast_)?temp'`),
    sum('pg_catalog.pg_trigger x'), sum('pg_catalog.pg_rewrite x'), sum('pg_catalog.pg_operator x'), sum('pg_catalog.pg_cast x'),
    sum('pg_catalog.pg_constraint x'), sum('pg_catalog.pg_policy x'), sum('pg_catalog.pg_language x'), sum('pg_catalog.pg_partitioned_table x'), sum('pg_catalog.pg_extension x'), sum('pg_catalog.pg_foreign_table x'), sum('pg_catalog.pg_foreign_server x'),
    sum('pg_catalog.pg_type x JOIN pg_catalog.pg_namespace n ON n.oid = x.typnamespace', `n.nspname !~ '^pg_(temp|toast)'`),
  ].join(', ')})`
})()


export function columnOf(row: Row): Column {
  const [, name, number, type, typmod, typeName, notNull, generated, typeKind] = row as readonly string[]
  return {
    name: name!, number: Number(number), type: Number(type), typmod: Number(typmod), typeName: typeName!, notNull: notNull === 'true',
    generated: generated as Column['generated'], generatedFrom: [], typeKind: typeKind!,
  }
}

/** Rows by the query's name → Catalog. Throws when a query's rows are missing: half a catalog must never judge anything. */
export function catalogFrom(rows: Readonly<Record<string, readonly Row[]>>, serverVersion: number, generation: number): Catalog {
  const of = (name: string): readonly (readonly string[])[] => {
    const found = rows[name]
    if (found === undefined) throw new Error(`the catalog query ${name} has no rows`)
    return found as readonly (readonly string[])[]
  }
  const generatedFrom = pairs(of('generated').map(([relation, number, source]) => [`${relation}.${number}`, Number(source)]))
  const columns = pairs(of('columns').map((row) => [row[0]!, { ...columnOf(row), generatedFrom: generatedFrom.get(`${row[0]}.${row[2]}`) ?? [] }]))
  const keys = pairs(of('keys').map(([relation, primary, count, key, unique]) => [relation!, { primary: primary === 'true', unique: unique === 'true', all: numbers(key!), key: numbers(key!).slice(0, Number(count)) }]))
  const parents = pairs(of('parents').map(([child, parent]) => [child!, Number(parent)]))
  const partitioned = new Map(of('partitioned').map(([relation, key]) => [relation!, numbers(key!)]))
  const readColumns = pairs(of('reads').filter(([, kind]) => bare(kind!) === 'pg_class').map(([view, , target, column]) => [view!, [Number(target), Number(column)] as const]))
  const calls = pairs(of('reads').filter(([, kind]) => bare(kind!) !== 'pg_class').map(([view, , target]) => [view!, Number(target)]))
  const definitions = new Map(of('views').map(([relation, text]) => [relation!, text!]))
  const remotes = pairs(of('foreign').map(([relation, column, name, value]) => [relation!, { column: Number(column), name: name!, value: value! }]))
  const triggers = pairs<Trigger>(of('triggers').map(([relation, name, routine]) => [relation!, { name: name!, routine: Number(routine) }]))
  const references = pairs(of('references').map(([relation, target]) => [relation!, Number(target)]))

  const relations = new Map<number, Relation>()
  const byName = new Map<string, Relation>()
  for (const [oid, schema, name, kind, rules] of of('relations') as readonly (readonly [string, string, string, string, string])[]) {
    const index = keys.get(oid) ?? []
    const relation: Relation = {
      oid: Number(oid), schema, name, kind: kind as RelationKind, temporary: false, columns: columns.get(oid) ?? [],
      primaryKey: index.find((i) => i.primary)?.key ?? null, uniqueKeys: index.filter((i) => i.unique).map((i) => i.key), indexes: index.map((i) => i.all),
      parents: parents.get(oid) ?? [], partitionKey: partitioned.get(oid) ?? [], reads: [...new Set((readColumns.get(oid) ?? []).map(([target]) => target))], readColumns: readColumns.get(oid) ?? [], calls: calls.get(oid) ?? [],
      rules: rules === 'true', triggers: triggers.get(oid) ?? [], references: references.get(oid) ?? [],
      ...remotes.get(oid)?.some((option) => option.column === 0) === true ? { remote: remoteOf(schema, name, remotes.get(oid)!) } : {},
      ...definitions.has(oid) ? { definition: definitions.get(oid)! } : {},
    }
    relations.set(relation.oid, relation)
    byName.set(`${schema}.${name}`, relation)
  }

  const routineById = new Map<number, Routine>()
  for (const [oid, schema, name, kind, args, language, volatility, extension, body, set, settings, defaults, names] of rows.routines!) {
    routineById.set(Number(oid), {
      oid: Number(oid), schema: schema!, name: name!, kind: kind as Routine['kind'], arguments: args === null || args === undefined ? [] : args.split('\x01'),
      language: language!, volatility: volatility as Routine['volatility'], extension: extension ?? null, body: body ?? '',
      set: set === 'true', settings: texts(settings), defaults: defaults ?? null, argumentNames: texts(names),
    })
  }
  // Only routines that are not built in can do harm through an operator or a type.
  const foreign = (list: readonly number[]) => [...new Set(list)].filter((oid) => routineById.has(oid))
  const casts = pairs(of('casts').map(([type, routine]) => [type!, Number(routine)]))
  return {
    serverVersion, generation, relations, byName, routineById,
    routines: pairs([...routineById.values()].map((routine) => [routine.name, routine])),
    operators: pairs<Behind>(of('operators').map(([schema, name, code]) => [name!, { schema: schema!, name: name!, routines: foreign([Number(code)]) }])),
    types: pairs<Behind>(of('types').map(([oid, schema, name, io]) => [name!, { schema: schema!, name: name!, routines: foreign([...numbers(io!), ...casts.get(oid!) ?? []]) }])),
    schemas: new Set(of('schemas').map(([name]) => name!)),
  }
}

function remoteOf(schema: string, name: string, options: readonly { readonly column: number; readonly name: string; readonly value: string }[]): NonNullable<Relation['remote']> {
  const option = (wanted: string) => options.find((one) => one.column === 0 && one.name === wanted)?.value
  return { schema: option('schema_name') ?? schema, table: option('table_name') ?? name, columns: options.filter((one) => one.column > 0).map((one) => [one.column, one.value] as const) }
}

/** A catalog as JSON-safe data, for the bus between processes. */
export function serialise(catalog: Catalog): unknown {
  return {
    serverVersion: catalog.serverVersion, generation: catalog.generation, relations: [...catalog.relations.values()], routines: [...catalog.routineById.values()],
    operators: [...catalog.operators.values()].flat(), types: [...catalog.types.values()].flat(), schemas: [...catalog.schemas],
  }
}
/** Only for what `serialise` made in another process of ours. */
export function deserialise(data: unknown): Catalog {
  const plain = data as { serverVersion: number; generation: number; relations: Relation[]; routines: Routine[]; operators: Behind[]; types: Behind[]; schemas: string[] }
  return {
    serverVersion: plain.serverVersion, generation: plain.generation,
    relations: new Map(plain.relations.map((r) => [r.oid, r])), byName: new Map(plain.relations.map((r) => [`${r.schema}.${r.name}`, r])),
    routines: pairs(plain.routines.map((r) => [r.name, r])), routineById: new Map(plain.routines.map((r) => [r.oid, r])),
    operators: pairs(plain.operators.map((b) => [b.name, b])), types: pairs(plain.types.map((b) => [b.name, b])), schemas: new Set(plain.schemas),
  }
}

function pairs<T>(list: Iterable<readonly [string, T]>): Map<string, T[]> {
  const out = new Map<string, T[]>()
  for (const [key, value] of list) {
    const known = out.get(key)
    if (known === undefined) out.set(key, [value])
    else known.push(value)
  }
  return out
}
const numbers = (text: string): number[] => text.split(' ').filter((part) => part !== '').map(Number)
const texts = (text: string | null | undefined): string[] => text === null || text === undefined || text === '' ? [] : text.split('\x01')
const bare = (name: string): string => name.slice(name.lastIndexOf('.') + 1)
