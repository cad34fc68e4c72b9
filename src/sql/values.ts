// Small questions about expressions that several readings ask: is it a given value, which column is it, what are the AND terms.
// All answer "no" in doubt.
import type { Node } from 'libpg-query'
import { AGGREGATES, SETS } from './functions.builtin.ts'
import type { Reference, Resolution } from './resolve.ts'
import { as, kindOf, stringsOf, walk } from './walk.ts'

/** A literal other than NULL, or a parameter, possibly under a sign or a cast to a built-in type. */
export function isGiven(node: Node | undefined): boolean {
  const constant = as('A_Const', node)
  if (constant !== null) return constant.isnull !== true
  if (as('ParamRef', node) !== null) return true
  const cast = as('TypeCast', node)
  if (cast !== null) return isGiven(cast.arg)
  const sign = as('A_Expr', node)
  return sign !== null && sign.kind === 'AEXPR_OP' && sign.lexpr === undefined && ['-', '+'].includes(operatorOf(sign.name) ?? '') && isGiven(sign.rexpr)
}

/** An operator as the built-in one of its name; null when another schema's is asked for. */
export function operatorOf(name: readonly Node[] | undefined): string | null {
  const path = stringsOf(name)
  if (path === null || path.length === 0) return null
  return path.length === 1 || path.at(-2) === 'pg_catalog' ? path.at(-1)! : null
}

/** The one column of a relation that an expression is, if it is surely nothing else. */
export function columnOf(node: Node | undefined, resolution: Resolution): { readonly reference: Reference; readonly column: string } | null {
  const ref = as('ColumnRef', node)
  const use = ref === null ? undefined : resolution.useOf.get(ref)
  if (use === undefined || use.kind !== 'column' || !use.certain || use.targets.length !== 1) return null
  return use.targets[0]!
}

/** Terms that must all hold. */
export function andTerms(node: Node | undefined): Node[] {
  if (node === undefined) return []
  const bool = as('BoolExpr', node)
  return bool !== null && bool.boolop === 'AND_EXPR' ? (bool.args ?? []).flatMap(andTerms) : [node]
}

const sets = new Set(SETS.trim().split(/\s+/))
const aggregates = new Set(AGGREGATES.trim().split(/\s+/))
const builtInName = (path: readonly string[] | null): string | null => path !== null && (path.length === 1 || path.at(-2) === 'pg_catalog') ? path.at(-1) ?? null : null

/** Whether evaluating it once may give several rows: a set-returning function, or one not known. Not looking into subqueries. */
export function mayGiveSeveral(node: Node, harmless: (path: readonly string[]) => boolean): boolean {
  let several = false
  walk(node, ({ kind, body }) => {
    if (kind === 'SubLink') return false
    if (kind === 'FuncCall') {
      const path = stringsOf((body as { funcname?: Node[] }).funcname)
      const name = builtInName(path)
      if (path === null || name === null || sets.has(name) || !harmless(path)) several = true
    }
    if (kind === null) several = true
    return several ? false : undefined
  })
  return several
}

/** Whether a built-in aggregate of this very query level stands in it. */
export function hasAggregate(node: Node): boolean {
  let found = false
  walk(node, ({ kind, body }) => {
    if (kind === 'SubLink') return false
    if (kind === 'FuncCall') {
      const { funcname, over } = body as { funcname?: Node[]; over?: object }
      if (over === undefined && aggregates.has(builtInName(stringsOf(funcname)) ?? '')) found = true
    }
    if (kind === 'JsonObjectAgg' || kind === 'JsonArrayAgg') found ||= (body as { constructor?: { over?: object } }).constructor?.over === undefined
    return undefined
  })
  return found
}

/** A statement's SelectStmt, through nothing else. */
export const selectOf = (node: Node | undefined) => kindOf(node) === 'SelectStmt' ? as('SelectStmt', node) : null
