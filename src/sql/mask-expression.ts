// The SQL expression that stands for a masked column. It keeps NULL, type and typmod, and every name in it is qualified, so that no object
// of a client's can take the place of a built-in one. Also: how the masks look, to know one when it comes back in a write.
import type { Column, Relation } from './catalog.ts'
import type { Hidden } from './mask-index.ts'

export const HIDDEN_TEXT = '[hidden]'
const PART = '***'
/** How `hash` shows a text. */
export const HASH_SHAPE = '^[0-9a-f]{16}$'
const hashed = new RegExp(HASH_SHAPE)
/** Types whose names are words of the grammar: they can't be shadowed, and take no schema. */
const GRAMMAR_TYPE = /^(smallint|integer|bigint|real|double precision|numeric|boolean|bit|bit varying|character|character varying|time|timestamp|interval)(\W|$)/

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
export const relationName = (relation: Relation): string => `${relation.temporary ? 'pg_temp' : quote(relation.schema)}.${quote(relation.name)}`
/** A type name that can't mean another type whatever the search path: format_type gave it with only pg_catalog on the path. */
export function castType(column: Column): string {
  if (GRAMMAR_TYPE.test(column.typeName)) return column.typeName
  return /^("[^"]*"|[^".(]*)(\[\])*$/.test(column.typeName) ? `pg_catalog.${column.typeName}` : column.typeName
}
export const isText = (column: Column): boolean => column.typeKind !== 'd' && /^(text|character varying(\(\d+\))?|character(\(\d+\))?)$/.test(column.typeName)
/**
 * What a write would give back if it saved what this mask shows. A virtual column would be computed from real values to learn whether it is
 * NULL, and the error of that would carry them: it shows NULL.
 */
export const shows = (hidden: Hidden): 'text' | 'part' | 'null' => hidden.with === 'null' || !isText(hidden.column) || hidden.column.generated === 'v' ? 'null' : hidden.with === 'partial' ? 'part' : 'text'

export function maskExpression(hidden: Hidden): string {
  const { column } = hidden
  const type = castType(column)
  const name = quote(column.name)
  // A domain may refuse NULL when it is cast to; a scalar subselect of no row is a NULL of that type all the same.
  if (column.typeKind === 'd') return `(SELECT ${name} WHERE false)`
  if (shows(hidden) === 'null') return `NULL::${type}`
  if (hidden.constant === true) return `'${HIDDEN_TEXT}'::${type}`
  const text = hidden.with === 'partial' ? partial(name) : `'${HIDDEN_TEXT}'`
  return `CASE WHEN ${name} IS NULL THEN NULL::${type} ELSE ${text}::${type} END`
}

/** The last four of a number, the first letter and the domain of an address, else the first and last letter. */
function partial(name: string): string {
  const value = `${name}::pg_catalog.text`
  const digits = `pg_catalog.regexp_replace(${value}, '[^0-9]', '', 'g')`
  const joined = (...parts: string[]) => parts.join(' OPERATOR(pg_catalog.||) ')
  return `(CASE WHEN ${value} OPERATOR(pg_catalog.~) '^[^@ ]+@[^@ ]+$' THEN ${joined(`pg_catalog.left(${value}, 1)`, `'${PART}@'`, `pg_catalog.split_part(${value}, '@', 2)`)} ` +
    `WHEN ${value} OPERATOR(pg_catalog.~) '^[0-9 ().+-]+$' AND pg_catalog.length(${digits}) OPERATOR(pg_catalog.>=) 8 THEN ${joined(`'${PART}'`, `pg_catalog.right(${digits}, 4)`)} ` +
    `WHEN pg_catalog.length(${value}) OPERATOR(pg_catalog.>=) 6 THEN ${joined(`pg_catalog.left(${value}, 1)`, `'${PART}'`, `pg_catalog.right(${value}, 1)`)} ELSE '${PART}' END)`
}

/** Whether a value to be stored is a mask's own text. */
export function isMaskText(hidden: Hidden, value: string): boolean {
  if (value === HIDDEN_TEXT) return true
  if (hidden.with === 'partial') return value.includes(PART)
  if (hidden.with === 'hash' && hashed.test(value)) return true
  const length = /\((\d+)\)/.exec(hidden.column.typeName)?.[1]
  return length !== undefined && Number(length) > 1 && value.trimEnd() === HIDDEN_TEXT.slice(0, Number(length))
}
