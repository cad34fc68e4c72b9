// Whether a reading holds for other literals of the same kinds in the same places. False only if every literal is compared, listed, inserted
// or set; a literal that steers (LIMIT, ORDER BY 1, an argument, a cast) makes a reading its own.
import type { Node } from 'libpg-query'
import { stringsOf, walk } from './walk.ts'
import type { Place } from './walk.ts'

const COMPARISONS = new Set(['=', '<>', '!=', '<', '>', '<=', '>=', '~~', '!~~', '~~*', '!~~*'])
const LISTED = new Set(['AEXPR_IN', 'AEXPR_BETWEEN', 'AEXPR_NOT_BETWEEN', 'AEXPR_BETWEEN_SYM', 'AEXPR_NOT_BETWEEN_SYM', 'AEXPR_LIKE', 'AEXPR_ILIKE', 'AEXPR_DISTINCT', 'AEXPR_NOT_DISTINCT'])

export function literalsMatter(statement: Node): boolean {
  let matter = false
  walk(statement, (place) => {
    if (matter) return false
    if (place.kind === 'A_Const') {
      const { isnull, boolval } = place.body as { isnull?: boolean; boolval?: object }
      // NULL, TRUE and FALSE are words: another one is another shape.
      if (isnull !== true && boolval === undefined && !inert(place)) matter = true
      return false
    }
    // Strings outside of expressions (COMMENT, SET, options, interval fields) steer.
    if (place.kind === 'DefElem' || place.kind === 'BitString') matter = true
    return undefined
  })
  return matter
}

function inert({ up }: Place): boolean {
  if (up === null) return false
  if (up.kind === 'List') return up.up !== null && (up.up.kind === 'A_Expr' ? compares(up.up) : up.field === 'valuesLists' && up.up.kind === 'SelectStmt' && up.up.up?.kind === 'InsertStmt')
  if (up.kind === 'A_Expr') return compares(up)
  return up.kind === 'ResTarget' && up.field === 'targetList' && (up.up?.kind === 'UpdateStmt' || up.up?.kind === 'OnConflictClause')
}

function compares({ body }: Place): boolean {
  const { kind, name } = body as { kind?: string; name?: Node[] }
  if (kind === 'AEXPR_OP') { const path = stringsOf(name); return path?.length === 1 && COMPARISONS.has(path[0]!) }
  return LISTED.has(kind ?? '')
}
