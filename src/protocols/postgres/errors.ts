// What the server says in words (errors, notices, notifications, parameters, names) without the values it says it about. Two strengths:
// detectors over every free field; and, for a statement that ran on real values of masked columns, nothing that is not proved to be
// free of values. Positions are mapped elsewhere.
// https://www.postgresql.org/docs/current/protocol-error-fields.html
import { Malformed } from '../../core/errors.ts'
import { type Detector, Found, type KeyedHash, writeHidden } from '../../detect/index.ts'
import { Scratch } from '../../wire/bytes.ts'
import { u16, stringEnd } from './frames.ts'
import { OUTSIDE } from '../../sql/filter-write.ts'
import { saysOnlyNames } from './templates.ts'

/** Text that may go out: with what detectors find replaced. */
export type Clean = (text: string) => string

export function cleaner(detector: Detector | null, hash: KeyedHash): Clean {
  const found = new Found()
  if (detector === null) return (text) => text
  return (text) => {
    const bytes = Buffer.from(text)
    if (!detector.scan(bytes, 0, bytes.length, found)) return text
    const out = new Scratch(bytes.length + 64)
    writeHidden(detector, found, bytes, 0, bytes.length, hash, out)
    return out.view().toString('utf8')
  }
}

export interface Strictness {
  /** Whether an object of this name exists as far as the client may know: names in s, t, c, d, n are kept only then. */
  known(field: 'schema' | 'table' | 'column' | 'type' | 'constraint', name: string): boolean
}

/** Fields that are words of the server's own: severity, code, position, place in its source. */
const FIXED = new Set(['S', 'V', 'C', 'P', 'p', 'F', 'L', 'R'])
const NAMES: Readonly<Record<string, 'schema' | 'table' | 'column' | 'type' | 'constraint'>> = { s: 'schema', t: 'table', c: 'column', d: 'type', n: 'constraint' }
const HINT = 'Values of masked columns are never shown: the server\'s own message is withheld.'

/** A whole ErrorResponse or NoticeResponse with its head; null when it may go as it is. */
export function cleanWords(message: Buffer, clean: Clean, strict: Strictness | null): Buffer | null {
  const fields = readFields(message)
  const outside = fields.some(([letter, value]) => letter === 'M' && value.includes(OUTSIDE)) && fields.some(([letter, value]) => letter === 'C' && value === '42704')
  const kept = outside ? leavesFilter(fields) : strict === null ? fields.map(([letter, value]) => [letter, FIXED.has(letter) ? value : clean(value)] as const) : strictly(fields, clean, strict)
  if (kept.length === fields.length && kept.every(([, value], i) => value === fields[i]![1])) return null
  const body = Buffer.from(`${kept.map(([letter, value]) => `${letter}${value}\0`).join('')}\0`)
  const head = Buffer.from([message[0]!, 0, 0, 0, 0])
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** The server was made to fail a write that would store a row outside of the row filter. */
function leavesFilter(fields: readonly Field[]): Field[] {
  return [...fields.filter(([letter]) => letter === 'S' || letter === 'V'), ['C', '42501'], ['M', 'refused by Sluice: the row would lie outside of what your row filter lets you change'], ['H', 'give values that lie within it']]
}

type Field = readonly [letter: string, value: string]
function readFields(message: Buffer): Field[] {
  const fields: Field[] = []
  let at = 5
  while (at < message.length && message[at] !== 0) {
    const end = stringEnd(message, at + 1, message.length)
    if (end < 0) throw new Malformed('the server sent a malformed error')
    fields.push([String.fromCharCode(message[at]!), message.toString('utf8', at + 1, end)])
    at = end + 1
  }
  if (at !== message.length - 1) throw new Malformed('the server sent a malformed error')
  return fields
}

function strictly(fields: readonly Field[], clean: Clean, strict: Strictness): Field[] {
  const value = (letter: string) => fields.find(([each]) => each === letter)?.[1] ?? ''
  const code = value('C')
  const plain = saysOnlyNames({ code, routine: value('R'), message: value('M'), nested: value('W') !== '' || value('q') !== '' })
  const kept: Field[] = []
  for (const [letter, text] of fields) {
    const name = NAMES[letter]
    if (letter === 'S' || letter === 'V') { if (/^\p{L}{1,20}$/u.test(text)) kept.push([letter, text]) }
    else if (letter === 'C') kept.push(['C', /^[0-9A-Z]{5}$/.test(text) ? text : 'XX000'])
    else if (letter === 'P') { if (/^\d{1,9}$/.test(text)) kept.push([letter, text]) }
    else if (letter === 'M') kept.push(['M', plain ? clean(text) : withheld(code)])
    else if (name !== undefined && strict.known(name, text)) kept.push([letter, clean(text)])
  }
  if (!plain) kept.push(['H', HINT])
  return kept
}

const CLASSES: Readonly<Record<string, string>> = {
  '00': 'notice', '01': 'warning', '21': 'more or fewer rows or columns than expected', '22': 'a value does not fit its type or function', '23': 'a constraint is violated', '25': 'wrong transaction state', '40': 'the transaction was rolled back',
  '42': 'wrong name, type or right', '53': 'the server is short of resources', '54': 'a limit of the server is exceeded', '55': 'an object is not in the state needed', '57': 'an operator intervened', '58': 'a system error', P0: 'a function raised it', XX: 'an internal error of the server',
}
const STATES: Readonly<Record<string, string>> = {
  '22001': 'a value is too long for its column', '22003': 'a number is out of range', '22007': 'a date or time is malformed', '22008': 'a date or time is out of range', '22012': 'division by zero', '22P02': 'a value is no valid input for its type',
  '23502': 'a column must not be NULL', '23503': 'a foreign key is violated', '23505': 'a unique constraint is violated', '23514': 'a check constraint is violated',
}
const withheld = (code: string) => `${STATES[code] ?? CLASSES[code.slice(0, 2)] ?? 'the server refused it'} (SQLSTATE ${/^[0-9A-Z]{5}$/.test(code) ? code : 'XX000'}; values withheld)`

/** A RowDescription whose column names may go out; null when it may go as it is. */
export function cleanDescription(message: Buffer, clean: Clean): Buffer | null {
  const parts: Buffer[] = []
  let at = 7, done = 0
  for (let count = u16(message, 5); count > 0; count--) {
    const end = stringEnd(message, at, message.length)
    if (end < 0 || end + 19 > message.length) throw new Malformed('the server sent a malformed row description')
    const name = message.toString('utf8', at, end), shown = clean(name)
    if (shown !== name) { parts.push(message.subarray(done, at), Buffer.from(shown)); done = end }
    at = end + 19
  }
  if (done === 0) return null
  const made = Buffer.concat([...parts, message.subarray(done)])
  made.writeInt32BE(made.length - 1, 1)
  return made
}
