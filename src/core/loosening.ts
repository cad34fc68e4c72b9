// Whether a change of a policy only tightens. In doubt it does not: then a second person must agree before it is in force.
// Pure: it compares what two policies say and knows nothing of who asks.
import type { PolicyRules } from './policy-rules.ts'

const RESTRICTING = ['deny', 'review', 'mask', 'budget', 'filter'] as const

/** Why the change lets something through that was not before, as a sentence; null when it can't. `null`: no such policy. */
export function loosens(before: PolicyRules | null, after: PolicyRules | null): string | null {
  // What only observes grants, refuses and masks nothing.
  const from = before?.mode === 'observe' ? null : before
  const to = after?.mode === 'observe' ? null : after
  if (from === null) return to === null || grantsNothing(to) ? null : 'it allows something'
  if (to === null) {
    const lost = RESTRICTING.find(kind => from[kind].length > 0)
    return lost === undefined ? null : `its ${lost} rules would be gone`
  }
  if (!same(from.who, to.who) || !same(from.on, to.on)) return 'it is about other people or resources than before'
  if (!to.allow.every(rule => from.allow.some(old => same(old, rule)))) return 'it allows something that it did not'
  for (const kind of RESTRICTING) {
    const kept: readonly unknown[] = to[kind]
    if (!from[kind].every(rule => kept.some(now => same(rule, now)))) return `a ${kind} rule is changed or gone`
  }
  if (!same(from.commands, to.commands) || (from.shell !== to.shell && to.shell !== 'none')) return 'it changes which commands may run'
  return null
}

const grantsNothing = (policy: PolicyRules) => policy.allow.length === 0 && policy.commands === null && policy.shell === 'none'
const same = (one: unknown, other: unknown) => canonical(one) === canonical(other)

/** JSON with sorted keys, without the places in a file. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (key, item: unknown) =>
    key === 'at'
      ? undefined
      : typeof item === 'object' && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
        : item,
  ) ?? 'null'
}
