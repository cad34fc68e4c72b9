// The supervisor's side of heads: signs what workers say their logs hold, and keeps it here and in the second place. It also records
// what people do in Sluice itself. The key is made at the first start and never leaves this machine's disk and memory.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { closeSync, existsSync, fdatasync, fsyncSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { RecordFailed } from '../../core/errors.ts'
import type { SessionRecord } from '../../core/record.ts'
import { type Entry, fileOf, FIRST_PREVIOUS, HEADS_BYTES_MAX, headsName, lineHash, newestHeads, readHeads, signEntry, type SignedEntry } from './heads.ts'
import { logName } from './layout.ts'
import type { Head } from './log.ts'
import { syncFolder } from './prepare.ts'
import { FileRecorder } from './recorder.ts'

export const ADMIN_RESOURCE = '_admin'
const KEY_NAME = 'record.pem'
const SYNC_WITHIN_MS = 200

export interface KeeperOptions {
  readonly data: string
  /** The folder of the second place; null: there is none. */
  readonly second: string | null
  readonly nowMs?: () => number
  readonly freeBytesMin?: number
  readonly headsBytesMax?: number
}
/** What the heads say of a log. */
export interface LogState { readonly log: string; readonly last: Extract<SignedEntry, { kind: 'head' | 'crash' }>; readonly over: boolean }

export class HeadKeeper {
  readonly folder: string
  readonly publicKey: KeyObject
  readonly #key: KeyObject
  readonly #nowMs: () => number
  #own: number
  /** Which file of heads is in force, and from which size on the next one begins. */
  #headsFile: number
  #turnBytes: number
  readonly #headsBytesMax: number
  #second: number | null = null
  readonly #secondFolder: string | null
  #written = 0
  #secondWritten = 0
  #number = 0
  #previous = FIRST_PREVIOUS
  readonly #logs = new Map<string, LogState>()
  readonly #retired = new Map<string, Extract<SignedEntry, { kind: 'retired' }>>()
  #syncTimer: NodeJS.Timeout | null = null
  #admin: { recorder: FileRecorder; session: SessionRecord } | null = null
  readonly #writer = `supervisor-${randomBytes(6).toString('hex')}`
  readonly #freeBytesMin: number | undefined
  /** Why the second place does not get what it should; null when it does. */
  secondFailure: string | null = null

  static async open(options: KeeperOptions): Promise<HeadKeeper> { return new HeadKeeper(options) }

  private constructor(options: KeeperOptions) {
    this.folder = join(options.data, 'recordings')
    this.#nowMs = options.nowMs ?? Date.now
    this.#freeBytesMin = options.freeBytesMin
    mkdirSync(this.folder, { recursive: true, mode: 0o700 })
    this.#key = openRecordKey(join(options.data, 'keys'))
    this.publicKey = createPublicKey(this.#key)
    this.#secondFolder = options.second
    this.#headsBytesMax = options.headsBytesMax ?? HEADS_BYTES_MAX
    this.#headsFile = Math.max(1, newestHeads(readdirSync(this.folder)), options.second === null ? 0 : newestHeads(namesIn(options.second)))
    const path = this.#headsPath
    this.#own = openSync(path, 'a+', 0o600)
    const own = this.#restore(readFileSync(path))
    const { lines, entries, badLine } = readHeads(own, this.publicKey)
    if (badLine !== null) throw new RecordFailed(`${path}: line ${badLine} is not what was signed: keep the folder for an investigation, and start with an empty one`)
    for (const entry of entries) this.#learn(entry)
    this.#number = entries.at(-1)?.number ?? 0
    this.#previous = lines.length === 0 ? FIRST_PREVIOUS : lineHash(lines.at(-1)!)
    this.#written = own.length
    this.#turnBytes = this.#headsBytesMax
    this.#reopenSecond()
    this.#dropOlder()
    this.#add({ kind: 'start', writer: this.#writer })
  }

  get #headsPath(): string { return join(this.folder, headsName(this.#headsFile)) }
  get #secondPath(): string | null { return this.#secondFolder === null ? null : join(this.#secondFolder, headsName(this.#headsFile)) }

  /** Cuts a line that was not whole, and takes back what only the second place still has. */
  #restore(own: Buffer): Buffer {
    const whole = own.subarray(0, own.lastIndexOf(10) + 1)
    if (whole.length < own.length) ftruncateSync(this.#own, whole.length)
    if (this.#secondPath === null || !existsSync(this.#secondPath)) return whole
    const there = readFileSync(this.#secondPath)
    const second = there.subarray(0, there.lastIndexOf(10) + 1)
    const shared = Math.min(whole.length, second.length)
    if (!whole.subarray(0, shared).equals(second.subarray(0, shared))) throw new RecordFailed('the heads here and in the second place contradict each other: one of them was changed')
    if (whole.length > 0 && fileOf(whole) !== fileOf(second)) throw new RecordFailed('the heads here and in the second place contradict each other: one of them was changed')
    if (second.length <= whole.length) return whole
    writeSync(this.#own, second, whole.length, second.length - whole.length)
    fsyncSync(this.#own)
    return second
  }
  /** Gives the second place what it lacks. Its failure is told, and does not stop the record here. */
  #reopenSecond(): void {
    if (this.#secondPath === null) return
    try {
      if (this.#second !== null) closeSync(this.#second)
      this.#second = null
      const path = this.#secondPath
      mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
      this.#second = openSync(path, 'a+', 0o600)
      const there = readFileSync(path)
      this.#secondWritten = there.lastIndexOf(10) + 1
      if (this.#secondWritten < there.length) ftruncateSync(this.#second, this.#secondWritten)
      const own = readFileSync(this.#headsPath)
      if (own.length > this.#secondWritten) writeAll(this.#second, own.subarray(this.#secondWritten))
      this.#secondWritten = own.length
      this.secondFailure = null
    } catch (error) { this.secondFailure = `heads can't be kept in the second place (${(error as NodeJS.ErrnoException).code ?? 'error'})` }
  }

  #learn(entry: SignedEntry): void {
    if (entry.kind === 'retired') this.#retired.set(entry.log, entry)
    if (entry.kind === 'head' || entry.kind === 'crash') this.#logs.set(entry.log, { log: entry.log, last: entry, over: entry.kind === 'crash' || entry.state === 'closed' })
  }
  #add(entry: Entry): void {
    const line = signEntry(entry, this.#number + 1, this.#previous, this.#nowMs(), this.#key)
    const bytes = Buffer.from(`${line}\n`)
    try { writeAll(this.#own, bytes) } catch (error) {
      try { ftruncateSync(this.#own, this.#written) } catch { /* the next start cuts it */ }
      throw new RecordFailed('a signed head could not be kept', error)
    }
    this.#written += bytes.length
    this.#number++
    this.#previous = lineHash(line)
    this.#learn({ ...entry, number: this.#number, previous: this.#previous, atMs: this.#nowMs() } as SignedEntry)
    if (this.#secondPath !== null) this.#addSecond(bytes)
    if (this.#written > this.#turnBytes) try { this.#turn() } catch { this.#turnBytes += this.#headsBytesMax /* this one goes on meanwhile */ }
    this.#syncTimer ??= setTimeout(() => { this.#syncTimer = null; this.#sync() }, SYNC_WITHIN_MS).unref()
  }
  /**
   * Begins the next file of heads with what still counts of this one: the last word on each log that has files. What is left of the file
   * before proves nothing more. The second place keeps its older files: it may be one where nothing can be deleted.
   */
  #turn(): void {
    for (const { log, last, over } of this.#logs.values()) if (over && this.retiredUpTo(log) >= last.segment) { this.#logs.delete(log); this.#retired.delete(log) }
    const file = this.#headsFile + 1
    let number = this.#number, previous = this.#previous, text = ''
    const add = (entry: Entry): void => {
      const line = signEntry(entry, ++number, previous, this.#nowMs(), this.#key)
      previous = lineHash(line)
      text += `${line}\n`
    }
    add({ kind: 'turned', file })
    for (const { number: _n, previous: _p, ...entry } of this.#retired.values()) add(entry)
    for (const { last: { number: _n, previous: _p, ...entry } } of this.#logs.values()) add(entry)
    const path = join(this.folder, headsName(file))
    const made = openSync(`${path}.new`, 'w', 0o600)
    try { writeAll(made, Buffer.from(text)); fsyncSync(made) } finally { closeSync(made) }
    renameSync(`${path}.new`, path)
    syncFolder(this.folder)
    closeSync(this.#own)
    this.#own = openSync(path, 'a+', 0o600)
    this.#headsFile = file
    this.#number = number
    this.#previous = previous
    this.#written = Buffer.byteLength(text)
    this.#turnBytes = Math.max(this.#headsBytesMax, this.#written * 2)
    this.#reopenSecond()
    this.#dropOlder()
  }
  /** Only once the second place has the new one: it is compared with that. */
  #dropOlder(): void {
    if (this.#secondFolder !== null && this.secondFailure !== null) return
    for (const name of readdirSync(this.folder)) if (newestHeads([name]) > 0 && newestHeads([name]) < this.#headsFile) rmSync(join(this.folder, name))
  }
  #addSecond(bytes: Buffer): void {
    if (this.secondFailure !== null || this.#second === null) { this.#reopenSecond(); return }
    try { writeAll(this.#second, bytes); this.#secondWritten += bytes.length } catch { this.#reopenSecond() }
  }
  #sync(): void {
    fdatasync(this.#own, () => {})
    if (this.#second !== null) fdatasync(this.#second, () => {})
  }

  /** A head from a worker. A log that is over, or a head that goes back, is refused: no worker of ours says that. */
  async take(head: Head): Promise<void> {
    const known = this.#logs.get(head.log)
    if (known !== undefined && (known.over || head.segment < known.last.segment || (head.segment === known.last.segment && head.batch < known.last.batch))) throw new RecordFailed('a head goes back behind what was signed')
    this.#add({ kind: 'head', log: head.log, segment: head.segment, batch: head.batch, hash: head.hash, bytes: head.bytes, atMs: head.atMs, state: head.state })
  }
  /** Signs what recovery or retirement found or did. */
  async sign(entry: Extract<Entry, { kind: 'crash' | 'retired' }>): Promise<void> {
    this.#add(entry)
    // A deletion is on disk before it happens; what was found stays to be found.
    if (entry.kind !== 'retired') return
    fsyncSync(this.#own)
    if (this.#second !== null) fsyncSync(this.#second)
  }
  /** For files that prove themselves. */
  readonly signing = (bytes: Buffer): Buffer => sign(null, bytes, this.#key)
  logs(): readonly LogState[] { return [...this.#logs.values()] }
  isOver(log: string): boolean { return this.#logs.get(log)?.over ?? false }
  retiredUpTo(log: string): number { return this.#retired.get(log)?.segment ?? 0 }
  lastOf(log: string): LogState | null { return this.#logs.get(log) ?? null }
  /** The supervisor's own log, which is not one of a worker that ended. */
  isOwn(log: string): boolean { return log === logName(ADMIN_RESOURCE, this.#writer) }

  /** Records what a person did in Sluice itself; resolves when it is on disk. */
  async admin(event: unknown): Promise<void> {
    if (this.#admin === null) {
      const recorder = new FileRecorder({ folder: this.folder, writer: this.#writer, onHead: (head) => { void this.take(head).catch(() => {}) }, ...(this.#freeBytesMin === undefined ? {} : { freeBytesMin: this.#freeBytesMin }) })
      try { this.#admin = { recorder, session: recorder.session(`admin-${this.#writer}`, ADMIN_RESOURCE) } } catch (error) { await recorder.close(); throw error }
    }
    const { session } = this.#admin
    session.append('admin', JSON.stringify(event))
    const durable = session.durable('disk')
    if (durable !== true) await durable
  }
  async close(): Promise<void> {
    await this.#admin?.recorder.close()
    if (this.#syncTimer !== null) clearTimeout(this.#syncTimer)
    fsyncSync(this.#own)
    closeSync(this.#own)
    if (this.#second !== null) { fsyncSync(this.#second); closeSync(this.#second) }
  }
}

/** None where there is no folder: that the second place fails is told when it is written to. */
function namesIn(folder: string): readonly string[] { try { return readdirSync(folder) } catch { return [] } }
function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at)
}
/** `<data>/keys/record.pem`, 0600; beside it the public half, for who verifies elsewhere. */
export function openRecordKey(folder: string): KeyObject {
  const path = join(folder, KEY_NAME)
  if (existsSync(path)) {
    if ((statSync(path).mode & 0o077) !== 0) throw new RecordFailed(`${path} may be read by others: chmod 600 it`)
    return createPrivateKey(readFileSync(path))
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const file = openSync(`${path}.new`, 'w', 0o600)
  try { writeAll(file, Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }))); fsyncSync(file) } finally { closeSync(file) }
  writeFileSync(join(folder, 'record.pub.pem'), publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644 })
  renameSync(`${path}.new`, path)
  syncFolder(folder)
  return privateKey
}
