// Judgements in words: which rule, why, and what would be allowed or how to ask. An agent must be able to read one and go on.
// Never a value: names of rules, operations, objects and columns only.
import { coversOperation } from './match.ts'
import type { Judgement, Limit, ReviewTerms } from './policy.ts'
import type { Allow, Deny, Review } from './rules.ts'
import type { Effect } from './statement.ts'

export function notUnderstood(effect: Effect | null, cacheable: boolean): Judgement {
  return {
    kind: 'deny',
    rule: 'not-understood',
    message: `not understood, so refused: ${effect?.reason ?? 'what this does is not known'}`,
    hint: 'say it in a plainer form',
    cacheable,
  }
}

export function denied(rule: Deny, why: string, effect: Effect, cacheable: boolean): Judgement {
  const message = `rule ${rule.id} refuses this: ${rule.message ?? why}`
  const hint =
    rule.condition?.asksBounded === true && !effect.bounded
      ? 'add a WHERE that compares a key with given values'
      : rule.fields.length > 0
        ? `${why}: name only the columns you need, without that one`
        : rule.detect.length > 0
          ? 'leave such values out'
          : rule.condition !== null
            ? `it is refused when ${rule.condition.text}`
            : `ask whoever looks after policy ${rule.policy}, or do it without ${effect.operation}`
  return { kind: 'deny', rule: rule.id, message, hint, cacheable }
}

export function notAllowed(effect: Effect, conditional: readonly Allow[], allows: readonly Allow[], cacheable: boolean): Judgement {
  const allowed = [...new Set(allows.flatMap(rule => rule.operations ?? []))]
  const only = conditional.map(rule => rule.condition).find(condition => condition !== null)
  const hint =
    only !== undefined && only !== null
      ? only.asksBounded && !effect.bounded
        ? `add a WHERE that compares a key with given values (${only.text})`
        : `allowed only when ${only.text}`
      : allowed.some(name => coversOperation(name, effect.operation, 'unknown'))
      ? `${effect.operation} is allowed as such, but this one counts as ${effect.access}: leave out what makes it so`
      : `allowed here: ${allowed.slice(0, 20).join(', ')}${allowed.length > 20 ? ', …' : ''}`
  return {
    kind: 'deny',
    rule: 'no-policy',
    message: `no policy allows ${effect.operation} (${effect.access})${effect.reason === undefined ? '' : `: ${effect.reason}`}`,
    hint,
    cacheable,
  }
}

/** Several reviews become one by what all accept: reviewers in every list, the shortest time, and no waiting if one says so. */
export function reviewed(reviews: readonly { rule: Review; why: string; effect: Effect }[], limits: readonly Limit[], cacheable: boolean): Judgement {
  const [first, ...others] = reviews
  if (first === undefined) throw new Error('a review without a rule')
  const terms = others.reduce<ReviewTerms>(
    (both, { rule: { terms: next } }) => ({
      reviewers: {
        groups: both.reviewers.groups.filter(name => next.reviewers.groups.includes(name)),
        users: both.reviewers.users.filter(name => next.reviewers.users.includes(name)),
      },
      withinMs: Math.min(both.withinMs, next.withinMs),
      wait: both.wait === 'refuse' ? 'refuse' : next.wait,
    }),
    first.rule.terms,
  )
  const rules = reviews.map(({ rule }) => rule.id).join(', ')
  if (terms.reviewers.groups.length + terms.reviewers.users.length === 0) {
    return {
      kind: 'deny',
      rule: rules,
      message: `rules ${rules} each need a review, and no reviewer is in all of their lists`,
      hint: 'split it, so that each part needs one review',
      cacheable,
    }
  }
  return { kind: 'review', rule: first.rule.id, message: `rule ${rules} needs a review: ${first.rule.message ?? first.why}`, terms, limits, cacheable }
}
