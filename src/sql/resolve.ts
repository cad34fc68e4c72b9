// Which relation each name of a statement means, in which role, and which columns are used of it. CTE scopes are the server's: a plain name
// meets the nearest WITH in sight before any relation, a WITH without RECURSIVE sees only what stands before it, and the target of a write
// is never a CTE. Never guesses: see Resolved.
import type { CommonTableExpr, DeleteStmt, InsertStmt, MergeStmt, Node, RangeVar, ReturningClause, SelectStmt, UpdateStmt, WithClause, Alias, ColumnRef } from 'libpg-query'
import type { Catalog, NameContext, Relation } from './catalog.ts'
import { qualified, resolveName } from './names.ts'
import type { Resolved } from './names.ts'
import { outputNames } from './outputs.ts'
import { findColumn, findItem, findQualified, findRow, findStar, item } from './scope.ts'
import type { Found, Item, Scope } from './scope.ts'
import { as, children, kindOf, stringOf, stringsOf } from './walk.ts'
import type { Kind } from './walk.ts'

/** read: rows of it can flow into the statement. The others name what is changed. */
export type Role = 'read' | 'insert' | 'update' | 'delete' | 'merge' | 'copy.in' | 'copy.out' | 'lock' | 'truncate' | 'create' | 'ddl' | 'maintain'
export interface Reference {
  readonly role: Role
  readonly node: RangeVar
  readonly resolved: Resolved
  /** The name by which it is known in its query. */
  readonly alias: string
  readonly aliased: boolean
  /** Byte offset in the whole text; -1 when the grammar gives none. */
  readonly location: number
  /** `ONLY t`: without its children. */
  readonly only: boolean
  readonly sampled: boolean
  /** Columns named, or reached through `*` or the whole row. */
  readonly columns: ReadonlySet<string>
  /** Used as a whole row (`SELECT c FROM c`, `t.*` in an expression, a function on it). */
  readonly whole: boolean
  /** The SELECT, INSERT, … it stands in. */
  readonly query: object
}
export interface ColumnUse extends Found { readonly node: ColumnRef; readonly query: object; readonly field: string }
export interface Resolution {
  readonly references: readonly Reference[]
  readonly byNode: ReadonlyMap<object, Reference>
  readonly uses: readonly ColumnUse[]
  readonly useOf: ReadonlyMap<object, ColumnUse>
  /** Targets of SET and of INSERT's column list. */
  readonly written: readonly { readonly reference: Reference; readonly column: string }[]
  /** CTE bodies by the statement nodes that are CTEs' queries, for those who ask what a `cte` reference reads. */
  readonly ctes: ReadonlyMap<object, CommonTableExpr>
}

interface Entry { readonly cte: CommonTableExpr; readonly recursive: boolean; names: readonly string[]; open: boolean; readonly up: Entry | null }
type Env = Entry | null
type Mutable<T> = { -readonly [K in keyof T]: T[K] }
interface Level extends Scope { items: Item[]; query: object; env: Env; outputs: ReadonlySet<string> }

/** `uncertain`: relation names that may mean something else by now than the catalog and the context know. */
export function resolve(statement: Node, catalog: Catalog, context: NameContext | null, uncertain: ReadonlySet<string> | 'all' = NO_NAMES): Resolution {
  const resolver = new Resolver(catalog, context, uncertain)
  resolver.statement(statement, null, null)
  return resolver
}

const NO_NAMES: ReadonlySet<string> = new Set()

class Resolver implements Resolution {
  readonly references: Reference[] = []
  readonly byNode = new Map<object, Reference>()
  readonly uses: ColumnUse[] = []
  readonly useOf = new Map<object, ColumnUse>()
  readonly written: { reference: Reference; column: string }[] = []
  readonly ctes = new Map<object, CommonTableExpr>()
  readonly #catalog: Catalog
  readonly #context: NameContext | null

  readonly #uncertain: ReadonlySet<string> | 'all'

  constructor(catalog: Catalog, context: NameContext | null, uncertain: ReadonlySet<string> | 'all') { this.#catalog = catalog; this.#context = context; this.#uncertain = uncertain }

  /** Any statement, or anything that may stand where one does. Gives the names of its output columns. */
  statement(node: Node, up: Scope | null, env: Env): Outputs {
    const kind = kindOf(node)
    switch (kind) {
      case 'SelectStmt': return this.#select(as(kind, node)!, up, env)
      case 'InsertStmt': return this.#insert(as(kind, node)!, up, env)
      case 'UpdateStmt': return this.#update(as(kind, node)!, up, env)
      case 'DeleteStmt': return this.#delete(as(kind, node)!, up, env)
      case 'MergeStmt': return this.#merge(as(kind, node)!, up, env)
      case null: return NONE
      default: this.#utility(kind, (node as unknown as Record<string, object>)[kind]!, up, env); return NONE
    }
  }

  #select(select: SelectStmt, up: Scope | null, outer: Env): Outputs {
    const env = this.#with(select.withClause, up, outer)
    const level: Level = { items: [], up, query: select, env, outputs: new Set() }
    let outputs: Outputs = NONE
    if (select.larg !== undefined && select.rarg !== undefined) {
      outputs = this.#select(select.larg, up, env)
      this.#select(select.rarg, up, env)
      level.outputs = new Set(outputs.names)
      this.#expressions([...(select.sortClause ?? []), ...present(select.limitCount, select.limitOffset)], level, 'sortClause')
      return outputs
    }
    for (const row of select.valuesLists ?? []) this.#expression(row, level, 'valuesLists')
    if (select.valuesLists !== undefined) {
      const width = as('List', select.valuesLists[0])?.items?.length ?? 0
      outputs = { names: Array.from({ length: width }, (_, index) => `column${index + 1}`), open: false }
    }
    this.#from(select.fromClause, level)
    this.#expressions(select.targetList, level, 'targetList')
    if (select.valuesLists === undefined) outputs = outputNames(select.targetList, (field) => starNames(level, field))
    level.outputs = new Set(outputs.names)
    this.#expressions(present(select.whereClause), level, 'whereClause')
    this.#expressions(present(select.havingClause), level, 'havingClause')
    this.#expressions(select.groupClause, level, 'groupClause')
    this.#expressions(select.windowClause, level, 'windowClause')
    this.#expressions(select.distinctClause, level, 'distinctClause')
    this.#expressions(select.sortClause, level, 'sortClause')
    this.#expressions(present(select.limitCount, select.limitOffset), level, 'limit')
    if (select.intoClause?.rel !== undefined) this.#reference(select.intoClause.rel, 'create', level, null)
    return outputs
  }

  #insert(insert: InsertStmt, up: Scope | null, outer: Env): Outputs {
    const env = this.#with(insert.withClause, up, outer)
    const level: Level = { items: [], up, query: insert, env, outputs: new Set() }
    const target = this.#target(insert.relation, 'insert', level)
    this.#assigned(insert.cols, target)
    if (insert.cols === undefined && target !== null) for (const { reference, column } of allOf(target)) this.written.push({ reference, column })
    if (insert.selectStmt !== undefined) this.statement(insert.selectStmt, up, env)
    this.#expressions(insert.cols, level, 'cols')
    if (target !== null && insert.onConflictClause !== undefined) {
      const conflict = insert.onConflictClause
      const inner: Level = { ...level, items: [target, { ...target, name: 'excluded', schema: null, qualifiedOnly: true }] }
      this.#expressions(conflict.infer?.indexElems, inner, 'infer')
      this.#expressions(present(conflict.infer?.whereClause), inner, 'infer')
      this.#assigned(conflict.targetList, target)
      this.#expressions(conflict.targetList, inner, 'targetList')
      this.#expressions(present(conflict.whereClause), inner, 'whereClause')
    }
    if (target !== null) level.items.push(target)
    return this.#returning(insert.returningClause, level, target)
  }

  #update(update: UpdateStmt, up: Scope | null, outer: Env): Outputs {
    const level: Level = { items: [], up, query: update, env: this.#with(update.withClause, up, outer), outputs: new Set() }
    const target = this.#target(update.relation, 'update', level)
    if (target !== null) level.items.push(target)
    this.#from(update.fromClause, level)
    this.#assigned(update.targetList, target)
    this.#expressions(update.targetList, level, 'targetList')
    this.#expressions(present(update.whereClause), level, 'whereClause')
    return this.#returning(update.returningClause, level, target)
  }

  #delete(del: DeleteStmt, up: Scope | null, outer: Env): Outputs {
    const level: Level = { items: [], up, query: del, env: this.#with(del.withClause, up, outer), outputs: new Set() }
    const target = this.#target(del.relation, 'delete', level)
    if (target !== null) level.items.push(target)
    this.#from(del.usingClause, level)
    this.#expressions(present(del.whereClause), level, 'whereClause')
    return this.#returning(del.returningClause, level, target)
  }

  #merge(merge: MergeStmt, up: Scope | null, outer: Env): Outputs {
    const level: Level = { items: [], up, query: merge, env: this.#with(merge.withClause, up, outer), outputs: new Set() }
    this.#from(present(merge.sourceRelation), level)
    const target = this.#target(merge.relation, 'merge', level)
    if (target !== null) level.items.push(target)
    this.#expressions(present(merge.joinCondition), level, 'whereClause')
    for (const clause of merge.mergeWhenClauses ?? []) {
      const when = as('MergeWhenClause', clause)
      if (when === null) continue
      this.#assigned(when.targetList, target)
      this.#expressions(present(when.condition), level, 'whereClause')
      this.#expressions(when.targetList, level, 'targetList')
      this.#expressions(when.values, level, 'values')
    }
    return this.#returning(merge.returningClause, level, target)
  }

  #returning(clause: ReturningClause | undefined, level: Level, target: Item | null): Outputs {
    if (clause === undefined) return NONE
    if (target !== null) {
      const named = new Map([['old', 'old'], ['new', 'new']])
      for (const option of clause.options ?? []) {
        const body = as('ReturningOption', option)
        if (body?.value !== undefined) named.set(body.option === 'RETURNING_OPTION_OLD' ? 'old' : 'new', body.value)
      }
      for (const name of named.values()) level.items.push({ ...target, name, schema: null, qualifiedOnly: true })
    }
    this.#expressions(clause.exprs, level, 'returning')
    return outputNames(clause.exprs, (field) => starNames(level, field))
  }

  /** Opens a WITH clause: gives what the statement and later entries see. */
  #with(clause: WithClause | undefined, up: Scope | null, outer: Env): Env {
    if (clause === undefined) return outer
    const bodies = (clause.ctes ?? []).flatMap((node) => { const cte = as('CommonTableExpr', node); return cte === null ? [] : [cte] })
    let env = outer
    if (clause.recursive === true) {
      const entries: Entry[] = []
      for (const cte of bodies) { const entry: Entry = { cte, recursive: true, names: stringsOf(cte.aliascolnames) ?? [], open: true, up: env }; entries.push(entry); env = entry }
      for (const entry of entries) this.#cte(entry, up, env)
      return env
    }
    for (const cte of bodies) {
      const entry: Entry = { cte, recursive: false, names: [], open: true, up: env }
      this.#cte(entry, up, env)
      env = entry
    }
    return env
  }

  #cte(entry: Entry, up: Scope | null, env: Env): void {
    const { cte } = entry
    if (cte.ctequery === undefined) return
    // While its own query is read, a recursive entry has the columns of its first arm, which are not known yet: it is open.
    const outputs = this.statement(cte.ctequery, up, env)
    entry.names = renamed(outputs.names, stringsOf(cte.aliascolnames) ?? [])
    entry.open = outputs.open || cte.search_clause !== undefined || cte.cycle_clause !== undefined
    this.ctes.set(cte.ctequery, cte)
  }

  #from(list: readonly Node[] | undefined, level: Level): void {
    for (const node of list ?? []) for (const entry of this.#fromItem(node, level)) level.items.push(entry)
  }

  /** Entries that one item of FROM puts in sight. */
  #fromItem(node: Node, level: Level): Item[] {
    const kind = kindOf(node)
    if (kind === 'RangeVar') return [this.#rangeVar(as(kind, node)!, level, false)]
    if (kind === 'RangeTableSample') {
      const sample = as(kind, node)!
      this.#expressions([...(sample.args ?? []), ...present(sample.repeatable)], level, 'sample')
      const inner = as('RangeVar', sample.relation)
      return inner === null ? this.#fromItem(sample.relation!, level) : [this.#rangeVar(inner, level, true)]
    }
    if (kind === 'RangeSubselect') {
      const body = as(kind, node)!
      const outputs = this.statement(body.subquery!, body.lateral === true ? frozen(level) : level.up, level.env)
      return [item(body.alias?.aliasname ?? null, renamed(outputs.names, aliasColumns(body.alias)), { open: outputs.open })]
    }
    if (kind === 'JoinExpr') {
      const join = as(kind, node)!
      const left = this.#fromItem(join.larg!, level)
      const inside: Level = { ...level, items: [...level.items, ...left] }
      const right = this.#fromItem(join.rarg!, inside)
      const both: Level = { ...level, items: [...left, ...right] }
      for (const name of stringsOf(join.usingClause) ?? []) this.#named(name, both)
      if (join.isNatural === true) for (const name of commonNames(left, right)) this.#named(name, both)
      this.#expressions(present(join.quals), both, 'quals')
      if (join.alias === undefined) return join.join_using_alias?.aliasname === undefined ? both.items
        : [...both.items, item(join.join_using_alias.aliasname, [], { members: both.items, qualifiedOnly: true })]
      const renames = aliasColumns(join.alias).length > 0
      return [item(join.alias.aliasname ?? null, [], { members: both.items, open: renames })]
    }
    return [this.#derived(kind, node, level)]
  }

  /** Functions, XMLTABLE, JSON_TABLE in FROM: all are implicitly lateral. */
  #derived(kind: Kind | null, node: Node, level: Level): Item {
    this.#expression(node, level, 'fromClause')
    const body = kind === null ? {} : (node as unknown as Record<string, { alias?: Alias; coldeflist?: Node[]; functions?: Node[] }>)[kind]!
    const names = [...aliasColumns(body.alias), ...(body.coldeflist ?? []).map((column) => as('ColumnDef', column)?.colname ?? '')]
    let name = body.alias?.aliasname ?? null
    if (name === null && kind === 'RangeFunction') name = stringsOf(as('FuncCall', as('List', body.functions?.[0])?.items?.[0])?.funcname)?.at(-1) ?? null
    // A function of one scalar gives a column named like its alias; one of a row type gives columns not known here.
    return item(name, name === null ? names : [...names, name], { open: true })
  }

  #rangeVar(node: RangeVar, level: Level, sampled: boolean): Item {
    const alias = node.alias?.aliasname ?? node.relname ?? ''
    const renames = aliasColumns(node.alias)
    if (node.schemaname === undefined && node.catalogname === undefined) {
      for (let entry = level.env; entry !== null; entry = entry.up) {
        if (entry.cte.ctename !== node.relname) continue
        this.#reference(node, 'read', level, { kind: 'cte', name: node.relname ?? '', query: entry.cte.ctequery ?? null, recursive: entry.recursive }, sampled)
        return item(alias, renamed(entry.names, renames), { open: entry.open })
      }
    }
    return relationItem(this.#reference(node, 'read', level, null, sampled), alias, renames)
  }

  #target(node: RangeVar | undefined, role: Role, level: Level): Item | null {
    if (node === undefined) return null
    return relationItem(this.#reference(node, role, level, null), node.alias?.aliasname ?? node.relname ?? '', aliasColumns(node.alias))
  }

  #reference(node: RangeVar, role: Role, level: { query: object }, resolved: Resolved | null, sampled = false): Reference {
    const reference: Reference = {
      role, node, sampled, resolved: resolved ?? this.#name(node),
      alias: node.alias?.aliasname ?? node.relname ?? '', aliased: node.alias !== undefined,
      location: node.location ?? -1, only: node.inh !== true, columns: new Set(), whole: false, query: level.query,
    }
    this.references.push(reference)
    this.byNode.set(node, reference)
    return reference
  }

  #name(node: RangeVar): Resolved {
    // pg_catalog can't be made to: what is written with its name stays itself.
    if (node.schemaname !== 'pg_catalog' && (this.#uncertain === 'all' || this.#uncertain.has(node.relname ?? ''))) return { kind: 'unresolved', why: 'a statement before this one may have changed what the name means' }
    return resolveName(node, this.#catalog, this.#context)
  }

  #assigned(list: readonly Node[] | undefined, target: Item | null): void {
    if (target?.reference == null) return
    for (const node of list ?? []) {
      const name = as('ResTarget', node)?.name
      if (name !== undefined) this.written.push({ reference: target.reference, column: target.columns.get(name) ?? name })
    }
  }

  #named(name: string, level: Level): void {
    this.#use({ fields: [{ String: { sval: name } }] }, findColumn({ items: level.items, up: null }, name), level, 'using')
  }

  #expressions(list: readonly Node[] | undefined, level: Level, field: string): void {
    for (const node of list ?? []) this.#expression(node, level, field)
  }

  #expression(node: Node, level: Level, field: string): void {
    const kind = kindOf(node)
    if (kind === null) return
    const body = (node as unknown as Record<string, object>)[kind]!
    if (kind === 'ColumnRef') return this.#column(body, level, field)
    if (kind === 'SelectStmt' || kind === 'InsertStmt' || kind === 'UpdateStmt' || kind === 'DeleteStmt' || kind === 'MergeStmt') { this.statement(node, level, level.env); return }
    if (kind === 'RangeVar') { this.#reference(body, 'ddl', level, null); return }
    if (kind === 'FuncCall') this.#functional(body, level, field)
    // Columns of CREATE INDEX and CREATE STATISTICS are plain names.
    if (kind === 'IndexElem' || kind === 'StatsElem') { const { name } = body as { name?: string }; if (name !== undefined) this.#named(name, level) }
    children(kind, body, (child, inner) => { if (inner === '') this.#expression(child as Node, level, field); else this.#expression({ [inner]: child } as unknown as Node, level, field) })
  }

  /** `ssn(c)`: the server takes a column of c when no function has that name. */
  #functional(call: { funcname?: Node[]; args?: Node[] }, level: Level, field: string): void {
    const name = stringsOf(call.funcname)
    const argument = as('ColumnRef', call.args?.[0])
    if (name?.length !== 1 || call.args?.length !== 1 || argument === null) return
    const path = stringsOf(argument.fields)
    if (path === null || path.length === 0) return
    const entry = findItem(level, path.length > 1 ? path.at(-2)! : null, path.at(-1)!)
    if (entry === null) return
    const found = findQualified({ items: [entry], up: null }, null, entry.name ?? '', name[0]!)
    if (found.kind === 'column') this.#use(argument, found, level, field, call)
  }

  #column(ref: ColumnRef, level: Level, field: string): void {
    const fields = ref.fields ?? []
    const star = kindOf(fields.at(-1)) === 'A_Star'
    const path = fields.slice(0, star ? -1 : undefined).map((part) => stringOf(part) ?? '')
    // A fourth part is the database's own name.
    const [name = '', table = null, schema = null] = path.reverse()
    if (star) return this.#use(ref, findStar(level, table, path.length === 0 ? null : name), level, field)
    if (path.length === 1) {
      const found = findColumn(level, name)
      if (found.kind === 'unknown' && level.outputs.has(name)) return
      return this.#use(ref, found, level, field)
    }
    let found = findQualified(level, schema, table!, name)
    if (found.kind === 'unknown') found = findRow(level, table, name)
    this.#use(ref, found, level, field)
  }

  #use(node: ColumnRef, found: Found, level: Level, field: string, key: object = node): void {
    const use: ColumnUse = { ...found, node, query: level.query, field }
    this.uses.push(use)
    this.useOf.set(key, use)
    for (const { reference, column } of found.targets) (reference.columns as Set<string>).add(column)
    // Behind a star of a relation with known columns are exactly these; else, and for rows, there may be more.
    for (const reference of found.wholes) if (found.kind !== 'star' || !known(reference)) (reference as Mutable<Reference>).whole = true
  }

  /** Statements that are no queries: what they name, and the queries inside. Roles are read off the node and field. */
  #utility(kind: Kind, body: object, up: Scope | null, env: Env): void {
    const level: Level = { items: [], up, query: body, env, outputs: new Set() }
    const queries: Node[] = []
    const rest: [Node | object, string][] = []
    children(kind, body, (child, inner, field) => {
      if (inner === 'RangeVar' || (inner === '' && kindOf(child as Node) === 'RangeVar')) {
        const node = inner === '' ? as('RangeVar', child as Node)! : child as RangeVar
        const entry = relationItem(this.#reference(node, roleOf(kind, field, body), level, null), node.alias?.aliasname ?? node.relname ?? '', [])
        if (roleOf(kind, field, body) !== 'create') level.items.push(entry, { ...entry, name: 'old', qualifiedOnly: true }, { ...entry, name: 'new', qualifiedOnly: true })
      } else if (inner === '' && STATEMENT.test(kindOf(child as Node) ?? '')) queries.push(child as Node)
      else rest.push([child, inner])
    })
    if (kind === 'CopyStmt' && level.items[0]?.reference) this.#copied(body as { attlist?: Node[] }, level.items[0])
    // The actions of a rule see its OLD and NEW, and nothing else hides them.
    for (const query of queries) this.statement(query, kind === 'RuleStmt' ? frozen(level) : up, env)
    for (const [child, inner] of rest) {
      if (inner === 'IntoClause') { const { rel } = child as { rel?: RangeVar }; if (rel !== undefined) this.#reference(rel, 'create', level, null) }
      else this.#expression(inner === '' ? child as Node : { [inner]: child } as unknown as Node, level, kind)
    }
  }

  #copied(copy: { attlist?: Node[]; is_from?: boolean }, entry: Item): void {
    const reference = entry.reference!
    const names = copy.attlist === undefined ? [...entry.columns.values()] : stringsOf(copy.attlist) ?? []
    for (const column of names) {
      if (copy.is_from === true) this.written.push({ reference, column })
      else (reference.columns as Set<string>).add(column)
    }
  }
}

const STATEMENT = /Stmt$/
function roleOf(kind: Kind, field: string, body: object): Role {
  if (kind === 'CopyStmt') return (body as { is_from?: boolean }).is_from === true ? 'copy.in' : 'copy.out'
  if (kind === 'LockStmt') return 'lock'
  if (kind === 'TruncateStmt') return 'truncate'
  if (kind === 'VacuumRelation' || kind === 'ReindexStmt' || kind === 'ClusterStmt' || kind === 'RefreshMatViewStmt') return 'maintain'
  if (field === 'view' || field === 'sequence' || field === 'typevar') return 'create'
  if ((kind === 'CreateStmt' || kind === 'CreateForeignTableStmt') && field === 'relation') return 'create'
  return 'ddl'
}

export interface Outputs { readonly names: readonly string[]; readonly open: boolean }
const NONE: Outputs = { names: [], open: false }
const present = (...nodes: readonly (Node | undefined)[]): Node[] => nodes.filter((node) => node !== undefined)
const aliasColumns = (alias: Alias | undefined): string[] => stringsOf(alias?.colnames) ?? []
const renamed = (names: readonly string[], renames: readonly string[]): string[] => [...renames, ...names.slice(renames.length)]
const frozen = (level: Level): Scope => ({ items: [...level.items], up: level.up })
const allOf = (entry: Item): { reference: Reference; column: string }[] => entry.reference === null ? [] : [...entry.columns.values()].map((column) => ({ reference: entry.reference!, column }))

function commonNames(left: readonly Item[], right: readonly Item[]): string[] {
  const names = (items: readonly Item[]): string[] => items.flatMap((entry) => [...entry.columns.keys(), ...names(entry.members)])
  const other = new Set(names(right))
  return names(left).filter((name) => other.has(name))
}

function starNames(level: Level, table: string | null): Outputs {
  const entries = table === null ? level.items.filter((entry) => !entry.qualifiedOnly) : [findItem(level, null, table)].filter((entry) => entry !== null)
  const names = (entry: Item): string[] => [...entry.columns.keys(), ...entry.members.flatMap(names)]
  const open = (entry: Item): boolean => entry.open || entry.members.some(open)
  return { names: entries.flatMap(names), open: entries.length === 0 || entries.some(open) }
}

const relationOf = ({ resolved }: Reference): Relation | null => resolved.kind === 'relation' || resolved.kind === 'system' ? resolved.relation : null
/** Columns are known: of a table without any, `*` gives none. */
const known = (reference: Reference): boolean => relationOf(reference) !== null

function relationItem(reference: Reference, alias: string, renames: readonly string[]): Item {
  const relation = relationOf(reference)
  const columns = new Map<string, string>()
  relation?.columns.forEach((column, index) => columns.set(renames[index] ?? column.name, column.name))
  const name = qualified(reference.resolved)
  return { name: alias, schema: reference.aliased || name === null ? null : name.slice(0, name.lastIndexOf('.')), reference, columns, open: !known(reference), members: [], qualifiedOnly: false }
}
