// One session's view of names: what its search path, role, temporary tables and catalog make of a text. Judgements are kept per worker by
// all that they depend on, so that the sessions of one kind share them.
import type { Grant } from '../../core/policy.ts'
import type { Catalog } from '../../sql/catalog.ts'
import { filterOf } from '../../sql/filter.ts'
import { catalogFrom, catalogQueries, type Row } from '../../sql/load.ts'
import type { MaskOf } from '../../sql/mask-index.ts'
import type { TokenCodec } from '../../sql/mask-work.ts'
import { contextFrom, probeSql, type SessionState } from '../../sql/session.ts'
import { shapeOf } from '../../sql/shape.ts'
import { NotAllowed } from '../../core/errors.ts'
import type { Attribution } from './attribution.ts'
import { digestOf } from './catalogs.ts'
import { judge } from './judge.ts'
import type { Judged, Reader, Within } from './reader.ts'
import { fill, type Template, templateOf } from './template.ts'

/** Texts kept per view of names; the oldest go first. */
const KEPT_TEXTS_MAX = 4_096
/** A longer text is judged anew each time. */
const KEPT_TEXT_CHARACTERS_MAX = 16_384
/** Views of names kept per worker. */
const KEPT_VIEWS_MAX = 256

/** The catalog of one database, shared by the sessions of a worker. */
export interface SharedCatalog {
  readonly catalog: Catalog
  /** Object id of the database it was read from: a database dropped and made anew has another. */
  readonly database: number
}
export interface CatalogShelf {
  readonly current: SharedCatalog | null
  /** A session read the catalog after its own change: others are told. */
  put(database: number, catalog: Catalog, digest: string): void
}

/** Judgements under one view of names: of whole texts, and of shapes that stand for many. */
interface Kept { readonly texts: Map<string, Judged>; readonly shapes: Map<string, Template> }
const nothingKept = (): Kept => ({ texts: new Map(), shapes: new Map() })
function keep<T>(kept: Map<string, T>, key: string, value: T): void {
  if (kept.size >= KEPT_TEXTS_MAX) kept.delete(kept.keys().next().value!)
  kept.set(key, value)
}
const views = new Map<string, Kept>()
function viewOf(key: string): Kept {
  let view = views.get(key)
  if (view === undefined) {
    if (views.size >= KEPT_VIEWS_MAX) views.delete(views.keys().next().value!)
    view = nothingKept()
    views.set(key, view)
  }
  return view
}
const maskFunctions = new Map<string, MaskOf>()
/** One function per set of masks and of what the resource vouches for, so that what is worked out from it is shared. */
function columnOf(grant: Grant, listed: NonNullable<MaskOf['listed']>): MaskOf {
  const key = [grant.maskKey, listed.views.join(), listed.functions.join()].join('\x01')
  let found = maskFunctions.get(key)
  if (found === undefined) {
    if (maskFunctions.size >= KEPT_VIEWS_MAX) maskFunctions.clear()
    found = Object.assign(grant.column.bind(grant), { filters: grant.filters.map(filterOf), listed })
    // A filter that could not be read, as while the grammar starts again, is read anew next time.
    if (found.filters?.every((filter) => filter.condition !== null) === true) maskFunctions.set(key, found)
  }
  return found
}

const DATABASE = 'SELECT d.oid::pg_catalog.text, pg_catalog.current_setting(\'server_version_num\') FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()'

const KEEP_PATH = `SELECT pg_catalog.set_config('sluice.search_path', pg_catalog.current_setting('search_path'), true), pg_catalog.set_config('search_path', 'pg_catalog', true)`
const GIVE_PATH_BACK = `SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('sluice.search_path'), true)`

export class SessionReader implements Reader {
  epoch = 1
  refusal: Reader['refusal'] = null
  state: SessionState | null = null
  readonly #shelf: CatalogShelf
  readonly #grant: () => Grant
  readonly #listed: NonNullable<MaskOf['listed']>
  readonly #resource: string
  readonly #keyedHash: (text: string) => string
  readonly tokens: TokenCodec
  readonly #attribution: Attribution | null
  #catalog: Catalog | null = null
  #seen: Catalog | null = null
  #grantSeen: Grant
  #own = false
  #loading = false
  #view: Kept = nothingKept()
  /** Made by SQL PREPARE: what EXECUTE runs, the text that made it when it stood alone, what of it was sent, and when it was judged. */
  readonly #prepared = new Map<string, { judged: Judged; readonly text: string | null; readonly sent: string; epoch: number }>()
  statements: (name: string) => { judged: Judged; epoch: number } | undefined = () => undefined
  names = 0
  #strings = true
  #encoding = 'UTF8'

  constructor(parts: { shelf: CatalogShelf; grant: () => Grant; functions: readonly string[]; views: readonly string[]; resource: string; attribution?: Attribution | null; keyedHash: (text: string) => string; tokens: TokenCodec }) {
    this.#attribution = parts.attribution ?? null
    this.tokens = parts.tokens
    this.#keyedHash = parts.keyedHash
    this.#shelf = parts.shelf
    this.#grant = parts.grant
    this.#listed = { views: parts.views, functions: parts.functions }
    this.#resource = parts.resource
    this.#grantSeen = parts.grant()
  }

  get catalog(): Catalog | null { return this.#catalog }
  get column(): MaskOf { return columnOf(this.#grantSeen, this.#listed) }
  get outdated(): boolean { return this.#grant() !== this.#grantSeen || (this.#seen !== null && !this.#own && this.#shelf.current?.catalog !== this.#seen) }
  /** The session changed the catalog itself: it reads it anew, for what is not committed is seen by nobody else. */
  changed(): void { this.#own = true }

  probe(within: Within): readonly string[] {
    const texts = [DATABASE, probeSql]
    this.#shared = this.#shelf.current
    this.#loading = this.#own || this.#shared === null || this.#misfit
    if (this.#loading) texts.push(within === 'batch' ? KEEP_PATH : `SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)`, ...queries().map(({ sql }) => sql))
    // What is set for the reading ends with it: with the statements' own transaction, with a savepoint inside the client's, or by being set back.
    if (this.#loading && within === 'batch') texts.push(GIVE_PATH_BACK)
    return within === 'block' ? ['SAVEPOINT sluice_reads_the_catalog', ...texts, 'ROLLBACK TO SAVEPOINT sluice_reads_the_catalog', 'RELEASE SAVEPOINT sluice_reads_the_catalog'] : texts
  }
  #misfit = false
  /** What the shelf held when the probe was sent. */
  #shared: SharedCatalog | null = null

  learned(results: readonly (readonly (readonly (string | null)[])[])[], inTransaction: boolean): void {
    const [database, version] = results[0]![0]!
    this.state = contextFrom(results[1]![0]! as Row)
    if (this.#attribution?.by === 'set_role' && this.state.role !== this.#attribution.who) throw new NotAllowed('the role tells the server who acts, and something that ran in this session changed it')
    this.#strings = this.state.standardConformingStrings
    this.#encoding = this.state.clientEncoding
    if (this.#loading) {
      const rows = Object.fromEntries(queries().map(({ name }, i) => [name, results[3 + i]! as Row[]]))
      this.#catalog = catalogFrom(rows, Number(version), (this.#shelf.current?.catalog.generation ?? 0) + 1)
      this.#misfit = false
      if (!inTransaction) { this.#shelf.put(Number(database), this.#catalog, digestOf(rows)); this.#own = false; this.#catalog = this.#shelf.current?.catalog ?? this.#catalog }
    } else if (this.#shared!.database !== Number(database)) {
      // The shelf holds the catalog of a database that is gone.
      this.#misfit = true
      return
    } else this.#catalog = this.#shared!.catalog
    this.#seen = this.#own || this.#loading ? this.#shelf.current?.catalog ?? this.#catalog : this.#catalog
    this.#settle()
  }
  /** Whether `learned` found that it must ask once more. */
  get unfinished(): boolean { return this.#misfit }

  #settle(): void {
    this.#grantSeen = this.#grant()
    this.epoch++
    this.#refuse()
    const { state } = this
    const temporary = [...(state?.temporary.values() ?? [])].map((r) => `${r.name}:${r.oid}:${r.columns.map((c) => c.name).join()}`).join(';')
    const key = [this.#resource, this.#catalog!.generation, state!.searchPath.join('\0'), state!.role, temporary, this.#grantSeen.maskKey, this.#grantSeen.version, this.#listed.functions.join(), this.#listed.views.join()].join('\x01')
    this.#view = this.#own ? nothingKept() : viewOf(key)
  }

  #refuse(): void {
    const path = this.state?.searchPath ?? []
    const before = path.slice(0, path.indexOf('pg_catalog')).filter((schema) => !schema.startsWith('pg_temp'))
    if (!this.#strings) this.refusal = { rule: 'standard_conforming_strings', message: 'with standard_conforming_strings off a text means something else than it seems to', hint: 'SET standard_conforming_strings = on' }
    else if (this.#encoding !== 'UTF8') this.refusal = { rule: 'client_encoding', message: `client_encoding is ${this.#encoding}: only UTF8 can be judged`, hint: "SET client_encoding = 'UTF8'" }
    else if (!path.includes('pg_catalog') || before.length > 0) this.refusal = { rule: 'search_path', message: 'the search path puts other schemas before pg_catalog', hint: 'leave pg_catalog out of search_path: it is then searched first' }
    else this.refusal = null
  }

  reported(name: string, value: string): void {
    if (name === 'standard_conforming_strings') this.#strings = value === 'on'
    else if (name === 'client_encoding') this.#encoding = value
    else return
    this.#refuse()
    this.epoch++
  }

  prepared(name: string, made: { readonly judged: Judged; readonly text: string | null; readonly sent: string } | null): void {
    // A statement that names one is judged again when it runs.
    this.names++
    if (made !== null) this.#prepared.set(name, { ...made, epoch: this.epoch })
    else if (name === '*') this.#prepared.clear()
    else this.#prepared.delete(name)
  }
  /** What a name stands for. The server plans it again when names, catalog or role changed: it is judged again then, and must still be the text that the server has. */
  #named(name: string): Judged | 'changed' | null {
    const made = this.made(name)
    if (made !== null) return made
    const parsed = this.statements(name)
    if (parsed === undefined) return null
    if (parsed.epoch === this.epoch) return parsed.judged
    const judged = this.#again(parsed.judged.text, parsed.judged.sent)
    if (judged === null) return 'changed'
    parsed.judged = judged
    parsed.epoch = this.epoch
    return judged
  }
  made(name: string): Judged | 'changed' | null {
    const made = this.#prepared.get(name)
    if (made === undefined) return null
    if (made.epoch === this.epoch) return made.judged
    const inner = (made.text === null ? null : this.#again(made.text, made.sent))?.parts[0]?.prepares?.judged
    if (inner === undefined) return 'changed'
    made.judged = inner
    made.epoch = this.epoch
    return inner
  }
  /** Null: it would be sent otherwise now, or is too long to be read at once. */
  #again(text: string, sent: string): Judged | null {
    const bytes = Buffer.from(text)
    const judged = this.read(text, bytes, 0, bytes.length)
    return judged instanceof Promise || judged.sent !== sent ? null : judged
  }

  read(text: string, bytes: Buffer, start: number, end: number): Judged | Promise<Judged> {
    const { refusal } = this
    const known = this.#view.texts.get(text)
    if (known !== undefined && (refusal === null || known.setting)) return known
    const shape = refusal === null ? shapeOf(bytes, start, end) : null
    const template = shape === null ? undefined : this.#view.shapes.get(shape.key)
    if (shape !== null && template !== undefined) return fill(template, text, bytes, start, end, shape)
    const judged = judge(text, {
      catalog: this.#catalog!, context: this.state!, column: columnOf(this.#grantSeen, this.#listed), grant: this.#grantSeen, functions: this.#listed.functions, refusal: this.refusal,
      prepared: (name) => this.#named(name), keyedHash: this.#keyedHash, attribution: this.#attribution, tokens: this.tokens,
    })
    if (judged instanceof Promise) return judged
    if (refusal !== null || !judged.lasting) return judged
    const made = shape === null ? null : templateOf(judged, shape, start)
    if (shape !== null && made !== null) keep(this.#view.shapes, shape.key, made)
    else if (text.length <= KEPT_TEXT_CHARACTERS_MAX) keep(this.#view.texts, text, judged)
    return judged
  }
}

let loadQueries: readonly { readonly name: string; readonly sql: string }[] | null = null
function queries(): readonly { readonly name: string; readonly sql: string }[] { return loadQueries ??= catalogQueries(0).filter(({ name }) => name !== 'path') }
