// Reads sessions and their events back, from plain and compressed segments alike. It stops a log at the first batch that is not what
// was written, and shows nothing behind it: `verify` says what is wrong.
import { eachEvent, type Event, firstPlace, nextBatch, noKey, openHeader, openSegment } from './scan.ts'
import { type Block, type Opener, readBlock, sealName } from './sealed.ts'
import { CODEC_AT, CODEC_SEALED } from './layout.ts'
import { FolderShelf, type Shelf } from './shelf.ts'

const TAIL_EVERY_MS = 200
export type { Event } from './scan.ts'

export interface SessionFound {
  readonly session: string
  readonly log: string
  readonly resource: string
  readonly firstMs: number
  readonly lastMs: number
  readonly events: number
  /** The body of its `opened` event; null when that is elsewhere or gone. */
  readonly opened: unknown
  readonly closed: boolean
}
export interface SessionQuery { readonly resource?: string; readonly sinceMs?: number; readonly beforeMs?: number }

/** When a session was open: other segments are not read for it. */
export interface Span { readonly sinceMs: number; readonly beforeMs: number }
export const ALWAYS: Span = { sinceMs: -Infinity, beforeMs: Infinity }
/** Clocks may have been set meanwhile, by so much. */
const CLOCK_MS = 10 * 60_000
const NOTHING = Buffer.alloc(0)

export class RecordReader {
  readonly #shelf: Shelf
  readonly #opener: Opener
  constructor(shelf: Shelf | string, opener: Opener = noKey) { this.#shelf = typeof shelf === 'string' ? new FolderShelf(shelf) : shelf; this.#opener = opener }

  /** All events in order of each log; of one session when named. */
  *events(session: string | null = null, resource: string | null = null, span: Span = ALWAYS): Generator<Event> {
    for (const log of this.#logs(resource)) yield* this.eventsOf(log, session, span)
  }
  *eventsOf(log: string, session: string | null = null, span: Span = ALWAYS): Generator<Event> {
    for (const number of this.#numbers(log, span)) yield* eventsIn(this.#shelf.segment(log, number), this.#opener, session)
  }
  #logs(resource: string | null): readonly string[] { return resource === null ? this.#shelf.logs() : this.#shelf.logs().filter((log) => log.startsWith(`${resource}/`)) }
  /** Segments that may have events of that time. */
  #numbers(log: string, span: Span): readonly number[] {
    const numbers = this.#shelf.segments(log)
    if (span === ALWAYS) return numbers
    const madeAt = numbers.map((number) => openHeader(this.#shelf.front(log, number) ?? NOTHING)?.header.madeAtMs ?? null)
    return numbers.filter((_, i) => (madeAt[i] ?? 0) <= span.beforeMs + CLOCK_MS && (madeAt[i + 1] ?? Infinity) >= span.sinceMs - CLOCK_MS)
  }
  /** The sealed segments of that time: what an opener must have keys for. */
  sealed(resource: string | null, span: Span = ALWAYS): { readonly name: string; readonly block: Block }[] {
    const found: { name: string; block: Block }[] = []
    for (const log of this.#logs(resource)) for (const number of this.#numbers(log, span)) {
      const front = this.#shelf.front(log, number) ?? NOTHING
      const opened = openHeader(front)
      const parts = opened === null || front[CODEC_AT] !== CODEC_SEALED ? null : readBlock(front, opened.start, Infinity)
      if (opened !== null && parts !== null) found.push({ name: sealName(opened.header), block: parts.block })
    }
    return found
  }

  sessions(query: SessionQuery = {}): SessionFound[] {
    const found = new Map<string, { -readonly [K in keyof SessionFound]: SessionFound[K] }>()
    for (const log of this.#shelf.logs()) {
      const resource = log.slice(0, log.indexOf('/'))
      if (query.resource !== undefined && query.resource !== resource) continue
      for (const event of this.eventsOf(log)) {
        const known = found.get(event.session) ?? { session: event.session, log, resource, firstMs: event.atMs, lastMs: event.atMs, events: 0, opened: null, closed: false }
        known.lastMs = event.atMs
        known.events++
        if (event.kind === 'opened') known.opened = event.body
        if (event.kind === 'closed') known.closed = true
        found.set(event.session, known)
      }
    }
    return [...found.values()].filter(({ firstMs, lastMs }) => lastMs >= (query.sinceMs ?? -Infinity) && firstMs < (query.beforeMs ?? Infinity)).sort((a, b) => b.firstMs - a.firstMs)
  }

  /** A session's events as they are written, until it is closed or `signal` fires. */
  async *tail(session: string, resource: string | null, signal: AbortSignal): AsyncGenerator<Event> {
    const places = new Map<string, Follow>()
    for (let closed = false; !closed && !signal.aborted;) {
      for (const log of this.#logs(resource)) {
        const place = places.get(log) ?? { segment: 0, at: 0 }
        places.set(log, place)
        for (const event of this.#since(log, place, session)) { closed ||= event.kind === 'closed'; yield event }
      }
      if (!closed) await new Promise<void>((resolve) => {
        const done = (): void => { clearTimeout(timer); signal.removeEventListener('abort', done); resolve() }
        const timer = setTimeout(done, TAIL_EVERY_MS)
        signal.addEventListener('abort', done)
      })
    }
  }
  *#since(log: string, follow: Follow, session: string): Generator<Event> {
    for (const number of this.#shelf.segments(log)) {
      if (number < follow.segment) continue
      if (number > follow.segment) { follow.segment = number; follow.at = 0 }
      yield* eventsIn(this.#shelf.segment(log, number), this.#opener, session, follow.at, (at) => { follow.at = at })
    }
  }

  /** One JSON line per event; an answer's bytes in base64. */
  *exportLines(session: string | null = null, resource: string | null = null, span: Span = ALWAYS): Generator<string> {
    for (const { body, ...event } of this.events(session, resource, span)) yield `${JSON.stringify({ ...event, ...(Buffer.isBuffer(body) ? { base64: body.toString('base64') } : { body }) })}\n`
  }
  /** What a replay shows, with the pause before each step. */
  *replay(session: string, resource: string | null = null): Generator<Event & { readonly afterMs: number }> {
    let before: number | null = null
    for (const event of this.events(session, resource)) {
      yield { ...event, afterMs: before === null ? 0 : Math.max(0, event.monotonicMs - before) }
      before = event.monotonicMs
    }
  }
}
interface Follow { segment: number; at: number }

/** Also those behind the last link: whole frames that a writer at work, or one that died, has not linked. */
function* eventsIn(bytes: Buffer | null, opener: Opener, session: string | null, after = 0, reached?: (at: number) => void): Generator<Event> {
  const segment = bytes === null ? null : openSegment(bytes, opener)
  if (segment === null || 'sealed' in segment) return
  const names = new Map<number, string>()
  const place = firstPlace(segment)
  for (;;) {
    const start = place.at
    const batch = nextBatch(segment.bytes, place)
    if (batch === null || batch === 'broken') return
    const end = batch === 'torn' ? place.whole : batch.end
    const events: Event[] = []
    let from = start
    // Names come first in a segment: what was given before is only read for them.
    if (start < after && after <= end) { if (!eachEvent(segment.bytes, start, after, names, session, () => {})) return; from = after }
    if (!eachEvent(segment.bytes, from, end, names, session, (event) => { events.push(event) })) return
    if (end > after) { reached?.(end); yield* events }
    if (batch === 'torn') return
  }
}
