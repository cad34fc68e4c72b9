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
  /** Those of them that decide about rows: in WHERE, ON, USING, HAVING, GROUP BY, ORDER BY and the like. Absent: none. */
  readonly compared?: readonly string[]
  /** Provably restricted to given keys; false when in doubt. */
  readonly bounded: boolean
  readonly language?: string
  /** Why it counts as admin or unknown, for the refusal's text: "function foo() is not known to be harmless". */
  readonly reason?: string
}

/** A look-up of a masked column by one given value: allowed within a rate. */
export interface Lookup { readonly column: string; readonly rule: string; readonly count: number; readonly perMs: number }

/** What the masks in force make of a text: another text, or no text at all. */
export type Masking =
  | { readonly kind: 'rewritten'; readonly text: string; /** That text as the record may see it. */ readonly shown: string; readonly rules: readonly string[]; readonly hidden: readonly string[]; readonly lookups: readonly Lookup[]; /** It compares masked columns with their real values: only a review may let it run. */ readonly review?: { readonly rule: string; readonly message: string; readonly hint: string } }
  | { readonly kind: 'refused'; readonly rule: string; readonly message: string; readonly hint: string }

/** One thing asked, in words that rules and reviewers read. */
export interface Statement {
  readonly text: string
  readonly effects: readonly Effect[]
  /** The text as the record and reviewers may see it: values of masked columns replaced. */
  readonly shown: string
  /** Null: no mask touches it. */
  readonly masking: Masking | null
  /** Most rows it can answer; Infinity when nothing proves a bound. */
  readonly rowsMax: number
  /** It compares with masked columns or writes them, or touches them in ways not known: its literals and parameters may be their values. */
  readonly guarded: boolean
  /** One stored row picked by its full unique key: limits of bytes don't hold it. */
  readonly single: boolean
  /** Reads catalogs alone: exempt from row and byte limits. */
  readonly exempt: boolean
}
