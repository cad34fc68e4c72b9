// What is wrong or suspicious about policies although each can be read: names that lead nowhere, rules that can never match,
// and what is written but not enforced yet. Errors keep a configuration from being used; warnings are shown.
import { ConfigErrors } from './errors.ts'
import { coversOperation } from './match.ts'
import { nearest } from './operations.ts'
import type { PolicyRules, Scope } from './policy-rules.ts'
import { CLASSES, DETECTOR_NAMES, parsePolicies } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import { PROTOCOLS_BUILT } from './resource-rules.ts'
import { tagsOf, withoutTable } from './tags.ts'
import { isLoopback } from './units.ts'

export interface Finding {
  readonly level: 'error' | 'warning'
  readonly where: string
  readonly message: string
}
export type FilterMistake = (table: string, where: string) => string | null
export interface Checked {
  readonly policies: readonly PolicyRules[]
  readonly resources: readonly Resource[]
  readonly issuers: readonly string[]
  /** Groups known without asking an issuer; null when an issuer produces groups, so that any may exist. */
  readonly groups: readonly string[] | null
  readonly detectors?: readonly string[]
  /** Why a row filter can't be used, or null. Given by who has the grammar at hand; without it filters are read when a session meets them. */
  readonly filterMistake?: FilterMistake
  /** Where a resource stands in the file. */
  readonly placeOf?: (resource: Resource) => string
}

export function checkPolicies(checked: Checked): Finding[] {
  const findings: Finding[] = []
  const add = (level: Finding['level'], where: string, message: string) => {
    findings.push({ level, where, message })
  }
  const names = new Set<string>()
  for (const policy of checked.policies) {
    if (names.has(policy.name)) add('error', policy.at, `a second policy named \`${policy.name}\``)
    names.add(policy.name)
    checkWho(policy, checked, add)
    checkScope(policy, checked, add)
    checkTags(policy, checked, add)
    checkRules(policy, checked.detectors ?? DETECTOR_NAMES, checked.filterMistake, add)
  }
  for (const resource of checked.resources) checkResource(resource, checked, add)
  return findings
}

/** Findings of a text that is not in force: its mistakes, or what `checkPolicies` finds. */
export function checkPolicyText(text: string, file: string, about: Omit<Checked, 'policies'>): Finding[] {
  try {
    return checkPolicies({ ...about, policies: parsePolicies(text, file) })
  } catch (error) {
    if (!(error instanceof ConfigErrors)) throw error
    // The place is part of each message already.
    return error.list.map(mistake => ({ level: 'error', where: mistake.where, message: mistake.message.slice(mistake.where.length + 2) }))
  }
}

/** Where a field is a column of a table of a schema. */
const COLUMNS_IN_TABLES: ReadonlySet<string> = new Set(['postgres', 'mysql'])
const protocolsOf = (policy: PolicyRules) => policy.on.protocols ?? PROTOCOLS_BUILT
/** Dots inside of "quotes" are part of a name. */
const segmentsOf = (field: string) => field.replace(/"(?:[^"]|"")+"/g, 'x').split('.').length

type Add = (level: Finding['level'], where: string, message: string) => void

function checkWho(policy: PolicyRules, checked: Checked, add: Add): void {
  const { users, groups, agents, issuers } = policy.who
  const named = [...users, ...groups, ...(agents === 'any' ? [] : agents)]
  for (const issuer of [...issuers, ...named.map(entry => entry.issuer).filter(name => name !== null)]) {
    if (issuer !== 'sluice' && !checked.issuers.includes(issuer)) add('warning', policy.at, `policy ${policy.name}: no issuer is named \`${issuer}\``)
  }
  if (checked.groups !== null)
    for (const { name } of groups)
      if (!checked.groups.includes(name)) add('warning', policy.at, `policy ${policy.name}: nothing puts anyone in group \`${name}\``)
}

function checkScope(policy: PolicyRules, checked: Checked, add: Add): void {
  for (const name of policy.on.resources ?? [])
    if (!checked.resources.some(resource => resource.name === name)) add('warning', policy.at, `policy ${policy.name}: no resource is named \`${name}\``)
  if (!checked.resources.some(resource => isWithin(policy.on, resource)))
    add('warning', policy.at, `policy ${policy.name} is about no resource that is declared here`)
}

const isWithin = (on: Scope, resource: Resource) =>
  (on.resources === null || on.resources.includes(resource.name)) &&
  (on.protocols === null || on.protocols.includes(resource.protocol)) &&
  Object.entries(on.labels).every(([key, values]) => values.includes(resource.labels[key] ?? ''))

/** A policy that speaks of a tag is about every resource in its scope: one that does not declare it would be open to nobody. */
function checkTags(policy: PolicyRules, checked: Checked, add: Add): void {
  const rules = [...policy.mask, ...policy.deny, ...policy.budget, ...policy.filter]
  const known = [...new Set(checked.resources.flatMap(resource => Object.keys(resource.tags ?? {})))]
  for (const tag of tagsOf(policy)) {
    const where = rules.find(rule => rule.tags.includes(tag))?.at ?? policy.at
    for (const resource of checked.resources.filter(one => isWithin(policy.on, one) && !Object.hasOwn(one.tags ?? {}, tag))) {
      const meant = nearest(tag, known)
      add('error', where, `policy ${policy.name}: resource ${resource.name} declares no tag \`${tag}\`${meant === null ? '' : `; did you mean \`${meant}\`?`}: give it one, with [] if no column carries it`)
    }
  }
  for (const rule of policy.filter)
    for (const resource of checked.resources.filter(one => isWithin(policy.on, one))) {
      const field = withoutTable(rule, resource.tags ?? {})
      if (field !== null) add('error', rule.at, `rule ${rule.name}: under the tag of resource ${resource.name}, \`${field}\` says no table that could be filtered`)
    }
}

function checkRules(policy: PolicyRules, detectors: readonly string[], filterMistake: FilterMistake | undefined, add: Add): void {
  const seen = new Set<string>()
  for (const rule of [...policy.deny, ...policy.review]) {
    if (seen.has(rule.name)) add('error', rule.at, `policy ${policy.name}: a second rule named \`${rule.name}\``)
    seen.add(rule.name)
    if (rule.rows === 0 || rule.bytes === 0) add('warning', rule.at, `rule ${rule.name}: a limit of 0 stops every answer`)
  }
  for (const rule of policy.review) {
    const deny =
      policy.mode === 'enforce' &&
      policy.deny.find(
        other =>
          other.when === null &&
          other.rows === null &&
          other.bytes === null &&
          other.fields.length + other.tags.length + other.detect.length === 0 &&
          covered(other.operations, rule.operations),
      )
    if (deny) add('warning', rule.at, `rule ${rule.name} can never ask anyone: rule ${deny.name} refuses all that it is about`)
  }
  for (const mask of policy.mask) {
    if (mask.with === 'token' && mask.detect.length > 0) add('warning', mask.at, `rule ${mask.name}: \`token\` is for fields: what detectors find is hidden like \`redact\``)
    if (mask.lookups !== null && mask.fields.length + mask.tags.length === 0) add('warning', mask.at, `rule ${mask.name}: \`lookups\` is about fields, and there are none`)
  }
  for (const rule of [...policy.mask, ...policy.deny])
    for (const { name, pattern } of rule.detect) {
      if (pattern === null && !detectors.includes(name))
        add('error', rule.at, `rule ${rule.name}: no detector is named \`${name}\`: ${detectors.join(', ')}, or { name, pattern }`)
      if (pattern !== null && detectors.includes(name)) add('error', rule.at, `rule ${rule.name}: \`${name}\` is a built-in detector: give yours another name`)
    }
  for (const rule of [...policy.mask, ...policy.deny])
    for (const field of rule.fields)
      if (protocolsOf(policy).some(protocol => COLUMNS_IN_TABLES.has(protocol)) && segmentsOf(field) > 3)
        add('error', rule.at, `rule ${rule.name}: \`${field}\` has more parts than schema.table.column: it would match no column`)
  if ((policy.commands !== null || policy.shell !== 'none') && !protocolsOf(policy).some(protocol => protocol === 'ssh' || protocol === 'kubernetes'))
    add('warning', policy.at, `policy ${policy.name}: \`commands\` and \`shell\` are about SSH and exec, which are not built yet`)
  for (const rule of policy.budget)
    if (rule.then === 'review' && (rule.reviewers === null || rule.reviewers.groups.length + rule.reviewers.users.length === 0)) {
      add('error', rule.at, `rule ${rule.name}: \`then: review\` needs reviewers, and the policy's reviews have none in common`)
    }
  for (const rule of policy.filter) {
    const mistake = filterMistake?.(rule.tags.length > 0 ? '*.tagged' : rule.table, rule.where) ?? null
    if (mistake !== null) add('error', rule.at, `rule ${rule.name}: the filter of ${rule.tags.length > 0 ? `what is tagged ${rule.tags.join(', ')}` : rule.table} can't be used: ${mistake}`)
  }
  for (const rule of policy.allow)
    for (const operation of rule.operations) {
      const deny = policy.deny.find(
        other =>
          other.when === null &&
          other.rows === null &&
          other.bytes === null &&
          other.fields.length + other.tags.length + other.detect.length === 0 &&
          covered(other.operations, [operation]),
      )
      if (deny !== undefined) add('warning', rule.at, `policy ${policy.name} allows ${operation}, and its rule ${deny.name} refuses all of it`)
    }
  if (policy.mode === 'observe' && policy.allow.length > 0) add('warning', policy.at, `policy ${policy.name} only observes: what it allows is not granted`)
}

/** Whether every one of `inner` lies within `outer`. Classes are only within themselves. */
const covered = (outer: readonly string[] | null, inner: readonly string[] | null) =>
  outer !== null &&
  inner !== null &&
  inner.every(operation => outer.some(name => (isClass(name) || isClass(operation) ? name === operation : coversOperation(name, operation, 'unknown'))))
const isClass = (name: string) => (CLASSES as readonly string[]).includes(name)

function checkResource(resource: Resource, checked: Checked, add: Add): void {
  const where = checked.placeOf?.(resource) ?? resource.name
  if (resource.refused) add('warning', where, `resource ${resource.name}: ${resource.refused}: no session can be opened on it`)
  if (resource.ca !== null && resource.tls === 'disable') add('warning', where, `resource ${resource.name}: \`ca\` is not used without TLS`)
  const away = !resource.addresses.every(isLoopback)
  if (away && resource.tls === 'disable') add('warning', where, `resource ${resource.name}: reached without TLS although it is not on this machine`)
  if (away && resource.tls === 'require') add('warning', where, `resource ${resource.name}: \`tls: require\` does not check whom it talks to`)
  if (!checked.policies.some(policy => policy.mode === 'enforce' && policy.allow.length > 0 && isWithin(policy.on, resource)))
    add('warning', where, `resource ${resource.name}: no policy lets anyone use it`)
}
