// The index of sessions, for lists and searches: asynchronous, behind the record, and rebuilt from it when it is lost. Never
// evidence.
import type { Database } from './database.ts'

export const SESSION_LIST_MAX = 1_000

export interface SessionSummary {
  readonly session: string
  readonly resource: string
  readonly protocol: string
  readonly database: string
  readonly issuer: string
  readonly subject: string
  readonly onBehalfOf: string | null
  readonly agent: boolean
  readonly client: string
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  readonly endedWhy: string | null
  readonly statements: number
  readonly denied: number
  readonly reviewed: number
  readonly rows: number
  readonly bytes: number
  readonly masked: number
  /** `schema.table.column` of what its statements named; `*` when there were too many to keep. Not in lists. */
  readonly columns?: readonly string[]
}
export interface SessionFilter {
  /** `issuer subject`: sessions of this identity, and of agents for this person. */
  readonly party?: string
  readonly resource?: string
  readonly subject?: string
  /** `schema.table.column`: sessions whose statements named it. */
  readonly column?: string
  readonly sinceMs?: number
  readonly beforeMs?: number
  readonly limit?: number
}

const COLUMNS: readonly Exclude<keyof SessionSummary, 'columns'>[] = [
  'session',
  'resource',
  'protocol',
  'database',
  'issuer',
  'subject',
  'onBehalfOf',
  'agent',
  'client',
  'startedAtMs',
  'endedAtMs',
  'endedWhy',
  'statements',
  'denied',
  'reviewed',
  'rows',
  'bytes',
  'masked',
]
const NAMES: Partial<Record<keyof SessionSummary, string>> = {
  onBehalfOf: 'on_behalf_of',
  startedAtMs: 'started_ms',
  endedAtMs: 'ended_ms',
  endedWhy: 'ended_why',
}
const column = (name: keyof SessionSummary): string => NAMES[name] ?? name
const SELECTED = COLUMNS.map((name) => `${column(name)} AS "${name}"`).join(', ')
const INSERT = `INSERT INTO sluice.sessions (${COLUMNS.map(column).join(', ')}, columns) VALUES (${COLUMNS.map((_, i) => `$${i + 1}`).join(', ')}, $${COLUMNS.length + 1})
  ON CONFLICT (session) DO UPDATE SET ${COLUMNS.slice(1)
    .map((name) => `${column(name)} = excluded.${column(name)}`)
    .join(', ')}, columns = excluded.columns`

export class SessionIndex {
  readonly #database: Database
  constructor(database: Database) {
    this.#database = database
  }

  /** Inserts or replaces; idempotent. */
  async put(summaries: readonly SessionSummary[]): Promise<void> {
    await this.#database.transaction(async (queries) => {
      for (const summary of summaries)
        await queries.query(
          INSERT,
          [...COLUMNS.map((name) => summary[name]), summary.columns ?? []],
        )
    })
  }

  async get(session: string): Promise<SessionSummary | null> {
    return (await this.#database.query<SessionSummary>(`SELECT ${SELECTED}, columns FROM sluice.sessions WHERE session = $1`, [session]))[0] ?? null
  }

  list(filter: SessionFilter): Promise<SessionSummary[]> {
    return this.#database.query<SessionSummary>(
      `SELECT ${SELECTED} FROM sluice.sessions
       WHERE ($1::text IS NULL OR issuer || ' ' || subject = $1 OR issuer || ' ' || on_behalf_of = $1) AND ($2::text IS NULL OR resource = $2) AND ($3::text IS NULL OR subject = $3)
         AND ($4::bigint IS NULL OR started_ms >= $4) AND ($5::bigint IS NULL OR started_ms < $5) AND ($7::text IS NULL OR columns && ARRAY[$7, '*']::text[]) ORDER BY started_ms DESC, session LIMIT $6`,
      [
        filter.party ?? null,
        filter.resource ?? null,
        filter.subject ?? null,
        filter.sinceMs ?? null,
        filter.beforeMs ?? null,
        Math.min(filter.limit ?? 100, SESSION_LIST_MAX),
        filter.column ?? null,
      ],
    )
  }

  async forget(sessions: readonly string[]): Promise<void> {
    await this.#database.query('DELETE FROM sluice.sessions WHERE session = ANY($1)', [sessions])
  }
  async clear(): Promise<void> {
    await this.#database.query('TRUNCATE sluice.sessions')
  }
}
