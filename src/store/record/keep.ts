// What becomes of segments that nobody writes any more: they are compressed, and deleted when their resource's time has come. Each
// is whole under its name at every instant; a deletion is signed before it happens.
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmdirSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'
import { FIRST_PREVIOUS } from './heads.ts'
import type { HeadKeeper } from './keeper.ts'
import { CODEC_AT, CODEC_PLAIN, CODEC_ZSTD, FRAME_HEAD_BYTES, sha256 } from './layout.ts'
import { syncFolder } from './prepare.ts'
import { type Fault, firstPlace, nextBatch, openSegment, type OpenSegment } from './scan.ts'
import { FolderShelf } from './shelf.ts'

const compress = promisify(zstdCompress)
const ZSTD_LEVEL = 3

/** Compresses segments whose log went on or is over; answers how many. One at a time, off the main thread. */
export async function compressSealed(folder: string, keeper: HeadKeeper): Promise<number> {
  const shelf = new FolderShelf(folder)
  let count = 0
  for (const log of shelf.logs()) {
    for (const number of sealedOf(shelf, log, keeper)) if (await compressOne(shelf, log, number)) count++
  }
  return count
}
function sealedOf(shelf: FolderShelf, log: string, keeper: HeadKeeper): number[] {
  const numbers = shelf.segments(log)
  return keeper.isOver(log) ? [...numbers] : numbers.slice(0, -1)
}
async function compressOne(shelf: FolderShelf, log: string, number: number): Promise<boolean> {
  const bytes = shelf.segment(log, number)
  const segment = bytes === null || bytes[CODEC_AT] !== CODEC_PLAIN ? null : openSegment(bytes)
  // Only what is whole: what is broken stays as it is, for who looks into it.
  if (segment === null || !isWhole(segment)) return false
  const header = Buffer.from(segment.bytes.subarray(0, segment.start))
  header[CODEC_AT] = CODEC_ZSTD
  const packed = await compress(segment.bytes.subarray(segment.start), { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 } })
  const file = Buffer.concat([header, packed])
  const whole = Buffer.concat([file, sha256(file)])
  if (!openSegment(whole)?.bytes.subarray(segment.start).equals(segment.bytes.subarray(segment.start))) return false
  const path = shelf.path(log, number)
  writeWhole(`${path}.new`, whole)
  renameSync(`${path}.new`, path)
  syncFolder(join(shelf.folder, log))
  return true
}
function isWhole(segment: OpenSegment): boolean { return end(segment).fault === null }
function end(segment: OpenSegment): { batch: number; hash: string; fault: Fault | null } {
  const place = firstPlace(segment)
  let step = nextBatch(segment.bytes, place)
  while (step !== null && typeof step !== 'string') step = nextBatch(segment.bytes, place)
  return { batch: place.batch, hash: place.chain.toString('hex'), fault: step }
}
function writeWhole(path: string, bytes: Buffer): void {
  const file = openSync(path, 'w', 0o600)
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at)
    fsyncSync(file)
  } finally { closeSync(file) }
}

/** Deletes sealed segments of a resource whose last event is older; first to last, so that what is left is one piece. */
export async function retire(folder: string, resource: string, olderThanMs: number, keeper: HeadKeeper): Promise<number> {
  const shelf = new FolderShelf(folder)
  let count = 0
  for (const log of shelf.logs().filter((name) => name.startsWith(`${resource}/`))) {
    for (const number of sealedOf(shelf, log, keeper)) {
      if (shelf.changedAtMs(log, number) >= olderThanMs) break
      const bytes = shelf.segment(log, number)
      const segment = bytes === null ? null : openSegment(bytes)
      const reached = segment === null ? { batch: 0, hash: FIRST_PREVIOUS, fault: 'torn' } : end(segment)
      // Never deletes evidence of damage; a file that the disk failed is none.
      if (reached.fault !== null && !failedAt(shelf, log, number)) break
      if (segment !== null && lastMs(segment) >= olderThanMs) break
      await keeper.sign({ kind: 'retired', log, resource, segment: number, batch: reached.batch, hash: reached.hash })
      unlinkSync(shelf.path(log, number))
      count++
    }
    if (keeper.isOver(log) && readdirSync(join(folder, log)).length === 0) rmdirSync(join(folder, log))
  }
  return count
}
function failedAt(shelf: FolderShelf, log: string, number: number): boolean {
  const next = shelf.segment(log, number + 1)
  return next !== null && openSegment(next)?.header.afterFailure === true
}
function lastMs(segment: OpenSegment): number {
  const place = firstPlace(segment)
  let last = segment.header.madeAtMs
  for (let step = nextBatch(segment.bytes, place); step !== null && typeof step !== 'string'; step = nextBatch(segment.bytes, place)) {
    for (let at = step.start; at + FRAME_HEAD_BYTES <= step.end; at += 4 + segment.bytes.readUInt32LE(at)) last = Math.max(last, segment.bytes.readDoubleLE(at + 13))
  }
  return last
}
