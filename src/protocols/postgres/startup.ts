// The packets a client may send before it has logged in: pure, from untrusted bytes, with limits. Takes no byte it does not understand.
import { Malformed } from '../../core/errors.ts'
import { stringEnd, u16, u32 } from './frames.ts'
import { CANCEL_REQUEST, CANCEL_SECRET_BYTES_MAX, GSSENC_REQUEST, SSL_REQUEST, type CancelKey } from './messages.ts'

/** As the server itself limits it. */
export const STARTUP_BYTES_MAX = 10_000
/** A token of 32 KiB with room to spare. */
export const PASSWORD_BYTES_MAX = 64 * 1024
/** The first byte of a TLS record that opens a handshake. */
export const TLS_HANDSHAKE = 0x16
const PASSWORD_MESSAGE = 0x70
const MINOR_NEWEST = 2

export type Packet =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | { readonly kind: 'cancel'; readonly key: CancelKey }
  /** An old or future major version, which is told so in the words of version 3. */
  | { readonly kind: 'unsupported'; readonly version: string }
  | {
    readonly kind: 'startup'
    /** What both speak: 3.0 or 3.2. */
    readonly minor: 0 | 2
    /** The client asked for a newer minor version, or for options nobody here knows: it is told what holds instead. */
    readonly negotiate: boolean
    readonly unknownOptions: readonly string[]
    readonly parameters: readonly (readonly [name: string, value: string])[]
  }

/** The packet at the start of the bytes and its length, or null while it is not whole. Throws Malformed as soon as it can't become one. */
export function parseStartup(bytes: Buffer): { readonly packet: Packet; readonly length: number } | null {
  if (bytes.length < 4) return null
  const length = u32(bytes, 0)
  if (length < 8 || length > STARTUP_BYTES_MAX) throw new Malformed(`invalid length of startup packet: ${STARTUP_BYTES_MAX} bytes at most`)
  if (bytes.length < 8) return null
  const code = u32(bytes, 4)
  if (length !== 8 && (code === SSL_REQUEST || code === GSSENC_REQUEST)) throw new Malformed('invalid length of an encryption request')
  if (code === CANCEL_REQUEST && (length < 16 || length > 12 + CANCEL_SECRET_BYTES_MAX)) throw new Malformed('invalid length of a cancel request')
  if (code === SSL_REQUEST) return { packet: { kind: 'ssl' }, length }
  if (code === GSSENC_REQUEST) return { packet: { kind: 'gssenc' }, length }
  const major = u16(bytes, 4), minor = u16(bytes, 6)
  if (code !== CANCEL_REQUEST && major !== 3) return { packet: { kind: 'unsupported', version: `${major}.${minor}` }, length }
  if (bytes.length < length) return null
  if (code === CANCEL_REQUEST) return { packet: { kind: 'cancel', key: { pid: bytes.readInt32BE(8), secret: Buffer.from(bytes.subarray(12, length)) } }, length }
  return { packet: startUpOf(bytes, length, minor), length }
}

function startUpOf(bytes: Buffer, length: number, minor: number): Packet {
  const parameters: (readonly [string, string])[] = []
  const unknownOptions: string[] = []
  const seen = new Set<string>()
  let at = 8
  while (at < length && bytes[at] !== 0) {
    const nameEnd = stringEnd(bytes, at, length)
    const valueEnd = nameEnd < 0 ? -1 : stringEnd(bytes, nameEnd + 1, length)
    if (valueEnd < 0) throw new Malformed('invalid startup packet layout: expected terminator as last byte')
    const name = textOf(bytes, at, nameEnd), value = textOf(bytes, nameEnd + 1, valueEnd)
    // Which of two would count is for each reader to guess, so neither does.
    if (seen.size === seen.add(name.toLowerCase()).size) throw new Malformed('invalid startup packet: a parameter stands there twice')
    if (name.startsWith('_pq_.')) unknownOptions.push(name)
    else parameters.push([name, value])
    at = valueEnd + 1
  }
  if (at !== length - 1) throw new Malformed('invalid startup packet layout: expected terminator as last byte')
  return { kind: 'startup', minor: minor >= MINOR_NEWEST ? 2 : 0, negotiate: minor > MINOR_NEWEST || unknownOptions.length > 0, unknownOptions, parameters }
}

/** The password of a PasswordMessage and the message's length, or null while it is not whole. */
export function parsePassword(bytes: Buffer): { readonly secret: string; readonly length: number } | null {
  if (bytes.length === 0) return null
  if (bytes[0] !== PASSWORD_MESSAGE) throw new Malformed('expected a password response')
  if (bytes.length < 5) return null
  const length = u32(bytes, 1)
  if (length < 5 || length > PASSWORD_BYTES_MAX) throw new Malformed(`invalid password packet size: ${PASSWORD_BYTES_MAX} bytes at most`)
  if (bytes.length < 1 + length) return null
  if (stringEnd(bytes, 5, 1 + length) !== length) throw new Malformed('invalid password packet: one string is expected')
  return { secret: textOf(bytes, 5, length), length: 1 + length }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function textOf(bytes: Buffer, from: number, to: number): string {
  try { return utf8.decode(bytes.subarray(from, to)) } catch { throw new Malformed('text before login must be UTF-8') }
}
