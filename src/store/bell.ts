// Tells every process of every gateway at once that something in the store changed, over LISTEN/NOTIFY on one connection of
// its own. A ring may be lost when that connection breaks: listeners hear `missed` after it is back and look for themselves.
// It carries names and ids, never content.
import { EventEmitter } from 'node:events'
import pg from 'pg'
import { clientSettings, type Database, type Queries, type StoreAddress } from './database.ts'

const CHANNEL = 'sluice'
const RECONNECT_FIRST_MS = 100
const RECONNECT_MOST_MS = 5_000
/** A connection that is broken without a word is found by asking. */
const PROBE_EVERY_MS = 10_000
/** PostgreSQL allows 8,000 bytes. */
const RING_BYTES_MAX = 7_000

export type Ring =
  | { readonly topic: 'review'; readonly id: string; readonly state: string; readonly instance: number | null }
  | { readonly topic: 'revoked'; readonly kind: string; readonly value: string }
  | { readonly topic: 'objects'; readonly kind: string; readonly name: string }
  | { readonly topic: 'secrets'; readonly name: string }
  | { readonly topic: 'end'; readonly session: string | null; readonly party: string | null; readonly cancel: boolean; readonly by: string }
export type Topic = Ring['topic']

export interface Bell {
  ring(ring: Ring, within?: Queries): Promise<void>
  on<T extends Topic>(topic: T, listener: (ring: Extract<Ring, { topic: T }>) => void): () => void
  /** The connection was away: what rang meanwhile is unknown. */
  onMissed(listener: () => void): () => void
  readonly connected: boolean
  close(): Promise<void>
}

export async function openBell(database: Database): Promise<Bell> {
  const bell = new PostgresBell(database)
  await bell.start()
  return bell
}

class PostgresBell implements Bell {
  readonly #database: Database
  readonly #address: StoreAddress
  readonly #events = new EventEmitter().setMaxListeners(0)
  #client: pg.Client | null = null
  #closed = false
  #probe: NodeJS.Timeout | null = null

  constructor(database: Database) { this.#database = database; this.#address = database.address }

  get connected(): boolean { return this.#client !== null }

  async start(): Promise<void> {
    await this.#connect()
    this.#probe = setInterval(() => { this.#client?.query('SELECT 1').catch(() => this.#lost()) }, PROBE_EVERY_MS)
    this.#probe.unref()
  }

  async ring(ring: Ring, within: Queries = this.#database): Promise<void> {
    const text = JSON.stringify(ring)
    if (Buffer.byteLength(text) > RING_BYTES_MAX) throw new RangeError('a ring is a name, not content')
    await within.query('SELECT pg_notify($1, $2)', [CHANNEL, text])
  }

  on<T extends Topic>(topic: T, listener: (ring: Extract<Ring, { topic: T }>) => void): () => void {
    this.#events.on(topic, listener)
    return () => this.#events.off(topic, listener)
  }

  onMissed(listener: () => void): () => void {
    this.#events.on('missed', listener)
    return () => this.#events.off('missed', listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#probe !== null) clearInterval(this.#probe)
    await this.#client?.end().catch(() => {})
    this.#client = null
    this.#events.removeAllListeners()
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({ ...clientSettings(this.#address), query_timeout: PROBE_EVERY_MS })
    client.on('error', () => this.#lost(client))
    client.on('end', () => this.#lost(client))
    client.on('notification', (message) => this.#heard(message.payload ?? ''))
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANNEL}`)
    } catch (error) {
      await client.end().catch(() => {})
      throw error
    }
    if (this.#closed) { await client.end().catch(() => {}); return }
    this.#client = client
  }

  #heard(payload: string): void {
    let ring: Ring
    try { ring = JSON.parse(payload) as Ring } catch { return }
    if (typeof ring?.topic === 'string' && (ring.topic as string) !== 'missed' && (ring.topic as string) !== 'error') this.#events.emit(ring.topic, ring)
  }

  #lost(client: pg.Client | null = this.#client): void {
    if (this.#closed || client === null || client !== this.#client) return
    this.#client = null
    client.end().catch(() => {})
    void this.#reconnect()
  }

  async #reconnect(): Promise<void> {
    for (let waitMs = RECONNECT_FIRST_MS; !this.#closed; waitMs = Math.min(waitMs * 2, RECONNECT_MOST_MS)) {
      await new Promise((done) => setTimeout(done, waitMs).unref())
      try { await this.#connect(); this.#events.emit('missed'); return } catch { /* tried again below */ }
    }
  }
}
