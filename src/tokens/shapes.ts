// Permutations that keep a shape: strings of digits, UUIDs, whole numbers. Each maps what values usually are to what they never are, where the
// shape has room for that (a card's first digit, a UUID's variant), so that a token is known as one.
import { hkdfSync } from 'node:crypto'
import { Ff1 } from './ff1.ts'

const KEY_BYTES = 32
/** Digits from which on a string may be a card number, by ISO/IEC 7812. */
const CARD_DIGITS_MIN = 13, CARD_DIGITS_MAX = 19
export const DIGITS_MIN = 6, DIGITS_MOST = 40
/** Real cards begin with 2 to 6; their tokens with these, in the same order. */
const REAL_FIRST = [2, 3, 4, 5, 6], TOKEN_FIRST = [7, 8, 9, 0, 1]

export class Shapes {
  readonly #ff1: Ff1
  readonly #label: string
  constructor(key: Buffer, label: string) { this.#ff1 = new Ff1(Buffer.from(hkdfSync('sha256', key, '', 'sluice tokens: shapes', KEY_BYTES))); this.#label = label }

  #permute(kind: string, radix: number, digits: readonly number[], back: boolean): number[] {
    const tweak = Buffer.from(`${this.#label}\0${kind}`)
    return back ? this.#ff1.decrypt(radix, tweak, digits) : this.#ff1.encrypt(radix, tweak, digits)
  }
  /** Walks the permutation until it is inside again: a permutation of the part. */
  #walk(kind: string, radix: number, digits: readonly number[], back: boolean, inside: (digits: readonly number[]) => boolean): number[] {
    let at = this.#permute(kind, radix, digits, back)
    while (!inside(at)) at = this.#permute(kind, radix, at, back)
    return at
  }

  /** From 6 to 40 digits; 13 to 19 keep whether the last one checks the others (Luhn). */
  digits(text: string, back: boolean): string {
    const all = [...text].map(Number)
    if (all.length < CARD_DIGITS_MIN || all.length > CARD_DIGITS_MAX) return this.#permute('digits', 10, all, back).join('')
    const body = all.slice(0, -1)
    const [from, to] = REAL_FIRST.includes(body[0]!) ? [REAL_FIRST, TOKEN_FIRST] : [TOKEN_FIRST, REAL_FIRST]
    const offset = (all.at(-1)! - luhn(body) + 10) % 10
    // The walk stays among those that begin alike; the swap of the first digit is its own inverse.
    const start = back ? [to[from.indexOf(body[0]!)]!, ...body.slice(1)] : body
    const among = back ? to : from
    const walked = this.#walk('card', 10, start, back, (digits) => among.includes(digits[0]!))
    const made = back ? walked : [to[from.indexOf(walked[0]!)]!, ...walked.slice(1)]
    return [...made, (luhn(made) + offset) % 10].join('')
  }
  /** Whether these digits can only be a token. */
  static isCardToken(text: string): boolean {
    const all = [...text].map(Number)
    return all.length >= CARD_DIGITS_MIN && all.length <= CARD_DIGITS_MAX && TOKEN_FIRST.includes(all[0]!) && luhn(all.slice(0, -1)) === all.at(-1)
  }

  /** 32 lower-case hex digits. Those of RFC 9562 get a variant that it reserves. */
  uuid(hex: string, back: boolean): string {
    const value = BigInt(`0x${hex}`)
    const kind = uuidKind(value)
    if (kind === 'other') return hexOf(number(this.#walk('uuid', 2, bits(value, 128), back, (made) => uuidKind(number(made)) === 'other')))
    // A real one is 122 bits and 3 of the version; a token is 125 bits behind its variant. What looks like a token is given a real one's form, so that nothing collides.
    const payload = kind === 'real' ? (value >> 80n << 77n) | ((value >> 76n & 7n) << 74n) | ((value >> 64n & 0xfffn) << 62n) | (value & (1n << 62n) - 1n) : (value >> 64n << 61n) | (value & (1n << 61n) - 1n)
    const made = number(this.#permute('uuid', 2, bits(payload, 125), back))
    return hexOf(kind === 'real' ? (made >> 61n << 64n) | 7n << 61n | (made & (1n << 61n) - 1n) : (made >> 77n << 80n) | ((made >> 74n & 7n) << 76n) | ((made >> 62n & 0xfffn) << 64n) | 2n << 62n | (made & (1n << 62n) - 1n))
  }
  static isUuidToken(hex: string): boolean { return uuidKind(BigInt(`0x${hex}`)) === 'token' }

  /** A whole number of `size` bits and sign; those that fit 53 bits stay so. */
  whole(value: bigint, size: 32 | 64, back: boolean): bigint {
    const magnitude = value < 0n ? -value - 1n : value
    const small = size === 32 ? 31 : 53
    const made = magnitude < 1n << BigInt(small) ? number(this.#permute('number', 2, bits(magnitude, small), back))
      : number(this.#walk('number', 2, bits(magnitude, 63), back, (at) => number(at) >= 1n << BigInt(small)))
    return value < 0n ? -made - 1n : made
  }
  /** A number written in exactly so many decimal digits. */
  decimal(digits: string, back: boolean): string { return this.#permute('decimal', 10, [...digits].map(Number), back).join('') }
}

function luhn(body: readonly number[]): number {
  let sum = 0
  for (let i = body.length - 1, double = true; i >= 0; i--, double = !double) { const d = body[i]! * (double ? 2 : 1); sum += d > 9 ? d - 9 : d }
  return (10 - sum % 10) % 10
}
function uuidKind(value: bigint): 'real' | 'token' | 'other' {
  if ((value >> 61n & 7n) === 7n) return 'token'
  return (value >> 62n & 3n) === 2n && (value >> 79n & 1n) === 0n ? 'real' : 'other'
}
const hexOf = (value: bigint): string => value.toString(16).padStart(32, '0')
function bits(value: bigint, count: number): number[] {
  const out = new Array<number>(count)
  for (let i = count - 1, rest = value; i >= 0; i--) { out[i] = Number(rest & 1n); rest >>= 1n }
  return out
}
const number = (digits: readonly number[]): bigint => BigInt(`0b${digits.join('')}`)
