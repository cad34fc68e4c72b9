// Walks parse trees by the grammar's own layout (nodes.ts). Never passes over what it doesn't know: an unknown node, or a field that holds
// nodes where the layout has none, is reported to the visitor as kind null.
import type { Node } from 'libpg-query'
import { LAYOUT } from './nodes.ts'

type KindsOf<N> = N extends unknown ? keyof N : never
type BodyOf<N, K extends string> = N extends Record<K, infer B> ? B : never
/** Names of all nodes, e.g. `SelectStmt`. */
export type Kind = KindsOf<Node> & string
export type Body<K extends Kind> = BodyOf<Node, K>
/** Where a node hangs: its own kind and body, the field of its parent, and so on up to the statement. */
export interface Place {
  readonly kind: Kind | null
  readonly body: object
  readonly field: string
  readonly up: Place | null
}
/** Called before a node's own children. `false`: don't go down. kind null: not known to the grammar's layout. */
export type Visitor = (place: Place) => false | void

const layout = new Map<string, ReadonlyMap<string, string>>()
for (const line of LAYOUT.trim().split('\n')) {
  const [name, ...fields] = line.split(' ')
  layout.set(name!, new Map(fields.map((field) => { const [key, kind = ''] = field.split(':'); return [key!, kind] })))
}

/** The one kind of a wrapped node; null when it isn't one. */
export function kindOf(node: Node | undefined): Kind | null {
  if (node === undefined || node === null) return null
  for (const key in node) return layout.has(key) ? key as Kind : null
  return null
}
/** The body of a wrapped node if it is of that kind. */
export function as<K extends Kind>(kind: K, node: Node | undefined): Body<K> | null {
  return node === undefined || node === null ? null : (node as unknown as Record<string, Body<K> | undefined>)[kind] ?? null
}
/** The text of a String node. */
export function stringOf(node: Node | undefined): string | null {
  const body = as('String', node)
  return body === null ? null : body.sval ?? ''
}
/** The texts of a list of String nodes; null when anything else is among them. */
export function stringsOf(list: readonly Node[] | undefined): string[] | null {
  const out: string[] = []
  for (const item of list ?? []) { const text = stringOf(item); if (text === null) return null; out.push(text) }
  return out
}

export function walk(node: Node, visit: Visitor, field = '', up: Place | null = null): void {
  const kind = kindOf(node)
  const body = kind === null ? node : (node as unknown as Record<string, object>)[kind]!
  walkBody(kind, body, visit, field, up)
}

/** The same for an unwrapped body of a known kind. */
export function walkBody(kind: Kind | null, body: object, visit: Visitor, field = '', up: Place | null = null): void {
  const place: Place = { kind, body, field, up }
  if (visit(place) === false || kind === null) return
  const fields = layout.get(kind)!
  for (const key in body) {
    const child = (body as Record<string, unknown>)[key]
    if (typeof child !== 'object' || child === null) continue
    const inner = fields.get(key)
    if (Array.isArray(child)) for (const item of child as unknown[]) walkChild(inner, item, visit, key, place)
    else walkChild(inner, child, visit, key, place)
  }
}

function walkChild(inner: string | undefined, child: unknown, visit: Visitor, field: string, up: Place): void {
  if (typeof child !== 'object' || child === null) return
  if (inner === undefined) visit({ kind: null, body: child, field, up })
  else if (inner === '') {
    // An empty object is a NULL in a list, e.g. a missing bound of FOR VALUES.
    if (Object.keys(child).length > 0) walk(child as Node, visit, field, up)
  } else walkBody(inner as Kind, child, visit, field, up)
}

/** The direct children of a body: `inner` is '' for a wrapped node, else the kind of an unwrapped body. Children the layout doesn't know are left out (see firstUnknown). */
export function children(kind: Kind, body: object, each: (child: object, inner: Kind | '', field: string) => void): void {
  const fields = layout.get(kind)
  for (const key in body) {
    const child = (body as Record<string, unknown>)[key]
    if (typeof child !== 'object' || child === null) continue
    const inner = fields?.get(key)
    if (inner === undefined) continue
    if (Array.isArray(child)) { for (const one of child as unknown[]) if (typeof one === 'object' && one !== null) each(one, inner as Kind | '', key) }
    else each(child, inner as Kind | '', key)
  }
}

/** Whether any node of the statement is unknown: such a statement is refused. */
export function firstUnknown(node: Node): string | null {
  let found: string | null = null
  walk(node, (place) => {
    if (place.kind === null) found ??= `${place.up?.kind ?? 'statement'}.${place.field}`
    return found === null ? undefined : false
  })
  return found
}
