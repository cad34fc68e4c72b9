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
/**
 * Masks one value lying at input[start, end): writes the replacement to `out` and returns true, or writes nothing and returns
 * false when the value stays as it is. The value is never NULL (NULL stays NULL). No closure, no allocation per call.
 */
export type CellMask = (input: Buffer, start: number, end: number, out: Output) => boolean
/** For text without cells: notices, logs, terminals, bodies. */
export interface StreamMask { push(bytes: Buffer): Buffer; end(): Buffer }
/** Where a result column comes from, as the server reports it; table 0 = an expression. */
export interface Origin { readonly table: number; readonly column: number }
export interface Field { readonly name: string; readonly origin: Origin; readonly type: number; readonly format: number }
