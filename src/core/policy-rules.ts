// What a policy says, as data: read and checked from YAML or JSON, not yet compiled. Used by the file, the API and `sluice policy check`.
// Never lets an unknown key or a rule that could mean nothing through: each is a mistake with its place.
import { z } from 'zod'
import { compileCondition, compilePattern } from './conditions.ts'
import type { Source } from './document.ts'
import { parseWith, readDocument, sourceOf } from './document.ts'
import type { ConfigInvalid } from './errors.ts'
import { ConfigErrors } from './errors.ts'
import { parseFieldPattern } from './match.ts'
import { MASK_ORDER } from './mask.ts'
import type { MaskKind } from './mask.ts'
import { nearest, operationProblem } from './operations.ts'
import type { Wait } from './policy.ts'
import { PROTOCOLS } from './resource-rules.ts'
import { bytes, count, durationMs, label, name, rate } from './scalars.ts'

export const POLICIES_MAX = 1_000
export const RULES_MAX = 200
export const LIST_MAX = 1_000
/** How long a review waits for a person when the rule doesn't say. */
export const REVIEW_WITHIN_MS = 15 * 60_000
/** Accounts are kept no longer. */
export const BUDGET_PER_MAX_MS = 31 * 86_400_000
export const REVIEW_WITHIN_MAX_MS = 7 * 86_400_000
/** Detectors that detect/ builds in; a test holds the two lists together. */
export const DETECTOR_NAMES: readonly string[] = ['us-ssn', 'credit-card', 'iban', 'phone', 'ip', 'email', 'api-key', 'jwt', 'private-key']
/** Classes stand beside operations in `allow` and `operations`. */
export const CLASSES = ['session', 'read', 'write', 'admin'] as const

/** A subject or group; of one issuer, or of any. */
export interface Named {
  readonly name: string
  readonly issuer: string | null
}
export interface Who {
  readonly users: readonly Named[]
  readonly groups: readonly Named[]
  readonly agents: readonly Named[] | 'any'
  readonly issuers: readonly string[]
  readonly any: boolean
}
/** null: every one. */
export interface Scope {
  readonly resources: readonly string[] | null
  readonly protocols: readonly string[] | null
  readonly labels: Readonly<Record<string, readonly string[]>>
}
export interface DetectorReference {
  readonly name: string
  readonly pattern: string | null
}
export interface Reviewers {
  readonly groups: readonly string[]
  readonly users: readonly string[]
}
/** Where it stands, `file:line:column`; not part of the version. */
interface Placed {
  readonly at: string
}
export interface AllowRule extends Placed {
  readonly operations: readonly string[]
  readonly when: string | null
}
interface Matching extends Placed {
  readonly name: string
  readonly operations: readonly string[] | null
  readonly when: string | null
  readonly rows: number | null
  readonly bytes: number | null
  readonly message: string | null
}
export interface DenyRule extends Matching {
  readonly fields: readonly string[]
  /** Of the resource's columns those that carry one of these: they are fields too. */
  readonly tags: readonly string[]
  readonly detect: readonly DetectorReference[]
}
export interface ReviewRule extends Matching {
  readonly reviewers: Reviewers
  readonly withinMs: number
  readonly wait: Wait | null
}
export interface MaskRule extends Placed {
  readonly name: string
  readonly fields: readonly string[]
  readonly tags: readonly string[]
  readonly detect: readonly DetectorReference[]
  readonly with: MaskKind
  readonly lookups: { readonly count: number; readonly perMs: number } | null
}
export interface BudgetRule extends Placed {
  readonly name: string
  readonly rows: number
  readonly perMs: number
  readonly of: 'identity' | 'table'
  readonly tags: readonly string[]
  /** What carries the tags on a resource: only statements that read one of these count. Null: all do. */
  readonly fields: readonly string[] | null
  readonly then: 'deny' | 'review' | 'alert'
  readonly reviewers: Reviewers | null
  readonly withinMs: number
  readonly wait: Wait | null
}
export interface FilterRule extends Placed {
  readonly name: string
  /** Empty with tags, until they are known. */
  readonly table: string
  /** The tables with columns that carry one of these. */
  readonly tags: readonly string[]
  readonly where: string
}
export interface PolicyRules extends Placed {
  readonly name: string
  readonly mode: 'enforce' | 'observe'
  readonly who: Who
  readonly on: Scope
  readonly allow: readonly AllowRule[]
  readonly deny: readonly DenyRule[]
  readonly review: readonly ReviewRule[]
  readonly mask: readonly MaskRule[]
  readonly budget: readonly BudgetRule[]
  readonly filter: readonly FilterRule[]
  /** SSH and exec: argv patterns. Null: none given. */
  readonly commands: readonly (readonly string[])[] | null
  readonly shell: 'none' | 'judged' | 'free'
}

const text = z.string().min(1).max(1_000)
const list = <T extends z.ZodType>(item: T) => z.array(item).max(LIST_MAX)
const named = z.union([
  text.transform(value => ({ name: value, issuer: null })),
  z.strictObject({ subject: text, issuer: text }).transform(value => ({ name: value.subject, issuer: value.issuer })),
  z.strictObject({ group: text, issuer: text }).transform(value => ({ name: value.group, issuer: value.issuer })),
])
const operation = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, { error: 'not an operation: `sql.drop`, or a class: session, read, write, admin', abort: true })
  .superRefine((value, context) => {
    const problem = value === 'unknown' ? 'what is not understood is refused always' : operationProblem(value)
    if (problem !== null) context.addIssue({ code: 'custom', message: problem })
  })
const operations = list(operation).min(1)
const when = z.string().superRefine((value, context) => {
  try {
    compileCondition(value)
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
  }
})
const field = z
  .string()
  .max(400)
  .superRefine((value, context) => {
    if (parseFieldPattern(value) === null) context.addIssue({ code: 'custom', message: 'not a field: schema.table.column, table.column or *.column' })
  })
const detectors = list(
  z.union([
    text.transform(value => ({ name: value, pattern: null })),
    z.strictObject({
      name,
      pattern: z.string().superRefine((value, context) => {
        try {
          compilePattern(value)
        } catch (error) {
          context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
        }
      }),
    }),
  ]),
).min(1)
const reviewers = z
  .strictObject({ groups: list(text).default([]), users: list(text).default([]) })
  .refine(value => value.groups.length + value.users.length > 0, 'name at least one group or user')
const withinMs = durationMs.refine(value => value > 0 && value <= REVIEW_WITHIN_MAX_MS, 'more than nothing and at most 7d')
const wait = z.enum(['hold', 'refuse'])
// YAML reads `with: null` as no value at all: it is the mask of that name.
const maskKind = z.preprocess(value => (value === null ? 'null' : value), z.enum(MASK_ORDER))
const tags = list(label).min(1)
const matching = {
  name,
  operations: operations.optional(),
  when: when.optional(),
  rows: count.optional(),
  bytes: bytes.optional(),
  message: z.string().max(500).optional(),
}
const anyOf =
  (...keys: string[]) =>
  (value: object) =>
    keys.some(key => (value as Record<string, unknown>)[key] !== undefined)

const denySchema = z
  .strictObject({ ...matching, fields: list(field).min(1).optional(), detect: detectors.optional(), tags: tags.optional() })
  .refine(anyOf('operations', 'when', 'rows', 'bytes', 'fields', 'detect', 'tags'), 'says nothing to refuse: operations, when, rows, bytes, fields, tags or detect')
const reviewSchema = z
  .strictObject({ ...matching, reviewers, within: withinMs.optional(), wait: wait.optional() })
  .refine(anyOf('operations', 'when', 'rows', 'bytes'), 'says nothing to review: operations, when, rows or bytes')
const maskSchema = z
  .strictObject({ name: name.optional(), fields: list(field).min(1).optional(), tags: tags.optional(), detect: detectors.optional(), with: maskKind, lookups: rate.optional() })
  .refine(anyOf('fields', 'detect', 'tags'), 'says nothing to hide: fields, tags or detect')
const budgetSchema = z.strictObject({
  name: name.optional(),
  rows: count,
  per: durationMs.refine(value => value >= 1_000 && value <= BUDGET_PER_MAX_MS, 'between 1s and 31d'),
  of: z.enum(['identity', 'table']).default('identity'),
  tags: tags.optional(),
  then: z.enum(['deny', 'review', 'alert']).default('deny'),
  reviewers: reviewers.optional(),
  within: withinMs.optional(),
  wait: wait.optional(),
}).refine(value => value.then === 'review' || !anyOf('reviewers', 'within', 'wait')(value), 'reviewers, within and wait say nothing unless `then: review`')
const allowItem = z.union([operation, z.strictObject({ operations, when: when.optional() })])
const protocol = z.string().superRefine((value, context) => {
  if ((PROTOCOLS as readonly string[]).includes(value)) return
  const meant = nearest(value, PROTOCOLS)
  context.addIssue({ code: 'custom', message: `no protocol is called \`${value.slice(0, 60)}\`${meant === null ? `: ${PROTOCOLS.join(', ')}` : `; did you mean \`${meant}\`?`}` })
})
const labels = z.record(label, z.union([text, z.number().transform(String), z.boolean().transform(String), list(text).min(1)]))

export const policySchema = z.strictObject({
  name,
  mode: z.enum(['enforce', 'observe']).default('enforce'),
  who: z
    .strictObject({
      users: list(named).default([]),
      groups: list(named).default([]),
      agents: z.union([z.literal(true).transform(() => 'any' as const), list(named)]).default([]),
      issuers: list(text).default([]),
      any: z.literal(true).optional(),
    })
    .refine(
      value => value.any === true || value.agents === 'any' || value.users.length + value.groups.length + value.agents.length + value.issuers.length > 0,
      'names nobody: users, groups, agents, issuers, or any: true',
    ),
  on: z.strictObject({ resources: list(text).optional(), protocols: list(protocol).optional(), labels: labels.default({}) }),
  allow: list(allowItem).default([]),
  deny: z.array(denySchema).max(RULES_MAX).default([]),
  review: z.array(reviewSchema).max(RULES_MAX).default([]),
  mask: z.array(maskSchema).max(RULES_MAX).default([]),
  budget: z.array(budgetSchema).max(RULES_MAX).default([]),
  filter: z
    .array(z.strictObject({ name: name.optional(), table: text.optional(), tags: tags.optional(), where: text }).refine(value => (value.table === undefined) !== (value.tags === undefined), 'says which rows by `table` or by `tags`'))
    .max(RULES_MAX)
    .default([]),
  commands: list(list(text).min(1)).optional(),
  shell: z.enum(['none', 'judged', 'free']).default('none'),
})
const policiesSchema = z.array(policySchema).max(POLICIES_MAX)
type Read = z.infer<typeof policySchema>

/** Policies of a text (`policies:` with a list, or the list itself) or of an object as the API gets it. Throws ConfigErrors with every mistake. */
export function parsePolicies(input: string | readonly unknown[] | object, file = 'policies'): PolicyRules[] {
  const source = typeof input === 'string' ? readDocument(input, file) : sourceOf(input, Array.isArray(input) ? file : '')
  const mistakes: ConfigInvalid[] = []
  const wrapped = typeof source.value === 'object' && source.value !== null && !Array.isArray(source.value) && 'policies' in source.value
  const policies = readPolicies(source, wrapped ? ['policies'] : [], wrapped ? (source.value as { policies: unknown }).policies : source.value, mistakes)
  if (mistakes.length > 0) throw new ConfigErrors(mistakes)
  return policies
}

/** The same within a larger document: mistakes are added to the list. */
export function readPolicies(source: Source, path: readonly PropertyKey[], value: unknown, mistakes: ConfigInvalid[]): PolicyRules[] {
  const read = parseWith(policiesSchema, source, mistakes, path, value)
  return read === null ? [] : read.map((policy, index) => rulesOf(policy, rest => source.locate([...path, index, ...rest])))
}

function rulesOf(policy: Read, at: (path: readonly PropertyKey[]) => string): PolicyRules {
  const matched = (rule: z.infer<typeof reviewSchema> | z.infer<typeof denySchema>, kind: string, index: number) => ({
    at: at([kind, index]),
    name: rule.name,
    operations: rule.operations ?? null,
    when: rule.when ?? null,
    rows: rule.rows ?? null,
    bytes: rule.bytes ?? null,
    message: rule.message ?? null,
  })
  return {
    at: at([]),
    name: policy.name,
    mode: policy.mode,
    shell: policy.shell,
    commands: policy.commands ?? null,
    who: { ...policy.who, any: policy.who.any === true },
    on: {
      resources: policy.on.resources ?? null,
      protocols: policy.on.protocols ?? null,
      labels: Object.fromEntries(Object.entries(policy.on.labels).map(([key, value]) => [key, typeof value === 'string' ? [value] : value])),
    },
    allow: policy.allow.map((item, index) =>
      typeof item === 'string'
        ? { at: at(['allow', index]), operations: [item], when: null }
        : { at: at(['allow', index]), operations: item.operations, when: item.when ?? null },
    ),
    deny: policy.deny.map((rule, index) => ({ ...matched(rule, 'deny', index), fields: rule.fields ?? [], tags: rule.tags ?? [], detect: rule.detect ?? [] })),
    review: policy.review.map((rule, index) => ({
      ...matched(rule, 'review', index),
      reviewers: rule.reviewers,
      withinMs: rule.within ?? REVIEW_WITHIN_MS,
      wait: rule.wait ?? null,
    })),
    mask: policy.mask.map((rule, index) => ({
      at: at(['mask', index]),
      name: rule.name ?? `mask-${index + 1}`,
      fields: rule.fields ?? [],
      tags: rule.tags ?? [],
      detect: rule.detect ?? [],
      with: rule.with,
      lookups: rule.lookups ?? null,
    })),
    budget: policy.budget.map((rule, index) => ({
      at: at(['budget', index]),
      name: rule.name ?? `budget-${index + 1}`,
      rows: rule.rows,
      perMs: rule.per,
      of: rule.of,
      tags: rule.tags ?? [],
      fields: null,
      then: rule.then,
      reviewers: rule.reviewers ?? policyReviewers(policy),
      withinMs: rule.within ?? REVIEW_WITHIN_MS,
      wait: rule.wait ?? null,
    })),
    filter: policy.filter.map((rule, index) => ({ at: at(['filter', index]), name: rule.name ?? `filter-${index + 1}`, table: rule.table ?? '', tags: rule.tags ?? [], where: rule.where })),
  }
}

/** A budget that leads to a review and names no reviewers takes those that all of its policy's reviews have in common. */
function policyReviewers(policy: Read): Reviewers | null {
  const [first, ...others] = policy.review.map(rule => rule.reviewers)
  return first === undefined
    ? null
    : others.reduce(
        (both, next) => ({ groups: both.groups.filter(name => next.groups.includes(name)), users: both.users.filter(name => next.users.includes(name)) }),
        first,
      )
}
