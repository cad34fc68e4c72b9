// What Sluice and the server both know of one connection: which answers are owed and in which order, which names stand for which
// statements, and in which state the transaction is. Written by requests.ts as messages leave, settled by replies.ts as answers come.
import type { Denied, Plan } from '../../core/session.ts'
import type { Judged } from './reader.ts'
import type { RowShape } from './guard.ts'

/** Portals, statements and cursors one session may hold at once. */
export const NAMES_MAX = 10_000
/** Answers the server may owe at once: a client that pipelines more waits. */
export const OWED_MAX = 4_096

/** A statement known to the server by name. */
export interface Prepared {
  readonly name: string
  judged: Judged
  /** The run its Parse was asked under. */
  readonly run: number
  /** The state of names, catalog and policy it was judged in; judged again at Execute when that has moved. */
  epoch: number
  readonly types: readonly number[]
  /** Columns of its result as last described; null until then. */
  shape: RowShape | null
  /** The judgement under which the server said that it answers no rows. */
  rowless: Judged | null
}
export interface Portal {
  readonly name: string
  readonly prepared: Prepared
  /** Format codes of the result columns as Bind gave them: none, one for all, or one each. */
  readonly formats: readonly number[]
  readonly parameters: readonly (Buffer | null)[]
  readonly parameterFormats: readonly number[]
  plan: Plan | null
  shape: RowShape | null
  /** Its Describe is on its way: the shape comes before the first row. */
  described: boolean
}

export const PARSE = 1, BIND = 2, DESCRIBE_STATEMENT = 3, DESCRIBE_PORTAL = 4, EXECUTE = 5, CLOSE = 6, SYNC = 7, QUERY = 8
export type Kind = typeof PARSE | typeof BIND | typeof DESCRIBE_STATEMENT | typeof DESCRIBE_PORTAL | typeof EXECUTE | typeof CLOSE | typeof SYNC | typeof QUERY

/** An answer the server owes. */
export interface Owed {
  readonly kind: Kind
  /** Ours, not the client's: its answer is swallowed, its rows kept in `probe`. */
  readonly ours: boolean
  /** A Describe of ours amid the client's messages: the description is kept, and the client gets nothing of it. */
  readonly silent: boolean
  /** Set when the server was sent something it must fail, in place of what the client sent. */
  readonly refused: Refusal | null
  readonly plan: Plan | null
  readonly judged: Judged | null
  readonly prepared: Prepared | null
  readonly portal: Portal | null
  /** What the name stood for before, to put back when the server did not take the new meaning. */
  readonly before: Prepared | Portal | undefined
  /** Which statement of a multi-statement text is being answered. */
  index: number
  /** Columns of the result being answered. */
  shape: RowShape | null
}
/** How the server's error is worded for the client. */
export type Refusal =
  | { readonly kind: 'denied'; readonly why: Denied }
  | { readonly kind: 'server'; readonly code: string; readonly message: string; readonly position: number }

/** A first-in-first-out queue without shifting: point reads push and take four entries each. */
export class Queue<T> {
  #items: (T | undefined)[] = []
  #head = 0
  get length(): number { return this.#items.length - this.#head }
  push(item: T): void { this.#items.push(item) }
  first(): T | undefined { return this.#items[this.#head] }
  shift(): T | undefined {
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) { this.#items.length = 0; this.#head = 0 }
    return item
  }
  /** In order, without taking. */
  *[Symbol.iterator](): Iterator<T> { for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i]! }
}

export class Conversation {
  readonly owed = new Queue<Owed>()
  readonly statements = new Map<string, Prepared>()
  readonly portals = new Map<string, Portal>()
  /** Statements made by SQL PREPARE share the server's name space with Parse, but are reached by EXECUTE. */
  readonly sqlPrepared = new Map<string, Judged>()
  /** Plans of cursors by name: all FETCHes of a cursor are one run. */
  readonly cursors = new Map<string, Plan>()
  /** `I` idle, `T` in a transaction, `E` in a failed one: the server's own word. */
  status = 0x49
  /** The server ignores everything up to the next Sync. */
  skipping = false
  /** Extended messages were sent since the last Sync: a transaction of theirs may be open, which a query of ours would commit. */
  batch = false
  copyIn: Owed | null = null
  copyOut: Owed | null = null
  /** Grows when names, catalog, role or policy may mean something else than before. */
  epoch = 1
  /** A statement ran that may have changed what names mean: probe before judging another. */
  stale = true
  /** They were learned once. */
  known = false
  /** Names moved within the open transaction: its end may move them back. */
  movedInTransaction = false
  /** A text waits to be judged until names were learned. */
  textWaits = false
  /** A probe is on its way. */
  probing = false
  /** The plan whose answer is cut: everything up to its end is swallowed. */
  cut: { readonly plan: Plan; readonly why: Denied; told: boolean } | null = null

  expect(kind: Kind, fields: Partial<Omit<Owed, 'kind'>> = {}): void {
    this.owed.push({ kind, ours: false, silent: false, refused: null, plan: null, judged: null, prepared: null, portal: null, before: undefined, index: 0, shape: null, ...fields })
  }
  get idle(): boolean { return this.owed.length === 0 && this.copyIn === null && this.copyOut === null }

  /** Puts a name back to what it meant before a message that the server did not take. */
  undo(owed: Owed): void {
    if (owed.kind === PARSE && owed.prepared !== null) this.#restore(this.statements, owed.prepared, owed.before as Prepared | undefined)
    if (owed.kind === BIND && owed.portal !== null) this.#restore(this.portals, owed.portal, owed.before as Portal | undefined)
    // What a Close or a Query took away and the server kept.
    const kept = owed.kind === CLOSE ? owed.prepared : owed.kind === QUERY ? owed.before as Prepared | undefined : null
    if (kept != null && !this.statements.has(kept.name)) this.statements.set(kept.name, kept)
    if (owed.kind === CLOSE && owed.portal !== null && !this.portals.has(owed.portal.name)) this.portals.set(owed.portal.name, owed.portal)
  }
  #restore<T extends { readonly name: string }>(names: Map<string, T>, now: T, before: T | undefined): void {
    if (names.get(now.name) !== now) return
    if (before === undefined) names.delete(now.name)
    else names.set(now.name, before)
  }

  /** The server ended a transaction: portals end with it, save those whose Bind it has not read yet. */
  transactionOver(): void {
    if (this.portals.size === 0) return
    if (this.owed.length === 0) { this.portals.clear(); return }
    const coming = new Set<Portal>()
    for (const owed of this.owed) if (owed.kind === BIND && owed.portal !== null) coming.add(owed.portal)
    for (const portal of this.portals.values()) if (!coming.has(portal)) this.portals.delete(portal.name)
  }

  /** DEALLOCATE of a name, or of all (`*`) but the unnamed one: not of one whose Parse the server has not read yet. */
  freed(name: string): void {
    const coming = new Set<Prepared>()
    for (const owed of this.owed) if (owed.kind === PARSE && owed.prepared !== null) coming.add(owed.prepared)
    for (const prepared of name === '*' ? this.statements.values() : [this.statements.get(name)]) if (prepared !== undefined && prepared.name !== '' && !coming.has(prepared)) this.statements.delete(prepared.name)
  }

  /** Whether the server may still change what SQL's names of prepared statements and cursors stand for. */
  get namesInFlight(): boolean {
    for (const { kind, judged } of this.owed) {
      if ((kind === QUERY || kind === EXECUTE) && judged?.parts.some((part) => part.prepares !== null || part.frees !== null || part.declares !== null || part.closes !== null) === true) return true
    }
    return false
  }
  /** Whether a text on its way may end the transaction. */
  get endInFlight(): boolean {
    for (const { judged } of this.owed) if (judged?.endsTransaction === true) return true
    return false
  }

  /** A cursor's plan holds for its name until it is closed or declared anew: one WITH HOLD outlives its transaction. */
  declared(name: string, plan: Plan): void {
    if (this.cursors.size >= NAMES_MAX) this.cursors.delete(this.cursors.keys().next().value!)
    this.cursors.set(name, plan)
  }
}
