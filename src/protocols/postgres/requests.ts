// Client messages → what is asked, and what goes upstream for each verdict. Every message type has a rule; an unknown one ends the
// session. A refused message is not swallowed: in its place goes one that the server must fail, so that failed transactions, implicit
// transactions and skip-until-Sync stay the server's own truth.
import { isUtf8 } from 'node:buffer'
import { Malformed } from '../../core/errors.ts'
import type { Ask, Plan, Verdict } from '../../core/session.ts'
import type { Statement } from '../../core/statement.ts'
import type { Scratch } from '../../wire/bytes.ts'
import { BLOCKED, NEED_MORE } from '../../wire/codec.ts'
import { parseBinding, usedName, usesStatement } from './binds.ts'
import { ABORTED, BIND, CLOSE, type Conversation, DESCRIBE_PORTAL, DESCRIBE_STATEMENT, EXECUTE, NAMES_MAX, OWED_MAX, PARSE, type Portal, type Prepared, QUERY, type Refusal, SYNC } from './conversation.ts'
import * as frames from './frames.ts'
import type { Guard } from './guard.ts'
import { LastName } from './names.ts'
import { NO_TYPES, Question, type Telling } from './question.ts'
import type { Judged, Reader } from './reader.ts'
import { writeTurnedBind } from './token-parameters.ts'

/** A name no client can have used: it holds a character that no driver makes, and the run. */
export const nothing = (run: number) => `SLUICE REFUSED run ${run}`
const noStatement = (name: string) => (name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`)
const IDLE = 0x49, FAILED = 0x45
/** Messages that the server ignores between an error and the next Sync. */
const SKIPPED = new Set([frames.Q, frames.P, frames.B, frames.D, frames.E, frames.C, frames.F, frames.H])
/** In the place of a message's type: nothing goes upstream, whatever the verdict. */
const NOTHING_DUE = 0
const EMPTY = Buffer.alloc(0)
const STALE: Refusal = { kind: 'server', code: '42501', message: 'refused by Sluice: this text follows a statement that may have changed what its names mean; send Sync between them', position: 0 }

export class Requests {
  asking: Ask | Promise<Ask> | null = null
  over: string | null = null
  /** Nothing is decided before the server has answered: a COPY FROM STDIN may begin. */
  #copyMayBegin = false
  #pending: Question | null = null
  readonly #statementNames = new LastName()
  readonly #portalNames = new LastName()
  readonly #c: Conversation
  readonly #reader: Reader
  readonly #guard: Guard
  readonly #tell: Telling
  constructor(conversation: Conversation, reader: Reader, guard: Guard, tell: Telling) { this.#c = conversation; this.#reader = reader; this.#guard = guard; this.#tell = tell }

  take(input: Buffer, at: number, end: number, out: Scratch): number {
    const c = this.#c
    if (c.syncsDue > 0) this.syncs(out)
    const length = frames.frameLength(input, at, end, true)
    if (length === 0 || at + length > end) return NEED_MORE
    const type = input[at]!
    if (this.#copyMayBegin) {
      if (c.copyIn === null && !c.idle && !c.skipping && c.owed.first() !== undefined) return BLOCKED
      this.#copyMayBegin = false
    }
    if (c.copyIn !== null) return this.#inCopy(type, input, at, length, out)
    if (c.owed.length >= OWED_MAX) return BLOCKED
    const to = at + length
    if (c.skipping && SKIPPED.has(type)) { this.#skipped(type, input, at, to); return length } // the server reads and forgets it
    if (c.mayCut !== null && this.#heldBack(type)) return this.#wait()
    switch (type) {
      case frames.S: this.#sync(); out.copy(input, at, to); return length
      case frames.H: out.copy(input, at, to); c.unflushed = false; return length
      case frames.X:
        if (to < end) throw new Malformed('bytes after Terminate')
        out.copy(input, at, to)
        this.over = 'the client said good-bye'
        return length
      case frames.COPY_DATA: case frames.COPY_DONE: case frames.COPY_FAIL: return length // outside a copy the server ignores them
      case frames.Q:
        // It ends a batch in which nothing ran as a Sync would.
        if (c.stale && c.batchRan === 'nothing') c.batch = false
        return this.#unsettled() && !this.#onlySets(input, at + 5, to) ? BLOCKED : this.#query(input, at, to, out)
      case frames.P: return this.#unsettled() && !this.#onlySets(input, frames.stringEnd(input, at + 5, to) + 1, to) ? BLOCKED : this.#parse(input, at, to, out)
      case frames.B: case frames.D: case frames.E: {
        const unsettled = this.#unsettled()
        if (unsettled && !this.#onlyRunsSetting(type, input, at, to)) return BLOCKED
        if (this.#doubt(type, input, at, to)) return this.#wait()
        c.batch = true
        if (type === frames.E) return this.#execute(input, at, to, out)
        if (type === frames.B) this.#bind(input, at, to, out)
        else this.#describe(input, at, to, out)
        return length
      }
      case frames.C: if (c.probing !== null) return BLOCKED; c.batch = true; this.#close(input, at, to, out); return length
      case frames.F: this.#refuseText(out, { kind: 'server', code: '42501', message: 'function calls by the FunctionCall message are refused: use SELECT', position: 0 }); return length
      default: throw new Malformed(`invalid frontend message type ${type}`)
    }
  }

  /** Nothing goes on before what was sent is answered. */
  #wait(): typeof BLOCKED { this.#c.waits = true; return BLOCKED }

  /** What must not take effect should the answer before it be ended at a bound. A Sync may go: unless it commits what ran in its batch. */
  #heldBack(type: number): boolean {
    const c = this.#c
    if (type === frames.X || type === frames.H || !c.cutOpen) return false
    return type !== frames.S || (c.batchRan === 'writes' && c.status === IDLE)
  }
  /** A copy failed at the server while the client had already synced. */
  syncs(out: Scratch): void { for (; this.#c.syncsDue > 0; this.#c.syncsDue--) { frames.writeSync(out); this.#sync() } }
  #sync(): void {
    this.#boundInSkip = false
    const c = this.#c
    c.expect(SYNC)
    // It ends a batch that was a transaction of its own: what moved inside may move back.
    if (c.movedInTransaction && c.batch && c.status === IDLE) c.stale = true
    c.skipping = c.batch = false
    c.batchRan = 'nothing'
  }

  /** Whether names must be learned anew first. */
  #unsettled(): boolean {
    const c = this.#c
    if (c.probing !== null) return true
    // In a failed transaction nothing runs, as long as nothing on its way to the server may end it: a ROLLBACK sent before this batch may.
    if (!c.stale || (c.status === FAILED && (c.idle || (c.batch && !c.awaitsReady)))) return false
    c.textWaits = c.waits = true
    return true
  }
  /** Whether, in a transaction, a text only ends it or sets: it means the same whatever names mean, and SET TRANSACTION must come before any query of ours. */
  #onlySets(input: Buffer, from: number, to: number): boolean {
    if (this.#c.status === IDLE) return false
    const end = from === 0 ? -1 : frames.stringEnd(input, from, to)
    if (end < 0 || this.#c.probing !== null || !this.#c.known || !isUtf8(input.subarray(from, end))) return false
    const judged = this.#reader.read(input.toString('utf8', from, end), input, from, end)
    if (judged instanceof Promise || !judged.setting) return false
    this.#c.textWaits = this.#c.waits = false
    return true
  }
  #stale(judged: Judged): Refusal | null {
    const c = this.#c
    if (!c.stale || judged.setting) return null
    if (c.status !== FAILED) return STALE
    return c.batch || judged.parts.length > 1 ? ABORTED : null
  }

  /** Of the name that a Bind, Describe or Execute uses; a message that can't be read is refused by what reads it. */
  #doubt(type: number, input: Buffer, at: number, to: number): boolean {
    if (this.#c.owed.length === 0) return false
    const name = this.#usedName(type, input, at, to)
    return name !== null && this.#c.doubt(usesStatement(type, input, at) ? 'statement' : 'portal', name)
  }
  #usedName(type: number, input: Buffer, at: number, to: number): string | null { return usedName(type, input, at, to, usesStatement(type, input, at) ? this.#statementNames : this.#portalNames) }
  /** The same of a statement that was prepared. */
  #onlyRunsSetting(type: number, input: Buffer, at: number, to: number): boolean {
    const c = this.#c
    const name = c.status === IDLE || c.probing !== null || !c.known ? null : this.#usedName(type, input, at, to)
    if (name === null) return false
    const prepared = usesStatement(type, input, at) ? c.statements.get(name) : c.portals.get(name)?.prepared
    if (prepared?.judged.setting !== true) return false
    c.textWaits = c.waits = false
    return true
  }

  #boundInSkip = false
  /** What the server will not run, for the record. */
  #skipped(type: number, input: Buffer, at: number, to: number): void {
    // A portal that a skipped Bind would have made: its text, if new, stands in the record of its Parse, and no other's run is named.
    if (type === frames.B) this.#boundInSkip = true
    if ((type !== frames.Q && type !== frames.P && type !== frames.E) || (type === frames.E && this.#boundInSkip)) return
    const portal = type === frames.E ? this.#c.portals.get(this.#usedName(type, input, at, to) ?? '') ?? null : null
    const from = type === frames.P ? frames.stringEnd(input, at + 5, to) + 1 : at + 5
    const end = type === frames.E || from === 0 ? -1 : frames.stringEnd(input, from, to)
    if (portal === null && end < 0) return
    const read = portal !== null ? portal.prepared.judged : this.#c.stale || !this.#c.known || !isUtf8(input.subarray(from, end)) ? null : this.#reader.read(input.toString('utf8', from, end), input, from, end)
    // What can't be read now may hold values: its length alone is told.
    const statement = read === null || read instanceof Promise ? unreadable(end - from) : read.statement
    const question = new Question(NOTHING_DUE, EMPTY, 0, 0, '', NO_TYPES, null, this.#tell)
    question.statement = statement
    question.phase = 'skipped'
    question.prepared = portal?.prepared.run ?? 0
    this.asking = this.#pending = question
  }

  // ---- messages that need a verdict

  #query(input: Buffer, at: number, to: number, out: Scratch): number {
    const end = frames.stringEnd(input, at + 5, to)
    if (end !== to - 1) { this.#refuseText(out, { kind: 'server', code: '08P01', message: end < 0 ? 'invalid string in message' : 'invalid message format', position: 0 }); return to - at }
    return this.#text(new Question(frames.Q, input, at, to, '', NO_TYPES, null, this.#tell), at + 5, end, out)
  }

  #parse(input: Buffer, at: number, to: number, out: Scratch): number {
    const began = this.#c.batch
    const taken = this.#parsed(input, at, to, out)
    this.#c.batch = taken === BLOCKED ? began : true
    return taken
  }
  #parsed(input: Buffer, at: number, to: number, out: Scratch): number {
    const nameEnd = frames.stringEnd(input, at + 5, to)
    const textEnd = nameEnd < 0 ? -1 : frames.stringEnd(input, nameEnd + 1, to)
    const count = textEnd < 0 || textEnd + 3 > to ? -1 : frames.u16(input, textEnd + 1)
    const refuse = (code: string, message: string) => { this.#refuseExtended(out, frames.P, { kind: 'server', code, message, position: 0 }); return to - at }
    if (count < 0 || textEnd + 3 + count * 4 !== to) return refuse('08P01', 'invalid message format')
    if (this.#c.statements.size > NAMES_MAX) return refuse('53400', `more than ${NAMES_MAX} prepared statements`)
    const types: number[] = []
    for (let i = 0; i < count; i++) types.push(frames.u32(input, textEnd + 3 + i * 4))
    return this.#text(new Question(frames.P, input, at, to, input.toString('utf8', at + 5, nameEnd), types, null, this.#tell), nameEnd + 1, textEnd, out)
  }

  #text(pending: Question, from: number, to: number, out: Scratch): number {
    const length = pending.end - pending.at
    if (!isUtf8(pending.input.subarray(from, to))) { this.#refuseText(out, { kind: 'server', code: '22021', message: 'invalid byte sequence for encoding "UTF8"', position: 0 }, pending); return length }
    const judged = this.#reader.read(pending.input.toString('utf8', from, to), pending.input, from, to)
    this.#pending = pending
    if (judged instanceof Promise && this.#c.stale) { this.#pending = null; this.#refuseText(out, STALE, pending); return length }
    if (judged instanceof Promise) this.asking = judged.then((j) => this.#ask(pending, j))
    else {
      const stale = this.#stale(judged)
      if (follows(judged) && this.#c.namesInFlight) { this.#pending = null; return this.#wait() }
      if (stale !== null) { this.#pending = null; this.#refuseText(out, stale, pending); return length }
      this.asking = this.#ask(pending, judged)
    }
    return length
  }

  #ask(pending: Question, judged: Judged): Ask {
    pending.about(judged, pending.type === frames.P ? 'prepare' : 'run', judged.fetches === null ? null : this.#c.cursors.get(judged.fetches) ?? null)
    return pending
  }

  #execute(input: Buffer, at: number, to: number, out: Scratch): number {
    this.#c.batch = true
    const end = frames.stringEnd(input, at + 5, to)
    if (end < 0 || end + 5 !== to) { this.#refuseExtended(out, frames.E, { kind: 'server', code: '08P01', message: 'invalid message format', position: 0 }); return to - at }
    const name = this.#portalNames.of(input, at + 5, end)
    const portal = this.#c.portals.get(name)
    if (portal === undefined) { this.#refuseExtended(out, frames.E, { kind: 'server', code: '34000', message: `portal "${name}" does not exist`, position: 0 }); return to - at }
    const pending = new Question(frames.E, input, at, to, name, portal.prepared.types, portal, this.#tell)
    const again = this.#again(portal.prepared)
    if (again instanceof Promise) {
      this.#pending = pending
      this.asking = again.then((judged) => this.#askRun(pending, judged, portal))
      return to - at
    }
    if (again === null) { this.#refuseExtended(out, frames.E, { kind: 'server', code: '0A000', message: 'cached plan must not change result type', position: 0 }); return to - at }
    if (follows(again) && this.#c.namesInFlight) return this.#wait()
    const stale = this.#stale(again)
    if (stale !== null) { this.#refuseExtended(out, frames.E, stale); return to - at }
    this.#pending = pending
    this.asking = this.#askRun(pending, again, portal)
    return to - at
  }
  /** `judged` null: it may not run; who decided is asked about the text that was prepared. */
  #askRun(pending: Question, judged: Judged | null, portal: Portal): Ask {
    const now = judged ?? portal.prepared.judged
    pending.about(now, 'run', portal.plan ?? (now.fetches === null ? null : this.#c.cursors.get(now.fetches) ?? null))
    pending.judged = judged
    return pending
  }
  /** The judgement that holds now; null when the text to be sent is no longer the one prepared: the old one must not run. */
  #again(prepared: Prepared): Judged | null | Promise<Judged | null> {
    if (prepared.epoch === this.#reader.epoch && (prepared.judged.lasting || prepared.names === this.#reader.names)) return prepared.judged
    if (prepared.sql) { const made = this.#reader.made(prepared.name); return made === 'changed' ? null : made }
    const settle = (judged: Judged): Judged | null => {
      if (judged.sent !== prepared.judged.sent) return null
      prepared.judged = judged
      prepared.epoch = this.#reader.epoch
      prepared.names = this.#reader.names
      return judged
    }
    const bytes = Buffer.from(prepared.judged.text)
    const judged = this.#reader.read(prepared.judged.text, bytes, 0, bytes.length)
    return judged instanceof Promise ? judged.then(settle) : settle(judged)
  }

  /** The relay is about to wait: its buffer will change. */
  keep(): void { this.#pending?.keep() }

  decided(verdict: Verdict, out: Scratch): void {
    const p = this.#pending
    this.#pending = null
    if (p === null) throw new Error('a verdict without a question')
    if (p.type === NOTHING_DUE) return
    const judged = p.judged
    if (judged === null) return this.#refuseExtended(out, frames.E, { kind: 'server', code: '0A000', message: 'cached plan must not change result type', position: 0 })
    if (verdict.kind === 'deny') {
      const refusal: Refusal = judged.syntax === null || verdict.code === 'record' ? { kind: 'denied', why: verdict } : { kind: judged.syntax.code === '26000' || judged.syntax.code === '0A000' ? 'unprepared' : 'server', ...judged.syntax }
      if (p.type === frames.E) this.#refuseExtended(out, frames.E, refusal)
      else this.#refuseText(out, refusal, p)
      return
    }
    const plan = verdict.plan
    // What the door agreed to is what goes: the text itself, or the one it says instead.
    const changed = verdict.kind === 'modify' && verdict.text !== judged.text
    if (changed && verdict.text !== judged.sent) throw new Error('the verdict names a text nobody judged')
    if (!changed && judged.sent !== judged.text) throw new Error('a masked text was allowed unmasked')
    if (p.type === frames.Q) this.#runQuery(p, judged, plan, changed, out)
    else if (p.type === frames.P) this.#runParse(p, judged, plan, changed, out)
    else this.#runExecute(p, judged, plan, out)
  }

  #runQuery(p: Question, judged: Judged, plan: Plan, changed: boolean, out: Scratch): void {
    const c = this.#c
    c.batch = false
    c.batchRan = 'nothing'
    if (changed) frames.writeQuery(out, judged.sent)
    else out.copy(p.input, p.at, p.end)
    const owed = c.expectTouching(QUERY, 'statement', '')
    owed.plan = plan
    owed.judged = judged
    c.statements.delete('')
    c.portals.delete('')
    if (mayEnd(plan, judged.statement.rowsMax)) c.mayCut = owed
    this.#moved(judged, plan)
  }
  #runParse(p: Question, judged: Judged, plan: Plan, changed: boolean, out: Scratch): void {
    const c = this.#c
    const prepared: Prepared = { name: p.name, judged, sql: false, run: plan.run, epoch: this.#reader.epoch, names: this.#reader.names, types: p.types, shape: null, rowless: null }
    if (changed) frames.writeParse(out, p.name, judged.sent, p.types)
    else out.copy(p.input, p.at, p.end)
    const owed = c.expectTouching(PARSE, 'statement', p.name)
    owed.prepared = prepared
    owed.plan = plan
    owed.judged = judged
    c.statements.set(p.name, prepared)
  }
  #runExecute(p: Question, judged: Judged, plan: Plan, out: Scratch): void {
    const portal = p.portal!
    portal.plan = plan
    this.#knowShape(portal, judged, out)
    out.copy(p.input, p.at, p.end)
    const c = this.#c
    const owed = c.expect(EXECUTE)
    owed.plan = plan
    owed.judged = judged
    owed.portal = portal
    owed.shape = portal.shape
    const asked = frames.u32(p.input, p.end - 4)
    if (mayEnd(plan, Math.min(asked === 0 ? Infinity : asked, judged.rowsParameter > 0 ? portal.values.rowsMax(judged.rowsParameter) : judged.statement.rowsMax))) c.mayCut = owed
    if (c.batchRan !== 'writes') c.batchRan = writes(judged) ? 'writes' : 'reads'
    this.#moved(judged, plan)
  }
  #moved(judged: Judged, plan: Plan): void {
    if (judged.computed.length > 0) this.#tell.computed(judged.computed)
    if (judged.kept.length > 0) this.#tell.kept(judged.kept)
    const c = this.#c
    if (judged.copyIn) this.#copyMayBegin = true
    if (judged.strictErrors) c.strict = true
    // In a failed transaction it does not run.
    if (c.status === FAILED && !c.endInFlight) return
    // FETCHes that follow before the server has answered share its plan too. The plan of a cursor that exists is not replaced: the server may refuse.
    for (const { declares } of judged.parts) if (declares !== null && !c.cursors.has(declares)) c.declared(declares, plan)
    if (judged.changesCatalog) this.#reader.changed()
    if (judged.moves) { c.stale = true; c.movedInTransaction = true }
    else if (judged.endsTransaction && c.movedInTransaction) c.stale = true
    if (judged.endsTransaction) c.movedInTransaction = judged.moves
  }

  /** Rows are masked by their description, and drivers ask for it once per statement or never: what is not known is asked here. */
  #knowShape(portal: Portal, judged: Judged, out: Scratch): void {
    const { prepared } = portal
    if (!this.#guard.inspects || prepared.rowless === judged || portal.shape?.parts === judged.parts) return
    // A portal's plan is fixed; a prepared statement's may be made anew when its judgement is.
    const known = portal.shape ?? (prepared.shape?.parts === judged.parts ? prepared.shape : null)
    if (known !== null) portal.shape = prepared.shape = this.#guard.shape(known.source, 0, known.source.length, judged, portal.formats, known)
    else if (!portal.described) {
      frames.writeDescribe(out, 'P', portal.name)
      const owed = this.#c.expect(DESCRIBE_PORTAL)
      owed.portal = portal
      owed.judged = judged
      owed.silent = true
      portal.described = true
    }
  }

  // ---- messages that follow names

  /** SQL's PREPARE and the protocol's Parse share one space of names. */
  #statement(name: string): Prepared | undefined {
    const found = this.#c.statements.get(name)
    if (found !== undefined || name === '') return found
    const made = this.#reader.made(name)
    if (made === null || made === 'changed') return undefined
    return { name, judged: made, sql: true, run: 0, epoch: this.#reader.epoch, names: this.#reader.names, types: [], shape: null, rowless: null }
  }

  #bind(input: Buffer, at: number, to: number, out: Scratch): void {
    const nameEnd = frames.stringEnd(input, at + 5, to)
    const statementEnd = nameEnd < 0 ? -1 : frames.stringEnd(input, nameEnd + 1, to)
    const binding = statementEnd < 0 ? null : parseBinding(input, statementEnd + 1, to)
    if (binding === null) return this.#refuseExtended(out, frames.B, { kind: 'server', code: '08P01', message: 'invalid message format', position: 0 })
    const statement = this.#statementNames.of(input, nameEnd + 1, statementEnd)
    const prepared = this.#statement(statement)
    if (prepared === undefined) return this.#refuseExtended(out, frames.B, { kind: 'server', code: '26000', message: noStatement(statement), position: 0 })
    if (this.#c.portals.size > NAMES_MAX) return this.#refuseExtended(out, frames.B, { kind: 'server', code: '53400', message: `more than ${NAMES_MAX} portals`, position: 0 })
    const portal: Portal = { name: this.#portalNames.of(input, at + 5, nameEnd), prepared, formats: binding.formats, values: binding.values, plan: null, shape: null, described: false }
    const { turned, parameters } = prepared.judged
    // Another number of them is the server's to refuse.
    if (turned.length > 0 && binding.values.count === parameters) writeTurnedBind(out, portal, turned, this.#reader.tokens)
    else out.copy(input, at, to)
    const owed = this.#c.expectTouching(BIND, 'portal', portal.name)
    owed.portal = portal
    owed.prepared = prepared
    this.#c.portals.set(portal.name, portal)
  }

  #describe(input: Buffer, at: number, to: number, out: Scratch): void {
    const what = input[at + 5]
    const end = to - at < 7 ? -1 : frames.stringEnd(input, at + 6, to)
    if (end !== to - 1 || (what !== frames.S && what !== frames.P)) throw new Malformed(`invalid DESCRIBE message subtype ${what ?? 0}`)
    const name = (what === frames.S ? this.#statementNames : this.#portalNames).of(input, at + 6, end)
    if (what === frames.S) {
      const prepared = this.#statement(name)
      if (prepared === undefined) return this.#refuseExtended(out, frames.D, { kind: 'server', code: '26000', message: noStatement(name), position: 0 })
      const owed = this.#c.expect(DESCRIBE_STATEMENT)
      owed.prepared = prepared
      owed.judged = prepared.judged
    } else {
      const portal = this.#c.portals.get(name)
      if (portal === undefined && !this.#c.cursors.has(name)) return this.#refuseExtended(out, frames.D, { kind: 'server', code: '34000', message: `portal "${name}" does not exist`, position: 0 })
      if (portal !== undefined) portal.described = true
      const owed = this.#c.expect(DESCRIBE_PORTAL)
      owed.portal = portal ?? null
      owed.judged = portal?.prepared.judged ?? null
    }
    out.copy(input, at, to)
  }

  #close(input: Buffer, at: number, to: number, out: Scratch): void {
    const what = input[at + 5]
    const end = to - at < 7 ? -1 : frames.stringEnd(input, at + 6, to)
    if (end !== to - 1 || (what !== frames.S && what !== frames.P)) throw new Malformed(`invalid CLOSE message subtype ${what ?? 0}`)
    const name = input.toString('utf8', at + 6, end)
    out.copy(input, at, to)
    const c = this.#c
    if (what === frames.S) { c.expectTouching(CLOSE, 'statement', name); c.statements.delete(name) }
    else { c.expectTouching(CLOSE, 'portal', name); c.portals.delete(name) }
  }

  /** While the server reads COPY data it takes nothing else. */
  #inCopy(type: number, input: Buffer, at: number, length: number, out: Scratch): number {
    const c = this.#c
    switch (type) {
      case frames.COPY_DATA: out.copy(input, at, at + length); break
      case frames.COPY_DONE: case frames.COPY_FAIL: out.copy(input, at, at + length); c.copyIn = null; c.copySyncs = 0; break
      case frames.S: c.copySyncs++; break // the server reads over it
      case frames.H: break
      case frames.X: out.copy(input, at, at + length); this.over = 'the client said good-bye'; break
      // The server loses its place in the stream here and ends the connection: so do we.
      default: throw new Malformed(`unexpected message type 0x${type.toString(16).toUpperCase()} during COPY from stdin`)
    }
    return length
  }

  // ---- refusals: what the server gets in place of what the client sent

  #refuseText(out: Scratch, refused: Refusal, p: Question | null = null): void {
    const run = refused.kind === 'denied' ? refused.why.run : 0
    if (p?.type === frames.P) {
      frames.writeParse(out, p.name, nothing(run), [])
      // The server drops the unnamed statement before it reads the text, and keeps a named one.
      this.#c.expectTouching(PARSE, 'statement', p.name).refused = refused
      if (p.name === '') this.#c.statements.delete('')
    } else {
      frames.writeQuery(out, nothing(run))
      this.#c.expectTouching(QUERY, 'statement', '').refused = refused
      this.#c.statements.delete('')
      this.#c.portals.delete('')
    }
  }
  #refuseExtended(out: Scratch, type: number, refused: Refusal): void {
    const name = nothing(refused.kind === 'denied' ? refused.why.run : 0)
    if (type === frames.B) { frames.writeBindOfNothing(out, name); this.#c.expect(BIND).refused = refused }
    else if (type === frames.E) { frames.writeExecuteOfNothing(out, name); this.#c.expect(EXECUTE).refused = refused }
    else { frames.writeDescribe(out, 'S', name); this.#c.expect(DESCRIBE_STATEMENT).refused = refused }
  }
}

function unreadable(bytes: number): Statement {
  const text = `[${bytes} bytes]`
  return { text, shown: text, effects: [], masking: null, rowsMax: 0, guarded: true, single: false, exempt: true }
}
/** Whether its answer, of at most so many rows, may be ended before its end. */
function mayEnd(plan: Plan, rowsMax: number): boolean { return plan.bytesMax !== Infinity || (plan.rowsMax !== Infinity && rowsMax > plan.rowsMax - plan.rows) }
function writes(judged: Judged): boolean {
  for (const { access } of judged.statement.effects) if (access === 'write' || access === 'admin') return true
  return false
}

/** Whether it runs a prepared statement or cursor of SQL's: texts before it may give the name another meaning. */
function follows(judged: Judged): boolean {
  const [only] = judged.parts
  return !judged.lasting && (judged.parts.length !== 1 || only === undefined || (only.prepares === null && only.frees === null && only.declares === null && only.closes === null))
}
