// One row per statement node of the grammar: what it does, in operations and access classes. The type makes a missing row an error; a row
// says true when what is inside is to be read by the same rules. Reading effects come from the relations (reader.ts), not from here.
import type { Node, RangeVar } from 'libpg-query'
import { boundedBy, insertBounded, mergeBounded } from './bounded.ts'
import { createFunction } from './bodies.ts'
import { drop, executesIt, optionOf, pathsOf } from './ddl.ts'
import { qualified } from './names.ts'
import type { Reader } from './reader.ts'
import type { Reference } from './resolve.ts'
import { andTerms } from './values.ts'
import { as, stringsOf } from './walk.ts'
import type { Body, Kind } from './walk.ts'
import { BESIDE, wordOf } from './words.ts'

// RawStmt and SetOperationStmt come from analysis only: the layout doesn't know them, so they are refused as unknown.
export type StatementKind = Exclude<Extract<Kind, `${string}Stmt`>, 'RawStmt' | 'SetOperationStmt'>
type Row<K extends StatementKind> = (body: Body<K>, reader: Reader) => boolean

/** DDL on one kind of object: `sql.create.view`, and what goes beside it. */
function ddl(reader: Reader, verb: 'create' | 'alter' | 'drop', word: string, objects: readonly (string | null)[] = []): true {
  reader.changesCatalog = true
  const known = objects.includes(null) ? 'unknown' as const : objects as readonly string[]
  reader.admin(`sql.${verb}.${word}`, known)
  const beside = BESIDE[word]
  if (beside !== undefined) reader.admin(beside, known)
  if (beside !== undefined && word !== 'role') reader.makes.any = true
  return true
}
const fixed = (operation: string, access: 'session' | 'read' | 'write' | 'admin'): (_: object, reader: Reader) => true => (_, reader) => { reader.add({ operation, access }); return true }
const makesAny = (verb: 'create' | 'alter' | 'drop', word: string) => (_: object, reader: Reader): true => { reader.makes.any = true; return ddl(reader, verb, word) }
const plain = (verb: 'create' | 'alter' | 'drop', word: string) => (_: object, reader: Reader): true => ddl(reader, verb, word)

/** A relation that is made: its name, and the row type of that name. */
function making(reader: Reader, node: RangeVar | undefined): string | null {
  if (node === undefined) return null
  const temporary = node.relpersistence === 't' || /^pg_temp/.test(node.schemaname ?? '')
  reader.makes.relations.add(node.relname ?? '')
  reader.makes.types.add(node.relname ?? '')
  reader.makesTemporary ||= temporary
  return temporary ? `pg_temp.${node.relname}` : reader.named(node.schemaname === undefined ? [node.relname ?? ''] : [node.schemaname, node.relname ?? ''])
}
function renaming(reader: Reader, name: string | undefined): void {
  if (name === undefined) return
  for (const names of [reader.makes.functions, reader.makes.types, reader.makes.relations, reader.makes.operators]) names.add(name)
}
const others = (reader: Reader, query: object, target: Reference | undefined): Reference[] => reader.resolution.references.filter((one) => one.query === query && one !== target)

function writes(reader: Reader, operation: string, target: Reference | undefined, bounded: boolean): void {
  if (target === undefined) return reader.unknown('a write without a target')
  const name = qualified(target.resolved)
  const written = reader.resolution.written.filter(({ reference }) => reference === target).map(({ column }) => column)
  const columns = new Set([...written, ...target.columns])
  reader.add({ operation, access: 'write', objects: name === null ? 'unknown' : [name], columns: name === null ? [] : [...columns].map((column) => `${name}.${column}`), ...reader.comparedOf([target]), bounded })
}

const TRANSACTIONS_OF_OTHERS = new Set(['TRANS_STMT_PREPARE', 'TRANS_STMT_COMMIT_PREPARED', 'TRANS_STMT_ROLLBACK_PREPARED'])
/** Parts of SET TRANSACTION and SET SESSION CHARACTERISTICS are settings by these names. */
const settingValue = (args: readonly Node[] | undefined): string | undefined => {
  const values = (args ?? []).map((arg) => { const constant = as('A_Const', arg); return constant?.sval?.sval ?? (constant?.sval ? '' : undefined) ?? (constant?.ival ? String(constant.ival.ival ?? 0) : constant?.fval?.fval) ?? (as('TypeCast', arg) === null ? undefined : '') })
  return values.includes(undefined) ? undefined : values.join(', ')
}

export const STATEMENTS: { readonly [K in StatementKind]: Row<K> } = {
  // — data —
  SelectStmt: ({ intoClause }, reader) => { if (intoClause?.rel !== undefined && !reader.planned) ddl(reader, 'create', 'table', [making(reader, intoClause.rel)]); return true },
  InsertStmt: (insert, reader) => {
    if (reader.planned) return true
    const target = insert.relation === undefined ? undefined : reader.resolution.byNode.get(insert.relation)
    const bounded = insertBounded(insert, reader.resolution, reader.scalar)
    writes(reader, 'sql.insert', target, bounded)
    if (insert.onConflictClause?.action === 'ONCONFLICT_UPDATE') writes(reader, 'sql.update', target, bounded)
    if (insert.returningClause !== undefined) reader.selects()
    return true
  },
  UpdateStmt: (update, reader) => {
    if (reader.planned) return true
    const target = update.relation === undefined ? undefined : reader.resolution.byNode.get(update.relation)
    writes(reader, 'sql.update', target, target !== undefined && boundedBy(andTerms(update.whereClause), target, update.fromClause ?? [], reader.resolution, reader.scalar))
    if (update.returningClause !== undefined || others(reader, update, target).length > 0) reader.selects()
    return true
  },
  DeleteStmt: (del, reader) => {
    if (reader.planned) return true
    const target = del.relation === undefined ? undefined : reader.resolution.byNode.get(del.relation)
    writes(reader, 'sql.delete', target, target !== undefined && boundedBy(andTerms(del.whereClause), target, del.usingClause ?? [], reader.resolution, reader.scalar))
    if (del.returningClause !== undefined || others(reader, del, target).length > 0) reader.selects()
    return true
  },
  MergeStmt: (merge, reader) => {
    if (reader.planned) return true
    const target = merge.relation === undefined ? undefined : reader.resolution.byNode.get(merge.relation)
    const bounded = target !== undefined && mergeBounded(merge, target, reader.resolution, reader.scalar)
    writes(reader, 'sql.merge', target, bounded)
    for (const clause of merge.mergeWhenClauses ?? []) {
      const operation = { CMD_INSERT: 'sql.insert', CMD_UPDATE: 'sql.update', CMD_DELETE: 'sql.delete' }[as('MergeWhenClause', clause)?.commandType as 'CMD_INSERT']
      if (operation !== undefined) writes(reader, operation, target, bounded)
    }
    return true
  },
  ReturnStmt: () => true,
  PLAssignStmt: (_, reader) => { reader.unknown('an assignment of a procedural language'); return false },
  CopyStmt: (copy, reader) => {
    const name = copy.relation === undefined ? null : reader.relation(copy.relation)
    const objects = copy.relation === undefined ? [] : name === null ? 'unknown' as const : [name]
    const reference = copy.relation === undefined ? undefined : reader.resolution.byNode.get(copy.relation)
    if (copy.is_from === true) writes(reader, 'sql.copy.in', reference, false)
    else reader.add({ operation: 'sql.copy.out', access: 'read', objects, columns: reference === undefined ? [] : reader.columnsOf([reference]) })
    const encoding = optionOf(copy.options, 'encoding')
    if (encoding !== null && !/^(utf-?8|unicode)$/i.test(encoding)) reader.admin('sql.configure', objects, 'COPY in another encoding than UTF8 cannot be read on its way')
    if (copy.is_program === true) reader.admin('sql.copy.program', objects, 'COPY … PROGRAM runs a command on the server')
    else if (copy.filename !== undefined) { reader.admin('sql.copy.file', objects, 'COPY reads or writes a file of the server'); reader.admin('sql.file', objects) }
    return true
  },
  CallStmt: (_, reader) => { reader.add({ operation: 'sql.call', access: 'write' }); return true },
  DoStmt: ({ args }, reader) => {
    const language = optionOf(args, 'language') ?? 'plpgsql'
    reader.add({ operation: 'sql.do', access: 'admin', objects: 'unknown', language: language.toLowerCase(), reason: 'what a DO block does is not known before it runs' })
    reader.makes.any = true
    return true
  },
  ExplainStmt: (explain, reader) => {
    reader.add({ operation: 'sql.explain', access: 'read', objects: reader.objectsOf(reader.resolution.references) })
    if (!executesIt(explain.options)) reader.planned = true
    return true
  },
  PrepareStmt: fixed('sql.prepare', 'session'),
  ExecuteStmt: ({ name }, reader) => {
    const prepared = reader.options.prepared?.(name ?? '') ?? null
    if (prepared === null) reader.unknown(`prepared statement "${name}" is not known here`)
    else for (const effect of prepared.effects) if (!(reader.planned && effect.access === 'write')) reader.add(effect)
    if (prepared !== null) {
      reader.changesCatalog ||= prepared.changesCatalog
      reader.makes.any ||= prepared.makes.any
      reader.settings.push(...prepared.settings)
    }
    return true
  },
  DeallocateStmt: fixed('sql.prepare', 'session'),
  DeclareCursorStmt: fixed('sql.cursor', 'read'),
  FetchStmt: fixed('sql.cursor', 'read'),
  ClosePortalStmt: fixed('sql.cursor', 'read'),
  LockStmt: (_, reader) => { reader.add({ operation: 'sql.lock', access: 'write', objects: reader.objectsOf(reader.resolution.references.filter(({ role }) => role === 'lock')) }); return true },
  TruncateStmt: (_, reader) => { reader.admin('sql.truncate', reader.objectsOf(reader.resolution.references.filter(({ role }) => role === 'truncate'))); return true },

  // — session —
  TransactionStmt: ({ kind }, reader) => {
    if (TRANSACTIONS_OF_OTHERS.has(kind ?? '')) reader.admin('sql.transaction', [], 'a prepared transaction outlives its session')
    else reader.add({ operation: 'sql.transaction', access: 'session' })
    return true
  },
  VariableSetStmt: (set, reader) => {
    const name = set.name ?? ''
    if (set.kind === 'VAR_RESET_ALL') { reader.add({ operation: 'sql.set', access: 'session' }); reader.settings.push({ name: '*', value: null, local: false }) }
    else if (set.kind === 'VAR_SET_MULTI') reader.add({ operation: 'sql.transaction', access: 'session' })
    else reader.setting(name, set.kind === 'VAR_SET_VALUE' ? settingValue(set.args) : set.kind === 'VAR_SET_CURRENT' ? undefined : null, set.is_local === true)
    return true
  },
  VariableShowStmt: fixed('sql.show', 'session'),
  DiscardStmt: ({ target }, reader) => {
    reader.add({ operation: 'sql.set', access: 'session' })
    // ALL goes back to the role of the login, too.
    if ((target ?? 'DISCARD_ALL') === 'DISCARD_ALL') for (const name of ['*', 'role', 'session_authorization']) reader.settings.push({ name, value: null, local: false })
    return true
  },
  ConstraintsSetStmt: fixed('sql.set', 'session'),
  ListenStmt: fixed('sql.listen', 'session'),
  UnlistenStmt: fixed('sql.listen', 'session'),
  NotifyStmt: fixed('sql.notify', 'write'),

  // — tables and what is made of queries —
  CreateStmt: ({ relation, inhRelations }, reader) => ddl(reader, 'create', 'table', [making(reader, relation), ...(inhRelations ?? []).map((node) => reader.relation(as('RangeVar', node) ?? undefined))]),
  CreateForeignTableStmt: ({ base }, reader) => { reader.admin('sql.network'); return ddl(reader, 'create', 'foreign_table', [making(reader, base?.relation)]) },
  CreateTableAsStmt: ({ into, objtype }, reader) => {
    // An EXPLAIN without ANALYZE plans it only.
    if (!reader.planned) ddl(reader, 'create', wordOf(objtype), [making(reader, into?.rel)])
    return true
  },
  ViewStmt: ({ view }, reader) => ddl(reader, 'create', 'view', [making(reader, view)]),
  CreateSeqStmt: ({ sequence }, reader) => ddl(reader, 'create', 'sequence', [making(reader, sequence)]),
  AlterSeqStmt: ({ sequence }, reader) => ddl(reader, 'alter', 'sequence', [reader.relation(sequence)]),
  IndexStmt: ({ relation }, reader) => ddl(reader, 'create', 'index', [reader.relation(relation)]),
  AlterTableStmt: ({ relation, cmds, objtype }, reader) => {
    const objects = [reader.relation(relation)]
    const word = wordOf(objtype)
    renaming(reader, relation?.relname)
    for (const cmd of cmds ?? []) {
      const { subtype, def } = as('AlterTableCmd', cmd) ?? {}
      if (subtype === 'AT_DropColumn') ddl(reader, 'drop', word === 'type' ? 'attribute' : 'column', objects)
      // `ALTER COLUMN … TYPE … USING 'x'` writes every row.
      if (subtype === 'AT_AlterColumnType' && as('ColumnDef', def)?.raw_default !== undefined) reader.add({ operation: 'sql.update', access: 'write', objects: reader.objectsOf(reader.resolution.references) })
    }
    return ddl(reader, 'alter', word, objects)
  },
  AlterTableMoveAllStmt: plain('alter', 'table'),
  ReplicaIdentityStmt: plain('alter', 'table'),
  CreateStatsStmt: (_, reader) => ddl(reader, 'create', 'statistics'),
  AlterStatsStmt: plain('alter', 'statistics'),
  RuleStmt: ({ relation }, reader) => ddl(reader, 'create', 'rule', [reader.relation(relation)]),
  CreateTrigStmt: ({ relation, funcname }, reader) => { reader.calls(stringsOf(funcname) ?? []); return ddl(reader, 'create', 'trigger', [reader.relation(relation)]) },
  CreatePolicyStmt: ({ table }, reader) => ddl(reader, 'create', 'policy', [reader.relation(table)]),
  AlterPolicyStmt: ({ table }, reader) => ddl(reader, 'alter', 'policy', [reader.relation(table)]),
  RefreshMatViewStmt: ({ relation }, reader) => { const name = reader.relation(relation); reader.admin('sql.refresh', name === null ? 'unknown' : [name]); return true },
  CreateSchemaStmt: ({ schemaname }, reader) => ddl(reader, 'create', 'schema', [schemaname ?? null]),

  // — any object —
  DropStmt: (body, reader) => { drop(body, reader); return false },
  RenameStmt: ({ renameType, relationType, relation, object, newname, subname }, reader) => {
    for (const name of [newname, subname, relation?.relname, ...pathsOf(object).map((path) => path.at(-1))]) renaming(reader, name)
    if (wordOf(renameType) === 'schema') reader.makes.any = true
    const word = wordOf(renameType === 'OBJECT_COLUMN' || renameType === 'OBJECT_TABCONSTRAINT' ? relationType : renameType)
    return ddl(reader, 'alter', word === 'unknown' ? 'table' : word, relation === undefined ? pathsOf(object).map((path) => reader.named(path)) : [reader.relation(relation)])
  },
  AlterObjectSchemaStmt: ({ objectType, relation, object }, reader) => {
    for (const name of [relation?.relname, ...pathsOf(object).map((path) => path.at(-1))]) renaming(reader, name)
    return ddl(reader, 'alter', wordOf(objectType), relation === undefined ? pathsOf(object).map((path) => reader.named(path)) : [reader.relation(relation)])
  },
  AlterObjectDependsStmt: ({ objectType }, reader) => ddl(reader, 'alter', wordOf(objectType)),
  AlterOwnerStmt: ({ objectType, relation }, reader) => ddl(reader, 'alter', wordOf(objectType), relation === undefined ? [] : [reader.relation(relation)]),
  CommentStmt: ({ objtype, object }, reader) => {
    const word = wordOf(objtype)
    reader.admin('sql.comment', pathsOf(object).map((path) => reader.named(path)))
    const beside = BESIDE[word]
    if (beside !== undefined) reader.admin(beside)
    return true
  },
  SecLabelStmt: ({ objtype }, reader) => { reader.admin('sql.configure'); return ddl(reader, 'alter', wordOf(objtype)) },
  DefineStmt: ({ kind, defnames }, reader) => {
    const path = stringsOf(defnames) ?? []
    const word = wordOf(kind)
    renaming(reader, path.at(-1))
    if (!['aggregate', 'operator', 'type', 'collation'].includes(word)) reader.makes.any = true
    return ddl(reader, 'create', word, [reader.named(path)])
  },

  // — routines, types and what the server calls by itself —
  CreateFunctionStmt: createFunction,
  AlterFunctionStmt: ({ objtype, func }, reader) => { renaming(reader, stringsOf(func?.objname)?.at(-1)); return ddl(reader, 'alter', wordOf(objtype), [reader.named(stringsOf(func?.objname) ?? [])]) },
  CompositeTypeStmt: ({ typevar }, reader) => ddl(reader, 'create', 'type', [making(reader, typevar)]),
  CreateEnumStmt: ({ typeName }, reader) => { renaming(reader, stringsOf(typeName)?.at(-1)); return ddl(reader, 'create', 'type', [reader.named(stringsOf(typeName) ?? [])]) },
  CreateRangeStmt: ({ typeName }, reader) => { reader.makes.any = true; return ddl(reader, 'create', 'type', [reader.named(stringsOf(typeName) ?? [])]) },
  CreateDomainStmt: ({ domainname }, reader) => { renaming(reader, stringsOf(domainname)?.at(-1)); return ddl(reader, 'create', 'domain', [reader.named(stringsOf(domainname) ?? [])]) },
  AlterDomainStmt: ({ typeName }, reader) => { renaming(reader, stringsOf(typeName)?.at(-1)); return ddl(reader, 'alter', 'domain', [reader.named(stringsOf(typeName) ?? [])]) },
  AlterEnumStmt: ({ typeName }, reader) => ddl(reader, 'alter', 'type', [reader.named(stringsOf(typeName) ?? [])]),
  AlterTypeStmt: makesAny('alter', 'type'),
  AlterOperatorStmt: makesAny('alter', 'operator'),
  AlterCollationStmt: plain('alter', 'collation'),
  CreateOpClassStmt: makesAny('create', 'operator_class'),
  CreateOpFamilyStmt: makesAny('create', 'operator_family'),
  AlterOpFamilyStmt: makesAny('alter', 'operator_family'),
  CreateCastStmt: makesAny('create', 'cast'),
  CreateConversionStmt: makesAny('create', 'conversion'),
  CreateTransformStmt: makesAny('create', 'transform'),
  CreatePLangStmt: makesAny('create', 'language'),
  CreateAmStmt: makesAny('create', 'access_method'),
  AlterTSDictionaryStmt: makesAny('alter', 'text_search_dictionary'),
  AlterTSConfigurationStmt: makesAny('alter', 'text_search_configuration'),
  CreateEventTrigStmt: ({ funcname }, reader) => { reader.calls(stringsOf(funcname) ?? []); return ddl(reader, 'create', 'event_trigger') },
  AlterEventTrigStmt: plain('alter', 'event_trigger'),

  // — who may do what —
  GrantStmt: ({ is_grant: grant }, reader) => { reader.admin(grant === true ? 'sql.grant' : 'sql.revoke', reader.objectsOf(reader.resolution.references)); return true },
  GrantRoleStmt: ({ is_grant: grant }, reader) => { reader.admin(grant === true ? 'sql.grant' : 'sql.revoke'); reader.admin('sql.role'); return true },
  AlterDefaultPrivilegesStmt: (_, reader) => ddl(reader, 'alter', 'default_privileges'),
  CreateRoleStmt: (_, reader) => ddl(reader, 'create', 'role'),
  AlterRoleStmt: (_, reader) => ddl(reader, 'alter', 'role'),
  AlterRoleSetStmt: (_, reader) => { reader.admin('sql.configure'); return ddl(reader, 'alter', 'role') },
  DropRoleStmt: (_, reader) => ddl(reader, 'drop', 'role'),
  DropOwnedStmt: (_, reader) => { reader.admin('sql.revoke', 'unknown'); return ddl(reader, 'drop', 'owned', [null]) },
  ReassignOwnedStmt: (_, reader) => { reader.admin('sql.role'); return ddl(reader, 'alter', 'owned', [null]) },

  // — the server, other servers, files —
  AlterSystemStmt: fixed('sql.configure', 'admin'),
  LoadStmt: (_, reader) => { reader.admin('sql.load', [], 'LOAD runs code of a file of the server'); reader.admin('sql.file'); return true },
  CheckPointStmt: fixed('sql.checkpoint', 'admin'),
  VacuumStmt: ({ is_vacuumcmd: vacuum }, reader) => { reader.admin(vacuum === true ? 'sql.vacuum' : 'sql.analyze', reader.objectsOf(reader.resolution.references)); return true },
  ClusterStmt: (_, reader) => { reader.admin('sql.cluster', reader.objectsOf(reader.resolution.references)); return true },
  ReindexStmt: (_, reader) => { reader.admin('sql.reindex', reader.objectsOf(reader.resolution.references)); return true },
  CreatedbStmt: plain('create', 'database'),
  AlterDatabaseStmt: plain('alter', 'database'),
  AlterDatabaseRefreshCollStmt: plain('alter', 'database'),
  AlterDatabaseSetStmt: plain('alter', 'database'),
  DropdbStmt: plain('drop', 'database'),
  CreateTableSpaceStmt: (_, reader) => { reader.admin('sql.file'); return ddl(reader, 'create', 'tablespace') },
  DropTableSpaceStmt: plain('drop', 'tablespace'),
  AlterTableSpaceOptionsStmt: plain('alter', 'tablespace'),
  CreateExtensionStmt: plain('create', 'extension'),
  AlterExtensionStmt: plain('alter', 'extension'),
  AlterExtensionContentsStmt: plain('alter', 'extension'),
  CreateFdwStmt: plain('create', 'foreign_data_wrapper'),
  AlterFdwStmt: plain('alter', 'foreign_data_wrapper'),
  CreateForeignServerStmt: plain('create', 'server'),
  AlterForeignServerStmt: plain('alter', 'server'),
  CreateUserMappingStmt: plain('create', 'user_mapping'),
  AlterUserMappingStmt: plain('alter', 'user_mapping'),
  DropUserMappingStmt: plain('drop', 'user_mapping'),
  ImportForeignSchemaStmt: (_, reader) => { reader.makes.any = true; reader.admin('sql.network'); return ddl(reader, 'create', 'foreign_table', [null]) },
  CreatePublicationStmt: plain('create', 'publication'),
  AlterPublicationStmt: plain('alter', 'publication'),
  CreateSubscriptionStmt: (_, reader) => { reader.admin('sql.network'); return ddl(reader, 'create', 'subscription') },
  AlterSubscriptionStmt: (_, reader) => { reader.admin('sql.network'); return ddl(reader, 'alter', 'subscription') },
  DropSubscriptionStmt: plain('drop', 'subscription'),
}
