/** Kinds of events of a session, in the order of their codes on disk. Codes are forever: append only. */
export const EVENT_KINDS = ['opened', 'asked', 'review', 'answer', 'ended', 'note', 'closed', 'probe', 'admin', 'crash', 'retired', 'login'] as const
export type EventKind = (typeof EVENT_KINDS)[number]
/** What became of a run, in the order of their codes on disk. Append only. */
export const OUTCOMES = ['executed', 'failed', 'ended', 'skipped', 'unknown'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** Columns kept per session for the index; `*` stands for those beyond, so that a search never misses one. The record has all. */
export const SESSION_COLUMNS_MAX = 1_000
/** Adds to a session's columns; gives them all. */
export function namedColumns(known: Set<string>, named: Iterable<string>): string[] {
  for (const column of named) {
    if (known.size >= SESSION_COLUMNS_MAX) { known.add('*'); break }
    known.add(column)
  }
  return [...known]
}

/** How strongly what was appended so far must be kept: in the kernel's hands, or on disk. */
export type Durability = 'kernel' | 'disk'

/** One session's part of the record. Made by a Recorder; one writer only. */
export interface SessionRecord {
  /**
   * Appends one event; `body` is JSON text made by the caller. Buffered: written by the next `durable` or within 200 ms. Throws RecordFailed
   * when the record can't be kept: `asked` at once, others when more waits for the disk than may.
   */
  append(kind: EventKind, body: string): void
  /** Appends `ended`: made for the path of every statement, so nothing is formatted. `detail` is a tag, a code, a rule or a reason. */
  ended(run: number, outcome: Outcome, rows: number, bytes: number, detail: string): void
  /** Appends bytes that the client was given, after the mask. Copied at once. */
  answer(run: number, bytes: Buffer, start: number, end: number): void
  /** True when all appended so far already is that durable, else a promise (group commit over the worker's sessions). Rejects with RecordFailed. */
  durable(strength: Durability): true | Promise<void>
  /** Whether the record is so far behind that reading from the server must stop. */
  readonly behind: boolean
  caughtUp(): Promise<void>
  /** Writes 'closed' was appended by the caller; releases the session's state. */
  close(): void
}

/** One per worker. */
export interface Recorder {
  session(id: string, resource: string): SessionRecord
  /** Null when healthy, else why recording is refused (disk full, failed fsync): new sessions and statements are refused with this text. */
  readonly failure: string | null
  /** Flushes, signs a last head, closes. */
  close(): Promise<void>
}
