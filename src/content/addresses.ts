// Absolute addresses of the target in a body, as they are reached here: nobody learns a way around, and links go on working.

/** One address and what stands for it; in JSON its slashes may be escaped. */
interface Pair { readonly from: Buffer; readonly to: Buffer }

export class AddressRewrite {
  readonly #pairs: readonly Pair[]
  readonly #longest: number
  #tail: Buffer = Buffer.alloc(0)
  /** `authorities` are host:port of the target; `base` where it is reached here, as an absolute address without its last slash. */
  constructor(authorities: Iterable<string>, base: string) {
    const escaped = (text: string) => text.replaceAll('/', '\\/')
    this.#pairs = [...authorities].flatMap((authority) => ['http', 'https', 'ws', 'wss'].map((scheme) => `${scheme}://${authority}`)).flatMap((from) => [{ from: Buffer.from(from), to: Buffer.from(base) }, { from: Buffer.from(escaped(from)), to: Buffer.from(escaped(base)) }])
    this.#longest = Math.max(0, ...this.#pairs.map(({ from }) => from.length))
  }

  whole(bytes: Buffer): Buffer { return this.#pairs.reduce((text, pair) => replaced(text, pair), bytes) }
  /** What can't become an address any more; the rest waits. */
  push(bytes: Buffer): Buffer {
    const input = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes])
    const text = this.whole(input)
    const keep = this.#begins(text)
    this.#tail = text.subarray(text.length - keep)
    return text.subarray(0, text.length - keep)
  }
  end(): Buffer { const tail = this.#tail; this.#tail = Buffer.alloc(0); return tail }

  /** How many of the last bytes may be the beginning of an address, or the whole of one whose port may go on. */
  #begins(text: Buffer): number {
    for (let length = Math.min(text.length, this.#longest - 1); length > 0; length--) {
      const at = text.length - length
      if (text[at] !== 0x68 && text[at] !== 0x77) continue // h, w
      if (this.#pairs.some(({ from }) => from.compare(text, at, text.length, 0, length) === 0)) return length
    }
    return 0
  }
}

function replaced(text: Buffer, { from, to }: Pair): Buffer {
  let at = text.indexOf(from)
  if (at < 0) return text
  const parts: Buffer[] = []
  let done = 0
  for (; at >= 0; at = text.indexOf(from, at + from.length)) {
    // Another port or a longer name is another host.
    const next = text[at + from.length]
    if (next !== undefined && ((next >= 0x30 && next <= 0x39) || next === 0x2d || (next >= 0x61 && next <= 0x7a))) continue
    parts.push(text.subarray(done, at), to)
    done = at + from.length
  }
  parts.push(text.subarray(done))
  return Buffer.concat(parts)
}
