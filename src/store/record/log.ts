// One append-only log of one worker and resource, shared by many sessions: frames gather in a batch, a batch is one hash and one
// write, and a sync is shared by all who wait for it. A file that failed once is never written to again: what was not written yet
// goes to a new segment when the disk is well. It must never say that something is durable which is not.
import { closeSync, fdatasync, fdatasyncSync, fsyncSync, ftruncateSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { RecordFailed } from '../../core/errors.ts'
import { Batch } from './batch.ts'
import { CODE_NAMES, codeOf, encodeHeader, logName, type Point, segmentName } from './layout.ts'

export const BATCH_BYTES = 256 * 1024
export const SEGMENT_BYTES_MAX = 64 * 1024 * 1024
/** How long a wait for the disk may take before it counts as failed. */
export const SYNC_WAIT_MS_MAX = 10_000
/** Bulk answers are synced sooner than by the clock, so that no sync grows long. */
export const UNSYNCED_BYTES_SYNC = 8 * 1024 * 1024
export const STALLED = "the record's disk does not answer"
const HEAD_EVERY_MS = 1_000
const HEAD_EVERY_BYTES = 1024 * 1024

/** What a log holds for certain: everything up to this is on disk. */
export interface Head {
  readonly log: string
  readonly segment: number
  readonly batch: number
  readonly hash: string
  /** Bytes of the plain segment up to here. */
  readonly bytes: number
  readonly atMs: number
  /** `open`: more may follow. `sealed`: the next segment follows. `closed`: nothing ever follows. */
  readonly state: 'open' | 'sealed' | 'closed'
}
/** The file calls that may fail; replaced by tests that inject failures. */
export interface Disk {
  write(file: number, bytes: Buffer, start: number, length: number): number
  sync(file: number, done: (error: Error | null) => void): void
  syncNow(file: number): void
}
export const realDisk: Disk = {
  write: (file, bytes, start, length) => writeSync(file, bytes, start, length),
  sync: (file, done) => { fdatasync(file, done) },
  syncNow: fdatasyncSync,
}
export interface LogParts {
  readonly folder: string
  readonly resource: string
  readonly writer: string
  readonly segmentBytesMax: number
  readonly disk: Disk
  readonly nowMs: () => number
  readonly onHead: (head: Head) => void
  readonly onFailure: (why: string) => void
}
interface Waiter { readonly position: number; readonly sinceMs: number; readonly resolve: () => void; readonly reject: (error: Error) => void }

export class Log {
  readonly #p: LogParts
  readonly #path: string
  #batch = new Batch(BATCH_BYTES)
  /** Names of the sessions that have frames here, for a new segment after a failure. */
  readonly #names = new Map<number, { id: string; sequence: number }>()
  #forgotten: number[] = []
  #file = -1
  #segment = 0
  #segmentBytes = 0
  #batches = 0
  #chain: Buffer = Buffer.alloc(0)
  /** Bytes ever appended, written and synced: marks to compare positions with. */
  #appended = 0
  #written = 0
  #synced = 0
  #safe: { point: Point; bytes: number } | null = null
  #told: { point: Point; bytes: number; atMs: number } | null = null
  #syncing = false
  #syncSoon = false
  #waiters: Waiter[] = []
  #turn: { calls: number; before: number; open: boolean; gathered: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } | null } = { calls: 0, before: 0, open: false, gathered: null }
  #failure: string | null = null
  #missed = 0
  /** A sync of the present file failed: a second one that succeeds would prove nothing. */
  #distrusted = false
  /** The file being left may hold more than is certain. */
  #doubt = false
  /** The present file has no head yet, and nothing but its header. */
  #beginning = false
  #syncedAtMs: number
  #stalled = false

  constructor(parts: LogParts) {
    this.#p = parts
    this.#path = join(parts.folder, parts.resource, parts.writer)
    this.#syncedAtMs = parts.nowMs()
    // A log that can't begin is kept, failed: it begins when the disk is well.
    try { this.#guarded(() => { this.#open() }) } catch { /* `failure` says it */ }
  }
  get failure(): string | null { return this.#failure }
  get written(): number { return this.#written }
  get synced(): number { return this.#synced }
  get segment(): number { return this.#segment }
  get unsyncedBytes(): number { return this.#appended - this.#synced }
  /** The disk does not answer: what it was told last is late beyond measure. Nothing is acknowledged, not even what the kernel holds. */
  get stalled(): boolean { return this.#stalled }
  /** Since when something waits for the disk; null when nothing does. */
  get unsyncedSinceMs(): number | null { return this.#appended > this.#synced ? this.#syncedAtMs : null }

  /** Room for one frame of at most this many body bytes, or RecordFailed; nothing of the frame exists before. */
  reserve(bodyBytes: number): Batch {
    if (this.#failure !== null) { this.#missed++; throw new RecordFailed(this.#failure) }
    if (!this.#batch.fits(bodyBytes)) {
      this.flush()
      if (!this.#batch.fits(bodyBytes)) this.#batch.grow(bodyBytes)
    }
    if (this.#appended === this.#synced) this.#syncedAtMs = this.#p.nowMs()
    return this.#batch
  }
  /** The frame in the reserved room is whole; answers its position. */
  added(bytes: number): number {
    this.#appended += bytes
    if (this.#appended - this.#synced > UNSYNCED_BYTES_SYNC) this.#soon()
    return this.#appended
  }
  name(session: number, id: string, sequence: number): void {
    this.#names.set(session, { id, sequence })
    const length = Buffer.byteLength(id)
    this.added(this.reserve(length).addText(CODE_NAMES, session, sequence, this.#p.nowMs(), performance.now(), id, length))
  }
  /** The session will append no more. */
  forget(session: number): void { this.#forgotten.push(session) }

  /** Hands the batch to the kernel: one hash, one write. */
  flush(): void {
    if (this.#failure !== null) throw new RecordFailed(this.#failure)
    if (this.#batch.empty) return
    this.#guarded(() => {
      this.#write(this.#batch)
      this.#written = this.#appended
      this.#batch.clear(BATCH_BYTES)
      for (const session of this.#forgotten) this.#names.delete(session)
      this.#forgotten = []
      if (this.#segmentBytes >= this.#p.segmentBytesMax && !this.#syncing) this.#rotate()
    })
  }

  /**
   * In the kernel's hands up to `position`. With one session at work the write happens here and now; when the last turn of the event
   * loop had several, this turn's are gathered into one write at its end.
   */
  kernel(position: number): true | Promise<void> {
    if (this.#stalled) return Promise.reject(new RecordFailed(STALLED))
    if (this.#written >= position) return true
    const turn = this.#turn
    turn.calls++
    if (!turn.open) { turn.open = true; setImmediate(this.#endTurn) }
    if (turn.gathered !== null) return turn.gathered.promise
    if (turn.before <= 1) {
      try { this.flush(); return true } catch (error) { return Promise.reject(error as Error) }
    }
    turn.gathered = Promise.withResolvers<void>()
    return turn.gathered.promise
  }
  readonly #endTurn = (): void => {
    const turn = this.#turn
    const { gathered } = turn
    turn.before = turn.calls
    turn.calls = 0
    turn.open = false
    turn.gathered = null
    if (gathered === null) return
    try { this.flush(); gathered.resolve() } catch (error) { gathered.reject(error as Error) }
  }

  /** On disk up to `position`; one sync serves all who ask before it starts. */
  disk(position: number): true | Promise<void> {
    if (this.#synced >= position) return true
    if (this.#failure !== null) return Promise.reject(new RecordFailed(this.#failure))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiters.push({ position, sinceMs: this.#p.nowMs(), resolve, reject })
    this.#soon()
    return promise
  }
  #soon(): void {
    if (this.#syncSoon || this.#syncing) return
    this.#syncSoon = true
    setImmediate(() => { this.#syncSoon = false; this.#sync() })
  }
  #sync(): void {
    if (this.#syncing || this.#failure !== null) return
    try { this.flush() } catch { return }
    if (this.#written === this.#synced) return
    const target = this.#written
    const safe = this.#end()
    const file = this.#file
    this.#syncing = true
    this.#p.disk.sync(file, (error) => {
      this.#syncing = false
      // The log may have failed meanwhile and gone on in another file.
      if (file !== this.#file) { closeQuietly(file); return }
      if (error !== null) { this.#distrusted = true; this.#fail(error); return }
      this.#settled(target, safe)
      if (this.#waiters.length > 0 || this.unsyncedBytes > UNSYNCED_BYTES_SYNC) this.#sync()
    })
  }
  #settled(target: number, safe: { point: Point; bytes: number }): void {
    this.#synced = target
    this.#stalled = false
    this.#syncedAtMs = this.#p.nowMs()
    this.#safe = safe
    const waiting = this.#waiters
    this.#waiters = waiting.filter(({ position }) => position > target)
    for (const waiter of waiting) if (waiter.position <= target) waiter.resolve()
    this.#tell('open', false)
  }

  /** Called a few times a second: bounds how long anything stays unsynced or untold. */
  tick(): void {
    const nowMs = this.#p.nowMs()
    if (this.#failure === null) { this.#sync(); if (this.#failure === null) this.#tell('open', false) }
    this.#stalled = this.#syncing && nowMs - this.#syncedAtMs > SYNC_WAIT_MS_MAX
    if (!this.#waiters.some(({ sinceMs }) => nowMs - sinceMs > SYNC_WAIT_MS_MAX)) return
    const late = this.#waiters.filter(({ sinceMs }) => nowMs - sinceMs > SYNC_WAIT_MS_MAX)
    this.#waiters = this.#waiters.filter((waiter) => !late.includes(waiter))
    for (const waiter of late) waiter.reject(new RecordFailed(STALLED))
  }

  /** Goes on in a new segment after a failure. */
  reopen(): void {
    if (this.#failure === null || this.#syncing) return
    const why = this.#failure
    const missed = this.#missed
    this.#failure = null
    this.#guarded(() => {
      this.#open()
      const first = new Batch(BATCH_BYTES)
      const nowMs = this.#p.nowMs()
      const note = JSON.stringify({ what: 'gap', why, missed })
      for (const [session, { id, sequence }] of this.#names) {
        if (!first.fits(id.length * 3)) { this.#write(first); first.clear(BATCH_BYTES) }
        first.addText(CODE_NAMES, session, sequence, nowMs, performance.now(), id, Buffer.byteLength(id))
      }
      if (!first.fits(note.length * 3 + 100)) { this.#write(first); first.clear(BATCH_BYTES) }
      const own = `log-${this.#p.writer}`
      first.addText(CODE_NAMES, 0, this.#segment, nowMs, performance.now(), own, Buffer.byteLength(own))
      first.addText(codeOf.get('note')!, 0, this.#segment, nowMs, performance.now(), note, Buffer.byteLength(note))
      this.#write(first)
      this.#missed = 0
      this.flush()
    })
    this.#sync()
  }

  async close(): Promise<void> {
    if (this.#failure === null) {
      await Promise.resolve(this.disk(this.#appended)).catch(() => {})
      while (this.#syncing) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    if (this.#failure === null) this.#guarded(() => { this.#syncNow(); this.#safe = this.#end(); this.#tell('closed', true) })
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new RecordFailed('the record was closed'))
    this.#failure ??= 'the record was closed'
    if (this.#file >= 0) closeQuietly(this.#file)
    this.#file = -1
  }

  #open(): void {
    const segment = this.#segment + 1
    mkdirSync(this.#path, { recursive: true, mode: 0o700 })
    const file = openSync(join(this.#path, segmentName(segment)), 'ax', 0o600)
    const previous = this.#safe?.point ?? null
    const header = encodeHeader({ resource: this.#p.resource, writer: this.#p.writer, segment, madeAtMs: this.#p.nowMs(), previous, afterFailure: this.#doubt })
    this.#beginning = true
    this.#segment = segment
    this.#file = file
    this.#distrusted = false
    this.#stalled = false
    this.#segmentBytes = 0
    this.#batches = 0
    this.#writeAll(header.bytes, 0, header.bytes.length)
    this.#chain = header.hash
    this.#syncNow()
    for (const folder of [this.#path, join(this.#path, '..'), this.#p.folder]) syncFolder(folder)
    this.#beginning = false
    this.#doubt = false
    this.#safe = this.#end()
    this.#tell('open', true)
  }
  #syncNow(): void {
    try { this.#p.disk.syncNow(this.#file) } catch (error) { this.#distrusted = true; throw error }
  }
  #rotate(): void {
    this.#syncNow()
    this.#settled(this.#written, this.#end())
    this.#tell('sealed', true)
    const left = this.#file
    // Before anything can fail: the number of a closed file may soon be another's.
    this.#file = -1
    closeSync(left)
    this.#open()
  }
  #write(batch: Batch): void {
    const bytes = batch.seal(this.#chain, this.#batches + 1)
    this.#writeAll(bytes, 0, bytes.length)
    this.#batches++
    this.#chain = batch.hash
  }
  #writeAll(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      const wrote = this.#p.disk.write(this.#file, bytes, at, end - at)
      if (wrote <= 0) throw new Error('nothing could be written')
      at += wrote
    }
    this.#segmentBytes += end - start
  }
  #end(): { point: Point; bytes: number } {
    return { point: { segment: this.#segment, batch: this.#batches, hash: this.#chain.toString('hex') }, bytes: this.#segmentBytes }
  }
  #tell(state: Head['state'], now: boolean): void {
    const safe = this.#safe
    if (safe === null) return
    const nowMs = this.#p.nowMs()
    const told = this.#told
    if (!now) {
      if (told !== null && told.point.hash === safe.point.hash) return
      if (told !== null && nowMs - told.atMs < HEAD_EVERY_MS && safe.bytes - told.bytes < HEAD_EVERY_BYTES) return
    }
    this.#told = { ...safe, atMs: nowMs }
    this.#p.onHead({ log: logName(this.#p.resource, this.#p.writer), ...safe.point, bytes: safe.bytes, atMs: nowMs, state })
  }

  #guarded(step: () => void): void {
    try { step() } catch (error) {
      if (this.#failure === null) this.#fail(error as Error)
      throw error instanceof RecordFailed ? error : new RecordFailed(this.#failure!, error)
    }
  }
  /** Leaves the file as it was after its last whole batch, for certain; false when that is not to be had. */
  #cutBack(): boolean {
    if (this.#distrusted) return false
    try {
      const end = this.#end()
      ftruncateSync(this.#file, end.bytes)
      this.#p.disk.syncNow(this.#file)
      this.#safe = end
      this.#synced = this.#written
      return true
    } catch { return false }
  }
  #unbegin(): void {
    this.#beginning = false
    try {
      unlinkSync(join(this.#path, segmentName(this.#segment)))
      this.#segment--
    } catch { this.#doubt = true }
  }
  /** A write that failed can be cut off again; after a failed sync only what was synced before is certain. */
  #fail(error: Error): void {
    const code = (error as NodeJS.ErrnoException).code ?? error.message
    this.#failure = `the record can't be written (${code})`
    if (this.#beginning) this.#unbegin()
    else if (this.#file >= 0) this.#doubt = !this.#cutBack()
    if (this.#file >= 0 && !this.#syncing) closeQuietly(this.#file)
    this.#file = -1
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.position <= this.#synced) waiter.resolve()
      else waiter.reject(new RecordFailed(this.#failure, error))
    }
    this.#p.onFailure(this.#failure)
  }
}

function closeQuietly(file: number): void { try { closeSync(file) } catch { /* it is given up anyway */ } }
export function syncFolder(folder: string): void {
  const file = openSync(folder, 'r')
  try { fsyncSync(file) } finally { closeSync(file) }
}
