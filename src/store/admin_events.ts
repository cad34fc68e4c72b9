// The list of admin actions, for the API. The Record got each of them first and is the truth; this is where they are looked up.
// `detail` names things, and never holds a secret or a value.
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'

export interface AdminEvent {
  /** `issuer subject`, or `sluice`. */
  readonly actor: string
  /** Dotted: `resource.put`, `review.approve`, `token.revoke`. */
  readonly action: string
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
}
export interface StoredAdminEvent extends AdminEvent {
  readonly number: number
  readonly atMs: number
}

export class AdminEvents {
  readonly #database: Database
  readonly #clock: Clock
  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  async add(event: AdminEvent): Promise<void> {
    await this.#database.query('INSERT INTO sluice.admin_events (at_ms, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)', [
      this.#clock.nowMs(),
      event.actor,
      event.action,
      event.subject,
      JSON.stringify(event.detail),
    ])
  }

  list(beforeNumber: number | null, limit: number): Promise<StoredAdminEvent[]> {
    return this.#database.query<StoredAdminEvent>(
      'SELECT number, at_ms AS "atMs", actor, action, subject, detail FROM sluice.admin_events WHERE ($1::bigint IS NULL OR number < $1) ORDER BY number DESC LIMIT $2',
      [beforeNumber, Math.min(limit, 1_000)],
    )
  }
}
