// Whether two parse trees are the same but for what was replaced on purpose. Places in the text don't count; all else does.
import type { Expected } from './mask-work.ts'

/** Keys of the trees that only say where something stands. */
export const PLACE = /^(location|name_location|stmt_location|stmt_len|rexpr_list_start|rexpr_list_end|list_start|list_end)$/

export function sameTree(old: unknown, now: unknown, expected: ReadonlyMap<object, Expected>): boolean {
  const same = (a: unknown, b: unknown): boolean => {
    if (typeof a !== 'object' || a === null) return a === b
    const replaced = expected.get(a) ?? expected.get(only(a))
    return replaced === undefined ? inside(a, b, same) : replaced(a, b, same)
  }
  return same(old, now)
}

function inside(a: object, b: unknown, same: (a: unknown, b: unknown) => boolean): boolean {
  if (typeof b !== 'object' || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  if (Array.isArray(a)) return a.length === (b as unknown[]).length && a.every((item, index) => same(item, (b as unknown[])[index]))
  const [left, right] = [keys(a), keys(b)]
  return left.length === right.length && left.every((key) => key in b && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
}
const keys = (value: object): string[] => Object.keys(value).filter((key) => !PLACE.test(key))
const NOTHING = {}
/** The body of a wrapped node. */
function only(value: object): object {
  const names = Object.keys(value)
  const body = names.length === 1 ? (value as Record<string, unknown>)[names[0]!] : null
  return typeof body === 'object' && body !== null ? body : NOTHING
}
