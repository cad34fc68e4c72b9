// An identity provider as sluice.yaml names it, and the rules for the addresses that are asked for it.

export interface Issuer {
  /** Its name in Sluice; never `sluice`, which is the name of our own accounts. */
  readonly name: string
  /** Exactly as its tokens write it in `iss`. */
  readonly issuer: string
  /** A token must be for one of these. */
  readonly audience: readonly string[]
  /** Claim that names who asks. `email` counts only with `email_verified: true`. */
  readonly subject: string
  /** Claim with the groups, dotted for a nested one (`realm_access.roles`); null: no groups. */
  readonly groups: string | null
  /** How an AI agent's token is told from a person's, beside the claim `act`, which is always understood. */
  readonly agent: AgentClaim | null
}
export interface AgentClaim {
  /** The token is an agent's when this claim is present and, if `values` are given, is one of them. */
  readonly claim: string
  readonly values: readonly string[] | null
  /** Claim that names the agent; null: the issuer's `subject`. */
  readonly subject: string | null
  /** Claim that names the person it acts for; null: none. */
  readonly onBehalfOf: string | null
}

/** Why an address may not be asked, as a sentence; null when it may: https, or http to this very machine. */
export function addressProblem(text: string): string | null {
  let url: URL
  try { url = new URL(text) } catch { return 'it is no URL' }
  if (url.username !== '' || url.password !== '') return 'it holds a password'
  if (url.hash !== '') return 'it holds a fragment'
  if (url.protocol === 'https:') return null
  if (url.protocol !== 'http:') return 'it is neither https:// nor http://'
  return isLoopbackName(url.hostname) ? null : 'http:// is taken only on a loopback address: use https://'
}

const isLoopbackName = (host: string) => host === 'localhost' || host === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
