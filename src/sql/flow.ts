// What a value can depend on, as lineage counts it: columns by `oid.number`, results of routines by `f<oid>`, parameters by `$n`.

/** column: that one column, unchanged. kept: computed, never fails, and NULL only by which of its sources are NULL. computed: anything. */
export type How = 'column' | 'kept' | 'computed'
export interface Flow {
  readonly sources: ReadonlySet<string>
  /** Sources of which it tells no more than whether they are NULL, which no mask hides. */
  readonly nulls: ReadonlySet<string>
  readonly how: How
}
/** `behind`: called through an operator or a type, not by name. */
export interface Handed { readonly routine: number; readonly given: Flow; readonly behind: boolean }
/** What one query's answer can depend on. */
export interface Lineage {
  readonly outputs: readonly { readonly name: string; readonly flow: Flow }[]
  /** Which rows there are, and in which order. */
  readonly decides: Flow
  readonly reads: ReadonlySet<number>
  /** Every column it names, though nothing may depend on it. */
  readonly touched: ReadonlySet<string>
  /** Routines that were handed something: the server's own functions are not among them. */
  readonly handed: readonly Handed[]
}
/** The definition is not followed, and why: nothing is known of it. */
export class Unfollowed extends Error {}

const NONE: ReadonlySet<string> = new Set()
export const CLEAN: Flow = { sources: NONE, nulls: NONE, how: 'kept' }
export const columnFlow = (source: string): Flow => ({ sources: new Set([source]), nulls: NONE, how: 'column' })

export function merge(flows: readonly Flow[], how: How): Flow {
  const made = flows.filter((flow) => flow.sources.size + flow.nulls.size > 0)
  if (made.length === 0) return how === 'kept' ? CLEAN : { ...CLEAN, how }
  if (made.length === 1) return made[0]!.how === how ? made[0]! : { ...made[0]!, how }
  return { sources: new Set(made.flatMap((flow) => [...flow.sources])), nulls: new Set(made.flatMap((flow) => [...flow.nulls])), how }
}
/** Only whether it is NULL. A column of a view may be NULL by its value, so that is for the reader of this to judge. */
export const onlyNull = (flow: Flow): Flow => flow.how === 'column' ? { sources: NONE, nulls: new Set([...flow.sources, ...flow.nulls]), how: 'kept' } : { ...flow, how: 'computed' }
export const keeps = (flow: Flow): boolean => flow.how !== 'computed'
