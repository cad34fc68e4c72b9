// One append-only log of one worker and resource, shared by many sessions: frames gather in a batch, what is new of it is one write, a
// link (one hash) ends it when it is synced, and a sync is shared by all who wait for it. A file that failed once is never written to
// again, save for the link that ends it: what was not written yet goes to a new segment when the disk is well. It must never say that
// something is durable which is not.
import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { RecordFailed } from '../../core/errors.ts'
import { Batch } from './batch.ts'
import { CODE_NAMES, codeOf, encodeHeader, HASH_BYTES, LINK_BYTES, logName, type Point, segmentName } from './layout.ts'
import { prepareFile, syncFolder } from './prepare.ts'

export const BATCH_BYTES = 256 * 1024
export const SEGMENT_BYTES_MAX = 64 * 1024 * 1024
/** A segment with events is left after this, so that compressing, sealing and retention reach a quiet resource too. */
export const SEGMENT_MS_MAX = 15 * 60_000
/** How long a wait for the disk may take before it counts as failed. */
export const SYNC_WAIT_MS_MAX = 10_000
/** Bulk answers are synced sooner than by the clock, so that no sync grows long. */
export const UNSYNCED_BYTES_SYNC = 8 * 1024 * 1024
export const STALLED = "the record's disk does not answer"
const HEAD_EVERY_MS = 1_000
const HEAD_EVERY_BYTES = 1024 * 1024
/** One session's calls are watched this seldom for others beside it. */
const WATCH_EVERY = 16

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
  write(file: number, bytes: Buffer, start: number, length: number, position: number): number
  sync(file: number, done: (error: Error | null) => void): void
  syncNow(file: number): void
}
export const realDisk: Disk = {
  write: (file, bytes, start, length, position) => writeSync(file, bytes, start, length, position),
  sync: (file, done) => { fdatasync(file, done) },
  syncNow: fdatasyncSync,
}
/** What a worker's logs share. */
export interface Shared {
  /** Bytes of all logs that are not on disk. */
  unsynced: number
  /** Wall less monotonic time: asked for a few times a second, not per event. */
  wallLessMonotonicMs: number
}
export interface LogParts {
  readonly folder: string
  readonly resource: string
  readonly writer: string
  readonly segmentBytesMax: number
  readonly segmentMsMax: number
  /** What may wait in memory while the disk fails. */
  readonly unsyncedBytesMax: number
  readonly shared: Shared
  readonly disk: Disk
  readonly nowMs: () => number
  readonly onHead: (head: Head) => void
  readonly onFailure: (why: string) => void
}
interface Waiter { readonly position: number; readonly sinceMs: number; readonly resolve: () => void; readonly reject: (error: Error) => void }
interface Certain { readonly point: Point; readonly bytes: number }
interface Left extends Certain { readonly file: number; readonly target: number }

export class Log {
  readonly #p: LogParts
  readonly #path: string
  readonly #batch = new Batch(BATCH_BYTES)
  /** Names of the sessions that have frames here, for a new segment after a failure. */
  readonly #names = new Map<number, { id: string; sequence: number }>()
  #forgotten: number[] = []
  #file = -1
  #segment = 0
  #segmentBytes = 0
  #madeAtMs = 0
  #batches = 0
  #chain: Buffer = Buffer.alloc(0)
  /** Its header, which its first batch follows. */
  #begin: Certain | null = null
  /** Bytes ever appended, written and synced: marks to compare positions with. */
  #appended = 0
  #written = 0
  #synced = 0
  #safe: Certain | null = null
  #told: (Certain & { readonly atMs: number }) | null = null
  /** The file being synced, which nobody closes meanwhile; -1 when none is. */
  #syncFile = -1
  #syncSoon = false
  #waiters: Waiter[] = []
  #turn: { calls: number; before: number; open: boolean; direct: number; gathered: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } | null } = { calls: 0, before: 0, open: false, direct: 0, gathered: null }
  #failure: string | null = null
  #closed = false
  #missed = 0
  /** A sync of the present file failed: a second one that succeeds would prove nothing. */
  #distrusted = false
  /** The file being left may hold more than is certain. */
  #doubt = false
  /** The failed file still lacks the link that ends it. */
  #endDue = false
  /** The present file has no head yet, and nothing but its header. */
  #beginning = false
  /** The next segment's file, made while this one is still written. */
  #preparing = false
  #next = -1
  /** The segment that was left, until it is synced; the present one's header waits for that too. */
  #left: Left | null = null
  #headerSynced = true
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

  /**
   * Room for one frame of at most this many body bytes, or RecordFailed; nothing of the frame exists before. While the disk fails, what
   * begins (`refusable`) is refused, and what tells the rest of something waits in memory, as far as that goes.
   */
  reserve(bodyBytes: number, refusable: boolean): Batch {
    if (this.#failure !== null) {
      if (refusable || this.#closed || this.#p.shared.unsynced + bodyBytes > this.#p.unsyncedBytesMax) { this.#missed++; throw new RecordFailed(this.#failure) }
      if (!this.#batch.fits(bodyBytes)) this.#batch.grow(bodyBytes)
    } else if (!this.#batch.fits(bodyBytes)) {
      this.#link()
      if (!this.#batch.fits(bodyBytes)) this.#batch.grow(bodyBytes)
    }
    if (this.#appended === this.#synced) this.#syncedAtMs = this.#p.nowMs()
    return this.#batch
  }
  /** The frame in the reserved room is whole; answers its position. */
  added(bytes: number): number {
    this.#appended += bytes
    this.#p.shared.unsynced += bytes
    if (this.#appended - this.#synced > UNSYNCED_BYTES_SYNC) this.#soon()
    return this.#appended
  }
  name(session: number, id: string, sequence: number, refusable: boolean): void {
    this.#names.set(session, { id, sequence })
    const monotonicMs = performance.now()
    this.added(this.reserve(id.length * 3, refusable).addText(CODE_NAMES, session, sequence, this.#wall(monotonicMs), monotonicMs, id))
  }
  #wall(monotonicMs: number): number { return Math.floor(monotonicMs + this.#p.shared.wallLessMonotonicMs) }
  /** The session will append no more. */
  forget(session: number): void { this.#forgotten.push(session) }

  /** Hands what is new to the kernel: one write. */
  flush(): void {
    if (this.#failure !== null) throw new RecordFailed(this.#failure)
    try { this.#writeNew() } catch (error) { throw this.#failed(error) }
    if (this.#segmentBytes >= this.#p.segmentBytesMax) this.#turnOver()
  }
  #writeNew(): void {
    const batch = this.#batch
    if (batch.written === batch.used) return
    this.#writeAll(batch.bytes, batch.written, batch.used)
    batch.wrote()
    this.#written = this.#appended
    if (this.#forgotten.length > 0) { for (const session of this.#forgotten) this.#names.delete(session); this.#forgotten = [] }
  }
  /** Ends the batch, so that a head may speak of it. */
  #link(): void {
    if (this.#failure !== null) throw new RecordFailed(this.#failure)
    if (this.#batch.empty) return
    this.#guarded(() => {
      const hash = this.#batch.link(this.#batches + 1)
      try { this.#writeNew() } catch (error) { this.#batch.unlink(); throw error }
      this.#batches++
      this.#chain = hash
      this.#batch.next(hash, BATCH_BYTES)
    })
    if (this.#segmentBytes >= this.#p.segmentBytesMax) this.#turnOver()
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
    if (turn.gathered !== null) return turn.gathered.promise
    if (turn.before <= 1) {
      if (!turn.open && ++turn.direct >= WATCH_EVERY) { turn.direct = 0; turn.calls = 1; turn.open = true; setImmediate(this.#endTurn) }
      try { this.flush(); return true } catch (error) { return Promise.reject(error as Error) }
    }
    if (!turn.open) { turn.open = true; setImmediate(this.#endTurn) }
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
    if (this.#syncSoon || this.#syncFile >= 0) return
    this.#syncSoon = true
    setImmediate(() => { this.#syncSoon = false; this.#sync() })
  }
  /** The segment that was left before the present one: heads, like the chain, go in order. */
  #sync(): void {
    if (this.#syncFile >= 0 || this.#failure !== null) return
    if (this.#left === null) {
      try { this.#link() } catch { return }
      if (this.#written === this.#synced && this.#headerSynced) return
    }
    const target: Left = this.#left ?? { ...this.#end(), file: this.#file, target: this.#written }
    this.#syncFile = target.file
    this.#p.disk.sync(target.file, (error) => {
      this.#syncFile = -1
      // The log may have failed meanwhile and gone on in another file.
      if (target.file !== this.#file && target.file !== this.#left?.file) { closeQuietly(target.file); return }
      if (error !== null) { this.#distrusted = true; this.#fail(error); return }
      const leaves = target === this.#left
      if (leaves) { this.#left = null; closeQuietly(target.file) }
      else if (target.file === this.#file) this.#headerSynced = true
      this.#settled(target, leaves ? 'sealed' : 'open')
      if (leaves || this.#left !== null || this.#waiters.length > 0 || this.unsyncedBytes > UNSYNCED_BYTES_SYNC) this.#sync()
    })
  }
  #settled({ point, bytes, target }: Certain & { target: number }, state: Head['state']): void {
    this.#p.shared.unsynced -= target - this.#synced
    this.#synced = target
    this.#stalled = false
    this.#syncedAtMs = this.#p.nowMs()
    this.#safe = { point, bytes }
    const waiting = this.#waiters
    this.#waiters = waiting.filter(({ position }) => position > target)
    for (const waiter of waiting) if (waiter.position <= target) waiter.resolve()
    this.#tell(state, state !== 'open')
  }

  /** Called a few times a second: bounds how long anything stays unsynced, untold or in one segment. */
  tick(): void {
    const nowMs = this.#p.nowMs()
    if (this.#failure === null) { this.#sync(); if (this.#failure === null) this.#tell('open', false) }
    if (this.#failure === null && this.#batches > 0 && Math.abs(nowMs - this.#madeAtMs) >= this.#p.segmentMsMax) this.#turnOver()
    this.#stalled = this.#syncFile >= 0 && nowMs - this.#syncedAtMs > SYNC_WAIT_MS_MAX
    if (!this.#waiters.some(({ sinceMs }) => nowMs - sinceMs > SYNC_WAIT_MS_MAX)) return
    const late = this.#waiters.filter(({ sinceMs }) => nowMs - sinceMs > SYNC_WAIT_MS_MAX)
    this.#waiters = this.#waiters.filter((waiter) => !late.includes(waiter))
    for (const waiter of late) waiter.reject(new RecordFailed(STALLED))
  }

  // ---- segments

  /** Goes on in a new segment as soon as its file is there: what is slow about that is done behind the path. */
  #turnOver(): void {
    if (this.#preparing || this.#next >= 0 || this.#left !== null || this.#closed) return
    this.#preparing = true
    const path = join(this.#path, segmentName(this.#segment + 1))
    prepareFile(path, (error, file) => {
      this.#preparing = false
      if (this.#failure !== null || this.#closed) { if (error === null) discard(path, file); return }
      if (error !== null) { this.#fail(error); return }
      this.#next = file
      try { this.#switch() } catch { if (this.#next >= 0) discard(path, this.#next); this.#next = -1 }
    })
  }
  #switch(): void {
    this.#link()
    this.#guarded(() => {
      const left: Left = { ...this.#end(), file: this.#file, target: this.#written }
      const header = this.#header(this.#segment + 1, left.point)
      if (this.#p.disk.write(this.#next, header.bytes, 0, header.bytes.length, 0) !== header.bytes.length) throw new Error('nothing could be written')
      this.#left = left
      this.#headerSynced = false
      this.#become(this.#segment + 1, this.#next, header)
      this.#next = -1
    })
    this.#soon()
  }
  #header(segment: number, previous: Point | null): { bytes: Buffer; hash: Buffer } {
    this.#madeAtMs = this.#p.nowMs()
    return encodeHeader({ resource: this.#p.resource, writer: this.#p.writer, segment, madeAtMs: this.#madeAtMs, previous, afterFailure: this.#doubt })
  }
  #become(segment: number, file: number, header: { bytes: Buffer; hash: Buffer }): void {
    this.#segment = segment
    this.#file = file
    this.#segmentBytes = header.bytes.length
    this.#batches = 0
    this.#chain = header.hash
    this.#batch.begin(header.hash)
    this.#begin = this.#end()
  }
  /** At the start and after a failure, when there is nothing to go on with meanwhile. */
  #open(): void {
    const segment = this.#segment + 1
    mkdirSync(this.#path, { recursive: true, mode: 0o700 })
    const file = openSync(join(this.#path, segmentName(segment)), 'wx', 0o600)
    const header = this.#header(segment, this.#safe?.point ?? null)
    this.#beginning = true
    this.#distrusted = false
    this.#stalled = false
    this.#segment = segment
    this.#file = file
    this.#segmentBytes = 0
    this.#writeAll(header.bytes, 0, header.bytes.length)
    this.#become(segment, file, header)
    this.#syncNow()
    for (const folder of [this.#path, join(this.#path, '..'), this.#p.folder]) syncFolder(folder)
    this.#beginning = false
    this.#doubt = false
    this.#headerSynced = true
    this.#safe = this.#end()
    this.#tell('open', true)
  }

  /** Goes on in a new segment after a failure, with what waited in memory. */
  reopen(): void {
    if (this.#failure === null || this.#syncFile >= 0 || this.#preparing || this.#closed) return
    const why = this.#failure
    const missed = this.#missed
    this.#failure = null
    this.#guarded(() => {
      if (this.#endDue) this.#endLeftFile()
      const waited = this.#batch.unwritten()
      this.#batch.next(this.#chain, BATCH_BYTES)
      try {
        this.#open()
        const own = `log-${this.#p.writer}`
        const note = JSON.stringify({ what: 'gap', why, missed })
        const monotonicMs = performance.now(), wallMs = this.#wall(monotonicMs)
        const add = (code: number, session: number, sequence: number, text: string) => {
          if (!this.#batch.fits(text.length * 3)) this.#batch.grow(text.length * 3)
          this.#batch.addText(code, session, sequence, wallMs, monotonicMs, text)
        }
        for (const [session, { id, sequence }] of this.#names) add(CODE_NAMES, session, sequence, id)
        add(CODE_NAMES, 0, this.#segment, own)
        add(codeOf.get('note')!, 0, this.#segment, note)
      } catch (error) { this.#batch.next(this.#chain, BATCH_BYTES); this.#batch.addFrames(waited); throw error }
      this.#batch.addFrames(waited)
      this.#writeNew()
      this.#missed = 0
    })
    this.#sync()
  }
  /** The link that the failed file still lacks: what it holds behind the last one is whole, and was acknowledged. */
  #endLeftFile(): void {
    const link = this.#batch.linkWritten(this.#batches + 1)
    const file = openSync(join(this.#path, segmentName(this.#segment)), 'r+')
    try {
      if (link !== null) {
        if (this.#p.disk.write(file, link, 0, link.length, this.#segmentBytes) !== link.length) throw new Error('nothing could be written')
        this.#segmentBytes += link.length
        this.#batches++
        this.#chain = Buffer.from(link.subarray(LINK_BYTES - HASH_BYTES))
        // Its frames are in that file: only the others go on.
        const waited = this.#batch.unwritten()
        this.#batch.next(this.#chain, BATCH_BYTES)
        this.#batch.addFrames(waited)
      }
      try { this.#p.disk.syncNow(file) } catch (error) { this.#doubt = true; this.#endDue = false; throw error }
      this.#safe = this.#end()
      this.#endDue = false
    } finally { closeSync(file) }
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#failure === null) {
      await Promise.resolve(this.disk(this.#appended)).catch(() => {})
      while (this.#syncFile >= 0 || this.#preparing || this.#left !== null) { if (this.#failure !== null) break; this.#sync(); await new Promise((resolve) => setTimeout(resolve, 5)) }
    }
    if (this.#failure === null) try { this.#link(); this.#guarded(() => { this.#syncNow(); this.#safe = this.#end(); this.#tell('closed', true) }) } catch { /* `failure` says it */ }
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new RecordFailed('the record was closed'))
    this.#failure ??= 'the record was closed'
    this.#p.shared.unsynced -= this.#appended - this.#synced
    this.#synced = this.#appended
    if (this.#file >= 0) closeQuietly(this.#file)
    this.#file = -1
  }

  #syncNow(): void {
    try { this.#p.disk.syncNow(this.#file) } catch (error) { this.#distrusted = true; throw error }
  }
  #writeAll(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      const wrote = this.#p.disk.write(this.#file, bytes, at, end - at, this.#segmentBytes + at - start)
      if (wrote <= 0) throw new Error('nothing could be written')
      at += wrote
    }
    this.#segmentBytes += end - start
  }
  #end(): Certain { return { point: { segment: this.#segment, batch: this.#batches, hash: this.#chain.toString('hex') }, bytes: this.#segmentBytes } }
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

  // ---- failures

  #guarded(step: () => void): void { try { step() } catch (error) { throw this.#failed(error) } }
  #failed(error: unknown): RecordFailed {
    if (this.#failure === null) this.#fail(error as Error)
    return error instanceof RecordFailed ? error : new RecordFailed(this.#failure!, error)
  }
  /** Leaves the file as it was after its last whole frame, for certain; false when that is not to be had. */
  #cutBack(): boolean {
    if (this.#distrusted || this.#left !== null) return false
    try {
      ftruncateSync(this.#file, this.#segmentBytes)
      this.#p.disk.syncNow(this.#file)
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
    if (this.#beginning) { if (this.#file >= 0) closeQuietly(this.#file); this.#unbegin() }
    else if (this.#file >= 0) {
      this.#doubt = !this.#cutBack()
      this.#endDue = !this.#doubt
      // What is certain of a segment of which nothing was synced is that it follows the one before it.
      if (this.#doubt && this.#safe?.point.segment !== this.#segment) this.#safe = this.#begin
      for (const file of [this.#file, this.#left?.file ?? -1]) if (file >= 0 && file !== this.#syncFile) closeQuietly(file)
      this.#left = null
    }
    this.#file = -1
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.position <= this.#synced) waiter.resolve()
      else waiter.reject(new RecordFailed(this.#failure, error))
    }
    this.#p.onFailure(this.#failure)
  }
}

function closeQuietly(file: number): void { try { closeSync(file) } catch { /* it is given up anyway */ } }
function discard(path: string, file: number): void { closeQuietly(file); try { unlinkSync(path) } catch { /* the next start takes it away: it holds nothing */ } }
