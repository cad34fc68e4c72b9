// Lineage of a query by its text: what each output column can depend on, and what decides about its rows. For definitions that the server wrote
// (views, bodies of functions), so it is strict: what is not followed for certain throws Unfollowed, and nothing is known of the whole.
import type { Alias, CommonTableExpr, JoinExpr, Node, RangeFunction, RangeVar, SelectStmt } from 'libpg-query'
import type { Relation } from './catalog.ts'
import { CLEAN, columnFlow, type Flow, type Handed, keeps, type Lineage, merge, Unfollowed } from './flow.ts'
import { bare, type Entry, type Level, star } from './lineage-scope.ts'
import { valueOf } from './lineage-values.ts'
import { outputNames } from './outputs.ts'
import { as, kindOf, stringOf, stringsOf } from './walk.ts'

/** How the text's names are looked up. */
export interface Names {
  /** Null: the name is not known. */
  relation(schema: string | null, name: string): Relation | null
  /** Routines that a call may mean, none of them the server's own; null: a function of the server's own. */
  routines(path: readonly string[]): readonly { readonly oid: number; readonly set: boolean }[] | null
  builtIn(path: readonly string[]): boolean
  /** Routines behind an operator or a type; [] when the server's own. */
  behindOperator(path: readonly string[]): readonly number[]
  behindType(path: readonly string[]): readonly number[]
  parameter(path: readonly string[]): Flow | null
}
export interface Follower extends Pick<Names, 'routines' | 'parameter' | 'builtIn'> {
  query(node: Node, up: Level | null): Lineage
  decide(flow: Flow): void
  touch(flow: Flow): Flow
  hand(routine: number, given: Flow): void
  operator(path: readonly string[]): void
  type(names: readonly Node[] | undefined): void
}
interface Cte { readonly name: string; entry: Entry; decides: Flow; readonly up: Cte | null }
type Outputs = Lineage['outputs']

const DEEP_MAX = 64

export function lineage(query: Node, names: Names): Lineage { return new Query(names, null, 0).read(query, null) }

/** One query and, below it, those inside. */
class Query implements Follower {
  readonly #names: Names
  readonly #ctes: Cte | null
  readonly #deep: number
  #decides: Flow[] = []
  readonly #reads = new Set<number>()
  readonly #touched = new Set<string>()
  readonly #handed: Handed[] = []

  constructor(names: Names, ctes: Cte | null, deep: number) { this.#names = names; this.#ctes = ctes; this.#deep = deep }

  routines(path: readonly string[]): ReturnType<Names['routines']> { return this.#names.routines(path) }
  builtIn(path: readonly string[]): boolean { return this.#names.builtIn(path) }
  parameter(path: readonly string[]): Flow | null { return this.#names.parameter(path) }
  decide(flow: Flow): void { this.#decides.push(flow) }
  touch(flow: Flow): Flow { for (const source of [...flow.sources, ...flow.nulls]) this.#touched.add(source); return flow }
  hand(routine: number, given: Flow): void { this.#handed.push({ routine, given, behind: false }) }
  #behind(routine: number): void { this.#handed.push({ routine, given: EVERYTHING, behind: true }) }
  /** Routines behind operators and types are not followed with their arguments: whatever they are, they are handed something. */
  operator(path: readonly string[]): void { for (const routine of this.#names.behindOperator(path)) this.#behind(routine) }
  type(names: readonly Node[] | undefined): void { for (const routine of this.#names.behindType(stringsOf(names) ?? [])) this.#behind(routine) }

  query(node: Node, up: Level | null, ctes: Cte | null = this.#ctes): Lineage {
    if (this.#deep >= DEEP_MAX) throw new Unfollowed('it is nested too deep')
    const inner = new Query(this.#names, ctes, this.#deep + 1).read(node, up)
    for (const oid of inner.reads) this.#reads.add(oid)
    for (const source of inner.touched) this.#touched.add(source)
    this.#handed.push(...inner.handed)
    return inner
  }

  read(node: Node, up: Level | null): Lineage {
    const select = as('SelectStmt', node)
    if (select === null || select.intoClause !== undefined) throw new Unfollowed('it is not only a query')
    const outputs = this.#select(select, up)
    return { outputs, decides: merge(this.#decides, 'computed'), reads: this.#reads, touched: this.#touched, handed: this.#handed }
  }

  #select(select: SelectStmt, up: Level | null): Outputs {
    const ctes = this.#with(select, up)
    if (ctes !== this.#ctes) {
      const { withClause: _, ...rest } = select
      const inner = this.query({ SelectStmt: rest } as Node, up, ctes)
      this.decide(inner.decides)
      return inner.outputs
    }
    if (select.larg !== undefined && select.rarg !== undefined) return this.#both(select, up)
    const sight: { entries: Entry[]; up: Level | null } = { entries: [], up }
    for (const item of select.fromClause ?? []) sight.entries.push(...this.#item(item, sight))
    const outputs = select.valuesLists === undefined ? this.#targets(select.targetList ?? [], sight) : this.#values(select.valuesLists, sight)
    const named = (node: Node): Flow => this.#named(node, outputs, sight)
    const decided = [select.whereClause, select.havingClause, select.limitCount, select.limitOffset].filter((one) => one !== undefined)
    for (const one of [...decided, ...select.windowClause ?? []]) this.decide(valueOf(one, sight, this))
    for (const one of select.groupClause ?? []) this.decide(named(one))
    for (const one of select.sortClause ?? []) this.decide(this.#sorted(one, named))
    if (select.distinctClause !== undefined) for (const one of select.distinctClause) this.decide(Object.keys(one).length === 0 ? merge(outputs.map(({ flow }) => flow), 'computed') : named(one))
    return outputs
  }

  #both(select: SelectStmt, up: Level | null): Outputs {
    const [left, right] = [this.query({ SelectStmt: select.larg } as Node, up), this.query({ SelectStmt: select.rarg } as Node, up)]
    this.decide(left.decides); this.decide(right.decides)
    if (left.outputs.length !== right.outputs.length) throw new Unfollowed('the arms of a set operation differ')
    const outputs = left.outputs.map(({ name, flow }, index) => joined(name, [flow, right.outputs[index]!.flow]))
    // Both arms are computed whole, so what could fail in one is a row's doing; and what is compared decides which rows stay.
    const every = select.op !== 'SETOP_UNION' || select.all !== true
    for (const { flow } of [...left.outputs, ...right.outputs]) if (every || !keeps(flow)) this.decide(flow)
    const sight: Level = { entries: [], up }
    for (const one of select.sortClause ?? []) this.decide(this.#sorted(one, (node) => this.#named(node, outputs, sight)))
    for (const one of [select.limitCount, select.limitOffset]) if (one !== undefined) this.decide(valueOf(one, sight, this))
    return outputs
  }

  #targets(list: readonly Node[], sight: Level): Outputs {
    return list.flatMap((node) => {
      const target = as('ResTarget', node)
      if (target?.val === undefined) throw new Unfollowed('an output is not known')
      const fields = as('ColumnRef', target.val)?.fields ?? []
      if (kindOf(fields.at(-1)) === 'A_Star') {
        if (fields.length > 2) throw new Unfollowed('the columns behind * are not known')
        const shown = star(sight, fields.length === 1 ? null : stringOf(fields[0]) ?? '')
        for (const { flow } of shown) this.touch(flow)
        return shown
      }
      if (as('A_Indirection', target.val)?.indirection?.some((part) => kindOf(part) === 'A_Star') === true) throw new Unfollowed('the columns behind * are not known')
      return [{ name: outputNames([node], () => ({ names: [], open: true })).names[0] ?? '?column?', flow: valueOf(target.val, sight, this) }]
    })
  }

  #values(rows: readonly Node[], sight: Level): Outputs {
    const read = rows.map((one) => (as('List', one)?.items ?? []).map((value) => valueOf(value, sight, this)))
    return (read[0] ?? []).map((_, index) => joined(`column${index + 1}`, read.map((one) => one[index] ?? CLEAN)))
  }

  /** In GROUP BY, ORDER BY and DISTINCT ON: an output by number or name, else an expression. A name that may be either is both. */
  #named(node: Node, outputs: Outputs, sight: Level): Flow {
    const number = as('A_Const', node)?.ival
    if (number !== undefined) return outputs[(number.ival ?? 0) - 1]?.flow ?? fail('an output is named by a number that it has not')
    const fields = as('ColumnRef', node)?.fields
    const name = fields?.length === 1 ? stringOf(fields[0]) : null
    const shown = name === null ? [] : outputs.filter((one) => one.name === name).map(({ flow }) => flow)
    if (shown.length === 0) return valueOf(node, sight, this)
    const column = bare(sight, name!)
    return merge(column === null ? shown : [...shown, column], 'computed')
  }
  #sorted(node: Node, named: (node: Node) => Flow): Flow {
    const sort = as('SortBy', node)
    if (sort?.node === undefined) throw new Unfollowed('an order is not known')
    if (sort.useOp !== undefined) this.operator(stringsOf(sort.useOp) ?? [])
    return named(sort.node)
  }

  // ——— WITH ———

  #with(select: SelectStmt, up: Level | null): Cte | null {
    let ctes = this.#ctes
    const later = (select.withClause?.ctes ?? []).slice(1).map((node) => as('CommonTableExpr', node)?.ctename ?? '')
    for (const node of select.withClause?.ctes ?? []) {
      const cte = as('CommonTableExpr', node)
      if (cte?.ctequery === undefined || cte.search_clause !== undefined || cte.cycle_clause !== undefined) throw new Unfollowed('a WITH of this kind is not followed')
      // WITH RECURSIVE lets an entry see those after it, too.
      if (select.withClause?.recursive === true) {
        const text = JSON.stringify(cte.ctequery)
        if (later.some((name) => text.includes(JSON.stringify(name)))) throw new Unfollowed('a WITH names what stands after it')
        later.shift()
      }
      ctes = this.#cte(cte, up, ctes, select.withClause?.recursive === true)
    }
    return ctes
  }
  #cte(cte: CommonTableExpr, up: Level | null, before: Cte | null, recursive: boolean): Cte {
    const name = cte.ctename ?? ''
    const made: Cte = { name, entry: { name, columns: [], open: null }, decides: CLEAN, up: before }
    const settle = (inner: Lineage): void => {
      made.entry = { name, columns: renamed(inner.outputs, stringsOf(cte.aliascolnames) ?? []), open: null }
      // It may be computed whole before anything is taken of it: what could fail is there whether it is shown or not.
      made.decides = merge([inner.decides, ...inner.outputs.filter(({ flow }) => !keeps(flow)).map(({ flow }) => flow)], 'computed')
    }
    const body = as('SelectStmt', cte.ctequery)
    if (!recursive || body?.larg === undefined || !this.#selfish(body, name)) { settle(this.query(cte.ctequery!, up, before)); return made }
    settle(this.query({ SelectStmt: body.larg } as Node, up, before))
    for (let size = -1; size !== weight(made);) { size = weight(made); settle(this.query(cte.ctequery!, up, made)) }
    return made
  }
  #selfish(body: SelectStmt, name: string): boolean { return body.op === 'SETOP_UNION' && JSON.stringify(body.rarg ?? {}).includes(JSON.stringify(name)) }

  // ——— FROM ———

  #item(node: Node, level: Level): Entry[] {
    const kind = kindOf(node)
    switch (kind) {
      case 'RangeVar': return [this.#range(as(kind, node)!)]
      case 'RangeTableSample': {
        const { relation, args, repeatable } = as(kind, node)!
        for (const one of [...args ?? [], ...repeatable === undefined ? [] : [repeatable]]) this.decide(valueOf(one, level, this))
        return this.#item(relation!, level)
      }
      case 'RangeSubselect': {
        const { subquery, alias, lateral } = as(kind, node)!
        const inner = this.query(subquery!, lateral === true ? level : level.up)
        this.decide(inner.decides)
        return [{ name: alias?.aliasname ?? null, columns: renamed(inner.outputs, columnNames(alias)), open: null }]
      }
      case 'JoinExpr': return this.#join(as(kind, node)!, level)
      case 'RangeFunction': return [this.#function(as(kind, node)!, level)]
      case 'RangeTableFunc': {
        const body = as(kind, node)!
        const { alias, columns, ...rest } = body
        const flow = merge([valueOf({ RangeTableFunc: { ...rest, columns } } as Node, level, this)], 'computed')
        this.decide(flow)
        return [{ name: alias?.aliasname ?? null, columns: [], open: flow }]
      }
      default: throw new Unfollowed(`${kind ?? 'a part'} in FROM is not followed`)
    }
  }

  #range(node: RangeVar): Entry {
    const name = node.relname ?? ''
    const alias = node.alias?.aliasname ?? name
    if (node.schemaname === undefined) {
      for (let cte = this.#ctes; cte !== null; cte = cte.up) {
        if (cte.name !== name) continue
        this.decide(cte.decides)
        return { name: alias, columns: renamed(cte.entry.columns, columnNames(node.alias)), open: null }
      }
    }
    const relation = this.#names.relation(node.schemaname ?? null, name)
    if (relation === null) throw new Unfollowed(`${name} is not known here`)
    this.#reads.add(relation.oid)
    const columns = relation.columns.map((column) => ({ name: column.name, flow: columnFlow(`${relation.oid}.${column.number}`) }))
    return { name: alias, columns: renamed(columns, columnNames(node.alias)), open: null }
  }

  #join(join: JoinExpr, level: Level): Entry[] {
    const left = this.#item(join.larg!, level)
    const right = this.#item(join.rarg!, { entries: [...level.entries, ...left], up: level.up })
    const inside: Level = { entries: [...left, ...right], up: level.up }
    if (join.isNatural === true) throw new Unfollowed('NATURAL JOIN is not followed')
    const using = stringsOf(join.usingClause) ?? []
    for (const name of using) this.decide(this.touch(bare({ entries: inside.entries, up: null }, name) ?? fail(`${name} is not known here`)))
    if (using.length > 0) this.operator(['='])
    if (join.quals !== undefined) this.decide(valueOf(join.quals, inside, this))
    const merged = inside.entries.map((entry) => using.length === 0 ? entry : { ...entry, merged: true })
    if (join.alias === undefined) return join.join_using_alias === undefined ? merged : fail('an alias of USING is not followed')
    // The alias hides what it joins. Its columns: those merged, then the others, each in order.
    const all = inside.entries.filter((entry) => entry.hidden !== true)
    if (all.some((entry) => entry.open !== null || entry.merged === true)) throw new Unfollowed('the columns of a join are not known')
    const shared = using.map((name) => joined(name, all.flatMap((entry) => entry.columns.filter((column) => column.name === name).map(({ flow }) => flow))))
    const others = all.flatMap((entry) => entry.columns.filter((column) => !using.includes(column.name)))
    return [{ name: join.alias.aliasname ?? null, columns: renamed([...shared, ...others], columnNames(join.alias)), open: null }]
  }

  #function(body: RangeFunction, level: Level): Entry {
    const flows: Flow[] = []
    let called: string | null = null
    for (const item of body.functions ?? []) {
      const [node, definitions] = as('List', item)?.items ?? []
      if (node === undefined) throw new Unfollowed('a function in FROM is not known')
      called ??= stringsOf(as('FuncCall', node)?.funcname)?.at(-1) ?? null
      for (const one of as('List', definitions)?.items ?? []) this.type(as('ColumnDef', one)?.typeName?.names)
      flows.push(valueOf(node, level, this))
    }
    for (const one of body.coldeflist ?? []) this.type(as('ColumnDef', one)?.typeName?.names)
    const flow = merge(flows, 'computed')
    this.decide(flow)
    return { name: body.alias?.aliasname ?? called, columns: [], open: flow }
  }
}

const EVERYTHING: Flow = columnFlow('*')
const columnNames = (alias: Alias | undefined): string[] => stringsOf(alias?.colnames) ?? []
const renamed = (columns: Outputs, names: readonly string[]): Outputs => columns.map((column, index) => names[index] === undefined ? column : { ...column, name: names[index] })
const weight = ({ entry, decides }: Cte): number => [decides, ...entry.columns.map(({ flow }) => flow)].reduce((sum, flow) => sum + flow.sources.size + flow.nulls.size + (flow.how === 'computed' ? 1 : 0), 0)
function joined(name: string, flows: readonly Flow[]): { name: string; flow: Flow } {
  return { name, flow: flows.length === 1 ? flows[0]! : merge(flows, flows.every(keeps) ? 'kept' : 'computed') }
}
function fail(why: string): never { throw new Unfollowed(why) }
