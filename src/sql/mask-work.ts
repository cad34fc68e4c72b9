// One statement on its way through the masks: what it names, gathered in one walk, and what has been decided so far. A name is taken for
// a masked column whenever it could be one: too much is hidden before too little.
import type { A_Expr, ColumnRef, JoinExpr, Node, RangeVar, SelectStmt } from 'libpg-query'
import type { Catalog, Column, Relation } from './catalog.ts'
import type { Hidden, Masked, MaskIndex } from './mask-index.ts'
import { label, OTHERS, SENT_TEXTS, STATISTICS } from './mask-index.ts'
import type { Reference, Resolution } from './resolve.ts'
import { SYSTEM_COLUMNS } from './scope.ts'
import type { Splice } from './splice.ts'
import { as, kindOf, type Place, stringOf, stringsOf, walk } from './walk.ts'

const READ_BELOW = 'read the tables it is made from: their masked columns are hidden, the others are not'

export class Refusal extends Error {
  readonly rule: string
  readonly hint: string
  /** A person may allow it all the same. */
  readonly reviewable: boolean
  constructor(rule: string, message: string, hint: string, reviewable = false) { super(message); this.rule = rule; this.hint = hint; this.reviewable = reviewable }
}
export interface HiddenUse { readonly schema: string; readonly table: string; readonly column: string; readonly rule: string; readonly kind: Hidden['with']; readonly computed: boolean }
/** A column whose values cross the wire unmasked by SQL: the answer's masks must hide it by its origin. */
export interface WireMask { readonly schema: string; readonly table: string; readonly column: string; readonly rule: string; readonly kind: Hidden['with']; readonly relation: number; readonly number: number }
/** A parameter that is written to a masked column: refuse the run when it is what the mask shows (see storesMask). */
export interface StoredParameter { readonly parameter: number; readonly hidden: Hidden; /** NULL is refused too: the mask shows NULL. */ readonly nullRefused: boolean; readonly column: string }
export interface Lookup { readonly schema: string; readonly table: string; readonly column: string; readonly rule: string; readonly count: number; readonly perMs: number; readonly parameter: number | null; readonly at: number; readonly length: number }
/** What stands for values, given by who holds the key. */
export interface TokenCodec {
  /** Whether values of this column have tokens. */
  has(column: Column): boolean
  /** Whether equal values of both have equal tokens. */
  alike(one: Column, other: Column): boolean
  /** The value that a text stands for; null when it is no token. `certain`: it can be nothing else. */
  back(column: Column, text: string): { readonly value: string; readonly certain: boolean } | null
}
/** A result column, by its place from 0, that leaves the server with real values. */
export interface Passed { readonly index: number; readonly relation: number; readonly number: number; readonly type: number; readonly typmod: number }
/**
 * A parameter that may hold a token, and the numbers of those that are added for it: `value` is what it stands for, when anything does; with
 * `certain`, that goes there when it can be nothing else. What is not turned is NULL; under `plain` the parameter itself, where it is no token.
 */
export interface TurnedParameter { readonly parameter: number; readonly column: Column; readonly value: number; readonly certain: number | null; readonly plain: boolean }
/** Compares an old node with its replacement; true when only what was meant to differ differs. */
export type Expected = (old: unknown, now: unknown, same: (old: unknown, now: unknown) => boolean) => boolean

export interface Named { readonly ref: ColumnRef; readonly path: readonly string[]; readonly star: boolean; readonly place: Place; readonly query: object }
export interface Ranged { readonly node: RangeVar; readonly place: Place; readonly query: object; readonly reference: Reference }

/** Everything one statement names. */
export class Names {
  readonly columns: Named[] = []
  readonly ranges: Ranged[] = []
  readonly joins: JoinExpr[] = []
  readonly comparisons: { readonly expression: A_Expr; readonly place: Place }[] = []
  readonly selects: SelectStmt[] = []
  readonly writes: Place[] = []
  readonly using = new Set<string>()

  constructor(statement: Node, resolution: Resolution, interesting: (name: string) => boolean) {
    walk(statement, (place) => {
      const { kind, body } = place
      if (kind === 'ColumnRef') {
        const fields = (body as ColumnRef).fields ?? []
        const star = kindOf(fields.at(-1)) === 'A_Star'
        this.columns.push({ ref: body, path: (star ? fields.slice(0, -1) : fields).map((field) => stringOf(field) ?? ''), star, place, query: queryOf(place) })
      } else if (kind === 'RangeVar') {
        // FOR UPDATE OF names an alias, not a relation.
        if (place.up?.kind === 'LockingClause') return
        const reference = resolution.byNode.get(body)
        if (reference === undefined) {
          if (interesting((body as RangeVar).relname ?? '')) throw new Refusal('mask', `the relation ${(body as RangeVar).relname} stands where its columns can't be hidden`, 'read the table by a plain SELECT')
          return
        }
        this.ranges.push({ node: body, place, query: queryOf(place), reference })
      } else if (kind === 'JoinExpr') {
        this.joins.push(body)
        for (const name of stringsOf((body as JoinExpr).usingClause) ?? []) this.using.add(name)
      } else if (kind === 'A_Expr') this.comparisons.push({ expression: body, place })
      else if (kind === 'SelectStmt') this.selects.push(body)
      else if (kind === 'InsertStmt' || kind === 'UpdateStmt' || kind === 'DeleteStmt' || kind === 'MergeStmt') this.writes.push(place)
    })
    for (const use of resolution.uses) if (use.field === 'using') this.using.add(stringOf(use.node.fields?.at(-1)) ?? '')
  }
}

const QUERIES = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])
/** The SELECT, INSERT, … whose own clause a place is in. */
export function queryOf(place: Place): object {
  let at: Place = place
  for (let up = place.up; up !== null; up = up.up) { at = up; if (up.kind !== null && QUERIES.has(up.kind)) return up.body }
  return at.body
}

/** What a statement uses of one relation under one alias, by name. */
export interface Usage { all: boolean; whole: boolean; readonly columns: Set<string>; readonly system: Set<string>; readonly by: Map<string, Named[]> }

export function usageOf(names: Names, ranged: Ranged, relation: Relation, only: (named: Named) => boolean = () => true): Usage {
  const { reference } = ranged
  const usage: Usage = { all: (reference.node.alias?.colnames ?? []).length > 0, whole: false, columns: new Set(), system: new Set(), by: new Map() }
  if (names.joins.some((join) => join.isNatural === true || join.alias !== undefined)) usage.all = true
  const known = new Set(relation.columns.map((column) => column.name))
  const renamed = new Map((stringsOf(reference.node.alias?.colnames) ?? []).map((name, i) => [name, relation.columns[i]?.name ?? name]))
  for (const name of names.using) if (known.has(name)) usage.columns.add(name)
  for (const named of names.columns) if (only(named)) use(usage, named, ranged, known, renamed)
  if (usage.all) for (const name of known) usage.columns.add(name)
  return usage
}

function use(usage: Usage, named: Named, { reference, query }: Ranged, known: ReadonlySet<string>, renamed: ReadonlyMap<string, string>): void {
  const { path, star } = named
  const { alias, aliased } = reference
  const column = (name: string): boolean => {
    const own = renamed.get(name)
    if (own !== undefined && own !== name) usage.by.set(own, [...usage.by.get(own) ?? [], named])
    if (known.has(name)) { usage.columns.add(name); usage.by.set(name, [...usage.by.get(name) ?? [], named]) }
    else if (SYSTEM_COLUMNS.has(name)) usage.system.add(name)
    else return own !== undefined
    return true
  }
  if (star && path.length === 0) { if (named.query === query) usage.all = true; return }
  const means = (qualifier: string | undefined, depth: number) => qualifier === alias && (depth === 0 || !aliased)
  if (star) {
    if (!means(path.at(-1), path.length - 1)) return
    usage.all = true
    if (named.place.up?.kind !== 'ResTarget') usage.whole = true
    return
  }
  const name = path.at(-1)!
  if (path.length === 1) {
    column(name)
    if (name === alias && !known.has(name)) { usage.all = true; usage.whole = true }
    return
  }
  if (!means(path.at(-2), path.length - 2)) return
  if (!column(name)) { usage.all = true; usage.whole = true }
}

/** A statement in work. */
export interface Work {
  readonly index: MaskIndex
  readonly names: Names
  readonly splice: () => Splice
  readonly expected: Map<object, Expected>
  readonly hidden: Map<string, HiddenUse>
  readonly wire: Map<string, WireMask>
  readonly stored: StoredParameter[]
  readonly lookups: Lookup[]
  readonly touched: Set<string>
  /** The text holds this statement alone. */
  readonly single: boolean
  /** Null: columns masked by `token` are hidden whole. */
  readonly tokens: TokenCodec | null
  readonly passed: Passed[]
  readonly turned: TurnedParameter[]
  /** Conditions of UPDATE, DELETE and MERGE may compare masked columns: a person is asked. */
  readonly reviewed: boolean
  /** The highest number of a parameter. */
  readonly parameters: { last: number }
  /** Masked columns that a write leaves as they were, because what it gives is what the mask shows. */
  readonly kept: Set<string>
  /** Columns whose tokens were turned back in the text itself. */
  readonly opened: Set<string>
  /** Rules of row filters that apply. */
  readonly filters: Set<string>
  /** What the text's own kind allows: SQL PREPARE, EXPLAIN and COPY answer without origins or run later. */
  readonly wrapper: 'none' | 'prepare' | 'explain' | 'copy' | 'cursor' | 'create'
  readonly uses: Resolution['useOf']
  readonly routines: Catalog['routines']
  readonly searchPath: readonly string[] | null
  readonly expect: (snippet: string, pick: (statement: Node) => unknown) => unknown
}

/** The masked relation a range means, null when it hides nothing; throws when it may not be read or can't be told. */
export function maskedOf(work: Pick<Work, 'index' | 'touched' | 'searchPath'>, { node, reference }: Ranged, reading = true): Masked | null {
  const { resolved } = reference
  const { index } = work
  if (resolved.kind === 'unresolved') {
    if (node.schemaname !== 'pg_toast' && !index.names.has(node.relname ?? '')) return null
    throw new Refusal('mask', `which relation ${node.relname} is can't be told: ${resolved.why}`, 'name it with its schema, in a statement of its own')
  }
  if (resolved.kind === 'system') {
    if (OTHERS.has(resolved.name)) throw tellsOthers(resolved.name)
    if (SENT_TEXTS.has(resolved.name)) throw new Refusal('mask', `${resolved.schema}.${resolved.name} holds statements as they were sent, with values that tokens stand for`, 'it is not shown where columns are masked')
    if (!STATISTICS.has(resolved.name)) return null
    throw new Refusal('mask', `${resolved.schema}.${resolved.name} holds samples of masked columns`, 'statistics are not shown where columns are masked')
  }
  if (resolved.kind === 'cte') return null
  const known = resolved.kind === 'relation' ? index.masked.get(resolved.relation.oid) ?? null : null
  if (reading && known === null && index.carried.has((node.relname ?? '').toLowerCase())) throw new Refusal('mask', `${node.relname} can't be read: a trigger on a masked table may write to a table of this name`, 'read other tables')
  if (resolved.kind !== 'relation') return null
  const { relation } = resolved
  if (OTHERS.has(relation.name) && relation.kind === 'v') throw tellsOthers(relation.name)
  if (known === null && !relation.temporary) shadowed(work, node, relation)
  const blocked = index.blocked.get(relation.oid) ?? temporaryView(index, relation)
  if (blocked !== null && reading) throw new Refusal('mask', `${label(relation)} can't be read: ${blocked}`, READ_BELOW + (/ which is masked$/.test(blocked) ? '; or have the resource list it under `views`, if what its rows tell may be known' : ''))
  const masked = index.masked.get(relation.oid) ?? null
  if (masked !== null || index.onValues.has(relation.oid)) work.touched.add(label(relation))
  return masked
}

const tellsOthers = (name: string) => new Refusal('mask', `${name} shows statements of other sessions, with values that may be masked here`, 'what others run is not shown where columns are masked')

/** An unmasked table that stands before a masked one of the same name: if it is gone by the time this runs, the name means the other. */
function shadowed({ index, searchPath }: Pick<Work, 'index' | 'searchPath'>, node: RangeVar, relation: Relation): void {
  if (node.schemaname !== undefined) return
  for (const masked of index.masked.values()) {
    if (masked.relation.name === relation.name && searchPath?.includes(masked.relation.schema) !== false) throw new Refusal('mask', `${relation.name} could mean ${label(relation)} or ${label(masked.relation)}, which has masked columns`, 'name it with its schema')
  }
}

function temporaryView(index: MaskIndex, relation: Relation): string | null {
  if (!relation.temporary) return null
  return relation.reads.some((oid) => index.masked.has(oid) || index.blocked.has(oid)) || relation.parents.some((oid) => index.masked.has(oid)) ? 'it leads to masked data' : null
}

export function noteHidden(work: Work, relation: Relation, hidden: Hidden, computed: boolean): void {
  const key = `${label(relation)}.${hidden.column.name}`
  const known = work.hidden.get(key)
  work.hidden.set(key, { schema: relation.schema, table: relation.name, column: hidden.column.name, rule: hidden.rule, kind: hidden.with, computed: computed || known?.computed === true })
}
export function noteWire(work: Work, relation: Relation, hidden: Hidden): void {
  work.wire.set(`${relation.oid}.${hidden.column.number}`, {
    schema: relation.schema, table: relation.name, column: hidden.column.name, rule: hidden.rule, kind: hidden.with, relation: relation.oid, number: hidden.column.number,
  })
}
/** `t.a` in a target list and nowhere else: it is shown, not computed with. */
export const isShown = (named: Named): boolean => named.place.up?.kind === 'ResTarget' && named.place.up.up?.kind === 'SelectStmt' && named.place.up.field === 'targetList'
/** All column references below a node. */
export function refsBelow(node: Node | undefined): ColumnRef[] {
  const out: ColumnRef[] = []
  if (node !== undefined) walk(node, ({ kind, body }) => { if (kind === 'ColumnRef') out.push(body) })
  return out
}
export const pathOf = (ref: ColumnRef): string[] => (ref.fields ?? []).map((field) => as('A_Star', field) === null ? stringOf(field) ?? '' : '*')
