// What Bind, Describe and Execute say: which name they use, and the values and formats of a portal. Pure reading of one message.
import type { Portal, Prepared } from './conversation.ts'
import * as frames from './frames.ts'

/** Whether a Bind, Describe or Execute uses a statement's name, else a portal's. */
export const usesStatement = (type: number, input: Buffer, at: number): boolean => type === frames.B || (type === frames.D && input[at + 5] === frames.S)
/** The name of the statement or portal that a Bind, Describe or Execute uses; null when it can't be read. */
export function usedName(type: number, input: Buffer, at: number, to: number): string | null {
  const from = type === frames.B ? frames.stringEnd(input, at + 5, to) + 1 : type === frames.D ? at + 6 : at + 5
  const end = from <= at + 5 && type === frames.B ? -1 : frames.stringEnd(input, from, to)
  return end < 0 ? null : input.toString('utf8', from, end)
}
/** A portal, the name of a statement that doesn't exist, or null when the message is malformed. */
export function parseBind(input: Buffer, at: number, to: number, find: (name: string) => Prepared | undefined): Portal | string | null {
  const nameEnd = frames.stringEnd(input, at + 5, to)
  const statementEnd = nameEnd < 0 ? -1 : frames.stringEnd(input, nameEnd + 1, to)
  if (statementEnd < 0) return null
  let p = statementEnd + 1
  const codes = (): number[] | null => {
    if (p + 2 > to) return null
    const count = frames.u16(input, p)
    p += 2
    if (p + count * 2 > to) return null
    const list: number[] = []
    for (let i = 0; i < count; i++, p += 2) { const format = frames.u16(input, p); if (format > 1) return null; list.push(format) }
    return list
  }
  const parameterFormats = codes()
  if (parameterFormats === null || p + 2 > to) return null
  const count = frames.u16(input, p)
  p += 2
  const parameters: (Buffer | null)[] = []
  for (let i = 0; i < count; i++) {
    if (p + 4 > to) return null
    const length = frames.i32(input, p)
    p += 4
    if (length < -1 || (length > 0 && p + length > to)) return null
    // The relay's buffer changes; parameters live as long as the portal.
    parameters.push(length < 0 ? null : Buffer.from(input.subarray(p, p + length)))
    p += Math.max(0, length)
  }
  const formats = codes()
  if (formats === null || p !== to) return null
  if (parameterFormats.length > 1 && parameterFormats.length !== count) return null
  const statement = input.toString('utf8', nameEnd + 1, statementEnd)
  const prepared = find(statement)
  if (prepared === undefined) return statement
  return { name: input.toString('utf8', at + 5, nameEnd), prepared, formats, parameters, parameterFormats, plan: null, shape: null, described: false }
}

export const formatOf = (portal: Portal, index: number): number => portal.parameterFormats.length === 1 ? portal.parameterFormats[0]! : portal.parameterFormats[index] ?? 0
export function shownParameters(portal: Portal): readonly string[] | null {
  if (portal.parameters.length === 0) return null
  return portal.parameters.map((p, i) => (p === null ? 'NULL' : formatOf(portal, i) === 0 ? p.toString('utf8') : `\\x${p.toString('hex')}`))
}
/** What `LIMIT $n` allows: Infinity when NULL or not a plain number. */
export function boundOf(portal: Portal, parameter: number): number {
  const bytes = portal.parameters[parameter - 1]
  if (bytes == null) return Infinity
  if (formatOf(portal, parameter - 1) === 0) { const text = bytes.toString('latin1').trim(); return /^\d{1,15}$/.test(text) ? Number(text) : Infinity }
  if (bytes.length === 8) { const n = bytes.readBigInt64BE(); return n >= 0n && n < 1_000_000_000n ? Number(n) : Infinity }
  if (bytes.length === 4) { const n = bytes.readInt32BE(); return n >= 0 ? n : Infinity }
  return Infinity
}
