// Parameters that may hold tokens: the text that is sent has further parameters for what they stand for. A Bind is written anew with them,
// and the client's ParameterDescription is cut back to its own.
import type { TokenCodec, TurnedParameter } from '../../sql/mask-work.ts'
import { Scratch } from '../../wire/bytes.ts'
import type { Portal } from './conversation.ts'
import { B, u16 } from './frames.ts'
import { parameterText } from './token-cells.ts'

export const addedParameters = (turned: readonly TurnedParameter[]): number => turned.reduce((sum, { certain }) => sum + (certain === null ? 1 : 2), 0)

/** What is added goes in text format; the client's own stay as they are. */
export function writeTurnedBind(out: Scratch, portal: Portal, turned: readonly TurnedParameter[], codec: TokenCodec): void {
  const { values } = portal
  const added = new Map<number, string | null>()
  for (const { parameter, column, value, certain, plain } of turned) {
    const bytes = values.bytesOf(parameter - 1)
    const text = bytes === null ? null : parameterText(bytes, values.formatOf(parameter - 1), portal.prepared.types[parameter - 1] || column.type)
    const back = text === null ? null : codec.back(column, text)
    if (certain === null) added.set(value, back?.value ?? (plain ? text : null))
    else { added.set(certain, back?.certain === true ? back.value : null); added.set(value, back?.certain === false ? back.value : null) }
  }
  const count = addedParameters(turned)
  const body = new Scratch(1_024)
  const word = (text: string) => { body.text(text); body.u8(0) }
  word(portal.name)
  word(portal.prepared.name)
  body.i16(values.count + count)
  for (let i = 0; i < values.count; i++) body.i16(values.formatOf(i))
  for (let i = 0; i < count; i++) body.i16(0)
  body.i16(values.count + count)
  const put = (bytes: Buffer | null) => { body.i32(bytes === null ? -1 : bytes.length); if (bytes !== null) body.copy(bytes, 0, bytes.length) }
  for (let i = 0; i < values.count; i++) put(values.bytesOf(i))
  for (let i = 1; i <= count; i++) { const text = added.get(values.count + i) ?? null; put(text === null ? null : Buffer.from(text)) }
  body.i16(portal.formats.length)
  for (const format of portal.formats) body.i16(format)
  out.u8(B)
  out.i32(body.length + 4)
  out.copy(body.bytes, 0, body.length)
}

/** A ParameterDescription without what was added. */
export function ownParameters(message: Buffer, added: number): Buffer {
  const count = Math.max(0, u16(message, 5) - added)
  const made = Buffer.from(message.subarray(0, 7 + count * 4))
  made.writeInt32BE(made.length - 1, 1)
  made.writeUInt16BE(count, 5)
  return made
}
