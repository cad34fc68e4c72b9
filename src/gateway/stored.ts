// The file's configuration and what was registered through the API beside it. The file wins over a name of its own. A resource or an
// issuer that can't be read is left out: it opens nothing. A policy that can't be read closes everything: what it refused is not known.
import { checkPolicies, type Config, type Finding, deepFreeze, issuerConfig, type IssuerConfig } from '../config.ts'
import type { FilterMistake } from '../core/check.ts'
import { parseWith, sourceOf } from '../core/document.ts'
import { ConfigErrors, ConfigInvalid } from '../core/errors.ts'
import { parsePolicies, type PolicyRules } from '../core/policy-rules.ts'
import type { Resource } from '../core/resource.ts'
import { parseResource } from '../core/resource-rules.ts'
import { issuerSchema } from '../config/schema.ts'

export type StoredKind = 'resource' | 'policy' | 'issuer'
/** As the store holds it. */
export interface StoredObject { readonly kind: StoredKind; readonly name: string; readonly body: unknown }

export interface Merged { readonly config: Config; /** What is not in force, and why. */ readonly leftOut: readonly string[] }

export function withStored(config: Config, stored: readonly StoredObject[]): Merged {
  const leftOut: string[] = []
  const [resources, policies, issuers] = [[...config.resources], [...config.policies], [...config.identity.issuers]]
  for (const { kind, name, body } of stored) {
    const declared: readonly { readonly name: string }[] = kind === 'resource' ? resources : kind === 'policy' ? policies : issuers
    if (declared.some(one => one.name === name)) { leftOut.push(`${kind} ${name}: the file declares one of this name`); continue }
    try {
      if (kind === 'resource') resources.push(storedResource(name, body, config.folder))
      else if (kind === 'policy') policies.push(storedPolicy(name, body))
      else issuers.push(storedIssuer(name, body, config.folder, issuers))
    } catch (error) {
      leftOut.push(`${kind} ${name}: ${error instanceof Error ? error.message : 'not readable'}`)
      if (kind === 'policy') policies.push(unreadable(name))
    }
  }
  return { config: deepFreeze({ ...config, resources, policies, identity: { ...config.identity, issuers } }), leftOut }
}

export const storedResource = (name: string, body: unknown, folder: string): Resource => parseResource({ ...(body as object), name }, { origin: 'store', folder })

/** Throws ConfigErrors. */
export function storedPolicy(name: string, body: unknown): PolicyRules {
  const [policy] = parsePolicies([{ ...(body as object), name }], name)
  if (policy === undefined) throw new ConfigErrors([new ConfigInvalid('no policy', name)])
  return policy
}

/** Throws ConfigErrors. Its secret comes from the store: a path or a variable of the gateway is not an API client's to name. */
export function storedIssuer(name: string, body: unknown, folder: string, others: readonly IssuerConfig[]): IssuerConfig {
  const mistakes: ConfigInvalid[] = []
  const source = sourceOf({ ...(body as object), name }, '')
  const mistake = (key: string, message: string) => { mistakes.push(new ConfigInvalid(message, source.locate([key]))) }
  const read = parseWith(issuerSchema, source, mistakes)
  if (read === null) throw new ConfigErrors(mistakes)
  const secret = read.client_secret ?? { kind: 'none' }
  if (secret.kind !== 'store' && secret.kind !== 'none') mistake('client_secret', 'an issuer registered here takes its secret from the store: { store: NAME }')
  if (read.client_secret !== undefined && read.client_id === undefined) mistake('client_secret', '`client_secret` without `client_id`')
  if (others.some(other => other.name !== name && other.issuer === read.issuer)) mistake('issuer', 'a second issuer with this address: a token would have two meanings')
  if (mistakes.length > 0) throw new ConfigErrors(mistakes)
  return issuerConfig(read, folder)
}

/** What is suspicious about one policy beside those in force; errors keep it out. */
export function findingsOf(policy: PolicyRules, config: Config, filterMistake: FilterMistake): readonly Finding[] {
  const beside = checkPolicies({ policies: [...config.policies.filter(other => other.name !== policy.name), policy], resources: config.resources, issuers: config.identity.issuers.map(issuer => issuer.name), groups: null, filterMistake })
  return beside.filter(({ where }) => where === policy.at || where.startsWith(`${policy.at}.`))
}

const unreadable = (name: string): PolicyRules => ({
  at: name, name, mode: 'enforce', who: { users: [], groups: [], agents: [], issuers: [], any: true }, on: { resources: null, protocols: null, labels: {} },
  allow: [], review: [], mask: [], budget: [], filter: [], commands: null, shell: 'none',
  deny: [{ at: name, name: 'unreadable', operations: ['session', 'read', 'write', 'admin'], when: null, rows: null, bytes: null, fields: [], tags: [], detect: [], message: `policy ${name} in the store can't be read: nothing runs until an admin repairs or removes it` }],
})
