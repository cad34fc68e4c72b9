// WebSocket frames (RFC 6455), read strictly in pieces of any size and written whole: messages come out put together, so that a value split
// over fragments is one value. No extensions: bytes are what they say.
import { createHash, randomBytes } from 'node:crypto'
import { isUtf8 } from 'node:buffer'

/** One message, its fragments together. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024
const CONTROL_BYTES_MAX = 125
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
export const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10

export interface Message { readonly kind: typeof TEXT | typeof BINARY | typeof CLOSE | typeof PING | typeof PONG; readonly bytes: Buffer }
/** `code` of the close frame that tells why. */
export class FrameError extends Error { readonly code: number; constructor(code: number, message: string) { super(message); this.code = code } }

export const acceptOf = (key: string): string => createHash('sha1').update(key + GUID).digest('base64')
export const newKey = (): string => randomBytes(16).toString('base64')

export class Frames {
  readonly #masked: boolean
  #held: Buffer = Buffer.alloc(0)
  #fragments: Buffer[] = []
  #bytes = 0
  #kind: typeof TEXT | typeof BINARY | null = null
  #closed = false
  /** `masked`: frames of a client; a server's never are. */
  constructor(masked: boolean) { this.#masked = masked }

  /** Whole messages, in order. Throws FrameError. */
  push(bytes: Buffer): Message[] {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    const messages: Message[] = []
    for (;;) {
      if (this.#closed && this.#held.length > 0) { this.#held = Buffer.alloc(0); return messages }
      const message = this.#frame()
      if (message === null) return messages
      if (message !== undefined) messages.push(message)
    }
  }

  /** Null: not all here. Undefined: a fragment that was kept. */
  #frame(): Message | null | undefined {
    const held = this.#held
    if (held.length < 2) return null
    const opcode = held[0]! & 0x0f, last = (held[0]! & 0x80) !== 0, masked = (held[1]! & 0x80) !== 0, short = held[1]! & 0x7f
    if ((held[0]! & 0x70) !== 0) throw new FrameError(1002, 'a reserved bit is set')
    if (masked !== this.#masked) throw new FrameError(1002, masked ? 'a server masks no frames' : 'a client masks its frames')
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
    if (held.length < 2 + lengthBytes) return null
    const length = short === 126 ? held.readUInt16BE(2) : short === 127 ? Number(held.readBigUInt64BE(2)) : short
    if ((short === 126 && length < 126) || (short === 127 && length < 65_536)) throw new FrameError(1002, 'a length that is written longer than it is')
    const control = opcode >= 8
    if (control && (!last || length > CONTROL_BYTES_MAX)) throw new FrameError(1002, 'a control frame is short and whole')
    if (![0, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode)) throw new FrameError(1002, 'an unknown kind of frame')
    if (!control && this.#bytes + length > MESSAGE_BYTES_MAX) throw new FrameError(1009, `a message of more than ${MESSAGE_BYTES_MAX} bytes`)
    const start = 2 + lengthBytes + (masked ? 4 : 0)
    if (held.length < start + length) return null
    const payload = Buffer.from(held.subarray(start, start + length))
    if (masked) for (let i = 0; i < length; i++) payload[i] = payload[i]! ^ held[start - 4 + (i & 3)]!
    this.#held = held.subarray(start + length)
    if (control) {
      if (opcode === CLOSE) { this.#closed = true; checkClose(payload) }
      return { kind: opcode as Message['kind'], bytes: payload }
    }
    return this.#data(opcode, last, payload)
  }

  #data(opcode: number, last: boolean, payload: Buffer): Message | undefined {
    if ((opcode === 0) !== (this.#kind !== null)) throw new FrameError(1002, 'a fragment out of its order')
    if (opcode !== 0) this.#kind = opcode as typeof TEXT
    this.#fragments.push(payload)
    this.#bytes += payload.length
    if (!last) return undefined
    const whole = { kind: this.#kind!, bytes: this.#fragments.length === 1 ? payload : Buffer.concat(this.#fragments) }
    this.#fragments = []
    this.#bytes = 0
    this.#kind = null
    if (whole.kind === TEXT && !isUtf8(whole.bytes)) throw new FrameError(1007, 'a text that is not UTF-8')
    return whole
  }
}
function checkClose(payload: Buffer): void {
  if (payload.length === 1) throw new FrameError(1002, 'a close frame of one byte')
  if (payload.length === 0) return
  const code = payload.readUInt16BE(0)
  if (code < 1000 || code > 4999 || [1004, 1005, 1006].includes(code) || (code > 1014 && code < 3000)) throw new FrameError(1002, 'a close code that is none')
  if (!isUtf8(payload.subarray(2))) throw new FrameError(1007, 'a reason that is not UTF-8')
}

/** One whole frame; masked as a client's must be. */
export function frame(kind: Message['kind'], bytes: Buffer, masked: boolean): Buffer {
  const lengthBytes = bytes.length < 126 ? 0 : bytes.length < 65_536 ? 2 : 8
  const start = 2 + lengthBytes + (masked ? 4 : 0)
  const out = Buffer.allocUnsafe(start + bytes.length)
  out[0] = 0x80 | kind
  out[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? bytes.length : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) out.writeUInt16BE(bytes.length, 2)
  if (lengthBytes === 8) out.writeBigUInt64BE(BigInt(bytes.length), 2)
  bytes.copy(out, start)
  if (masked) {
    const key = randomBytes(4)
    key.copy(out, start - 4)
    for (let i = 0; i < bytes.length; i++) out[start + i] = out[start + i]! ^ key[i & 3]!
  }
  return out
}
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const text = Buffer.from(reason).subarray(0, 100)
  const payload = Buffer.alloc(2 + text.length)
  payload.writeUInt16BE(code, 0)
  text.copy(payload, 2)
  return frame(CLOSE, payload, masked)
}
