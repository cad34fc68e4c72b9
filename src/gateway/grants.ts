// What an identity may do on a resource, in words: for `sluice resources` and the API.
import type { Grant as View } from '../api/schema.ts'
import type { Config } from '../config.ts'
import { type CompiledPolicies, isAbout } from '../core/compile.ts'
import type { Identity } from '../core/identity.ts'
import type { Resource } from '../core/resource.ts'

export function grantView(policies: CompiledPolicies, identity: Identity, resource: Resource, config: Config): View | null {
  const grant = policies.grant(identity, resource)
  if (!grant.opens) return null
  const about = policies.policies.filter((policy) => policy.mode === 'enforce' && isAbout(policy, identity, resource))
  const words = (rule: { name?: string | null; operations?: readonly string[]; rows?: number | null; bytes?: number | null }) =>
    [rule.name ?? 'rule', (rule.operations ?? []).join(', '), rule.rows == null ? '' : `more than ${rule.rows} rows`, rule.bytes == null ? '' : `more than ${rule.bytes} bytes`].filter((part) => part !== '').join(': ')
  const listen = config.gateway.listen.postgres
  return {
    name: resource.name, protocol: resource.protocol, labels: { ...resource.labels }, database: resource.database,
    allows: [...new Set(about.flatMap((policy) => policy.allow.flatMap((rule) => [...rule.operations])))],
    masked: [...grant.fields.map(({ pattern, with: kind, rule }) => ({ fields: pattern, with: kind, rule })), ...grant.detectors.map(({ detector, with: kind, rule }) => ({ fields: `any text: ${detector}`, with: kind, rule }))],
    reviewed: about.flatMap((policy) => policy.review.map((rule) => words(rule as never))), denied: about.flatMap((policy) => policy.deny.map((rule) => words(rule as never))),
    connect: listen === undefined ? [] : [`psql "host=${listen.host === '0.0.0.0' ? 'localhost' : listen.host} port=${listen.port} dbname=${resource.name} user=you sslmode=require"`],
  }
}
