// One sequence for one seed, on every machine: a labelled set that changes can't be compared.
export class Sequence {
  #state: number
  constructor(seed: number) { this.#state = seed >>> 0 }
  /** 0 to below - 1. */
  below(below: number): number {
    // xorshift32: all bits move, unlike those of a linear generator.
    let x = this.#state || 0x9e3779b9
    x ^= x << 13; x >>>= 0
    x ^= x >>> 17
    x ^= x << 5; x >>>= 0
    this.#state = x
    return x % below
  }
  of<T>(list: readonly T[]): T { return list[this.below(list.length)]! }
  text(alphabet: string, length: number): string { return Array.from({ length }, () => alphabet[this.below(alphabet.length)]!).join('') }
  digits(length: number): string { return this.text('0123456789', length) }
  number(from: number, to: number): string { return String(from + this.below(to - from + 1)) }
}
export const LOWER = 'abcdefghijklmnopqrstuvwxyz', UPPER = LOWER.toUpperCase(), DIGITS = '0123456789', HEX = '0123456789abcdef'
export const ALPHANUMERIC = LOWER + UPPER + DIGITS, URL64 = `${ALPHANUMERIC}-_`, BASE64 = `${ALPHANUMERIC}+/`
