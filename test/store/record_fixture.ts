// A small record for tests, and a shelf of buffers that they may spoil.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyObject } from 'node:crypto'
import { FolderShelf, HeadKeeper, type Opener, openerOf, openRecorder, openSealKeys, sealSegments, type Shelf } from '../../src/store/record/index.ts'

export class MemoryShelf implements Shelf {
  headsBytes: Buffer = Buffer.alloc(0)
  exportedBytes: Buffer | null = null
  readonly files = new Map<string, Map<number, Buffer>>()
  exportedHeads(): Buffer | null { return this.exportedBytes }
  heads(): Buffer { return this.headsBytes }
  logs(): readonly string[] { return [...this.files.keys()] }
  segments(log: string): readonly number[] { return [...(this.files.get(log)?.keys() ?? [])].sort((a, b) => a - b) }
  segment(log: string, number: number): Buffer | null { return this.files.get(log)?.get(number) ?? null }
  front(log: string, number: number): Buffer | null { return this.segment(log, number)?.subarray(0, 20_000) ?? null }
  copy(): MemoryShelf {
    const copy = new MemoryShelf()
    copy.headsBytes = this.headsBytes
    copy.exportedBytes = this.exportedBytes
    for (const [log, segments] of this.files) copy.files.set(log, new Map(segments))
    return copy
  }
  static of(from: Shelf): MemoryShelf {
    const shelf = new MemoryShelf()
    shelf.headsBytes = from.heads()
    shelf.exportedBytes = from.exportedHeads()
    for (const log of from.logs()) shelf.files.set(log, new Map(from.segments(log).map((number) => [number, from.segment(log, number)!])))
    return shelf
  }
}
export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'sluice-record-'))
  return { path, remove: () => { rmSync(path, { recursive: true, force: true }) } }
}
export const sealAll = (data: string, keeper: HeadKeeper): Promise<number> => sealSegments(join(data, 'recordings'), keeper, { signing: keeper.signing, sealing: openSealKeys(join(data, 'keys')) }, 0)
/** Two writers, two resources, turned over and partly sealed, every log closed. */
export async function smallRecord(data: string, closed = true): Promise<{ shelf: MemoryShelf; publicKey: KeyObject; folder: string; second: string; keeper: HeadKeeper; opener: Opener }> {
  const folder = join(data, 'recordings')
  const second = join(data, 'second')
  const keeper = await HeadKeeper.open({ data, second })
  for (const writer of ['boot-1', 'boot-2']) {
    const recorder = openRecorder({ folder, writer, onHead: (head) => { void keeper.take(head) }, freeBytesMin: 0, segmentBytesMax: 1_200 })
    for (const resource of ['orders', 'people']) {
      const sessions = [1, 2].map((number) => recorder.session(`${writer}-${resource}-${number}`, resource))
      for (const session of sessions) session.append('opened', JSON.stringify({ resource, protocol: 'postgres', database: 'shop', identity: { issuer: 'i', subject: 's', agent: false, onBehalfOf: null } }))
      for (let run = 1; run <= 4; run++) for (const session of sessions) {
        session.append('asked', JSON.stringify({ run, phase: 'run', text: `SELECT ${run}`, verdict: 'allow' }))
        await session.durable(run % 2 === 0 ? 'disk' : 'kernel')
        session.answer(run, Buffer.from(`row ${run}`), 0, 5)
        session.append('ended', JSON.stringify({ run, outcome: 'executed', rows: 1, bytes: 5 }))
      }
      for (const session of sessions) { session.append('closed', '{"why":"the client left"}'); session.close() }
    }
    await recorder.close()
    if (writer === 'boot-1') await sealAll(data, keeper)
  }
  if (closed) await keeper.close()
  return { shelf: MemoryShelf.of(new FolderShelf(folder, second)), publicKey: keeper.publicKey, folder, second, keeper, opener: openerOf(openSealKeys(join(data, 'keys'))) }
}
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}
