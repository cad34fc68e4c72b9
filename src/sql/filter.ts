// Row filters: a condition over one table's columns and the identity, as policies write it, read by the server's own grammar and written anew
// with every name qualified, so that nothing a client makes can take the place of what it names. Only what is listed here may stand in
// one: a subselect, a parameter or a name that is not a column is a mistake, and a filter with a mistake lets no row through.
import type { A_Expr, Node, TypeName } from 'libpg-query'
import { parseShort } from './grammar.ts'
import { quote } from './mask-expression.ts'
import { as, kindOf, stringsOf } from './walk.ts'

/** What `identity.*` stands for. */
export type IdentityValues = Readonly<Record<string, string | boolean | null | readonly string[]>>
export interface RowFilter {
  readonly rules: readonly string[]
  readonly columns: ReadonlySet<string>
  /** The condition, in parentheses, with each column written as `of` says. */
  readonly text: (of: (column: string) => string) => string
  /** Why the table may be neither read nor written: its filter can't be applied. */
  readonly refused: string | null
}
/** `*` as schema: any. `condition` null: it could not be read, and `mistake` says why. */
export interface FilterOf { readonly schema: string; readonly table: string; readonly rule: string; readonly condition: Pick<RowFilter, 'columns' | 'text'> | null; readonly mistake: string }

export const IDENTITY_FIELDS: readonly string[] = ['subject', 'issuer', 'groups', 'agent', 'onBehalfOf']
class Mistake extends Error {}
type Writer = (of: (column: string) => string) => string

/** `public.orders` or `*.orders`. */
export function filterTable(table: string): { schema: string; table: string } | null {
  const parts = /^([^.\s]+)\.([^.\s*]+)$/.exec(table)
  return parts === null ? null : { schema: parts[1]!, table: parts[2]! }
}
/** Why a filter can't be used; null when it can. The grammar must be ready. */
export function filterMistake(table: string, where: string): string | null {
  if (filterTable(table) === null) return 'say the table with its schema: public.orders'
  const nobody: IdentityValues = { subject: '', issuer: '', groups: [], agent: false, onBehalfOf: null }
  return filterOf({ rule: '', table, where, values: nobody }).mistake || null
}

export function filterOf({ rule, table, where, values }: { readonly rule: string; readonly table: string; readonly where: string; readonly values: IdentityValues }): FilterOf {
  const name = filterTable(table) ?? { schema: '*', table }
  try {
    const columns = new Set<string>()
    const write = new Reading(values, columns).expression(conditionOf(where))
    if (columns.size === 0) throw new Mistake('it names no column')
    return { ...name, rule, condition: { columns, text: (of) => `(${write(of)})` }, mistake: '' }
  } catch (error) {
    if (error instanceof Mistake) return { ...name, rule, condition: null, mistake: error.message }
    throw error
  }
}

function conditionOf(where: string): Node {
  const parsed = parseShort(`SELECT WHERE ${where}\n`)
  if (parsed === null) throw new Mistake('it is too long')
  if (parsed.kind !== 'tree') throw new Mistake(parsed.kind === 'syntax' ? parsed.message : parsed.reason)
  const select = parsed.statements.length === 1 ? as('SelectStmt', parsed.statements[0]!.node) : null
  const { whereClause, limitOption, op, ...others } = select ?? {}
  if (whereClause === undefined || op !== 'SETOP_NONE' || limitOption !== 'LIMIT_OPTION_DEFAULT' || Object.keys(others).length > 0) throw new Mistake('one condition is expected, as after WHERE')
  return whereClause
}

const operatorOf = (name: readonly Node[] | undefined): string => {
  const path = stringsOf(name) ?? []
  if (path.length === 0 || path.length > 2 || !/^[-+*/<>=~!@#%^&|`?]+$/.test(path.at(-1)!)) throw new Mistake('an operator in it is not understood')
  return `OPERATOR(${path.length === 2 ? quote(path[0]!) : 'pg_catalog'}.${path.at(-1)!})`
}
const EQUALS = 'OPERATOR(pg_catalog.=)'
export const literalOf = (text: string): string => text.includes('\\') ? ` E'${text.replaceAll('\\', '\\\\').replaceAll('\'', '\'\'')}'` : `'${text.replaceAll('\'', '\'\'')}'`
const VALUE_FUNCTIONS: Readonly<Record<string, string>> = { SVFOP_CURRENT_DATE: 'CURRENT_DATE', SVFOP_CURRENT_TIMESTAMP: 'CURRENT_TIMESTAMP', SVFOP_LOCALTIMESTAMP: 'LOCALTIMESTAMP', SVFOP_CURRENT_TIME: 'CURRENT_TIME' }
const TESTS: Readonly<Record<string, string>> = { IS_TRUE: 'IS TRUE', IS_NOT_TRUE: 'IS NOT TRUE', IS_FALSE: 'IS FALSE', IS_NOT_FALSE: 'IS NOT FALSE', IS_UNKNOWN: 'IS UNKNOWN', IS_NOT_UNKNOWN: 'IS NOT UNKNOWN' }

class Reading {
  readonly #values: IdentityValues
  readonly #columns: Set<string>
  constructor(values: IdentityValues, columns: Set<string>) { this.#values = values; this.#columns = columns }

  expression(node: Node | undefined): Writer {
    const kind = kindOf(node)
    switch (kind) {
      case 'ColumnRef': return this.#name(stringsOf(as(kind, node)!.fields) ?? [])
      case 'A_Const': return constant(as(kind, node)!)
      case 'BoolExpr': {
        const { boolop, args } = as(kind, node)!
        const parts = (args ?? []).map((arg) => this.expression(arg))
        if (boolop === 'NOT_EXPR') return (of) => `(NOT ${parts[0]!(of)})`
        return (of) => `(${parts.map((part) => part(of)).join(boolop === 'AND_EXPR' ? ' AND ' : ' OR ')})`
      }
      case 'NullTest': { const { arg, nulltesttype } = as(kind, node)!; const inner = this.expression(arg); return (of) => `(${inner(of)} ${nulltesttype === 'IS_NULL' ? 'IS NULL' : 'IS NOT NULL'})` }
      case 'BooleanTest': { const { arg, booltesttype } = as(kind, node)!; const inner = this.expression(arg); return (of) => `(${inner(of)} ${TESTS[booltesttype ?? ''] ?? ''})` }
      case 'A_Expr': return this.#operation(as(kind, node)!)
      case 'TypeCast': { const { arg, typeName } = as(kind, node)!; const [inner, type] = [this.expression(arg), typeText(typeName)]; return (of) => `(${inner(of)}::${type})` }
      case 'CoalesceExpr': { const parts = this.#list(as(kind, node)!.args); return (of) => `COALESCE(${parts(of)})` }
      case 'A_ArrayExpr': { const parts = this.#list(as(kind, node)!.elements); return (of) => `ARRAY[${parts(of)}]` }
      case 'SQLValueFunction': { const text = VALUE_FUNCTIONS[as(kind, node)!.op ?? '']; if (text === undefined) break; return () => text }
      case 'FuncCall': {
        const call = as(kind, node)!
        const path = stringsOf(call.funcname) ?? []
        if (path.length === 0 || path.length > 2 || call.over !== undefined || call.agg_distinct === true || call.agg_star === true || call.agg_filter !== undefined || call.agg_order !== undefined || call.func_variadic === true) break
        const parts = this.#list(call.args)
        const name = path.length === 2 ? path.map(quote).join('.') : `pg_catalog.${quote(path[0]!)}`
        return (of) => `${name}(${parts(of)})`
      }
      case 'SubLink': throw new Mistake('it may not hold a subselect')
      case 'ParamRef': throw new Mistake('it may not hold a parameter')
      default:
    }
    throw new Mistake(`a part of it is not understood here (${kind ?? 'unknown'})`)
  }

  #list(nodes: readonly Node[] | undefined): Writer {
    const parts = (nodes ?? []).map((node) => this.expression(node))
    return (of) => parts.map((part) => part(of)).join(', ')
  }

  #name(path: readonly string[]): Writer {
    if (path.length === 1 && path[0] !== 'identity') { const name = path[0]!; this.#columns.add(name); return (of) => of(name) }
    // Names of the grammar are lower case unless quoted.
    const field = path.length === 2 && path[0] === 'identity' ? IDENTITY_FIELDS.find((one) => one.toLowerCase() === path[1]!.toLowerCase()) : undefined
    if (field === undefined) throw new Mistake(path[0] === 'identity' ? `identity has ${IDENTITY_FIELDS.join(', ')}` : `${path.join('.')}: name the table's columns without the table`)
    const text = valueText(this.#values[field] ?? null)
    return () => text
  }

  #operation(expression: A_Expr): Writer {
    const { kind, lexpr, rexpr } = expression
    const left = lexpr === undefined ? null : this.expression(lexpr)
    const several = as('List', rexpr)?.items
    if (kind === 'AEXPR_IN' && left !== null && several !== undefined) {
      const negated = stringsOf(expression.name)?.[0] === '<>'
      const parts = several.map((one) => this.expression(one))
      return (of) => `(${negated ? 'NOT ' : ''}(${parts.map((part) => `${left(of)} ${EQUALS} ${part(of)}`).join(' OR ')}))`
    }
    if ((kind === 'AEXPR_BETWEEN' || kind === 'AEXPR_NOT_BETWEEN') && left !== null && several?.length === 2) {
      const [low, high] = several.map((one) => this.expression(one))
      return (of) => `(${kind === 'AEXPR_BETWEEN' ? '' : 'NOT '}(${left(of)} OPERATOR(pg_catalog.>=) ${low!(of)} AND ${left(of)} OPERATOR(pg_catalog.<=) ${high!(of)}))`
    }
    const right = this.expression(rexpr)
    const operator = operatorOf(expression.name)
    if (kind === 'AEXPR_OP' && operator === EQUALS && left !== null) {
      // `team = identity.groups` can only mean any of them.
      if (isGroups(rexpr)) return (of) => `(${left(of)} ${EQUALS} ANY (${right(of)}))`
      if (isGroups(lexpr)) return (of) => `(${right(of)} ${EQUALS} ANY (${left(of)}))`
    }
    if (kind === 'AEXPR_OP' || kind === 'AEXPR_LIKE' || kind === 'AEXPR_ILIKE') return (of) => left === null ? `(${operator} ${right(of)})` : `(${left(of)} ${operator} ${right(of)})`
    if ((kind === 'AEXPR_OP_ANY' || kind === 'AEXPR_OP_ALL') && left !== null) return (of) => `(${left(of)} ${operator} ${kind === 'AEXPR_OP_ANY' ? 'ANY' : 'ALL'} (${right(of)}))`
    throw new Mistake('an operator in it is not understood here')
  }
}

const isGroups = (node: Node | undefined): boolean => { const path = stringsOf(as('ColumnRef', node)?.fields); return path?.length === 2 && path[0] === 'identity' && path[1] === 'groups' }

function constant(value: { isnull?: boolean; ival?: { ival?: number }; fval?: { fval?: string }; boolval?: { boolval?: boolean }; sval?: { sval?: string }; bsval?: object }): Writer {
  if (value.isnull === true) return () => 'NULL'
  if (value.ival !== undefined) return () => `(${value.ival!.ival ?? 0})`
  if (value.fval !== undefined) return () => `(${value.fval!.fval ?? '0'})`
  if (value.boolval !== undefined) return () => value.boolval!.boolval === true ? 'true' : 'false'
  if (value.sval !== undefined) return () => literalOf(value.sval!.sval ?? '')
  throw new Mistake('a constant in it is not understood')
}

function valueText(value: IdentityValues[string]): string {
  if (value === null || value === undefined) return 'NULL::pg_catalog.text'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return `(${literalOf(value)}::pg_catalog.text)`
  return `(ARRAY[${value.map(literalOf).join(', ')}]::pg_catalog.text[])`
}

function typeText(type: TypeName | undefined): string {
  const path = stringsOf(type?.names) ?? []
  if (type === undefined || path.length === 0 || path.length > 2 || type.setof === true || type.pct_type === true) throw new Mistake('a type in it is not understood')
  const sizes = (type.typmods ?? []).map((node) => as('A_Const', node)?.ival?.ival)
  if (sizes.some((size) => size === undefined)) throw new Mistake('a type in it is not understood')
  return `${path.length === 2 ? quote(path[0]!) : 'pg_catalog'}.${quote(path.at(-1)!)}${sizes.length > 0 ? `(${sizes.join(', ')})` : ''}${'[]'.repeat(type.arrayBounds?.length ?? 0)}`
}
