// Names of the columns a target list gives, by the server's FigureColname. Only for telling which entry of a query a name means.
import type { Node } from 'libpg-query'
import type { Outputs } from './resolve.ts'
import { as, kindOf, stringOf, stringsOf } from './walk.ts'

/** `star(null)` for `*`, `star('t')` for `t.*`. `open`: there may be more names. */
export function outputNames(list: readonly Node[] | undefined, star: (table: string | null) => Outputs): Outputs {
  const names: string[] = []
  let open = false
  for (const node of list ?? []) {
    const target = as('ResTarget', node)
    if (target === null) { open = true; continue }
    if (target.name !== undefined) { names.push(target.name); continue }
    const fields = as('ColumnRef', target.val)?.fields
    if (fields !== undefined && kindOf(fields.at(-1)) === 'A_Star') {
      const inner = star(fields.length > 1 ? stringOf(fields.at(-2)) : null)
      names.push(...inner.names)
      open ||= inner.open
    } else if (as('A_Indirection', target.val)?.indirection?.some((part) => kindOf(part) === 'A_Star')) open = true
    else names.push(figure(target.val) ?? '?column?')
  }
  return { names, open }
}

function figure(node: Node | undefined): string | null {
  const kind = kindOf(node)
  switch (kind) {
    case 'ColumnRef': return stringOf(as(kind, node)?.fields?.at(-1))
    case 'A_Indirection': {
      const named = [...(as(kind, node)?.indirection ?? [])].reverse().map((part) => stringOf(part)).find((text) => text !== null)
      return named ?? figure(as(kind, node)?.arg)
    }
    case 'FuncCall': return stringsOf(as(kind, node)?.funcname)?.at(-1) ?? null
    case 'TypeCast': return figure(as(kind, node)?.arg) ?? stringsOf(as(kind, node)?.typeName?.names)?.at(-1) ?? null
    case 'CollateClause': return figure(as(kind, node)?.arg)
    case 'GroupingFunc': return 'grouping'
    case 'MergeSupportFunc': return 'merge_action'
    case 'CaseExpr': return figure(as(kind, node)?.defresult) ?? 'case'
    case 'A_ArrayExpr': return 'array'
    case 'RowExpr': return 'row'
    case 'CoalesceExpr': return 'coalesce'
    case 'MinMaxExpr': return as(kind, node)?.op === 'IS_LEAST' ? 'least' : 'greatest'
    case 'SubLink': return subLink(as(kind, node)!)
    case 'SQLValueFunction': return (as(kind, node)?.op ?? '').replace(/^SVFOP_/, '').replace(/_N$/, '').toLowerCase()
    case 'XmlSerialize': return 'xmlserialize'
    case 'XmlExpr': return { IS_XMLCONCAT: 'xmlconcat', IS_XMLELEMENT: 'xmlelement', IS_XMLFOREST: 'xmlforest', IS_XMLPARSE: 'xmlparse', IS_XMLPI: 'xmlpi', IS_XMLROOT: 'xmlroot' }[String(as(kind, node)?.op)] ?? null
    case 'JsonParseExpr': return 'json'
    case 'JsonScalarExpr': return 'json_scalar'
    case 'JsonSerializeExpr': return 'json_serialize'
    case 'JsonObjectConstructor': return 'json_object'
    case 'JsonArrayConstructor': case 'JsonArrayQueryConstructor': return 'json_array'
    case 'JsonObjectAgg': return 'json_objectagg'
    case 'JsonArrayAgg': return 'json_arrayagg'
    case 'JsonFuncExpr': return { JSON_EXISTS_OP: 'json_exists', JSON_QUERY_OP: 'json_query', JSON_VALUE_OP: 'json_value' }[String(as(kind, node)?.op)] ?? null
    default: return null
  }
}

function subLink(link: { subLinkType?: string; subselect?: Node }): string | null {
  if (link.subLinkType === 'EXISTS_SUBLINK') return 'exists'
  if (link.subLinkType === 'ARRAY_SUBLINK') return 'array'
  if (link.subLinkType !== 'EXPR_SUBLINK') return null
  let select = as('SelectStmt', link.subselect)
  while (select?.larg !== undefined) select = select.larg
  const first = as('ResTarget', select?.targetList?.[0])
  return first?.name ?? figure(first?.val)
}
