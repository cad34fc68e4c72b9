// Collects the effects of one statement and everything inside it. The table of statements (statements.ts) says what each kind of statement
// is; this walks, so that nothing inside is passed over: nested statements, functions, operators, casts, attribute notation, relations.
import type { FuncCall, Node, RangeVar, SelectStmt } from 'libpg-query'
import type { Catalog, NameContext } from './catalog.ts'
import { reached } from './definitions.ts'
import { exclusionOf, sensitivityOf } from './excluded.ts'
import { builtinOf, judgeFunction, judgeOperator, judgeType, routineNamed } from './functions.ts'
import type { Doubt, Makes, Sight } from './functions.ts'
import { isSystemSchema, qualified, resolveName } from './names.ts'
import type { Effect, StatementReading } from './reading.ts'
import type { Reference, Resolution } from './resolve.ts'
import { judgeSetting } from './settings.ts'
import type { SettingChange } from './settings.ts'
import { STATEMENTS } from './statements.ts'
import type { StatementKind } from './statements.ts'
import { andTerms } from './values.ts'
import { as, children, kindOf, stringsOf } from './walk.ts'
import type { Kind } from './walk.ts'

export interface Options {
  /** The resource's `functions`: signatures known to be harmless. */
  readonly functions?: readonly string[]
  /** The reading of a prepared statement by its name; null when there is none. */
  readonly prepared?: (name: string) => StatementReading | null
  /** What this session made that the catalog does not show yet. */
  readonly made?: Makes
}
interface Collected { functions: Set<string>; operators: Set<string>; types: Set<string>; relations: Set<string>; any: boolean }

/** Server versions from which the grammar reads these as syntax; before, they are calls of a function that anyone may have made. */
const SYNTAX_SINCE: Readonly<Record<string, readonly [since: number, name: string]>> = {
  JsonObjectConstructor: [160000, 'json_object'], JsonArrayConstructor: [160000, 'json_array'], JsonArrayQueryConstructor: [160000, 'json_array'],
  JsonObjectAgg: [160000, 'json_objectagg'], JsonArrayAgg: [160000, 'json_arrayagg'], JsonParseExpr: [170000, 'json'], JsonScalarExpr: [170000, 'json_scalar'],
  JsonSerializeExpr: [170000, 'json_serialize'], JsonFuncExpr: [170000, 'json_value'], JsonTable: [170000, 'json_table'], MergeSupportFunc: [170000, 'merge_action'],
}

/** Parts of a statement whose columns decide about rows, by resolve.ts' names. */
const DECIDES = new Set(['whereClause', 'havingClause', 'groupClause', 'windowClause', 'distinctClause', 'sortClause', 'limit', 'quals', 'using', 'infer', 'fromClause', 'sample'])

export class Reader {
  readonly effects: Effect[] = []
  readonly settings: SettingChange[] = []
  readonly makes: Collected = { functions: new Set(), operators: new Set(), types: new Set(), relations: new Set(), any: false }
  readonly resolution: Resolution
  readonly options: Options
  readonly sight: Sight
  changesCatalog = false
  makesTemporary = false
  /** A plain EXPLAIN plans its statement: functions may be folded, nothing is written. */
  planned = false
  #reads = false
  #top: SelectStmt | null = null
  readonly #seen = new Set<string>()

  constructor(resolution: Resolution, sight: Sight, options: Options) { this.resolution = resolution; this.sight = sight; this.options = options }

  get catalog(): Catalog { return this.sight.catalog }
  get context(): NameContext | null { return this.sight.context }

  /** Reads a statement and all inside it. */
  read(node: Node): void {
    this.#top = as('SelectStmt', node)
    this.visit(node)
    for (const use of this.resolution.uses) if (use.kind === 'attribute' && use.attribute !== null) this.#attribute(use.attribute)
    const kind = kindOf(node)
    const query = kind === null ? undefined : (node as unknown as Record<string, { query?: Node }>)[kind]?.query
    this.#relations(kind === 'SelectStmt' || kindOf(query) === 'SelectStmt')
  }

  visit(node: Node): void {
    const kind = kindOf(node)
    if (kind === null) return this.unknown('a part of the statement is not known to this version of the grammar')
    this.#body(kind, (node as unknown as Record<string, object>)[kind]!)
  }

  #body(kind: Kind, body: object): void {
    if (kind in STATEMENTS) { if (!STATEMENTS[kind as StatementKind](body as never, this)) return }
    else this.#expression(kind, body)
    this.inside(kind, body)
  }

  inside(kind: Kind, body: object): void {
    children(kind, body, (child, inner) => {
      if (inner !== '') this.#body(inner, child)
      else if (Object.keys(child).length > 0) this.visit(child as Node)
    })
  }

  // ——— what statements add ———

  add(effect: Partial<Effect> & { readonly operation: string; readonly access: Effect['access'] }): void {
    const whole: Effect = { objects: [], columns: [], bounded: false, ...effect }
    const key = JSON.stringify(whole)
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    this.effects.push(whole)
  }
  admin(operation: string, objects: Effect['objects'] = [], reason?: string): void {
    this.add({ operation, access: 'admin', objects, ...(reason === undefined ? {} : { reason }) })
  }
  unknown(reason: string): void { this.add({ operation: 'sql.unknown', access: 'unknown', objects: 'unknown', reason }) }
  doubt(doubt: Doubt): void {
    if (doubt === null) return
    // Known, and no more than LOCK TABLE is.
    if (doubt.operation === 'sql.lock') return this.add({ operation: 'sql.lock', access: 'write', reason: doubt.reason })
    this.admin(doubt.operation, 'unknown', doubt.reason)
    // Whatever it runs may make anything.
    if (doubt.operation === 'sql.call') this.makes.any = true
  }
  /** A function that is called later, as by a trigger. */
  calls(path: readonly string[]): void { this.doubt(judgeFunction(path, this.sight)) }
  /** The columns named in one place can be seen in the answer or are compared. */
  selects(): void { this.#reads = true }

  /** `schema.name` of what is made, altered or dropped. */
  named(path: readonly string[]): string {
    const name = path.at(-1) ?? ''
    if (path.length > 1) return `${path.at(-2)}.${name}`
    const schema = this.context?.searchPath.find((one) => !one.startsWith('pg_temp') && !isSystemSchema(one))
    return schema === undefined ? name : `${schema}.${name}`
  }
  relation(node: RangeVar | undefined): string | null {
    const reference = node === undefined ? undefined : this.resolution.byNode.get(node)
    return reference === undefined ? null : qualified(reference.resolved)
  }
  /** A relation by the parts of its name, as in DROP. */
  relationNamed(path: readonly string[]): string | null {
    const [relname = '', schemaname] = [...path].reverse()
    return qualified(resolveName(schemaname === undefined ? { relname } : { relname, schemaname }, this.catalog, this.context))
  }
  objectsOf(references: readonly Reference[]): Effect['objects'] {
    const names = new Set<string>()
    for (const { resolved } of references) {
      if (resolved.kind === 'cte') continue
      const name = qualified(resolved)
      if (name === null) return 'unknown'
      names.add(name)
    }
    return [...names]
  }
  /** Columns of these that decide about rows. */
  comparedOf(references: readonly Reference[]): { readonly compared?: readonly string[] } {
    const out = new Set<string>()
    for (const use of this.resolution.uses) {
      if (!DECIDES.has(use.field)) continue
      for (const { reference, column } of use.targets) {
        const name = references.includes(reference) ? qualified(reference.resolved) : null
        if (name !== null) out.add(`${name}.${column}`)
      }
    }
    return out.size === 0 ? {} : { compared: [...out] }
  }
  /** Columns named, and those that views lead to: whoever may not name a column may not read it through a view. */
  columnsOf(references: readonly Reference[]): string[] {
    return references.flatMap((reference) => {
      const name = qualified(reference.resolved)
      if (name === null) return []
      const named = [...reference.columns].map((column) => `${name}.${column}`)
      const view = reference.resolved.kind === 'relation' ? reference.resolved.relation : null
      if (view === null || (view.kind !== 'v' && view.kind !== 'm')) return named
      const numbers = view.columns.filter((column) => reference.whole || reference.columns.has(column.name)).map(({ number }) => number)
      return [...new Set([...named, ...reached(this.catalog, [...numbers, 0].map((number) => `${view.oid}.${number}`)).columns])]
    })
  }

  setting(name: string, value: string | null | undefined, local: boolean): void {
    const judged = judgeSetting(name, value)
    this.settings.push({ name: name.toLowerCase(), value: value ?? null, local })
    this.add({ ...judged })
  }

  /** Built-in, known, and giving one row: what proofs of row counts may rely on. */
  readonly scalar = (path: readonly string[]): boolean => {
    const name = path.at(-1) ?? ''
    const routines = this.catalog.routines.get(name) ?? []
    if (SPECIAL_CALLS[name] !== undefined && routines.length === 0) return true
    return judgeFunction(path, this.sight) === null && routines.every((routine) => routine.extension !== null)
  }

  /** pg_dump's `SELECT set_config(name, …) FROM pg_settings WHERE name = 'x'`: a column that WHERE says is one literal. */
  settledName(node: Node | undefined): string | null {
    const column = stringsOf(as('ColumnRef', node)?.fields)?.join('.')
    if (column !== 'name' || this.#top?.fromClause?.length !== 1) return null
    const range = as('RangeVar', this.#top.fromClause[0])
    if (range === null || this.relation(range) !== 'pg_catalog.pg_settings') return null
    for (const term of andTerms(this.#top.whereClause)) {
      const expr = as('A_Expr', term)
      if (expr?.kind === 'AEXPR_OP' && stringsOf(expr.name)?.join('.') === '=' && stringsOf(as('ColumnRef', expr.lexpr)?.fields)?.join('.') === column) return literal(expr.rexpr)
    }
    return null
  }

  // ——— expressions ———

  #expression(kind: Kind, body: object): void {
    const since = SYNTAX_SINCE[kind]
    if (since !== undefined && this.catalog.serverVersion < since[0]) this.doubt(judgeFunction([since[1]], this.sight) ?? { operation: 'sql.call', reason: `${since[1]}() is not known to this server version` })
    switch (kind) {
      case 'FuncCall': return this.#call(body)
      case 'TypeName': {
        const { names, pct_type: column } = body as { names?: Node[]; pct_type?: boolean }
        if (column !== true) this.doubt(judgeType(stringsOf(names) ?? [], this.sight))
        return
      }
      case 'A_Expr': return this.#operators(body)
      case 'SubLink': {
        const { operName, testexpr } = body as { operName?: Node[]; testexpr?: Node }
        return operName === undefined && testexpr !== undefined ? this.#equality() : this.#operator(operName)
      }
      case 'CaseExpr': if ((body as { arg?: Node }).arg !== undefined) this.#equality(); return
      case 'JoinExpr': { const { usingClause, isNatural } = body as { usingClause?: Node[]; isNatural?: boolean }; if (usingClause !== undefined || isNatural === true) this.#equality(); return }
      case 'Constraint': for (const pair of (body as { exclusions?: Node[] }).exclusions ?? []) this.#operator(as('List', as('List', pair)?.items?.[1])?.items); return
      case 'SortBy': return this.#operator((body as { useOp?: Node[] }).useOp)
      case 'A_Indirection': for (const name of ((body as { indirection?: Node[] }).indirection ?? []).map((part) => as('String', part)?.sval)) if (name !== undefined) this.#attribute(name); return
      case 'RangeTableSample': {
        const method = stringsOf((body as { method?: Node[] }).method) ?? []
        if (!['system', 'bernoulli'].includes(method.at(-1) ?? '')) this.doubt({ operation: 'sql.call', reason: `sampling method ${method.join('.')} is not known to be harmless` })
        return
      }
      case 'LockingClause': return this.#locks()
    }
  }

  #operator(name: readonly Node[] | undefined): void {
    if (name !== undefined) this.doubt(judgeOperator(stringsOf(name) ?? [], this.sight))
  }
  /** Where the server looks for `=` though nobody wrote it: CASE x WHEN, USING, IN (SELECT …). */
  #equality(): void { this.doubt(judgeOperator(['='], this.sight)) }
  #operators(body: { kind?: string; name?: Node[] }): void {
    if (/BETWEEN/.test(body.kind ?? '')) { for (const name of ['<', '>', '<=', '>=']) this.doubt(judgeOperator([name], this.sight)) } else this.#operator(body.name)
  }

  /** `(x).name`, `c.name` where c has no such column: a function of that name is called. */
  #attribute(name: string): void {
    const excluded = exclusionOf(name)
    if (excluded !== null) return this.doubt({ operation: excluded.operation, reason: `${name}, in attribute notation, ${excluded.reason}` })
    if (routineNamed(name, this.sight)) this.doubt(judgeFunction([name], this.sight))
  }

  #call(call: FuncCall): void {
    let path = stringsOf(call.funcname) ?? []
    // JSON_OBJECT(a, b) is written to pg_catalog by this grammar; servers before 16 look the plain name up.
    if (path.at(-1) === 'json_object' && this.catalog.serverVersion < 160000) path = ['json_object']
    const name = path.at(-1) ?? ''
    if (path.length > 2) path = path.slice(-2)
    const builtIn = path.length === 1 || path[0] === 'pg_catalog'
    if (builtIn && SPECIAL_CALLS[name] !== undefined && (path.length === 2 || !routineNamed(name, this.sight))) return SPECIAL_CALLS[name](call, this)
    const doubt = judgeFunction(path, this.sight)
    // `ssn(c)` is a column when no function has that name.
    if (doubt !== null && this.resolution.useOf.has(call) && !routineNamed(name, this.sight) && exclusionOf(name) === null && !builtinOf(this.catalog.serverVersion).functions.has(name)) return
    this.doubt(doubt)
  }

  #locks(): void {
    if (this.planned) return
    const read = this.resolution.references.filter((reference) => reference.role === 'read')
    this.add({ operation: 'sql.lock', access: 'write', objects: this.objectsOf(read) })
  }

  // ——— relations ———

  #relations(select: boolean): void {
    const read = this.resolution.references.filter((reference) => reference.role === 'read' && reference.resolved.kind !== 'cte')
    if (select || this.#reads || read.length > 0) {
      const returned = this.resolution.uses.filter((use) => use.field === 'returning').flatMap((use) => use.targets.map(({ reference }) => reference))
      const all = [...new Set([...read, ...returned])]
      this.add({ operation: 'sql.select', access: 'read', objects: this.objectsOf(all), columns: this.columnsOf(all), ...this.comparedOf(all) })
    }
    for (const reference of this.resolution.references) this.#system(reference)
    const called = reached(this.catalog, [...this.sight.followed ?? []].map((oid) => `f${oid}`))
    if (called.relations.size > 0) this.add({ operation: 'sql.select', access: 'read', objects: [...called.relations], columns: [...called.columns].toSorted() })
  }

  #system({ resolved, role, columns, whole }: Reference): void {
    const name = resolved.kind === 'system' ? resolved.name : resolved.kind === 'relation' ? resolved.relation.name : null
    if (name === null) return
    const shown = qualified(resolved)!
    const sensitive = sensitivityOf(name)
    const known = resolved.kind === 'system' && resolved.relation !== null
    const touched = sensitive?.column === undefined || whole || !known || role !== 'read' || columns.has(sensitive.column)
    if (sensitive !== null && touched && (resolved.kind === 'system' || name.startsWith('pg_stat_statements'))) return this.admin('sql.select', [shown], `${shown} ${sensitive.reason}`)
    if (resolved.kind !== 'system') return
    if (role !== 'read' && role !== 'copy.out') return this.admin('sql.configure', [shown], `${shown} belongs to the server`)
    if (resolved.schema === 'pg_catalog' && !builtinOf(this.catalog.serverVersion).relations.has(name)) this.admin('sql.select', [shown], `${shown} is not known to this version`)
  }

  sequence(node: Node | undefined): Effect['objects'] {
    const text = literal(node)
    if (text === null) return 'unknown'
    const name = this.relationNamed(text.split('.').map((part) => /^".*"$/.test(part) ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase()))
    return name === null ? 'unknown' : [name]
  }
}

/** The text of a string literal, also under a cast; null when it is anything else. */
export function literal(node: Node | undefined): string | null {
  const cast = as('TypeCast', node)
  if (cast !== null) return literal(cast.arg)
  const constant = as('A_Const', node)
  return constant?.sval === undefined ? null : constant.sval.sval ?? ''
}

/** Built-in functions with effects that a policy can name. */
const SPECIAL_CALLS: Readonly<Record<string, ((call: FuncCall, reader: Reader) => void) | undefined>> = {
  set_config: (call, reader) => {
    const [name, value, local] = call.args ?? []
    const setting = literal(name) ?? reader.settledName(name)
    if (setting === null || call.args?.length !== 3) return reader.admin('sql.configure', [], 'set_config() of a setting that is not known before it runs')
    const isLocal = as('A_Const', as('TypeCast', local)?.arg ?? local)?.boolval?.boolval === true || literal(local) === 't'
    reader.setting(setting, as('A_Const', value)?.isnull === true ? null : literal(value) ?? undefined, isLocal)
  },
  // What SHOW says to everyone.
  current_setting: () => {},
  nextval: (call, reader) => reader.add({ operation: 'sql.update', access: 'write', objects: reader.sequence(call.args?.[0]), bounded: true }),
  // Every later row feels it.
  setval: (call, reader) => reader.add({ operation: 'sql.update', access: 'write', objects: reader.sequence(call.args?.[0]) }),
  pg_notify: (_call, reader) => reader.add({ operation: 'sql.notify', access: 'write' }),
}
