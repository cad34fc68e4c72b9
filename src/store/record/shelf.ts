// Where a record's files are: a folder, or buffers in memory. Read only.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { headsName, newestHeads } from './heads.ts'
import { logName, SAFE_NAME, SEGMENT_NAME, segmentName } from './layout.ts'

/** The beginning of a file that has its header and block. */
export const FRONT_BYTES = 20_000

export interface Shelf {
  /** Second place first: it is written last, so it never holds more than the first. */
  exportedHeads(): Buffer | null
  heads(): Buffer
  /** `resource/writer` of every log. */
  logs(): readonly string[]
  segments(log: string): readonly number[]
  segment(log: string, number: number): Buffer | null
  /** Its beginning, with the header and the block of a sealed one. */
  front(log: string, number: number): Buffer | null
}

export class FolderShelf implements Shelf {
  readonly folder: string
  readonly #exportFolder: string | null
  constructor(folder: string, exportFolder: string | null = null) { this.folder = folder; this.#exportFolder = exportFolder }
  exportedHeads(): Buffer | null { return this.#exportFolder === null ? null : headsIn(this.#exportFolder) }
  heads(): Buffer { return headsIn(this.folder) }
  logs(): readonly string[] {
    return foldersIn(this.folder).flatMap((resource) => foldersIn(join(this.folder, resource)).map((writer) => logName(resource, writer)))
  }
  segments(log: string): readonly number[] {
    const path = join(this.folder, log)
    if (!existsSync(path)) return []
    return readdirSync(path).filter((name) => SEGMENT_NAME.test(name)).map((name) => Number(name.slice(0, 6))).sort((a, b) => a - b)
  }
  segment(log: string, number: number): Buffer | null {
    try { return readFileSync(this.path(log, number)) } catch (error) { if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null; throw error }
  }
  front(log: string, number: number): Buffer | null {
    try {
      const file = openSync(this.path(log, number), 'r')
      try { const bytes = Buffer.alloc(FRONT_BYTES); return bytes.subarray(0, readSync(file, bytes, 0, FRONT_BYTES, 0)) } finally { closeSync(file) }
    } catch (error) { if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null; throw error }
  }
  path(log: string, number: number): string { return join(this.folder, log, segmentName(number)) }
  changedAtMs(log: string, number: number): number { return statSync(this.path(log, number)).mtimeMs }
}
/** The file in force. One may be turned over just then. */
function headsIn(folder: string): Buffer {
  for (;;) {
    const file = existsSync(folder) ? newestHeads(readdirSync(folder)) : 0
    if (file === 0) return Buffer.alloc(0)
    try { return readFileSync(join(folder, headsName(file))) } catch (error) { if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error }
  }
}
function foldersIn(path: string): string[] {
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory() && SAFE_NAME.test(entry.name)).map(({ name }) => name).sort()
}
