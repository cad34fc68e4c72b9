// Why a statement would be judged as it would: every policy and every rule, whether it applies, and the reason. For people who write policies.
// Judges through the same grant as a session does; it only adds words.
import type { CompiledPolicies } from './compile.ts'
import { isAbout } from './compile.ts'
import type { Identity } from './identity.ts'
import { matchesScope, matchesWho, parseFieldPattern } from './match.ts'
import type { Judgement, Observation, SessionFacts } from './policy.ts'
import type { PolicyRules } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import { Question, compileAllow, compileDeny, compileReview, coversForAllow, permits, restricts } from './rules.ts'
import type { Deny, Review } from './rules.ts'
import type { Statement } from './statement.ts'
import { isCounted, tagsAt, withTags } from './tags.ts'
import type { Tags } from './tags.ts'

export interface ExplainedRule {
  readonly rule: string
  readonly kind: 'allow' | 'deny' | 'review' | 'limit' | 'mask' | 'budget' | 'filter'
  readonly at: string
  readonly applies: boolean
  readonly why: string
}
export interface ExplainedPolicy {
  readonly policy: string
  readonly at: string
  readonly mode: 'enforce' | 'observe'
  readonly matches: boolean
  readonly why: string
  readonly rules: readonly ExplainedRule[]
}
export interface Explanation {
  readonly version: string
  readonly opens: boolean
  readonly needs: 'read' | 'write' | 'admin'
  readonly policies: readonly ExplainedPolicy[]
  /** Null when no statement was given. */
  readonly judgement: Judgement | null
  readonly observations: readonly Observation[]
}
/** Stands for a session that is not open. */
export const NO_SESSION: SessionFacts = { id: 'explain', database: '', client: 'sluice policy explain', startedAtMs: 0 }

export function explain(
  set: CompiledPolicies,
  identity: Identity,
  resource: Resource,
  statement: Statement | null,
  session: SessionFacts = NO_SESSION,
  parameters?: readonly unknown[],
): Explanation {
  const grant = set.grant(identity, resource)
  return {
    version: set.version,
    opens: grant.opens,
    needs: grant.needs,
    policies: set.policies.map(policy =>
      explainPolicy(set, policy, identity, resource, statement === null ? null : new Question(statement, session, parameters, identity, resource)),
    ),
    judgement: statement === null ? null : grant.judge(statement, session, parameters),
    observations: statement === null ? [] : grant.observe(statement, session, parameters),
  }
}

function explainPolicy(set: CompiledPolicies, policy: PolicyRules, identity: Identity, resource: Resource, question: Question | null): ExplainedPolicy {
  const matches = isAbout(policy, identity, resource)
  const why = !matchesWho(policy.who, identity)
    ? `${identity.subject} is none of its users, groups, agents or issuers`
    : !matchesScope(policy.on, resource)
      ? `${resource.name} is none of its resources, protocols or labels`
      : 'it is about this identity on this resource'
  const base = { policy: policy.name, at: policy.at, mode: policy.mode, matches, why }
  return { ...base, rules: matches && question !== null ? explainRules(set, withTags(policy, resource.tags ?? {}), identity, question, resource.tags ?? {}) : [] }
}

function explainRules(set: CompiledPolicies, policy: PolicyRules, identity: Identity, question: Question, tags: Tags): ExplainedRule[] {
  const { settings } = set
  const restricting = [
    ...policy.deny.map(rule => compileDeny(policy, rule, settings.detector)),
    ...policy.review.map(rule => compileReview(policy, rule, identity.agent)),
  ]
  const columns = question.statement.effects.flatMap(effect => effect.columns)
  const saysTags = (column: string, names: readonly string[]) => { const carried = tagsAt(column, names, tags); return carried.length === 0 ? '' : ` (tagged ${carried.join(', ')})` }
  const named = (rule: ExplainedRule, names: readonly string[]): ExplainedRule => {
    const column = rule.applies ? columns.find(path => tagsAt(path, names, tags).length > 0) : undefined
    return column === undefined ? rule : { ...rule, why: rule.why.replace(column, `${column}${saysTags(column, names)}`) }
  }
  return [
    ...policy.allow.map(rule => explainAllow(compileAllow(policy, rule, settings.classOf), question)),
    ...restricting.map(rule => named(explainRestriction(rule, question), policy.deny.find(({ name }) => rule.kind === 'deny' && rule.id === `${policy.name}/${name}`)?.tags ?? [])),
    ...policy.mask.map(mask => {
      const column = columns.find(path => mask.fields.some(text => parseFieldPattern(text)?.coversJoined(path)))
      const detect = mask.detect.length > 0 ? `looks for ${mask.detect.map(one => one.name).join(', ')} in every answer` : ''
      return {
        rule: `${policy.name}/${mask.name}`,
        kind: 'mask' as const,
        at: mask.at,
        applies: column !== undefined || detect !== '',
        why: column === undefined ? detect || 'none of its fields is named' : `hides ${column}${saysTags(column, mask.tags)} with ${mask.with}`,
      }
    }),
    ...policy.budget.map(rule => ({
      rule: `${policy.name}/${rule.name}`,
      kind: 'budget' as const,
      at: rule.at,
      applies: rule.fields === null || question.statement.effects.some(effect => effect.access === 'read' && isCounted(rule, effect)),
      why: `${rule.rows} rows${rule.tags.length === 0 ? '' : ` with columns tagged ${rule.tags.join(', ')}`} per ${rule.perMs / 1_000} s of each ${rule.of}, then ${rule.then}`,
    })),
    ...policy.filter.map(rule => ({
      rule: `${policy.name}/${rule.name}`,
      kind: 'filter' as const,
      at: rule.at,
      applies: columns.some(column => column.startsWith(`${rule.table}.`)),
      why: `${rule.table}: only rows where ${rule.where}`,
    })),
  ]
}

function explainAllow(rule: ReturnType<typeof compileAllow>, question: Question): ExplainedRule {
  const name = (rule.operations ?? []).join(', ')
  const effects = question.statement.effects
  const allowed = effects.filter(effect => effect.access === 'session' || permits(rule, question, effect) !== null)
  const not = effects.find(effect => !allowed.includes(effect))
  const why =
    not === undefined
      ? `covers ${effects.map(effect => effect.operation).join(', ')}`
      : coversForAllow(rule, not.operation, not.access)
        ? `covers ${not.operation}, but its condition does not hold: ${rule.condition?.text ?? ''}`
        : `does not cover ${not.operation} (${not.access})${not.reason === undefined ? '' : `: ${not.reason}`}`
  return { rule: `${rule.policy}: allow ${name}`, kind: 'allow', at: rule.at, applies: allowed.length > 0, why }
}

function explainRestriction(rule: Deny | Review, question: Question): ExplainedRule {
  let why: string | null = null
  for (const effect of question.statement.effects) why ??= restricts(rule, question, effect)?.why ?? null
  const limit =
    rule.limit === null
      ? ''
      : [Number.isFinite(rule.limit.rows) ? `${rule.limit.rows} rows` : '', Number.isFinite(rule.limit.bytes) ? `${rule.limit.bytes} bytes` : '']
          .filter(Boolean)
          .join(' or ')
  return {
    rule: rule.id,
    kind: rule.limit === null ? rule.kind : 'limit',
    at: rule.at,
    applies: why !== null,
    why: why === null ? 'nothing in the statement is what it is about' : limit === '' ? why : `beyond ${limit}: ${rule.kind}`,
  }
}
