// FF1 of NIST SP 800-38G: a permutation of the strings of one length over one alphabet, under a key and a tweak. Pure; digits are numbers
// below the radix. Refuses domains of fewer than a million strings, which could be searched.
import { type Cipheriv, createCipheriv } from 'node:crypto'

const ROUNDS = 10
const BLOCK = 16
export const DOMAIN_MIN = 1_000_000n
export const RADIX_MAX = 65_536
/** Longer ones are no use here, and cost by the square. */
export const DIGITS_MAX = 256

export class Ff1 {
  readonly #cipher: Cipheriv
  constructor(key: Buffer) { this.#cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false) }

  encrypt(radix: number, tweak: Buffer, digits: readonly number[]): number[] { return this.#run(radix, tweak, digits, true) }
  decrypt(radix: number, tweak: Buffer, digits: readonly number[]): number[] { return this.#run(radix, tweak, digits, false) }

  #run(radix: number, tweak: Buffer, digits: readonly number[], forward: boolean): number[] {
    const n = digits.length
    if (!Number.isInteger(radix) || radix < 2 || radix > RADIX_MAX || n > DIGITS_MAX || digits.some((digit) => !Number.isInteger(digit) || digit < 0 || digit >= radix)) throw new RangeError('not a string over this radix')
    if (BigInt(radix) ** BigInt(n) < DOMAIN_MIN) throw new RangeError('a domain this small could be searched')
    const u = n >> 1, v = n - u
    const powers = [BigInt(radix) ** BigInt(u), BigInt(radix) ** BigInt(v)] as const
    const bytes = Math.ceil((powers[1] - 1n).toString(2).length / 8)
    const wanted = 4 * Math.ceil(bytes / 4) + 4
    const head = Buffer.alloc(BLOCK)
    head.set([1, 2, 1, radix >>> 16, (radix >>> 8) & 255, radix & 255, ROUNDS, u & 255])
    head.writeUInt32BE(n, 8)
    head.writeUInt32BE(tweak.length, 12)
    const pad = (BLOCK - (tweak.length + bytes + 1) % BLOCK) % BLOCK
    const block = Buffer.alloc(tweak.length + pad + 1 + bytes)
    tweak.copy(block)
    const start = this.#cipher.update(head)
    let a = numberOf(digits.slice(0, u), radix), b = numberOf(digits.slice(u), radix)
    for (let step = 0; step < ROUNDS; step++) {
      const round = forward ? step : ROUNDS - 1 - step
      block[tweak.length + pad] = round
      writeNumber(block, tweak.length + pad + 1, bytes, forward ? b : a)
      const y = this.#stream(start, block, wanted)
      const modulus = powers[round % 2 === 0 ? 0 : 1]
      if (forward) { const c = (a + y) % modulus; a = b; b = c } else { const c = ((b - y) % modulus + modulus) % modulus; b = a; a = c }
    }
    return [...digitsOf(a, radix, u), ...digitsOf(b, radix, v)]
  }

  /** The first `wanted` bytes of the PRF of head and block, as a number. */
  #stream(start: Buffer, block: Buffer, wanted: number): bigint {
    let r = start
    for (let at = 0; at < block.length; at += BLOCK) { const mixed = Buffer.from(block.subarray(at, at + BLOCK)); for (let i = 0; i < BLOCK; i++) mixed[i]! ^= r[i]!; r = this.#cipher.update(mixed) }
    const parts = [r]
    for (let j = 1; parts.length * BLOCK < wanted; j++) { const mixed = Buffer.from(r); mixed.writeUInt32BE((mixed.readUInt32BE(12) ^ j) >>> 0, 12); parts.push(this.#cipher.update(mixed)) }
    return BigInt(`0x${Buffer.concat(parts).toString('hex', 0, wanted)}`)
  }
}

function numberOf(digits: readonly number[], radix: number): bigint {
  let value = 0n
  for (const digit of digits) value = value * BigInt(radix) + BigInt(digit)
  return value
}
function digitsOf(value: bigint, radix: number, count: number): number[] {
  const out = new Array<number>(count)
  for (let i = count - 1, rest = value; i >= 0; i--) { out[i] = Number(rest % BigInt(radix)); rest /= BigInt(radix) }
  return out
}
function writeNumber(out: Buffer, at: number, bytes: number, value: bigint): void {
  for (let i = bytes - 1, rest = value; i >= 0; i--) { out[at + i] = Number(rest & 255n); rest >>= 8n }
}
