// Tokens in cells: a value as the server sends it, in text or binary format, becomes its token in the same format. What has no token
// is hidden whole. Also the way back, for parameters.
import { type CellMask, REPLACED } from '../../core/mask.ts'
import type { Column } from '../../sql/catalog.ts'
import type { TokenCodec } from '../../sql/mask-work.ts'
import type { KeyedHash } from '../../detect/index.ts'
import type { Tokens, TokenType } from '../../tokens/tokens.ts'
import { type CellType, wholeMask } from './values.ts'

const INT8 = 20, INT4 = 23, TEXT = 25, BPCHAR = 1042, VARCHAR = 1043, DATE = 1082, TIMESTAMP = 1114, TIMESTAMPTZ = 1184, NUMERIC = 1700, UUID = 2950
/** 2000-01-01, which binary dates and times count from. */
const EPOCH_MS = Date.UTC(2000, 0, 1)
const DAY_MS = 86_400_000
const DAY_MICROSECONDS = 86_400_000_000n
const DAY_MIN = -730_119, DAY_MAX = 2_921_939

/** Null: columns of this type have no tokens. */
export function tokenTypeOf(type: number, typmod: number): TokenType | null {
  switch (type) {
    case TEXT: return { kind: 'text', length: null }
    case VARCHAR: case BPCHAR: return { kind: 'text', length: typmod < 5 ? null : typmod - 4 }
    case INT4: return { kind: 'int4' }
    case INT8: return { kind: 'int8' }
    case UUID: return { kind: 'uuid' }
    case DATE: return { kind: 'date' }
    case TIMESTAMP: case TIMESTAMPTZ: return { kind: 'timestamp' }
    case NUMERIC: return typmod < 4 ? { kind: 'numeric', precision: null, scale: 0 } : { kind: 'numeric', precision: (typmod - 4) >>> 16, scale: (((typmod - 4) & 0x7ff) ^ 1024) - 1024 }
    default: return null
  }
}
/** Domains keep their values to themselves. */
export const tokenTypeOfColumn = (column: Column): TokenType | null => column.typeKind === 'd' || column.generated === 'v' ? null : tokenTypeOf(column.type, column.typmod)

/** Columns as the masks see them; one per worker and key. */
const codecs = new WeakMap<Tokens, TokenCodec>()
export function codecOf(tokens: Tokens): TokenCodec {
  let codec = codecs.get(tokens)
  if (codec === undefined) codecs.set(tokens, codec = {
    has: (column) => tokenTypeOfColumn(column) !== null,
    alike: (one, other) => { const [a, b] = [tokenTypeOfColumn(one), tokenTypeOfColumn(other)]; return a !== null && b !== null && a.kind === b.kind && (a.kind !== 'numeric' || one.typmod === other.typmod) },
    back: (column, text) => { const type = tokenTypeOfColumn(column); return type === null ? null : tokens.back(type, column.type === BPCHAR ? text.trimEnd() : text) },
  })
  return codec
}

export function tokenCell(type: CellType, tokens: Tokens, hash: KeyedHash): CellMask {
  const kind = tokenTypeOf(type.type, type.typmod)
  const hidden = wholeMask(type, 'redact', hash)
  if (kind === null) return hidden
  const padded = type.type === BPCHAR && kind.kind === 'text' ? kind.length ?? 0 : 0
  return (input, start, end, out) => {
    const value = type.format === 0 || kind.kind === 'text' ? input.toString('utf8', start, end) : fromBinary(type.type, input, start, end)
    const token = value === null ? null : tokens.hide(kind, padded > 0 ? value.trimEnd() : value)
    if (token === null) return hidden(input, start, end, out)
    if (type.format === 0 || kind.kind === 'text') out.text(token.padEnd(padded))
    else { const bytes = toBinary(type.type, token); out.copy(bytes, 0, bytes.length) }
    return REPLACED
  }
}

/** A parameter's text, or null when it has none that is known. `type`: declared by the client, or the column's own. */
export function parameterText(bytes: Buffer, format: number, type: number): string | null {
  if (format === 0) return bytes.toString()
  if (type === TEXT || type === VARCHAR || type === BPCHAR) return bytes.toString()
  try { return fromBinary(type, bytes, 0, bytes.length) } catch { return null }
}

function fromBinary(type: number, input: Buffer, start: number, end: number): string | null {
  const size = end - start
  if (type === 21 && size === 2) return String(input.readInt16BE(start))
  if (type === INT4 && size === 4) return String(input.readInt32BE(start))
  if (type === INT8 && size === 8) return String(input.readBigInt64BE(start))
  if (type === UUID && size === 16) return input.toString('hex', start, end).replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  if (type === DATE && size === 4) { const days = input.readInt32BE(start); return days < DAY_MIN || days > DAY_MAX ? null : new Date(EPOCH_MS + days * DAY_MS).toISOString().slice(0, 10) }
  if ((type === TIMESTAMP || type === TIMESTAMPTZ) && size === 8) return timeText(input.readBigInt64BE(start), type === TIMESTAMPTZ)
  if (type === NUMERIC && size >= 8) return numericText(input, start, end)
  return null
}
function toBinary(type: number, text: string): Buffer {
  const out = Buffer.alloc(type === UUID ? 16 : type === INT4 || type === DATE ? 4 : 8)
  switch (type) {
    case INT4: out.writeInt32BE(Number(text)); return out
    case INT8: out.writeBigInt64BE(BigInt(text)); return out
    case UUID: return Buffer.from(text.replaceAll('-', ''), 'hex')
    case DATE: out.writeInt32BE(daysOf(text)); return out
    case NUMERIC: return numericBytes(text)
    default: out.writeBigInt64BE(microsecondsOf(text)); return out
  }
}

const daysOf = (text: string): number => { const at = new Date(0); at.setUTCFullYear(Number(text.slice(0, 4)), Number(text.slice(5, 7)) - 1, Number(text.slice(8, 10))); return Math.round((at.getTime() - EPOCH_MS) / DAY_MS) }
function timeText(microseconds: bigint, zone: boolean): string | null {
  const days = Number((microseconds - ((microseconds % DAY_MICROSECONDS) + DAY_MICROSECONDS) % DAY_MICROSECONDS) / DAY_MICROSECONDS)
  if (days < DAY_MIN || days > DAY_MAX) return null
  const rest = microseconds - BigInt(days) * DAY_MICROSECONDS
  const time = new Date(Number(rest / 1000n)).toISOString().slice(11, 19)
  const fraction = String(rest % 1_000_000n).padStart(6, '0')
  return `${new Date(EPOCH_MS + days * DAY_MS).toISOString().slice(0, 10)} ${time}.${fraction}${zone ? '+00' : ''}`
}
function microsecondsOf(text: string): bigint {
  const [, hours, minutes, seconds, fraction] = /^.{10} (\d\d):(\d\d):(\d\d)\.(\d{6})/.exec(text)!
  return BigInt(daysOf(text)) * DAY_MICROSECONDS + ((BigInt(hours!) * 60n + BigInt(minutes!)) * 60n + BigInt(seconds!)) * 1_000_000n + BigInt(fraction!)
}

/** Groups of four digits, weight, sign and scale: numeric_recv. Null for NaN and infinity. */
function numericText(input: Buffer, start: number, end: number): string | null {
  const groups = input.readInt16BE(start), weight = input.readInt16BE(start + 2), sign = input.readUInt16BE(start + 4), scale = input.readUInt16BE(start + 6)
  if (groups < 0 || start + 8 + groups * 2 !== end || (sign !== 0 && sign !== 0x4000) || weight > 20 || weight < -20 || scale > 60) return null
  const at = (index: number): string => String(index >= 0 && index < groups ? input.readUInt16BE(start + 8 + index * 2) : 0).padStart(4, '0')
  let whole = '', fraction = ''
  for (let i = 0; i <= weight; i++) whole += at(i)
  for (let i = weight + 1; fraction.length < scale; i++) fraction += at(i)
  return `${sign === 0x4000 ? '-' : ''}${whole.replace(/^0+(?=\d)/, '') || '0'}${scale > 0 ? `.${fraction.slice(0, scale)}` : ''}`
}
function numericBytes(text: string): Buffer {
  const [whole = '0', fraction = ''] = text.replace('-', '').split('.')
  const padded = whole.padStart(Math.ceil(whole.length / 4) * 4, '0') + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')
  let groups = (padded.match(/.{4}/g) ?? []).map(Number)
  let weight = Math.ceil(whole.length / 4) - 1
  while (groups[0] === 0) { groups = groups.slice(1); weight -= 1 }
  while (groups.at(-1) === 0) groups = groups.slice(0, -1)
  const out = Buffer.alloc(8 + groups.length * 2)
  out.writeInt16BE(groups.length, 0)
  out.writeInt16BE(groups.length === 0 ? 0 : weight, 2)
  out.writeUInt16BE(text.startsWith('-') && groups.length > 0 ? 0x4000 : 0, 4)
  out.writeUInt16BE(fraction.length, 6)
  groups.forEach((group, i) => out.writeUInt16BE(group, 8 + i * 2))
  return out
}
