// Messages of the login phase and of its end, as whole buffers: few per connection. The relay's own are in frames.ts.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
import { SluiceError } from '../../core/errors.ts'
import { Scratch } from '../../wire/bytes.ts'
import { type Words, stringEnd, writeWords } from './frames.ts'

export const VERSION_3_0 = 0x0003_0000
export const VERSION_3_2 = 0x0003_0002
export const SSL_REQUEST = 80_877_103, GSSENC_REQUEST = 80_877_104, CANCEL_REQUEST = 80_877_102
/** A key of protocol 3.2 may have as many bytes; one of 3.0 has four. */
export const CANCEL_SECRET_BYTES_MAX = 256

/** How a backend is named to a CancelRequest. */
export interface CancelKey { readonly pid: number; readonly secret: Buffer }

/** A message with its type and length; without a type when that is empty. */
export function message(type: string, ...parts: readonly (Buffer | string | number)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => typeof part === 'string' ? Buffer.from(`${part}\0`) : typeof part === 'number' ? int32(part) : part))
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(body.length + 4), body])
}
const int32 = (value: number) => { const bytes = Buffer.alloc(4); bytes.writeInt32BE(value | 0); return bytes }

/** ErrorResponse, or NoticeResponse by its severity. */
export function words(fields: Words): Buffer {
  const out = new Scratch(256)
  writeWords(out, fields)
  return out.taken()
}
export const fatal = (code: string, text: string, hint?: string): Buffer => words({ severity: 'FATAL', code, message: text, ...(hint === undefined ? {} : { hint }) })

/** How our own errors are told to a client that has not logged in yet. What is not meant for it becomes one sentence. */
export function fatalOf(error: unknown): Buffer {
  if (!(error instanceof SluiceError) || !error.public) return fatal('XX000', 'an internal error of the gateway')
  return fatal(CODES[error.code] ?? 'XX000', error.message)
}
const CODES: Readonly<Record<string, string>> = {
  NOT_AUTHENTICATED: '28P01', THROTTLED: '28P01', STORE_FAILED: '58000', NOT_ALLOWED: '42501', NO_SUCH_RESOURCE: '3D000', UNREACHABLE: '08006', MALFORMED: '08004', RECORD_FAILED: '58030',
}

export const authenticationOk = (): Buffer => message('R', 0)
export const authenticationCleartextPassword = (): Buffer => message('R', 3)
export const parameterStatus = (name: string, value: string): Buffer => message('S', name, value)
export const backendKeyData = (key: CancelKey): Buffer => message('K', key.pid, key.secret)
/** status: `I` idle, `T` in a transaction, `E` in a failed one. */
export const readyForQuery = (status = 0x49): Buffer => message('Z', Buffer.of(status))
/** The whole version, as servers write it, and the `_pq_.` options that are not understood. */
export const negotiateProtocolVersion = (version: number, unknown: readonly string[]): Buffer => message('v', version, unknown.length, ...unknown)
export const cancelRequest = (key: CancelKey): Buffer => message('', CANCEL_REQUEST, key.pid, key.secret)
export const sslRequest = (): Buffer => message('', SSL_REQUEST)
export const terminate = (): Buffer => message('X')
export const startUp = (version: number, parameters: Iterable<readonly [string, string]>): Buffer => message('', version, ...[...parameters].flat(), Buffer.of(0))

/** Fields of an ErrorResponse or NoticeResponse body by their letter. */
export function parseWords(body: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const end = stringEnd(body, at + 1, body.length)
    if (end < 0) break
    fields.set(String.fromCharCode(body[at]!), body.toString('utf8', at + 1, end))
    at = end + 1
  }
  return fields
}

/** NUL-terminated strings that fill a body from `at`; null when they don't. */
export function parseStrings(body: Buffer, from: number): string[] | null {
  const found: string[] = []
  let at = from
  while (at < body.length) {
    const end = stringEnd(body, at, body.length)
    if (end < 0) return null
    found.push(body.toString('utf8', at, end))
    at = end + 1
  }
  return found
}
