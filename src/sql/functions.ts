// Whether a function, operator or type is known to be harmless: built in and not excluded, of a well-known extension, or listed by the
// resource. Never trusts a name alone: an overload that a user made may win over the built-in one, so any such routine in sight makes it unknown.
import type { Behind, Catalog, NameContext, Routine } from './catalog.ts'
import { routineLineage } from './definitions.ts'
import { exclusionOf } from './excluded.ts'
import { Unfollowed } from './flow.ts'
import { BUILTIN, EXTENSIONS, INFORMATION, RELATIONS, TYPES } from './functions.builtin.ts'

/** null: harmless. Else what it counts as, and why. */
export type Doubt = { readonly operation: string; readonly reason: string } | null

/** What this session, or this text, has made and the catalog can't know yet. */
export interface Makes {
  /** Bare names of functions, procedures, aggregates. */
  readonly functions: ReadonlySet<string>
  readonly operators: ReadonlySet<string>
  readonly types: ReadonlySet<string>
  readonly relations: ReadonlySet<string>
  /** Anything may have been made: a DO, a CALL, an extension. */
  readonly any: boolean
}
export const NOTHING_MADE: Makes = { functions: new Set(), operators: new Set(), types: new Set(), relations: new Set(), any: false }

export interface Sight {
  readonly catalog: Catalog
  /** null: the search path is not known. */
  readonly context: NameContext | null
  /** Normalised signatures, see `listed`. */
  readonly listed: ReadonlySet<string>
  readonly made: Makes
  /** Gets the SQL functions that are called and harmless because their bodies only read. */
  readonly followed?: Set<number>
}

interface Versioned { readonly functions: ReadonlySet<string>; readonly information: ReadonlySet<string>; readonly types: ReadonlySet<string>; readonly relations: ReadonlySet<string> }
const byVersion = new Map<number, Versioned>()
const words = (text: string): string[] => text.trim().split(/\s+/)
function namesFor(table: Readonly<Record<string, string>>, major: number): Set<string> {
  const out = new Set<string>()
  for (const range in table) {
    const [first, last] = range.split('-').map(Number)
    if (first! <= major && major <= last!) for (const name of words(table[range]!)) out.add(name)
  }
  return out
}
/** Functions of well-known extensions that are harmless, by extension. */
export const EXTENSION_NAMES: ReadonlyMap<string, ReadonlySet<string>> = new Map(Object.entries(EXTENSIONS).map(([extension, names]) => [extension, new Set(words(names))]))

/** The built-in names of a server, by server_version_num. A version beyond those known has those of none: everything is unknown there. */
export function builtinOf(serverVersion: number): Versioned {
  const major = Math.floor(serverVersion / 10000)
  let known = byVersion.get(major)
  if (known === undefined) {
    known = { functions: namesFor(BUILTIN, major), information: namesFor(INFORMATION, major), types: namesFor(TYPES, major), relations: namesFor(RELATIONS, major) }
    byVersion.set(major, known)
  }
  return known
}

/** Types as people write them → as format_type does. */
const SPELLINGS: Readonly<Record<string, string>> = {
  int: 'integer', int4: 'integer', int8: 'bigint', int2: 'smallint', bool: 'boolean', varchar: 'character varying', char: 'character', bpchar: 'character',
  float8: 'double precision', float4: 'real', decimal: 'numeric', timestamptz: 'timestamp with time zone', timestamp: 'timestamp without time zone',
  timetz: 'time with time zone', time: 'time without time zone', varbit: 'bit varying',
}
const spelled = (type: string): string => {
  const bare = type.trim().toLowerCase().replace(/\s+/g, ' ').replace(/^pg_catalog\./, '')
  const array = bare.endsWith('[]') ? '[]' : ''
  const base = bare.slice(0, bare.length - array.length)
  return (SPELLINGS[base] ?? base) + array
}
/** `schema.name(type, …)` of a resource's `functions`, comparable. */
export function normalSignature(text: string): string {
  const [, name = text, args = ''] = /^\s*([^(]+?)\s*\((.*)\)\s*$/s.exec(text) ?? []
  return `${name.trim()}(${args.trim() === '' ? '' : args.split(',').map(spelled).join(',')})`
}
export const signatureOf = (routine: Routine): string => `${routine.schema}.${routine.name}(${routine.arguments.map(spelled).join(',')})`

export function routineHarmless(routine: Routine, sight: Sight): boolean {
  if (sight.made.functions.has(routine.name)) return false
  if (routine.extension !== null && EXTENSION_NAMES.get(routine.extension)?.has(routine.name) === true) return true
  return sight.listed.has(signatureOf(routine)) || readsOnly(routine, sight)
}

/** A function in SQL whose body only reads, and calls nothing that is not harmless too. Nothing may be made in between that its names could come to mean. */
function readsOnly(routine: Routine, sight: Sight): boolean {
  const { made, catalog } = sight
  if (made.any || made.functions.size + made.operators.size + made.types.size + made.relations.size > 0) return false
  const found = routineLineage(catalog, routine)
  if (found instanceof Unfollowed || !found.handed.every(({ routine: oid, behind }) => { const inner = catalog.routineById.get(oid); return inner === undefined || routineHarmless(inner, sight) || behind && sideless(inner) })) return false
  sight.followed?.add(routine.oid)
  return true
}
/** Of an extension, and without side effects by its own word. */
const sideless = (routine: Routine): boolean => routine.extension !== null && routine.volatility !== 'v' && routine.language === 'c'

const visible = (schema: string, sight: Sight): boolean => sight.context === null || sight.context.searchPath.includes(schema)

/** A function by the parts of its name as written. */
export function judgeFunction(path: readonly string[], sight: Sight): Doubt {
  const name = path.at(-1) ?? ''
  const schema = path.length > 1 ? path.at(-2)! : null
  const shown = path.slice(-2).join('.')
  const builtin = builtinOf(sight.catalog.serverVersion)
  if (schema === 'pg_catalog' || schema === null) {
    const excluded = exclusionOf(name)
    if (excluded !== null) return { operation: excluded.operation, reason: `function ${shown}() ${excluded.reason}` }
  }
  if (schema === 'pg_catalog') return builtin.functions.has(name) || builtin.types.has(name) ? null : unknown(shown)
  if (schema === 'information_schema') return builtin.information.has(name) ? null : unknown(shown)
  if (sight.made.any || sight.made.functions.has(name)) return unknown(shown)
  const routines = (sight.catalog.routines.get(name) ?? []).filter((routine) => schema === null ? visible(routine.schema, sight) : routine.schema === schema)
  if (!routines.every((routine) => routineHarmless(routine, sight))) return unknown(shown)
  if (routines.length > 0) return null
  if (schema === null && (builtin.functions.has(name) || builtin.types.has(name))) return null
  // `mood('sad')` is a cast when mood is a type.
  if (sight.catalog.types.has(name)) return judgeType(path, sight)
  return unknown(shown)
}
const unknown = (shown: string): Doubt => ({ operation: 'sql.call', reason: `function ${shown}() is not known to be harmless` })

/** An operator by the parts of its name as written. */
export function judgeOperator(path: readonly string[], sight: Sight): Doubt {
  const name = path.at(-1) ?? ''
  const schema = path.length > 1 ? path.at(-2)! : null
  if (schema === 'pg_catalog') return null
  const bad: Doubt = { operation: 'sql.call', reason: `operator ${path.slice(-2).join('.')} calls a function that is not known to be harmless` }
  if (sight.made.operators.has(name) || sight.made.any) return bad
  const candidates = (sight.catalog.operators.get(name) ?? []).filter((one) => schema === null ? visible(one.schema, sight) : one.schema === schema)
  // With none behind, a built-in function is: which one is not known here.
  if (!candidates.every((one) => one.routines.length > 0 && behindHarmless(one, sight))) return bad
  return candidates.length === 0 && schema !== null ? bad : null
}

/** A type by the parts of its name: its input, checks and casts are functions too. */
export function judgeType(path: readonly string[], sight: Sight): Doubt {
  const name = path.at(-1) ?? ''
  const schema = path.length > 1 ? path.at(-2)! : null
  if (schema === 'pg_catalog' || schema === 'information_schema') return null
  const bad: Doubt = { operation: 'sql.call', reason: `type ${path.slice(-2).join('.')} calls a function that is not known to be harmless` }
  if (sight.made.types.has(name) || sight.made.any) return bad
  const candidates = (sight.catalog.types.get(name) ?? []).filter((one) => schema === null ? visible(one.schema, sight) : one.schema === schema)
  return candidates.every((one) => behindHarmless(one, sight)) ? null : bad
}

function behindHarmless(behind: Behind, sight: Sight): boolean {
  return behind.routines.every((oid) => {
    const routine = sight.catalog.routineById.get(oid)
    if (routine === undefined || sight.made.functions.has(routine.name)) return false
    // Operators and types of any extension: what they call without side effects by its own word. Else one `=` of PostGIS would make all of them unknown.
    return routineHarmless(routine, sight) || sideless(routine)
  })
}

/** Whether a user's routine has this name: `c.name` and `(c).name` call it when c has no such column. */
export function routineNamed(name: string, sight: Sight): boolean {
  return sight.made.any || sight.made.functions.has(name) || sight.catalog.routines.has(name)
}
