// A session's line in the index, folded from its events: pure, so that an index that is lost is made again from the record.
import { namedColumns } from '../../core/record.ts'
import type { SessionSummary } from '../session_index.ts'
import type { RecordReader } from './read.ts'
import type { Event } from './scan.ts'

const INSERT_ROWS_MAX = 200
type Facts = Readonly<Record<string, unknown>>
const facts = (body: unknown): Facts => typeof body === 'object' && body !== null ? body as Facts : {}
const text = (value: unknown): string => typeof value === 'string' ? value : ''
const count = (value: unknown): number => typeof value === 'number' && Number.isFinite(value) ? value : 0

/** The summary after one more event; null before the session's `opened`. */
export function indexRow(before: SessionSummary | null, event: Event): SessionSummary | null {
  const body = facts(event.body)
  if (event.kind === 'opened') return opened(event, body)
  if (before === null) return null
  switch (event.kind) {
    case 'asked': {
      if (body['phase'] === 'skipped') return before
      const named = body['verdict'] === 'deny' ? before : { ...before, columns: columnsOf(before.columns ?? [], body['effects']) }
      if (body['phase'] === 'prepare' && body['verdict'] !== 'deny') return named
      return { ...named, statements: before.statements + 1, denied: before.denied + (body['verdict'] === 'deny' ? 1 : 0) }
    }
    case 'review': return body['state'] === 'filed' || body['state'] === 'waiting' ? { ...before, reviewed: before.reviewed + 1 } : before
    case 'ended': return { ...before, rows: before.rows + count(body['rows']), bytes: before.bytes + count(body['bytes']), masked: before.masked + count(body['masked']) }
    case 'closed': case 'crash': return { ...before, endedAtMs: event.atMs, endedWhy: text(body['why']) || event.kind }
    default: return before
  }
}
/** Those known, with what these effects name. */
function columnsOf(before: readonly string[], effects: unknown): readonly string[] {
  const named = Array.isArray(effects) ? effects.flatMap((effect) => { const { columns } = facts(effect); return Array.isArray(columns) ? columns.filter((column) => typeof column === 'string') : [] }) : []
  return named.every((column) => before.includes(column)) ? before : namedColumns(new Set(before), named)
}
function opened(event: Event, body: Facts): SessionSummary {
  const identity = facts(body['identity'])
  return {
    session: event.session, resource: text(body['resource']), protocol: text(body['protocol']), database: text(body['database']),
    issuer: text(identity['issuer']), subject: text(identity['subject']), onBehalfOf: text(identity['onBehalfOf']) || null, agent: identity['agent'] === true,
    client: text(body['client']) || text(facts(body['client'])['address']), startedAtMs: event.atMs, endedAtMs: null, endedWhy: null, statements: 0, denied: 0, reviewed: 0, rows: 0, bytes: 0, masked: 0, columns: [],
  }
}

/** Makes the whole index again; `insert` may be given a session again with newer counts. */
export async function rebuildIndex(reader: RecordReader, insert: (rows: readonly SessionSummary[]) => Promise<void>): Promise<number> {
  let open = new Map<string, SessionSummary>()
  let done: SessionSummary[] = []
  let total = 0
  for (const event of reader.events()) {
    const row = indexRow(open.get(event.session) ?? null, event)
    if (row === null) continue
    if (event.kind === 'closed') { open.delete(event.session); done.push(row); total++ } else open.set(event.session, row)
    if (done.length >= INSERT_ROWS_MAX) { await insert(done); done = [] }
  }
  done.push(...open.values())
  total += open.size
  open = new Map()
  for (let at = 0; at < done.length; at += INSERT_ROWS_MAX) await insert(done.slice(at, at + INSERT_ROWS_MAX))
  return total
}
