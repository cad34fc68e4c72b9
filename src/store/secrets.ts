// The sealed secrets of the control store. `open` is for the supervisor alone, for one session's login; nothing else in Sluice
// reads a secret back, and no listing holds more than names.
import { SluiceError } from '../core/errors.ts'
import type { Bell } from './bell.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'
import { newSealKey, seal, type SealKey, unseal } from './seal.ts'

export interface SecretInfo {
  readonly name: string
  readonly keyId: string
  readonly changedAtMs: number
  readonly changedBy: string
}
/** The keys, first the one that seals; and where new ones are kept before anything is sealed with them. */
export interface Keyring {
  keys: readonly SealKey[]
  keep(keys: readonly SealKey[]): void
}

export class Secrets {
  readonly #database: Database
  readonly #clock: Clock
  readonly #bell: Bell
  constructor(database: Database, clock: Clock, bell: Bell) {
    this.#database = database
    this.#clock = clock
    this.#bell = bell
  }

  async put(keyring: Keyring, name: string, secret: Buffer, by: string): Promise<void> {
    const { keyId, bytes } = seal(keyring.keys[0]!, name, secret)
    await this.putSealed(name, keyId, bytes, by)
  }

  /** For a process that has no key and was given the sealed value. */
  async putSealed(name: string, keyId: string, bytes: Buffer, by: string): Promise<void> {
    await this.#database.transaction(async (queries) => {
      await queries.query(
        `INSERT INTO sluice.secrets (name, key_id, sealed, changed_ms, changed_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, changed_ms = excluded.changed_ms, changed_by = excluded.changed_by`,
        [name, keyId, bytes, this.#clock.nowMs(), by],
      )
      await this.#bell.ring({ topic: 'secrets', name }, queries)
    })
  }

  async open(keyring: Keyring, name: string): Promise<Buffer> {
    const [row] = await this.#database.query<{ key_id: string; sealed: Buffer }>('SELECT key_id, sealed FROM sluice.secrets WHERE name = $1', [name])
    if (row === undefined) throw new SluiceError('NO_SUCH_SECRET', `there is no sealed secret ${name}`, { public: false })
    return unseal(keyring.keys, name, { keyId: row.key_id, bytes: row.sealed })
  }

  list(): Promise<SecretInfo[]> {
    return this.#database.query<SecretInfo>(
      'SELECT name, key_id AS "keyId", changed_ms AS "changedAtMs", changed_by AS "changedBy" FROM sluice.secrets ORDER BY name',
    )
  }

  async remove(name: string): Promise<boolean> {
    return (await this.#database.query('DELETE FROM sluice.secrets WHERE name = $1 RETURNING 1', [name])).length > 0
  }

  /**
   * A new key seals all. The one before stays for one rotation more, for what another process seals at this moment; older ones go
   * when nothing needs them. A kill in between leaves all keys, and every secret opens.
   */
  async rotate(keyring: Keyring): Promise<{ readonly keyId: string; readonly resealed: number }> {
    const fresh = newSealKey()
    keyring.keep([fresh, ...keyring.keys])
    keyring.keys = [fresh, ...keyring.keys]
    const resealed = await this.#database.transaction(async (queries) => {
      const rows = await queries.query<{ name: string; key_id: string; sealed: Buffer }>(
        'SELECT name, key_id, sealed FROM sluice.secrets WHERE key_id <> $1 FOR UPDATE',
        [fresh.id],
      )
      for (const row of rows) {
        const again = seal(fresh, row.name, unseal(keyring.keys, row.name, { keyId: row.key_id, bytes: row.sealed }))
        await queries.query('UPDATE sluice.secrets SET key_id = $2, sealed = $3 WHERE name = $1', [row.name, again.keyId, again.bytes])
      }
      return rows.length
    })
    const used = new Set((await this.list()).map(({ keyId }) => keyId))
    const kept = keyring.keys.filter(({ id }, index) => index < 2 || used.has(id))
    keyring.keep(kept)
    keyring.keys = kept
    return { keyId: fresh.id, resealed }
  }
}
