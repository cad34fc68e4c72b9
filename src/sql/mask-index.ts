// Which relations hide columns from one identity, and which may not be read at all: worked out once per catalog and grant. A mask is
// inherited: by partitions and children (and by their parents, whose rows are theirs), and by columns computed from a masked one.
import type { Catalog, Column, Relation, Routine } from './catalog.ts'
import { filteredRelations } from './filter-index.ts'
import type { FilterOf, RowFilter } from './filter.ts'
import { routineLineage } from './definitions.ts'
import { Unfollowed } from './flow.ts'
import { normalSignature, signatureOf } from './functions.ts'
import { spreadToForeign } from './mask-foreign.ts'
import { handedOn, keepsSecrets, routineTaint, type Spread, viewMask } from './mask-view.ts'

export type HidingKind = 'null' | 'redact' | 'hash' | 'token' | 'partial'
export interface ColumnRule { readonly with: HidingKind; readonly rule: string; readonly lookups: { readonly count: number; readonly perMs: number } | null }
export interface MaskOf {
  (schema: string, table: string, column: string): ColumnRule | null
  /** Rows that this identity gets of some tables. */
  readonly filters?: readonly FilterOf[]
  /** What the resource vouches for: views that may be read though a masked column decides about their rows, and harmless functions. */
  readonly listed?: { readonly views: readonly string[]; readonly functions: readonly string[] }
}
export interface Hidden extends ColumnRule {
  readonly column: Column
  /** Computed from masked columns: whether it is NULL may tell of them, and computing it may fail by them, so it is never looked at. */
  readonly constant?: boolean
}
export interface Masked { readonly relation: Relation; readonly hidden: ReadonlyMap<string, Hidden>; /** Rows of other relations are read through it. */ readonly parent: boolean; /** Only these rows may be read or changed; a relation may be filtered and hide no column. */ readonly filter?: RowFilter }
export interface MaskIndex {
  readonly empty: boolean
  readonly masked: ReadonlyMap<number, Masked>
  /** Why a relation may not be read: lineage leads masked values to it in a way that is not followed yet. */
  readonly blocked: ReadonlyMap<number, string>
  /** Bare names of all of these, and of the routines that read them: a statement that holds none of them is left alone. */
  readonly names: ReadonlySet<string>
  readonly schemas: ReadonlySet<string>
  readonly suspects: ReadonlySet<number>
  /**
   * Every word in the text of routines that the server runs with whole rows of masked relations. Such a text finds its tables and functions
   * through the session's search path: what a client makes under one of these names would be handed real values.
   */
  readonly carried: ReadonlySet<string>
  /** Views that show nothing masked, though they stand over masked relations: read freely, not written through. */
  readonly clear: ReadonlySet<number>
  /** Unmasked relations whose writes reach masked ones, by triggers or foreign keys: those, so that errors are kept free of values. */
  readonly stirs: ReadonlyMap<number, readonly string[]>
  /** Views whose own filters work on masked values: their errors are kept free of values. */
  readonly onValues: ReadonlySet<number>
  /** What the masks say of routines that a statement calls. */
  readonly spread: Spread
  /** A trigger may send rows as notifications. */
  readonly notifies: boolean
}

/** Planner statistics hold samples of every column's values. */
export const STATISTICS: ReadonlySet<string> = new Set(['pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs', 'pg_statistic', 'pg_statistic_ext_data'])
/** Texts of other sessions, with the values that were written in them. */
export const OTHERS: ReadonlySet<string> = new Set(['pg_stat_activity', 'pg_stat_statements'])
/** The texts that were sent to the server: a token in one was turned into its value. */
export const SENT_TEXTS: ReadonlySet<string> = new Set(['pg_prepared_statements', 'pg_cursors'])
export const ORDER: readonly HidingKind[] = ['null', 'redact', 'hash', 'token', 'partial']
const FOREIGN_SQL = new Set(['dblink', 'tablefunc', 'xml2', 'file_fdw', 'postgres_fdw', 'pageinspect', 'pg_cron'])
/** Routine bodies in which a name may be made at run time, or written in a way that word search can't see. */
const DYNAMIC = /\bexecute\b|u&["']|\\u|\\x|_to_xml|ts_stat|dblink|\bregclass\b|\btg_table_name\b|\btg_relname\b|\btg_relid\b/i
/** NEW.status and OLD.status name columns, never relations or functions. */
const ROW_COLUMN = /\b(new|old)\s*\.\s*("[^"]*"|[\p{L}\p{N}_$]+)/giu
const isSystem = (relation: Relation): boolean => relation.schema === 'pg_catalog' || relation.schema === 'information_schema'

const cache = new WeakMap<Catalog, WeakMap<MaskOf, MaskIndex>>()
export function maskIndex(catalog: Catalog, maskOf: MaskOf): MaskIndex {
  let byGrant = cache.get(catalog)
  if (byGrant === undefined) cache.set(catalog, byGrant = new WeakMap())
  let index = byGrant.get(maskOf)
  if (index === undefined) byGrant.set(maskOf, index = build(catalog, maskOf))
  return index
}

/** For the second guard on the wire: table OID → attnum → mask, with all that masks are inherited by. */
export function hiddenByOrigin(catalog: Catalog, maskOf: MaskOf): ReadonlyMap<number, ReadonlyMap<number, Hidden>> {
  const out = new Map<number, Map<number, Hidden>>()
  for (const { relation, hidden } of maskIndex(catalog, maskOf).masked.values()) out.set(relation.oid, new Map([...hidden.values()].map((one) => [one.column.number, one])))
  return out
}

function build(catalog: Catalog, maskOf: MaskOf): MaskIndex {
  const masked = maskedRelations(catalog, maskOf)
  const blocked = new Map<number, string>()
  const carried = new Set<string>()
  for (const [oid, filter] of filteredRelations(catalog, familiesOf, maskOf.filters ?? [])) {
    const relation = catalog.relations.get(oid)!
    if (filter.refused !== null) blocked.set(oid, filter.refused)
    masked.set(oid, { ...masked.get(oid) ?? { relation, hidden: new Map(), parent: [...catalog.relations.values()].some((one) => one.parents.includes(oid)) }, filter })
  }
  if (masked.size > 0) {
    for (const { relation, hidden } of masked.values()) {
      if (hidden.size > 0 && (relation.partitionKey ?? []).some((number) => number === 0 || [...hidden.values()].some((h) => h.column.number === number))) blocked.set(relation.oid, `${label(relation)} is partitioned by a masked column`)
    }
    for (let grew = true; grew;) {
      grew = false
      for (const relation of catalog.relations.values()) {
        const parent = blocked.has(relation.oid) || !masked.has(relation.oid) ? undefined : relation.parents.find((oid) => blocked.has(oid))
        if (parent !== undefined) { blocked.set(relation.oid, blocked.get(parent)!); grew = true }
      }
    }
    spreadTriggers(catalog, masked, blocked, carried)
  }
  const clear = new Set<number>()
  const harmless = vouched(catalog, maskOf)
  const onValues = new Set<number>()
  const suspects = new Set<number>()
  const spread: Spread = { catalog, masked, blocked, suspects, views: new Set(maskOf.listed?.views), harmless: (oid) => harmless.has(oid) }
  spreadViews(spread, masked, blocked, suspects, clear, onValues)
  for (const oid of [...clear]) if (masked.has(oid) || blocked.has(oid)) clear.delete(oid)
  const stirs = stirred(catalog, masked)
  const names = new Set<string>(masked.size === 0 ? [] : [...STATISTICS, ...OTHERS, ...SENT_TEXTS])
  const schemas = new Set<string>()
  for (const { relation } of masked.values()) { names.add(relation.name); schemas.add(relation.schema) }
  for (const oid of blocked.keys()) names.add(catalog.relations.get(oid)!.name)
  for (const oid of suspects) names.add(catalog.routineById.get(oid)!.name)
  for (const oid of [...clear, ...stirs.keys()]) names.add(catalog.relations.get(oid)!.name)
  for (const word of carried) names.add(word)
  return { empty: masked.size === 0, masked, blocked, names, schemas, suspects, carried, clear, stirs, onValues, spread, notifies: carried.has('notify') || carried.has('pg_notify') }
}

function maskedRelations(catalog: Catalog, maskOf: MaskOf): Map<number, Masked> {
  const families = familiesOf(catalog)
  const rules = new Map<number, Map<string, ColumnRule>>()   // family → column name → strongest rule
  const children = new Set<number>()
  const tables = [...catalog.relations.values()].filter((r) => !isSystem(r) && r.kind !== 'S' && r.kind !== 'c')
  for (const relation of tables) {
    for (const parent of relation.parents) children.add(parent)
    for (const column of relation.columns) add(rules, families.get(relation.oid)!, column.name, maskOf(relation.schema, relation.name, column.name))
  }
  for (const relation of tables) {
    for (const column of relation.columns) {
      for (const source of column.generatedFrom) {
        const rule = rules.get(families.get(relation.oid)!)?.get(relation.columns.find((c) => c.number === source)?.name ?? '')
        // A part of a value is meant for the value itself, not for what was computed from it.
        if (rule !== undefined) add(rules, families.get(relation.oid)!, column.name, { with: rule.with === 'null' ? 'null' : 'redact', rule: rule.rule, lookups: null })
      }
    }
  }
  const out = new Map<number, Masked>()
  for (const relation of tables) {
    const mine = rules.get(families.get(relation.oid)!)
    if (mine === undefined) continue
    const hidden = new Map<string, Hidden>()
    for (const column of relation.columns) { const rule = mine.get(column.name); if (rule !== undefined) hidden.set(column.name, { ...rule, column }) }
    if (hidden.size > 0) out.set(relation.oid, { relation, hidden, parent: children.has(relation.oid) })
  }
  return out
}

/** Whether a mask hides more than the one known. */
export const stronger = (mask: Pick<Hidden, 'with' | 'constant'>, known: Pick<Hidden, 'with' | 'constant'>): boolean => ORDER.indexOf(mask.with) < ORDER.indexOf(known.with) || (mask.constant === true && known.constant !== true)

function add(rules: Map<number, Map<string, ColumnRule>>, family: number, name: string, rule: ColumnRule | null): void {
  if (rule === null) return
  const mine = rules.get(family) ?? new Map<string, ColumnRule>()
  rules.set(family, mine)
  const known = mine.get(name)
  if (known === undefined || ORDER.indexOf(rule.with) < ORDER.indexOf(known.with)) mine.set(name, rule)
}

/** relation → the oid that stands for all it shares rows with. */
function familiesOf(catalog: Catalog): Map<number, number> {
  const root = new Map<number, number>()
  const find = (oid: number): number => { let at = oid; while ((root.get(at) ?? at) !== at) at = root.get(at)!; return at }
  for (const relation of catalog.relations.values()) for (const parent of relation.parents) root.set(find(relation.oid), find(parent))
  return new Map([...catalog.relations.keys()].map((oid) => [oid, find(oid)]))
}

// ——— views, rules, routines ———

/** Routines whose text leads to masked values or can't be followed, and the views and rules that read either: to a fixed point. */
function spreadViews(spread: Spread, masked: Map<number, Masked>, blocked: Map<number, string>, suspects: Set<number>, clear: Set<number>, onValues: Set<number>): void {
  const { catalog } = spread
  if (masked.size === 0) return
  const views = [...catalog.relations.values()].filter((relation) => !isSystem(relation))
  const plain = new Map([...masked].filter(([oid]) => isView(catalog.relations.get(oid)!)))     // what the policies themselves hide of views
  for (let grew = true; grew;) {
    grew = false
    const names = new Set<string>(STATISTICS)
    for (const { relation } of masked.values()) names.add(relation.name.toLowerCase())
    for (const oid of blocked.keys()) names.add(catalog.relations.get(oid)!.name.toLowerCase())
    for (const oid of suspects) names.add(catalog.routineById.get(oid)!.name.toLowerCase())
    for (const routine of catalog.routineById.values()) {
      if (!suspects.has(routine.oid) && !spread.harmless(routine.oid) && suspicious(routine, names, spread)) { suspects.add(routine.oid); grew = true }
    }
    for (const relation of views) {
      if (blocked.has(relation.oid)) continue
      if (relation.remote !== undefined && spreadToForeign(relation, catalog, masked, blocked)) grew = true
      if (isView(relation) ? spreadToView(relation, spread, masked, blocked, plain, clear, onValues) : spreadToTable(relation, spread, masked, blocked)) grew = true
    }
  }
}
const isView = (relation: Relation): boolean => relation.kind === 'v' || relation.kind === 'm'

/** A table's rules act on writes, and those are refused there; but what its defaults and checks call may lead to masked values. */
function spreadToTable(relation: Relation, { catalog, suspects }: Spread, masked: ReadonlyMap<number, Masked>, blocked: Map<number, string>): boolean {
  if (masked.has(relation.oid)) return false
  const source = relation.reads.find((oid) => blocked.has(oid)) ?? relation.reads.find((oid) => masked.has(oid))
  const routine = (relation.calls ?? []).find((oid) => suspects.has(oid))
  if (source === undefined && routine === undefined) return false
  blocked.set(relation.oid, `${label(relation)} leads to masked data through ${routine !== undefined ? `function ${catalog.routineById.get(routine)!.name}` : label(catalog.relations.get(source!)!)}`)
  return true
}

/** Hides the columns of a view that show masked data, or blocks it. True when something changed. */
function spreadToView(view: Relation, spread: Spread, masked: Map<number, Masked>, blocked: Map<number, string>, plain: ReadonlyMap<number, Masked>, clear: Set<number>, onValues: Set<number>): boolean {
  const own = masked.get(view.oid)?.filter
  if (!leads(view, spread, own !== undefined)) return false
  // A view is read by the server with all rows of what it stands over: only a filter of its own makes it safe to read.
  const unfiltered = own === undefined ? view.reads.find((oid) => masked.get(oid)?.filter !== undefined) : undefined
  const made = unfiltered === undefined ? viewMask(view, spread) : { blocked: `${label(view)} leads to masked data through ${label(spread.catalog.relations.get(unfiltered)!)}, past its row filter` }
  if ('blocked' in made) { masked.delete(view.oid); clear.delete(view.oid); blocked.set(view.oid, made.blocked); return true }
  const { hidden } = made
  const failing = !onValues.has(view.oid) && (made.onValues || view.reads.some((oid) => onValues.has(oid)))
  if (failing) onValues.add(view.oid)
  // What the policy itself hides of the view stays hidden.
  for (const [name, mask] of plain.get(view.oid)?.hidden ?? []) {
    const known = hidden.get(name)
    if (known === undefined) hidden.set(name, mask)
    else if (stronger(mask, known)) hidden.set(name, { ...known, with: mask.with, rule: mask.rule })
  }
  const before = masked.get(view.oid)?.hidden
  const shows = hidden.size > 0 || own !== undefined
  if (before !== undefined ? sameHidden(before, hidden) : clear.has(view.oid) && hidden.size === 0) return failing
  if (shows) { masked.set(view.oid, { relation: view, hidden, parent: false, ...own === undefined ? {} : { filter: own } }); clear.delete(view.oid) } else { masked.delete(view.oid); clear.add(view.oid) }
  return true
}
function sameHidden(a: ReadonlyMap<string, Hidden>, b: ReadonlyMap<string, Hidden>): boolean {
  return a.size === b.size && [...b].every(([name, one]) => { const other = a.get(name); return other !== undefined && other.with === one.with && other.constant === one.constant })
}
/** Whether anything of a view can have to do with masked data: most views have not, and are not looked into. */
function leads(view: Relation, spread: Spread, filtered: boolean): boolean {
  const { masked, blocked, catalog } = spread
  const carries = (one: Masked | undefined): boolean => one !== undefined && (one.hidden.size > 0 || !filtered)
  if (view.reads.some((oid) => carries(masked.get(oid)) || blocked.has(oid) || keepsSecrets(catalog.relations.get(oid)))) return true
  return (view.calls ?? []).some((oid) => spread.suspects.has(oid) || routineTaint(oid, spread) !== null) || OPAQUE_CALLS.test(view.definition ?? '')
}
/** Functions of the server's own that read what a string or a number names: pg_depend does not know of them. */
const OPAQUE_CALLS = /_to_xml|ts_stat|ts_rewrite|currtid|pg_read_|pg_ls_|pg_stat_file|pg_stat_get_|\blo_|loread|pg_mcv_|pg_logical_|pg_hba_|pg_ident_/i

function vouched(catalog: Catalog, { listed }: MaskOf): ReadonlySet<number> {
  const signatures = new Set((listed?.functions ?? []).map(normalSignature))
  return new Set(signatures.size === 0 ? [] : [...catalog.routineById.values()].filter((routine) => signatures.has(signatureOf(routine))).map(({ oid }) => oid))
}

function suspicious(routine: Routine, names: ReadonlySet<string>, spread: Spread): boolean {
  if (routine.extension !== null) return FOREIGN_SQL.has(routine.extension)
  const followed = routineLineage(spread.catalog, routine)
  // What it reads is known column by column: what it gives carries the mask.
  if (!(followed instanceof Unfollowed)) return handedOn(followed, spread) !== null || [...followed.reads].some((oid) => spread.blocked.has(oid) || spread.masked.get(oid)?.filter !== undefined || keepsSecrets(spread.catalog.relations.get(oid))) || followed.handed.some((one) => spread.suspects.has(one.routine))
  const text = textOf(routine)
  return text.followed ? text.words.some((word) => names.has(word)) : true
}

/** Worked out once per routine: bodies are long, and are looked at for each grant. */
interface RoutineText { readonly followed: boolean; readonly words: readonly string[] }
const texts = new WeakMap<Routine, RoutineText>()
function textOf(routine: Routine): RoutineText {
  let text = texts.get(routine)
  if (text === undefined) texts.set(routine, text = { followed: (routine.language === 'sql' || routine.language === 'plpgsql') && !DYNAMIC.test(routine.body), words: [...new Set(words(routine.body))] })
  return text
}
/** Whether a routine's text names any of these, could make a name at run time, or is in a language that is not followed. */
export function suspiciousBody(language: string, body: string, names: ReadonlySet<string>): boolean {
  if (language !== 'sql' && language !== 'plpgsql') return true
  return DYNAMIC.test(body) || words(body).some((word) => names.has(word))
}
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []
}

// ——— what triggers write ———

function spreadTriggers(catalog: Catalog, masked: ReadonlyMap<number, Masked>, blocked: Map<number, string>, carried: Set<string>): void {
  const maskedNames = new Set([...masked.values()].map((m) => m.relation.name.toLowerCase()))
  const hiddenNames = new Set([...masked.values()].flatMap((m) => [...m.hidden.keys()].map((name) => name.toLowerCase())))
  const byWord = new Map<string, Relation[]>()
  for (const relation of catalog.relations.values()) if (!isSystem(relation)) byWord.set(relation.name.toLowerCase(), [...byWord.get(relation.name.toLowerCase()) ?? [], relation])
  for (const { relation } of masked.values()) {
    if (relation.kind === 'v' || relation.kind === 'm') continue
    for (const oid of relation.calls ?? []) { const routine = catalog.routineById.get(oid); if (routine !== undefined) for (const word of words(closure(catalog, routine))) carried.add(word) }
  }
  for (const relation of catalog.relations.values()) {
    for (const trigger of relation.triggers) {
      const routine = catalog.routineById.get(trigger.routine)
      if (routine === undefined) continue                       // built in: writes its own row only
      const text = closure(catalog, routine)
      const mine = masked.get(relation.oid)
      const carries = mine !== undefined ? rowsLeave(text, hiddenNames) : words(text).some((w) => maskedNames.has(w)) && rowsLeave(text, hiddenNames)
      if (!carries) continue
      const named = words(text.replace(ROW_COLUMN, ' '))
      for (const word of [...named, routine.name.toLowerCase()]) carried.add(word)
      const why = `is written by trigger ${trigger.name} of ${label(relation)}, which may copy masked values`
      const taint = (target: Relation) => { if (!masked.has(target.oid)) blocked.set(target.oid, `${label(target)} ${why}`) }
      for (const word of named) for (const target of byWord.get(word) ?? []) if (target.oid !== relation.oid) taint(target)
      if (mine === undefined) taint(relation)
      else if (DYNAMIC.test(text) || routine.language !== 'plpgsql' && routine.language !== 'sql') {
        for (const target of catalog.relations.values()) if (!isSystem(target) && target.oid !== relation.oid && target.kind === 'r' && target.name.toLowerCase().includes(relation.name.toLowerCase())) taint(target)
      }
    }
  }
}

function stirred(catalog: Catalog, masked: ReadonlyMap<number, Masked>): Map<number, string[]> {
  const out = new Map<number, string[]>()
  const add = (oid: number, relation: Relation) => { if (!masked.has(oid)) out.set(oid, [...out.get(oid) ?? [], label(relation)]) }
  const byName = new Map([...masked.values()].map((one) => [one.relation.name.toLowerCase(), one.relation]))
  for (const { relation } of masked.values()) for (const oid of relation.references) if (catalog.relations.has(oid)) add(oid, relation)
  for (const relation of catalog.relations.values()) {
    for (const trigger of relation.triggers) {
      const routine = catalog.routineById.get(trigger.routine)
      if (routine !== undefined) for (const word of new Set(words(closure(catalog, routine)))) { const reached = byName.get(word); if (reached !== undefined) add(relation.oid, reached) }
    }
  }
  return out
}

/** A routine's text with those of all routines it names. */
function closure(catalog: Catalog, routine: Routine): string {
  const seen = new Set<Routine>([routine])
  for (const one of seen) for (const word of textOf(one).words) for (const next of catalog.routines.get(word) ?? []) if (next.extension === null && seen.size < 64) seen.add(next)
  return [...seen].map((one) => one.body).join('\n')
}

/** Whether a trigger's text may pass on more of a row than named, unmasked columns. */
function rowsLeave(text: string, hidden: ReadonlySet<string>): boolean {
  const rest = text.toLowerCase().replace(/\breturn\s+(new|old|null)\b/g, ' ')
  if (DYNAMIC.test(rest) || /\*|rowtype|\brecord\b|referencing/.test(rest)) return true
  if (words(rest).some((word) => hidden.has(word))) return true
  return /\b(new|old)\b(?!\s*\.\s*["\p{L}_])/u.test(rest)
}

export const label = (relation: Relation): string => `${relation.schema}.${relation.name}`
