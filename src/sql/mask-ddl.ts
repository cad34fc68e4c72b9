// Statements that are neither queries nor writes, where columns are masked. What could move, rename, test or copy masked values out of the
// masks' sight is refused; what can't be shown to be harmless to them too.
import type { AlterTableStmt, Constraint, CreateFunctionStmt, IndexStmt, Node, RenameStmt } from 'libpg-query'
import { parseShort } from './grammar.ts'
import type { MaskIndex, Masked } from './mask-index.ts'
import { label, suspiciousBody } from './mask-index.ts'
import { maskedOf, pathOf, type Ranged, Refusal, type Work } from './mask-work.ts'
import { as, kindOf, stringOf, stringsOf, walk } from './walk.ts'

type Checked = Pick<Work, 'index' | 'touched' | 'names' | 'routines' | 'searchPath'>
/** These may name a masked relation: they show no values and change no mask. */
const HARMLESS = new Set(['VacuumStmt', 'LockStmt', 'CommentStmt', 'GrantStmt', 'TruncateStmt', 'DropStmt', 'ReindexStmt', 'RefreshMatViewStmt'])
/** Refused wherever columns are masked, whatever they name: their effect is in a string or on another server. */
const OPAQUE: Readonly<Record<string, string>> = {
  DoStmt: 'the code of DO can\'t be followed', CreateForeignTableStmt: 'a foreign table may read masked data from outside', ImportForeignSchemaStmt: 'foreign tables may read masked data from outside',
  CreateForeignServerStmt: 'a foreign server may read masked data from outside', CreateEventTrigStmt: 'an event trigger runs code that can\'t be followed', CreateSubscriptionStmt: 'a subscription copies data',
  CreatePublicationStmt: 'a publication copies data', AlterPublicationStmt: 'a publication copies data', CreateExtensionStmt: 'an extension runs code that can\'t be followed', CreateTransformStmt: 'a transform runs code that can\'t be followed',
}

/** Refused before anything is looked up. */
export function checkOpaque(kind: string): void {
  const why = OPAQUE[kind]
  if (why !== undefined) throw new Refusal('mask', `${why}, and this resource has masked columns`, 'send the statements themselves')
}

/** What a client may not make or hear, because the server would hand real rows to it. */
function checkCarried(index: MaskIndex, kind: string, body: object): void {
  // A statement prepared over the wire may let hashed columns out, for the wire to hash.
  if (kind === 'ExecuteStmt') throw new Refusal('mask', 'a table can\'t be made of a prepared statement where columns are masked', 'write the SELECT itself')
  if (kind === 'ListenStmt' && index.notifies) throw new Refusal('mask', 'a trigger on a masked table may send its rows as notifications', 'listen without masks')
  if ((kind === 'DefineStmt' || kind === 'CreateCastStmt' || kind === 'CreateOpClassStmt') && index.carried.size > 0) throw new Refusal('mask', 'triggers on masked tables could be made to use this operator, type or cast', 'such changes are made by someone who sees the table unmasked')
  if (kind === 'CreateTrigStmt') {
    const name = (stringsOf((body as { funcname?: Node[] }).funcname)?.at(-1) ?? '').toLowerCase()
    if ([...index.names].some((one) => one.toLowerCase() === name)) throw new Refusal('mask', `function ${name} leads to masked data`, 'use another trigger function')
  }
}

export function checkDefinition(work: Checked, kind: string, body: object): void {
  checkNames(work.index, kind, body)
  checkCarried(work.index, kind, body)
  const found = work.names.ranges.flatMap((ranged) => { const masked = reachable(work, ranged, kind); return masked === null ? [] : [{ ranged, masked }] })
  if (kind === 'CreateFunctionStmt') return checkFunction(work.index, body, work.routines)
  checkReferences(work, kind)
  if (found.length === 0 || HARMLESS.has(kind)) return
  const { masked } = found[0]!
  if (kind === 'IndexStmt') return checkIndex(masked, body)
  if (kind === 'AlterTableStmt' && addsPlainColumns(body)) return
  // CREATE TABLE (LIKE t) copies columns, no rows; what it makes is empty. A foreign key was looked at above.
  if (kind === 'CreateStmt' && found.every(({ ranged }) => ranged.place.up?.kind === 'TableLikeClause' || ranged.place.field === 'pktable' || ranged.place.field === 'relation' && ranged.place.up?.kind === 'CreateStmt')) return
  throw new Refusal('mask', `${label(masked.relation)} has masked columns: this could take values or columns out of the mask`, 'such changes are made by someone who sees the table unmasked')
}

/** The masked relation that a definition names; leading to one counts too. */
function reachable(work: Checked, ranged: Ranged, kind: string): Masked | null {
  if (HARMLESS.has(kind)) {
    const { resolved } = ranged.reference
    if (resolved.kind === 'relation' && work.index.masked.has(resolved.relation.oid)) work.touched.add(label(resolved.relation))
    return null
  }
  return maskedOf(work, ranged, ranged.reference.role !== 'create')
}

/** Masks go by name: what renames or moves a schema with masked tables takes them away. */
function checkNames(index: MaskIndex, kind: string, body: object): void {
  const routine = /^OBJECT_(FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|OPERATOR)$/
  const moved = (body as { renameType?: string; objectType?: string })
  if (routine.test(moved.renameType ?? '') || (kind === 'AlterObjectSchemaStmt' && routine.test(moved.objectType ?? ''))) throw new Refusal('mask', 'a routine could take the name of one that is known to be harmless', 'create it anew under the name it should have')
  if (kind !== 'RenameStmt') return
  const rename = body as RenameStmt
  if (rename.renameType === 'OBJECT_SCHEMA' && index.schemas.has(rename.subname ?? '')) throw new Refusal('mask', `schema ${rename.subname} holds masked tables and can't be renamed here`, 'masks go by name')
}

/** A foreign key to a masked column tells of each value whether it is there. */
function checkReferences(work: Checked, kind: string): void {
  for (const ranged of work.names.ranges) {
    if (ranged.place.field !== 'pktable' && !(ranged.place.field === 'relation' && kind === 'AlterTableStmt')) continue
    if (ranged.place.field !== 'pktable') continue
    const masked = maskedOf(work, ranged)
    if (masked === null) continue
    const constraint = ranged.place.up!.body as Constraint
    const named = stringsOf(constraint.pk_attrs) ?? []
    const key = named.length > 0 ? named : (masked.relation.primaryKey ?? []).map((number) => masked.relation.columns.find((column) => column.number === number)?.name ?? '')
    if (key.length === 0 || key.some((name) => masked.hidden.has(name))) throw new Refusal('mask', `a foreign key to a masked column of ${label(masked.relation)} would compare its values`, 'reference a key that is not masked')
  }
}

function checkIndex(masked: Masked, index: IndexStmt): void {
  const plain = index.unique !== true && index.whereClause === undefined && (index.indexParams ?? []).every((node) => as('IndexElem', node)?.name !== undefined)
  if (masked.filter !== undefined && !plain) throw new Refusal(masked.filter.rules[0] ?? 'filter', `${label(masked.relation)} is filtered by row: this index would test rows outside the filter`, 'index plain columns, without UNIQUE')
  const touches = (node: Node | undefined): boolean => {
    let hit = false
    if (node !== undefined) walk(node, ({ kind, body }) => {
      if (kind === 'IndexElem') { const { name } = body as { name?: string }; if (name !== undefined && masked.hidden.has(name)) hit = true }
      if (kind === 'ColumnRef') { const path = pathOf(body); if (masked.hidden.has(path.at(-1)!) || !masked.relation.columns.some((column) => column.name === path.at(-1))) hit = true }
    })
    return hit
  }
  if ([...index.indexParams ?? [], ...index.indexIncludingParams ?? [], ...index.whereClause === undefined ? [] : [index.whereClause]].some(touches)) {
    throw new Refusal('mask', `an index over a masked column of ${label(masked.relation)} would sort and test its values`, 'index columns that are not masked')
  }
}

/** ADD COLUMN of a plain column, with at most a literal default. */
function addsPlainColumns(alter: AlterTableStmt): boolean {
  return (alter.cmds ?? []).every((node) => {
    const command = as('AlterTableCmd', node)
    if (command?.subtype === 'AT_SetStatistics') return true
    if (command?.subtype !== 'AT_AddColumn') return false
    return (as('ColumnDef', command.def)?.constraints ?? []).every((one) => {
      const constraint = as('Constraint', one)
      return constraint?.contype === 'CONSTR_NULL' || (constraint?.contype === 'CONSTR_DEFAULT' && kindOf(constraint.raw_expr) === 'A_Const')
    })
  })
}

/** A function's text may not lead to masked data, nor hide what it leads to. */
function checkFunction(index: MaskIndex, create: CreateFunctionStmt, replaceable: ReadonlyMap<string, unknown>): void {
  const names = new Set([...index.names].map((name) => name.toLowerCase()))
  for (const word of index.carried) names.delete(word)
  for (const masked of index.masked.values()) names.add(masked.relation.name.toLowerCase())
  const name = (stringsOf(create.funcname)?.at(-1) ?? '').toLowerCase()
  if (index.carried.has(name)) throw new Refusal('mask', `a trigger on a masked table could call a function named ${name}`, 'choose another name')
  if (create.replace === true && replaceable.has(name)) throw new Refusal('mask', `function ${name} is there already, and may be used where real values are`, 'create it under another name')
  let language = 'sql'
  const bodies: string[] = []
  for (const node of create.options ?? []) {
    const option = as('DefElem', node)
    if (option?.defname === 'language') language = (stringOf(option.arg) ?? '').toLowerCase()
    if (option?.defname === 'as') bodies.push(...as('List', option.arg)?.items?.map((item) => stringOf(item) ?? '') ?? [])
    if (option?.defname === 'set' || option?.defname === 'transform') throw new Refusal('mask', 'a function with settings of its own can\'t be followed where columns are masked', 'leave SET and TRANSFORM out')
  }
  const bad = bodies.some((body) => suspiciousBody(language, body, names) || (language === 'sql' && !clearSql(body, names)))
  if (bad || (bodies.length === 0 && create.sql_body !== undefined && namesIn(create.sql_body, names))) {
    throw new Refusal('mask', `a function in ${language} that leads to masked data, or whose text can't be followed, can't be created here`, 'functions over masked tables are made by someone who sees them unmasked')
  }
}
/** Names as the grammar reads them, however they are written. */
function clearSql(body: string, names: ReadonlySet<string>): boolean {
  const parsed = parseShort(body)
  return parsed?.kind === 'tree' && parsed.statements.every((statement) => !namesIn(statement.node, names))
}
function namesIn(node: Node, names: ReadonlySet<string>): boolean {
  let hit = false
  walk(node, ({ kind, body }) => {
    if (kind === 'RangeVar' && names.has(((body as { relname?: string }).relname ?? '').toLowerCase())) hit = true
    if (kind === 'FuncCall' && names.has((stringsOf((body as { funcname?: Node[] }).funcname)?.at(-1) ?? '').toLowerCase())) hit = true
    if (kind === null || kind === 'DoStmt') hit = true
  })
  return hit
}
