// Counting within a window that slides, and counting down what a worker has leased of an account that many share.
// Never gives more than `most` within any span of `perMs`, wherever that span begins: the window is cut in slices, and a slice counts
// until all of it is out. So it may give a little less, never more.

const SLICES = 24
const SLICE_MIN_MS = 100

export class SlidingWindow {
  readonly most: number
  readonly perMs: number
  readonly #sliceMs: number
  /** Slice number → taken in it. At most SLICES + 2 entries. */
  readonly #taken = new Map<number, number>()
  constructor(most: number, perMs: number) {
    this.most = most
    this.perMs = perMs
    this.#sliceMs = Math.max(SLICE_MIN_MS, Math.ceil(perMs / SLICES))
  }
  /** Between 0 and `ask`. */
  take(ask: number, nowMs: number): number {
    const left = this.left(nowMs)
    const granted = Math.max(0, Math.min(ask, left))
    if (granted > 0) {
      const slice = this.#slice(nowMs)
      this.#taken.set(slice, (this.#taken.get(slice) ?? 0) + granted)
    }
    return granted
  }
  /** What was taken at `takenMs` and not used. */
  giveBack(unused: number, takenMs: number): void {
    const slice = this.#slice(takenMs)
    const taken = this.#taken.get(slice)
    if (taken !== undefined && unused > 0) this.#taken.set(slice, Math.max(0, taken - unused))
  }
  left(nowMs: number): number {
    const oldest = this.#slice(nowMs) - Math.ceil(this.perMs / this.#sliceMs)
    let used = 0
    for (const [slice, taken] of this.#taken)
      if (slice < oldest) this.#taken.delete(slice)
      else used += taken
    return Math.max(0, this.most - used)
  }
  /** When something taken now comes free again, at the latest. */
  freeAtMs(nowMs: number): number {
    return (this.#slice(nowMs) + Math.ceil(this.perMs / this.#sliceMs) + 1) * this.#sliceMs
  }
  /** Whether nothing is counted any more: it can be forgotten. */
  isIdle(nowMs: number): boolean {
    return this.left(nowMs) === this.most
  }
  #slice(nowMs: number): number {
    return Math.floor(nowMs / this.#sliceMs)
  }
}

/** Part of an account that a worker holds, so that small answers ask nobody. */
export class Holding {
  #held = 0
  get held(): number {
    return this.#held
  }
  add(granted: number): void {
    this.#held += Math.max(0, granted)
  }
  /** Between 0 and `ask`, out of what is held. */
  take(ask: number): number {
    const granted = Math.max(0, Math.min(ask, this.#held))
    this.#held -= granted
    return granted
  }
  /** Empties it: what must be given back to the account. */
  release(): number {
    const all = this.#held
    this.#held = 0
    return all
  }
}

/** How much to lease at a time: little enough that workers don't starve each other, enough to ask rarely. */
export function leaseSize(most: number, ask: number, workers: number): number {
  return Math.max(1, Math.min(Math.max(ask, Math.ceil(most / (8 * Math.max(1, workers)))), most))
}
