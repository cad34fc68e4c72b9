// What `sluice token` prints, the cookies of the page and break-glass accounts: random, opaque, kept as a hash only. A token says
// for one identity what that identity was when it was made, and never outlives the credential it was made from.
import { createHash, randomBytes } from 'node:crypto'
import { NotAuthenticated, SluiceError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'
import { partiesOf, partyOf } from './review_rows.ts'
import type { Revocations } from './revocations.ts'

/** Ours begin so: anything else is tried as an OIDC token. 4 + 43 characters, at most 64 as promised. */
export const TOKEN_PREFIX = 'slc_'
const TOKEN_PATTERN = /^slc_[A-Za-z0-9_-]{43}$/
const TOKEN_BYTES = 32
export const TOKENS_LIVE_MAX = 1_000
const TTL_MIN_MS = 1_000

export type TokenKind = 'resource' | 'web' | 'emergency'
export interface TokenInfo {
  readonly id: string
  readonly kind: TokenKind
  readonly subject: string
  readonly issuer: string
  readonly resource: string | null
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  readonly endedAtMs: number | null
}
export interface Minted extends TokenInfo {
  readonly secret: string
}
/** What a token opens: `boundTo` one resource, or null for all of the API. */
export interface Opened {
  readonly identity: Identity
  readonly boundTo: string | null
  readonly kind: TokenKind
  readonly id: string
}

interface Row {
  id: string
  kind: TokenKind
  identity: Identity
  resource: string | null
  issued_ms: number
  expires_ms: number
  ended_ms: number | null
  parent_hash: string | null
  parent_token_id: string | null
}

export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

export class Tokens {
  readonly #database: Database
  readonly #clock: Clock
  readonly #revocations: Revocations
  constructor(database: Database, clock: Clock, revocations: Revocations) {
    this.#database = database
    this.#clock = clock
    this.#revocations = revocations
  }

  /** `resource` is null for `web` and `emergency` only. */
  async mint(identity: Identity, kind: TokenKind, resource: string | null, ttlMs: number): Promise<Minted> {
    const now = this.#clock.nowMs()
    const expiresAtMs = Math.min(now + Math.floor(ttlMs), identity.expiresAtMs)
    if (!(expiresAtMs - now >= TTL_MIN_MS)) throw new NotAuthenticated('the credential has expired: sign in again')
    const secret = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url')
    const hash = hashOf(secret)
    const [row] = await this.#database.query<Row>(
      `INSERT INTO sluice.tokens (hash, id, kind, identity, party, resource, parent_hash, parent_token_id, issued_ms, expires_ms)
       SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE (SELECT count(*) FROM sluice.tokens WHERE party = $5 AND ended_ms IS NULL AND expires_ms > $9::bigint) < $11 RETURNING *`,
      [
        hash,
        `t${randomBytes(9).toString('base64url')}`,
        kind,
        JSON.stringify({ ...identity, credentialHash: hash, expiresAtMs }),
        partyOf(identity),
        resource,
        identity.credentialHash,
        identity.tokenId,
        now,
        expiresAtMs,
        TOKENS_LIVE_MAX,
      ],
    )
    if (row === undefined)
      throw new SluiceError('TOO_MANY_TOKENS', `${TOKENS_LIVE_MAX} tokens of yours are valid already: revoke some or wait until they expire`)
    return { ...info(row), secret }
  }

  /** Throws NotAuthenticated with one text for all reasons that a thief could learn from. */
  async open(secret: string): Promise<Opened> {
    if (!TOKEN_PATTERN.test(secret)) throw refused()
    const now = this.#clock.nowMs()
    const [row] = await this.#database.query<Row>('SELECT * FROM sluice.tokens WHERE hash = $1 AND ended_ms IS NULL AND expires_ms > sluice.now_ms($2)', [
      hashOf(secret),
      now,
    ])
    if (row === undefined || (await this.#revoked(row))) throw refused()
    return { identity: row.identity, boundTo: row.resource, kind: row.kind, id: row.id }
  }

  async list(party: string | null): Promise<TokenInfo[]> {
    const rows = await this.#database.query<Row>(
      'SELECT * FROM sluice.tokens WHERE ($1::text IS NULL OR party = $1) AND ended_ms IS NULL AND expires_ms > sluice.now_ms($2) ORDER BY issued_ms DESC LIMIT 1000',
      [party, this.#clock.nowMs()],
    )
    return rows.map(info)
  }

  /** `party` null: an admin, whoever's it is. Its open sessions end too. False when there is none such. */
  async revoke(id: string, party: string | null, by: string): Promise<boolean> {
    const [row] = await this.#database.query<{ hash: string }>(
      'UPDATE sluice.tokens SET ended_ms = sluice.now_ms($3), ended_by = $4 WHERE id = $1 AND ended_ms IS NULL AND ($2::text IS NULL OR party = $2) RETURNING hash',
      [id, party, this.#clock.nowMs(), by],
    )
    if (row === undefined) return false
    await this.#revocations.revoke({ kind: 'credential', value: row.hash }, by, 'token revoked')
    return true
  }

  /** Makes expiry stick, and forgets what ended long ago. */
  async sweep(forgetAfterMs: number): Promise<void> {
    const now = this.#clock.nowMs()
    await this.#database.query(
      "UPDATE sluice.tokens SET ended_ms = sluice.now_ms($1), ended_by = 'expiry' WHERE ended_ms IS NULL AND expires_ms <= sluice.now_ms($1)",
      [now],
    )
    await this.#database.query('DELETE FROM sluice.tokens WHERE ended_ms < $1', [now - forgetAfterMs])
  }

  async #revoked(row: Row): Promise<boolean> {
    const credentials = [row.identity.credentialHash, ...(row.parent_hash === null ? [] : [row.parent_hash])]
    const ids = row.parent_token_id === null ? [] : [`${row.identity.issuer} ${row.parent_token_id}`]
    const [hit] = await this.#database.query(
      "SELECT 1 FROM sluice.revocations WHERE (kind = 'credential' AND value = ANY($1)) OR (kind = 'token-id' AND value = ANY($2)) OR (kind = 'subject' AND value = ANY($3)) LIMIT 1",
      [credentials, ids, partiesOf(row.identity)],
    )
    return hit !== undefined
  }
}

const refused = () => new NotAuthenticated('the token is not valid (any more): get a new one with `sluice token`')

function info(row: Row): TokenInfo {
  return {
    id: row.id,
    kind: row.kind,
    subject: row.identity.subject,
    issuer: row.identity.issuer,
    resource: row.resource,
    issuedAtMs: row.issued_ms,
    expiresAtMs: row.expires_ms,
    endedAtMs: row.ended_ms,
  }
}
