// One text under one view of names → what is asked and what would be sent. The grammar reads it, effects.ts says what it does, mask.ts what
// the masks in force make of it; nothing here decides.
import type { ExplainStmt, Node } from 'libpg-query'
import type { Grant } from '../../core/policy.ts'
import type { Effect, Masking, Statement } from '../../core/statement.ts'
import type { Catalog, NameContext } from '../../sql/catalog.ts'
import { effectsOf } from '../../sql/effects.ts'
import { type Outcome, parse, STATEMENT_BYTES_MAX, tokens, type Tree } from '../../sql/grammar.ts'
import type { MaskOf } from '../../sql/mask-index.ts'
import { maskAtRead, type MaskResult } from '../../sql/mask.ts'
import type { StoredParameter, TokenCodec } from '../../sql/mask-work.ts'
import { comparesColumns, isPointRead } from '../../sql/point.ts'
import { hiddenLiterals } from '../../sql/literals-hidden.ts'
import { storesMask } from '../../sql/mask-write.ts'
import { literal } from '../../sql/reader.ts'
import type { StatementReading } from '../../sql/reading.ts'
import type { Edit } from '../../sql/splice.ts'
import { as, kindOf, stringOf, stringsOf } from '../../sql/walk.ts'
import { type Attribution, type Kept, keptIn, shownName, spliced } from './attribution.ts'
import { COPY_DEFAULTS, type CopyOptions } from './copy.ts'
import type { Judged, Part } from './reader.ts'

export interface View {
  readonly catalog: Catalog
  readonly context: NameContext
  readonly grant: Grant
  /** The grant's `column`, the same function for the same masks. */
  readonly column: MaskOf
  readonly functions: readonly string[]
  readonly refusal: { readonly rule: string; readonly message: string; readonly hint: string } | null
  /** What a name of a prepared statement stands for, judged under this view; `changed` when another text than the one prepared would be sent now. */
  prepared(name: string): Judged | 'changed' | null
  keyedHash(text: string): string
  readonly attribution: Attribution | null
  readonly tokens: TokenCodec
}
/** What is kept for EXECUTE of it, by its parts: texts of one shape share them. */
const readingOf = new WeakMap<Judged['parts'], StatementReading>()
/** What EXECUTE runs of the statements that Parse made: the rest is not asked for by name. */
const EXECUTABLE = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

const UNDOES = new Set(['commit', 'rollback', 'rollback to', 'prepare'])
const SETTING = new Set(['VariableSetStmt', 'VariableShowStmt', 'TransactionStmt'])
/** An empty text, or a comment alone. */
const NOTHING_ASKED: readonly Effect[] = [{ operation: 'sql.show', access: 'session', objects: [], columns: [], bounded: false }]
/** Literals this short say nothing. */
const SHORT_LITERAL = 3
/** Tokens that hold a value; comments may repeat one. */
const LITERAL = /^(SCONST|USCONST|BCONST|XCONST|ICONST|FCONST|SQL_COMMENT|C_COMMENT)$/

/** What `gateway.limits.statement` says; set once, before the first connection. */
let statementBytesMax = STATEMENT_BYTES_MAX
export function limitStatements(bytesMax: number): void { statementBytesMax = bytesMax }

export function judge(text: string, view: View): Judged | Promise<Judged> {
  const outcome = parse(text, statementBytesMax)
  return outcome instanceof Promise ? outcome.then((o) => judgeOutcome(text, o, view)) : judgeOutcome(text, outcome, view)
}

function judgeOutcome(text: string, outcome: Outcome, view: View): Judged {
  if (outcome.kind === 'syntax') return unread(text, outcome.message, { code: outcome.code, message: outcome.message, position: outcome.position })
  if (outcome.kind === 'refused') return unread(text, outcome.reason, null)
  return judgeTree(text, outcome, view)
}

function unread(text: string, reason: string, syntax: Judged['syntax']): Judged {
  const effects: Effect[] = [{ operation: 'sql.unread', access: 'unknown', objects: 'unknown', columns: [], bounded: false, reason }]
  return { ...QUIET, text, sent: text, syntax, statement: { text, effects, shown: text, masking: null, rowsMax: Infinity, exempt: false, single: false, guarded: false } }
}
const QUIET: Omit<Judged, 'text' | 'sent' | 'statement'> = {
  syntax: null, parts: [], lasting: true, setting: false, changesCatalog: false, moves: false, endsTransaction: false, settles: false, copyIn: false, strictErrors: false, fetches: null, rowsParameter: 0, copyOut: null, edits: null, origins: [], passed: [], turned: [], parameters: 0, kept: [], computed: [], shows: null,
  position: (at) => at, refusedParameters: null,
}

function judgeTree(text: string, tree: Tree, view: View): Judged {
  const { catalog, context, functions } = view
  const used: (Judged | 'changed' | null)[] = []
  const named = (name: string): StatementReading | null => {
    const found = view.prepared(name)
    used.push(found)
    return found === null || found === 'changed' ? null : readingOf.get(found.parts) ?? null
  }
  const readings = effectsOf(tree, catalog, context, { functions, prepared: named })
  const [executed] = used
  if (readings.length === 1 && readings[0]!.kind === 'ExecuteStmt' && (executed === null || executed === 'changed')) {
    const name = readings[0]!.prepared?.name ?? ''
    const made = unread(text, executed === null ? `prepared statement "${name}" is not known here` : 'what it names would be sent otherwise than it was prepared', executed === null
      ? { code: '26000', message: `prepared statement "${name}" does not exist`, position: 0 } : { code: '0A000', message: 'cached plan must not change result type', position: 0 })
    return { ...made, lasting: false }
  }
  const runs = used.filter((one) => one !== null && one !== 'changed')
  const masked = maskAtRead({ text, tree, catalog, context, masked: view.column, unknownCall: unknownCall(readings), followed: readings.flatMap((reading) => [...reading.followed]), tokens: view.tokens })
  const setting = readings.length > 0 && readings.every((r) => SETTING.has(r.kind ?? ''))
  const effects: readonly Effect[] = readings.length === 0 ? NOTHING_ASKED : readings.flatMap((r) => r.effects)
  const kept = keptIn(tree, readings, view.attribution)
  const { text: sent, edits } = whole(text, masked, kept)
  const rows = rowsOf(readings)
  const first = readings[0]
  const places = masked.kind === 'refused' || masked.touched.length === 0 ? null : hiddenLiterals(readings, catalog, view.column, masked.touched)
  const harmless = masked.kind !== 'refused' && !sensitive(masked, readings) && (masked.touched.length === 0 || places?.size === 0)
  const plain = harmless && runs.every((one) => !one.statement.guarded)
  // What a point read is given is no value of a masked column, unless it compares one: the record may name the row that was read.
  const guarded = !plain || (masked.touched.length > 0 && !(readings.length === 1 && comparesColumns(first!)))
  const strictErrors = masked.kind !== 'refused' && ranOnValues(masked, readings) || runs.some((one) => one.strictErrors)
  const refusedParameters: Judged['refusedParameters'] = masked.kind === 'refused' || masked.stored.length === 0 ? null : (values) => storedMask(masked.stored, values)
  const statement: Statement = {
    text, effects, masking: estimates(masked, readings, view.grant.fields) ?? maskingOf(masked, view, setting, plain, sent, kept) ?? ofExecuted(text, readings, runs), rowsMax: typeof rows === 'number' ? rows : Infinity,
    single: readings.length === 1 && isPointRead(first!),
    exempt: readings.length > 0 && readings.every((r) => r.catalogOnly || !r.answersRows && r.copy !== 'out' && r.cursor === null), guarded,
    shown: plain ? text : hideLiterals(text, view.keyedHash, places),
  }
  const parts = readings.map((r, i) => partOf(r, readings.length === 1 ? text : sliceOf(tree, i), { sent: readings.length === 1 ? sent : sliceOf(tree, i), statement, strictErrors, refusedParameters }))
  if (readings.length === 1 && EXECUTABLE.has(first!.kind ?? '')) readingOf.set(parts, first!)
  return {
    text, statement, sent, syntax: null, parts, setting,
    edits: edits.length === masksIn(masked) && harmless && shapeable(masked, readings) ? (masked.kind === 'rewritten' ? masked.edits : []) : null, origins: masked.kind === 'rewritten' ? masked.origins : [],
    passed: masked.kind === 'refused' ? [] : masked.passed, turned: masked.kind === 'refused' ? [] : masked.turned, parameters: masked.kind === 'refused' ? 0 : masked.parameters, kept: masked.kind === 'refused' ? [] : masked.kept,
    computed: masked.kind === 'rewritten' ? [...new Set(masked.hidden.filter((h) => h.computed).map((h) => `${h.schema}.${h.table}.${h.column}`))] : [],
    lasting: used.length === 0 && edits.length === masksIn(masked) && kept.kind !== 'refused' && readings.every((r) => r.prepared === null && r.cursor === null),
    changesCatalog: readings.some((r) => r.changesCatalog || !made(r)), moves: readings.some(moves), endsTransaction: readings.some((r) => r.transaction !== null && UNDOES.has(r.transaction.control)),
    settles: readings.some((r) => r.kind === 'ConstraintsSetStmt' || r.transaction?.control === 'commit' || r.transaction?.control === 'prepare'),
    copyIn: readings.some((r) => r.copy === 'in'), strictErrors,
    fetches: readings.length === 1 && (first?.cursor?.action === 'fetch' || first?.cursor?.action === 'move') ? first.cursor.name : null,
    copyOut: readings.length === 1 ? copyOf(first, catalog) : readings.some((r) => r.copy === 'out') ? { options: COPY_DEFAULTS, types: null } : null,
    rowsParameter: typeof rows === 'number' ? 0 : rows.parameter,
    position: edits.length > 0 ? mapper(text, edits) : (at) => at, shows: shownName(readings),
    refusedParameters,
  }
}

function made(r: StatementReading): boolean { return !r.makes.any && r.makes.functions.size + r.makes.operators.size + r.makes.types.size === 0 }
function moves(r: StatementReading): boolean { return r.changesNames && !(r.transaction !== null && UNDOES.has(r.transaction.control)) || r.changesCatalog || r.makesTemporary }

/** Why it calls something that is not known to be harmless. */
function unknownCall(readings: readonly StatementReading[]): string | null {
  for (const { effects } of readings) for (const effect of effects) if (effect.access === 'admin' && effect.objects === 'unknown' && effect.reason !== undefined) return effect.reason
  return null
}

/** Costs, widths and row counts of a plan follow what the table holds: beside a condition on masked columns they would be an oracle of it, and below a sort or join a width is the mean length of what is hidden. */
function estimates(masked: MaskResult, readings: readonly StatementReading[], fields: Grant['fields']): Masking | null {
  // What a prepared statement reads is judged where it was prepared.
  if (fields.length > 0 && readings.some(({ node }) => { const explain = as('ExplainStmt', node); return explain !== null && as('ExecuteStmt', explain.query) !== null && (tellsCosts(explain) || fields.some((field) => field.with === 'token')) })) {
    return { kind: 'refused', rule: fields[0]!.rule, message: 'EXPLAIN of a prepared statement shows estimates that may follow masked columns, and values that tokens stand for', hint: 'explain the query itself' }
  }
  if (masked.kind !== 'rewritten' || masked.hidden.length === 0) return null
  const { rule } = masked.hidden[0]!
  for (const { node } of readings) {
    const explain = as('ExplainStmt', node)
    if (explain === null) continue
    if (masked.hidden.some((h) => h.computed)) return { kind: 'refused', rule, message: 'EXPLAIN of a statement that computes with masked columns shows estimates about them', hint: 'explain it without those columns' }
    if (tellsCosts(explain) && !isFlat(explain.query)) return { kind: 'refused', rule, message: 'EXPLAIN shows estimates that follow the masked columns of this statement', hint: 'EXPLAIN (COSTS OFF), or explain it without those columns' }
  }
  return null
}
function tellsCosts(explain: ExplainStmt): boolean {
  const costs = (explain.options ?? []).map((option) => as('DefElem', option)).filter((option) => option?.defname === 'costs').at(-1)
  return costs === undefined || costs === null || costs.arg === undefined || !/^(false|off|0)$/i.test(stringOf(costs.arg) ?? String(as('Integer', costs.arg)?.ival ?? 0))
}
/** A scan that shows what it reads: what is masked has the width of its mask. */
function isFlat(query: Node | undefined): boolean {
  const select = as('SelectStmt', query)
  if (select === null || (select.op ?? 'SETOP_NONE') !== 'SETOP_NONE' || select.fromClause?.length !== 1 || as('RangeVar', select.fromClause[0]) === null) return false
  // An aggregate of whole rows would read them below itself.
  if (!(select.targetList ?? []).every((target) => ['ColumnRef', 'A_Const'].includes(kindOf(as('ResTarget', target)?.val) ?? ''))) return false
  return [select.groupClause, select.distinctClause, select.windowClause].every((clause) => clause === undefined) && select.havingClause === undefined && select.withClause === undefined
}

function maskingOf(masked: MaskResult, view: View, setting: boolean, plain: boolean, sent: string, kept: Kept): Masking | null {
  // While the state of the session makes texts ambiguous, only what mends it passes.
  if (view.refusal !== null && !setting) return { kind: 'refused', ...view.refusal }
  if (kept.kind === 'refused') return { kind: 'refused', rule: 'attribution', message: kept.message, hint: kept.hint }
  if (masked.kind === 'refused') return { kind: 'refused', rule: masked.rule, message: masked.message, hint: masked.hint }
  const review = masked.review === undefined ? {} : { review: masked.review }
  if (masked.kind === 'unchanged') return kept.edits.length === 0 && masked.review === undefined ? null : { kind: 'rewritten', text: sent, shown: plain ? sent : hideLiterals(sent, view.keyedHash, null), rules: [masked.review?.rule ?? 'attribution'], hidden: [], lookups: [], ...review }
  return {
    // Where a literal had to be hidden in what was asked, it stands in what is sent too, somewhere else.
    kind: 'rewritten', text: sent, shown: plain ? sent : hideLiterals(sent, view.keyedHash, null), rules: [...new Set([...masked.hidden.map((h) => h.rule), ...masked.filters])], hidden: masked.hidden.map((h) => `${h.schema}.${h.table}.${h.column}`),
    lookups: masked.lookups.map((l) => ({ column: `${l.schema}.${l.table}.${l.column}`, rule: l.rule, count: l.count, perMs: l.perMs })), ...review,
  }
}

const masksIn = (masked: MaskResult): number => (masked.kind === 'rewritten' ? masked.edits.length : 0)
/** The text sent: with masks in it, and with who acts. */
function whole(text: string, masked: MaskResult, kept: Kept): { readonly text: string; readonly edits: readonly Edit[] } {
  const own = kept.kind === 'edits' ? kept.edits : []
  if (masked.kind !== 'rewritten') return own.length === 0 ? { text, edits: own } : spliced(text, own)
  return own.length === 0 ? { text: masked.text, edits: masked.edits } : spliced(text, [...masked.edits, ...own])
}

/** EXECUTE looks up, and stores, as the statement it names does. */
function ofExecuted(text: string, readings: readonly StatementReading[], runs: readonly Judged[]): Masking | null {
  for (const run of runs) {
    const stores = run.refusedParameters?.(executeValues(readings)) ?? null
    if (stores !== null) return { kind: 'refused', ...stores }
    const { masking } = run.statement
    if (masking?.kind === 'rewritten' && masking.review !== undefined) return { kind: 'refused', ...masking.review }
    if (masking?.kind === 'rewritten' && masking.lookups.length > 0) return { ...masking, text, shown: `EXECUTE of: ${masking.shown}` }
  }
  return null
}
/** The plain literals given to EXECUTE, null for what is none. */
function executeValues(readings: readonly StatementReading[]): (string | null)[] {
  const given = readings.length === 1 ? as('ExecuteStmt', readings[0]!.node)?.params ?? [] : []
  return given.map((node) => literal(node))
}

/** Errors of a statement that ran on real values of a masked table may carry them: writes, look-ups, triggers. */
function ranOnValues(masked: Exclude<MaskResult, { kind: 'refused' }>, readings: readonly StatementReading[]): boolean {
  if (masked.touched.length === 0) return false
  return masked.onValues || masked.opened || masked.passed.length > 0 || (masked.kind === 'rewritten' && masked.lookups.length > 0) || readings.some((r) => r.effects.some((e) => e.access === 'write' || e.access === 'admin'))
}
/** Whether its literals may be values of masked columns. */
function sensitive(masked: Exclude<MaskResult, { kind: 'refused' }>, readings: readonly StatementReading[]): boolean {
  return ranOnValues({ ...masked, passed: [] }, readings) || (masked.kind === 'rewritten' && masked.hidden.some((h) => h.computed))
}

/** Whether another text of its shape means the same: no literal decides about effects, masks or what the record shows. */
function shapeable(masked: MaskResult, readings: readonly StatementReading[]): boolean {
  if (masked.kind === 'refused' || readings.length !== 1 || readings.some((r) => r.literalsMatter || r.rowsMax !== Infinity && typeof r.rowsMax !== 'number')) return false
  return masked.stored.length === 0
}

/** Literals that may be values of masked columns are named by length and keyed hash: those that begin at `places`, all of them when null. */
function hideLiterals(text: string, keyedHash: (text: string) => string, places: ReadonlySet<number> | null): string {
  const scanned = tokens(text)
  if (scanned === null) return `[${Buffer.byteLength(text)} bytes, ${keyedHash(text).slice(0, 16)}]`
  const bytes = Buffer.from(text)
  const parts: string[] = []
  let done = 0
  for (const { start, end, tokenName } of scanned) {
    if (!LITERAL.test(tokenName) || (places === null ? end - start <= SHORT_LITERAL : !places.has(start) && !/COMMENT/.test(tokenName))) continue
    parts.push(bytes.toString('utf8', done, start), `'[${end - start} bytes ${keyedHash(bytes.toString('utf8', start, end)).slice(0, 16)}]'`)
    done = end
  }
  parts.push(bytes.toString('utf8', done))
  return parts.join('')
}

/** How COPY … TO STDOUT writes its rows; null for every other statement. */
function copyOf(reading: StatementReading | undefined, catalog: Catalog): Judged['copyOut'] {
  const copy = reading?.copy === 'out' ? as('CopyStmt', reading.node) : null
  if (copy === null) return null
  const options: { -readonly [K in keyof CopyOptions]: CopyOptions[K] } = { ...COPY_DEFAULTS }
  for (const node of copy.options ?? []) {
    const option = as('DefElem', node)
    const value = stringOf(option?.arg) ?? ''
    switch (option?.defname) {
      case 'format': options.format = value === 'csv' ? 'csv' : value === 'binary' ? 'binary' : 'text'; break
      case 'delimiter': options.delimiter = value; break
      case 'null': options.nullText = value; break
      case 'quote': options.quote = value; break
      case 'escape': options.escape = value; break
      case 'encoding': options.encoding = value; break
      case 'header': options.header = !/^(false|off|0)$/i.test(value); break
      default:
    }
  }
  const reference = reading!.resolution.references.find((one) => one.role === 'copy.out')
  const relation = reference?.resolved.kind === 'relation' ? catalog.relations.get(reference.resolved.relation.oid) : undefined
  const named = copy.attlist === undefined ? null : stringsOf(copy.attlist)
  const columns = relation === undefined ? null : named === null ? relation.columns.filter((c) => c.generated === '') : named.map((name) => relation.columns.find((c) => c.name === name))
  return { options, types: columns === null ? null : columns.map((c) => c?.type ?? 0) }
}

function rowsOf(readings: readonly StatementReading[]): number | { readonly parameter: number } {
  if (readings.length === 1) return readings[0]!.rowsMax
  let total = 0
  for (const { rowsMax } of readings) total += typeof rowsMax === 'number' ? rowsMax : Infinity
  return total
}

function sliceOf(tree: Tree, index: number): string {
  const { start, length } = tree.statements[index]!
  return Buffer.from(tree.text).toString('utf8', start, start + length)
}

function partOf(reading: StatementReading, text: string, whole: Pick<Judged, 'sent' | 'statement' | 'strictErrors' | 'refusedParameters'>): Part {
  const { prepared, cursor, discards } = reading
  let prepares: Part['prepares'] = null
  if (prepared?.action === 'prepare' && prepared.reading !== null && prepared.name !== null) {
    const { sent, statement, strictErrors, refusedParameters } = whole
    const inner: Judged = { ...QUIET, text, sent, parts: [], strictErrors, refusedParameters, statement: { ...statement, effects: prepared.reading.effects } }
    readingOf.set(inner.parts, prepared.reading)
    prepares = { name: prepared.name, judged: inner }
  }
  return {
    prepares, frees: discards === 'all' || discards === 'plans' ? (discards === 'all' ? '*' : null) : prepared?.action === 'deallocate' ? prepared.name ?? '*' : null,
    declares: cursor?.action === 'declare' ? cursor.name : null, closes: discards === 'all' ? '*' : cursor?.action === 'close' ? cursor.name ?? '*' : null,
  }
}

/** Character positions (from 1) in the text sent → in the client's text: a place inside our text is the start of what it replaced. */
export function mapper(text: string, edits: readonly Edit[]): (at: number) => number {
  const bytes = Buffer.from(text)
  const characters = (from: number, to: number) => [...bytes.toString('utf8', from, to)].length
  const steps = edits.map((edit) => ({ before: characters(0, edit.at), replaced: characters(edit.at, edit.at + edit.length), put: [...edit.with].length }))
  return (at) => {
    let shift = 0
    for (const { before, replaced, put } of steps) {
      const start = before + shift + 1
      if (at < start) break
      if (at < start + put) return before + 1
      shift += put - replaced
    }
    return at - shift
  }
}

function storedMask(stored: readonly StoredParameter[], values: readonly (string | null)[]): { rule: string; message: string; hint: string } | null {
  for (const one of stored) {
    const value = values[one.parameter - 1] ?? null
    if (storesMask(one, value)) return { rule: one.hidden.rule, message: `this would store the mask itself in ${one.column}`, hint: 'leave masked columns out of the write, or give a real value' }
  }
  return null
}
