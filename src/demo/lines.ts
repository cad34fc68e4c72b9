// What the demo prints to be pasted: it must work as it stands, in any POSIX shell, in the folder it was started in.
import { existsSync } from 'node:fs'
import { delimiter, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Lines { readonly masked: string; readonly refused: string; readonly waits: string; readonly list: string; readonly approve: string }
export interface Place { readonly postgres: number; readonly ca: string; readonly profiles: ReadonlyMap<string, string> }

/** Customers whose notes hold nothing, an e-mail address, an SSN and a card number. */
const MASKED = 'SELECT id, name, email, ssn, note FROM customers WHERE id IN (19, 20, 26, 85) ORDER BY id'
const REFUSED = 'DROP TABLE payments'
const WAITS = "UPDATE orders SET status = 'refunded' WHERE id = 42"

export function linesFor({ postgres, ca, profiles }: Place): Lines {
  const sluice = quoted(programPath())
  const as = (person: string) => `--profile ${profiles.get(person) ?? person}`
  const psql = (sql: string) => `PGPASSWORD=$(${sluice} token orders ${as('kim')}) psql "host=127.0.0.1 port=${postgres} dbname=orders user=kim sslmode=verify-full sslrootcert=${ca.replaceAll(/([\\"'$`])/g, '\\$1')}" -c "${sql}"`
  const own = (sql: string) => `${sluice} sql orders ${as('kim')} -c "${sql}"`
  const ask = hasProgram('psql') ? psql : own
  return { masked: ask(MASKED), refused: ask(REFUSED), waits: ask(WAITS), list: `${sluice} reviews list ${as('sam')}`, approve: `${sluice} reviews approve ${as('sam')}` }
}

/** Short when that is what one would type: where npm was called, else where we run. */
function programPath(): string {
  const program = fileURLToPath(new URL('../../bin/sluice', import.meta.url))
  const near = relative(process.env.INIT_CWD ?? process.cwd(), program)
  return near.startsWith('..') ? program : near
}

function quoted(path: string): string { return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'` }
function hasProgram(name: string): boolean { return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name))) }
