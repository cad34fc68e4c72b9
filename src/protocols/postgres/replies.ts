// Server messages → what the client gets. Whole messages only; the longest unchanged run goes out as one slice; rows are walked by
// their lengths, and decoded only where a mask applies. Every message type has a rule; one that can't come here ends the session.
import { Malformed, SluiceError } from '../../core/errors.ts'
import type { Denied, Plan, Seen } from '../../core/session.ts'
import type { Answers } from '../../wire/codec.ts'
import { ABORTED, BIND, CLOSE, type Conversation, DESCRIBE_PORTAL, DESCRIBE_STATEMENT, EXECUTE, type Owed, PARSE, type Portal, QUERY, type Refusal, SYNC } from './conversation.ts'
import { cellsOf, textCells } from './cells.ts'
import * as frames from './frames.ts'
import type { Guard, RowShape } from './guard.ts'
import { LastName } from './names.ts'
import type { Part, Reader } from './reader.ts'
import { addedParameters, ownParameters } from './token-parameters.ts'

const ch = (c: string): number => c.charCodeAt(0)
const PARSE_COMPLETE = ch('1'), BIND_COMPLETE = ch('2'), CLOSE_COMPLETE = ch('3'), PARAMETERS = ch('t'), NO_DATA = ch('n'), COMPLETE = ch('C'), SUSPENDED = ch('s')
const EMPTY_QUERY = ch('I'), ERROR = ch('E'), NOTICE = ch('N'), READY = ch('Z'), NOTIFICATION = ch('A'), STATUS = ch('S'), DESCRIPTION = ch('T'), ROW = ch('D')
const COPY_IN = ch('G'), COPY_OUT = ch('H'), COPY_DATA = ch('d'), COPY_DONE = ch('c')
const IDLE = ch('I'), TRANSACTION = ch('T'), FAILED = ch('E')

/** What ends each part of a probe. */
const PROBE_ENDS = new Map<number, number>([[PARSE_COMPLETE, PARSE], [BIND_COMPLETE, BIND], [COMPLETE, EXECUTE], [CLOSE_COMPLETE, CLOSE]])
const NOTHING = Buffer.alloc(0)
const PASS = 0, SWALLOW = 1, DONE = 2

export class Replies {
  paused: Plan | null = null
  /** Rows of our own probe, per result. */
  #learned: (string | null)[][][] = []
  #rows: (string | null)[][] = []
  #probeFailed = false
  readonly #tags = new LastName()
  readonly #c: Conversation
  readonly #reader: Reader
  readonly #guard: Guard
  constructor(conversation: Conversation, reader: Reader, guard: Guard) { this.#c = conversation; this.#reader = reader; this.#guard = guard }

  /** Where the run of unchanged bytes began, and the message being read. */
  #input: Buffer = NOTHING
  #from = 0
  #at = 0
  /** Lets the unchanged bytes before this message go out: it will not go as it is. */
  #flush(answers: Answers): void {
    if (this.#at > this.#from) answers.pass(this.#input, this.#from, this.#at)
    this.#from = this.#at
  }

  get answering(): number { return this.#c.owed.first()?.plan?.run ?? 0 }

  take(input: Buffer, at: number, end: number, to: Answers): number {
    let position = at, passFrom = at
    this.#guard.counting()
    while (end - position >= 5) {
      const length = frames.frameLength(input, position, end, false)
      const next = position + length
      if (next > end) break
      const type = input[position]!
      const owed = this.#c.owed.first()
      const counted = type === ROW || type === COPY_DATA
      if (counted && this.#c.cut === null && owed !== undefined && !owed.ours && owed.plan !== null) {
        const plan = owed.plan
        if (plan.rows + 1 > plan.rowsMax || plan.bytes + length > plan.bytesMax) {
          if (position > passFrom) to.pass(input, passFrom, position)
          this.paused = plan
          return position
        }
        plan.rows++
        plan.bytes += length
        const shape = type === ROW ? owed.shape : this.#c.copyOut?.shape ?? null
        if (type === ROW && shape === null && this.#guard.inspects) throw new Malformed('the server sent a row that it did not describe')
        if (shape === null || !shape.masking) { position = next; continue }
        if (position > passFrom) to.pass(input, passFrom, position)
        if (type === ROW) this.#guard.row(shape, input, position, next, to.splice())
        else this.#guard.copyRow(shape, input, position, next, to.splice())
        position = passFrom = next
        continue
      }
      this.#input = input
      this.#from = passFrom
      this.#at = position
      const done = this.#message(type, input, position, next, owed, to)
      position = next
      if (done === SWALLOW) this.#flush(to)
      passFrom = done === PASS ? this.#from : next
    }
    if (position > passFrom) to.pass(input, passFrom, position)
    this.#input = NOTHING
    return position
  }

  /** PASS: goes out as it is. SWALLOW and DONE: nothing of it, or something else written after `flush`. */
  #message(type: number, input: Buffer, at: number, to: number, owed: Owed | undefined, answers: Answers): number {
    const c = this.#c
    switch (type) {
      case STATUS: return this.#status(input, at, to, answers)
      case NOTIFICATION: {
        const clean = this.#guard.notification(input, at, to)
        if (clean === null) return PASS
        this.#flush(answers)
        answers.splice().copy(clean, 0, clean.length)
        return DONE
      }
      case NOTICE:
        if (owed?.ours === true || c.cut !== null) { this.#flush(answers); return SWALLOW }
        return this.#words(input, at, to, owed, answers)
      case READY: return this.#ready(input, at, owed, answers)
      case ERROR: return this.#error(input, at, to, owed, answers)
      default:
    }
    if (owed === undefined) throw new Malformed(`the server sent message type 0x${type.toString(16)} without being asked`)
    if (owed.ours) { this.#probeMessage(type, input, at, to, owed); this.#flush(answers); return SWALLOW }
    const swallow = c.cut !== null
    const passed = this.#answer(type, input, at, to, owed, answers)
    if (swallow && passed === PASS) { this.#flush(answers); return SWALLOW }
    return passed
  }

  #answer(type: number, input: Buffer, at: number, to: number, owed: Owed, answers: Answers): number {
    const c = this.#c
    switch (type) {
      case PARSE_COMPLETE: this.#settle(owed, PARSE); if (owed.touched !== '') this.#reader.prepared(owed.touched, null); if (owed.plan !== null) this.#saw(answers, owed.plan, { kind: 'executed', tag: 'PARSE' }); return PASS
      case BIND_COMPLETE: this.#settle(owed, BIND); return PASS
      case CLOSE_COMPLETE: this.#settle(owed, CLOSE); if (owed.touches === 'statement') this.#reader.prepared(owed.touched, null); return PASS
      case PARAMETERS: {
        if (owed.kind !== DESCRIBE_STATEMENT) throw out(type)
        const added = addedParameters(owed.judged?.turned ?? [])
        if (added === 0) return PASS
        const own = ownParameters(input.subarray(at, to), added)
        this.#flush(answers)
        answers.splice().copy(own, 0, own.length)
        return DONE
      }
      case NO_DATA:
        if (owed.kind !== DESCRIBE_STATEMENT && owed.kind !== DESCRIBE_PORTAL) throw out(type)
        c.owed.shift()
        { const prepared = owed.prepared ?? owed.portal?.prepared; if (prepared !== undefined) prepared.rowless = owed.judged }
        if (owed.silent) { this.#flush(answers); return SWALLOW }
        return PASS
      case DESCRIPTION: return this.#description(input, at, to, owed, answers)
      case COMPLETE: return this.#complete(input, at, to, owed, answers)
      case EMPTY_QUERY:
        if (owed.kind === EXECUTE) { c.owed.shift(); this.#seen(owed, '', answers) } else if (owed.kind !== QUERY) throw out(type)
        return PASS
      case SUSPENDED:
        if (owed.kind !== EXECUTE) throw out(type)
        if (owed.plan !== null) this.#guard.counted(owed.plan.run)
        if (c.cut !== null && c.cut.plan === owed.plan) this.#endOfCut(answers)
        c.owed.shift()
        return PASS
      case COPY_IN:
        if (owed.judged?.copyIn !== true) throw new Malformed('the server began a copy that was not asked for')
        c.copyIn = owed
        return PASS
      case COPY_OUT: {
        const shape = this.#guard.copyShape(input, at, to, owed.judged)
        owed.shape = shape
        c.copyOut = owed
        return PASS
      }
      case COPY_DATA: case ROW: if (c.cut !== null) return PASS; throw out(type)
      case COPY_DONE: {
        const shape = c.copyOut?.shape ?? null
        c.copyOut = null
        if (shape?.masking === true && c.cut === null) { this.#flush(answers); this.#guard.copyEnd(shape, answers.splice()) }
        return PASS
      }
      default: throw new Malformed(`the server sent unknown message type 0x${type.toString(16)}`)
    }
  }

  #settle(owed: Owed, kind: number): void {
    if (owed.kind !== kind) throw out(kind)
    this.#c.owed.shift()
  }

  #description(input: Buffer, at: number, to: number, owed: Owed, answers: Answers): number {
    const c = this.#c
    const judged = owed.judged ?? owed.portal?.prepared.judged ?? null
    const formats = owed.portal?.formats ?? []
    const known = owed.kind === DESCRIBE_PORTAL ? owed.portal?.shape ?? owed.portal?.prepared.shape ?? null : owed.prepared?.shape ?? null
    const shape: RowShape = this.#guard.shape(input, at, to, judged, formats, known)
    if (owed.kind === DESCRIBE_STATEMENT) { if (owed.prepared !== null) owed.prepared.shape = shape; c.owed.shift() }
    else if (owed.kind === DESCRIBE_PORTAL) {
      if (owed.portal !== null) { owed.portal.shape = shape; owed.portal.prepared.shape = shape; this.#described(owed.portal, shape) }
      c.owed.shift()
    } else if (owed.kind === QUERY) owed.shape = shape
    else throw out(DESCRIPTION)
    if (owed.silent) { this.#flush(answers); return SWALLOW }
    if (shape.description === null || c.cut !== null) return PASS
    this.#flush(answers)
    const scratch = answers.splice()
    scratch.copy(shape.description, 0, shape.description.length)
    return DONE
  }

  /** Rows of Executes that were sent behind the Describe have that shape. */
  #described(portal: Portal, shape: RowShape): void {
    const { owed } = this.#c
    for (let i = 0; i < owed.length; i++) { const later = owed.at(i); if (later.portal === portal && later.kind === EXECUTE) later.shape = shape }
  }

  #complete(input: Buffer, at: number, to: number, owed: Owed, answers: Answers): number {
    const c = this.#c
    if (owed.kind !== QUERY && owed.kind !== EXECUTE) throw out(COMPLETE)
    const judged = owed.judged
    const part = judged?.parts[owed.kind === QUERY ? owed.index : 0]
    owed.index++
    owed.shape = null
    c.copyOut = null
    if (c.copyIn === owed) c.copyIn = null
    if (part !== undefined) this.#names(part, owed)
    if (c.cut !== null && c.cut.plan === owed.plan && owed.kind === EXECUTE) this.#endOfCut(answers)
    if (owed.kind === EXECUTE) { c.owed.shift(); this.#seen(owed, this.#tags.of(input, at + 5, to - 1), answers) }
    return PASS
  }
  #names(part: Part, { plan, judged }: Owed): void {
    const c = this.#c
    if (part.prepares !== null) {
      const alone = judged !== null && judged.parts.length === 1
      this.#reader.prepared(part.prepares.name, { judged: part.prepares.judged, text: alone ? judged.text : null, sent: judged?.sent ?? '' })
      c.freed(part.prepares.name)
    }
    if (part.frees === '*') { this.#reader.prepared('*', null); c.freed('*') }
    else if (part.frees !== null) { this.#reader.prepared(part.frees, null); c.freed(part.frees) }
    if (part.declares !== null && plan !== null) c.declared(part.declares, plan)
    if (part.closes === '*') c.cursors.clear()
    else if (part.closes !== null) c.cursors.delete(part.closes)
  }
  #saw(answers: Answers, plan: Plan, what: Seen): void { this.#guard.counted(plan.run); answers.saw(plan, what) }
  #seen(owed: Owed, tag: string, answers: Answers): void { if (owed.plan !== null) this.#saw(answers, owed.plan, { kind: 'executed', tag }) }

  #ready(input: Buffer, at: number, owed: Owed | undefined, answers: Answers): number {
    const c = this.#c
    if (owed === undefined || (owed.kind !== SYNC && owed.kind !== QUERY)) throw out(READY)
    c.owed.shift()
    c.skipping = false
    c.copyIn = null
    c.copyOut = null
    const status = input[at + 5]!
    c.status = status
    if (status === IDLE) { c.transactionOver(); if (c.owed.length === 0) c.strict = false }
    if (owed.ours) { this.#probeDone(); this.#flush(answers); return SWALLOW }
    if (owed.kind === QUERY && owed.refused === null && !owed.failed) this.#seen(owed, '', answers)
    if (c.cut !== null) {
      this.#flush(answers)
      // What was sent behind it has run: only a transaction that nothing else is on its way to can be failed in its place.
      if (status === TRANSACTION && c.owed.length === 0) {
        if (c.cut.failing) throw new Malformed('the server did not fail the transaction of an answer that was ended')
        c.cut.failing = c.failDue = true
        return SWALLOW
      }
      this.#tellCut(answers)
      c.cut = null
    }
    return PASS
  }

  #error(input: Buffer, at: number, to: number, owed: Owed | undefined, answers: Answers): number {
    const c = this.#c
    if (owed === undefined || isFatal(input, at, to)) return this.#words(input, at, to, owed, answers)
    if (owed.ours) {
      if (c.probing === 'in batch') throw new Malformed('Sluice could not read the catalog on this connection')
      this.#probeFailed = true
      while (c.owed.first() !== undefined && c.owed.first()!.kind !== SYNC) c.owed.shift()
      this.#flush(answers)
      return SWALLOW
    }
    const fields = frames.u32(input, at + 1) > 0 ? codeOf(input, at, to) : ''
    if (c.copyIn !== null) { c.syncsDue = c.copySyncs; c.copySyncs = 0 }
    c.copyIn = null
    c.copyOut = null
    if (owed.plan !== null && c.cut === null) this.#saw(answers, owed.plan, owed.refused === null ? { kind: 'failed', code: fields } : owed.begun ? { kind: 'ended', rule: 'record' } : { kind: 'skipped' })
    owed.failed = true
    const cutting = c.cut
    if (owed.kind !== QUERY && owed.kind !== SYNC) this.#skip(owed, answers)
    if (cutting !== null) {
      this.#flush(answers)
      this.#tellCut(answers)
      // Its Sync is still to come.
      if (c.owed.length === 0) c.cut = null
      return DONE
    }
    if (owed.refused !== null) { this.#flush(answers); writeRefusal(answers, owed.refused.kind === 'unprepared' && c.status === FAILED ? ABORTED : owed.refused); return DONE }
    return this.#words(input, at, to, owed, answers)
  }
  /** The server ignores what follows up to Sync: so do we, and names go back to what they meant. */
  #skip(failed: Owed, answers: Answers): void {
    const c = this.#c
    const dropped: Owed[] = []
    while (c.owed.first() !== undefined && c.owed.first()!.kind !== SYNC) dropped.push(c.owed.shift()!)
    c.skipping = c.owed.first() === undefined
    for (const owed of dropped.reverse()) {
      // A Parse of the unnamed statement drops the old one first, whatever becomes of the new.
      if (owed === failed && owed.kind === PARSE && owed.touched === '') owed.before = undefined
      c.undo(owed)
      if (owed !== failed && owed.plan !== null && owed.kind !== BIND) this.#saw(answers, owed.plan, { kind: 'skipped' })
    }
  }
  /** The server came to the end of an answer that was cut. With nothing behind it in the batch, it must fail there, as its error tells the client. */
  #endOfCut(answers: Answers): void {
    const c = this.#c
    if (c.batch && c.owed.length === 1 && !c.cut!.told) { c.failDue = c.cut!.failing = true; return }
    this.#flush(answers)
    this.#tellCut(answers)
  }
  #tellCut(answers: Answers): void {
    const cut = this.#c.cut
    if (cut === null || cut.told) return
    cut.told = true
    writeRefusal(answers, { kind: 'denied', why: cut.why })
    this.#saw(answers, cut.plan, { kind: 'ended', rule: cut.why.rule })
  }
  cut(plan: Plan, why: Denied): void { this.#c.cut = { plan, why, told: false, failing: false } }

  #words(input: Buffer, at: number, to: number, owed: Owed | undefined, answers: Answers): number {
    const c = this.#c
    const clean = this.#guard.words(input, at, to, owed?.judged ?? null, c.strict)
    if (clean === null) return PASS
    this.#flush(answers)
    answers.splice().copy(clean, 0, clean.length)
    return DONE
  }

  #status(input: Buffer, at: number, to: number, answers: Answers): number {
    const nameEnd = frames.stringEnd(input, at + 5, to)
    const valueEnd = nameEnd < 0 ? -1 : frames.stringEnd(input, nameEnd + 1, to)
    if (valueEnd !== to - 1) throw new Malformed('the server sent a malformed parameter status')
    const name = input.toString('utf8', at + 5, nameEnd), value = input.toString('utf8', nameEnd + 1, valueEnd)
    this.#reader.reported(name, value)
    const told = this.#guard.parameter(name, value)
    if (told === value) return PASS
    this.#flush(answers)
    if (told !== null) frames.writeParameterStatus(answers.splice(), name, told)
    return DONE
  }

  // ---- our own probe

  #probeMessage(type: number, input: Buffer, at: number, to: number, owed: Owed): void {
    if (type === ROW && owed.kind === EXECUTE) { this.#rows.push(textCells(cellsOf(input, at, to))); return }
    if (PROBE_ENDS.get(type) !== owed.kind) throw out(type)
    this.#c.owed.shift()
    if (this.#c.probing === 'in batch' && this.#c.owed.first()?.ours !== true) { this.#probeDone(); return }
    if (type !== COMPLETE) return
    if (input.toString('latin1', at + 5, at + 11) === 'SELECT') this.#learned.push(this.#rows)
    this.#rows = []
  }
  #probeDone(): void {
    const c = this.#c
    const inside = c.status !== IDLE || c.probing === 'in batch'
    c.probing = null
    const results = this.#learned
    this.#learned = []
    if (this.#probeFailed) throw new Malformed('Sluice could not read the catalog on this connection')
    // The server's words are unknown input: rows that are not what was asked for end the session, without a word of theirs.
    try { this.#reader.learned(results, inside) } catch (error) {
      throw error instanceof SluiceError ? error : new Malformed(`the server's answer about its catalog can't be read (${error instanceof Error ? error.name : 'no error'})`)
    }
    if (!inside) c.movedInTransaction = false
    c.known = true
    c.stale = this.#reader.unfinished
  }
}

function writeRefusal(answers: Answers, refused: Refusal): void {
  const scratch = answers.splice()
  if (refused.kind !== 'denied') frames.writeWords(scratch, { severity: 'ERROR', code: refused.code, message: refused.message, position: refused.position })
  else {
    const { rule, message, hint, code } = refused.why
    const state = code === 'cancelled' ? '57014' : code === 'record' ? '58030' : '42501'
    frames.writeWords(scratch, { severity: 'ERROR', code: state, message: `refused by Sluice: rule "${rule}"`, detail: message, hint })
  }
}
const out = (type: number) => new Malformed(`the server sent message type 0x${type.toString(16)} out of turn`)
function field(input: Buffer, at: number, to: number, name: number): string {
  for (let p = at + 5; p < to && input[p] !== 0;) {
    const end = frames.stringEnd(input, p + 1, to)
    if (end < 0) return ''
    if (input[p] === name) return input.toString('utf8', p + 1, end)
    p = end + 1
  }
  return ''
}
const codeOf = (input: Buffer, at: number, to: number) => field(input, at, to, ch('C'))
function isFatal(input: Buffer, at: number, to: number): boolean {
  const severity = field(input, at, to, ch('V'))
  return severity === 'FATAL' || severity === 'PANIC'
}
