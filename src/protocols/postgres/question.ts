// What a client's message asks the door: the text it runs, with its values as the record may show them, and what a review would bind to.
import type { Ask, Plan } from '../../core/session.ts'
import type { Statement } from '../../core/statement.ts'
import type { Portal } from './conversation.ts'
import type { Judged } from './reader.ts'

/** What the client is told beside the answers. */
export interface Telling {
  /** Its statement waits for a person. */
  waiting(url: string): void
  /** It computes with masked columns: what comes out is about masks, not values. */
  computed(columns: readonly string[]): void
  /** It writes back what masks showed: these stay as they were. */
  kept(columns: readonly string[]): void
}
/** A message that waits for a verdict, and what is asked about it. The bytes are the relay's until `keep`. */
export class Question implements Ask {
  readonly type: number
  input: Buffer; at: number; end: number
  judged: Judged | null
  readonly name: string
  readonly types: readonly number[]
  readonly portal: Portal | null
  readonly #tell: Telling
  statement: Statement
  parameters: readonly string[] | null = null
  phase: Ask['phase'] = 'run'
  prepared = 0
  within: Plan | null = null
  constructor(type: number, input: Buffer, at: number, end: number, name: string, types: readonly number[], portal: Portal | null, tell: Telling) {
    this.type = type; this.input = input; this.at = at; this.end = end; this.name = name; this.types = types; this.portal = portal
    this.judged = portal?.prepared.judged ?? null
    this.statement = this.judged?.statement ?? NOT_READ
    this.#tell = tell
  }
  /** Of this text, as it is read now. */
  about(judged: Judged, phase: Ask['phase'], within: Plan | null): void {
    this.judged = judged
    this.statement = judged.statement
    this.phase = phase
    this.within = within
    const { portal } = this
    if (judged.turned.length > 0 && this.types.length > judged.parameters) this.statement = { ...this.statement, masking: UNUSED_TYPES }
    if (portal === null) return
    this.parameters = portal.values.shown()
    this.prepared = portal.prepared.run
    if (judged.rowsParameter > 0) this.statement = { ...this.statement, rowsMax: portal.values.rowsMax(judged.rowsParameter) }
    const stores = judged.refusedParameters === null || portal.values.count === 0 ? null : judged.refusedParameters(portal.values.texts())
    if (stores !== null) this.statement = { ...this.statement, masking: { kind: 'refused', ...stores } }
  }
  waiting(url: string): void { this.#tell.waiting(url) }
  binding(): readonly (string | Uint8Array)[] { return [this.statement.text, ...(this.portal?.values.exact() ?? []), String(this.types)] }
  keep(): void {
    this.input = Buffer.from(this.input.subarray(this.at, this.end))
    this.end -= this.at
    this.at = 0
  }
}
/** Parameters of ours would have the numbers of these. */
const UNUSED_TYPES: Statement['masking'] = { kind: 'refused', rule: 'mask', message: 'types of parameters are declared that the text does not use', hint: 'declare those of its own parameters only' }
/** Before its text was read: the door refuses it, should it ever be asked. */
const NOT_READ: Statement = { text: '', effects: [{ operation: 'sql.unknown', access: 'unknown', objects: 'unknown', columns: [], bounded: false }], shown: '', masking: null, rowsMax: Infinity, guarded: true, single: false, exempt: false }
export const NO_TYPES: readonly number[] = []
