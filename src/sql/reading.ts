// What reading one statement yields: its effects for the policy, and the facts that sessions, masks and limits need.
import type { Node } from 'libpg-query'
import type { Makes } from './functions.ts'
import type { Resolution } from './resolve.ts'
import type { RowsMax } from './rows.ts'
import type { SettingChange } from './settings.ts'
import type { Kind } from './walk.ts'

export type Access = 'session' | 'read' | 'write' | 'admin' | 'unknown'
/** Structurally core/statement.ts's Effect: this folder imports nothing of ours. */
export interface Effect {
  readonly operation: string
  readonly access: Access
  readonly objects: readonly string[] | 'unknown'
  readonly columns: readonly string[]
  readonly compared?: readonly string[]
  readonly bounded: boolean
  readonly language?: string
  readonly reason?: string
}

export type TransactionControl = 'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'rollback to' | 'prepare' | 'commit prepared' | 'rollback prepared' | 'set'
export interface StatementReading {
  readonly node: Node
  readonly kind: Kind | null
  /** UTF-8 bytes within the text, as in Parsed. */
  readonly start: number
  readonly length: number
  readonly effects: readonly Effect[]
  readonly resolution: Resolution
  /** Every relation it touches, `schema.name`; 'unknown' in doubt. */
  readonly objects: readonly string[] | 'unknown'
  /** Columns it reads, `schema.table.column`. */
  readonly columns: readonly string[]
  /** Reads the system catalogs and nothing else. */
  readonly catalogOnly: boolean
  /** Rows of relations in the answer: 0 when it has none (SHOW, EXPLAIN, a write without RETURNING). */
  readonly rowsMax: RowsMax
  /** The server will describe rows for it. */
  readonly answersRows: boolean
  /** DDL: the catalog differs afterwards. */
  readonly changesCatalog: boolean
  /** How names are found may differ afterwards: search path, role, temporary relations, the end of a transaction, anything unknown. */
  readonly changesNames: boolean
  /** Names it makes, drops or renames, which the catalog can't know before it is loaded again. */
  readonly makes: Makes
  readonly transaction: { readonly control: TransactionControl; readonly name: string | null; readonly chain: boolean } | null
  readonly copy: 'in' | 'out' | null
  readonly settings: readonly SettingChange[]
  /** SQL-level prepared statements; name null: all of them. `reading` for PREPARE. */
  readonly prepared: { readonly action: 'prepare' | 'execute' | 'deallocate'; readonly name: string | null; readonly reading: StatementReading | null } | null
  /** name null: all of them. */
  readonly cursor: { readonly action: 'declare' | 'fetch' | 'move' | 'close'; readonly name: string | null; readonly hold: boolean } | null
  readonly makesTemporary: boolean
  readonly discards: 'all' | 'plans' | 'sequences' | 'temp' | null
  /** A reading of the same shape with other literals may differ. */
  readonly literalsMatter: boolean
  /** SQL functions it calls whose bodies only read: what they show of masked columns is for the masks to say. */
  readonly followed: ReadonlySet<number>
}
