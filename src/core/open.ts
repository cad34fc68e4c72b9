// A session of one identity on one resource: the only door between a protocol and enforcement. Limits, policy, review, record, in this
// order, for every protocol alike. It never sees a socket and never forwards: it answers what may be forwarded.
import { createHash, randomBytes } from 'node:crypto'
import { RecordFailed } from './errors.ts'
import { accountsOf, leaseRows } from './accounts.ts'
import type { Identity } from './identity.ts'
import type { Grant, Judgement, Limit, ReviewTerms, SessionFacts } from './policy.ts'
import type { BudgetAccount, Held, Lease, ReviewOutcome, SessionPorts } from './ports.ts'
import { namedColumns, type SessionRecord } from './record.ts'
import type { Resource } from './resource.ts'
import { type ReviewRequest, unreleased } from './review.ts'
import { Observer } from './observed.ts'
import type { Ask, Denied, Plan, Seen, Session, Verdict } from './session.ts'
import type { Statement } from './statement.ts'


/** Attempts at masked columns within this time that are an alert. */
export const PROBES_ALERT = 20
export const PROBES_MS = 10 * 60_000

export interface SessionParts {
  readonly id: string
  readonly identity: Identity
  readonly resource: Resource
  readonly grant: Grant
  readonly record: SessionRecord
  readonly ports: SessionPorts
  readonly facts: SessionFacts
  /** State that a review binds to beside the bytes: role, search path. */
  state(): string
  /** Tells whoever runs this gateway of what should be looked at. */
  alert?(facts: Readonly<Record<string, unknown>>): void
  /** Replaces what a detector finds in text that the record will hold. */
  redact(text: string): string
}

interface Account { readonly account: BudgetAccount; leased: number; readonly leases: Lease[] }
/** A plan with what the session keeps about it. */
class Run implements Plan {
  readonly run: number
  rows = 0
  bytes = 0
  rowsMax = Infinity
  bytesMax = Infinity
  readonly statement: Statement
  readonly limits: Limit[]
  /** Rows leased of each account, by the window's slice they were taken from. */
  accounts: readonly Account[] = NO_ACCOUNTS
  readonly binding: string
  readonly parameters: readonly string[]
  open = true
  constructor(run: number, statement: Statement, limits: Limit[], binding: string, parameters: readonly string[]) {
    this.run = run; this.statement = statement; this.limits = limits; this.binding = binding; this.parameters = parameters
    if (limits.length > 0) bound(this)
  }
  get shown(): string { return this.statement.shown }
}
const NO_ACCOUNTS: readonly Account[] = []
const NO_LIMITS: Limit[] = []
const NO_TEXTS: readonly string[] = []

/** What is the same for all texts of one shape: they share their effects. */
interface Known {
  readonly json: string
  readonly writes: boolean
  /** Its columns are among the session's. */
  named: boolean
  /** The judgement under the grant of this number, when it holds for all of them, and what the record says of it. */
  judgement: Judgement | null
  under: number
  allowed: string
}

/** What a reviewer is told: also that masked columns are compared. */
const reasonOf = (message: string, { masking }: Statement): string => masking?.kind === 'rewritten' && masking.review !== undefined ? `${message}; ${masking.review.message}` : message

export class LiveSession implements Session {
  readonly id: string
  readonly identity: Identity
  readonly resource: Resource
  readonly #p: SessionParts
  readonly #abort = new AbortController()
  readonly #effects = new WeakMap<Statement['effects'], Known>()
  #lastEffects: Statement['effects'] | null = null
  #last: Known | null = null
  #grant: Grant
  readonly #observer: Observer
  /** The end of each verdict in the record. */
  #policy: string
  #runs = 0
  #sync = false
  /** What waits for a person, by what was asked. */
  readonly #held = new Map<Ask | Plan, Held>()
  #closed = false
  readonly counts = { statements: 0, denied: 0, rows: 0, bytes: 0 }
  /** `schema.table.column` of what was allowed to be named. */
  readonly columns = new Set<string>()

  constructor(parts: SessionParts) {
    this.#p = parts
    this.id = parts.id
    this.identity = parts.identity
    this.resource = parts.resource
    this.#grant = parts.grant
    this.#observer = new Observer({
      grant: () => this.#grant, facts: parts.facts, accounts: (statement, budgets) => accountsOf(budgets, statement, parts.resource.name, parts.identity), lease: (account, rows) => parts.ports.budgets.lease(account, rows),
      note: (run, observations) => { if (!this.#closed) this.note('observed', { run, observations }) },
    })
    this.#policy = policyOf(parts.grant)
  }
  get grant(): Grant { return this.#grant }
  get signal(): AbortSignal { return this.#abort.signal }
  /** Ends the session: `why` is told to the client and recorded. */
  end(why: string): void { if (!this.#abort.signal.aborted) this.#abort.abort(new Error(why)) }
  /** Another policy is in force. The caller ends sessions that it no longer lets open. */
  regrant(grant: Grant): void { this.#grant = grant; this.#policy = policyOf(grant); this.#grants++ }
  #grants = 0

  ask(ask: Ask): Verdict | Promise<Verdict> {
    const run = ++this.#runs
    try {
      if (ask.phase === 'skipped') { this.#append(ask, run, '"verdict":"skip"'); return { kind: 'deny', run, rule: 'skipped', message: 'it follows an error', hint: '', code: 'policy' } }
      const verdict = this.#verdict(ask, run)
      return verdict instanceof Promise ? verdict.catch((error: unknown) => this.#failed(run, error)) : verdict
    } catch (error) {
      return this.#failed(run, error)
    }
  }
  #verdict(ask: Ask, run: number): Verdict | Promise<Verdict> {
    const judgement = this.#judge(ask)
    if (this.#grant.observes && ask.phase === 'run') this.#observer.asked(ask, run)
    const denied = this.#refusal(ask, judgement)
    if (denied !== null) {
      const { masking, guarded } = ask.statement
      const refusal = masking?.kind === 'refused' ? masking : masking?.review
      if (guarded && denied.rule === refusal?.rule) this.#probed(run, 'refused', [])
      return this.#deny(ask, run, denied)
    }
    if (ask.phase === 'prepare') return this.#allow(ask, run, judgement, [])
    return this.#run(ask, run, judgement)
  }

  #judge(ask: Ask): Judgement {
    const { statement } = ask
    const known = this.#knownOf(statement.effects)
    if (known.judgement !== null && known.under === this.#grants) return known.judgement
    const judgement = this.#grant.judge(statement, this.#p.facts, ask.parameters ?? undefined)
    known.judgement = judgement.cacheable ? judgement : null
    known.under = this.#grants
    known.allowed = ''
    return judgement
  }
  #knownOf(effects: Statement['effects']): Known {
    if (effects === this.#lastEffects) return this.#last!
    let known = this.#effects.get(effects)
    if (known === undefined) {
      known = { json: JSON.stringify(effects), writes: effects.some((e) => e.access === 'write' || e.access === 'admin'), named: false, judgement: null, under: 0, allowed: '' }
      this.#effects.set(effects, known)
    }
    this.#lastEffects = effects
    return this.#last = known
  }

  #refusal(ask: Ask, judgement: Judgement): Pick<Denied, 'rule' | 'message' | 'hint' | 'code'> | null {
    if (judgement.kind === 'deny') return { rule: judgement.rule, message: judgement.message, hint: judgement.hint, code: 'policy' }
    const masking = ask.statement.masking
    if (masking?.kind === 'rewritten' && masking.review !== undefined && judgement.kind !== 'review') return { ...masking.review, code: 'policy' }
    if (masking !== null && masking.kind === 'refused') return { rule: masking.rule, message: masking.message, hint: masking.hint, code: 'policy' }
    if (ask.phase === 'prepare' || ask.within !== null || ask.statement.exempt || !Number.isFinite(ask.statement.rowsMax)) return null
    const beyond = judgement.limits.find((limit) => limit.then === 'deny' && ask.statement.rowsMax > limit.rows)
    return beyond === undefined ? null : { rule: beyond.rule, message: beyond.message ?? `it may answer ${ask.statement.rowsMax} rows, more than the ${beyond.rows} allowed`, hint: `ask for at most ${beyond.rows} rows`, code: 'policy' }
  }

  #run(ask: Ask, run: number, judgement: Judgement): Verdict | Promise<Verdict> {
    const { statement } = ask
    if (judgement.kind === 'review') return this.#review(ask, run, judgement, judgement.terms, judgement.rule, reasonOf(judgement.message, statement), 'statement')
    if (judgement.kind === 'allow' && ask.within === null && !statement.exempt && Number.isFinite(statement.rowsMax)) {
      const beyond = judgement.limits.find((limit) => limit.then === 'review' && statement.rowsMax > limit.rows)
      if (beyond?.terms != null) return this.#review(ask, run, judgement, beyond.terms, beyond.rule, `it may answer ${statement.rowsMax} rows, more than ${beyond.rows}`, 'statement')
    }
    return this.#looked(ask, run, judgement, judgement.kind === 'allow' ? judgement.limits : [])
  }

  /** Look-ups of masked columns are counted, then budgets, then it is allowed. */
  #looked(ask: Ask, run: number, judgement: Judgement, limits: readonly Limit[]): Verdict | Promise<Verdict> {
    const masking = ask.statement.masking
    if (masking?.kind === 'rewritten' && masking.lookups.length > 0) {
      const answers = masking.lookups.map((lookup) => this.#p.ports.rates.lookup(this.identity.subject, lookup))
      const settle = (within: readonly boolean[]): Verdict | Promise<Verdict> => {
        const over = within.indexOf(false)
        this.#probed(run, over < 0 ? 'lookup' : 'beyond the rate', masking.lookups.map((l) => l.column))
        if (over < 0) return this.#budgeted(ask, run, judgement, limits)
        const lookup = masking.lookups[over]!
        return this.#deny(ask, run, { rule: lookup.rule, message: `look-ups of ${lookup.column} are limited to ${lookup.count} per ${Math.round(lookup.perMs / 1000)} s`, hint: 'wait, then ask again', code: 'policy' })
      }
      return answers.some((a) => a instanceof Promise) ? Promise.all(answers).then(settle) : settle(answers as boolean[])
    }
    return this.#budgeted(ask, run, judgement, limits)
  }

  /**
   * An attempt at masked columns: a look-up of each of these, or what the masks refused. Many in a short time, over all sessions of the identity on
   * this resource, are an event of their own and an alert: of each session once per that time.
   */
  #probed(run: number, how: 'lookup' | 'beyond the rate' | 'refused', columns: readonly string[]): void {
    this.#p.record.append('probe', JSON.stringify({ run, how, columns }))
    const key = `${this.identity.issuer} ${this.identity.subject}`
    for (let i = 0; i < Math.max(1, columns.length); i++) {
      const usual = this.#p.ports.rates.lookup(key, { column: this.resource.name, rule: 'probing', count: PROBES_ALERT - 1, perMs: PROBES_MS })
      if (usual instanceof Promise) void usual.then((within) => { if (!within) this.#alert(run, columns) }, () => {})
      else if (!usual) this.#alert(run, columns)
    }
  }
  #alertedMs = -Infinity
  #alert(run: number, columns: readonly string[]): void {
    const nowMs = this.#p.ports.now()
    if (this.#closed || nowMs - this.#alertedMs < PROBES_MS) return
    this.#alertedMs = nowMs
    const facts = { run, how: 'alert', attempts: PROBES_ALERT, withinMs: PROBES_MS, columns }
    // A record that fails is told where a statement is asked.
    try { this.#p.record.append('probe', JSON.stringify(facts)) } catch (error) { if (!(error instanceof RecordFailed)) throw error }
    this.#p.alert?.(facts)
  }

  #budgeted(ask: Ask, run: number, judgement: Judgement, limits: readonly Limit[]): Verdict | Promise<Verdict> {
    if (this.#grant.budgets.length === 0 || ask.within !== null || ask.statement.exempt) return this.#allow(ask, run, judgement, limits)
    const accounts = accountsOf(this.#grant.budgets, ask.statement, this.resource.name, this.identity)
    if (accounts.length === 0) return this.#allow(ask, run, judgement, limits)
    const leases = accounts.map((account) => this.#p.ports.budgets.lease(account, leaseRows(account, ask.statement.rowsMax, 0)))
    const settle = (granted: readonly Lease[]): Verdict => {
      const back = () => { accounts.forEach((account, i) => { this.#p.ports.budgets.giveBack(account, granted[i]!) }) }
      let verdict: Verdict
      try { verdict = this.#allow(ask, run, judgement, limits) } catch (error) { back(); throw error }
      if (verdict.kind === 'deny') { back(); return verdict }
      const plan = verdict.plan as Run
      plan.accounts = [...plan.accounts, ...accounts.map((account, i) => ({ account, leased: granted[i]!.granted, leases: [granted[i]!] }))]
      bound(plan)
      return verdict
    }
    return leases.some((lease) => lease instanceof Promise) ? Promise.all(leases).then(settle) : settle(leases as Lease[])
  }

  #allow(ask: Ask, run: number, judgement: Judgement, limits: readonly Limit[], review?: ReviewOutcome): Verdict {
    const { statement } = ask
    const masking = statement.masking
    this.counts.statements++
    const known = this.#knownOf(statement.effects)
    const changed = masking?.kind === 'rewritten'
    if (!changed && review === undefined) this.#append(ask, run, this.#allowed(known, judgement))
    else {
      const via = review?.kind === 'approved' ? `,"review":${JSON.stringify({ id: review.id, by: review.by })}` : ''
      // What is sent for a prepared statement stands in the record of its Parse.
      const sent = changed && ask.prepared === 0 ? `,"sent":${JSON.stringify(this.#p.redact(masking.shown))},"hidden":${JSON.stringify(masking.hidden)},"masks":${JSON.stringify(masking.rules)}` : ''
      this.#append(ask, run, `"verdict":"${changed ? 'modify' : 'allow'}","rule":${JSON.stringify(judgement.rule)}${via}${sent}`)
    }
    if (known.writes) this.#sync = true
    if (!known.named) { known.named = true; for (const effect of statement.effects) namedColumns(this.columns, effect.columns) }
    const plan = (ask.within as Run | null) ?? this.#plan(ask, run, limits)
    if (changed) return { kind: 'modify', run, plan, text: masking.text, rule: masking.rules[0] ?? judgement.rule }
    return { kind: 'allow', run, plan }
  }
  #allowed(known: Known, judgement: Judgement): string {
    if (known.judgement !== judgement) return `"verdict":"allow","rule":${JSON.stringify(judgement.rule)}`
    if (known.allowed === '') known.allowed = `"verdict":"allow","rule":${JSON.stringify(judgement.rule)}`
    return known.allowed
  }

  #plan(ask: Ask, run: number, limits: readonly Limit[]): Run {
    const needsBinding = this.#grant.budgets.length > 0 || limits.some((limit) => limit.then === 'review')
    return new Run(run, ask.statement, limits.length === 0 || ask.statement.exempt ? NO_LIMITS : [...limits], needsBinding ? this.#binding(ask, 'answer') : '', ask.parameters ?? NO_TEXTS)
  }

  #deny(ask: Ask, run: number, why: Pick<Denied, 'rule' | 'message' | 'hint' | 'code'>): Denied {
    this.counts.statements++
    this.#observer.refused(run)
    this.counts.denied++
    this.#append(ask, run, `"verdict":"deny","rule":${JSON.stringify(why.rule)},"message":${JSON.stringify(this.#p.redact(why.message))}`)
    return { kind: 'deny', run, ...why }
  }

  /** Nothing runs that is not recorded. */
  #failed(run: number, error: unknown): Denied {
    const message = error instanceof RecordFailed ? error.message : 'an internal error'
    if (!(error instanceof RecordFailed)) this.end('an internal error')
    return { kind: 'deny', run, rule: 'record', message, hint: 'nothing runs unrecorded; try again, or tell whoever runs this gateway', code: 'record' }
  }

  #append(ask: Ask, run: number, verdict: string): void {
    const what = ask.prepared > 0 ? `"of":${ask.prepared}` : this.#what(ask.statement)
    const parameters = ask.parameters === null ? '' : `,"parameters":${this.#parametersJson(ask.parameters, ask.statement)}`
    this.#p.record.append('asked', `{"run":${run},"phase":"${ask.phase}",${what}${parameters},${verdict}${this.#policy}`)
  }
  #what(statement: Statement): string {
    const shown = this.#p.redact(statement.shown)
    // Where the text had to be changed to be kept, a keyed hash names the exact bytes; a plain one could be searched.
    const hash = shown === statement.text ? '' : `,"textHash":"${this.#p.ports.keyedHash(statement.text)}"`
    return `"text":${quoted(shown)}${hash},"effects":${this.#knownOf(statement.effects).json}`
  }
  /** Parameters of a statement that touches masked columns are named by type, length and keyed hash. */
  #parameters(ask: Ask): readonly string[] { return (ask.parameters ?? NO_TEXTS).map((value) => this.#parameter(value, ask.statement)) }
  #parameter(value: string, statement: Statement): string {
    const shown = statement.guarded ? null : this.#p.redact(value)
    return shown === value ? value : `[${value.length} characters, ${this.#p.ports.keyedHash(value).slice(0, 16)}]`
  }
  #parametersJson(values: readonly string[], statement: Statement): string {
    let json = '['
    for (let i = 0; i < values.length; i++) json += (i === 0 ? '' : ',') + quoted(this.#parameter(values[i]!, statement))
    return `${json}]`
  }

  // ---- people

  #binding(ask: Ask, kind: 'statement' | 'answer'): string {
    const hash = createHash('sha256')
    const add = (part: string | Uint8Array) => { const bytes = typeof part === 'string' ? Buffer.from(part) : part; hash.update(`${bytes.length}:`).update(bytes) }
    for (const part of ask.binding()) add(part)
    for (const part of [kind, this.resource.name, this.#p.facts.database, this.identity.issuer, this.identity.subject, this.identity.onBehalfOf ?? '', this.#grant.version, this.#p.state()]) add(part)
    return hash.digest('hex')
  }
  #request(run: number, terms: ReviewTerms, rule: string, reason: string, kind: ReviewRequest['kind'], shown: string, parameters: readonly string[], binding: string): ReviewRequest {
    const { identity, resource } = this
    const parties = [`${identity.issuer} ${identity.subject}`, ...(identity.onBehalfOf === null ? [] : [`${identity.issuer} ${identity.onBehalfOf}`])]
    return { session: this.id, run, resource: resource.name, database: this.#p.facts.database, requester: identity.subject, onBehalfOf: identity.onBehalfOf, parties, rule, reason, text: this.#p.redact(shown), parameters: parameters.map((p) => this.#p.redact(p)), kind, binding, terms }
  }

  #review(ask: Ask, run: number, judgement: Judgement, terms: ReviewTerms, rule: string, reason: string, kind: 'statement'): Promise<Verdict> {
    const limits = judgement.kind === 'deny' ? [] : judgement.limits
    const request = this.#request(run, terms, rule, reason, kind, ask.statement.shown, this.#parameters(ask), this.#binding(ask, kind))
    const note = (state: string, facts: object) => { this.#p.record.append('review', JSON.stringify({ run, state, rule, ...facts })) }
    // What the door finds after a person agreed: the same rules, less the one that asked.
    const released = (outcome: ReviewOutcome): Verdict | Promise<Verdict> => {
      if (this.#closed || this.signal.aborted) return this.#deny(ask, run, { rule, message: 'the session ended while it waited', hint: 'ask again', code: 'cancelled' })
      if (outcome.kind === 'approved') {
        note('approved', { id: outcome.id, by: outcome.by })
        return this.#allow(ask, run, judgement, limits.filter((limit) => limit.rule !== rule && !(limit.then === 'review' && kind === 'statement' && ask.statement.rowsMax > limit.rows && Number.isFinite(ask.statement.rowsMax))), outcome)
      }
      note(outcome.kind, 'id' in outcome ? { id: outcome.id } : {})
      return this.#deny(ask, run, { rule, ...unreleased(outcome) })
    }
    if (terms.wait === 'refuse') {
      return this.#p.ports.reviews.redeem(request).then((found) => {
        if (found.kind === 'released') return released({ kind: 'approved', id: found.id, by: found.by })
        if (found.kind === 'failed') return released({ kind: 'failed', why: found.why })
        note('filed', { id: found.id })
        return this.#deny(ask, run, { rule, message: `${reason}: a review is needed: ${found.url}`, hint: 'once it is approved, send the same statement again', code: 'policy' })
      }).catch((error: unknown) => this.#failed(run, error))
    }
    const held = this.#p.ports.reviews.hold(request, (id, url) => { note('waiting', { id }); ask.waiting(url) })
    this.#held.set(ask, held)
    return held.outcome.then((outcome) => { this.#held.delete(ask); return released(outcome) }).catch((error: unknown) => this.#failed(run, error))
  }

  more(plan: Plan, waiting: (url: string) => void): true | Denied | Promise<true | Denied> {
    const run = plan as Run
    const byRows = run.rows + 1 > run.rowsMax
    // At the same size a denial acts before a review.
    const reached = run.limits.filter((l) => (byRows ? l.rows === run.rowsMax : l.bytes === run.bytesMax))
    const limit = reached.find((l) => l.then === 'deny') ?? reached[0]
    if (limit === undefined) return this.#moreBudget(run, waiting)
    return this.#beyond(run, limit, waiting)
  }

  #beyond(run: Run, limit: Limit, waiting: (url: string) => void): true | Denied | Promise<true | Denied> {
    const words = run.rows + 1 > limit.rows ? `the answer has more than ${limit.rows} rows` : `the answer has more than ${limit.bytes} bytes`
    if (limit.then === 'deny' || limit.terms === null) return this.#cut(run, limit.rule, limit.message ?? words, 'ask for less, or narrow the condition')
    return this.#askMore(run, limit.terms, limit.rule, words, waiting, () => { run.limits.splice(run.limits.indexOf(limit), 1) })
  }

  #askMore(run: Run, terms: ReviewTerms, rule: string, words: string, waiting: (url: string) => void, agreed: () => void): Denied | Promise<true | Denied> {
    const request = this.#request(run.run, terms, rule, words, 'answer', run.shown, run.statement.guarded ? run.parameters.map(() => '[hidden]') : run.parameters, run.binding)
    const note = (state: string, facts: object) => { this.#p.record.append('review', JSON.stringify({ run: run.run, state, rule, rows: run.rows, bytes: run.bytes, ...facts })) }
    if (terms.wait === 'refuse') {
      return this.#p.ports.reviews.redeem(request).then((found): true | Denied => {
        if (found.kind === 'released') { note('approved', { id: found.id, by: found.by }); agreed(); bound(run); return true }
        return this.#cut(run, rule, found.kind === 'filed' ? `${words}: a review is needed: ${found.url}` : found.why, 'once it is approved, send the same statement again')
      })
    }
    const held = this.#p.ports.reviews.hold(request, (id, url) => { note('waiting', { id }); waiting(url) })
    this.#held.set(run, held)
    return held.outcome.then((outcome) => {
      this.#held.delete(run)
      if (outcome.kind === 'approved') { note('approved', { id: outcome.id, by: outcome.by }); agreed(); bound(run); return true }
      note(outcome.kind, 'id' in outcome ? { id: outcome.id } : {})
      const why = unreleased(outcome)
      return this.#cut(run, rule, `${words}; ${why.message}`, why.hint)
    })
  }

  async #moreBudget(run: Run, waiting: (url: string) => void): Promise<true | Denied> {
    for (const entry of run.accounts) {
      if (run.rows + 1 <= entry.leased) continue
      const lease = await this.#p.ports.budgets.lease(entry.account, leaseRows(entry.account, Infinity, run.rows))
      if (lease.granted > 0) { entry.leased += lease.granted; entry.leases.push(lease); continue }
      const { budget } = entry.account
      const words = `the budget of ${budget.rows} rows per ${Math.round(budget.perMs / 1000)} s is used up`
      if (budget.then === 'alert') {
        this.note('beyond', { run: run.run, rule: budget.rule, rows: budget.rows, perMs: budget.perMs })
        this.#p.ports.budgets.alert(entry.account, { session: this.id, resource: this.resource.name, party: `${this.identity.issuer} ${this.identity.subject}` })
        entry.leased = Infinity
        continue
      }
      if (budget.then === 'deny' || budget.terms === null) return this.#cut(run, budget.rule, words, 'wait until the window has passed')
      const answer = await this.#askMore(run, budget.terms, budget.rule, words, waiting, () => { entry.leased = Infinity })
      if (answer !== true) return answer
    }
    bound(run)
    return true
  }

  #cut(run: Run, rule: string, message: string, hint: string): Denied {
    this.counts.denied++
    this.#p.record.append('note', JSON.stringify({ what: 'cut', run: run.run, rule, rows: run.rows, bytes: run.bytes }))
    return { kind: 'deny', run: run.run, rule, message, hint, code: 'policy' }
  }
  cancelWait(why: string, of?: Ask | Plan): void { for (const [asked, held] of [...this.#held]) if (of === undefined || asked === of) held.cancel(why) }

  // ---- the record

  durable(): true | Promise<void> {
    const { record: strength } = this.resource
    const disk = strength === 'sync' || (strength === 'balanced' && this.#sync)
    this.#sync = false
    return this.#p.record.durable(disk ? 'disk' : 'kernel')
  }
  unrecorded(error: unknown): Denied | null { return error instanceof RecordFailed ? this.#failed(0, error) : null }
  behind(): Promise<void> | null { return this.#p.record.behind ? this.#p.record.caughtUp() : null }
  gave(run: number, bytes: Buffer, start: number, end: number): void {
    this.counts.bytes += end - start
    try { this.#p.record.answer(run, bytes, start, end) } catch (error) { this.#unrecorded(error) }
  }
  saw(plan: Plan, what: Seen): void {
    const run = plan as Run
    this.counts.rows += run.rows
    if (run.open) {
      run.open = false
      for (const { account, leases } of run.accounts) this.#giveBack(account, leases, run.rows)
      run.accounts = NO_ACCOUNTS
    }
    this.#observer.ended(run)
    const detail = what.kind === 'executed' ? what.tag : what.kind === 'failed' ? what.code : what.kind === 'ended' ? what.rule : what.kind === 'unknown' ? what.why : ''
    try { this.#p.record.ended(run.run, what.kind, run.rows, run.bytes, detail) } catch (error) { this.#unrecorded(error) }
  }
  /** What a run did not use, of the youngest lease first. */
  #giveBack(account: BudgetAccount, leases: readonly Lease[], used: number): void {
    let unused = leases.reduce((sum, lease) => sum + lease.granted, 0) - used
    for (const lease of [...leases].reverse()) {
      if (unused <= 0) return
      const rows = Math.min(unused, lease.granted)
      this.#p.ports.budgets.giveBack(account, { granted: rows, slice: lease.slice })
      unused -= rows
    }
  }
  note(what: string, facts: Readonly<Record<string, unknown>>): void { this.#quietly(() => { this.#p.record.append('note', JSON.stringify({ what, ...facts })) }) }
  /** Answers are recorded behind the path: when that fails, the next request is refused. */
  #quietly(step: () => void): void { try { step() } catch (error) { this.#unrecorded(error) } }
  #unrecorded(error: unknown): void { if (!(error instanceof RecordFailed)) throw error; this.end(error.message) }

  close(why: string): void {
    if (this.#closed) return
    this.#closed = true
    this.cancelWait(why)
    this.#quietly(() => { this.#p.record.append('closed', JSON.stringify({ why, ...this.counts })) })
    this.#p.record.close()
  }
}

const policyOf = (grant: Grant): string => `,"policy":"${grant.version.slice(0, 16)}"}`
/** As JSON: most texts need no escape, and looking is cheaper than JSON.stringify while they are short. */
function quoted(text: string): string {
  if (text.length > QUOTED_CHARACTERS) return JSON.stringify(text)
  for (let i = 0; i < text.length; i++) { const code = text.charCodeAt(i); if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return JSON.stringify(text) }
  return `"${text}"`
}
const QUOTED_CHARACTERS = 128

/** The nearest of all bounds. */
function bound(run: Run): void {
  let rows = Infinity, bytes = Infinity
  for (const limit of run.limits) {
    rows = Math.min(rows, limit.rows)
    if (!run.statement.single) bytes = Math.min(bytes, limit.bytes)
  }
  for (const { leased } of run.accounts) rows = Math.min(rows, leased)
  run.rowsMax = rows
  run.bytesMax = bytes
}
/** Begins with a letter: what is typed behind a command must not look like an option of it. */
export const newSessionId = (): string => `s${randomBytes(12).toString('base64url')}`
