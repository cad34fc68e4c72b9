// Proves a record: every batch follows the one before it, every log follows its folder's name, and all of it reaches what was signed.
// Works on buffers as on folders, and reads only. What stands behind the last signed head is reported as unsealed, not as proved.
import type { KeyObject } from 'node:crypto'
import { fileOf, readHeads, type SignedEntry } from './heads.ts'
import { CODE_NAMES, CODEC_AT, CODEC_PLAIN, FRAME_HEAD_BYTES, HASH_BYTES, logName, type Point } from './layout.ts'
import { type ClosedSegment, eachEvent, type Event, type Fault, firstPlace, nextBatch, noKey, openSegment, type OpenSegment } from './scan.ts'
import { isSealedBy, type Opener } from './sealed.ts'
import { FolderShelf, type Shelf } from './shelf.ts'

/** Heads are at most a second behind; what is longer unsigned than this was not written by a gateway at work. */
export const UNSEALED_MS_MAX = 30_000

export interface Finding {
  /** `resource/writer`, or `heads`. */
  readonly log: string
  readonly segment: number | null
  readonly batch: number | null
  /** The last event in front of the place; null when there is none in this segment. */
  readonly after: { readonly session: string; readonly sequence: number } | null
  readonly why: string
}
export interface Verification {
  readonly ok: boolean
  readonly bad: readonly Finding[]
  readonly unsealed: readonly Finding[]
  readonly logs: number
  readonly segments: number
  readonly batches: number
  readonly bytes: number
  readonly sessions: number
  readonly events: number
  readonly signedHeads: number
}
interface Heads { readonly marks: Map<number, { batch: number; hash: string; bytes: number }[]>; last: Point | null; lastBatchOver: Point | null; retired: Point | null }
interface Tally { readonly bad: Finding[]; readonly unsealed: Finding[]; readonly sessions: Set<string>; segments: number; batches: number; bytes: number; events: number }

export function verifyFolder(folder: string, exportFolder: string | null, publicKey: KeyObject, opener: Opener = noKey): Verification { return verify(new FolderShelf(folder, exportFolder), publicKey, opener) }

/** A sealed segment is proved by its signature and by where it says that it ends; with its key, every batch of it too. */
export function verify(shelf: Shelf, publicKey: KeyObject, opener: Opener = noKey): Verification {
  const tally: Tally = { bad: [], unsealed: [], sessions: new Set(), segments: 0, batches: 0, bytes: 0, events: 0 }
  // Heads before logs: what is written meanwhile only makes logs longer than what was signed.
  const exported = shelf.exportedHeads()
  const entries = provenHeads(exported, shelf.heads(), publicKey, tally)
  const heads = byLog(entries)
  const logs = new Set([...shelf.logs(), ...heads.keys()])
  for (const log of logs) verifyLog(shelf, log, heads.get(log) ?? { marks: new Map(), last: null, lastBatchOver: null, retired: null }, tally, publicKey, opener)
  return { ok: tally.bad.length === 0, bad: tally.bad, unsealed: tally.unsealed, logs: logs.size, segments: tally.segments, batches: tally.batches, bytes: tally.bytes, sessions: tally.sessions.size, events: tally.events, signedHeads: entries.length }
}

function provenHeads(exported: Buffer | null, own: Buffer, publicKey: KeyObject, tally: Tally): readonly SignedEntry[] {
  const say = (why: string): void => { tally.bad.push({ log: 'heads', segment: null, batch: null, after: null, why }) }
  const whole = own.subarray(0, own.lastIndexOf(10) + 1)
  const longest = exported === null ? whole : exported.subarray(0, exported.lastIndexOf(10) + 1)
  const here = fileOf(whole), there = exported === null ? here : fileOf(longest)
  const shared = here === there ? Math.min(whole.length, longest.length) : 0
  if (!whole.subarray(0, shared).equals(longest.subarray(0, shared))) say('the heads here and in the second place differ')
  else if (here < there || (here === there && whole.length < longest.length)) say('the heads here are older than those in the second place')
  const { entries, badLine } = readHeads(here > there || (here === there && whole.length > longest.length) ? whole : longest, publicKey)
  if (badLine !== null) say(`line ${badLine} is not what was signed`)
  return entries
}

function byLog(entries: readonly SignedEntry[]): Map<string, Heads> {
  const logs = new Map<string, Heads>()
  for (const entry of entries) {
    if (entry.kind === 'start' || entry.kind === 'turned') continue
    let heads = logs.get(entry.log)
    if (heads === undefined) { heads = { marks: new Map(), last: null, lastBatchOver: null, retired: null }; logs.set(entry.log, heads) }
    const point = { segment: entry.segment, batch: entry.batch, hash: entry.hash }
    if (entry.kind === 'retired') { heads.retired = point; continue }
    const marks = heads.marks.get(entry.segment) ?? []
    marks.push({ batch: entry.batch, hash: entry.hash, bytes: entry.bytes })
    heads.marks.set(entry.segment, marks)
    heads.last = point
    if (entry.kind === 'crash' || entry.state === 'closed') heads.lastBatchOver = point
  }
  return logs
}

/** What was found of a segment, as the next one must follow it. */
interface Walked { readonly number: number; readonly end: Point; readonly fault: Fault | null; readonly at: (batch: number) => string | null; readonly after: Finding['after'] }

function verifyLog(shelf: Shelf, log: string, heads: Heads, tally: Tally, publicKey: KeyObject, opener: Opener): void {
  const firstSegment = (heads.retired?.segment ?? 0) + 1
  const numbers = shelf.segments(log).filter((number) => number >= firstSegment)
  const lastSigned = heads.last?.segment ?? 0
  const bad = (segment: number | null, batch: number | null, after: Finding['after'], why: string): void => { tally.bad.push({ log, segment, batch, after, why }) }
  let before: Walked | null = null
  /** A segment that ends badly: only a later one that says so may excuse it. */
  let pending: Walked | { readonly number: number; readonly fault: 'no segment' } | null = null
  let expected = firstSegment
  for (const number of numbers) {
    if (number !== expected) { bad(expected, null, before?.after ?? null, 'the file is missing'); return }
    expected++
    const bytes = shelf.segment(log, number)
    const segment = bytes === null ? null : openSegment(bytes, opener)
    if (bytes !== null && segment !== null && bytes[CODEC_AT] !== CODEC_PLAIN && !isSealedBy(bytes, publicKey)) { bad(number, 0, null, 'it is not what was sealed'); return }
    // Made in advance by a writer that did not come to use it.
    if (bytes?.length === 0 && number === numbers.at(-1) && number > lastSigned && heads.lastBatchOver === null) break
    if (segment === null) {
      if (pending !== null && pending.fault !== 'no segment') { bad(pending.number, pending.end.batch + 1, pending.after, says(pending.fault)); return }
      if (heads.marks.has(number)) { bad(number, 0, null, 'the file is not a segment of a record'); return }
      pending = { number, fault: 'no segment' }
      continue
    }
    const { header } = segment
    if (logName(header.resource, header.writer) !== log || header.segment !== number) { bad(number, 0, null, 'the file belongs elsewhere'); return }
    const why = follows(segment, before, heads.retired, pending !== null)
    if (why !== null) {
      if (pending === null) bad(number, 0, before?.after ?? null, why)
      else if (pending.fault === 'no segment') bad(pending.number, 0, null, 'the file is not a segment of a record')
      else bad(pending.number, pending.end.batch + 1, pending.after, says(pending.fault))
      return
    }
    if (header.afterFailure && before !== null && (pending !== null || before.end.batch !== header.previous?.batch)) {
      tally.unsealed.push({ log, segment: before.number, batch: (header.previous?.batch ?? 0) + 1, after: null, why: 'the disk failed here: what follows in this file proves nothing' })
    }
    const walked = 'sealed' in segment ? closed(segment, number, tally) : walk(segment, number, tally)
    for (const mark of heads.marks.get(number) ?? []) {
      const hash = walked.at(mark.batch)
      // A head within a sealed segment was proved when it was sealed; its end must be there.
      if (hash === mark.hash || ('sealed' in segment && mark.batch > 0 && mark.batch < walked.end.batch)) continue
      bad(number, hash === null ? walked.end.batch + 1 : mark.batch, walked.after, hash === null ? (walked.fault === 'broken' ? 'it is not what was recorded' : 'it was cut: more of it was signed') : 'it is not what was signed')
      return
    }
    pending = walked.fault === null ? null : walked
    before = walked
    if (heads.lastBatchOver !== null && (number > heads.lastBatchOver.segment || (number === heads.lastBatchOver.segment && (walked.end.batch > heads.lastBatchOver.batch || walked.fault !== null)))) {
      bad(number, Math.min(walked.end.batch, heads.lastBatchOver.batch) + 1, walked.after, 'it follows the end of the log')
      return
    }
    if (!('sealed' in segment)) tailOf(segment, number, walked, heads, log, tally)
  }
  if (pending !== null) {
    if (pending.fault === 'broken') bad(pending.number, pending.end.batch + 1, pending.after, says(pending.fault))
    // After the end of a log nothing may stand, not even the beginning of a file.
    else if (heads.lastBatchOver !== null) bad(pending.number, 0, null, 'it follows the end of the log')
    else tally.unsealed.push({ log, segment: pending.number, batch: null, after: before?.after ?? null, why: 'the last batch is not whole' })
  }
  if (expected <= lastSigned) bad(expected, null, before?.after ?? null, 'the file is missing')
}
const says = (fault: Fault | null): string => fault === 'torn' ? 'it was cut' : 'it is not what was recorded'

/** Null when the segment follows the one before it. */
function follows(segment: Pick<OpenSegment, 'header'>, before: Walked | null, retired: Point | null, excused: boolean): string | null {
  const { previous, afterFailure, segment: number } = segment.header
  // What a failed file held behind its last certain point went with the file when it was retired.
  if (before === null && retired !== null && afterFailure) return previous === null || previous.segment <= retired.segment ? null : 'it does not follow the segment before it'
  if (previous === null) return before === null && retired === null && (number === 1 || afterFailure) ? null : 'it does not follow the segment before it'
  if (before === null) return retired !== null && previous.segment === retired.segment && previous.hash === retired.hash ? null : 'it does not follow the segment before it'
  if (previous.segment !== before.number || before.at(previous.batch) !== previous.hash) return 'it does not follow the segment before it'
  if (afterFailure) return null
  return excused || previous.batch !== before.end.batch ? 'it does not follow the segment before it' : null
}

function closed(segment: ClosedSegment, number: number, tally: Tally): Walked {
  const { batches, hash, bytes } = segment.sealed
  tally.segments++
  tally.batches += batches
  tally.bytes += bytes
  return { number, end: { segment: number, batch: batches, hash }, fault: null, after: null, at: (batch) => batch === 0 ? segment.hash.toString('hex') : batch === batches ? hash : null }
}
function walk(segment: OpenSegment, number: number, tally: Tally): Walked {
  const place = firstPlace(segment)
  const ends = [segment.start]
  const hashes = (batch: number): string | null => batch === 0 ? segment.hash.toString('hex') : batch < ends.length ? segment.bytes.toString('hex', ends[batch]! - HASH_BYTES, ends[batch]!) : null
  let step = nextBatch(segment.bytes, place)
  let lastStart = 0, lastEnd = 0
  for (; step !== null && typeof step !== 'string'; step = nextBatch(segment.bytes, place)) { count(segment.bytes, step, tally); ends.push(place.at); lastStart = step.start; lastEnd = step.end }
  tally.segments++
  tally.batches += place.batch
  tally.bytes += place.at
  const fault = typeof step === 'string' ? step : null
  return {
    number, end: { segment: number, batch: place.batch, hash: hashes(place.batch)! }, fault, at: hashes,
    get after() { return lastEventIn(segment, place.batch > 0 ? lastStart : 0, lastEnd) },
  }
}
function count(bytes: Buffer, step: { readonly start: number; readonly end: number }, tally: Tally): void {
  for (let at = step.start; at + FRAME_HEAD_BYTES <= step.end; at += 4 + bytes.readUInt32LE(at)) {
    if (bytes[at + 4] === CODE_NAMES) tally.sessions.add(bytes.toString('utf8', at + FRAME_HEAD_BYTES, Math.min(step.end, at + 4 + bytes.readUInt32LE(at))))
    else tally.events++
  }
}
/** Names are given where a session first appears: they are looked for from the segment's start, only when there is something to say. */
function lastEventIn(segment: OpenSegment, start: number, end: number): Finding['after'] {
  if (start === 0) return null
  const names = new Map<number, string>()
  const place = firstPlace(segment)
  let last: Event | null = null
  for (let step = nextBatch(segment.bytes, place); step !== null && typeof step !== 'string' && step.end <= end; step = nextBatch(segment.bytes, place)) {
    if (!eachEvent(segment.bytes, step.start, step.end, names, null, (event) => { last = event })) break
  }
  const found = last as Event | null
  return found === null ? null : { session: found.session, sequence: found.sequence }
}

/** What no head covers. The next segment's header would, and its head is signed when it begins. */
function tailOf(segment: OpenSegment, number: number, walked: Walked, heads: Heads, log: string, tally: Tally): void {
  const { last } = heads
  if (last !== null && (number < last.segment || (number === last.segment && walked.end.batch <= last.batch && walked.fault === null))) return
  const from = last !== null && last.segment === number ? last.batch : 0
  const place = firstPlace(segment)
  let firstMs = 0, lastMs = 0
  for (;;) {
    const { at } = place
    const step = nextBatch(segment.bytes, place)
    if (step === null || step === 'broken') break
    const end = step === 'torn' ? place.whole : step.end
    if (end > at && (step === 'torn' || place.batch > from)) {
      // Frames begin with length, code, session and sequence; the clock that never jumps stands at 21.
      if (firstMs === 0) firstMs = segment.bytes.readDoubleLE(at + 21)
      for (let frame = at; frame < end; frame += 4 + segment.bytes.readUInt32LE(frame)) lastMs = segment.bytes.readDoubleLE(frame + 21)
    }
    if (step === 'torn') break
  }
  const finding = { log, segment: number, batch: from + 1, after: null, why: `${walked.end.batch - from} batches behind the last signed head` }
  if (Number.isNaN(lastMs - firstMs) || lastMs - firstMs > UNSEALED_MS_MAX) tally.bad.push({ ...finding, why: 'it was not signed for longer than a gateway at work takes' })
  else if (walked.end.batch > from) tally.unsealed.push(finding)
}
