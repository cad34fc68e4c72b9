// A catalog for tests: the schema of the corpus (test/corpus/pg_seed.sql), written by hand.
import type { Behind, Catalog, NameContext, Relation, Routine } from './catalog.ts'
import { effectsOf } from './effects.ts'
import type { Options, StatementReading } from './effects.ts'
import { parse, ready } from './grammar.ts'

await ready()

let nextOid = 20000
export function table(schema: string, name: string, columns: string, extra: Partial<Relation> = {}): Relation {
  return {
    oid: nextOid++, schema, name, kind: 'r', temporary: false, primaryKey: [1], uniqueKeys: [[1]], parents: [], reads: [], rules: false, triggers: [], references: [],
    columns: columns.split(' ').map((column, index) => ({ name: column, number: index + 1, type: 25, typmod: -1, typeName: 'text', notNull: false, generated: '', generatedFrom: [] })), ...extra,
  }
}
export function routine(schema: string, name: string, args: string, extra: Partial<Routine> = {}): Routine {
  return { oid: nextOid++, schema, name, kind: 'f', arguments: args === '' ? [] : args.split(','), language: 'sql', volatility: 'v', extension: null, body: '', ...extra }
}
export function catalogOf(relations: readonly Relation[], routines: readonly Routine[] = [], extra: { serverVersion?: number; operators?: readonly Behind[]; types?: readonly Behind[] } = {}): Catalog {
  const grouped = <T extends { name: string }>(list: readonly T[]) => { const out = new Map<string, T[]>(); for (const one of list) out.set(one.name, [...(out.get(one.name) ?? []), one]); return out }
  return {
    serverVersion: extra.serverVersion ?? 180004, generation: 1, relations: new Map(relations.map((r) => [r.oid, r])), byName: new Map(relations.map((r) => [`${r.schema}.${r.name}`, r])),
    routines: grouped(routines), routineById: new Map(routines.map((r) => [r.oid, r])), operators: grouped(extra.operators ?? []), types: grouped(extra.types ?? []),
    schemas: new Set(['public', 'hr', 'audit', 'pg_catalog', 'information_schema']),
  }
}
const view = { kind: 'v' as const, primaryKey: null, uniqueKeys: [] }
const hstoreFunctions = ['hstore_in', 'hstore_out', 'hstore_recv', 'hstore'].map((name) => routine('public', name, name === 'hstore' ? 'text,text' : 'cstring', { language: 'c', volatility: 'i', extension: 'hstore' }))
const routines = [
  routine('public', 'cust_card', 'integer'), routine('public', 'cust_row', 'integer'), routine('public', 'exec_sql', 'text', { language: 'plpgsql' }),
  routine('public', 'purge_orders', '', { kind: 'p' }), routine('public', 'status_label', 'text', { volatility: 'i' }), routine('audit', 'log_customer', '', { language: 'plpgsql' }),
  routine('public', 'dblink', 'text,text', { extension: 'dblink', language: 'c' }), routine('public', 'get_raw_page', 'text,integer', { extension: 'pageinspect', language: 'c' }),
  routine('public', 'heap_page_items', 'bytea', { extension: 'pageinspect', language: 'c' }), routine('public', 'similarity', 'text,text', { extension: 'pg_trgm', language: 'c' }),
  routine('public', 'digest', 'text,text', { extension: 'pgcrypto', language: 'c' }), ...hstoreFunctions,
]
export const CATALOG = catalogOf([
  table('public', 'customers', 'id name email ssn card_number notes created_at'), table('public', 'accounts', 'id customer_id balance status'),
  table('public', 'orders', 'id customer_id sku amount status note created_at'), table('hr', 'employees', 'id name ssn_verified email_count truncated_at grant_amount drop_code'),
  table('public', 'refs', 'id phone uuid tracking serial_no version doc blob grant'), table('public', 'pairs', 'a b c', { uniqueKeys: [[1, 2]], primaryKey: [1, 2] }),
  table('public', 'v_contact', 'id name contact', view), table('public', 'v_taxref', 'id tax_ref', view), table('public', 'mv_people', 'id name person_no', { ...view, kind: 'm' }),
  table('audit', 'customers_log', 'at op row_data', { uniqueKeys: [], primaryKey: null }), table('public', 'invoice_seq', 'last_value log_cnt is_called', { kind: 'S', uniqueKeys: [] }),
  table('public', 'pg_stat_statements', 'userid query calls', view),
], routines, {
  operators: [{ schema: 'hr', name: '%%', routines: [routines[0]!.oid] }, { schema: 'public', name: '->', routines: [hstoreFunctions[0]!.oid] }],
  types: [{ schema: 'public', name: 'hstore', routines: hstoreFunctions.map((r) => r.oid) }, { schema: 'public', name: 'mood', routines: [] }, { schema: 'public', name: 'checked', routines: [routines[2]!.oid] }],
})
export const CONTEXT: NameContext = { searchPath: ['pg_catalog', 'public'], temporary: new Map() }

export async function read(text: string, options: Options = {}, context: NameContext | null = CONTEXT, catalog = CATALOG): Promise<StatementReading[]> {
  const tree = await parse(text)
  if (tree.kind !== 'tree') throw new Error(`${text}: ${tree.kind === 'syntax' ? tree.message : tree.reason}`)
  return effectsOf(tree, catalog, context, options)
}
/** `sql.select:read`, sorted. */
export async function brief(text: string, options: Options = {}, context: NameContext | null = CONTEXT, catalog = CATALOG): Promise<string[]> {
  return (await read(text, options, context, catalog)).flatMap(({ effects }) => effects.map(({ operation, access }) => `${operation}:${access}`)).sort()
}
/** The gravest class of a text. */
export async function gravest(text: string, options: Options = {}, context: NameContext | null = CONTEXT, catalog = CATALOG): Promise<string> {
  const order = ['session', 'read', 'write', 'admin', 'unknown']
  const classes = (await read(text, options, context, catalog)).flatMap(({ effects }) => effects.map(({ access }) => access))
  return order[Math.max(0, ...classes.map((access) => order.indexOf(access)))]!
}
