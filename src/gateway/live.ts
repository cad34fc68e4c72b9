// The supervisor's list of open sessions over all workers: how many an identity has, who to tell to end one. Nothing here is
// evidence: that is the record.
import { type Identity } from '../core/identity.ts'
import type { SessionCounts, SessionInfo } from './messages.ts'

export interface LiveSessionInfo extends SessionInfo { counts: SessionCounts }
const NONE: SessionCounts = { statements: 0, denied: 0, rows: 0, bytes: 0 }
const who = (identity: Identity, resource: string) => `${identity.issuer} ${identity.subject} ${resource}`

export class LiveSessions {
  readonly #all = new Map<string, LiveSessionInfo>()
  readonly #perIdentity = new Map<string, number>()
  /** Of all sessions since the start. */
  readonly totals = { statements: 0, denied: 0, rows: 0, bytes: 0 }

  /** Why not, or null when it is counted. */
  open(info: SessionInfo, most: number): string | null {
    const key = who(info.identity, info.resource)
    const count = this.#perIdentity.get(key) ?? 0
    if (count >= most) return `you have ${count} sessions open on ${info.resource}, the most that are allowed`
    this.#perIdentity.set(key, count + 1)
    this.#all.set(info.id, { ...info, counts: NONE })
    return null
  }
  close(id: string): LiveSessionInfo | null {
    const info = this.#all.get(id)
    if (info === undefined) return null
    this.#all.delete(id)
    const key = who(info.identity, info.resource)
    const left = (this.#perIdentity.get(key) ?? 1) - 1
    if (left <= 0) this.#perIdentity.delete(key)
    else this.#perIdentity.set(key, left)
    return info
  }
  counted(id: string, counts: SessionCounts): void {
    const info = this.#all.get(id)
    if (info === undefined) return
    for (const what of ['statements', 'denied', 'rows', 'bytes'] as const) this.totals[what] += counts[what] - info.counts[what]
    info.counts = counts.columns !== undefined || info.counts.columns === undefined ? counts : { ...counts, columns: info.counts.columns }
  }
  get(id: string): LiveSessionInfo | null { return this.#all.get(id) ?? null }
  list(): LiveSessionInfo[] { return [...this.#all.values()] }
  ofWorker(worker: number): LiveSessionInfo[] { return this.list().filter((info) => info.worker === worker) }
  get size(): number { return this.#all.size }
}
