// What an expression's value depends on. Whatever is not known to keep NULL and never to fail counts as able to do anything with its arguments.
import type { A_Expr, ColumnRef, FuncCall, Node, TypeCast } from 'libpg-query'
import { exclusionOf } from './excluded.ts'
import { CLEAN, type Flow, columnFlow, keeps, merge, onlyNull, Unfollowed } from './flow.ts'
import type { Follower } from './lineage.ts'
import { bare, entryOf, qualifiedColumn, row, type Level } from './lineage-scope.ts'
import { as, children, type Kind, kindOf, stringOf, stringsOf } from './walk.ts'

/** Built in, on text: never fail whatever the value, and give NULL only for NULL. The others' further arguments must be constants. */
const KEEPS = new Set(['upper', 'lower', 'initcap', 'btrim', 'ltrim', 'rtrim', 'replace', 'translate', 'reverse', 'md5', 'concat', 'concat_ws', 'quote_literal', 'quote_ident', 'left', 'right'])
const KEEPS_FIRST = new Set(['substr', 'lpad', 'rpad', 'split_part'])
/** Built in, and giving any number of rows. */
const SETS = new Set(`aclexplode generate_series generate_subscripts json_array_elements json_array_elements_text json_each json_each_text json_object_keys json_populate_recordset json_to_recordset
  jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_path_query_tz jsonb_populate_recordset jsonb_to_recordset regexp_matches regexp_split_to_table
  string_to_table ts_debug ts_parse ts_token_type unnest _pg_expandarray each skeys svals`.trim().split(/\s+/))
/** Built in and harmless by a policy's word only. */
const ACTS = new Set(['nextval', 'setval', 'pg_notify', 'set_config'])
const TEXT_TYPE = /^(text|varchar)$/

/** Follows one expression; what decides about rows on the way (a set-returning function, a window's order) goes to `follower.decide`. */
export function valueOf(node: Node, sight: Level, follower: Follower): Flow {
  const kind = kindOf(node)
  if (kind === null) { if (Object.keys(node).length === 0) return CLEAN; throw new Unfollowed('a part of it is not known to the grammar') }
  const body = (node as unknown as Record<string, object>)[kind]!
  switch (kind) {
    case 'A_Const': case 'SQLValueFunction': case 'A_Star': case 'SetToDefault': case 'TypeName': return CLEAN
    case 'ColumnRef': return reference(body, sight, follower)
    case 'ParamRef': return columnFlow(`$${(body as { number?: number }).number ?? 0}`)
    case 'NullTest': return onlyNull(valueOf((body as { arg: Node }).arg, sight, follower))
    case 'TypeCast': return cast(body, sight, follower)
    case 'CollateClause': return valueOf((body as { arg: Node }).arg, sight, follower)
    case 'CoalesceExpr': { const flows = below(kind, body, sight, follower); return merge(flows, flows.every(keeps) ? 'kept' : 'computed') }
    case 'A_Expr': return operation(body, sight, follower)
    case 'FuncCall': return call(body, sight, follower)
    case 'SubLink': return subLink(body as { testexpr?: Node; subselect?: Node; operName?: Node[] }, sight, follower)
    case 'SelectStmt': throw new Unfollowed('a query stands where a value should')
    default: return merge(below(kind, body, sight, follower), 'computed')
  }
}

function below(kind: Kind, body: object, sight: Level, follower: Follower): Flow[] {
  const flows: Flow[] = []
  children(kind, body, (child, inner) => {
    if (inner === 'TypeName') follower.type((child as { names?: Node[] }).names)
    else flows.push(valueOf(inner === '' ? child as Node : { [inner]: child } as unknown as Node, sight, follower))
  })
  return flows
}

function reference(ref: ColumnRef, sight: Level, follower: Follower): Flow {
  const fields = ref.fields ?? []
  const whole = kindOf(fields.at(-1)) === 'A_Star'
  const path = fields.slice(0, whole ? -1 : undefined).map((field) => stringOf(field) ?? '')
  if (whole) {
    const entry = path.length === 1 ? entryOf(sight, path[0]!) : null
    if (entry === null) throw new Unfollowed('a whole row is not known here')
    return follower.touch(row(entry))
  }
  const found = path.length === 1 ? bare(sight, path[0]!) : path.length === 2 ? qualifiedColumn(sight, path[0]!, path[1]!) : null
  const known = found ?? follower.parameter(path)
  if (known === null) throw new Unfollowed(`${path.join('.')} is not known here`)
  return follower.touch(known)
}

function cast(body: TypeCast, sight: Level, follower: Follower): Flow {
  follower.type(body.typeName?.names)
  const flow = valueOf(body.arg!, sight, follower)
  const names = stringsOf(body.typeName?.names) ?? []
  const text = TEXT_TYPE.test(names.at(-1) ?? '') && (names.length === 1 || names[0] === 'pg_catalog') && (body.typeName?.arrayBounds ?? []).length === 0
  // What makes text of a column can't fail. Of what else it may be the text (jsonb || jsonb) is not known here.
  if (flow.sources.size + flow.nulls.size === 0) return CLEAN
  const plain = flow.how === 'column' || (flow.how === 'kept' && kindOf(body.arg) === 'FuncCall')
  return merge([flow], text && plain ? 'kept' : 'computed')
}

function operation(body: A_Expr, sight: Level, follower: Follower): Flow {
  const flows = [body.lexpr, body.rexpr].filter((side) => side !== undefined).map((side) => kindOf(side) === 'List' ? merge((as('List', side)!.items ?? []).map((item) => valueOf(item, sight, follower)), 'computed') : valueOf(side, sight, follower))
  const name = stringsOf(body.name) ?? []
  follower.operator(name)
  return merge(flows, body.kind === 'AEXPR_OP' && name.length === 1 && name[0] === '||' && flows.every(keeps) ? 'kept' : 'computed')
}

function call(body: FuncCall, sight: Level, follower: Follower): Flow {
  const path = stringsOf(body.funcname) ?? []
  const name = path.at(-1) ?? ''
  const args = (body.args ?? []).map((arg) => valueOf(arg, sight, follower))
  const rest = [...body.agg_order ?? [], ...body.agg_filter === undefined ? [] : [body.agg_filter]].map((one) => valueOf(one, sight, follower))
  const over = body.over === undefined ? [] : [valueOf({ WindowDef: body.over } as Node, sight, follower)]
  // A window sorts the rows, and they come out so.
  for (const flow of over) follower.decide(flow)
  const given = [...args, ...rest, ...over]
  const routines = follower.routines(path)
  if (routines !== null) {
    const flow = merge(given, 'computed')
    for (const { oid, set } of routines) { follower.hand(oid, flow); if (set) follower.decide(merge([flow, columnFlow(`f${oid}`)], 'computed')) }
    return merge([flow, ...routines.map(({ oid }) => columnFlow(`f${oid}`))], 'computed')
  }
  if (!follower.builtIn(path)) throw new Unfollowed(`function ${path.join('.')}() is not known to be harmless`)
  const excluded = exclusionOf(name)
  if (excluded !== null) throw new Unfollowed(`${name}() ${excluded.reason}`)
  if (ACTS.has(name)) throw new Unfollowed(`${name}() changes something`)
  if (SETS.has(name)) { const flow = merge(given, 'computed'); follower.decide(flow); return flow }
  // How many values there are tells which are NULL, and no more.
  if (name === 'count' && body.agg_distinct !== true && args.length <= 1) return merge([...args.map(onlyNull), ...rest, ...over], 'computed')
  const kept = over.length + rest.length === 0 && (KEEPS.has(name) ? args.every(keeps) : KEEPS_FIRST.has(name) ? args.length > 0 && keeps(args[0]!) && args.slice(1).every((flow) => flow.sources.size + flow.nulls.size === 0)
    : name === 'substring' && args.length > 1 && keeps(args[0]!) && (body.args ?? []).slice(1).every((arg) => as('A_Const', arg)?.ival !== undefined))
  return merge(given, kept ? 'kept' : 'computed')
}

function subLink(link: { testexpr?: Node; subselect?: Node; operName?: Node[] }, sight: Level, follower: Follower): Flow {
  follower.operator(stringsOf(link.operName) ?? ['='])
  const inner = follower.query(link.subselect!, sight)
  const tested = link.testexpr === undefined ? [] : [valueOf(link.testexpr, sight, follower)]
  return merge([...tested, ...inner.outputs.map(({ flow }) => flow), inner.decides], 'computed')
}
