// Reads a parsed text: every statement, every effect in it, and the facts around them. What one statement of the text changes about names is
// taken into account for those after it. Anything not understood is `unknown`, which is always refused.
import type { Node } from 'libpg-query'
import type { Catalog, NameContext } from './catalog.ts'
import { executesIt } from './ddl.ts'
import { NOTHING_MADE, normalSignature } from './functions.ts'
import type { Makes, Sight } from './functions.ts'
import type { Parsed, Tree } from './grammar.ts'
import { literalsMatter } from './literals.ts'
import { Reader } from './reader.ts'
import type { Options } from './reader.ts'
import type { StatementReading, TransactionControl } from './reading.ts'
import { resolve } from './resolve.ts'
import { rowsMaxOf } from './rows.ts'
import type { RowsMax } from './rows.ts'
import { selectOf } from './values.ts'
import { as, firstUnknown, kindOf } from './walk.ts'
export type { Options } from './reader.ts'
export type { Effect, StatementReading } from './reading.ts'

const listedOf = new WeakMap<readonly string[], ReadonlySet<string>>()
function listed(functions: readonly string[] | undefined): ReadonlySet<string> {
  if (functions === undefined) return NOTHING_MADE.functions
  let known = listedOf.get(functions)
  if (known === undefined) { known = new Set(functions.map(normalSignature)); listedOf.set(functions, known) }
  return known
}

/** `context` null: the session's search path is not known. */
export function effectsOf(tree: Tree, catalog: Catalog, context: NameContext | null, options: Options = {}): StatementReading[] {
  const readings: StatementReading[] = []
  const prepared = new Map<string, StatementReading | null>()
  let names = context
  let made = options.made ?? NOTHING_MADE
  const within: Options = { ...options, prepared: (name) => prepared.has(name) ? prepared.get(name) ?? null : options.prepared?.(name) ?? null }
  for (const parsed of tree.statements) {
    const reading = readStatement(parsed, { catalog, context: names, listed: listed(options.functions), made, followed: new Set() }, within)
    readings.push(reading)
    if (reading.prepared?.action === 'prepare') prepared.set(reading.prepared.name ?? '', reading.prepared.reading)
    if (reading.prepared?.action === 'deallocate' && reading.prepared.name !== null) prepared.set(reading.prepared.name, null)
    if (reading.changesNames && reading.transaction?.control !== 'begin') {
      // Relations alone leave the path as it was: only their names are in doubt.
      const path = reading.settings.length > 0 || reading.transaction !== null || reading.discards !== null || reading.makes.any
      if (path) names = null
      made = merged(made, reading.makes)
    }
  }
  return readings
}

/** Names of both: for sessions that collect what their statements made until the catalog is loaded again. */
export function merged(a: Makes, b: Makes): Makes {
  return {
    functions: new Set([...a.functions, ...b.functions]), operators: new Set([...a.operators, ...b.operators]), types: new Set([...a.types, ...b.types]),
    relations: new Set([...a.relations, ...b.relations]), any: a.any || b.any,
  }
}
const isEmpty = (makes: Makes): boolean => !makes.any && makes.functions.size + makes.operators.size + makes.types.size + makes.relations.size === 0

export function readStatement(parsed: Parsed, sight: Sight, options: Options): StatementReading {
  try {
    return readingOf(parsed, sight, options)
  } catch (error) {
    // Depth is limited where texts are parsed; should the stack end all the same, the statement is refused and the session goes on.
    if (!(error instanceof RangeError)) throw error
    return unreadable(parsed)
  }
}

function unreadable({ node, start, length }: Parsed): StatementReading {
  return {
    node, kind: null, start, length, effects: [{ operation: 'sql.unknown', access: 'unknown', objects: 'unknown', columns: [], bounded: false, reason: 'the statement is too deeply nested to be read' }],
    resolution: { references: [], byNode: new Map(), uses: [], useOf: new Map(), written: [], ctes: new Map() }, objects: 'unknown', columns: [], catalogOnly: false, rowsMax: Infinity, answersRows: true,
    changesCatalog: true, changesNames: true, makes: { ...NOTHING_MADE, any: true }, transaction: null, copy: null, settings: [], prepared: null, cursor: null, makesTemporary: true, discards: null, literalsMatter: true, followed: new Set(),
  }
}

function readingOf({ node, start, length }: Parsed, sight: Sight, options: Options): StatementReading {
  const kind = kindOf(node)
  const resolution = resolve(node, sight.catalog, sight.context, sight.made.any ? 'all' : sight.made.relations)
  const reader = new Reader(resolution, sight, options)
  const stranger = kind === null ? 'statement' : firstUnknown(node)
  if (stranger !== null) reader.unknown(`${stranger} is not known to this version of the grammar`)
  else reader.read(node)
  const body = kind === null ? {} : (node as unknown as Record<string, object>)[kind]!
  const read = resolution.references.filter((reference) => reference.role === 'read' || reference.role === 'copy.out')
  const facts = { ...QUIET, ...factsOf(node, body, reader, sight, options) }
  const changesNames = facts.changesNames || reader.settings.some(({ name }) => name === '*' || name === 'search_path' || name === 'role' || name === 'session_authorization')
    || reader.changesCatalog || !isEmpty(reader.makes)
  return {
    node, kind, start, length, effects: reader.effects, resolution,
    objects: reader.objectsOf(resolution.references), columns: reader.columnsOf(resolution.references),
    catalogOnly: read.length > 0 && resolution.references.every(({ resolved }) => resolved.kind === 'system' || resolved.kind === 'cte') && read.some(({ resolved }) => resolved.kind === 'system')
      && (sight.followed ?? new Set()).size === 0 && reader.effects.every(({ access }) => access === 'read' || access === 'session'),
    rowsMax: facts.rowsMax, answersRows: facts.answersRows, changesCatalog: reader.changesCatalog, changesNames, makes: reader.makes,
    transaction: facts.transaction, copy: facts.copy, settings: reader.settings, prepared: facts.prepared, cursor: facts.cursor,
    makesTemporary: reader.makesTemporary, discards: facts.discards, literalsMatter: !READS.has(kind ?? '') || literalsMatter(node), followed: sight.followed ?? new Set(),
  }
}
const READS = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

type Facts = Pick<StatementReading, 'rowsMax' | 'answersRows' | 'transaction' | 'copy' | 'prepared' | 'cursor' | 'discards' | 'changesNames'>
const QUIET: Facts = { rowsMax: 0, answersRows: false, transaction: null, copy: null, prepared: null, cursor: null, discards: null, changesNames: false }

const CONTROLS: Readonly<Record<string, TransactionControl>> = {
  TRANS_STMT_BEGIN: 'begin', TRANS_STMT_START: 'begin', TRANS_STMT_COMMIT: 'commit', TRANS_STMT_ROLLBACK: 'rollback', TRANS_STMT_SAVEPOINT: 'savepoint', TRANS_STMT_RELEASE: 'release',
  TRANS_STMT_ROLLBACK_TO: 'rollback to', TRANS_STMT_PREPARE: 'prepare', TRANS_STMT_COMMIT_PREPARED: 'commit prepared', TRANS_STMT_ROLLBACK_PREPARED: 'rollback prepared',
}
/** What ends or undoes a part of a transaction may bring back an earlier path or relation. */
const UNDOES = new Set<TransactionControl>(['commit', 'rollback', 'rollback to', 'prepare'])
/** Bit of DeclareCursorStmt.options for WITH HOLD (parsenodes.h). */
const CURSOR_OPT_HOLD = 0x20
/** FETCH ALL is LONG_MAX, of 32 bits in the grammar's build. */
const ALL_ROWS_MIN = 2 ** 31 - 1

function factsOf(node: Node, body: object, reader: Reader, sight: Sight, options: Options): Partial<Facts> {
  const ground = { resolution: reader.resolution, catalog: sight.catalog, scalar: reader.scalar }
  const rows = (query: Node | undefined): RowsMax => { const select = selectOf(query); return select === null ? written(query) : rowsMaxOf(select, ground) }
  /** RETURNING gives a row per row written: as many as an INSERT's source has. */
  const written = (query: Node | undefined): RowsMax => {
    const kind = kindOf(query)
    if (kind === null) return Infinity
    if ((query as unknown as Record<string, { returningClause?: object }>)[kind]?.returningClause === undefined) return 0
    const source = as('InsertStmt', query)?.selectStmt
    return source === undefined ? Infinity : rows(source)
  }
  switch (kindOf(node)) {
    case 'SelectStmt': return (body as { intoClause?: object }).intoClause === undefined ? { rowsMax: rows(node), answersRows: true } : {}
    case 'InsertStmt': case 'UpdateStmt': case 'DeleteStmt': case 'MergeStmt': return { rowsMax: written(node), answersRows: (body as { returningClause?: object }).returningClause !== undefined }
    case 'CopyStmt': {
      const copy = body as { is_from?: boolean; filename?: string; query?: Node }
      if (copy.is_from === true) return { copy: copy.filename === undefined ? 'in' : null }
      return { copy: copy.filename === undefined ? 'out' : null, rowsMax: copy.query === undefined ? Infinity : rows(copy.query) }
    }
    case 'ExplainStmt': return { answersRows: true, ...(executesIt((body as { options?: Node[] }).options) ? { changesNames: reader.settings.length > 0 } : {}) }
    case 'VariableShowStmt': case 'CallStmt': return { answersRows: true, changesNames: kindOf(node) === 'CallStmt' }
    case 'DoStmt': return { changesNames: true }
    case 'TransactionStmt': {
      const { kind, savepoint_name: savepoint, gid, chain } = body as { kind?: string; savepoint_name?: string; gid?: string; chain?: boolean }
      const control = CONTROLS[kind ?? ''] ?? 'commit'
      return { transaction: { control, name: savepoint ?? gid ?? null, chain: chain === true }, changesNames: UNDOES.has(control) }
    }
    case 'VariableSetStmt': {
      const set = body as { kind?: string; name?: string }
      if (set.kind === 'VAR_SET_MULTI') return { transaction: { control: 'set', name: null, chain: false } }
      return { changesNames: set.kind === 'VAR_RESET_ALL' }
    }
    case 'DiscardStmt': {
      const { target } = body as { target?: string }
      const discards = (target ?? 'DISCARD_ALL').replace('DISCARD_', '').toLowerCase() as NonNullable<Facts['discards']>
      return { discards, changesNames: discards === 'all' || discards === 'temp' }
    }
    case 'PrepareStmt': {
      const { name, query } = body as { name?: string; query?: Node }
      return { prepared: { action: 'prepare', name: name ?? '', reading: query === undefined ? null : readStatement({ node: query, start: 0, length: 0 }, sight, options) } }
    }
    case 'ExecuteStmt': {
      const name = (body as { name?: string }).name ?? ''
      const reading = options.prepared?.(name) ?? null
      return { prepared: { action: 'execute', name, reading }, rowsMax: reading === null || typeof reading.rowsMax !== 'number' ? Infinity : reading.rowsMax, answersRows: reading?.answersRows ?? true, copy: null }
    }
    case 'DeallocateStmt': { const { name, isall } = body as { name?: string; isall?: boolean }; return { prepared: { action: 'deallocate', name: isall === true ? null : name ?? null, reading: null } } }
    case 'DeclareCursorStmt': {
      const { portalname, options: flags, query } = body as { portalname?: string; options?: number; query?: Node }
      return { cursor: { action: 'declare', name: portalname ?? '', hold: ((flags ?? 0) & CURSOR_OPT_HOLD) !== 0 }, rowsMax: rows(query) }
    }
    case 'FetchStmt': {
      const { portalname, ismove, howMany, direction } = body as { portalname?: string; ismove?: boolean; howMany?: unknown; direction?: string }
      const many = direction === 'FETCH_FORWARD' || direction === 'FETCH_BACKWARD' ? Math.abs(Number(howMany ?? 0)) : 1
      return { cursor: { action: ismove === true ? 'move' : 'fetch', name: portalname ?? '', hold: false }, answersRows: ismove !== true, rowsMax: ismove === true ? 0 : many >= ALL_ROWS_MIN || Number.isNaN(many) ? Infinity : many }
    }
    case 'ClosePortalStmt': return { cursor: { action: 'close', name: (body as { portalname?: string }).portalname ?? null, hold: false } }
    default: return {}
  }
}
