// What others may use of the record.
export { openRecorder, FileRecorder, FREE_BYTES_MIN, SESSION_UNSYNCED_BYTES_MAX, WORKER_UNSYNCED_BYTES_MAX, type RecorderOptions } from './recorder.ts'
export { type Head } from './log.ts'
export { RecordReader, type Event, type SessionFound, type SessionQuery } from './read.ts'
export { FolderShelf, type Shelf } from './shelf.ts'
