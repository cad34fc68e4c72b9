// Makes a segment's file behind the path, so that a log never waits for the file system to go on in the next one.
import { closeSync, fsync, fsyncSync, open, openSync, close } from 'node:fs'
import { dirname } from 'node:path'

/** A new, empty file whose name is on disk. */
export function prepareFile(path: string, done: (error: Error | null, file: number) => void): void {
  open(path, 'wx', 0o600, (error, file) => {
    if (error !== null) { done(error, -1); return }
    open(dirname(path), 'r', (openError, folder) => {
      if (openError !== null) { close(file, () => done(openError, -1)); return }
      fsync(folder, (syncError) => close(folder, () => {
        if (syncError === null) done(null, file)
        else close(file, () => done(syncError, -1))
      }))
    })
  })
}
export function syncFolder(folder: string): void {
  const file = openSync(folder, 'r')
  try { fsyncSync(file) } finally { closeSync(file) }
}
