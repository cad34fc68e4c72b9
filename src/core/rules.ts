// One policy's rules, ready to be asked: conditions compiled, patterns read, names for messages made. Shared by the grant and by explain.
// A rule that can't be evaluated applies when it restricts and does not apply when it allows.
import type { Condition, Facts } from './conditions.ts'
import { compileCondition, compilePattern, identityFacts, resourceFacts, search, sessionFacts, statementFacts } from './conditions.ts'
import type { Identity } from './identity.ts'
import type { FieldPattern } from './match.ts'
import { coversOperation, parseFieldPattern } from './match.ts'
import type { Limit, ReviewTerms, SessionFacts, Wait } from './policy.ts'
import { ACCESS_RANK, classOf } from './operations.ts'
import type { ClassOf } from './operations.ts'
import { CLASSES } from './policy-rules.ts'
import type { AllowRule, DenyRule, DetectorReference, PolicyRules, Reviewers, ReviewRule } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import type { Access, Effect, Statement } from './statement.ts'

/** Text longer than this is not searched by `detect` rules of requests: the rule then applies. */
export const DETECT_CHARS_MAX = 1024 * 1024

/** Whether a text holds a value that a built-in detector knows; null for a detector it does not know. Given by who wires detect/ in. */
export type RequestDetector = (detector: string) => ((text: string) => boolean) | null

/** What one judgement is about. CEL facts are made only when a condition asks. */
export class Question {
  readonly statement: Statement
  readonly session: SessionFacts
  readonly parameters: readonly unknown[] | undefined
  readonly #identity: Identity
  readonly #resource: Resource
  #shared: { identity: object; resource: object; session: object } | null = null
  readonly #facts = new Map<Effect, Facts>()
  constructor(statement: Statement, session: SessionFacts, parameters: readonly unknown[] | undefined, identity: Identity, resource: Resource) {
    this.statement = statement
    this.session = session
    this.parameters = parameters
    this.#identity = identity
    this.#resource = resource
  }
  facts(effect: Effect): Facts {
    const known = this.#facts.get(effect)
    if (known !== undefined) return known
    this.#shared ??= { identity: identityFacts(this.#identity), resource: resourceFacts(this.#resource), session: sessionFacts(this.session) }
    const facts = { ...this.#shared, statement: statementFacts(this.statement, effect) }
    this.#facts.set(effect, facts)
    return facts
  }
}

/** Why a rule applies, or null when it does not. */
export type Match = { readonly why: string } | null
const NO_CONDITION: Match = { why: '' }

/** What allow, deny and review rules have in common: which operations, under which condition. */
export interface Rule {
  /** `policy/rule`, as records and messages name it. */
  readonly id: string
  readonly policy: string
  readonly at: string
  readonly operations: readonly string[] | null
  readonly condition: Condition | null
  /** Matches every effect that its operations cover. */
  readonly unconditional: boolean
  /** Its answer may differ between statements of one shape. */
  readonly volatile: boolean
  readonly message: string | null
}
export interface Allow extends Rule {
  readonly kind: 'allow'
  /** Each name with the strongest class it allows; a class allows itself, whatever the operation. */
  readonly ceilings: readonly { readonly name: string; readonly isClass: boolean; readonly rank: number }[]
}
export interface Deny extends Rule {
  readonly kind: 'deny'
  readonly fields: readonly FieldPattern[]
  readonly detect: readonly Finder[]
  readonly limit: Limit | null
}
export interface Review extends Rule {
  readonly kind: 'review'
  readonly terms: ReviewTerms
  readonly limit: Limit | null
}
interface Finder {
  readonly name: string
  readonly find: ((text: string) => boolean) | null
}

/** For rules that restrict: a class also covers what is of it by name, though this statement counts as more (a DELETE that calls an unknown function). */
export const covers = (rule: Rule, operation: string, access: Access) =>
  rule.operations === null || rule.operations.some(name => coversOperation(name, operation, access) || name === classOf(operation))

/** Whether a rule that restricts applies: an error in its condition means yes. */
export function restricts(rule: Deny | Review, question: Question, effect: Effect): Match {
  if (!covers(rule, effect.operation, effect.access)) return null
  let why = rule.operations === null ? '' : `it does ${effect.operation}${named(effect)}`
  if (rule.condition !== null) {
    try {
      if (!rule.condition.holds(question.facts(effect))) return null
      why = `${rule.condition.text} holds for ${effect.operation}${named(effect)}`
    } catch {
      why = `its condition could not be evaluated for ${effect.operation}`
    }
  }
  if (rule.kind === 'deny' && rule.fields.length > 0) {
    const column = effect.columns.find(path => rule.fields.some(pattern => pattern.coversJoined(path)))
    if (column === undefined) return null
    why = `it names ${column}`
  }
  if (rule.kind === 'deny' && rule.detect.length > 0) {
    const found = detected(rule.detect, question)
    if (found === null) return null
    why = found
  }
  return { why }
}

/** By class, or by name as far as that name's own class goes: `sql.select` does not cover a SELECT that counts as admin. */
export const coversForAllow = (rule: Allow, operation: string, access: Access) =>
  access !== 'unknown' &&
  rule.ceilings.some(({ name, isClass, rank }) => (isClass ? name === access : ACCESS_RANK[access] <= rank && coversOperation(name, operation, access)))

/** Whether a rule that allows applies: an error in its condition means no. */
export function permits(rule: Allow, question: Question, effect: Effect): Match {
  if (!coversForAllow(rule, effect.operation, effect.access)) return null
  if (rule.condition === null) return NO_CONDITION
  try {
    return rule.condition.holds(question.facts(effect)) ? { why: rule.condition.text } : null
  } catch {
    return null
  }
}

const named = (effect: Effect) =>
  effect.objects === 'unknown' || effect.objects.length === 0 ? '' : ` on ${effect.objects.slice(0, 3).join(', ')}${effect.objects.length > 3 ? ', …' : ''}`

/** Names the detector, never the value. */
function detected(finders: readonly Finder[], question: Question): string | null {
  let complete = true
  for (const text of texts(question)) {
    if (text === null || text.length > DETECT_CHARS_MAX) {
      complete = false
      continue
    }
    for (const finder of finders) {
      if (finder.find === null) return `values like ${finder.name} can't be looked for here`
      try {
        if (finder.find(text)) return `it carries a value that looks like ${finder.name}`
      } catch {
        complete = false
      }
    }
  }
  return complete ? null : "it is too large or of a kind that can't be searched for values"
}

/** Everything the client wrote: the text and each parameter; null where that can't be read as text. */
function* texts(question: Question): Generator<string | null> {
  yield question.statement.text
  for (const value of question.parameters ?? []) {
    if (typeof value === 'string') yield value
    else if (value instanceof Uint8Array)
      yield value.length > DETECT_CHARS_MAX ? null : Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')
    else if (typeof value === 'number' || typeof value === 'bigint') yield String(value)
    else if (typeof value === 'object' && value !== null) {
      try {
        yield JSON.stringify(value) ?? null
      } catch {
        yield null
      }
    }
  }
}

export function compileAllow(policy: PolicyRules, rule: AllowRule, classes: ClassOf): Allow {
  const condition = rule.when === null ? null : compileCondition(rule.when)
  const ceilings = rule.operations.map(name => ({ name, isClass: (CLASSES as readonly string[]).includes(name), rank: ACCESS_RANK[classes(name) ?? 'admin'] }))
  return {
    kind: 'allow',
    ceilings,
    id: policy.name,
    policy: policy.name,
    at: rule.at,
    operations: rule.operations,
    condition,
    unconditional: condition === null,
    volatile: condition?.volatile ?? false,
    message: null,
  }
}

export function compileDeny(policy: PolicyRules, rule: DenyRule, detector: RequestDetector): Deny {
  const base = compileRule(policy, rule)
  const fields = rule.fields.map(text => parseFieldPattern(text)).filter(pattern => pattern !== null)
  const detect = rule.detect.map(reference => finderOf(reference, detector))
  return {
    ...base,
    kind: 'deny',
    fields,
    detect,
    unconditional: base.unconditional && fields.length === 0 && detect.length === 0,
    volatile: base.volatile || detect.length > 0,
    limit: limitOf(base, rule, 'deny', null),
  }
}

export function compileReview(policy: PolicyRules, rule: ReviewRule, agent: boolean): Review {
  const base = compileRule(policy, rule)
  const terms = termsOf(rule.reviewers, rule.withinMs, rule.wait, agent)
  return { ...base, kind: 'review', terms, limit: limitOf(base, rule, 'review', terms) }
}

/** People's clients show notices and hold; an agent is told at once and comes back. */
export const termsOf = (reviewers: Reviewers, withinMs: number, wait: Wait | null, agent: boolean): ReviewTerms => ({
  reviewers,
  withinMs,
  wait: wait ?? (agent ? 'refuse' : 'hold'),
})

function compileRule(policy: PolicyRules, rule: DenyRule | ReviewRule): Omit<Rule, 'kind'> {
  const condition = rule.when === null ? null : compileCondition(rule.when)
  return {
    id: `${policy.name}/${rule.name}`,
    policy: policy.name,
    at: rule.at,
    operations: rule.operations,
    condition,
    unconditional: condition === null,
    volatile: condition?.volatile ?? false,
    message: rule.message,
  }
}

function limitOf(base: Omit<Rule, 'kind'>, rule: DenyRule | ReviewRule, then: 'deny' | 'review', terms: ReviewTerms | null): Limit | null {
  if (rule.rows === null && rule.bytes === null) return null
  return { rule: base.id, rows: rule.rows ?? Infinity, bytes: rule.bytes ?? Infinity, then, terms, message: rule.message }
}

function finderOf(reference: DetectorReference, detector: RequestDetector): Finder {
  if (reference.pattern === null) return { name: reference.name, find: detector(reference.name) }
  const pattern = compilePattern(reference.pattern)
  return {
    name: reference.name,
    find(text) {
      return search(pattern, text)
    },
  }
}
