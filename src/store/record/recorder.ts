// A worker's Recorder: sessions append to the log of their resource; a clock bounds how long anything is unsynced; failures refuse
// until a probe shows that the disk is well. What it acknowledged is in the record, or it must not acknowledge.
import { closeSync, mkdirSync, openSync, statfs, type StatsFs, statfsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { RecordFailed } from '../../core/errors.ts'
import type { Durability, EventKind, Outcome, Recorder, SessionRecord } from '../../core/record.ts'
import { codeOf, ENDED_BYTES, EVENT_BYTES_MAX, outcomeCode, SAFE_NAME, SESSION_ID_BYTES_MAX } from './layout.ts'
import { BATCH_BYTES, type Disk, type Head, Log, realDisk, SEGMENT_BYTES_MAX, SEGMENT_MS_MAX, type Shared, STALLED } from './log.ts'

const TICK_MS = 100
const PROBE_EVERY_MS = 1_000
const PROBE_BYTES = 64 * 1024
export const FREE_BYTES_MIN = 500 * 1024 * 1024
/** What a session, and all of a worker, may have written that is not on disk: beyond it, reading from the server stops. */
export const SESSION_UNSYNCED_BYTES_MAX = 1024 * 1024
export const WORKER_UNSYNCED_BYTES_MAX = 64 * 1024 * 1024
/** What may wait in memory while the disk fails: the rest of answers to what was recorded, until reading from the server stops. */
const HELD_BYTES_MAX = WORKER_UNSYNCED_BYTES_MAX * 2
/** A session's bound counts only while the disk is this late, else every bulk read would wait for every sync. */
const LATE_MS = 1_000
/** An answer is split, so that no batch grows for it. */
const ANSWER_BYTES_MAX = BATCH_BYTES / 2
const LONG_TEXT = 16 * 1024

export interface RecorderOptions {
  /** `<data>/recordings`. */
  readonly folder: string
  /** The worker's boot id: unique for ever. */
  readonly writer: string
  readonly onHead: (head: Head) => void
  readonly onFailure?: (why: string | null) => void
  readonly freeBytesMin?: number
  readonly segmentBytesMax?: number
  readonly segmentMsMax?: number
  readonly disk?: Disk
  readonly nowMs?: () => number
}

export function openRecorder(options: RecorderOptions): FileRecorder { return new FileRecorder(options) }

export class FileRecorder implements Recorder {
  readonly #o: RecorderOptions
  readonly #logs = new Map<string, Log>()
  readonly #timer: NodeJS.Timeout
  readonly #nowMs: () => number
  readonly #shared: Shared = { unsynced: 0, wallLessMonotonicMs: 0 }
  #sessions = 0
  #broken: string | null = null
  #low: string | null = null
  #probedAtMs = 0
  #probing = false
  #closed = false

  constructor(options: RecorderOptions) {
    if (!SAFE_NAME.test(options.writer)) throw new RecordFailed('a boot id has only letters, digits, dots and dashes')
    this.#o = options
    this.#nowMs = options.nowMs ?? Date.now
    this.#shared.wallLessMonotonicMs = this.#nowMs() - performance.now()
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    this.#timer = setInterval(() => { this.#tick() }, TICK_MS).unref()
    this.#space(null, statfsSync(options.folder))
  }
  get failure(): string | null { return this.#closed ? 'the record was closed' : this.#broken ?? (this.#isStalled() ? STALLED : this.#low) }
  #isStalled(): boolean {
    for (const log of this.#logs.values()) if (log.stalled) return true
    return false
  }
  get unsyncedBytes(): number { return this.#shared.unsynced }

  session(id: string, resource: string): SessionRecord {
    if (this.failure !== null) throw new RecordFailed(this.failure)
    if (!SAFE_NAME.test(resource)) throw new RecordFailed('this resource name cannot be recorded')
    if (id === '' || Buffer.byteLength(id) > SESSION_ID_BYTES_MAX) throw new RecordFailed('this session id cannot be recorded')
    let log = this.#logs.get(resource)
    if (log === undefined) {
      log = this.#openLog(resource)
      this.#logs.set(resource, log)
    }
    if (log.failure !== null) throw new RecordFailed(log.failure)
    return new FileSession(this, log, id, ++this.#sessions, this.#shared)
  }
  #openLog(resource: string): Log {
    const { folder, writer, onHead } = this.#o
    return new Log({
      folder, resource, writer, onHead, nowMs: this.#nowMs, disk: this.#o.disk ?? realDisk, segmentBytesMax: this.#o.segmentBytesMax ?? SEGMENT_BYTES_MAX,
      segmentMsMax: this.#o.segmentMsMax ?? SEGMENT_MS_MAX, unsyncedBytesMax: HELD_BYTES_MAX, shared: this.#shared,
      onFailure: (why) => { this.#setBroken(why); this.#probedAtMs = this.#nowMs() },
    })
  }
  #setBroken(why: string | null): void {
    if (this.#broken === why) return
    this.#broken = why
    this.#o.onFailure?.(this.failure)
  }

  #tick(): void {
    this.#shared.wallLessMonotonicMs = this.#nowMs() - performance.now()
    for (const log of this.#logs.values()) log.tick()
    if (this.#nowMs() - this.#probedAtMs >= PROBE_EVERY_MS || this.#nowMs() < this.#probedAtMs) this.#probe()
  }
  /** Free space, and after a failure whether a file can be written and synced again. */
  #probe(): void {
    if (this.#probing) return
    this.#probing = true
    this.#probedAtMs = this.#nowMs()
    statfs(this.#o.folder, (error, stats) => {
      this.#probing = false
      if (this.#closed) return
      this.#space(error, stats)
      if (this.#broken !== null) this.#recover()
    })
  }
  #space(error: NodeJS.ErrnoException | null, stats: StatsFs): void {
    const least = this.#o.freeBytesMin ?? FREE_BYTES_MIN
    const low = error !== null ? `the record's disk can't be read (${error.code})` : stats.bavail * stats.bsize < least ? `the record's disk has less than ${Math.round(least / 1048576)} MiB free` : null
    if (low === this.#low) return
    this.#low = low
    this.#o.onFailure?.(this.failure)
  }
  #recover(): void {
    const path = join(this.#o.folder, `.probe-${this.#o.writer}`)
    try {
      const disk = this.#o.disk ?? realDisk
      const file = openSync(path, 'w', 0o600)
      try {
        const wrote = disk.write(file, Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, 0)
        if (wrote !== PROBE_BYTES) throw new Error('short write')
        disk.syncNow(file)
      } finally { closeSync(file); unlinkSync(path) }
      for (const log of this.#logs.values()) {
        if (log.failure === null) continue
        log.reopen()
        if (log.failure !== null) return
      }
    } catch { return }
    this.#setBroken(null)
  }

  /** Used by sessions. */
  isBehind(log: Log, sessionUnsynced: number): boolean {
    if (this.#shared.unsynced > WORKER_UNSYNCED_BYTES_MAX) return true
    if (log.failure !== null) return sessionUnsynced > SESSION_UNSYNCED_BYTES_MAX
    const since = log.unsyncedSinceMs
    return since !== null && sessionUnsynced > SESSION_UNSYNCED_BYTES_MAX && this.#nowMs() - since > LATE_MS
  }
  async close(): Promise<void> {
    if (this.#closed) return
    clearInterval(this.#timer)
    await Promise.all([...this.#logs.values()].map((log) => log.close()))
    this.#closed = true
  }
}

class FileSession implements SessionRecord {
  readonly #recorder: FileRecorder
  readonly #log: Log
  readonly #id: string
  readonly #number: number
  readonly #shared: Shared
  #sequence = 0
  #position = 0
  #unsynced = 0
  #namedIn = 0
  #closed = false

  constructor(recorder: FileRecorder, log: Log, id: string, number: number, shared: Shared) {
    this.#recorder = recorder
    this.#log = log
    this.#id = id
    this.#number = number
    this.#shared = shared
  }

  append(kind: EventKind, body: string): void {
    const code = codeOf.get(kind)
    if (code === undefined || kind === 'answer') throw new RecordFailed('not an event that has a text')
    // A character has up to three bytes; only for long texts it pays to count them.
    const most = body.length > LONG_TEXT ? Buffer.byteLength(body) : body.length * 3
    if (most > EVENT_BYTES_MAX) throw new RecordFailed(`an event may have at most ${EVENT_BYTES_MAX} bytes`)
    const batch = this.#room(most, kind === 'asked')
    const monotonicMs = performance.now()
    this.#added(batch.addText(code, this.#number, ++this.#sequence, this.#wall(monotonicMs), monotonicMs, body))
  }
  ended(run: number, outcome: Outcome, rows: number, bytes: number, detail: string): void {
    const batch = this.#room(ENDED_BYTES + detail.length * 3, false)
    const monotonicMs = performance.now()
    this.#added(batch.addEnded(this.#number, ++this.#sequence, this.#wall(monotonicMs), monotonicMs, outcomeCode.get(outcome)!, run, rows, bytes, detail))
  }
  answer(run: number, bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += ANSWER_BYTES_MAX) {
      const stop = Math.min(end, at + ANSWER_BYTES_MAX)
      const batch = this.#room(stop - at, false)
      const monotonicMs = performance.now()
      this.#added(batch.addAnswer(this.#number, ++this.#sequence, this.#wall(monotonicMs), monotonicMs, run, bytes, at, stop))
    }
  }
  #wall(monotonicMs: number): number { return Math.floor(monotonicMs + this.#shared.wallLessMonotonicMs) }
  #room(bodyBytes: number, refusable: boolean) {
    if (this.#closed) throw new RecordFailed('the session was closed')
    const log = this.#log
    let batch = log.reserve(bodyBytes, refusable)
    // A new segment may begin while room is made: the name must stand in the one that the frame goes to.
    while (this.#namedIn !== log.segment) {
      log.name(this.#number, this.#id, this.#sequence + 1, refusable)
      this.#namedIn = log.segment
      batch = log.reserve(bodyBytes, refusable)
    }
    return batch
  }
  #added(bytes: number): void {
    if (this.#log.synced >= this.#position) this.#unsynced = 0
    this.#unsynced += bytes
    this.#position = this.#log.added(bytes)
  }
  durable(strength: Durability): true | Promise<void> {
    return strength === 'kernel' ? this.#log.kernel(this.#position) : this.#log.disk(this.#position)
  }
  get behind(): boolean { return this.#recorder.isBehind(this.#log, this.#log.synced >= this.#position ? 0 : this.#unsynced) }
  /** However long it takes: the limits of time of who waits hold. */
  async caughtUp(): Promise<void> {
    while (this.behind) {
      if (this.#log.failure === null) await Promise.resolve(this.#log.disk(this.#position)).catch(() => {})
      if (this.behind) await new Promise((resolve) => setTimeout(resolve, TICK_MS / 4))
    }
  }
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#log.forget(this.#number)
  }
}
