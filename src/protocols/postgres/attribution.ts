// Who acts, as the server is told beside the client's own words: which texts would change that, and how it is kept. Pure.
import { NotAllowed } from '../../core/errors.ts'
import { describeIdentity, type Identity } from '../../core/identity.ts'
import type { Resource } from '../../core/resource.ts'
import type { Tree } from '../../sql/grammar.ts'
import { tokens } from '../../sql/grammar.ts'
import { literal } from '../../sql/reader.ts'
import type { StatementReading } from '../../sql/reading.ts'
import { type Edit, Splice } from '../../sql/splice.ts'
import { as, kindOf, stringsOf, walk } from '../../sql/walk.ts'
import type { Node } from 'libpg-query'

/** The server keeps as much of a name. */
const NAME_BYTES_MAX = 63
const SETTING = 'application_name'
export interface Attribution { readonly by: 'application_name' | 'set_role'; readonly who: string }

export function attributionOf(resource: Resource, identity: Identity): Attribution | null {
  switch (resource.attribution) {
    case 'none': return null
    case 'application_name': return { by: 'application_name', who: plain(describeIdentity(identity)) }
    case 'set_role': return { by: 'set_role', who: identity.subject }
  }
}
/** As servers write names: no byte beyond ASCII. A backslash means something in some strings. */
const plain = (text: string): string => text.replaceAll(/[^\x20-\x7e]|\\/g, '?')
const named = (who: string, own: string): string => `${who} ${plain(own)}`.trim().slice(0, NAME_BYTES_MAX)

/** Settings of the start-up packet. What is set there is what RESET goes back to. */
export function startingWith(attribution: Attribution | null, settings: ReadonlyMap<string, string>): Map<string, string> {
  const all = new Map(settings)
  if (attribution?.by === 'application_name') all.set(SETTING, named(attribution.who, settings.get(SETTING) ?? ''))
  else if (attribution?.by === 'set_role') all.set('role', attribution.who)
  return all
}

/** The client's own name, told back to it. */
export class OwnName {
  readonly #who: string
  readonly #start: string
  /** From login on. */
  kept = false
  constructor(who: string, start: string) { this.#who = who; this.#start = start }
  /** Of what the server reports: the session must not go on without the identity in it. */
  told(value: string): string {
    if (value === named(this.#who, this.#start)) return this.#start
    const own = this.of(value)
    if (own !== null) return own
    if (this.kept) throw new NotAllowed('application_name tells the server who acts, and something that ran in this session replaced it')
    return value
  }
  /** Null when it does not begin with who acts. */
  of(value: string): string | null {
    const who = this.#who.slice(0, NAME_BYTES_MAX)
    return value === who ? '' : value.startsWith(`${who} `) ? value.slice(who.length + 1) : who.length >= NAME_BYTES_MAX - 1 && value.startsWith(who.trimEnd()) ? '' : null
  }
}

export type Kept = { readonly kind: 'edits'; readonly edits: readonly Edit[] } | { readonly kind: 'refused'; readonly message: string; readonly hint: string }
const NOTHING: Kept = { kind: 'edits', edits: [] }

/** What keeps a text from telling the server another identity: other literals in it, or its refusal. */
export function keptIn(tree: Tree, readings: readonly StatementReading[], attribution: Attribution | null): Kept {
  if (attribution === null) return NOTHING
  return attribution.by === 'set_role' ? roleKept(readings) : nameKept(tree, readings, attribution.who)
}

function roleKept(readings: readonly StatementReading[]): Kept {
  const refused = (what: string, hint: string): Kept => ({ kind: 'refused', message: `${what} would change the role that names who acts`, hint })
  for (const { node, settings, discards } of readings) {
    // The role of the start-up packet is what RESET ROLE goes back to; DISCARD ALL and the session's authorization take it away.
    if (discards === 'all') return refused('DISCARD ALL', 'use RESET ALL, DEALLOCATE ALL, CLOSE ALL, UNLISTEN * and DISCARD TEMP')
    const reset = as('VariableSetStmt', node)?.kind === 'VAR_RESET'
    if (settings.some(({ name }) => name === 'session_authorization' || (name === 'role' && !reset))) return refused('this', 'the role is that of the identity; RESET ROLE is allowed')
  }
  return NOTHING
}

function nameKept(tree: Tree, readings: readonly StatementReading[], who: string): Kept {
  const edits: Edit[] = []
  let splice: Splice | null = null
  for (const { node, settings, kind } of readings) {
    // What EXECUTE runs was changed where it was prepared.
    const own = kind === 'ExecuteStmt' ? [] : settings.filter(({ name }) => name === SETTING)
    if (own.length === 0) continue
    const values = valuesOf(node), due = own.filter(({ value }) => value !== null).length
    if (values?.length === 0 && due === 0) continue
    const scanned = splice === null ? tokens(tree.text) : null
    if (values === null || values.length !== due || (splice === null && scanned === null)) return { kind: 'refused', message: 'the value of application_name can\'t be seen before it runs, and it tells the server who acts', hint: 'SET application_name = \'a literal\'' }
    splice ??= new Splice(tree.text, scanned!)
    for (const { at, own } of values) {
      const first = splice.at(at)
      splice.replace(first, splice.afterName(first), `'${named(who, own).replaceAll("'", "''")}'`)
    }
    edits.splice(0, edits.length, ...splice.edits)
  }
  return { kind: 'edits', edits }
}

/** The literals given to application_name, by their places; null when one is no plain string. */
function valuesOf(statement: Node): { at: number; own: string }[] | null {
  const found: { at: number; own: string }[] = []
  let clear = true
  const take = (node: Node | undefined): void => {
    const constant = as('A_Const', as('TypeCast', node)?.arg ?? node), own = literal(node)
    if (constant === null || own === null) clear = false
    else found.push({ at: constant.location ?? 0, own })
  }
  walk(statement, ({ kind, body }) => {
    if (kind === 'VariableSetStmt') {
      const set = body as { kind?: string; name?: string; args?: Node[] }
      if (set.name?.toLowerCase() === SETTING && set.kind === 'VAR_SET_VALUE') { if (set.args?.length === 1) take(set.args[0]); else clear = false }
    } else if (kind === 'FuncCall') {
      const call = body as { funcname?: Node[]; args?: Node[] }
      if (stringsOf(call.funcname)?.at(-1) === 'set_config' && literal(call.args?.[0])?.toLowerCase() === SETTING && !(as('A_Const', call.args?.[1])?.isnull === true)) take(call.args?.[1])
    }
  })
  return clear ? found : null
}

/** Whether a text shows application_name as SHOW does: `all` of the settings, or that one. */
export function shownName(readings: readonly StatementReading[]): 'one' | 'all' | null {
  const only = readings.length === 1 ? readings[0]!.node : undefined
  const name = only === undefined || kindOf(only) !== 'VariableShowStmt' ? null : as('VariableShowStmt', only)!.name?.toLowerCase()
  return name === SETTING ? 'one' : name === 'all' ? 'all' : null
}
/** Edits of one text, in order. They don't meet: each stands in a statement that the others leave as it is. */
export function spliced(text: string, edits: readonly Edit[]): { readonly text: string; readonly edits: readonly Edit[] } {
  const bytes = Buffer.from(text)
  const sorted = [...edits].sort((a, b) => a.at - b.at)
  let made = '', done = 0
  for (const edit of sorted) {
    if (edit.at < done) throw new Error('two changes at one place')
    made += bytes.toString('utf8', done, edit.at) + edit.with
    done = edit.at + edit.length
  }
  return { text: made + bytes.toString('utf8', done), edits: sorted }
}
