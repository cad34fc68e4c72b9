// What a client asks for in its start-up packet → whom it names, where to, and the settings that may go upstream. Only settings known
// to be harmless pass; `options` is taken apart, so that nothing travels inside a string.
import { Malformed, NoSuchResource, NotAllowed } from '../../core/errors.ts'

export interface Wishes {
  readonly user: string
  readonly resource: string
  /** Another database of the resource (`orders/otherdb`); null: the resource's own. */
  readonly database: string | null
  /** Settings for the upstream's start-up packet, by their lower-case name. Always holds client_encoding. */
  readonly settings: ReadonlyMap<string, string>
}

/** Settings that change how values look or how long things may take, never what a statement does or may do. */
const HARMLESS: ReadonlySet<string> = new Set([
  'application_name', 'datestyle', 'timezone', 'intervalstyle', 'extra_float_digits', 'bytea_output', 'search_path', 'statement_timeout', 'lock_timeout',
  'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout', 'default_transaction_read_only', 'default_transaction_isolation',
  'default_transaction_deferrable', 'geqo', 'jit',
])
/** Taken with this value only: the reader of statements depends on it. */
const FIXED: Readonly<Record<string, string>> = { standard_conforming_strings: 'on' }
const OFF: ReadonlySet<string> = new Set(['false', 'off', 'no', '0'])
const UTF8: ReadonlySet<string> = new Set(['utf8', 'unicode'])
/** The names that sluice.yaml gives to resources. */
const RESOURCE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const NAME_BYTES_MAX = 63 * 4

export function readParameters(parameters: readonly (readonly [name: string, value: string])[]): Wishes {
  const given = new Map(parameters)
  const user = given.get('user') ?? ''
  if (user === '') throw new Malformed('no user name specified in startup packet')
  const settings = new Map<string, string>([['client_encoding', 'UTF8']])
  // As in the server, what stands alone wins over `options`.
  for (const [name, value] of parseOptions(given.get('options') ?? '')) take(settings, name.toLowerCase(), value)
  for (const [name, value] of parameters) if (name !== 'user' && name !== 'database' && name !== 'options') take(settings, name.toLowerCase(), value)
  return { user, ...target(given.get('database') || user), settings }
}

function target(text: string): Pick<Wishes, 'resource' | 'database'> {
  const slash = text.indexOf('/')
  const resource = slash < 0 ? text : text.slice(0, slash)
  const database = slash < 0 ? null : text.slice(slash + 1)
  if (!RESOURCE.test(resource)) throw new NoSuchResource('the database name must be the name of a resource, such as `orders`, or `orders/otherdb`')
  if (database === '' || Buffer.byteLength(database ?? '') > NAME_BYTES_MAX) throw new NoSuchResource('after the slash stands the name of a database')
  return { resource, database }
}

function take(settings: Map<string, string>, name: string, value: string): void {
  if (name === 'replication') {
    if (!OFF.has(value.toLowerCase())) throw new NotAllowed('replication connections are not possible through Sluice')
  } else if (name === 'client_encoding') {
    // SQL_ASCII converts nothing; so does UTF8 where the database is UTF8. psql asks for it in a terminal without a locale.
    const encoding = value.toLowerCase().replace(/^'(.*)'$/, '$1').replace(/[^a-z0-9]/g, '')
    if (!UTF8.has(encoding) && encoding !== 'sqlascii') throw new NotAllowed('only client_encoding UTF8 is taken: set PGCLIENTENCODING=UTF8')
  } else if (Object.hasOwn(FIXED, name)) {
    if (value !== FIXED[name]) throw new NotAllowed(`start-up parameter "${name}" is taken as ${FIXED[name]} only`)
  } else if (HARMLESS.has(name)) settings.set(name, value)
  else throw new NotAllowed(`start-up parameter "${shown(name)}" is not taken; taken are: ${[...HARMLESS].join(', ')}`)
}
const shown = (name: string): string => name.slice(0, 63).replace(/[^a-z0-9_.]/g, '?')

/** `-c name=value`, `-cname=value` and `--name=value`, split at unescaped spaces as the server does. */
export function parseOptions(text: string): (readonly [string, string])[] {
  const found: (readonly [string, string])[] = []
  const words = splitOptions(text)
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    const setting = word === '-c' ? words[++at] : word.startsWith('--') ? word.slice(2) : word.startsWith('-c') ? word.slice(2) : undefined
    const equals = setting?.indexOf('=') ?? -1
    if (setting === undefined || equals < 1) throw new NotAllowed('in `options` only `-c name=value` and `--name=value` are taken')
    // The server reads a hyphen in a name as an underscore.
    found.push([setting.slice(0, equals).replaceAll('-', '_'), setting.slice(equals + 1)])
  }
  return found
}

function splitOptions(text: string): string[] {
  const words: string[] = []
  let word: string | null = null
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!
    if (/[ \t\n\r\v\f]/.test(char)) { if (word !== null) words.push(word); word = null; continue }
    word = (word ?? '') + (char === '\\' ? text[++at] ?? '' : char)
  }
  if (word !== null) words.push(word)
  return words
}
