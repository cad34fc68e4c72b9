// Names that a session uses again and again: decoded once, and kept where the unnamed one costs least.

/** What stood here last time is compared, byte by byte, not made anew. */
export class LastName {
  #text = ''
  /** The UTF-8 text at input[from, to). */
  of(input: Buffer, from: number, to: number): string {
    if (from === to) return ''
    const last = this.#text
    // As many characters as bytes, and each the same: then all of them are ASCII.
    if (last.length === to - from) {
      let i = 0
      while (i < last.length && last.charCodeAt(i) === input[from + i]) i++
      if (i === last.length) return last
    }
    return this.#text = input.toString('utf8', from, to)
  }
}

/**
 * What names stand for. The unnamed one comes and goes with each point read, so it stands apart: a Map makes a new table when it is emptied
 * and the old one, dead but old, keeps all later ones alive until the next full collection.
 */
export class Names<T> {
  #unnamed: T | undefined = undefined
  readonly #named = new Map<string, T>()
  get size(): number { return this.#named.size + (this.#unnamed === undefined ? 0 : 1) }
  get(name: string): T | undefined { return name === '' ? this.#unnamed : this.#named.get(name) }
  has(name: string): boolean { return this.get(name) !== undefined }
  set(name: string, value: T): void { if (name === '') this.#unnamed = value; else this.#named.set(name, value) }
  delete(name: string): void { if (name === '') this.#unnamed = undefined; else this.#named.delete(name) }
  clear(): void { this.#unnamed = undefined; if (this.#named.size > 0) this.#named.clear() }
  keys(): string[] { return this.#unnamed === undefined ? [...this.#named.keys()] : ['', ...this.#named.keys()] }
}
