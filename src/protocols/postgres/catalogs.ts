// Catalogs by resource, database and user, one shelf each: read on a connection of Sluice's own while sessions are open, and looked at every
// second, so that DDL by anyone is seen. The connection is cut, the database dropped, the server away: the shelf empties, and the
// next session fills it again.
import { createHash } from 'node:crypto'
import type { Catalog } from '../../sql/catalog.ts'
import { catalogFrom, catalogQueries, changedQuery, movedQuery, type Row } from '../../sql/load.ts'
import { Pooled } from './pooler.ts'
import type { OwnConnection } from './query.ts'
import type { CatalogShelf, SharedCatalog } from './session-reader.ts'

const LOOK_EVERY_MS = 750
/** Kept this long after the last session has gone. */
const IDLE_MS = 60_000
const RETRY_MS = 5_000

let generations = 1

export class Shelf implements CatalogShelf {
  current: SharedCatalog & { readonly digest: string } | null = null
  readonly #connect: () => Promise<OwnConnection>
  readonly #moved: () => void
  #connection: OwnConnection | null = null
  #connecting: Promise<void> | null = null
  #stamp = ''
  #snapshot = ''
  #users = 0
  #idleSinceMs = 0
  #failedAtMs = 0
  #pooled: Pooled | null = null
  #timer: NodeJS.Timeout | null = null
  #looking = false
  /** `connect` logs in with the resource's own credential; `moved` tells the other workers. */
  constructor(connect: () => Promise<OwnConnection>, moved: () => void) { this.#connect = connect; this.#moved = moved }

  /** Resolves after the first connection was tried; throws Unreachable when a pooler shares backends between sessions. */
  async checked(): Promise<void> {
    if (this.#connection === null && this.current === null) await this.#open()
    if (this.#pooled !== null) throw this.#pooled
  }
  /** A session begins to use it; call the returned function when it has ended. */
  use(): () => void {
    this.#users++
    this.#timer ??= setInterval(() => { void this.#look() }, LOOK_EVERY_MS).unref()
    void this.#look()
    return () => { this.#users--; this.#idleSinceMs = Date.now() }
  }
  put(database: number, catalog: Catalog, digest: string): void {
    if (this.#holds(database, digest)) return
    this.current = { database, catalog: { ...catalog, generation: ++generations }, digest }
    this.#stamp = ''
    this.#moved()
  }
  /** Another worker saw it change. */
  again(): void { this.#stamp = ''; this.#snapshot = ''; void this.#look() }

  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      if (this.#users === 0 && Date.now() - this.#idleSinceMs > IDLE_MS) { this.#rest(); return }
      if (this.#connection === null || this.#connection.ended) await this.#open()
      const connection = this.#connection
      if (connection === null) return
      const [moved] = await connection.query(movedQuery)
      const snapshot = moved?.[0]?.[0] ?? ''
      if (snapshot === this.#snapshot && this.#stamp !== '') return
      const [changed] = await connection.query(changedQuery)
      const stamp = changed?.[0]?.[0] ?? ''
      this.#snapshot = snapshot
      if (stamp === this.#stamp) return
      await this.#load(connection)
      this.#stamp = stamp
    } catch { this.#drop() } finally { this.#looking = false }
  }
  async #load(connection: OwnConnection): Promise<void> {
    const queries = catalogQueries(0)
    const results = await connection.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT d.oid::text, pg_catalog.current_setting('server_version_num') FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database(); ${queries.map(({ sql }) => sql).join('; ')}; COMMIT`)
    const [database, version] = results[0]![0]!
    const rows = Object.fromEntries(queries.map(({ name }, i) => [name, results[i + 1]! as Row[]]))
    const digest = digestOf(rows)
    if (this.#holds(Number(database), digest)) return
    this.current = { database: Number(database), catalog: catalogFrom(rows, Number(version), ++generations), digest }
  }
  /** Read again and found the same: sessions keep what they know, and nothing is judged anew. */
  #holds(database: number, digest: string): boolean { return this.current !== null && this.current.database === database && this.current.digest === digest }
  async #open(): Promise<void> {
    if (Date.now() - this.#failedAtMs < RETRY_MS) return
    this.#connecting ??= this.#connect().then((connection) => {
      this.#pooled = null
      this.#connection = connection
      connection.onEnd = () => this.#drop()
      this.#stamp = ''
      this.#snapshot = ''
    }).catch((error: unknown) => { this.#failedAtMs = Date.now(); this.#pooled = error instanceof Pooled ? error : null }).finally(() => { this.#connecting = null })
    await this.#connecting
  }
  /** What was known may be of another database by now. */
  #drop(): void {
    this.#connection?.end()
    this.#connection = null
    this.current = null
    this.#stamp = ''
  }
  #rest(): void {
    this.#drop()
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}

/** Of everything a catalog is made from: two of the same digest are the same. */
export const digestOf = ({ path: _, ...rows }: Readonly<Record<string, readonly Row[]>>): string => createHash('sha256').update(JSON.stringify(rows)).digest('base64')

const shelves = new Map<string, Shelf>()
export function shelfOf(key: string, make: () => Shelf): Shelf {
  let shelf = shelves.get(key)
  if (shelf === undefined) { shelf = make(); shelves.set(key, shelf) }
  return shelf
}
/** Every shelf of this resource is looked at again. */
export function lookAgain(resource: string): void { for (const [key, shelf] of shelves) if (key.startsWith(`${resource}\0`)) shelf.again() }
