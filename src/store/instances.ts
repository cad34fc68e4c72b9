// Which gateways live. Each beats once a second and holds an advisory lock; one that does neither is dead, and what it held
// for its clients ends. The store's clock writes and compares the beats, so that gateways' clocks don't matter.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import pg from 'pg'
import { clientSettings, type Database } from './database.ts'

const BEAT_EVERY_MS = 1_000
/** Without a beat for so long, and its lock is free: dead. */
export const SILENT_MS = 3_000
/** Without a beat for so long, whatever the lock says: a host that vanished keeps its connection for a while. */
export const VANISHED_MS = 30_000
const LOCK_CLASS = 0x736c75

export interface Instance {
  readonly number: number
  end(): Promise<void>
}

export async function beginInstance(database: Database): Promise<Instance> {
  const name = `${hostname()}:${process.pid}:${randomBytes(3).toString('hex')}`
  const [row] = await database.query<{ number: number }>(
    'INSERT INTO sluice.instances (name, started_ms, beat_ms) SELECT $1, n, n FROM sluice.now_ms(0) n RETURNING number',
    [name],
  )
  const number = row!.number
  let lock = await holdLock(database, number)
  let beating = false
  let ending = false
  const beat = async () => {
    if (beating || ending) return
    beating = true
    try {
      // One that was taken for dead while it was stalled lives on; what it held was cancelled, and stays so.
      await database.query('UPDATE sluice.instances SET beat_ms = sluice.now_ms(0), ended_ms = NULL WHERE number = $1', [number])
      if (lock.lost && !ending) lock = await holdLock(database, number)
    } catch {
      /* the store is away: the next beat tells */
    } finally {
      beating = false
    }
  }
  const timer = setInterval(() => {
    void beat()
  }, BEAT_EVERY_MS)
  timer.unref()
  return {
    number,
    async end() {
      ending = true
      clearInterval(timer)
      await database.query('UPDATE sluice.instances SET ended_ms = sluice.now_ms(0) WHERE number = $1 AND ended_ms IS NULL', [number]).catch(() => {})
      await lock.release()
    },
  }
}

interface Lock {
  readonly lost: boolean
  release(): Promise<void>
}

async function holdLock(database: Database, number: number): Promise<Lock> {
  const client = new pg.Client(clientSettings(database.address))
  const state = { lost: false, release: () => client.end().catch(() => {}) }
  client.on('error', () => {
    state.lost = true
  })
  client.on('end', () => {
    state.lost = true
  })
  await client.connect()
  await client.query('SELECT pg_try_advisory_lock($1, $2)', [LOCK_CLASS, number])
  return state
}

/** Numbers of the gateways found dead just now, each reported to one caller only. */
export function endDeadInstances(database: Database): Promise<number[]> {
  return database.transaction(async (queries) => {
    const silent = await queries.query<{ number: number; silent_ms: number }>(
      'SELECT number, sluice.now_ms(0) - beat_ms AS silent_ms FROM sluice.instances WHERE ended_ms IS NULL AND beat_ms < sluice.now_ms(0) - $1 FOR UPDATE SKIP LOCKED',
      [SILENT_MS],
    )
    const dead: number[] = []
    for (const { number, silent_ms: silentMs } of silent) {
      const [lock] = await queries.query<{ free: boolean }>('SELECT pg_try_advisory_xact_lock($1, $2) AS free', [LOCK_CLASS, number])
      if (!lock!.free && silentMs < VANISHED_MS) continue
      await queries.query('UPDATE sluice.instances SET ended_ms = sluice.now_ms(0) WHERE number = $1', [number])
      dead.push(number)
    }
    return dead
  })
}
