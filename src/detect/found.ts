// The places found in one value: sorted spans that never overlap. Reused from value to value; holds positions, never the bytes.

const SPANS_AT_FIRST = 32

export class Found {
  count = 0
  from = new Int32Array(SPANS_AT_FIRST)
  to = new Int32Array(SPANS_AT_FIRST)
  /** Index into the detector's rules: the smaller hides more. */
  rule = new Int32Array(SPANS_AT_FIRST)

  reset(): void { this.count = 0 }

  /** Adds a span whose end is not before the last one's end; what it overlaps becomes one span under the stronger rule. */
  add(from: number, to: number, rule: number): void {
    let count = this.count
    while (count > 0 && this.to[count - 1]! > from) {
      count--
      if (this.from[count]! < from) from = this.from[count]!
      if (this.to[count]! > to) to = this.to[count]!
      if (this.rule[count]! < rule) rule = this.rule[count]!
    }
    if (count === this.from.length) this.#grow()
    this.from[count] = from; this.to[count] = to; this.rule[count] = rule
    this.count = count + 1
  }

  /** Adds spans of another pass over the same value, which may lie anywhere between those already here. */
  merge(other: Found): void {
    const spans: (readonly [number, number, number])[] = []
    for (const source of [this, other]) for (let i = 0; i < source.count; i++) spans.push([source.from[i]!, source.to[i]!, source.rule[i]!])
    spans.sort((a, b) => a[0] - b[0])
    this.count = 0
    for (const [from, to, rule] of spans) this.add(from, to, rule)
  }

  #grow(): void {
    const wider = (old: Int32Array) => { const made = new Int32Array(old.length * 2); made.set(old); return made }
    this.from = wider(this.from); this.to = wider(this.to); this.rule = wider(this.rule)
  }
}
