// What `sluice classify` finds out about the columns of a resource: names, kinds and counts. Never a value, nor part of one.

export interface ClassifiedColumn {
  /** `schema.table.column`, quoted where a field pattern needs it. */
  readonly field: string
  readonly type: string
  /** The tag that is proposed. */
  readonly tag: 'pii' | 'secret'
  readonly kind: string
  /** 0 to 1. */
  readonly confidence: number
  readonly why: string
  /** Values looked at that were not NULL, and those of them in which the kind was found. */
  readonly sampled: number
  readonly matched: number
  /** Values stand within other text: a detector hides them and leaves the text. */
  readonly within: boolean
  /** Tags that the resource gives it already. */
  readonly tags: readonly string[]
  /** A tagged column that it looks like. */
  readonly like: string | null
}
export interface Classified {
  readonly columns: readonly ClassifiedColumn[]
  /** Tables whose values were not looked at, with the reason. */
  readonly unread: readonly { readonly table: string; readonly why: string }[]
  readonly tables: number
}
