// All that the policies say about one identity on one resource, compiled once when its session opens.
// Judging is default deny: unknown is refused, deny beats review beats allow, and what fails to evaluate is closed.
import { createHash } from 'node:crypto'
import type { Identity } from './identity.ts'
import { denied, notAllowed, notUnderstood, reviewed } from './judgements.ts'
import { MASK_ORDER } from './mask.ts'
import type { MaskKind } from './mask.ts'
import { parseFieldPattern } from './match.ts'
import type { FieldPattern } from './match.ts'
import type { Class, ClassOf } from './operations.ts'
import type { Budget, ColumnMask, DetectorRule, Filter, Grant, Judgement, Limit, Observation, SessionFacts } from './policy.ts'
import { CLASSES } from './policy-rules.ts'
import type { MaskRule, PolicyRules } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import type { Allow, Deny, RequestDetector, Review } from './rules.ts'
import { Question, compileAllow, compileDeny, compileReview, covers, coversForAllow, permits, restricts, termsOf } from './rules.ts'
import type { Effect, Statement } from './statement.ts'
import { missingTags } from './tags.ts'

/** Operations remembered per grant; names may come from a client (HTTP methods), so there is an end. */
const SHAPES_MAX = 1_024
const NEEDS = ['read', 'write', 'admin'] as const
export interface GrantSettings {
  readonly version: string
  readonly detector: RequestDetector
  readonly classOf: ClassOf
}
interface FieldRule {
  readonly pattern: FieldPattern
  readonly rule: string
  readonly mask: MaskRule
}
/** What applies to one operation of one class, whatever the statement. */
interface Shape {
  readonly allows: readonly Allow[]
  readonly denies: readonly Deny[]
  readonly reviews: readonly Review[]
  readonly limits: readonly Limit[]
  readonly volatile: boolean
  /** The answer when nothing about the statement can change it. */
  readonly always: Judgement | null
}

export class CompiledGrant implements Grant {
  readonly version: string
  readonly opens: boolean
  readonly closed: Grant['closed']
  readonly needs: 'read' | 'write' | 'admin'
  readonly masks: boolean
  readonly maskKey: string
  readonly detectors: readonly DetectorRule[]
  readonly filters: readonly Filter[]
  readonly budgets: readonly Budget[]
  readonly observes: boolean
  readonly observedBudgets: readonly Budget[]
  readonly fields: Grant['fields']
  /** For explain and `sluice resources`. */
  readonly allows: readonly Allow[]
  readonly denies: readonly Deny[]
  readonly reviews: readonly Review[]
  readonly #identity: Identity
  readonly #resource: Resource
  readonly #masks: readonly FieldRule[]
  readonly #observed: { readonly denies: readonly Deny[]; readonly reviews: readonly Review[]; readonly masks: readonly FieldRule[] }
  readonly #shapes = new Map<string, Shape>()

  constructor(policies: readonly PolicyRules[], identity: Identity, resource: Resource, settings: GrantSettings) {
    const enforced = policies.filter(policy => policy.mode === 'enforce')
    const observed = policies.filter(policy => policy.mode === 'observe')
    this.version = settings.version
    this.#identity = identity
    this.#resource = resource
    this.allows = enforced.flatMap(policy => policy.allow.map(rule => compileAllow(policy, rule, settings.classOf)))
    this.denies = deniesOf(enforced, settings.detector)
    this.reviews = reviewsOf(enforced, identity.agent)
    this.filters = enforced.flatMap(policy => policy.filter.map(rule => ({ rule: `${policy.name}/${rule.name}`, table: rule.table, where: rule.where, values: identityValues(identity) })))
    this.budgets = budgetsOf(enforced, identity.agent)
    this.observedBudgets = budgetsOf(observed, identity.agent)
    this.observes = observed.length > 0
    this.#masks = masksOf(enforced)
    this.fields = this.#masks.map(mask => ({ pattern: mask.pattern.text, with: mask.mask.with, rule: mask.rule }))
    this.detectors = detectorsOf(enforced)
    this.masks = this.#masks.length > 0 || this.detectors.length > 0 || this.filters.length > 0
    this.maskKey = maskKeyOf(this.#masks, this.detectors, this.denies, this.filters)
    this.closed = this.allows.length === 0 ? null : closedBecause(resource, enforced, this.filters)
    this.opens = this.allows.length > 0 && this.closed === null
    this.needs = needsOf(this.allows, settings.classOf)
    this.#observed = { denies: deniesOf(observed, settings.detector), reviews: reviewsOf(observed, identity.agent), masks: masksOf(observed) }
  }

  column(schema: string, table: string, column: string): ColumnMask | null {
    const matching = this.#masks.filter(mask => mask.pattern.covers(schema, table, column))
    const strongest = matching.reduce<FieldRule | null>((best, next) => (best === null || isStronger(next.mask.with, best.mask.with) ? next : best), null)
    return strongest === null ? null : { with: strongest.mask.with, rule: strongest.rule, lookups: fewestLookups(matching) }
  }

  forbidden(schema: string, table: string, column: string): { readonly rule: string; readonly message: string } | null {
    const rule = this.denies.find(deny => isFieldsAlone(deny) && deny.fields.some(pattern => pattern.covers(schema, table, column)))
    return rule === undefined ? null : { rule: rule.id, message: rule.message ?? `${table}.${column} may not be named` }
  }

  judge(statement: Statement, session: SessionFacts, parameters?: readonly unknown[]): Judgement {
    if (!this.opens)
      return {
        kind: 'deny',
        rule: this.closed?.rule ?? 'no-policy',
        message: this.closed?.message ?? 'no policy lets you open a session here',
        hint: ASK,
        cacheable: true,
      }
    const effects = statement.effects
    const only = effects.length === 1 ? effects[0] : undefined
    if (only !== undefined) {
      const always = this.#shape(only).always
      if (always !== null && (always.kind !== 'allow' || always.limits.length === 0 || !statement.exempt)) return always
    }
    return this.#weigh(statement, new Question(statement, session, parameters, this.#identity, this.#resource))
  }

  observe(statement: Statement, session: SessionFacts, parameters?: readonly unknown[]): readonly Observation[] {
    const { denies, reviews, masks } = this.#observed
    if (denies.length + reviews.length + masks.length === 0) return NOTHING
    const question = new Question(statement, session, parameters, this.#identity, this.#resource)
    const would = (rule: Deny | Review) => rule.limit === null && statement.effects.some(effect => restricts(rule, question, effect) !== null)
    return [
      ...denies.filter(would).map(rule => ({ policy: rule.policy, rule: rule.id, would: 'deny' as const })),
      ...reviews.filter(would).map(rule => ({ policy: rule.policy, rule: rule.id, would: 'review' as const })),
      ...masks
        .filter(mask => statement.effects.some(effect => effect.columns.some(path => mask.pattern.coversJoined(path))))
        .map(mask => ({ policy: mask.rule.slice(0, mask.rule.indexOf('/')), rule: mask.rule, would: 'mask' as const })),
    ]
  }

  observedLimits(statement: Statement, session: SessionFacts, parameters?: readonly unknown[]): readonly Limit[] {
    const limiting = [...this.#observed.denies, ...this.#observed.reviews].filter(rule => rule.limit !== null)
    if (limiting.length === 0) return NO_LIMITS
    const question = new Question(statement, session, parameters, this.#identity, this.#resource)
    return sorted(limiting.filter(rule => statement.effects.some(effect => restricts(rule, question, effect) !== null)).map(rule => rule.limit).filter(limit => limit !== null))
  }

  #weigh(statement: Statement, question: Question): Judgement {
    const cacheable = statement.effects.every(effect => !this.#shape(effect).volatile)
    if (statement.effects.length === 0) return notUnderstood(null, cacheable)
    for (const effect of statement.effects) if (effect.access === 'unknown') return notUnderstood(effect, cacheable)
    for (const effect of statement.effects) {
      for (const rule of this.#shape(effect).denies) {
        const match = restricts(rule, question, effect)
        if (match !== null) return denied(rule, match.why, effect, cacheable)
      }
    }
    let allowedBy = ''
    for (const effect of statement.effects) {
      const rule = effect.access === 'session' ? this.allows[0] : this.#shape(effect).allows.find(allow => permits(allow, question, effect) !== null)
      if (rule === undefined) return notAllowed(effect, this.#shape(effect).allows, this.allows, cacheable)
      if (allowedBy === '' || effect.access !== 'session') allowedBy = rule.id
    }
    const limits = statement.exempt ? NO_LIMITS : this.#limits(statement, question)
    const reviews = this.#reviewsFor(statement, question)
    return reviews.length === 0 ? { kind: 'allow', rule: allowedBy, limits, cacheable } : reviewed(reviews, limits, cacheable)
  }

  #reviewsFor(statement: Statement, question: Question): { rule: Review; why: string; effect: Effect }[] {
    const found: { rule: Review; why: string; effect: Effect }[] = []
    for (const effect of statement.effects) {
      for (const rule of this.#shape(effect).reviews) {
        const match = found.some(other => other.rule === rule) ? null : restricts(rule, question, effect)
        if (match !== null) found.push({ rule, why: match.why, effect })
      }
    }
    return found
  }

  #limits(statement: Statement, question: Question): readonly Limit[] {
    const found: Limit[] = []
    for (const rule of [...this.denies, ...this.reviews]) {
      if (rule.limit !== null && statement.effects.some(effect => restricts(rule, question, effect) !== null)) found.push(rule.limit)
    }
    return sorted(found)
  }

  #shape(effect: Effect): Shape {
    const key = `${effect.access} ${effect.operation}`
    const known = this.#shapes.get(key)
    if (known !== undefined) return known
    if (this.#shapes.size >= SHAPES_MAX) this.#shapes.clear()
    const shape = this.#shapeOf(effect)
    this.#shapes.set(key, shape)
    return shape
  }

  #shapeOf(effect: Effect): Shape {
    const about = (rule: Deny | Review) => covers(rule, effect.operation, effect.access)
    const allows = this.allows.filter(rule => coversForAllow(rule, effect.operation, effect.access))
    const restricting = [...this.denies, ...this.reviews].filter(about)
    const denies = this.denies.filter(rule => about(rule) && rule.limit === null)
    const reviews = this.reviews.filter(rule => about(rule) && rule.limit === null)
    const first = effect.access === 'session' ? this.allows[0] : allows[0]
    const settled =
      effect.access !== 'unknown' &&
      denies.length === 0 &&
      reviews.length === 0 &&
      restricting.every(rule => rule.unconditional) &&
      first !== undefined &&
      (effect.access === 'session' || first.unconditional)
    const limits = sorted(restricting.map(rule => rule.limit).filter(limit => limit !== null))
    return {
      allows,
      denies,
      reviews,
      limits,
      volatile: [...(effect.access === 'session' ? [] : allows), ...restricting].some(rule => rule.volatile),
      always: settled ? { kind: 'allow', rule: first.id, limits, cacheable: true } : null,
    }
  }
}

const NOTHING: readonly Observation[] = []
const NO_LIMITS: readonly Limit[] = []
const ASK = '`sluice resources` lists what you may reach and how'

const isClass = (name: string): name is Class => (CLASSES as readonly string[]).includes(name)
const isStronger = (a: MaskKind, b: MaskKind) => MASK_ORDER.indexOf(a) < MASK_ORDER.indexOf(b)
/** What a detector finds has no column to be turned back by: hidden whole, which is no weaker. */
const enforceable = (kind: MaskKind): MaskKind => (kind === 'token' ? 'redact' : kind)
const isFieldsAlone = (rule: Deny) =>
  rule.fields.length > 0 && rule.operations === null && rule.condition === null && rule.detect.length === 0 && rule.limit === null
/** Smallest first; deny before review at the same size. */
const sorted = (limits: readonly Limit[]) =>
  [...limits].sort((a, b) => a.rows - b.rows || a.bytes - b.bytes || (a.then === b.then ? 0 : a.then === 'deny' ? -1 : 1))

const deniesOf = (policies: readonly PolicyRules[], detector: RequestDetector) =>
  policies.flatMap(policy => policy.deny.map(rule => compileDeny(policy, rule, detector)))
const reviewsOf = (policies: readonly PolicyRules[], agent: boolean) =>
  policies.flatMap(policy => policy.review.map(rule => compileReview(policy, rule, agent)))

const budgetsOf = (policies: readonly PolicyRules[], agent: boolean): Budget[] =>
  policies.flatMap(policy =>
    policy.budget.map(rule => ({
      rule: `${policy.name}/${rule.name}`,
      rows: rule.rows,
      bytes: Infinity,
      perMs: rule.perMs,
      of: rule.of,
      fields: rule.fields,
      // A review that nobody could approve is a refusal.
      then: rule.then === 'review' && rule.reviewers === null ? 'deny' : rule.then,
      terms: rule.then === 'review' && rule.reviewers !== null ? termsOf(rule.reviewers, rule.withinMs, rule.wait, agent) : null,
    })),
  )

function masksOf(policies: readonly PolicyRules[]): FieldRule[] {
  return policies.flatMap(policy =>
    policy.mask.flatMap(mask =>
      mask.fields
        .map(text => parseFieldPattern(text))
        .filter(pattern => pattern !== null)
        .map(pattern => ({ pattern, rule: `${policy.name}/${mask.name}`, mask })),
    ),
  )
}

/** One rule per detector: the strongest. */
function detectorsOf(policies: readonly PolicyRules[]): DetectorRule[] {
  const found = new Map<string, DetectorRule>()
  for (const policy of policies)
    for (const mask of policy.mask)
      for (const detector of mask.detect) {
        const rule = { rule: `${policy.name}/${mask.name}`, detector: detector.name, pattern: detector.pattern, with: enforceable(mask.with) }
        const key = `${detector.name}\n${detector.pattern ?? ''}`
        const other = found.get(key)
        if (other === undefined || isStronger(rule.with, other.with)) found.set(key, rule)
      }
  return [...found.values()]
}

/** Of several masks of a column each may only reduce what can be looked up: none if one allows none. */
function fewestLookups(masks: readonly FieldRule[]): ColumnMask['lookups'] {
  let fewest: ColumnMask['lookups'] = null
  for (const { mask } of masks) {
    if (mask.lookups === null) return null
    if (fewest === null || mask.lookups.count / mask.lookups.perMs < fewest.count / fewest.perMs) fewest = mask.lookups
  }
  return fewest
}

function maskKeyOf(masks: readonly FieldRule[], detectors: readonly DetectorRule[], denies: readonly Deny[], filters: readonly Filter[]): string {
  const parts = [
    masks.map(mask => [mask.pattern.text, mask.rule, mask.mask.with, mask.mask.lookups]),
    detectors,
    denies.filter(isFieldsAlone).map(rule => [rule.id, rule.message, rule.fields.map(field => field.text)]),
    filters,
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

function closedBecause(resource: Resource, policies: readonly PolicyRules[], filters: readonly Filter[]): Grant['closed'] {
  if (resource.refused) return { rule: 'not-built', message: `resource ${resource.name}: ${resource.refused}` }
  for (const policy of policies)
    for (const tag of missingTags(policy, resource.tags ?? {})) return { rule: policy.name, message: `policy ${policy.name} is about the tag ${tag}, which resource ${resource.name} does not declare` }
  if (resource.protocol === 'postgres') return null
  // A protocol that can't hold a rule doesn't run without it.
  const [filter] = filters
  if (filter !== undefined) return { rule: filter.rule, message: `row filters are not built for protocol ${resource.protocol}` }
  for (const policy of policies)
    for (const rule of policy.deny) if (rule.fields.length > 0 || rule.tags.length > 0) return { rule: `${policy.name}/${rule.name}`, message: `rules that refuse fields are not built for protocol ${resource.protocol}` }
  return null
}

const identityValues = ({ subject, issuer, groups, agent, onBehalfOf }: Identity): Filter['values'] => ({ subject, issuer, groups, agent, onBehalfOf })

function needsOf(allows: readonly Allow[], classOf: ClassOf): 'read' | 'write' | 'admin' {
  let needs = 0
  for (const operation of allows.flatMap(rule => rule.operations ?? [])) {
    const access = isClass(operation) ? operation : classOf(operation)
    needs = Math.max(needs, access === 'session' || access === 'read' ? 0 : access === 'write' ? 1 : 2)
  }
  return NEEDS[needs] ?? 'admin'
}
