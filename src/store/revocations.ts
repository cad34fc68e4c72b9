// What is no longer accepted: a credential by its hash, a token by its issuer and id, or a whole subject and the agents that act
// for it. A revocation rings at once, so that open sessions end within seconds. A revoked subject stays so until an admin lifts it.
import type { Identity } from '../core/identity.ts'
import type { Bell } from './bell.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'
import { partiesOf } from './review_rows.ts'

export type RevocationKind = 'credential' | 'token-id' | 'subject'
/** value: SHA-256 (hex) of a credential, `issuer jti`, or `issuer subject`. */
export interface Revocation {
  readonly kind: RevocationKind
  readonly value: string
}

/** Whether a revocation covers an identity: pure, for those who keep the list in memory. */
export function covers(revocation: Revocation, identity: Identity): boolean {
  switch (revocation.kind) {
    case 'credential':
      return revocation.value === identity.credentialHash
    case 'token-id':
      return identity.tokenId !== null && revocation.value === `${identity.issuer} ${identity.tokenId}`
    case 'subject':
      return partiesOf(identity).includes(revocation.value)
  }
}

export class Revocations {
  readonly #database: Database
  readonly #clock: Clock
  readonly #bell: Bell
  constructor(database: Database, clock: Clock, bell: Bell) {
    this.#database = database
    this.#clock = clock
    this.#bell = bell
  }

  async revoke(revocation: Revocation, by: string, reason: string): Promise<void> {
    await this.#database.transaction(async (queries) => {
      // With a credential go the tokens made from it.
      const made =
        revocation.kind === 'credential'
          ? await queries.query<{ hash: string }>('SELECT hash FROM sluice.tokens WHERE parent_hash = $1', [revocation.value])
          : []
      for (const value of [revocation.value, ...made.map((row) => row.hash)]) {
        await queries.query(
          'INSERT INTO sluice.revocations (kind, value, at_ms, by_whom, reason) VALUES ($1, $2, sluice.now_ms($3), $4, $5) ON CONFLICT DO NOTHING',
          [revocation.kind, value, this.#clock.nowMs(), by, reason],
        )
        await this.#bell.ring({ topic: 'revoked', kind: revocation.kind, value }, queries)
      }
    })
  }

  /** True when there was one. */
  async lift(revocation: Revocation): Promise<boolean> {
    return (
      (await this.#database.query('DELETE FROM sluice.revocations WHERE kind = $1 AND value = $2 RETURNING 1', [revocation.kind, revocation.value])).length > 0
    )
  }

  async covering(identity: Identity): Promise<boolean> {
    const [hit] = await this.#database.query(
      "SELECT 1 FROM sluice.revocations WHERE (kind = 'credential' AND value = $1) OR (kind = 'token-id' AND value = $2) OR (kind = 'subject' AND value = ANY($3)) LIMIT 1",
      [identity.credentialHash, identity.tokenId === null ? null : `${identity.issuer} ${identity.tokenId}`, partiesOf(identity)],
    )
    return hit !== undefined
  }

  /** All in force, for a list in memory; then follow the bell's `revoked` and `missed`. */
  all(): Promise<Revocation[]> {
    return this.#database.query<Revocation>('SELECT kind, value FROM sluice.revocations')
  }
}
