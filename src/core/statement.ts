/** session: BEGIN, SHOW, SET of harmless settings. unknown is always refused. */
export type Access = 'session' | 'read' | 'write' | 'admin' | 'unknown'

/** One thing a Statement does. A rule matches a Statement if it matches any of its effects. */
export interface Effect {
  /** Dotted: `sql.delete`, `k8s.pods.exec`. A rule's name covers by whole segments all that begins with it. */
  readonly operation: string
  readonly access: Access
  /** Schema-qualified tables, pods, buckets; [] = none. */
  readonly objects: readonly string[] | 'unknown'
  /** `schema.table.column` named or reached through `*`; [] = none or not known to matter. */
  readonly columns: readonly string[]
  /** Provably restricted to given keys; false when in doubt. */
  readonly bounded: boolean
  readonly language?: string
  /** Why it counts as admin or unknown, for the refusal's text: "function foo() is not known to be harmless". */
  readonly reason?: string
}

/** One thing asked, in words that rules and reviewers read. */
export interface Statement {
  readonly text: string
  readonly parameters?: readonly unknown[]
  readonly effects: readonly Effect[]
}
