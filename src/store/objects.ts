// Resources, policies and issuers registered through the API: bodies in the shape of sluice.yaml, checked by the caller before
// they come here and again when they are loaded. A change rings, and every gateway reloads.
import { SluiceError } from '../core/errors.ts'
import type { Bell } from './bell.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'

export const OBJECT_BYTES_MAX = 262_144
export const OBJECTS_MAX = 10_000

export type ObjectKind = 'resource' | 'policy' | 'issuer'
export interface StoredObject {
  readonly kind: ObjectKind
  readonly name: string
  readonly body: unknown
  readonly version: number
  readonly changedAtMs: number
  readonly changedBy: string
}
const COLUMNS = 'kind, name, body, version, changed_ms AS "changedAtMs", changed_by AS "changedBy"'

export class Objects {
  readonly #database: Database
  readonly #clock: Clock
  readonly #bell: Bell
  constructor(database: Database, clock: Clock, bell: Bell) {
    this.#database = database
    this.#clock = clock
    this.#bell = bell
  }

  list(kind: ObjectKind): Promise<StoredObject[]> {
    return this.#database.query<StoredObject>(`SELECT ${COLUMNS} FROM sluice.objects WHERE kind = $1 ORDER BY name LIMIT $2`, [kind, OBJECTS_MAX])
  }

  async get(kind: ObjectKind, name: string): Promise<StoredObject | null> {
    return (await this.#database.query<StoredObject>(`SELECT ${COLUMNS} FROM sluice.objects WHERE kind = $1 AND name = $2`, [kind, name]))[0] ?? null
  }

  /** `version` is the one that is replaced, 0 for a new one: two who change at once don't overwrite each other. */
  async put(kind: ObjectKind, name: string, body: unknown, version: number, by: string): Promise<StoredObject> {
    const text = JSON.stringify(body)
    if (Buffer.byteLength(text) > OBJECT_BYTES_MAX) throw new SluiceError('TOO_LARGE', `a ${kind} may have at most ${OBJECT_BYTES_MAX} bytes`)
    return this.#database.transaction(async (queries) => {
      const values = [kind, name, text, this.#clock.nowMs(), by]
      const [row] =
        version === 0
          ? await queries.query<StoredObject>(
              `INSERT INTO sluice.objects (kind, name, body, changed_ms, changed_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
              values,
            )
          : await queries.query<StoredObject>(
              `UPDATE sluice.objects SET body = $3, changed_ms = $4, changed_by = $5, version = version + 1 WHERE kind = $1 AND name = $2 AND version = $6 RETURNING ${COLUMNS}`,
              [...values, version],
            )
      if (row === undefined)
        throw new SluiceError(
          'CONFLICT',
          version === 0 ? `there is a ${kind} of this name already` : `the ${kind} was changed or removed meanwhile: read it again`,
        )
      await this.#bell.ring({ topic: 'objects', kind, name }, queries)
      return row
    })
  }

  /** True when there was one; with `version` only that one. */
  async remove(kind: ObjectKind, name: string, version: number | null = null): Promise<boolean> {
    return this.#database.transaction(async (queries) => {
      const removed = (await queries.query('DELETE FROM sluice.objects WHERE kind = $1 AND name = $2 AND ($3::int IS NULL OR version = $3) RETURNING 1', [kind, name, version])).length > 0
      if (removed) await this.#bell.ring({ topic: 'objects', kind, name }, queries)
      return removed
    })
  }
}
