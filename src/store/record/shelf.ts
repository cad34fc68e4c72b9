// Where a record's files are: a folder, or buffers in memory. Read only.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { HEADS_NAME } from './heads.ts'
import { logName, SAFE_NAME, SEGMENT_NAME, segmentName } from './layout.ts'

export interface Shelf {
  /** Second place first: it is written last, so it never holds more than the first. */
  exportedHeads(): Buffer | null
  heads(): Buffer
  /** `resource/writer` of every log. */
  logs(): readonly string[]
  segments(log: string): readonly number[]
  segment(log: string, number: number): Buffer | null
}

export class FolderShelf implements Shelf {
  readonly folder: string
  readonly #exportFolder: string | null
  constructor(folder: string, exportFolder: string | null = null) { this.folder = folder; this.#exportFolder = exportFolder }
  exportedHeads(): Buffer | null { return this.#exportFolder === null ? null : readOrEmpty(join(this.#exportFolder, HEADS_NAME)) }
  heads(): Buffer { return readOrEmpty(join(this.folder, HEADS_NAME)) }
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
  path(log: string, number: number): string { return join(this.folder, log, segmentName(number)) }
  changedAtMs(log: string, number: number): number { return statSync(this.path(log, number)).mtimeMs }
}
function readOrEmpty(path: string): Buffer { return existsSync(path) ? readFileSync(path) : Buffer.alloc(0) }
function foldersIn(path: string): string[] {
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory() && SAFE_NAME.test(entry.name)).map(({ name }) => name).sort()
}
