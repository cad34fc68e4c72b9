// Queries that a client could send, of every form that the grammar has and the catalog can answer: made by type, so that most of them run.
// The same seed gives the same text.
import type { Random } from '../postgres/conversations.ts'
import { AGGREGATES, LITERALS, NAMES, SCALAR, TYPES, WINDOWS } from './expressions.ts'
import { type Column, type Table, TABLES, type Type } from './schema.ts'

interface Item { readonly alias: string; readonly columns: readonly Column[]; readonly masked: boolean; /** May be named as a whole. */ readonly row: boolean; /** How many, about. */ readonly rows: number }
interface Scope { readonly items: readonly Item[]; readonly outer: Scope | null }
export interface Query { readonly sql: string; readonly columns: readonly Column[]; readonly rows: number }
export interface Wants { readonly masked: boolean; /** Tables that the text itself made. */ readonly made?: readonly Table[] }
const NOWHERE: Scope = { items: [], outer: null }
const DEPTH = 3
/** About as many rows as a statement may have: more would only take time. */
const ROWS_MAX = 2_000
const TABLE_ROWS = 20

const rowsOf = (items: readonly Item[]): number => items.reduce((product, item) => product * Math.max(1, item.rows), 1)

export class Generator {
  readonly r: Random
  /** false: nothing that a mask could touch is named. */
  readonly masked: boolean
  readonly made: Table[] = []
  #alias = 0
  #ctes: Item[] = []
  #subqueries = 0
  /** Values to be given as parameters: null while literals stand in the text. */
  parameters: { type: Type; value: string | null }[] | null = null

  constructor(r: Random, masked: boolean) { this.r = r; this.masked = masked }
  pick<T>(from: readonly T[]): T { return from[this.r(from.length)]! }
  chance(of: number): boolean { return this.r(of) === 0 }
  maybe(of: number, text: () => string): string { return this.chance(of) ? text() : '' }
  name(): string { return `a${++this.#alias}` }

  tables(): Table[] { return [...TABLES, ...this.made].filter((t) => this.masked || t.view !== true || !t.masked && t.columns.every((c) => !c.masked)) }
  allowed(columns: readonly Column[]): Column[] { return this.masked ? [...columns] : columns.filter((c) => !c.masked) }

  literal(type: Type): string {
    if (this.parameters !== null && this.chance(3) && this.parameters.length < 6) {
      const literal = this.pick(LITERALS[type].filter((l) => /^'[^']*'$|^-?\d+(\.\d+)?$/.test(l)).concat(type === 'int' ? ['2'] : []))
      if (literal !== undefined) { this.parameters.push({ type, value: literal.replaceAll("'", '') }); return `$${this.parameters.length}::${NAMES[type]}` }
    }
    return this.pick(LITERALS[type])
  }

  column(type: Type | null, scope: Scope): string | null {
    const found: { item: Item; column: Column }[] = []
    for (let at: Scope | null = scope; at !== null; at = at.outer) for (const item of at.items) for (const column of this.allowed(item.columns)) if (type === null || column.type === type) found.push({ item, column })
    if (found.length === 0) return null
    const hot = this.masked && this.chance(2) ? found.filter((f) => f.column.masked) : []
    const { item, column } = this.pick(hot.length > 0 ? hot : found)
    const alone = scope.items.filter((i) => i.columns.some((c) => c.name === column.name)).length === 1 && scope.items.includes(item)
    if (alone && this.chance(2)) return this.chance(9) ? `"${column.name}"` : column.name
    return this.masked && item.row && this.chance(14) ? `(${item.alias}).${column.name}` : `${item.alias}.${column.name}`
  }
  row(scope: Scope): string {
    const rows: string[] = []
    for (let at: Scope | null = scope; at !== null; at = at.outer) for (const item of at.items) if (item.row && (this.masked || !item.masked)) rows.push(item.alias)
    return rows.length === 0 ? `ROW(${this.expression('int', scope, 0)}, 2)` : this.pick(rows)
  }

  expression(type: Type, scope: Scope, depth: number, kind: 'scalar' | 'aggregate' = 'scalar'): string {
    if (depth <= 0 || this.chance(4)) {
      const column = this.chance(5) ? null : this.column(type, scope)
      if (column !== null) return column
      if (depth <= 0) return this.literal(type)
    }
    const aggregates = kind === 'aggregate' ? AGGREGATES[type] : []
    if (aggregates.length > 0) return this.fill(this.pick(aggregates), scope, Math.min(depth - 1, 1))
    return this.fill(this.pick(SCALAR[type]), scope, depth - 1)
  }
  fill(pattern: string, scope: Scope, depth: number): string {
    return pattern.replace(/\{([a-z]+)(?::([a-z]+))?\}/g, (whole, what: string, of?: string) => {
      if (what === 'any') return this.expression(this.pick(TYPES), scope, depth)
      if (what === 'row') return this.row(scope)
      if (what === 'small') return this.chance(6) ? this.expression('int', scope, Math.min(depth, 1)) : this.pick(['0', '1', '2', '3', '4'])
      if (what === 'q' || what === 'query') {
        if (depth <= 0 || this.#subqueries > 2) return what === 'q' ? this.expression(of as Type, scope, 0) : `SELECT ${this.expression(of === 'any' ? this.pick(TYPES) : of as Type, scope, 0)}`
        this.#subqueries++
        const { sql } = this.select(Math.min(depth, 2), [of === 'any' || of === undefined ? this.pick(TYPES) : of as Type], scope)
        this.#subqueries--
        return what !== 'q' ? sql : sql.includes('LIMIT') || this.chance(3) ? `(SELECT * FROM (${sql}) AS ${this.name()} LIMIT 1)` : `(${sql} LIMIT 1)`
      }
      if (what === 'over') return `${this.maybe(2, () => `PARTITION BY ${this.expression(this.pick(['text', 'int', 'bool']), scope, 1)} `)}ORDER BY ${this.expression(this.pick(['int', 'text', 'numeric']), scope, 1)}${this.maybe(2, () => `, ${this.column('int', scope) ?? '1'}`)}`
      if (TYPES.includes(what as Type)) return this.expression(what as Type, scope, depth)
      return whole
    })
  }

  // ——— FROM ———

  item(scope: Scope, depth: number): { sql: string; item: Item } {
    const alias = this.name()
    const of = this.r(depth > 0 ? 22 : 14)
    if (of < 13) {
      if (this.#ctes.length > 0 && this.chance(2)) {
        const cte = this.pick(this.#ctes)
        return this.chance(3) ? { sql: `${cte.alias} AS ${alias}`, item: { ...cte, alias } } : this.chance(2) ? { sql: `${cte.alias} ${alias}`, item: { ...cte, alias } } : { sql: cte.alias, item: cte }
      }
      const table = this.pick(this.chance(3) ? this.tables() : this.tables().filter((t) => t.view !== true))
      return this.named(table, alias)
    }
    if (of === 13) {
      if (this.chance(2)) return { sql: `generate_series(1, ${this.pick(['3', '5'])}) AS ${alias}(g)`, item: { alias, columns: [{ name: 'g', type: 'int', masked: false }], masked: false, row: true, rows: 5 } }
      const columns: Column[] = [{ name: 'v1', type: 'int', masked: false }, { name: 'v2', type: 'text', masked: false }]
      return { sql: `(VALUES (1, ${this.expression('text', scope, 0)}), (2, 'two')) AS ${alias}(v1, v2)`, item: { alias, columns, masked: this.masked, row: true, rows: 5 } }
    }
    if (of === 14) return { sql: `unnest(${this.expression('texts', scope, 1)}) WITH ORDINALITY AS ${alias}(u, o)`, item: { alias, columns: [{ name: 'u', type: 'text', masked: false }, { name: 'o', type: 'int', masked: false }], masked: this.masked, row: true, rows: 5 } }
    if (of === 15) return { sql: `jsonb_each_text(${this.expression('json', scope, 1)}) AS ${alias}(k, v)`, item: { alias, columns: [{ name: 'k', type: 'text', masked: false }, { name: 'v', type: 'text', masked: false }], masked: this.masked, row: true, rows: 5 } }
    if (of === 16) return { sql: `regexp_split_to_table(${this.expression('text', scope, 1)}, '-') AS ${alias}(w)`, item: { alias, columns: [{ name: 'w', type: 'text', masked: false }], masked: this.masked, row: true, rows: 5 } }
    const query = this.select(depth - 1, null, NOWHERE)
    return this.derived(query, alias)
  }
  named(table: Table, alias: string): { sql: string; item: Item } {
    const columns = table.columns
    const bare = this.chance(4)
    const only = this.maybe(14, () => 'ONLY ')
    const sample = table.view === true || bare ? '' : this.maybe(25, () => ' TABLESAMPLE bernoulli(100)')
    const schema = table.name.includes('.') || this.made.includes(table) ? '' : this.maybe(6, () => 'public.')
    if (bare && schema === '' && only === '') return { sql: table.name, item: { alias: table.name, columns, masked: table.masked, row: true, rows: TABLE_ROWS } }
    if (this.chance(10) && sample === '') {
      const renamed = columns.map((c, i) => ({ ...c, name: `c${i}` }))
      return { sql: `${only}${schema}${table.name} AS ${alias}(${renamed.map((c) => c.name).join(', ')})`, item: { alias, columns: renamed, masked: table.masked, row: true, rows: TABLE_ROWS } }
    }
    return { sql: `${only}${schema}${table.name} ${this.chance(2) ? 'AS ' : ''}${alias}${sample}`, item: { alias, columns, masked: table.masked, row: true, rows: TABLE_ROWS } }
  }
  derived(query: Query, alias: string): { sql: string; item: Item } {
    return { sql: `(${query.sql}) AS ${alias}(${query.columns.map((c) => c.name).join(', ')})`, item: { alias, columns: query.columns, masked: this.masked, row: true, rows: query.rows } }
  }
  from(scope: Scope, depth: number): { sql: string; scope: Scope } {
    const items: Item[] = []
    const parts: string[] = []
    const count = 1 + (this.chance(2) ? this.r(3) : 0)
    for (let i = 0; i < count; i++) {
      const here: Scope = { items: [...items], outer: scope === NOWHERE ? null : scope }
      if (i === 0) { const one = this.item(here, depth); items.push(one.item); parts.push(one.sql); continue }
      if (items.length > 0 && depth > 0 && this.chance(4)) {
        const query = this.select(depth - 1, null, here)
        if (rowsOf(items) * query.rows > ROWS_MAX) continue
        const one = this.derived(query, this.name())
        parts.push(this.chance(2) ? `, LATERAL ${one.sql}` : ` ${this.pick(['LEFT', 'INNER'])} JOIN LATERAL ${one.sql} ON ${this.chance(2) ? 'true' : this.expression('bool', { items: [...items, one.item], outer: here.outer }, 1)}`)
        items.push(one.item)
        continue
      }
      const one = this.item(NOWHERE, depth)
      if (items.some((each) => each.alias === one.item.alias) || rowsOf(items) * one.item.rows > ROWS_MAX) continue
      const both: Scope = { items: [...items, one.item], outer: here.outer }
      const shared = this.allowed(items.at(-1)!.columns).filter((c) => one.item.columns.some((d) => d.name === c.name && d.type === c.type && (this.masked || !d.masked)) && items.filter((each) => each.columns.some((d) => d.name === c.name)).length === 1)
      const join = this.r(5)
      if (join === 0) parts.push(`, ${one.sql}`)
      else if (join === 1 && shared.length > 0) parts.push(` ${this.pick(['JOIN', 'LEFT JOIN', 'FULL JOIN'])} ${one.sql} USING (${this.pick(shared).name})`)
      else if (join === 2) parts.push(` CROSS JOIN ${one.sql}`)
      else if (join === 3 && this.masked && this.chance(3)) parts.push(` NATURAL JOIN ${one.sql}`)
      else parts.push(` ${this.pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'INNER JOIN'])} ${one.sql} ON ${this.on(items, one.item, both)}`)
      items.push(one.item)
    }
    return { sql: parts.join(''), scope: { items, outer: scope === NOWHERE ? null : scope } }
  }
  on(items: readonly Item[], item: Item, both: Scope): string {
    const left = items.flatMap((i) => this.allowed(i.columns).filter((c) => c.type === 'int').map((c) => `${i.alias}.${c.name}`)), right = this.allowed(item.columns).filter((c) => c.type === 'int').map((c) => `${item.alias}.${c.name}`)
    if (left.length > 0 && right.length > 0 && !this.chance(4)) return `${this.pick(left)} = ${this.pick(right)}`
    return this.expression('bool', both, 1)
  }

  // ——— SELECT ———

  select(depth: number, want: readonly Type[] | null, outer: Scope): Query {
    const roll = this.r(12)
    if (depth > 0 && roll === 0) return this.setOperation(depth, want, outer)
    if (depth > 0 && roll === 1) return this.with(depth, want, outer)
    return this.plain(depth, want, outer)
  }
  plain(depth: number, want: readonly Type[] | null, outer: Scope): Query {
    const { sql: from, scope } = this.from(outer, depth - 1)
    const grouped = this.chance(5)
    const distinct = !grouped && this.chance(10)
    const where = this.maybe(2, () => ` WHERE ${this.expression('bool', scope, Math.min(depth, 2))}`)
    if (grouped) return this.grouped(depth, want, scope, from, where)
    if (want === null && this.chance(5)) {
      const item = this.pick(scope.items)
      const star = this.masked || scope.items.every((i) => i.columns.every((c) => !c.masked))
      if (star && scope.items.length === 1) return { sql: `SELECT ${this.chance(2) ? '*' : `${item.alias}.*`} FROM ${from}${where}${this.order(scope, item.columns.length)}`, columns: item.columns, rows: item.rows }
    }
    const types = want ?? Array.from({ length: 1 + this.r(3) }, () => this.pick(TYPES))
    const windows = this.chance(8)
    const list = types.map((type) => {
      const choice = windows ? WINDOWS[type] : []
      return choice.length > 0 ? this.fill(this.pick(choice), scope, 1) : this.expression(type, scope, depth)
    })
    const columns = types.map((type, i) => ({ name: `x${i}`, type, masked: false }))
    const shown = list.map((each, i) => (this.chance(5) ? each : `${each} AS x${i}`))
    const on = distinct && this.chance(3) ? ` ON (${this.expression('text', scope, 1)})` : ''
    return { sql: `SELECT ${distinct ? `DISTINCT${on} ` : ''}${shown.join(', ')} FROM ${from}${where}${distinct ? this.maybe(2, () => ' ORDER BY 1') : this.order(scope, types.length)}`, columns, rows: rowsOf(scope.items) }
  }
  grouped(depth: number, want: readonly Type[] | null, scope: Scope, from: string, where: string): Query {
    const types = want ?? Array.from({ length: 1 + this.r(2) }, () => this.pick(['text', 'int', 'numeric', 'bool', 'json', 'texts'] as const))
    const keys = this.chance(4) ? [] : Array.from({ length: 1 + this.r(2) }, () => this.chance(3) ? this.expression(this.pick(['text', 'int', 'bool', 'date']), scope, 1) : this.column(this.pick(['text', 'int', 'date', 'bool']), scope) ?? '1 + 1')
    const list = types.map((type) => (AGGREGATES[type].length > 0 ? this.fill(this.pick(AGGREGATES[type]), scope, 1) : this.literal(type)))
    const having = this.maybe(4, () => ` HAVING ${this.fill(this.pick(['count(*) > 1', ...AGGREGATES.bool, 'max({text}) > {q:text}', 'sum({int}) <> 3']), scope, 1)}`)
    const group = keys.length === 0 ? '' : ` GROUP BY ${this.chance(8) ? `${this.pick(['ROLLUP', 'CUBE'])} (${keys.join(', ')})` : this.chance(12) ? `GROUPING SETS ((${keys[0]}), ())` : keys.join(', ')}`
    const shown = want !== null || keys.length === 0 ? list : [...list, ...keys.filter((k) => !/^\d/.test(k))]
    const columns = types.map((type, i) => ({ name: `x${i}`, type, masked: false }))
    const extra = want === null && keys.length > 0 && shown.length > list.length && this.chance(2) ? shown : list
    return { sql: `SELECT ${extra.map((each, i) => `${each} AS x${i}`).join(', ')} FROM ${from}${where}${group}${having}${this.maybe(3, () => ' ORDER BY 1')}`, columns: extra.map((_, i) => columns[i] ?? { name: `x${i}`, type: 'text', masked: false }), rows: keys.length === 0 ? 1 : Math.min(rowsOf(scope.items), 50) }
  }
  order(scope: Scope, columns: number): string {
    const order = this.maybe(3, () => ` ORDER BY ${this.pick([() => String(1 + this.r(columns)), () => this.expression(this.pick(['text', 'int', 'numeric', 'date', 'bool']), scope, 1), () => `${this.column(null, scope) ?? '1'}`])()}${this.pick(['', ' DESC', ' NULLS FIRST', ' ASC'])}`)
    const limit = this.maybe(6, () => ` LIMIT ${this.chance(8) ? `(${this.expression('int', NOWHERE, 1)})` : this.pick(['1', '2', '5', '0', 'NULL', 'ALL'])}${this.maybe(4, () => ' OFFSET 1')}`)
    return `${order}${limit}`
  }
  setOperation(depth: number, want: readonly Type[] | null, outer: Scope): Query {
    const types = want ?? Array.from({ length: 1 + this.r(2) }, () => this.pick(TYPES))
    const queries = Array.from({ length: 2 + this.r(2) }, () => this.plain(depth - 1, types, outer))
    const sides = queries.map((query) => `(${query.sql})`)
    return { sql: `SELECT * FROM (${sides.reduce((a, b) => `${a} ${this.pick(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL'])} ${b}`)}) AS ${this.name()}(${types.map((_, i) => `x${i}`).join(', ')})${this.maybe(2, () => ' ORDER BY 1')}`, columns: types.map((type, i) => ({ name: `x${i}`, type, masked: false })), rows: queries.reduce((sum, query) => sum + query.rows, 0) }
  }
  with(depth: number, want: readonly Type[] | null, outer: Scope): Query {
    const kept = this.#ctes
    this.#ctes = [...kept]
    const list: string[] = []
    const recursive = this.chance(5)
    for (let i = 0; i < 1 + this.r(2); i++) {
      const name = this.chance(6) ? this.pick(['people', 'orders', 'plain']) : this.name()
      if (this.#ctes.some((c) => c.alias === name)) continue
      if (recursive && i === 0) {
        const start = this.plain(depth - 1, ['int', 'text'], NOWHERE)
        list.push(`${name}(n, s) AS (SELECT * FROM (${start.sql}) q(n, s) UNION ALL SELECT n + 1, ${this.expression('text', { items: [{ alias: name, columns: [{ name: 's', type: 'text', masked: false }], masked: false, row: false, rows: 5 }], outer: null }, 1)} FROM ${name} WHERE n < 4 AND n > 0)`)
        this.#ctes.push({ alias: name, columns: [{ name: 'n', type: 'int', masked: false }, { name: 's', type: 'text', masked: false }], masked: this.masked, row: true, rows: 5 })
        continue
      }
      const query = this.select(depth - 1, null, NOWHERE)
      list.push(`${name}(${query.columns.map((c) => c.name).join(', ')}) AS ${this.pick(['', '', 'MATERIALIZED ', 'NOT MATERIALIZED '])}(${query.sql})`)
      this.#ctes.push({ alias: name, columns: query.columns, masked: this.masked, row: true, rows: query.rows })
    }
    const body = this.plain(depth - 1, want, outer)
    this.#ctes = kept
    return list.length === 0 ? body : { sql: `WITH ${recursive ? 'RECURSIVE ' : ''}${list.join(', ')} ${body.sql}`, columns: body.columns, rows: body.rows }
  }
  query(): Query { return this.select(1 + this.r(DEPTH), null, NOWHERE) }
}
