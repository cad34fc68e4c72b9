// Deterministic encryption with a check (SIV): the same value gives the same token, a token gives the value back, and what is no token of this
// key is told from one with certainty. The check is HMAC-SHA-256, cut, and is the counter that AES-CTR starts from (RFC 5297's way, with
// another PRF).
import { createCipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

/** Bytes of the check: two of 2^48 values would share one. */
export const CHECK_BYTES = 12
const KEY_BYTES = 32

export class Opaque {
  readonly #check: Buffer
  readonly #cipher: Buffer
  constructor(key: Buffer) {
    this.#check = Buffer.from(hkdfSync('sha256', key, '', 'sluice tokens: check', KEY_BYTES))
    this.#cipher = Buffer.from(hkdfSync('sha256', key, '', 'sluice tokens: cipher', KEY_BYTES))
  }
  seal(label: string, value: string): Buffer {
    const bytes = Buffer.from(value)
    const check = this.#checkOf(label, bytes)
    return Buffer.concat([check, this.#crypt(check, bytes)])
  }
  open(label: string, sealed: Buffer): string | null {
    if (sealed.length < CHECK_BYTES) return null
    const check = sealed.subarray(0, CHECK_BYTES)
    const bytes = this.#crypt(check, sealed.subarray(CHECK_BYTES))
    return timingSafeEqual(this.#checkOf(label, bytes), check) ? bytes.toString() : null
  }
  #checkOf(label: string, bytes: Buffer): Buffer { return createHmac('sha256', this.#check).update(`${Buffer.byteLength(label)}:${label}`).update(bytes).digest().subarray(0, CHECK_BYTES) }
  #crypt(check: Buffer, bytes: Buffer): Buffer {
    const counter = Buffer.alloc(16)
    check.copy(counter)
    return createCipheriv('aes-256-ctr', this.#cipher, counter).update(bytes)
  }
}
