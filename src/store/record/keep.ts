// What becomes of segments that nobody writes any more: they are compressed and sealed, and deleted when their resource's time has come.
// Each is whole under its name at every instant; a deletion is signed before it happens. Segments are read piece by piece and between
// other work: this runs where the gateway is supervised.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { createReadStream, readdirSync, rmdirSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { seal, SEAL_KEY_BYTES } from '../seal.ts'
import { FIRST_PREVIOUS } from './heads.ts'
import type { HeadKeeper } from './keeper.ts'
import { CODEC_AT, CODEC_PLAIN, CODEC_SEALED, FRAME_HEAD_BYTES, HASH_BYTES } from './layout.ts'
import { syncFolder } from './prepare.ts'
import { type Fault, firstPlace, nextBatch, openHeader, type OpenSegment } from './scan.ts'
import { type Block, type Keys, NONCE_BYTES, readBlock, sealName, signedOf, TAG_BYTES } from './sealed.ts'
import { FolderShelf, FRONT_BYTES } from './shelf.ts'

const ZSTD_LEVEL = 3
const READ_BYTES = 256 * 1024
/** Who follows a session still reads what was written last as it was written. */
export const SEAL_AFTER_MS = 30_000

/** Seals segments whose log went on or is over; answers how many. One at a time. */
export async function sealSegments(folder: string, keeper: HeadKeeper, keys: Keys, afterMs = SEAL_AFTER_MS, nowMs = Date.now()): Promise<number> {
  const shelf = new FolderShelf(folder)
  let count = 0
  for (const log of shelf.logs()) {
    for (const number of endedOf(shelf, log, keeper)) if (nowMs - shelf.changedAtMs(log, number) >= afterMs && await sealOne(shelf, log, number, keys)) count++
  }
  return count
}
function endedOf(shelf: FolderShelf, log: string, keeper: HeadKeeper): number[] {
  const numbers = shelf.segments(log)
  const last = keeper.lastOf(log)?.last
  if (last === undefined) return []
  if (keeper.isOver(log)) return [...numbers]
  const ended = last.kind === 'head' && last.state === 'sealed' ? last.segment : last.segment - 1
  return numbers.slice(0, -1).filter((number) => number <= ended)
}

async function sealOne(shelf: FolderShelf, log: string, number: number, keys: Keys): Promise<boolean> {
  const path = shelf.path(log, number)
  const found = await frontOf(path)
  if (found === null || found.front[CODEC_AT] !== CODEC_PLAIN) return false
  const { opened, front, size } = found
  const plain = await walkStream(createReadStream(path, { start: opened.start, highWaterMark: READ_BYTES }), opened)
  // Only what is whole: what is broken stays as it is, for who looks into it.
  if (plain.fault !== null || plain.batch === 0) return false
  const key = randomBytes(SEAL_KEY_BYTES), nonce = randomBytes(NONCE_BYTES)
  const wrapped = seal(keys.sealing[0]!, sealName(opened.header), key)
  const block: Block = { keyId: wrapped.keyId, key: wrapped.bytes.toString('base64'), nonce: nonce.toString('base64'), batches: plain.batch, hash: plain.hash, bytes: size, lastMs: plain.lastMs }
  const head = headOf(front.subarray(0, opened.start), block)
  const made = `${path}.new`
  const file = await open(made, 'w', 0o600)
  let bodyEnd = head.length
  try {
    const whole = createHash('sha256').update(head)
    await file.write(head)
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(head)
    await pipeline(createReadStream(path, { start: opened.start, highWaterMark: READ_BYTES }), packer(), cipher, async (sealed: AsyncIterable<Buffer>) => {
      for await (const piece of sealed) { whole.update(piece); await file.write(piece); bodyEnd += piece.length }
    })
    const tag = cipher.getAuthTag()
    whole.update(tag)
    await file.write(tag)
    await file.write(keys.signing(signedOf(whole.digest())))
    await file.sync()
  } finally { await file.close() }
  // Nothing is thrown away before it was read back.
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(head).setAuthTag(await tagOf(made, bodyEnd))
  const again = await walkStream(createReadStream(made, { start: head.length, end: bodyEnd - 1 }).pipe(decipher).pipe(createZstdDecompress()), opened)
  key.fill(0)
  if (again.hash !== plain.hash || again.batch !== plain.batch || again.fault !== null) { unlinkSync(made); return false }
  await rename(made, path)
  syncFolder(join(shelf.folder, log))
  return true
}
const packer = (): Duplex => createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 } })
function headOf(header: Buffer, block: Block): Buffer {
  const text = Buffer.from(JSON.stringify(block))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(text.length)
  const head = Buffer.concat([header, length, text])
  head[CODEC_AT] = CODEC_SEALED
  return head
}
async function tagOf(path: string, at: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try { return (await file.read(Buffer.alloc(TAG_BYTES), 0, TAG_BYTES, at)).buffer } finally { await file.close() }
}

type Opened = Omit<OpenSegment, 'bytes'>
async function frontOf(path: string): Promise<{ front: Buffer; opened: Opened; size: number } | null> {
  let file: FileHandle
  try { file = await open(path, 'r') } catch { return null }
  try {
    const { size } = await file.stat()
    const front = Buffer.alloc(Math.min(size, FRONT_BYTES))
    await file.read(front, 0, front.length, 0)
    const opened = openHeader(front)
    return opened === null ? null : { front, opened, size }
  } finally { await file.close() }
}

interface Reached { readonly batch: number; readonly hash: string; readonly lastMs: number; readonly fault: Fault | null }
/** Walks frames as they come; holds no more than one batch. */
async function walkStream(frames: Readable | Duplex, { hash, header, start }: Opened): Promise<Reached> {
  const place = { ...firstPlace({ hash, start }), at: HASH_BYTES }
  let rest: Buffer = Buffer.from(hash)
  let lastMs = header.madeAtMs, waiting: Buffer[] = [], waitingBytes = 0
  let step: ReturnType<typeof nextBatch> = null
  const take = (): void => {
    rest = Buffer.concat([rest, ...waiting])
    waiting = []
    waitingBytes = 0
    place.at = HASH_BYTES
    step = nextBatch(rest, place)
    for (; step !== null && typeof step !== 'string'; step = nextBatch(rest, place)) {
      for (let at = step.start; at + FRAME_HEAD_BYTES <= step.end; at += 4 + rest.readUInt32LE(at)) lastMs = Math.max(lastMs, rest.readDoubleLE(at + 13))
    }
    rest = Buffer.from(rest.subarray(place.at - HASH_BYTES))
  }
  try {
    for await (const piece of frames as AsyncIterable<Buffer>) {
      waiting.push(piece)
      waitingBytes += piece.length
      // A long batch is not copied anew for each of its pieces.
      if (waitingBytes < Math.max(READ_BYTES, rest.length)) continue
      take()
      if ((step as Fault | null) === 'broken') break
    }
  } catch { step = 'broken' }
  if ((step as Fault | null) !== 'broken') take()
  return { batch: place.batch, hash: place.chain.toString('hex'), lastMs, fault: step as Fault | null }
}

/** Deletes ended segments of a resource whose last event is older; first to last, so that what is left is one piece. */
export async function retire(folder: string, resource: string, olderThanMs: number, keeper: HeadKeeper): Promise<number> {
  const shelf = new FolderShelf(folder)
  let count = 0
  for (const log of shelf.logs().filter((name) => name.startsWith(`${resource}/`))) {
    for (const number of endedOf(shelf, log, keeper)) {
      // When it was sealed is later than its last event: only that counts.
      const reached = await reachedOf(shelf, log, number)
      // Never deletes evidence of damage; a file that the disk failed is none.
      if (reached.fault !== null && !(await failedAt(shelf, log, number))) break
      if (reached.lastMs >= olderThanMs) break
      await keeper.sign({ kind: 'retired', log, resource, segment: number, batch: reached.batch, hash: reached.hash })
      unlinkSync(shelf.path(log, number))
      rmSync(`${shelf.path(log, number)}.new`, { force: true })
      count++
    }
    if (keeper.isOver(log) && readdirSync(join(folder, log)).length === 0) rmdirSync(join(folder, log))
  }
  return count
}
async function reachedOf(shelf: FolderShelf, log: string, number: number): Promise<Reached> {
  const path = shelf.path(log, number)
  const found = await frontOf(path)
  if (found === null) return { batch: 0, hash: FIRST_PREVIOUS, lastMs: statSync(path).mtimeMs, fault: 'torn' }
  const { opened, front, size } = found
  if (front[CODEC_AT] === CODEC_PLAIN) return walkStream(createReadStream(path, { start: opened.start, highWaterMark: READ_BYTES }), opened)
  const sealed = front[CODEC_AT] === CODEC_SEALED ? readBlock(front, opened.start, size) : null
  return sealed === null ? { batch: 0, hash: FIRST_PREVIOUS, lastMs: Infinity, fault: 'broken' } : { batch: sealed.block.batches, hash: sealed.block.hash, lastMs: sealed.block.lastMs, fault: null }
}
async function failedAt(shelf: FolderShelf, log: string, number: number): Promise<boolean> {
  return (await frontOf(shelf.path(log, number + 1)))?.opened.header.afterFailure === true
}
