// Client messages → what is asked, and what goes upstream for each verdict. Every message type has a rule; an unknown one ends the
// session. A refused message is not swallowed: in its place goes one that the server must fail, so that failed transactions, implicit
// transactions and skip-until-Sync stay the server's own truth.
import { isUtf8 } from 'node:buffer'
import { Malformed } from '../../core/errors.ts'
import type { Ask, Plan, Verdict } from '../../core/session.ts'
import type { Scratch } from '../../wire/bytes.ts'
import { BLOCKED, NEED_MORE } from '../../wire/codec.ts'
import { BIND, CLOSE, type Conversation, DESCRIBE_PORTAL, DESCRIBE_STATEMENT, EXECUTE, NAMES_MAX, OWED_MAX, PARSE, type Portal, type Prepared, QUERY, type Refusal, SYNC } from './conversation.ts'
import * as frames from './frames.ts'
import type { Guard } from './guard.ts'
import type { Judged, Reader } from './reader.ts'

/** What the client is told beside the answers. */
export interface Telling {
  /** Its statement waits for a person. */
  waiting(url: string): void
  /** It computes with masked columns: what comes out is about masks, not values. */
  computed(columns: readonly string[]): void
}
/** What waits for a verdict. The bytes are the relay's until `keep`. */
interface Pending {
  readonly type: number
  input: Buffer; at: number; end: number
  judged: Judged | null
  readonly name: string
  readonly types: readonly number[]
  readonly portal: Portal | null
}
/** A name no client can have used: it holds a character that no driver makes, and the run. */
export const nothing = (run: number) => `SLUICE REFUSED run ${run}`
const noStatement = (name: string) => (name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`)
const IDLE = 0x49, FAILED = 0x45
/** Messages that the server ignores between an error and the next Sync. */
const SKIPPED = new Set([frames.Q, frames.P, frames.B, frames.D, frames.E, frames.C, frames.F, frames.H])
const STALE: Refusal = { kind: 'server', code: '42501', message: 'refused by Sluice: this text follows a statement that may have changed what its names mean; send Sync between them', position: 0 }
const ABORTED: Refusal = { kind: 'server', code: '25P02', message: 'current transaction is aborted, commands ignored until end of transaction block', position: 0 }

export class Requests {
  asking: Ask | Promise<Ask> | null = null
  over: string | null = null
  /** Nothing is decided before the server has answered: a COPY FROM STDIN may begin. */
  #copyMayBegin = false
  #pending: Pending | null = null
  readonly #c: Conversation
  readonly #reader: Reader
  readonly #guard: Guard
  readonly #tell: Telling
  constructor(conversation: Conversation, reader: Reader, guard: Guard, tell: Telling) { this.#c = conversation; this.#reader = reader; this.#guard = guard; this.#tell = tell }

  take(input: Buffer, at: number, end: number, out: Scratch): number {
    const c = this.#c
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
    if (c.skipping && SKIPPED.has(type)) return length // the server reads and forgets it, so nobody is asked about it
    switch (type) {
      case frames.S: out.copy(input, at, to); c.expect(SYNC); c.skipping = false; c.batch = false; return length
      case frames.H: out.copy(input, at, to); return length
      case frames.X:
        if (to < end) throw new Malformed('bytes after Terminate')
        out.copy(input, at, to)
        this.over = 'the client said good-bye'
        return length
      case frames.COPY_DATA: case frames.COPY_DONE: case frames.COPY_FAIL: return length // outside a copy the server ignores them
      case frames.Q: return this.#unsettled() && !this.#onlySets(input, at + 5, to) ? BLOCKED : this.#query(input, at, to, out)
      case frames.P: return this.#unsettled() && !this.#onlySets(input, frames.stringEnd(input, at + 5, to) + 1, to) ? BLOCKED : this.#parse(input, at, to, out)
      case frames.B: case frames.D: case frames.E: {
        if (this.#unsettled()) return BLOCKED
        const doubt = this.#doubt(type, input, at, to)
        if (doubt === 'wait') return BLOCKED
        c.batch = true
        if (doubt === 'refuse') { this.#refuseExtended(out, type, STALE); return length }
        if (type === frames.E) return this.#execute(input, at, to, out)
        if (type === frames.B) this.#bind(input, at, to, out)
        else this.#describe(input, at, to, out)
        return length
      }
      case frames.C: if (this.#unsettled()) return BLOCKED; c.batch = true; this.#close(input, at, to, out); return length
      case frames.F: this.#refuseText(out, { kind: 'server', code: '42501', message: 'function calls by the FunctionCall message are refused: use SELECT', position: 0 }); return length
      default: throw new Malformed(`invalid frontend message type ${type}`)
    }
  }

  /** Whether names must be learned anew first. Within an unfinished batch they can't be: the text is then refused by `#stale`. */
  #unsettled(): boolean {
    const c = this.#c
    if (c.probing) return true
    // In a failed transaction nothing runs, as long as nothing on its way to the server may end it.
    if (!c.stale || (c.status === FAILED && c.idle)) return false
    c.textWaits = !c.batch
    return !c.batch
  }
  /** Whether, in a transaction, a text only ends it or sets: it means the same whatever names mean, and SET TRANSACTION must come before any query of ours. */
  #onlySets(input: Buffer, from: number, to: number): boolean {
    if (this.#c.status === IDLE) return false
    const end = from === 0 ? -1 : frames.stringEnd(input, from, to)
    if (end < 0 || this.#c.probing || !this.#c.known || !isUtf8(input.subarray(from, end))) return false
    const judged = this.#reader.read(input.toString('utf8', from, end), input, from, end)
    if (judged instanceof Promise || !judged.setting) return false
    this.#c.textWaits = false
    return true
  }
  #stale(judged: Judged): Refusal | null {
    const c = this.#c
    if (!c.stale || judged.setting) return null
    if (c.status !== FAILED) return STALE
    return c.batch || judged.parts.length > 1 ? ABORTED : null
  }

  /** Of the name that a Bind, Describe or Execute uses; a message that can't be read is refused by what reads it. */
  #doubt(type: number, input: Buffer, at: number, to: number): 'none' | 'wait' | 'refuse' {
    if (this.#c.owed.length === 0) return 'none'
    const statement = type === frames.B || (type === frames.D && input[at + 5] === frames.S)
    const from = type === frames.B ? frames.stringEnd(input, at + 5, to) + 1 : type === frames.D ? at + 6 : at + 5
    const end = from <= at + 5 && type === frames.B ? -1 : frames.stringEnd(input, from, to)
    return end < 0 ? 'none' : this.#c.doubt(statement ? 'statement' : 'portal', input.toString('utf8', from, end))
  }

  // ---- messages that need a verdict

  #query(input: Buffer, at: number, to: number, out: Scratch): number {
    const end = frames.stringEnd(input, at + 5, to)
    if (end !== to - 1) { this.#refuseText(out, { kind: 'server', code: '08P01', message: end < 0 ? 'invalid string in message' : 'invalid message format', position: 0 }); return to - at }
    return this.#text({ type: frames.Q, input, at, end: to, judged: null, name: '', types: [], portal: null }, at + 5, end, out)
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
    return this.#text({ type: frames.P, input, at, end: to, judged: null, name: input.toString('utf8', at + 5, nameEnd), types, portal: null }, nameEnd + 1, textEnd, out)
  }

  #text(pending: Pending, from: number, to: number, out: Scratch): number {
    const length = pending.end - pending.at
    if (!isUtf8(pending.input.subarray(from, to))) { this.#refuseText(out, { kind: 'server', code: '22021', message: 'invalid byte sequence for encoding "UTF8"', position: 0 }, pending); return length }
    const judged = this.#reader.read(pending.input.toString('utf8', from, to), pending.input, from, to)
    this.#pending = pending
    if (judged instanceof Promise && this.#c.stale) { this.#pending = null; this.#refuseText(out, STALE, pending); return length }
    if (judged instanceof Promise) this.asking = judged.then((j) => this.#ask(pending, j))
    else {
      const stale = this.#stale(judged)
      const early = follows(judged) && this.#c.namesInFlight
      if (early && !this.#c.batch) { this.#pending = null; return BLOCKED }
      // At Parse it is only asked whether it may be prepared: what it names counts when it runs.
      if (stale !== null || (early && pending.type === frames.Q)) { this.#pending = null; this.#refuseText(out, stale ?? STALE, pending); return length }
      this.asking = this.#ask(pending, judged)
    }
    return length
  }

  #ask(pending: Pending, judged: Judged): Ask {
    pending.judged = judged
    const within = judged.fetches === null ? null : this.#c.cursors.get(judged.fetches) ?? null
    return this.#asked(pending, judged, pending.type === frames.P ? 'prepare' : 'run', null, 0, within)
  }
  #asked(pending: Pending, judged: Judged, phase: Ask['phase'], parameters: readonly string[] | null, prepared: number, within: Plan | null): Ask {
    const { portal } = pending
    let { statement } = judged
    if (portal !== null && judged.rowsParameter > 0) statement = { ...statement, rowsMax: boundOf(portal, judged.rowsParameter) }
    const stores = portal === null || portal.parameters.length === 0 ? null : judged.refusedParameters(portal.parameters.map((p, i) => (p === null || formatOf(portal, i) === 1 && p.includes(0) ? null : p.toString('utf8'))))
    if (stores !== null) statement = { ...statement, masking: { kind: 'refused', ...stores } }
    return {
      statement, parameters, phase, prepared, within, waiting: this.#tell.waiting,
      binding: () => [judged.text, ...(pending.portal?.parameters ?? []).map((p) => p ?? 'NULL'), String(pending.portal?.parameterFormats ?? ''), String(pending.types)],
    }
  }

  #execute(input: Buffer, at: number, to: number, out: Scratch): number {
    this.#c.batch = true
    const end = frames.stringEnd(input, at + 5, to)
    if (end < 0 || end + 5 !== to) { this.#refuseExtended(out, frames.E, { kind: 'server', code: '08P01', message: 'invalid message format', position: 0 }); return to - at }
    const name = input.toString('utf8', at + 5, end)
    const portal = this.#c.portals.get(name)
    if (portal === undefined) { this.#refuseExtended(out, frames.E, { kind: 'server', code: '34000', message: `portal "${name}" does not exist`, position: 0 }); return to - at }
    const pending: Pending = { type: frames.E, input, at, end: to, judged: portal.prepared.judged, name, types: portal.prepared.types, portal }
    const again = this.#again(portal.prepared)
    if (again instanceof Promise) {
      this.#pending = pending
      this.asking = again.then((judged) => this.#askRun(pending, judged, portal))
      return to - at
    }
    if (again === null) { this.#refuseExtended(out, frames.E, { kind: 'server', code: '0A000', message: 'cached plan must not change result type', position: 0 }); return to - at }
    const stale = follows(again) && this.#c.namesInFlight ? STALE : this.#stale(again)
    if (stale !== null) { this.#refuseExtended(out, frames.E, stale); return to - at }
    this.#pending = pending
    this.asking = this.#askRun(pending, again, portal)
    return to - at
  }
  #askRun(pending: Pending, judged: Judged | null, portal: Portal): Ask {
    pending.judged = judged
    const now = judged ?? portal.prepared.judged
    const within = portal.plan ?? (now.fetches === null ? null : this.#c.cursors.get(now.fetches) ?? null)
    return this.#asked(pending, now, 'run', shownParameters(portal), portal.prepared.run, within)
  }
  /** The judgement that holds now; null when the text to be sent is no longer the one prepared: the old one must not run. */
  #again(prepared: Prepared): Judged | null | Promise<Judged | null> {
    if (prepared.epoch === this.#reader.epoch && (prepared.judged.lasting || prepared.names === this.#reader.names)) return prepared.judged
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
  keep(): void {
    const p = this.#pending
    if (p === null) return
    p.input = Buffer.from(p.input.subarray(p.at, p.end))
    p.end -= p.at
    p.at = 0
  }

  decided(verdict: Verdict, out: Scratch): void {
    const p = this.#pending
    this.#pending = null
    if (p === null) throw new Error('a verdict without a question')
    const judged = p.judged
    if (judged === null) return this.#refuseExtended(out, frames.E, { kind: 'server', code: '0A000', message: 'cached plan must not change result type', position: 0 })
    if (verdict.kind === 'deny') {
      const refusal: Refusal = judged.syntax === null || verdict.code === 'record' ? { kind: 'denied', why: verdict } : this.#c.status === FAILED && (judged.syntax.code === '26000' || judged.syntax.code === '0A000') ? ABORTED : { kind: 'server', ...judged.syntax }
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

  #runQuery(p: Pending, judged: Judged, plan: Plan, changed: boolean, out: Scratch): void {
    const c = this.#c
    const unnamed = c.touch('statement', '')
    c.batch = false
    c.statements.delete('')
    c.portals.delete('')
    if (changed) frames.writeQuery(out, judged.sent)
    else out.copy(p.input, p.at, p.end)
    c.expect(QUERY, { plan, judged, ...unnamed })
    this.#moved(judged, plan)
  }
  #runParse(p: Pending, judged: Judged, plan: Plan, changed: boolean, out: Scratch): void {
    const c = this.#c
    const prepared: Prepared = { name: p.name, judged, run: plan.run, epoch: this.#reader.epoch, names: this.#reader.names, types: p.types, shape: null, rowless: null }
    if (changed) frames.writeParse(out, p.name, judged.sent, p.types)
    else out.copy(p.input, p.at, p.end)
    c.expect(PARSE, { prepared, plan, judged, ...c.touch('statement', p.name) })
    c.statements.set(p.name, prepared)
  }
  #runExecute(p: Pending, judged: Judged, plan: Plan, out: Scratch): void {
    const portal = p.portal!
    portal.plan = plan
    this.#knowShape(portal, judged, out)
    out.copy(p.input, p.at, p.end)
    this.#c.expect(EXECUTE, { plan, judged, portal, shape: portal.shape })
    this.#moved(judged, plan)
  }
  #moved(judged: Judged, plan: Plan): void {
    if (judged.computed.length > 0) this.#tell.computed(judged.computed)
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
      this.#c.expect(DESCRIBE_PORTAL, { portal, judged, silent: true })
      portal.described = true
    }
  }

  // ---- messages that follow names

  #bind(input: Buffer, at: number, to: number, out: Scratch): void {
    const portal = parseBind(input, at, to, (name) => this.#c.statements.get(name))
    if (portal === null) return this.#refuseExtended(out, frames.B, { kind: 'server', code: '08P01', message: 'invalid message format', position: 0 })
    if (typeof portal === 'string') {
      return this.#refuseExtended(out, frames.B, { kind: 'server', code: '26000', message: noStatement(portal), position: 0 })
    }
    if (this.#c.portals.size > NAMES_MAX) return this.#refuseExtended(out, frames.B, { kind: 'server', code: '53400', message: `more than ${NAMES_MAX} portals`, position: 0 })
    out.copy(input, at, to)
    this.#c.expect(BIND, { portal, prepared: portal.prepared, ...this.#c.touch('portal', portal.name) })
    this.#c.portals.set(portal.name, portal)
  }

  #describe(input: Buffer, at: number, to: number, out: Scratch): void {
    const what = input[at + 5]
    const end = to - at < 7 ? -1 : frames.stringEnd(input, at + 6, to)
    if (end !== to - 1 || (what !== frames.S && what !== frames.P)) throw new Malformed(`invalid DESCRIBE message subtype ${what ?? 0}`)
    const name = input.toString('utf8', at + 6, end)
    if (what === frames.S) {
      const prepared = this.#c.statements.get(name)
      if (prepared === undefined) return this.#refuseExtended(out, frames.D, { kind: 'server', code: '26000', message: noStatement(name), position: 0 })
      this.#c.expect(DESCRIBE_STATEMENT, { prepared, judged: prepared.judged })
    } else {
      const portal = this.#c.portals.get(name)
      if (portal === undefined && !this.#c.cursors.has(name)) return this.#refuseExtended(out, frames.D, { kind: 'server', code: '34000', message: `portal "${name}" does not exist`, position: 0 })
      if (portal !== undefined) portal.described = true
      this.#c.expect(DESCRIBE_PORTAL, { portal: portal ?? null, judged: portal?.prepared.judged ?? null })
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
    if (what === frames.S) { c.expect(CLOSE, c.touch('statement', name)); c.statements.delete(name) }
    else { c.expect(CLOSE, c.touch('portal', name)); c.portals.delete(name) }
  }

  /** While the server reads COPY data it takes nothing else. */
  #inCopy(type: number, input: Buffer, at: number, length: number, out: Scratch): number {
    const c = this.#c
    switch (type) {
      case frames.COPY_DATA: out.copy(input, at, at + length); break
      case frames.COPY_DONE: case frames.COPY_FAIL: out.copy(input, at, at + length); c.copyIn = null; break
      case frames.S: case frames.H: break // the server ignores them here
      case frames.X: out.copy(input, at, at + length); this.over = 'the client said good-bye'; break
      // The server loses its place in the stream here and ends the connection: so do we.
      default: throw new Malformed(`unexpected message type 0x${type.toString(16).toUpperCase()} during COPY from stdin`)
    }
    return length
  }

  // ---- refusals: what the server gets in place of what the client sent

  #refuseText(out: Scratch, refused: Refusal, p: Pending | null = null): void {
    const run = refused.kind === 'denied' ? refused.why.run : 0
    if (p?.type === frames.P) {
      frames.writeParse(out, p.name, nothing(run), [])
      // The server drops the unnamed statement before it reads the text, and keeps a named one.
      this.#c.expect(PARSE, { refused, ...this.#c.touch('statement', p.name) })
      if (p.name === '') this.#c.statements.delete('')
    } else {
      const unnamed = this.#c.touch('statement', '')
      this.#c.statements.delete('')
      this.#c.portals.delete('')
      frames.writeQuery(out, nothing(run))
      this.#c.expect(QUERY, { refused, ...unnamed })
    }
  }
  #refuseExtended(out: Scratch, type: number, refused: Refusal): void {
    const name = nothing(refused.kind === 'denied' ? refused.why.run : 0)
    if (type === frames.B) { frames.writeBindOfNothing(out, name); this.#c.expect(BIND, { refused }) }
    else if (type === frames.E) { frames.writeExecuteOfNothing(out, name); this.#c.expect(EXECUTE, { refused }) }
    else { frames.writeDescribe(out, 'S', name); this.#c.expect(DESCRIBE_STATEMENT, { refused }) }
  }
}

/** Whether it runs a prepared statement or cursor of SQL's: texts before it may give the name another meaning. */
function follows(judged: Judged): boolean {
  const [only] = judged.parts
  return !judged.lasting && (judged.parts.length !== 1 || only === undefined || (only.prepares === null && only.frees === null && only.declares === null && only.closes === null))
}

/** A portal, the name of a statement that doesn't exist, or null when the message is malformed. */
function parseBind(input: Buffer, at: number, to: number, find: (name: string) => Prepared | undefined): Portal | string | null {
  const nameEnd = frames.stringEnd(input, at + 5, to)
  const statementEnd = nameEnd < 0 ? -1 : frames.stringEnd(input, nameEnd + 1, to)
  if (statementEnd < 0) return null
  let p = statementEnd + 1
  const codes = (): number[] | null => {
    if (p + 2 > to) return null
    const count = frames.u16(input, p)
    p += 2
    if (p + count * 2 > to) return null
    const list: number[] = []
    for (let i = 0; i < count; i++, p += 2) { const format = frames.u16(input, p); if (format > 1) return null; list.push(format) }
    return list
  }
  const parameterFormats = codes()
  if (parameterFormats === null || p + 2 > to) return null
  const count = frames.u16(input, p)
  p += 2
  const parameters: (Buffer | null)[] = []
  for (let i = 0; i < count; i++) {
    if (p + 4 > to) return null
    const length = frames.i32(input, p)
    p += 4
    if (length < -1 || (length > 0 && p + length > to)) return null
    // The relay's buffer changes; parameters live as long as the portal.
    parameters.push(length < 0 ? null : Buffer.from(input.subarray(p, p + length)))
    p += Math.max(0, length)
  }
  const formats = codes()
  if (formats === null || p !== to) return null
  if (parameterFormats.length > 1 && parameterFormats.length !== count) return null
  const statement = input.toString('utf8', nameEnd + 1, statementEnd)
  const prepared = find(statement)
  if (prepared === undefined) return statement
  return { name: input.toString('utf8', at + 5, nameEnd), prepared, formats, parameters, parameterFormats, plan: null, shape: null, described: false }
}

const formatOf = (portal: Portal, index: number): number => portal.parameterFormats.length === 1 ? portal.parameterFormats[0]! : portal.parameterFormats[index] ?? 0
function shownParameters(portal: Portal): readonly string[] | null {
  if (portal.parameters.length === 0) return null
  return portal.parameters.map((p, i) => (p === null ? 'NULL' : formatOf(portal, i) === 0 ? p.toString('utf8') : `\\x${p.toString('hex')}`))
}
/** What `LIMIT $n` allows: Infinity when NULL or not a plain number. */
function boundOf(portal: Portal, parameter: number): number {
  const bytes = portal.parameters[parameter - 1]
  if (bytes == null) return Infinity
  if (formatOf(portal, parameter - 1) === 0) { const text = bytes.toString('latin1').trim(); return /^\d{1,15}$/.test(text) ? Number(text) : Infinity }
  if (bytes.length === 8) { const n = bytes.readBigInt64BE(); return n >= 0n && n < 1_000_000_000n ? Number(n) : Infinity }
  if (bytes.length === 4) { const n = bytes.readInt32BE(); return n >= 0 ? n : Infinity }
  return Infinity
}
