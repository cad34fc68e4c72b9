// After a crash: finds logs that nobody closed and nobody writes any more, cuts off a frame that is not whole, links what has no link and
// has it signed. Never called for a writer that lives. It reads only what stands behind a log's last head, one log at a time and between
// other work, so that neither many logs nor long ones hold up a start.
import { open, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { linkOf } from './batch.ts'
import type { HeadKeeper, LogState } from './keeper.ts'
import { CODEC_AT, CODEC_PLAIN, HASH_BYTES, HEADER_BYTES_MAX, LINK_BYTES, PREAMBLE_BYTES } from './layout.ts'
import { firstPlace, nextBatch, openHeader, type Place } from './scan.ts'
import { FolderShelf } from './shelf.ts'

export interface Recovered { readonly log: string; readonly segment: number; readonly batch: number; readonly cutBytes: number; readonly why: 'crash' | 'broken' }
type Last = LogState['last'] | null

/** `goesOn`: asked before each log, so that a stop need not wait for all of them. */
export async function recoverRecordings(data: string, keeper: HeadKeeper, isGone: (writer: string) => boolean = () => true, goesOn: () => boolean = () => true): Promise<Recovered[]> {
  const shelf = new FolderShelf(join(data, 'recordings'))
  const found: Recovered[] = []
  for (const log of shelf.logs()) {
    if (!goesOn()) break
    if (keeper.isOver(log) || keeper.isOwn(log) || !isGone(log.slice(log.indexOf('/') + 1))) continue
    const recovered = await recoverLog(shelf, log, keeper)
    if (recovered !== null) found.push(recovered)
  }
  return found
}

async function recoverLog(shelf: FolderShelf, log: string, keeper: HeadKeeper): Promise<Recovered | null> {
  const last = keeper.lastOf(log)?.last ?? null
  const begun: number[] = []
  // From behind: a segment that was begun and has not even its header whole holds nothing, and goes.
  for (const number of [...shelf.segments(log)].reverse()) {
    if (last !== null && number < last.segment) break
    const file = await open(shelf.path(log, number), 'r+')
    try {
      const tail = await readTail(file, last?.segment === number ? last : null)
      if (tail === 'no header' && number !== last?.segment) { begun.push(number); continue }
      if (typeof tail === 'string') return { log, segment: number, batch: 0, cutBytes: 0, why: 'broken' }
      const { place, bytes, from } = tail
      let step = nextBatch(bytes, place)
      for (; step !== null && typeof step !== 'string';) step = nextBatch(bytes, place)
      const cutBytes = bytes.length - place.whole
      // What was signed and is no longer there was not lost by a crash of ours: nothing is cut or signed over it, verify will name it.
      if (step === 'broken') return { log, segment: number, batch: place.batch, cutBytes, why: 'broken' }
      if (cutBytes > 0) await file.truncate(from + place.whole)
      if (place.whole > place.at) await link(file, bytes, place, from)
      if (cutBytes > 0 || step === 'torn') await file.sync()
      for (const empty of begun) await unlink(shelf.path(log, empty))
      await keeper.sign({ kind: 'crash', log, segment: number, batch: place.batch, hash: place.chain.toString('hex'), bytes: from + place.at, cutBytes })
      return { log, segment: number, batch: place.batch, cutBytes, why: 'crash' }
    } finally { await file.close() }
  }
  for (const empty of begun) await unlink(shelf.path(log, empty))
  return null
}

interface Tail { readonly bytes: Buffer; readonly place: Place; /** Where `bytes` begin in the file. */ readonly from: number }
/** What stands behind the head; all of the segment when no head speaks of it. */
async function readTail(file: FileHandle, last: Last): Promise<Tail | 'no header' | 'broken'> {
  const { size } = await file.stat()
  const head = await read(file, 0, Math.min(size, PREAMBLE_BYTES + HEADER_BYTES_MAX))
  const segment = openHeader(head)
  if (segment === null) return size < PREAMBLE_BYTES + HEADER_BYTES_MAX ? 'no header' : 'broken'
  if (head[CODEC_AT] !== CODEC_PLAIN) return last === null ? 'broken' : { bytes: Buffer.alloc(0), from: last.bytes, place: { batch: last.batch, at: 0, whole: 0, chain: Buffer.from(last.hash, 'hex') } }
  if (last === null || last.batch === 0) return last !== null && segment.hash.toString('hex') !== last.hash ? 'broken' : { bytes: await read(file, 0, size), from: 0, place: firstPlace(segment) }
  const from = last.bytes - HASH_BYTES
  if (last.bytes > size || from < segment.start) return 'broken'
  const bytes = await read(file, from, size - from)
  const chain = bytes.subarray(0, HASH_BYTES)
  if (chain.toString('hex') !== last.hash) return 'broken'
  return { bytes, from, place: { batch: last.batch, at: HASH_BYTES, whole: HASH_BYTES, chain } }
}
async function read(file: FileHandle, from: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let at = 0
  while (at < length) {
    const { bytesRead } = await file.read(bytes, at, length - at, from + at)
    if (bytesRead === 0) return bytes.subarray(0, at)
    at += bytesRead
  }
  return bytes
}
/** Ends the batch that the writer could not end. */
async function link(file: FileHandle, bytes: Buffer, place: Place, from: number): Promise<void> {
  const frames = bytes.subarray(place.at, place.whole)
  const batch = Buffer.allocUnsafeSlow(HASH_BYTES + frames.length + LINK_BYTES)
  place.chain.copy(batch, 0)
  frames.copy(batch, HASH_BYTES)
  const chain = linkOf(batch, HASH_BYTES + frames.length, place.batch + 1)
  await file.write(batch, HASH_BYTES + frames.length, LINK_BYTES, from + place.whole)
  place.batch++
  place.at = place.whole + LINK_BYTES
  place.chain = chain
}
