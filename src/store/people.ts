// What the latest accepted credential of an identity said of it. Called wherever a credential is accepted (API and sessions);
// a decision and a release compare the approver with it, so that who left a group between click and release releases nothing.
// A credential is believed when it is first shown: an older one that is shown again does not override a later one.
import type { Identity } from '../core/identity.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'

/** Of this process: spares the store what it knows. */
const KNOWN_CREDENTIALS_MAX = 10_000

export class People {
  readonly #database: Database
  readonly #clock: Clock
  readonly #known = new Set<string>()
  constructor(database: Database, clock: Clock) { this.#database = database; this.#clock = clock }

  async saw(identity: Identity): Promise<void> {
    if (this.#known.has(identity.credentialHash)) return
    await this.#database.query(
      `WITH fresh AS (INSERT INTO sluice.people_credentials (hash, expires_ms) VALUES ($6, $7) ON CONFLICT DO NOTHING RETURNING 1)
       INSERT INTO sluice.people (issuer, subject, groups, agent, seen_ms) SELECT $1, $2, $3, $4, $5 FROM fresh
       ON CONFLICT (issuer, subject) DO UPDATE SET groups = excluded.groups, agent = excluded.agent, seen_ms = excluded.seen_ms`,
      [identity.issuer, identity.subject, identity.groups, identity.agent, this.#clock.nowMs(), identity.credentialHash, identity.expiresAtMs])
    if (this.#known.size >= KNOWN_CREDENTIALS_MAX) this.#known.clear()
    this.#known.add(identity.credentialHash)
  }

  async groups(issuer: string, subject: string): Promise<readonly string[] | null> {
    const [row] = await this.#database.query<{ groups: string[] }>('SELECT groups FROM sluice.people WHERE issuer = $1 AND subject = $2', [issuer, subject])
    return row?.groups ?? null
  }

  /** An expired credential is accepted nowhere, so its word need not be kept. */
  async sweep(keptAfterExpiryMs: number): Promise<void> {
    await this.#database.query('DELETE FROM sluice.people_credentials WHERE expires_ms < $1', [this.#clock.nowMs() - keptAfterExpiryMs])
  }
}
