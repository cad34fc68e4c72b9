// A worker's copy of the key sets, asked of the supervisor when it is too old or lacks a key. Same keys → same object, so that what was
// verified with them stays verified. Never fetches.
import type { Issuer } from './issuer.ts'
import type { KeySet } from './key-set.ts'
import type { KeySource } from './oidc.ts'

/** Between two questions of this worker for a key that is not among those known: a storm must not fill the bus either. */
export const REFRESH_INTERVAL_MS = 1_000

/** Answers with the issuer's keys, or rejects with NotAuthenticated (its message must survive the way). */
export type AskForKeys = (issuer: string, options: { readonly refresh: boolean }) => Promise<KeySet>

interface Known { keySet: KeySet; freshUntilMs: number; refreshedAtMs: number; asking: Promise<void> | null; written: string }

export class KeyCache implements KeySource {
  readonly #known = new Map<string, Known>()
  readonly #ask: AskForKeys
  readonly #now: () => number
  /** `ask` gets the issuer's name in sluice.yaml: whoever fetches looks its address up itself. */
  constructor(ask: AskForKeys, monotonicMs: () => number = () => performance.now()) { this.#ask = ask; this.#now = monotonicMs }

  async keys(issuer: Issuer, refresh: boolean): Promise<KeySet> {
    const known = this.#of(issuer.name)
    const now = this.#now()
    const due = now >= known.freshUntilMs || (refresh && now - known.refreshedAtMs >= REFRESH_INTERVAL_MS)
    if (known.asking !== null && (due || refresh)) await known.asking
    else if (due) await this.#renew(issuer.name, known, refresh)
    return known.keySet
  }

  #of(issuer: string): Known {
    let known = this.#known.get(issuer)
    if (known === undefined) {
      known = { keySet: { keys: [], freshForMs: 0 }, freshUntilMs: -Infinity, refreshedAtMs: -Infinity, asking: null, written: '' }
      this.#known.set(issuer, known)
    }
    return known
  }

  #renew(issuer: string, known: Known, refresh: boolean): Promise<void> {
    const askedAtMs = this.#now()
    if (refresh) known.refreshedAtMs = askedAtMs
    known.asking = this.#ask(issuer, { refresh }).then((keySet) => {
      known.freshUntilMs = askedAtMs + keySet.freshForMs
      const written = JSON.stringify(keySet.keys)
      if (written !== known.written) { known.keySet = keySet; known.written = written }
    }).finally(() => { known.asking = null })
    return known.asking
  }
}
