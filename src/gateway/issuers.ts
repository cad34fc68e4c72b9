// Issuers as the configuration writes them → as a token is checked against them.
import type { Issuer } from '../auth/issuer.ts'
import type { Config } from '../config.ts'

export function issuersOf(config: Config): readonly Issuer[] {
  return config.identity.issuers.map(({ name, issuer, audience, subject, groups, agent, onBehalf }) => ({
    name, issuer, audience, subject, groups, agent: agent === null ? null : { claim: agent, values: null, subject: null, onBehalfOf: onBehalf },
  }))
}
