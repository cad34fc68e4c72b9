// What a text means under the names, masks and policy of one session: judged once per text and state of names, shared by the sessions
// of a worker that see the same. It decides nothing: it says what is asked, in words that rules read.
import type { TokenCodec, TurnedParameter } from '../../sql/mask-work.ts'
import type { Edit } from '../../sql/splice.ts'
import type { CopyOptions } from './copy.ts'
import type { Statement } from '../../core/statement.ts'

/** What became of a text. `syntax`: answered with the server's own error; the text never goes upstream. */
export interface Judged {
  readonly text: string
  readonly statement: Statement
  /** What goes upstream: the text itself, or the one in which masked columns are masked at read. */
  readonly sent: string
  readonly syntax: { readonly code: string; readonly message: string; readonly position: number } | null
  /** One per statement of the text, in order. */
  readonly parts: readonly Part[]
  /** Where masks were put (UTF-8 bytes of `text`), when other literals would change nothing about it; null when they could. */
  readonly edits: readonly Edit[] | null
  /** Result columns whose origin is put back into the description. */
  readonly origins: readonly { readonly index: number; readonly relation: number; readonly number: number }[]
  /** Result columns whose values come as they are, for the wire to make tokens of. */
  readonly passed: readonly { readonly index: number; readonly relation: number; readonly number: number; readonly type: number; readonly typmod: number }[]
  /** Parameters that may hold tokens, and those that `sent` has in addition for what they stand for. */
  readonly turned: readonly TurnedParameter[]
  /** The highest number of a parameter in `text`. */
  readonly parameters: number
  /** Masked columns that a write leaves as they were, because what it gives is what the mask shows. */
  readonly kept: readonly string[]
  /** Masked columns that it uses beyond showing them: the client is told. */
  readonly computed: readonly string[]
  /** The same in every session of this view: not when it names a prepared statement. */
  readonly lasting: boolean
  /** Only SET, RESET, SHOW: allowed also while nothing else can be judged. */
  readonly setting: boolean
  /** It changes the catalog itself. */
  readonly changesCatalog: boolean
  /** Running it may change what names mean: search path, role, temporary tables, catalog. */
  readonly moves: boolean
  /** It ends a transaction or goes back to a savepoint: what moved inside may move back. */
  readonly endsTransaction: boolean
  /** It brings the errors of what was deferred: COMMIT, SET CONSTRAINTS. */
  readonly settles: boolean
  /** It opens COPY FROM STDIN. */
  readonly copyIn: boolean
  /** How COPY TO STDOUT writes its rows and, for a table, the types of its columns. */
  readonly copyOut: { readonly options: CopyOptions; readonly types: readonly number[] | null } | null
  /** Its errors may carry values of masked columns. */
  readonly strictErrors: boolean
  /** It answers application_name, alone or among all settings: the client is told its own. */
  readonly shows: 'one' | 'all' | null
  /** Cursor whose plan it continues, or null. */
  readonly fetches: string | null
  /** Parameter whose value bounds the rows (`LIMIT $1`), from 1; 0 = none. */
  readonly rowsParameter: number
  /** Parameters that would store a mask's own text: the run is refused. `values` as text, null for NULL or what is not text. Null: none could. */
  readonly refusedParameters: ((values: readonly (string | null)[]) => { readonly rule: string; readonly message: string; readonly hint: string } | null) | null
  /** Maps a character position of an error in `sent` back to `text`. */
  position(at: number): number
}
export interface Part {
  /** A name that SQL PREPARE makes, with what EXECUTE of it will do. */
  readonly prepares: { readonly name: string; readonly judged: Judged } | null
  /** A name that DEALLOCATE frees; `*` for all. */
  readonly frees: string | null
  readonly declares: string | null
  /** Closes this cursor; `*` for all. */
  readonly closes: string | null
}

/** Where a probe runs: in no transaction, in a transaction block, or in a batch before its Sync, where there are no savepoints. */
export type Within = 'none' | 'block' | 'batch'

/** One session's view of names. */
export interface Reader {
  /** Moves when a judged text may mean something else. */
  readonly epoch: number
  /** The catalog or the policy moved under it: `probe` must run before another text is judged. */
  readonly outdated: boolean
  /** Why nothing can be judged now, or null: client_encoding, standard_conforming_strings, a search path before pg_catalog. */
  readonly refusal: { readonly rule: string; readonly message: string; readonly hint: string } | null
  readonly tokens: TokenCodec
  /** `text` lies at bytes[start, end). */
  read(text: string, bytes: Buffer, start: number, end: number): Judged | Promise<Judged>
  /** Texts to run on the client's own connection to learn what names mean now; their rows go to `learned`. Null when nothing is to learn. */
  probe(within: Within): readonly string[] | null
  /** What was learned says that it must be asked once more. */
  readonly unfinished: boolean
  changed(): void
  learned(results: readonly (readonly (readonly (string | null)[])[])[], inTransaction: boolean): void
  /** The server reported a parameter. */
  reported(name: string, value: string): void
  /** SQL's PREPARE made a name, or it was freed (null). `text` and `sent`: of the PREPARE, where it was a text of its own. */
  prepared(name: string, made: { readonly judged: Judged; readonly text: string | null; readonly sent: string } | null): void
  /** What Parse made, by name: EXECUTE reaches it too. Given by the codec. */
  statements: (name: string) => { judged: Judged; epoch: number } | undefined
  /** What SQL's PREPARE made, as it is judged now: Bind and Describe reach it too. */
  made(name: string): Judged | 'changed' | null
  /** Moves when a name of a prepared statement may stand for another. */
  readonly names: number
}
