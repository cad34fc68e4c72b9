// Break-glass accounts: a credential of Sluice's own that works while the identity provider is down. Made beforehand by an admin
// (or on the gateway's host), short-lived once used is the reader's policy; each use is kept here and must be recorded and shouted.
import type { Identity } from '../core/identity.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'
import type { Minted, Tokens } from './tokens.ts'

/** Made for a drawer, not for daily use; still, it ends. */
export const EMERGENCY_TTL_MAX_MS = 90 * 86_400_000
export interface EmergencyUse {
  readonly tokenId: string
  readonly subject: string
  readonly atMs: number
  readonly what: string
}

export class Emergency {
  readonly #database: Database
  readonly #clock: Clock
  readonly #tokens: Tokens
  constructor(database: Database, clock: Clock, tokens: Tokens) {
    this.#database = database
    this.#clock = clock
    this.#tokens = tokens
  }

  issue(name: string, groups: readonly string[], ttlMs: number): Promise<Minted> {
    const identity: Identity = {
      subject: name,
      issuer: 'sluice',
      groups,
      agent: false,
      onBehalfOf: null,
      credentialHash: 'none',
      tokenId: null,
      expiresAtMs: this.#clock.nowMs() + EMERGENCY_TTL_MAX_MS,
    }
    return this.#tokens.mint(identity, 'emergency', null, Math.min(ttlMs, EMERGENCY_TTL_MAX_MS))
  }

  async used(tokenId: string, subject: string, what: string): Promise<void> {
    await this.#database.query('INSERT INTO sluice.emergency_uses (token_id, subject, at_ms, what) VALUES ($1, $2, $3, $4)', [
      tokenId,
      subject,
      this.#clock.nowMs(),
      what,
    ])
  }

  uses(): Promise<EmergencyUse[]> {
    return this.#database.query<EmergencyUse>(
      'SELECT token_id AS "tokenId", subject, at_ms AS "atMs", what FROM sluice.emergency_uses ORDER BY number DESC LIMIT 1000',
    )
  }
}
