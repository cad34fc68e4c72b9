// Policies as data → a PolicySet: which policies are about an identity and a resource, and one Grant that answers for all of them.
// Never grants on a policy that only observes, and never opens where a configured rule can't be enforced.
import { createHash } from 'node:crypto'
import type { Identity } from './identity.ts'
import { CompiledGrant } from './grant.ts'
import type { GrantSettings } from './grant.ts'
import { canonical } from './loosening.ts'
import { matchesScope, matchesWho } from './match.ts'
import { classOf } from './operations.ts'
import type { ClassOf } from './operations.ts'
import type { PolicySet } from './policy.ts'
import type { PolicyRules } from './policy-rules.ts'
import type { Resource } from './resource.ts'
import type { RequestDetector } from './rules.ts'
import { tagsOf, withTags } from './tags.ts'

export interface CompileOptions {
  /** Built-in detectors for `detect` on deny rules. Without it such a rule refuses whatever it is about. */
  readonly detector?: RequestDetector
  /** The class an operation is of by its name; default: operations.ts. Null counts as admin. */
  readonly classOf?: ClassOf
}
export interface CompiledPolicies extends PolicySet {
  readonly policies: readonly PolicyRules[]
  readonly settings: GrantSettings
}

export function compilePolicies(policies: readonly PolicyRules[], options: CompileOptions = {}): CompiledPolicies {
  const version = policiesVersion(policies)
  const settings = { version, detector: options.detector ?? (() => null), classOf: options.classOf ?? classOf }
  return {
    version,
    policies,
    settings,
    grant(identity, resource) {
      const about = policies.filter(policy => isAbout(policy, identity, resource))
      const tags = resource.tags ?? {}
      // What tags stand for is part of what is in force.
      const inForce = about.some(policy => tagsOf(policy).length > 0) ? { ...settings, version: createHash('sha256').update(version).update(canonical(tags)).digest('hex') } : settings
      return new CompiledGrant(about.map(policy => withTags(policy, tags)), identity, resource, inForce)
    },
  }
}

export const isAbout = (policy: PolicyRules, identity: Identity, resource: Resource) => matchesWho(policy.who, identity) && matchesScope(policy.on, resource)

/** SHA-256 over the canonical JSON of the policies: the same rules, wherever they stand, have the same version. */
export const policiesVersion = (policies: readonly PolicyRules[]) => createHash('sha256').update(canonical(policies)).digest('hex')
