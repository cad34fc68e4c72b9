/** The strongest in this order wins when several policies mask one field. */
export const MASK_ORDER = ['null', 'redact', 'hash', 'token', 'partial'] as const
export type MaskKind = (typeof MASK_ORDER)[number]
/** What `redact` shows for text types; every other type gets a typed NULL. */
export const HIDDEN = '[hidden]'

/** Growing output of one chunk: masked cells are spliced into it. Implemented by wire/bytes.ts. */
export interface Output {
  /** Appends `source[start, end)`. */
  copy(source: Uint8Array, start: number, end: number): void
  /** Appends ASCII or UTF-8 text. */
  text(value: string): void
  u8(value: number): void
  i32(value: number): void
}
/** What a CellMask did: nothing was written and the value stays; its replacement was written; nothing was written and it becomes NULL. */
export const UNCHANGED = 0
export const REPLACED = 1
export const NULLED = 2
/**
 * Masks one value lying at input[start, end), without its length word: whoever calls writes that. The value is never NULL (NULL stays
 * NULL). No closure, no allocation per call when nothing is hidden.
 */
export type CellMask = (input: Buffer, start: number, end: number, out: Output) => typeof UNCHANGED | typeof REPLACED | typeof NULLED
/** For text without cells: notices, logs, terminals, bodies. */
export interface StreamMask { push(bytes: Buffer): Buffer; end(): Buffer }
/** Where a result column comes from, as the server reports it; table 0 = an expression. */
export interface Origin { readonly table: number; readonly column: number }
export interface Field { readonly name: string; readonly origin: Origin; readonly type: number; readonly format: number }
