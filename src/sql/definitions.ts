// The lineage of views and of SQL functions, by their definitions: worked out once per catalog, whoever asks. Which of it is masked for whom
// is mask-view.ts' business.
import type { Node } from 'libpg-query'
import type { Catalog, Relation, Routine } from './catalog.ts'
import { exclusionOf, sensitivityOf } from './excluded.ts'
import { columnFlow, type Flow, type Lineage, merge, Unfollowed } from './flow.ts'
import { builtinOf } from './functions.ts'
import { parseShort } from './grammar.ts'
import { lineage, type Names } from './lineage.ts'
import { walk } from './walk.ts'

export type Followed = Lineage | Unfollowed
interface Known { readonly views: Map<number, Followed>; readonly routines: Map<number, Followed>; readonly tables: Map<string, readonly Relation[]> }
const kept = new WeakMap<Catalog, Known>()
function knownOf(catalog: Catalog): Known {
  let known = kept.get(catalog)
  if (known === undefined) kept.set(catalog, known = { views: new Map(), routines: new Map(), tables: new Map() })
  return known
}
const CIRCLE = 'it leads back to itself'
function once(kept: Map<number, Followed>, oid: number, follow: () => Lineage): Followed {
  let found = kept.get(oid)
  if (found !== undefined) return found
  // Whoever leads back to itself on the way is not followed.
  kept.set(oid, new Unfollowed(CIRCLE))
  try { found = follow() } catch (error) { if (!(error instanceof Unfollowed)) throw error; found = error }
  kept.set(oid, found)
  return found
}

export function viewLineage(catalog: Catalog, view: Relation): Followed {
  return once(knownOf(catalog).views, view.oid, () => {
    const parsed = view.definition === undefined ? null : parseShort(view.definition)
    if (parsed?.kind !== 'tree' || parsed.statements.length !== 1) throw new Unfollowed('its definition can\'t be read')
    const found = lineage(parsed.statements[0]!.node, serverNames(catalog))
    if (found.outputs.length !== view.columns.length) throw new Unfollowed('its columns are not those of its definition')
    // What the server says that it reads must be among what was found.
    for (const [oid, number] of view.readColumns ?? []) if (number > 0 && !found.touched.has(`${oid}.${number}`)) throw new Unfollowed(`its use of a column of ${catalog.relations.get(oid)?.name ?? 'a table'} can't be told`)
    return found
  })
}

/** Of a function in SQL that only reads. Volatile ones may read, too: what a function says of itself proves nothing. */
export function routineLineage(catalog: Catalog, routine: Routine): Followed {
  return once(knownOf(catalog).routines, routine.oid, () => {
    if (routine.language !== 'sql' || routine.kind !== 'f' || routine.extension !== null) throw new Unfollowed(`it is written in ${routine.language}`)
    if ((routine.settings ?? ['']).some((setting) => !/^search_path=/i.test(setting))) throw new Unfollowed('it has settings of its own')
    const statements = bodyOf(routine.body)
    for (const statement of statements) walk(statement, ({ kind }) => { if (kind === 'LockingClause') throw new Unfollowed('it takes locks') })
    const names = sessionNames(catalog, routine)
    if (routine.defaults !== undefined && routine.defaults !== null && routine.defaults !== '') {
      const defaults = parseShort(`SELECT ${routine.defaults}`)
      if (defaults?.kind !== 'tree' || lineage(defaults.statements[0]!.node, serverNames(catalog)).handed.length > 0) throw new Unfollowed('its defaults call functions')
    }
    const read = statements.map((node) => lineage(node, names))
    for (const relation of read.flatMap((one) => [...one.reads]).map((oid) => catalog.relations.get(oid))) {
      // What is refused to a plain reader is refused through a function, too.
      if (relation !== undefined && (relation.schema === 'pg_catalog' || relation.name.startsWith('pg_stat_statements')) && (sensitivityOf(relation.name) !== null || !builtinOf(catalog.serverVersion).relations.has(relation.name))) throw new Unfollowed(`it reads ${relation.name}`)
    }
    for (const { routine: oid } of read.flatMap((one) => one.handed)) {
      const inner = catalog.routineById.get(oid)
      const led = inner?.language === 'sql' ? routineLineage(catalog, inner) : null
      if (led instanceof Unfollowed && led.message === CIRCLE) throw led
    }
    const last = read.at(-1)
    if (last === undefined) throw new Unfollowed('it has no query')
    // What it was given decides about its rows, too: the caller's flow says by what.
    return { outputs: last.outputs, decides: last.decides, reads: union(read.map((one) => one.reads)), touched: union(read.map((one) => one.touched)), handed: read.flatMap((one) => one.handed) }
  })
}
const union = <T>(sets: readonly ReadonlySet<T>[]): ReadonlySet<T> => new Set(sets.flatMap((set) => [...set]))

/** A body as text: queries, `RETURN value`, or BEGIN ATOMIC … END as the server prints it. */
function bodyOf(body: string): Node[] {
  const atomic = /^\s*BEGIN ATOMIC\s+([\s\S]*?)\s*END\s*$/.exec(body)
  const value = /^\s*RETURN\s+([\s\S]*)$/.exec(body)
  const parsed = parseShort(atomic !== null ? atomic[1]! : value !== null ? `SELECT ${value[1]!}` : body)
  if (parsed?.kind !== 'tree') throw new Unfollowed('its body can\'t be read')
  return parsed.statements.map(({ node }) => node)
}

/** The flow of all that a routine can give. */
export const resultOf = (found: Lineage): Flow => merge([...found.outputs.map(({ flow }) => flow), found.decides], 'computed')

/** Tables and columns (`schema.table.column`) that sources lead to, through every view and function on the way. */
export function reached(catalog: Catalog, from: Iterable<string>): { readonly relations: ReadonlySet<string>; readonly columns: ReadonlySet<string> } {
  const relations = new Set<string>()
  const columns = new Set<string>()
  const seen = new Set<string>()
  const queue = [...from]
  const all = (flow: Flow): void => { queue.push(...flow.sources, ...flow.nulls) }
  for (let source = queue.pop(); source !== undefined; source = queue.pop()) {
    if (seen.has(source)) continue
    seen.add(source)
    if (source.startsWith('f')) {
      const routine = catalog.routineById.get(Number(source.slice(1)))
      const found = routine === undefined ? null : routineLineage(catalog, routine)
      if (found === null || found instanceof Unfollowed) continue
      for (const oid of found.reads) { const relation = catalog.relations.get(oid); if (relation !== undefined) relations.add(`${relation.schema}.${relation.name}`) }
      queue.push(...found.touched, ...found.handed.map(({ routine: oid }) => `f${oid}`))
      continue
    }
    const [oid, number] = source.split('.').map(Number)
    const relation = catalog.relations.get(oid!)
    if (relation === undefined) continue
    const name = `${relation.schema}.${relation.name}`
    relations.add(name)
    const index = relation.columns.findIndex((column) => column.number === number)
    if (index >= 0) columns.add(`${name}.${relation.columns[index]!.name}`)
    if ((relation.kind !== 'v' && relation.kind !== 'm') || isSystem(relation.schema)) continue
    const found = viewLineage(catalog, relation)
    // What is not followed may use all that the server says.
    if (found instanceof Unfollowed) { queue.push(...(relation.readColumns ?? []).map(([read, column]) => `${read}.${column}`)); continue }
    if (index >= 0) all(found.outputs[index]!.flow)
    all(found.decides)
  }
  return { relations, columns }
}

// ——— names ———

const isSystem = (schema: string): boolean => schema === 'pg_catalog' || schema === 'information_schema'
const builtIn = (catalog: Catalog, path: readonly string[]): boolean => {
  const known = builtinOf(catalog.serverVersion)
  const name = path.at(-1) ?? ''
  return path.length > 1 && path.at(-2) === 'information_schema' ? known.information.has(name) : known.functions.has(name) || known.types.has(name) || exclusionOf(name) !== null
}
const shortOf = ({ oid, set }: Routine): { oid: number; set: boolean } => ({ oid, set: set !== false })

/** In texts that the server writes with nothing but pg_catalog on the search path: what is not qualified is built in. */
function serverNames(catalog: Catalog): Names {
  const behind = (list: Catalog['operators'] | Catalog['types'], path: readonly string[]): readonly number[] => {
    if (path.length < 2 || isSystem(path.at(-2)!)) return []
    return (list.get(path.at(-1)!) ?? []).filter((one) => one.schema === path.at(-2)).flatMap((one) => one.routines)
  }
  return {
    relation: (schema, name) => catalog.byName.get(`${schema ?? 'pg_catalog'}.${name}`) ?? null,
    routines: (path) => {
      if (path.length < 2 || isSystem(path.at(-2)!)) return null
      const found = (catalog.routines.get(path.at(-1)!) ?? []).filter((routine) => routine.schema === path.at(-2))
      if (found.length === 0) throw new Unfollowed(`function ${path.join('.')}() is not known here`)
      return found.map(shortOf)
    },
    builtIn: (path) => builtIn(catalog, path),
    behindOperator: (path) => behind(catalog.operators, path), behindType: (path) => behind(catalog.types, path),
    parameter: () => null,
  }
}

/** In texts that find their names by whatever search path the caller has: a name must mean one thing in every schema. */
function sessionNames(catalog: Catalog, routine: Routine): Names {
  const server = serverNames(catalog)
  const named = routine.argumentNames ?? []
  const path = pathOf(routine)
  return {
    relation: (schema, name) => {
      if (schema !== null) return server.relation(schema, name)
      if (path !== null) return ['pg_catalog', ...path].map((one) => catalog.byName.get(`${one}.${name}`)).find((relation) => relation !== undefined) ?? null
      const found = tablesNamed(catalog, name)
      return found.length === 1 ? found[0]! : null
    },
    routines: (called) => {
      if (called.length > 1) return server.routines(called)
      const found = (catalog.routines.get(called[0]!) ?? []).filter((one) => path === null || path.includes(one.schema))
      if (found.length === 0) return null
      if (builtIn(catalog, called)) throw new Unfollowed(`${called[0]}() could be the server's own function or another`)
      return found.map(shortOf)
    },
    builtIn: server.builtIn,
    behindOperator: (called) => called.length > 1 ? server.behindOperator(called) : (catalog.operators.get(called[0] ?? '') ?? []).flatMap((one) => one.routines),
    behindType: (called) => called.length > 1 ? server.behindType(called) : (catalog.types.get(called[0] ?? '') ?? []).flatMap((one) => one.routines),
    parameter: (called) => called.length === 2 && called[0] !== routine.name ? null : named.includes(called.at(-1)!) ? columnFlow(`$${named.indexOf(called.at(-1)!) + 1}`) : null,
  }
}
/** The schemas of its own SET search_path; null when it has none, or one that depends on the role. A temporary table of the session may still come first: it holds the client's own rows. */
function pathOf({ settings }: Routine): readonly string[] | null {
  const set = settings?.find((setting) => /^search_path=/i.test(setting))
  if (set === undefined || /\$user/.test(set)) return null
  return set.slice('search_path='.length).split(',').map((one) => one.trim().replace(/^"(.*)"$/, '$1').replaceAll('""', '"')).filter((one) => one !== '' && one !== 'pg_temp')
}
function tablesNamed(catalog: Catalog, name: string): readonly Relation[] {
  const known = knownOf(catalog).tables
  let found = known.get(name)
  if (found === undefined) known.set(name, found = [...catalog.relations.values()].filter((relation) => relation.name === name))
  return found
}
