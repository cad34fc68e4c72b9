// Which operations there are, and which class each is of by its name alone, as users are told. A statement may turn out to be of a stronger class than its name
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
/** Of class admin: those without an object's kind, and the kinds that are created, altered or dropped (sql/words.ts names them so). */
const SQL_ADMIN = ['prepare', 'call', 'do', 'copy', 'copy.file', 'copy.program', 'create', 'alter', 'drop', 'truncate', 'comment', 'grant', 'revoke', 'role', 'configure', 'extension', 'replication', 'file',
  'network', 'load', 'vacuum', 'analyze', 'cluster', 'reindex', 'refresh', 'checkpoint']
const SQL_KINDS = ['table', 'column', 'view', 'materialized_view', 'foreign_table', 'index', 'sequence', 'type', 'attribute', 'domain', 'function', 'procedure', 'routine', 'aggregate', 'trigger', 'rule', 'policy',
  'schema', 'statistics', 'operator', 'operator_class', 'operator_family', 'cast', 'conversion', 'collation', 'transform', 'language', 'access_method', 'event_trigger', 'default_privileges', 'role', 'owned',
  'database', 'tablespace', 'extension', 'foreign_data_wrapper', 'server', 'user_mapping', 'publication', 'subscription', 'large_object', 'parameter', 'text_search_configuration', 'text_search_dictionary',
  'text_search_parser', 'text_search_template']
/** What protocols that are not built will call theirs: any name that begins so is taken. */
const FAMILIES = ['k8s', 'http', 'mcp', 's3', 'ssh', 'sftp', 'mongodb', 'redis', 'amqp', 'kafka', 'nats']
const CLASSES = new Map<string, Class>([['sql', 'admin']])
for (const [access, names] of Object.entries(SQL)) for (const name of names) CLASSES.set(`sql.${name}`, access as Class)

CLASSES.set('http', 'admin')
for (const method of ['GET', 'HEAD', 'OPTIONS', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY']) CLASSES.set(`http.${method}`, 'read')
for (const method of ['POST', 'PUT', 'PATCH', 'message']) CLASSES.set(`http.${method}`, 'write')

/** By the longest name known that covers it; null where nothing is known of its protocol. */
export function classOf(operation: string): Class | null {
  for (let name = operation; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
    const known = CLASSES.get(name)
    if (known !== undefined) return known
  }
  return null
}

/** Every operation that a statement may turn out to have, and the shorter names that cover several of them. */
export const OPERATION_NAMES: ReadonlySet<string> = new Set([
  ...Object.values(SQL).flat().concat(SQL_ADMIN).map((name) => `sql.${name}`), 'sql', ...['create', 'alter', 'drop'].flatMap((verb) => SQL_KINDS.map((kind) => `sql.${verb}.${kind}`)),
])
export const CLASS_NAMES: readonly string[] = ['session', 'read', 'write', 'admin']

/** Null for a class, or an operation that some statement may have; else what is wrong, with the name that was probably meant. */
export function operationProblem(name: string): string | null {
  if (CLASS_NAMES.includes(name) || OPERATION_NAMES.has(name) || FAMILIES.includes(name.split('.', 1)[0] ?? '')) return null
  const meant = nearest(name, [...CLASS_NAMES, ...OPERATION_NAMES])
  return `no operation and no class is called \`${name.slice(0, 60)}\`: nothing would ever match${meant === null ? '' : `; did you mean \`${meant}\`?`}`
}

/** The known name with the fewest letters changed, left out, added or exchanged; `drop` also means `sql.drop`. Null when none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null
  let fewest = Math.floor((name.length + 2) / 3) + 0.9
  for (const candidate of known) {
    const distance = Math.min(distanceOf(name, candidate), candidate.startsWith('sql.') ? distanceOf(name, candidate.slice(4)) + 0.5 : Infinity)
    if (distance < fewest) { fewest = distance; best = candidate }
  }
  return best
}

function distanceOf(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, at) => at)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Infinity
      row.push(Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + same, exchanged))
    }
    ;[before, last] = [last, row]
  }
  return last[b.length]!
}
