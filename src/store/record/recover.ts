// After a crash: finds logs that nobody closed and nobody writes any more, cuts off a batch that is not whole, and has what is left
// signed. Called before any worker runs, or for the writers of a worker that died: never for one that lives. Reads only the segment of the last head and those behind it.
import { closeSync, fsyncSync, openSync, ftruncateSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { HeadKeeper } from './keeper.ts'
import { CODEC_AT, CODEC_PLAIN, HEADER_BYTES_MAX, PREAMBLE_BYTES } from './layout.ts'
import { firstPlace, nextBatch, openSegment } from './scan.ts'
import { FolderShelf } from './shelf.ts'

export interface Recovered { readonly log: string; readonly segment: number; readonly batch: number; readonly cutBytes: number; readonly why: 'crash' | 'broken' }

export async function recoverRecordings(data: string, keeper: HeadKeeper, isGone: (writer: string) => boolean = () => true): Promise<Recovered[]> {
  const shelf = new FolderShelf(join(data, 'recordings'))
  const found: Recovered[] = []
  for (const log of shelf.logs()) {
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
    const bytes = shelf.segment(log, number)
    const segment = bytes === null ? null : openSegment(bytes)
    if (bytes === null) continue
    if (segment === null) {
      if (bytes.length >= PREAMBLE_BYTES + HEADER_BYTES_MAX || number === last?.segment) return { log, segment: number, batch: 0, cutBytes: 0, why: 'broken' }
      begun.push(number)
      continue
    }
    const place = firstPlace(segment)
    let hash = segment.hash
    let step = nextBatch(segment.bytes, place)
    for (; step !== null && typeof step !== 'string'; step = nextBatch(segment.bytes, place)) hash = place.chain
    const cutBytes = segment.bytes.length - place.at
    // What was signed and is no longer there was not lost by a crash of ours: nothing is cut or signed over it, verify will name it.
    if (step === 'broken' || (last !== null && last.segment === number && place.batch < last.batch)) return { log, segment: number, batch: place.batch, cutBytes, why: 'broken' }
    if (cutBytes > 0 && bytes[CODEC_AT] === CODEC_PLAIN) cut(shelf.path(log, number), place.at)
    for (const empty of begun) unlinkSync(shelf.path(log, empty))
    await keeper.sign({ kind: 'crash', log, segment: number, batch: place.batch, hash: hash.toString('hex'), bytes: place.at, cutBytes })
    return { log, segment: number, batch: place.batch, cutBytes, why: 'crash' }
  }
  for (const empty of begun) unlinkSync(shelf.path(log, empty))
  return null
}
function cut(path: string, bytes: number): void {
  const file = openSync(path, 'r+')
  try { ftruncateSync(file, bytes); fsyncSync(file) } finally { closeSync(file) }
}
