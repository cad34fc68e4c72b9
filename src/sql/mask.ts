// Masks at read: a text in which every reference to a relation with masked columns sees masks instead of values, or a refusal. It never
// lets through what it can't place, resolve or prove equal: the text it makes is parsed again and compared, node by node.
import type { Node, TransactionStmt, VariableSetStmt } from 'libpg-query'
import type { Catalog, NameContext } from './catalog.ts'
import { checkWholeTables } from './filter-write.ts'
import { parseShort, tokens, type Tree } from './grammar.ts'
import { sameTree } from './mask-compare.ts'
import { checkDefinition, checkOpaque } from './mask-ddl.ts'
import { label, maskIndex, type MaskIndex, type MaskOf } from './mask-index.ts'
import { type ShownOrigin, shownOrigins } from './mask-origin.ts'
import { copyTable, maskReads } from './mask-read.ts'
import { type Expected, type HiddenUse, type Lookup, maskedOf, Names, type Passed, type Ranged, Refusal, type StoredParameter, type TokenCodec, type TurnedParameter, type WireMask, type Work } from './mask-work.ts'
import { routineTaint } from './mask-view.ts'
import { maskWrite } from './mask-write.ts'
import { resolve } from './resolve.ts'
import { type Edit, Splice, Unplaced } from './splice.ts'
import { as, firstUnknown, kindOf, stringsOf, walk } from './walk.ts'

export interface MaskInput {
  readonly text: string
  readonly tree: Tree
  readonly catalog: Catalog
  /** Null: not known; every unqualified name that could be a masked relation is refused. */
  readonly context: NameContext | null
  /** One function per grant: what is worked out from it is kept as long as it lives. */
  readonly masked: MaskOf
  /** Why the text calls something that is not known to be harmless (a function, an operator, CALL), or null. */
  readonly unknownCall: string | null
  /** SQL functions it calls whose bodies only read. */
  readonly followed?: Iterable<number>
  /** What stands for values of columns masked by `token`; absent: such columns are hidden whole. */
  readonly tokens?: TokenCodec
}
interface Common {
  /** Masked relations that the text reads or whose rows it may move: with kind unchanged, or with look-ups, its errors and notices may carry values. */
  readonly touched: readonly string[]
  /** It reads a view whose own filters work on masked values: errors may carry them. */
  readonly onValues: boolean
  /** For the answer's masks, by origin. */
  readonly wire: readonly WireMask[]
  /** Parameters to be checked with storesMask before a run. */
  readonly stored: readonly StoredParameter[]
  /** Rules of row filters that narrow it. */
  readonly filters: readonly string[]
  /** Columns of the answer whose values the wire must make tokens of. */
  readonly passed: readonly Passed[]
  /** Parameters that may hold tokens: the text has more parameters than were asked. */
  readonly turned: readonly TurnedParameter[]
  /** Masked columns, `schema.table.column`, that it leaves as they were. */
  readonly kept: readonly string[]
  /** The highest number of a parameter that the client gives. */
  readonly parameters: number
  /** It compares masked columns with their real values: to be run only if a person allows it. */
  readonly review?: { readonly rule: string; readonly message: string; readonly hint: string }
  /** It holds values that tokens stood for. */
  readonly opened: boolean
}
export type MaskResult =
  | { readonly kind: 'unchanged' } & Common
  | { readonly kind: 'rewritten'; readonly text: string; readonly edits: readonly Edit[]; readonly hidden: readonly HiddenUse[]; readonly lookups: readonly Lookup[]
    /** Of a text of one statement: see mask-origin.ts. */
    readonly origins: readonly ShownOrigin[] } & Common
  | { readonly kind: 'refused'; readonly rule: string; readonly message: string; readonly hint: string }

const UNTOUCHED: MaskResult = { kind: 'unchanged', touched: [], onValues: false, wire: [], stored: [], filters: [], passed: [], turned: [], kept: [], parameters: 0, opened: false }
const WRITES = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])
/** Statements of a text that are masked statements themselves, or hold one. */
const WRAPPERS: Readonly<Record<string, Work['wrapper']>> = { ExplainStmt: 'explain', PrepareStmt: 'prepare', DeclareCursorStmt: 'cursor', CreateTableAsStmt: 'create', CopyStmt: 'copy' }

export function maskAtRead(input: MaskInput): MaskResult {
  const index = maskIndex(input.catalog, input.masked)
  if (index.empty) return UNTOUCHED
  try {
    return reviewedText(input, index)
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'refused', rule: error.rule, message: error.message, hint: error.hint }
    if (error instanceof Unplaced) return refused('the masks could not be placed in this statement', 'write it more plainly')
    throw error
  }
}
/** What only a person may allow is worked out as if one had; the caller asks. */
function reviewedText(input: MaskInput, index: MaskIndex): MaskResult {
  try {
    return maskText(input, index, false)
  } catch (error) {
    if (!(error instanceof Refusal) || !error.reviewable) throw error
    const allowed = maskText(input, index, true)
    return allowed.kind === 'refused' ? allowed : { ...allowed, review: { rule: error.rule, message: error.message, hint: error.hint } }
  }
}
const refused = (message: string, hint: string): MaskResult => ({ kind: 'refused', rule: 'mask', message, hint })

/** A function works on values, inside: what it gives is not hidden from outside. */
function checkCalled({ spread }: MaskIndex, oid: number): void {
  const { schema, name } = spread.catalog.routineById.get(oid)!
  const taint = routineTaint(oid, spread)
  if (taint !== null) throw new Refusal(taint.rule.rule, `function ${schema}.${name}() reads ${taint.column}, which is masked`, 'read the table itself: its masked columns are hidden, the others are not')
  if (spread.suspects.has(oid)) throw new Refusal('mask', `function ${schema}.${name}() leads to masked data`, 'read the tables themselves')
}

interface Pass {
  readonly input: MaskInput
  readonly index: MaskIndex
  readonly expected: Map<object, Expected>
  readonly hidden: Map<string, HiddenUse>
  readonly wire: Map<string, WireMask>
  readonly stored: StoredParameter[]
  readonly lookups: Lookup[]
  readonly touched: Set<string>
  readonly filters: Set<string>
  readonly single: boolean
  readonly tokens: TokenCodec | null
  readonly passed: Passed[]
  readonly turned: TurnedParameter[]
  readonly opened: Set<string>
  readonly reviewed: boolean
  readonly kept: Set<string>
  readonly parameters: { last: number }
  readonly origins: ShownOrigin[]
  readonly splice: () => Splice
}

function maskText(input: MaskInput, index: MaskIndex, reviewed: boolean): MaskResult {
  if (input.unknownCall !== null) return refused(`${input.unknownCall}, and this resource has masked columns`, 'use functions that are known to be harmless, or have it listed under `functions`')
  for (const oid of input.followed ?? []) checkCalled(index, oid)
  let splice: Splice | null = null
  const pass: Pass = {
    input, index, expected: new Map(), hidden: new Map(), wire: new Map(), stored: [], lookups: [], touched: new Set(), filters: new Set(), origins: [], single: input.tree.statements.length === 1, tokens: input.tokens ?? null, passed: [], turned: [], opened: new Set(), reviewed, kept: new Set(), parameters: { last: highestParameter(input.tree) },
    splice: () => {
      if (splice !== null) return splice
      const scanned = tokens(input.text)
      if (scanned === null) throw new Refusal('mask', 'a statement this long can\'t be masked', 'send a shorter one, with values as parameters')
      return splice = new Splice(input.text, scanned)
    },
  }
  const given = pass.parameters.last
  let context = input.context
  for (const statement of input.tree.statements) {
    maskStatement(pass, statement.node, context)
    if (unsettles(statement.node)) context = null
  }
  const common: Common = { touched: [...pass.touched], onValues: [...index.onValues].some((oid) => pass.touched.has(label(input.catalog.relations.get(oid)!))), wire: [...pass.wire.values()], stored: pass.stored, filters: [...pass.filters], passed: pass.passed, turned: pass.turned, kept: [...pass.kept], parameters: given, opened: pass.opened.size > 0 || pass.turned.length > 0 }
  if (pass.expected.size === 0) return { kind: 'unchanged', ...common }
  const { text, edits } = pass.splice().finish()
  const again = parseShort(text)
  if (again?.kind !== 'tree') return refused('the masked text could not be read again', 'send a shorter or plainer statement')
  const before = input.tree.statements.map((one) => one.node)
  if (!sameTree(before, again.statements.map((one) => one.node), pass.expected)) return refused('the masks could not be placed in this statement for certain', 'write it more plainly, with an alias for each table')
  return { kind: 'rewritten', text, edits, hidden: [...pass.hidden.values()], lookups: pass.lookups, origins: input.tree.statements.length === 1 ? pass.origins : [], ...common }
}

function maskStatement(pass: Pass, node: Node, context: NameContext | null): void {
  const { index, input } = pass
  const kind = kindOf(node) ?? ''
  checkOpaque(kind)
  if (!concerns(index, node, kind)) return
  const unknown = firstUnknown(node)
  if (unknown !== null) throw new Refusal('mask', `a part of this statement is not understood (${unknown})`, 'write it more plainly')
  const resolution = resolve(node, input.catalog, context)
  const names = new Names(node, resolution, (name) => index.names.has(name))
  const wrapper = WRAPPERS[kind] ?? 'none'
  const work: Work = { ...pass, names, wrapper, uses: resolution.useOf, routines: input.catalog.routines, searchPath: context?.searchPath ?? null, expect }
  const inner = innermost(node)
  const innerKind = kindOf(inner) ?? ''
  if (innerKind === 'ExecuteStmt' && wrapper !== 'create' && !(wrapper === 'explain' && as('CreateTableAsStmt', as('ExplainStmt', node)?.query) !== null)) return
  if (innerKind !== 'SelectStmt' && innerKind !== 'CopyStmt' && !WRITES.has(innerKind)) { checkWholeTables(index, work, innerKind, (inner as unknown as Record<string, object>)[innerKind]!); checkDefinition(work, innerKind, (inner as unknown as Record<string, object>)[innerKind]!); return }
  if (kind === 'CreateTableAsStmt' && as(kind, node)!.objtype === 'OBJECT_MATVIEW') return checkDefinition(work, kind, as(kind, node)!)

  for (const place of names.writes) maskWrite(work, place, place.body === (inner as unknown as Record<string, object>)[innerKind])
  const reads: (Ranged & { masked: NonNullable<ReturnType<typeof maskedOf>> })[] = []
  for (const ranged of names.ranges) {
    const { place } = ranged
    if (place.field === 'relation' && place.up !== null && WRITES.has(place.up.kind ?? '')) continue
    if (place.up?.kind === 'IntoClause') continue
    const masked = maskedOf(work, ranged)
    if (masked === null) continue
    if (place.up?.kind !== 'CopyStmt') reads.push({ ...ranged, masked })
    else copy(work, { ...ranged, masked })
  }
  const origins = shownOrigins(inner, reads, resolution.byNode)
  maskReads(work, reads, inner, origins)
  if (wrapper === 'explain' && work.filters.size > 0) throw new Refusal([...work.filters][0]!, 'EXPLAIN shows estimates and counts of rows outside the row filter', 'run the statement itself')
  if (wrapper === 'none' || wrapper === 'cursor' || wrapper === 'prepare') pass.origins.push(...origins)
}

/** COPY of a table itself, not of a query. */
function copy(work: Work, ranged: Ranged & { masked: NonNullable<ReturnType<typeof maskedOf>> }): void {
  const body = ranged.place.up!.body as { is_from?: boolean; attlist?: Node[]; whereClause?: Node }
  if (body.is_from !== true) return copyTable(work, ranged, body.attlist)
  const written = body.attlist === undefined ? [...ranged.masked.hidden.keys()] : stringsOf(body.attlist) ?? []
  const hidden = written.find((name) => ranged.masked.hidden.has(name))
  if (ranged.masked.filter !== undefined) throw new Refusal(ranged.masked.filter.rules[0] ?? 'filter', `COPY into ${ranged.masked.relation.schema}.${ranged.masked.relation.name}, which is filtered by row, can't be checked`, 'use INSERT')
  if (hidden !== undefined || body.whereClause !== undefined && ranged.masked.hidden.size > 0) throw new Refusal('mask', `COPY into ${ranged.masked.relation.schema}.${ranged.masked.relation.name} would store text in its masked columns unseen`, 'name the columns that are not masked, or use INSERT')
}

/** What a wrapper runs: the query of EXPLAIN, PREPARE, DECLARE, CREATE TABLE AS, COPY (query); else the statement itself. */
function innermost(node: Node): Node {
  let at = node
  for (let depth = 0; depth < 8; depth += 1) {
    const kind = kindOf(at) ?? ''
    if (WRAPPERS[kind] === undefined) return at
    const query = (at as unknown as Record<string, { query?: Node }>)[kind]!.query
    if (query === undefined) return at
    at = query
  }
  return at
}

/** Looked at whatever they name. */
const ALWAYS = new Set(['CreateFunctionStmt', 'RenameStmt', 'AlterObjectSchemaStmt', 'ListenStmt', 'DefineStmt', 'CreateCastStmt', 'CreateOpClassStmt', 'CreateTrigStmt', 'TruncateStmt', 'DropStmt', 'DropOwnedStmt'])
/** A cheap look: does the statement name anything of interest, or define something that could? */
function concerns(index: MaskIndex, node: Node, kind: string): boolean {
  if (ALWAYS.has(kind)) return true
  let hit = false
  walk(node, (place) => {
    if (hit) return false
    if (place.kind === 'RangeVar') { const { relname, schemaname } = place.body as { relname?: string; schemaname?: string }; hit = index.names.has(relname ?? '') || schemaname === 'pg_toast' }
    else if (place.kind === 'DoStmt' || place.kind === 'CreateFunctionStmt' || place.kind === 'ExecuteStmt') hit = true
    else if (place.kind !== null && place.up !== null && place.kind.endsWith('Stmt')) checkOpaque(place.kind)
    else if (place.kind === null) hit = true
    return undefined
  })
  return hit
}

const SETTLED = new Set(['VariableShowStmt', 'FetchStmt', 'ClosePortalStmt', 'NotifyStmt', 'ListenStmt', 'UnlistenStmt', 'DeallocateStmt', 'LockStmt', 'VacuumStmt'])
/** Whether names may mean something else for the statements after this one in the same text. */
function unsettles(node: Node): boolean {
  const kind = kindOf(node)
  if (kind === 'TransactionStmt') return !['TRANS_STMT_BEGIN', 'TRANS_STMT_START', 'TRANS_STMT_SAVEPOINT', 'TRANS_STMT_RELEASE'].includes((as(kind, node) as TransactionStmt).kind ?? '')
  if (kind === 'VariableSetStmt') return !/^(statement_timeout|lock_timeout|timezone|datestyle|application_name|client_min_messages|work_mem)$/.test(((as(kind, node) as VariableSetStmt).name ?? '').toLowerCase())
  if (SETTLED.has(kind ?? '')) return false
  if (kind !== 'SelectStmt' && kind !== null && !WRITES.has(kind) && WRAPPERS[kind] === undefined) return true
  let hit = false
  walk(node, (place) => {
    if (place.kind === 'FuncCall' && stringsOf((place.body as { funcname?: Node[] }).funcname)?.at(-1) === 'set_config') hit = true
    if (place.kind === 'IntoClause') hit = true
  })
  return hit
}

function highestParameter(tree: Tree): number {
  let highest = 0
  for (const { node } of tree.statements) walk(node, ({ kind, body }) => { if (kind === 'ParamRef') highest = Math.max(highest, (body as { number?: number }).number ?? 0) })
  return highest
}

/** The tree of a piece of text of ours. */
function expect(snippet: string, pick: (statement: Node) => unknown): unknown {
  const parsed = parseShort(snippet)
  const statement = parsed?.kind === 'tree' ? parsed.statements[0]?.node : undefined
  if (statement === undefined) throw new Unplaced('our own text does not parse')
  return pick(statement)
}
