// Which class an operation is of by its name alone, as users are told. A statement may turn out to be of a stronger class than its name
// (a SELECT that calls an unknown function is admin): being allowed the name does not allow that.
import type { Access } from './statement.ts'

export type Class = Exclude<Access, 'unknown'>
export type ClassOf = (operation: string) => Class | null
/** Strength; unknown is beyond every class. */
export const ACCESS_RANK: Readonly<Record<Access, number>> = { session: 0, read: 1, write: 2, admin: 3, unknown: 4 }

const SQL: Readonly<Record<string, readonly string[]>> = {
  read: ['select', 'explain', 'copy.out', 'cursor'],
  write: ['insert', 'update', 'delete', 'merge', 'copy.in', 'lock', 'notify'],
  session: ['transaction', 'set', 'show', 'listen'],
}
const CLASSES = new Map<string, Class>([['sql', 'admin']])
for (const [access, names] of Object.entries(SQL)) for (const name of names) CLASSES.set(`sql.${name}`, access as Class)

/** By the longest name known that covers it; null where nothing is known of its protocol. */
export function classOf(operation: string): Class | null {
  for (let name = operation; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
    const known = CLASSES.get(name)
    if (known !== undefined) return known
  }
  return null
}
