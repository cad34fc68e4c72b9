// What the latest accepted credential of an identity said of it. Called wherever a credential is accepted (API and sessions);
// a review's release compares the approver with it, so that who left a group between click and release releases nothing.
import type { Identity } from '../core/identity.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'

/** Unchanged groups are written again only this often. */
const FRESH_MS = 60_000

export class People {
  readonly #database: Database
  readonly #clock: Clock
  constructor(database: Database, clock: Clock) { this.#database = database; this.#clock = clock }

  async saw(identity: Identity): Promise<void> {
    await this.#database.query(
      `INSERT INTO sluice.people AS p (issuer, subject, groups, agent, seen_ms) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (issuer, subject) DO UPDATE SET groups = excluded.groups, agent = excluded.agent, seen_ms = excluded.seen_ms
       WHERE p.groups IS DISTINCT FROM excluded.groups OR p.agent IS DISTINCT FROM excluded.agent OR p.seen_ms < excluded.seen_ms - $6`,
      [identity.issuer, identity.subject, identity.groups, identity.agent, this.#clock.nowMs(), FRESH_MS])
  }

  async groups(issuer: string, subject: string): Promise<readonly string[] | null> {
    const [row] = await this.#database.query<{ groups: string[] }>('SELECT groups FROM sluice.people WHERE issuer = $1 AND subject = $2', [issuer, subject])
    return row?.groups ?? null
  }
}
