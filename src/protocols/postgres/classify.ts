// `sluice classify`: looks at a sample of every table's values, in the process that has the connection, and tells names, kinds and counts.
// A value never leaves it: not in an answer, an error or a log. Only plain tables are read, so that nobody's view or function runs.
import { NotAllowed, Unreachable } from '../../core/errors.ts'
import type { Classified, ClassifiedColumn } from '../../core/classified.ts'
import { type FieldPattern, parseFieldPattern } from '../../core/match.ts'
import type { Resource } from '../../core/resource.ts'
import { likenessOf } from '../../detect/index.ts'
import type { OwnConnection, Rows } from './query.ts'

/** Rows of a table that are looked at. */
export const SAMPLE_ROWS = 200
/** Characters of a value that are looked at. */
export const SAMPLE_CHARACTERS = 2_048
/** Columns asked for at a time: with the two above a bound on memory. */
export const SAMPLE_COLUMNS = 16
/** After this no further table is read, and those left are named. Below the API's own limit for a request. */
export const CLASSIFY_MS = 20_000
/** A table that takes longer is left out, and named. */
export const TABLE_MS = 3_000
/** Larger tables are sampled by pages rather than from their start. */
const PAGES_FROM_ROWS = 10_000

const COLUMNS = `SELECT n.nspname::text, c.relname::text, c.relkind::text, a.attname::text, pg_catalog.format_type(a.atttypid, NULL), pg_catalog.col_description(c.oid, a.attnum), GREATEST(c.reltuples, 0)::bigint::text, (
    b.typcategory = 'S' OR b.typname IN ('json', 'jsonb', 'xml', 'hstore', 'int8', 'numeric') OR e.typcategory = 'S')::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND b.typelem <> 0
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.relpersistence <> 't' AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
  ORDER BY n.nspname, c.relname, a.attnum`

interface Column { readonly name: string; readonly type: string; readonly comment: string | null; readonly searched: boolean }
interface Table { readonly schema: string; readonly name: string; readonly kind: string; readonly rows: number; readonly columns: Column[] }

/** `connection` is a fresh one of the resource's own; the caller ends it. */
export async function classify(resource: Resource, connection: OwnConnection): Promise<Classified> {
  const untilMs = Date.now() + CLASSIFY_MS
  const rows = await alone(connection, COLUMNS)
  if (rows === null) throw new Unreachable('the catalog of the resource can\'t be read')
  const tables = tablesOf(rows)
  const tags = Object.entries(resource.tags ?? {}).map(([tag, fields]) => ({ tag, patterns: fields.map((text) => parseFieldPattern(text)).filter((pattern) => pattern !== null) }))
  const known = taggedColumns(tables, tags)
  const columns: ClassifiedColumn[] = [], unread: { table: string; why: string }[] = []
  for (const table of tables) {
    const sample = await sampleOf(connection, table, untilMs)
    if (typeof sample === 'string') unread.push({ table: fieldOf(table.schema, table.name), why: sample })
    const values = typeof sample === 'string' ? null : sample
    for (const column of table.columns) {
      const likeness = likenessOf(column, values?.get(column.name) ?? [])
      const carried = tags.filter(({ patterns }) => covers(patterns, table, column.name)).map(({ tag }) => tag)
      const like = carried.length > 0 ? null : known.get(`${column.name}\0${column.type}`) ?? null
      if (likeness === null && like === null) continue
      columns.push({
        field: fieldOf(table.schema, table.name, column.name), type: column.type, tags: carried, like: like?.field ?? null,
        ...likeness ?? { kind: 'unknown', tag: like!.tag, confidence: 0.6, why: `${like!.field} is tagged ${like!.as}`, sampled: values?.get(column.name)?.length ?? 0, matched: 0, within: false },
      })
    }
  }
  return { columns, unread, tables: tables.length }
}

function tablesOf(rows: Rows): Table[] {
  const tables = new Map<string, Table>()
  for (const [schema, name, kind, column, type, comment, count, searched] of rows) {
    const key = `${schema}\0${name}`
    if (!tables.has(key)) tables.set(key, { schema: schema!, name: name!, kind: kind!, rows: Number(count), columns: [] })
    tables.get(key)!.columns.push({ name: column!, type: type!, comment: comment ?? null, searched: searched === 'true' })
  }
  return [...tables.values()]
}

/** Values by column, or why there are none. Never throws: what a server says of a failed read may hold values. */
async function sampleOf(connection: OwnConnection, table: Table, untilMs: number): Promise<ReadonlyMap<string, readonly Buffer[]> | string> {
  if (table.kind === 'v' || table.kind === 'f') return table.kind === 'v' ? 'a view: what it calls would run' : 'a foreign table: it lies elsewhere'
  const out = new Map<string, readonly Buffer[]>()
  const searched = table.columns.filter((column) => column.searched)
  for (let at = 0; at < searched.length; at += SAMPLE_COLUMNS) {
    if (connection.ended) return 'the connection was lost'
    if (Date.now() > untilMs) return `not reached within ${CLASSIFY_MS / 1000} s`
    const part = searched.slice(at, at + SAMPLE_COLUMNS)
    const rows = await alone(connection, `SELECT ${part.map(({ name }) => `pg_catalog.left(${quote(name)}::pg_catalog.text, ${SAMPLE_CHARACTERS})`).join(', ')} FROM ${table.kind === 'p' ? '' : 'ONLY '}${quote(table.schema)}.${quote(table.name)}${pages(table)} LIMIT ${SAMPLE_ROWS}`)
    if (rows === null) return 'it can\'t be read with the resource\'s credential, or not in time'
    part.forEach(({ name }, i) => out.set(name, rows.flatMap((row) => (row[i] == null || row[i] === '' ? [] : [Buffer.from(row[i])]))))
  }
  return out
}
/** In a transaction of its own that can change nothing and leaves no setting behind; null when the server refused. */
async function alone(connection: OwnConnection, text: string): Promise<Rows | null> {
  try {
    const results = await connection.query(`BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = ${TABLE_MS}; SET LOCAL lock_timeout = ${TABLE_MS}; ${text}; COMMIT`)
    return results[0] ?? []
  } catch {
    await connection.query('ROLLBACK').catch(() => null)
    return null
  }
}
/** Pages from anywhere in a large table: enough that the limit is reached. */
const pages = (table: Table): string => (table.rows < PAGES_FROM_ROWS || table.kind === 'p' ? '' : ` TABLESAMPLE SYSTEM (${Math.min(100, Math.max(0.01, (SAMPLE_ROWS * 2_000) / table.rows)).toFixed(4)})`)

const quote = (name: string): string => {
  if (name.includes('\0')) throw new NotAllowed('a name holds a zero byte')
  return `"${name.replaceAll('"', '""')}"`
}
/** As a field pattern has it: quoted unless it is plain. */
const fieldOf = (...names: readonly string[]): string => names.map((name) => (/^[a-z_][a-z0-9_$]*$/.test(name) ? name : quote(name))).join('.')

interface Tagged { readonly tag: string; readonly patterns: readonly FieldPattern[] }
const covers = (patterns: readonly FieldPattern[], table: Table, column: string) => patterns.some((pattern) => pattern.covers(table.schema, table.name, column))
interface Alike { readonly field: string; readonly tag: 'pii' | 'secret'; readonly as: string }
/** Tagged columns by name and type: what is new often repeats what is known in another table. */
function taggedColumns(tables: readonly Table[], tags: readonly Tagged[]): ReadonlyMap<string, Alike> {
  const out = new Map<string, Alike>()
  for (const { tag, patterns } of tags) for (const table of tables) for (const { name, type } of table.columns) {
    const key = `${name}\0${type}`
    if (!out.has(key) && covers(patterns, table, name)) out.set(key, { field: fieldOf(table.schema, table.name, name), tag: tag === 'secret' ? 'secret' : 'pii', as: tag })
  }
  return out
}
