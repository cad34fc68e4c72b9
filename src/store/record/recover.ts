// After a crash: finds logs that nobody closed and nobody writes any more, cuts off a batch that is not whole, and has what is left
// signed. Called before any worker runs. Reads only the segment of the last head and those behind it.
import { closeSync, fsyncSync, openSync, ftruncateSync } from 'node:fs'
import { join } from 'node:path'
import type { HeadKeeper } from './keeper.ts'
import { CODEC_AT, CODEC_PLAIN } from './layout.ts'
import { firstPlace, nextBatch, openSegment } from './scan.ts'
import { FolderShelf } from './shelf.ts'

export interface Recovered { readonly log: string; readonly segment: number; readonly batch: number; readonly cutBytes: number; readonly why: 'crash' | 'broken' }

export async function recoverRecordings(data: string, keeper: HeadKeeper): Promise<Recovered[]> {
  const shelf = new FolderShelf(join(data, 'recordings'))
  const found: Recovered[] = []
  for (const log of shelf.logs()) {
    if (keeper.isOver(log) || keeper.isOwn(log)) continue
    const recovered = await recoverLog(shelf, log, keeper)
    if (recovered !== null) found.push(recovered)
  }
  return found
}

async function recoverLog(shelf: FolderShelf, log: string, keeper: HeadKeeper): Promise<Recovered | null> {
  const last = keeper.lastOf(log)?.last ?? null
  // From behind: a segment that was begun and not even has its header holds nothing.
  for (const number of [...shelf.segments(log)].reverse()) {
    if (last !== null && number < last.segment) break
    const bytes = shelf.segment(log, number)
    const segment = bytes === null ? null : openSegment(bytes)
    if (bytes === null || segment === null) continue
    const place = firstPlace(segment)
    let hash = segment.hash
    let step = nextBatch(segment.bytes, place)
    for (; step !== null && typeof step !== 'string'; step = nextBatch(segment.bytes, place)) hash = place.chain
    const cutBytes = segment.bytes.length - place.at
    // What was signed and is no longer there was not lost by a crash of ours: nothing is cut or signed over it, verify will name it.
    if (step === 'broken' || (last !== null && last.segment === number && place.batch < last.batch)) return { log, segment: number, batch: place.batch, cutBytes, why: 'broken' }
    if (cutBytes > 0 && bytes[CODEC_AT] === CODEC_PLAIN) cut(shelf.path(log, number), place.at)
    await keeper.sign({ kind: 'crash', log, segment: number, batch: place.batch, hash: hash.toString('hex'), bytes: place.at, cutBytes })
    return { log, segment: number, batch: place.batch, cutBytes, why: 'crash' }
  }
  return null
}
function cut(path: string, bytes: number): void {
  const file = openSync(path, 'r+')
  try { ftruncateSync(file, bytes); fsyncSync(file) } finally { closeSync(file) }
}
