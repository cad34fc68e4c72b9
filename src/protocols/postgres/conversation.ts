// What Sluice and the server both know of one connection: which answers are owed and in which order, which names stand for which
// statements, and in which state the transaction is. Written by requests.ts as messages leave, settled by replies.ts as answers come.
import type { Denied, Plan } from '../../core/session.ts'
import type { Bound } from './binds.ts'
import { Names } from './names.ts'
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
  /** SQL's PREPARE made it. */
  readonly sql: boolean
  /** The run its Parse was asked under. */
  readonly run: number
  /** The state of names, catalog and policy it was judged in; judged again at Execute when that has moved. */
  epoch: number
  /** As `epoch`, of the names that it uses when it is itself an EXECUTE. */
  names: number
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
  readonly values: Bound
  plan: Plan | null
  shape: RowShape | null
  /** Its Describe is on its way: the shape comes before the first row. */
  described: boolean
}

export const PARSE = 1, BIND = 2, DESCRIBE_STATEMENT = 3, DESCRIBE_PORTAL = 4, EXECUTE = 5, CLOSE = 6, SYNC = 7, QUERY = 8
export type Kind = typeof PARSE | typeof BIND | typeof DESCRIBE_STATEMENT | typeof DESCRIBE_PORTAL | typeof EXECUTE | typeof CLOSE | typeof SYNC | typeof QUERY

/** An answer the server owes. Set once, when the message leaves; only what the answer itself tells changes later. */
export class Owed {
  readonly kind: Kind
  /** Ours, not the client's: its answer is swallowed, its rows kept in `probe`. */
  ours = false
  /** A Describe of ours amid the client's messages: the description is kept, and the client gets nothing of it. */
  silent = false
  /** Set when the server was sent something it must fail, in place of what the client sent. */
  refused: Refusal | null = null
  /** It was refused in its midst: a COPY whose data went no further. */
  begun = false
  plan: Plan | null = null
  judged: Judged | null = null
  prepared: Prepared | null = null
  portal: Portal | null = null
  /** The name whose meaning it changes, and what that was before: put back when the server does not take the message. */
  touches: 'statement' | 'portal' | null = null
  touched = ''
  before: Prepared | Portal | undefined = undefined
  /** Which statement of a multi-statement text is being answered. */
  index = 0
  /** Columns of the result being answered. */
  shape: RowShape | null = null
  /** The server failed it. */
  failed = false
  constructor(kind: Kind) { this.kind = kind }
}
/** How the server's error is worded for the client. */
export type Refusal =
  | { readonly kind: 'denied'; readonly why: Denied }
  | { readonly kind: 'server'; readonly code: string; readonly message: string; readonly position: number }
  /** What EXECUTE names: in a failed transaction the server does not come to look. */
  | { readonly kind: 'unprepared'; readonly code: string; readonly message: string; readonly position: number }
export const ABORTED = { kind: 'server', code: '25P02', message: 'current transaction is aborted, commands ignored until end of transaction block', position: 0 } as const satisfies Refusal

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
  /** Without taking, from the oldest. */
  at(index: number): T { return this.#items[this.#head + index]! }
  /** Without taking, from the newest. */
  newest(back: number): T { return this.#items[this.#items.length - 1 - back]! }
  /** In order, without taking. */
  *[Symbol.iterator](): Iterator<T> { for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i]! }
}

export class Conversation {
  readonly owed = new Queue<Owed>()
  readonly statements = new Names<Prepared>()
  readonly portals = new Names<Portal>()
  /** Plans of cursors by name: all FETCHes of a cursor are one run. */
  readonly cursors = new Map<string, Plan>()
  /** `I` idle, `T` in a transaction, `E` in a failed one: the server's own word. */
  status = 0x49
  /** The server ignores everything up to the next Sync. */
  skipping = false
  /** Extended messages were sent since the last Sync: a transaction of theirs may be open, which a query of ours would commit. */
  batch = false
  /** Extended messages were sent whose answers the server may keep until Sync or Flush. */
  unflushed = false
  /** What ran in this batch, and Sync will commit. */
  batchRan: 'nothing' | 'reads' | 'writes' = 'nothing'
  /** The newest run whose answer may be ended at a bound: what would take effect behind it waits for its end. */
  mayCut: Owed | null = null
  /** The next message waits for answers. */
  waits = false
  copyIn: Owed | null = null
  /** Syncs that came amid the data of a copy. The server reads over them, unless the copy has failed there already: then it waits for them. */
  copySyncs = 0
  syncsDue = 0
  copyOut: Owed | null = null
  /** Grows when names, catalog, role or policy may mean something else than before. */
  epoch = 1
  /** A statement ran that may have changed what names mean: probe before judging another. */
  stale = true
  /** They were learned once. */
  known = false
  /** Names moved within the open transaction: its end may move them back. */
  movedInTransaction = false
  /** A statement whose errors may carry values ran in the open transaction: what was deferred is told at its end. */
  strict = false
  /** A text waits to be judged until names were learned. */
  textWaits = false
  /** A probe is on its way: with a Sync of its own, or inside the client's batch. */
  probing: 'alone' | 'in batch' | null = null
  /** The plan whose answer is cut: everything up to its end is swallowed. */
  cut: { readonly plan: Plan; readonly why: Denied; told: boolean; failing: boolean } | null = null
  /** The server had said all before it was cancelled, so its transaction lives: it is sent something it must fail before the client hears. */
  failDue = false

  /** A message leaves: its answer will come in this place. The caller says at once what it is about. */
  expect(kind: Kind): Owed {
    const owed = new Owed(kind)
    this.unflushed = kind !== SYNC && kind !== QUERY
    this.owed.push(owed)
    return owed
  }
  /** A message leaves that changes what a name means: said before it does. */
  expectTouching(kind: Kind, touches: 'statement' | 'portal', touched: string): Owed {
    const owed = this.expect(kind)
    owed.touches = touches
    owed.touched = touched
    owed.before = touches === 'statement' ? this.statements.get(touched) : this.portals.get(touched)
    return owed
  }
  get idle(): boolean { return this.owed.length === 0 && this.copyIn === null && this.copyOut === null }

  /**
   * The server did not take a message: its name means what it meant before. Messages sent later may have given the name another meaning
   * since; then it is theirs to go back to. A name must never stand for another statement here than at the server.
   */
  undo(owed: Owed): void {
    if (owed.touches === 'statement') this.#means(this.statements, 'statement', owed.touched, owed.before as Prepared | undefined)
    else if (owed.touches === 'portal') this.#means(this.portals, 'portal', owed.touched, owed.before as Portal | undefined)
  }
  /** What the server holds under a name, as of the answers read so far. */
  #means<T extends Prepared | Portal>(names: Names<T>, kind: 'statement' | 'portal', name: string, meaning: T | undefined): void {
    for (const later of this.owed) if (later.touches === kind && later.touched === name) { later.before = meaning; return }
    if (meaning === undefined) names.delete(name)
    else names.set(name, meaning)
  }

  /** The server ended a transaction: portals end with it, save those whose Bind it has not read yet. */
  transactionOver(): void {
    if (this.owed.length === 0) { this.portals.clear(); return }
    for (const name of this.portals.keys()) this.#means(this.portals, 'portal', name, undefined)
    for (const later of this.owed) if (later.touches === 'portal' && !this.portals.has(later.touched)) later.before = undefined
  }

  /** The server freed a statement's name, or all (`*`) but the unnamed one. */
  freed(name: string): void {
    if (name !== '*') { this.#means(this.statements, 'statement', name, undefined); return }
    const names = new Set(this.statements.keys())
    for (const later of this.owed) if (later.touches === 'statement') names.add(later.touched)
    names.delete('')
    for (const each of names) this.#means(this.statements, 'statement', each, undefined)
  }

  /**
   * Whether a name may stand for something else at the server than here, because of what it has not answered yet. Given in this batch, it is
   * certain: where the server skips that, it skips what follows too. Given before a Sync, it may have been skipped alone; and a text that
   * moves names is certain only when it was answered.
   */
  doubt(kind: 'statement' | 'portal', name: string): boolean {
    let synced = false
    for (let back = 0; back < this.owed.length; back++) {
      const owed = this.owed.newest(back)
      if (owed.touches === kind && owed.touched === name) return synced
      if ((owed.kind === QUERY || owed.kind === EXECUTE) && movesNames(owed.judged)) return true
      if (owed.kind === SYNC || owed.kind === QUERY) synced = true
    }
    return false
  }
  /** Whether the server may still change what SQL's names of prepared statements and cursors stand for. */
  get namesInFlight(): boolean {
    for (const { kind, judged, touches, touched } of this.owed) {
      if (kind === PARSE ? touched !== '' : kind === CLOSE && touches === 'statement') return true
      if ((kind === QUERY || kind === EXECUTE) && movesNames(judged)) return true
    }
    return false
  }
  /** Whether an answer that may be ended at a bound has not ended. */
  get cutOpen(): boolean {
    if (this.mayCut === null) return false
    for (const owed of this.owed) if (owed === this.mayCut) return true
    this.mayCut = null
    return false
  }
  /** Whether a text on its way may end the transaction. */
  get endInFlight(): boolean {
    for (const { judged } of this.owed) if (judged?.endsTransaction === true) return true
    return false
  }

  /** Whether a Query or Sync is unanswered: the server will say anew in which transaction it is. */
  get awaitsReady(): boolean {
    for (const { kind } of this.owed) if (kind === QUERY || kind === SYNC) return true
    return false
  }

  /** A cursor's plan holds for its name until it is closed or declared anew: one WITH HOLD outlives its transaction. */
  declared(name: string, plan: Plan): void {
    if (this.cursors.size >= NAMES_MAX) this.cursors.delete(this.cursors.keys().next().value!)
    this.cursors.set(name, plan)
  }
}

/** Whether a text gives or takes names of prepared statements or cursors. */
function movesNames(judged: Judged | null): boolean {
  if (judged !== null) for (const part of judged.parts) if (part.prepares !== null || part.frees !== null || part.declares !== null || part.closes !== null) return true
  return false
}
