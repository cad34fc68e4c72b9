// What a client sends, as scripts: a transaction that is undone, with one or more generated statements inside, in one of the ways that the
// protocol has to send them. Every channel that a value could take to the client is among them.
import * as m from '../postgres/client.ts'
import type { Random } from '../postgres/conversations.ts'
import { LITERALS, NAMES, TYPES } from './expressions.ts'
import { FROMS, STATEMENTS, TAILS, TARGETS } from './forms.ts'
import { Generator } from './queries.ts'
import { type Table, TABLES, type Type } from './schema.ts'

export interface Sent { readonly text: string; readonly bytes: Buffer; /** How many ReadyForQuery answer it. */ readonly readies: number }
export interface Script { readonly sent: readonly Sent[]; /** Names nothing masked: the bare server's answer is the only right one. */ readonly benign: boolean; readonly kind: string }

export const query = (text: string): Sent => ({ text, bytes: m.query(text), readies: 1 })
const BINARY = [1], TEXT = [0]

export function script(r: Random): Script {
  const benign = r(4) === 0
  const g = new Generator(r, !benign)
  const kinds = benign ? BENIGN : KINDS
  const [kind, make] = g.pick(kinds)
  const body = make(g)
  const bare = body.some((each) => /^(COMMIT|ROLLBACK|BEGIN)$/.test(each.text))
  return { kind, benign, sent: bare ? body : [query('BEGIN'), ...body, query('ROLLBACK')] }
}

type Make = (g: Generator) => Sent[]
/** One text in one of the ways of the protocol. */
function send(g: Generator, text: string, values: readonly (string | null)[] = []): Sent {
  const formats = g.pick([BINARY, TEXT, [], BINARY])
  const shown = `${text}${values.length > 0 ? `  -- ${JSON.stringify(values)}` : ''}`
  switch (values.length > 0 ? 1 + g.r(4) : g.r(6)) {
    case 1: return { text: shown, readies: 1, bytes: Buffer.concat([m.parse(text), m.bind({ values, formats }), m.describe('P'), m.execute(), m.sync()]) }
    case 2: return { text: shown, readies: 1, bytes: Buffer.concat([m.close('S', 's1'), m.parse(text, 's1'), m.describe('S', 's1'), m.bind({ statement: 's1', values, formats }), m.execute(), m.close('S', 's1'), m.sync()]) }
    case 3: return { text: shown, readies: 1, bytes: Buffer.concat([m.parse(text), m.bind({ portal: 'p1', values, formats }), m.execute('p1', 2), m.execute('p1', 1), m.execute('p1'), m.close('P', 'p1'), m.sync()]) }
    case 4: return { text: shown, readies: 1, bytes: Buffer.concat([m.parse(text), m.bind({ values, formats: [] }), m.execute(), m.sync()]) }
    default: return query(text)
  }
}
function select(g: Generator): Sent[] {
  if (!g.chance(4)) return [send(g, g.query().sql)]
  g.parameters = []
  const { sql } = g.query()
  const values = g.parameters.map((p) => p.value)
  g.parameters = null
  return [send(g, sql, values)]
}
const alone = (table: Table) => ({ items: [{ alias: table.name, columns: table.columns, masked: table.masked, row: true, rows: 1 }], outer: null })
const nowhere = { items: [], outer: null }
const writable = (g: Generator) => g.pick(TABLES.filter((t) => t.writable && (g.masked || !t.masked)))

function returning(g: Generator, table: Table): string {
  if (!g.chance(2)) return ''
  if (g.masked && g.chance(4)) return ` RETURNING ${g.pick(['*', `${table.name}.*`, table.name, `${table.name}::text`, `to_jsonb(${table.name})`])}`
  return ` RETURNING ${Array.from({ length: 1 + g.r(2) }, () => (g.chance(2) ? g.column(null, alone(table)) ?? '1' : g.expression(g.pick(TYPES), alone(table), 1))).join(', ')}`
}
function columnsOf(g: Generator, table: Table): { names: string[]; types: Type[] } {
  const rest = g.allowed(table.columns.slice(1)).filter(() => g.chance(2))
  const all = [table.columns[0]!, ...(table.name === 'people' ? [table.columns[1]!, ...rest.filter((c) => c.name !== 'name')] : rest)]
  return { names: all.map((c) => c.name), types: all.map((c) => c.type) }
}
let next = 1_000
function insert(g: Generator): Sent[] {
  const table = writable(g)
  const { names, types } = columnsOf(g, table)
  const conflict = g.maybe(4, () => ` ON CONFLICT ${g.chance(2) ? 'DO NOTHING' : `(${table.columns[0]!.name}) DO UPDATE SET ${g.pick(names)} = ${g.chance(2) ? `EXCLUDED.${g.pick(names)}` : g.expression(g.pick(types), alone(table), 1)}${g.maybe(3, () => ` WHERE ${g.expression('bool', alone(table), 1)}`)}`}`)
  const key = () => (table.columns[0]!.type === 'int' ? (g.chance(4) ? '3' : String(++next % 100_000)) : `'team ${g.r(9)}'`)
  const value = (type: Type, i: number) => (i === 0 ? key() : names[i] === 'name' ? `'Name ${g.r(99)}'` : names[i] === 'team' ? "'red'" : g.chance(4) ? g.expression(type, nowhere, 2) : g.pick(LITERALS[type]))
  const source = g.chance(2) ? `VALUES ${Array.from({ length: 1 + g.r(2) }, () => `(${types.map(value).join(', ')})`).join(', ')}` : g.select(2, types, nowhere).sql
  return [send(g, `INSERT INTO ${table.name}(${names.join(', ')}) ${source}${conflict}${returning(g, table)}`)]
}
function update(g: Generator): Sent[] {
  const table = writable(g), set = g.pick(g.allowed(table.columns.slice(1)))
  const from = g.maybe(4, () => { const other = g.pick(g.tables()); return other.name === table.name ? '' : ` FROM ${other.name}` })
  const where = g.maybe(1, () => ` WHERE ${g.expression('bool', alone(table), 2)}`)
  return [send(g, `UPDATE ${g.maybe(9, () => 'ONLY ')}${table.name} SET ${set.name} = ${g.expression(set.type, alone(table), 2)}${from}${where}${returning(g, table)}`)]
}
function remove(g: Generator): Sent[] {
  const table = writable(g)
  return [send(g, `DELETE FROM ${table.name}${g.maybe(4, () => ` USING ${g.pick(g.tables().filter((t) => t.name !== table.name)).name} u`)} WHERE ${g.expression('bool', alone(table), 2)}${returning(g, table)}`)]
}
function merge(g: Generator): Sent[] {
  const table = writable(g), set = g.pick(g.allowed(table.columns.slice(1))), source = g.select(1, ['int', set.type], nowhere)
  const both = { items: [{ alias: table.name, columns: table.columns, masked: table.masked, row: true, rows: 1 }, { alias: 'src', columns: source.columns, masked: g.masked, row: true, rows: 1 }], outer: null }
  const when = g.pick([`WHEN MATCHED THEN UPDATE SET ${set.name} = src.x1`, `WHEN MATCHED AND ${g.expression('bool', both, 1)} THEN DELETE`, 'WHEN MATCHED THEN DO NOTHING', `WHEN MATCHED THEN UPDATE SET ${set.name} = ${g.expression(set.type, both, 1)}`])
  return [send(g, `MERGE INTO ${table.name} USING (${source.sql}) src(x0, x1) ON ${table.name}.${table.columns[0]!.name} = src.x0 ${when}`)]
}
function copy(g: Generator): Sent[] {
  const options = g.pick(['', ' (FORMAT csv)', ' (FORMAT csv, HEADER, FORCE_QUOTE *)', ' (FORMAT binary)', " (FORMAT text, DELIMITER '|', NULL 'nil')", ' CSV', " (FORMAT csv, QUOTE '''')"])
  const tables = TABLES.filter((t) => t.view !== true && t.name !== 'events' && (g.masked || !t.masked))
  if (g.chance(3)) { const table = g.pick(tables); return [query(`COPY ${table.name}${g.maybe(2, () => `(${columnsOf(g, table).names.join(', ')})`)} TO STDOUT${options}`)] }
  return [query(`COPY (${g.chance(6) ? writing(g) : g.query().sql}) TO STDOUT${options}`)]
}
const writing = (g: Generator): string => g.pick([insert, update, remove])(g)[0]!.text.replace(/ {2}-- .*$/, '')
function copyIn(g: Generator): Sent[] {
  const table = writable(g), { names, types } = columnsOf(g, table)
  const rows = Array.from({ length: 1 + g.r(2) }, () => types.map((type, i) => (i === 0 ? (type === 'int' ? String(g.chance(3) ? 2 : ++next) : `t${++next}`) : g.chance(5) ? '\\N' : { text: 'red', int: '4', numeric: '2.5', bool: 't', date: '2024-01-01', stamp: '2024-01-01', json: '{}', texts: '{a}', uuid: '00000000-0000-0000-0000-000000000009', bytea: '\\\\x00' }[type])).join('\t'))
  const text = `COPY ${table.name}(${names.join(', ')}) FROM STDIN`
  return [{ text: `${text}  -- ${JSON.stringify(rows)}`, readies: 1, bytes: Buffer.concat([m.query(text), ...rows.map((row) => m.copyData(`${row}\n`)), m.copyDone()]) }, ...look(g, table.name)]
}
/** What somebody does after something was made or written. */
const look = (g: Generator, table: string): Sent[] => [query(g.pick([`SELECT * FROM ${table} ORDER BY 1`, `TABLE ${table}`, `SELECT count(*), max(x::text) FROM ${table} x`, `COPY ${table} TO STDOUT`, `SELECT t::text FROM ${table} t ORDER BY 1`]))]

function explain(g: Generator): Sent[] {
  const options = g.pick(['', '(COSTS OFF) ', '(VERBOSE, COSTS OFF) ', '(FORMAT json) ', '(ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF, BUFFERS OFF) ', 'VERBOSE ', '(FORMAT yaml, VERBOSE) ', '(GENERIC_PLAN) ', '(ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ', ''])
  return [send(g, `EXPLAIN ${options}${g.chance(5) ? writing(g) : g.query().sql}`)]
}
function cursor(g: Generator): Sent[] {
  const declare = query(`DECLARE c1 ${g.pick(['', 'SCROLL ', 'BINARY ', 'NO SCROLL '])}CURSOR ${g.maybe(4, () => 'WITH HOLD ')}FOR ${g.query().sql}`)
  const fetches = Array.from({ length: 1 + g.r(3) }, () => send(g, g.pick(['FETCH 2 FROM c1', 'FETCH ALL FROM c1', 'MOVE 1 IN c1', 'FETCH BACKWARD 1 FROM c1', 'FETCH LAST FROM c1', 'UPDATE people SET note = \'x\' WHERE CURRENT OF c1 RETURNING *', 'FETCH ABSOLUTE 3 FROM c1'])))
  return [declare, ...fetches, query('CLOSE c1')]
}
function prepared(g: Generator): Sent[] {
  g.parameters = []
  const { sql } = g.query()
  const parameters = g.parameters
  g.parameters = null
  const types = parameters.length === 0 ? '' : `(${parameters.map((p) => NAMES[p.type]).join(', ')})`
  const execute = () => `EXECUTE q1${parameters.length === 0 ? '' : `(${parameters.map((p) => (g.chance(4) ? g.expression(p.type, nowhere, 1) : `'${p.value}'`)).join(', ')})`}`
  return [query('BEGIN'), query(`PREPARE q1${types} AS ${sql}`), query(execute()), send(g, g.pick([execute(), ...(g.masked ? [`EXPLAIN (COSTS OFF) ${execute()}`, `EXPLAIN ${execute()}`, `CREATE TEMP TABLE made1 AS ${execute()}`] : [])])), query('ROLLBACK'), query('DEALLOCATE ALL')]
}
/** Something made from a query, and read again. */
function derive(g: Generator): Sent[] {
  const made = g.query(), name = `made${g.r(3)}`, list = `(${made.columns.map((c) => c.name).join(', ')})`
  const text = g.pick([`CREATE TEMP TABLE ${name}${list} AS ${made.sql}`, `CREATE TABLE ${name}${list} AS ${made.sql}`, `CREATE VIEW ${name}${list} AS ${made.sql}`, `CREATE TEMP VIEW ${name}${list} AS ${made.sql}`, `CREATE MATERIALIZED VIEW ${name}${list} AS ${made.sql}`,
    made.sql.startsWith('SELECT') && !made.sql.startsWith('SELECT * FROM (') ? made.sql.replace(/ FROM /, ` INTO TEMP ${name} FROM `) : `CREATE UNLOGGED TABLE ${name}${list} AS ${made.sql}`, `CREATE RECURSIVE VIEW ${name}${list} AS ${made.sql}`])
  const table: Table = { name, columns: made.columns, writable: false, masked: true }
  g.made.push(table)
  return [query(text), ...look(g, name), ...(g.chance(2) ? select(g) : [])]
}
function routine(g: Generator): Sent[] {
  const { sql, columns } = g.select(2, [g.pick(TYPES)], nowhere), type = NAMES[columns[0]!.type], name = `fn${g.r(3)}`
  const arrow = '$body$'
  const text = g.pick([`CREATE FUNCTION ${name}() RETURNS SETOF ${type} LANGUAGE sql AS ${arrow} ${sql} ${arrow}`, `CREATE FUNCTION ${name}() RETURNS ${type} LANGUAGE sql STABLE RETURN (${sql} LIMIT 1)`, `CREATE FUNCTION ${name}() RETURNS SETOF ${type} LANGUAGE plpgsql AS ${arrow} BEGIN RETURN QUERY ${sql}; END ${arrow}`,
    `DO ${arrow} BEGIN RAISE NOTICE '%', (${sql} LIMIT 1); END ${arrow}`, `DO ${arrow} DECLARE v text; BEGIN SELECT (${sql} LIMIT 1)::text INTO v; RAISE EXCEPTION 'got %', v USING DETAIL = v, HINT = v, COLUMN = v; END ${arrow}`, `CREATE FUNCTION ${name}(p people) RETURNS text LANGUAGE sql AS 'SELECT p.ssn'`])
  return [query(text), query(`SELECT ${name}()`), query(`SELECT * FROM ${name}()`), query(`SELECT ${name}(p), p.${name} FROM people p`)]
}
/** Definitions on a masked table, whose errors or later effects could tell. */
function define(g: Generator): Sent[] {
  const c = g.pick(TABLES[0]!.columns), x = g.expression(g.pick(['text', 'int', 'bool']), alone(TABLES[0]!), 1), b = g.expression('bool', alone(TABLES[0]!), 1)
  const text = g.pick([`CREATE INDEX ON people((${x}))`, `CREATE UNIQUE INDEX ON people(${c.name})`, `ALTER TABLE people ADD CONSTRAINT k CHECK (${b})`, `ALTER TABLE people ALTER COLUMN ${c.name} TYPE int USING (${g.expression('int', alone(TABLES[0]!), 1)})`, `ALTER TABLE people RENAME COLUMN ${c.name} TO renamed`, `ALTER TABLE people RENAME TO persons`,
    `CREATE STATISTICS st ON (${x}), id FROM people`, `ALTER TABLE people ADD COLUMN extra text GENERATED ALWAYS AS (${c.name}::text) STORED`, `ALTER TABLE people ALTER ${c.name} SET NOT NULL`, `CREATE TABLE made1 (LIKE people INCLUDING ALL)`, `CREATE TABLE made1 () INHERITS (people)`, `CREATE POLICY pol ON people USING (${b})`,
    `CREATE RULE ru AS ON INSERT TO plain DO ALSO SELECT ${c.name} FROM people`, `CREATE TRIGGER tr BEFORE UPDATE ON people FOR EACH ROW WHEN (OLD.${c.name} IS NOT NULL) EXECUTE FUNCTION log_people()`, `ALTER TABLE people ADD FOREIGN KEY (${c.name}) REFERENCES teams(team)`, `COMMENT ON COLUMN people.${c.name} IS 'x'`, `CREATE AGGREGATE ag(text) (SFUNC = textcat, STYPE = text)`, `CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)`,
    `CREATE CAST (people AS text) WITH INOUT`, `ALTER TABLE people ADD EXCLUDE USING btree (${c.name} WITH =)`, `CREATE SEQUENCE sq OWNED BY people.id`, `ALTER TABLE people SET SCHEMA hr`, `CREATE DOMAIN dd AS text CHECK (VALUE <> 'x')`, `GRANT SELECT ON people TO public`, `ALTER VIEW v_people RENAME COLUMN number TO n2`, `CREATE OR REPLACE VIEW v_clean AS SELECT id, name, ${c.name}::text AS team FROM people`,
    `ALTER TABLE people DROP COLUMN ${c.name}`, `CLUSTER people USING people_ssn`, `ALTER TABLE people ADD PRIMARY KEY (${c.name})`, 'TRUNCATE people CASCADE', `ALTER TABLE people ALTER ${c.name} SET DEFAULT NULL`, `CREATE TABLE made1(a) AS SELECT ${c.name} FROM people WITH NO DATA`, 'ALTER TABLE dogs NO INHERIT animals', "ALTER TABLE events DETACH PARTITION events_a", "CREATE TABLE ev3 PARTITION OF events FOR VALUES IN ('c')"])
  return [query(text), ...select(g), ...look(g, g.pick(['people', 'made1', 'plain', 'renamed', 'persons', 'hr.people', 'v_clean', 'events_a', 'dogs']))]
}
const CATALOG = [
  "SELECT most_common_vals::text, histogram_bounds::text, n_distinct, avg_width FROM pg_stats WHERE tablename = 'people'", 'SELECT * FROM pg_statistic LIMIT 5', "SELECT relname, relpages, reltuples FROM pg_class WHERE relname IN ('people', 'people_ssn') ORDER BY 1", "SELECT pg_relation_size('people'), pg_total_relation_size('people_ssn')",
  "SELECT attname, attnum, atttypid FROM pg_attribute WHERE attrelid = 'people'::regclass ORDER BY 2", "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'people' ORDER BY 1", "SELECT pg_get_viewdef('v_people')", "SELECT query_to_xml('SELECT ssn FROM people', true, false, '')", "SELECT table_to_xml('people', true, false, '')", "SELECT * FROM f_run('SELECT ssn FROM people')",
  'SELECT f_ssn(3)', 'SELECT * FROM f_people()', 'SELECT (f_people()).ssn', "SELECT f_say(ssn) FROM people", 'SELECT lo_from_bytea(0, raw) FROM people', 'SELECT * FROM people_log', "SELECT set_config('my.x', ssn, false) FROM people LIMIT 1", "SELECT current_setting('my.x', true)", 'NOTIFY ch', "SELECT pg_notify('ch', ssn) FROM people", 'LISTEN ch', "SELECT dblink('dbname=x', 'SELECT 1')",
  "SELECT ts_stat('SELECT to_tsvector(ssn) FROM people')", "SELECT pg_read_file('PG_VERSION')", "SELECT currval('nothing')", 'SELECT ssn INTO TEMP tt FROM people', "SELECT schema_to_xml('public', true, false, '')", "SELECT cursor_to_xml('c1', 2, true, false, '')", 'LOCK TABLE people IN SHARE MODE', 'VACUUM people', 'ANALYZE VERBOSE people', 'SHOW search_path', 'SELECT ctid, id FROM people WHERE ctid < \'(0,5)\'', 'SELECT tableoid::regclass, id FROM animals ORDER BY 2',
  'SELECT ssn_end, home, mood, code FROM people', 'SELECT (home).street, (home).* FROM people', "SELECT mood > 'ok', id FROM people", 'SELECT home = ROW(\'x\', 1)::addr FROM people', 'SELECT code::int FROM people', 'SELECT * FROM people_ssn', "SELECT row_to_json(p) FROM (TABLE people) p", 'SELECT x.* FROM people p, LATERAL (SELECT p.*) x', 'SELECT count(*) FROM pg_stat_user_tables', "SELECT bt_page_items('people_ssn', 1)",
  'SET SESSION AUTHORIZATION app', 'SET ROLE app', "SET search_path = hr, public", 'SET enable_seqscan = off', 'SET enable_hashagg = off', "SET DateStyle = 'German'", "SET IntervalStyle = 'iso_8601'", "SET bytea_output = 'escape'", 'SET extra_float_digits = 0', "SET xmlbinary = hex", 'SET client_min_messages = debug1', "SET lc_messages = 'C'", 'SET plan_cache_mode = force_generic_plan', 'SET row_security = off', 'SET transform_null_equals = on', 'SET debug_print_plan = on', "SET default_transaction_read_only = on", 'SET backslash_quote = on', 'SET escape_string_warning = on', 'SET log_min_messages = debug5', "SET my.x = 'y'", 'SET TRANSACTION READ ONLY', 'SET CONSTRAINTS ALL IMMEDIATE',
]
function catalog(g: Generator): Sent[] { return [send(g, g.pick(CATALOG)), ...(g.chance(2) ? select(g) : [])] }
function savepoints(g: Generator): Sent[] { return [query('SAVEPOINT s'), ...select(g), query('ROLLBACK TO s'), ...g.pick([insert, update, select, derive])(g), query('RELEASE s')] }
function several(g: Generator): Sent[] { return [query([g.query().sql, g.chance(2) ? g.query().sql : 'SELECT 1', g.maybe(2, () => writing(g))].filter(Boolean).join('; '))] }
function modifying(g: Generator): Sent[] { return [send(g, `WITH w AS (${writing(g)}) ${g.chance(2) ? 'SELECT count(*) FROM w' : 'SELECT * FROM w'}`)] }
function pipeline(g: Generator): Sent[] {
  const texts = Array.from({ length: 2 + g.r(3) }, () => g.query().sql)
  return [{ text: texts.join('  |  '), readies: 1, bytes: Buffer.concat([...texts.flatMap((text) => [m.parse(text), m.bind({ formats: g.pick([BINARY, TEXT]) }), m.describe('P'), m.execute()]), m.sync()]) }]
}
/** By hand written forms, put together at random. */
function form(g: Generator): Sent[] {
  if (g.chance(3)) return [send(g, g.pick(STATEMENTS)), ...(g.chance(4) ? select(g) : [])]
  const scope = { items: ['people', 'orders'].map((name) => ({ alias: name[0]!, columns: TABLES.find((t) => t.name === name)!.columns, masked: true, row: true, rows: 1 })), outer: null }
  const targets = Array.from({ length: g.chance(3) ? 2 : 1 }, () => g.fill(g.pick(TARGETS), scope, 1))
  const text = `SELECT ${targets.join(', ')} FROM ${g.pick([FROMS[0]!, g.pick(FROMS)])}${g.fill(g.pick(TAILS), scope, 1)}`
  return [g.chance(9) ? query(`COPY (${text}) TO STDOUT${g.maybe(2, () => ' (FORMAT binary)')}`) : g.chance(9) ? query(`DECLARE c1 CURSOR FOR ${text}; FETCH ALL FROM c1`) : send(g, text)]
}
/** The server keeps it after the transaction; undone by hand. */
function committed(g: Generator): Sent[] { return [...select(g), ...select(g), query('ROLLBACK')] }

const BENIGN: readonly (readonly [string, Make])[] = [['select', select], ['select', select], ['select', select], ['select', select], ['select', select], ['insert', insert], ['update', update], ['delete', remove], ['merge', merge], ['copy', copy], ['copy in', copyIn], ['cursor', cursor], ['prepare', prepared], ['several', several], ['pipeline', pipeline], ['modifying', modifying], ['savepoint', savepoints], ['commit', committed]]
const KINDS: readonly (readonly [string, Make])[] = [...BENIGN, ...BENIGN, ...Array.from({ length: 22 }, () => ['form', form] as const), ['explain', explain], ['explain', explain], ['derive', derive], ['derive', derive], ['routine', routine], ['define', define], ['catalog', catalog], ['catalog', catalog]]
