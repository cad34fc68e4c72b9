/** Who asks, how it was proved, and for an agent on whose behalf. Never a database user. */
export interface Identity {
  /** The configured subject claim, e.g. an e-mail. Unique within its issuer. */
  readonly subject: string
  /** Name of the issuer in sluice.yaml; `sluice` for break-glass accounts. */
  readonly issuer: string
  readonly groups: readonly string[]
  /** True when the token says an AI agent acts (claim `act`, or a configured claim). */
  readonly agent: boolean
  /** The person an agent acts for, when its token names one. */
  readonly onBehalfOf: string | null
  /** SHA-256 (hex) of the presented credential: what revocation and the record name, never the credential. */
  readonly credentialHash: string
  /** The token's own id (`jti`), when it has one. */
  readonly tokenId: string | null
  /** Unix milliseconds after which no new session may open and open ones end within 30 s. */
  readonly expiresAtMs: number
}

/** Groups that the configuration gives a person of an issuer, beside those of their token. */
export interface Declared { readonly subject: string; readonly issuer: string; readonly groups: readonly string[] }
const byPerson = new WeakMap<readonly Declared[], ReadonlyMap<string, readonly string[]>>()
export function declaredGroups(people: readonly Declared[], issuer: string, subject: string): readonly string[] {
  let known = byPerson.get(people)
  if (known === undefined) { known = new Map(people.map(person => [`${person.issuer} ${person.subject}`, person.groups])); byPerson.set(people, known) }
  return known.get(`${issuer} ${subject}`) ?? []
}
/** The identity with the groups that the configuration gives it. An agent gets none: they are given to people. */
export function withDeclared(identity: Identity, people: readonly Declared[]): Identity {
  const groups = identity.agent ? [] : declaredGroups(people, identity.issuer, identity.subject)
  return groups.length === 0 ? identity : { ...identity, groups: [...new Set([...identity.groups, ...groups])] }
}

/** How an identity is written for people: `agent@corp for ana@corp`. */
export function describeIdentity(identity: Identity): string {
  return identity.onBehalfOf === null ? identity.subject : `${identity.subject} for ${identity.onBehalfOf}`
}
