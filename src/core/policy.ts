import type { Identity } from './identity.ts'
import type { MaskKind } from './mask.ts'
import type { Resource } from './resource.ts'
import type { Statement } from './statement.ts'

/** How a statement that needs a person waits: `hold` keeps the client's connection open, `refuse` ends it with an address. */
export type Wait = 'hold' | 'refuse'
export interface ReviewTerms { readonly reviewers: { readonly groups: readonly string[]; readonly users: readonly string[] }; readonly withinMs: number; readonly wait: Wait }

/** How far an answer may go before `then`. Of several, the smallest acts first; deny beats review at the same size. */
export interface Limit {
  readonly rule: string
  readonly rows: number      // Infinity = not limited
  readonly bytes: number
  readonly then: 'deny' | 'review'
  readonly terms: ReviewTerms | null
  readonly message: string | null
}
export interface Budget { readonly rule: string; /** Only statements count that read one of these; null: all do. */ readonly fields?: readonly string[] | null; readonly rows: number; readonly bytes: number; readonly perMs: number; readonly of: 'identity' | 'table'; readonly then: 'deny' | 'review' | 'alert'; readonly terms: ReviewTerms | null }
/** The mask of one column: which kind, by which rule, and how many look-ups by one given value it allows. */
export interface ColumnMask { readonly with: MaskKind; readonly rule: string; readonly lookups: { readonly count: number; readonly perMs: number } | null }
export interface DetectorRule { readonly rule: string; readonly detector: string; /** RE2 syntax, for a custom detector. */ readonly pattern: string | null; readonly with: MaskKind }
/** Rows of a table that may be read and changed. `values`: what `identity.*` in `where` stands for. */
export interface Filter { readonly rule: string; readonly table: string; readonly where: string; readonly values: Readonly<Record<string, string | boolean | null | readonly string[]>> }

/**
 * `cacheable`: the same for every statement of the same shape (effects, objects, columns, bounds) in every session of this grant, whatever
 * its text, literals and parameters. False as soon as a rule that could match asks for text, session or values.
 */
export type Judgement =
  | { readonly kind: 'allow'; readonly rule: string; readonly limits: readonly Limit[]; readonly cacheable: boolean }
  | { readonly kind: 'deny'; readonly rule: string; readonly message: string; readonly hint: string; readonly cacheable: boolean }
  | { readonly kind: 'review'; readonly rule: string; readonly message: string; readonly terms: ReviewTerms; readonly limits: readonly Limit[]; readonly cacheable: boolean }

/** What an `observe` policy would have done: recorded, never acted on. */
export interface Observation { readonly policy: string; readonly rule: string; readonly would: 'deny' | 'review' | 'mask' | 'alert' }

/** `session` in CEL conditions. */
export interface SessionFacts { readonly id: string; readonly database: string; readonly client: string; readonly startedAtMs: number }

/** All that the policies say about one identity on one resource, compiled once when its session opens. */
export interface Grant {
  /** SHA-256 (hex) of the policies in force; in every record and review. */
  readonly version: string
  /** Whether any policy lets this identity open a session at all. */
  readonly opens: boolean
  /** Why it doesn't although a policy allows it (a protocol that is not built); null when it opens, and when nothing allows it: then the client is told of no such resource. */
  readonly closed: { readonly rule: string; readonly message: string } | null
  /** The strongest class any policy allows: picks the weakest credential that covers it. */
  readonly needs: 'read' | 'write' | 'admin'
  /** Whether any field mask, detector or row filter applies: such a session requires client_encoding UTF8. */
  readonly masks: boolean
  /** Same masks, same key: lets workers share rewritten statements between sessions. */
  readonly maskKey: string
  readonly detectors: readonly DetectorRule[]
  readonly filters: readonly Filter[]
  readonly budgets: readonly Budget[]
  /** The mask of a column, or null. Names as the catalog has them (exact case). Callers cache per catalog version. */
  column(schema: string, table: string, column: string): ColumnMask | null
  /** The rule that forbids even naming this column, or null. */
  forbidden(schema: string, table: string, column: string): { readonly rule: string; readonly message: string } | null
  /** Fields of `mask` and `deny` rules as written, for `sluice resources` and explain. */
  readonly fields: readonly { readonly pattern: string; readonly with: MaskKind; readonly rule: string }[]
  /** `parameters`: the client's real values, which `detect` rules look into; never kept. */
  judge(statement: Statement, session: SessionFacts, parameters?: readonly unknown[]): Judgement
  observe(statement: Statement, session: SessionFacts, parameters?: readonly unknown[]): readonly Observation[]
  /** Whether any policy only observes; its limits of an answer, and its budgets. */
  readonly observes: boolean
  observedLimits(statement: Statement, session: SessionFacts, parameters?: readonly unknown[]): readonly Limit[]
  readonly observedBudgets: readonly Budget[]
}

/** Every policy in force, checked. Replaced as a whole on reload. */
export interface PolicySet {
  readonly version: string
  grant(identity: Identity, resource: Resource): Grant
}
