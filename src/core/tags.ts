// Tags: names that a resource gives to columns, so that one policy speaks of `pii` on every resource. Before a policy is compiled for a resource,
// its tags are replaced by the columns that carry them there. A tag that the resource does not declare is never passed over in silence.
import { parseFieldPattern, partsOf } from './match.ts'
import type { FieldPattern } from './match.ts'
import type { Budget } from './policy.ts'
import type { FilterRule, PolicyRules } from './policy-rules.ts'
import type { Effect } from './statement.ts'

export type Tags = Readonly<Record<string, readonly string[]>>

/** The policy as it reads on a resource with these tags. */
export function withTags(policy: PolicyRules, tags: Tags): PolicyRules {
  if (tagsOf(policy).length === 0) return policy
  const fields = (rule: { readonly fields: readonly string[]; readonly tags: readonly string[] }) => (rule.tags.length === 0 ? rule.fields : [...new Set([...rule.fields, ...tagged(rule.tags, tags)])])
  return {
    ...policy,
    mask: policy.mask.map(rule => ({ ...rule, fields: fields(rule) })),
    // A rule about columns of which there are none is about nothing, not about everything.
    deny: policy.deny.map(rule => ({ ...rule, fields: fields(rule) })).filter(rule => rule.tags.length === 0 || rule.fields.length > 0),
    budget: policy.budget.map(rule => ({ ...rule, fields: rule.tags.length === 0 ? null : tagged(rule.tags, tags) })),
    filter: policy.filter.flatMap(rule => (rule.tags.length === 0 ? [rule] : tablesOf(tagged(rule.tags, tags)).map(table => ({ ...rule, table })))),
  }
}
const tagged = (names: readonly string[], tags: Tags): string[] => names.flatMap(name => (Object.hasOwn(tags, name) ? tags[name]! : []))
/** Which tables have these columns: `schema.table` or `*.table`; a column of any table names none. */
const tablesOf = (fields: readonly string[]): string[] => [...new Set(fields.map(tableOf).filter(table => table !== null))]
function tableOf(field: string): string | null {
  const parts = partsOf(field)
  if (parts === null || parts.length < 2 || parts.length > 3) return null
  const [schema, table] = parts.length === 3 ? parts : ['*', parts[0]!]
  return table!.includes('*') || (schema!.includes('*') && schema !== '*') ? null : `${schema}.${table}`
}

/** Every tag that the policy's rules name. */
export const tagsOf = (policy: PolicyRules): string[] => [...new Set([...policy.mask, ...policy.deny, ...policy.budget, ...policy.filter].flatMap(rule => rule.tags))]
/** Those that a resource does not declare: nobody may know then what the policy is about there. */
export const missingTags = (policy: PolicyRules, tags: Tags): string[] => tagsOf(policy).filter(name => !Object.hasOwn(tags, name))
/** The first column under a tag of the rule that says no table, for a filter that needs one. */
export const withoutTable = (rule: FilterRule, tags: Tags): string | null => tagged(rule.tags, tags).find(field => tableOf(field) === null) ?? null

/** Tags that a column carries, joined `schema.table.column` as effects have it. */
export function tagsAt(path: string, names: readonly string[], tags: Tags): string[] {
  return names.filter(name => tagged([name], tags).some(field => parseFieldPattern(field)?.coversJoined(path) === true))
}

const patterns = new WeakMap<readonly string[], readonly FieldPattern[]>()
function patternsOf(fields: readonly string[]): readonly FieldPattern[] {
  let known = patterns.get(fields)
  if (known === undefined) patterns.set(fields, known = fields.map(text => parseFieldPattern(text)).filter(pattern => pattern !== null))
  return known
}
const covers = (fields: readonly string[], path: string) => patternsOf(fields).some(pattern => pattern.coversJoined(path))
/** Whether what is read counts: a budget of tags is about statements that read a column which carries one. In doubt it does. */
export const isCounted = ({ fields }: Pick<Budget, 'fields'>, effect: Effect): boolean => fields == null || effect.objects === 'unknown' || effect.columns.some(path => covers(fields, path))
/** The tables whose accounts are charged. */
export function tablesCounted({ fields }: Pick<Budget, 'fields'>, effects: readonly Effect[]): Set<string> {
  const all = effects.flatMap(effect => (effect.objects === 'unknown' ? [] : effect.objects))
  if (fields == null) return new Set(all)
  const read = effects.flatMap(effect => effect.columns).filter(path => covers(fields, path))
  const tables = new Set(all.filter(table => read.some(path => path.startsWith(`${table}.`))))
  return tables.size > 0 ? tables : new Set(all)
}
