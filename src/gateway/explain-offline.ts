// What the policies of a file say of a statement, without a gateway, a database or an identity provider: for `sluice policy explain|test`.
// Tables are not looked up: a rule about columns applies only as far as the text itself names them.
import type { Config } from '../config.ts'
import { compilePolicies } from '../core/compile.ts'
import { NoSuchResource } from '../core/errors.ts'
import { withDeclared } from '../core/identity.ts'
import { explain, type Explanation } from '../core/explain.ts'
import { requestDetector } from './detection.ts'
import { statementOf } from './offline.ts'

export interface Supposed { readonly subject: string; readonly issuer: string; readonly groups: readonly string[]; readonly agent: boolean }

export async function explainOffline(config: Config, who: Supposed, name: string, text: string): Promise<Explanation> {
  const resource = config.resources.find((one) => one.name === name)
  if (resource === undefined) throw new NoSuchResource(`no resource is named ${name} in ${config.file}`)
  const policies = compilePolicies(config.policies, { detector: requestDetector })
  const identity = withDeclared({ ...who, onBehalfOf: null, credentialHash: 'explain', tokenId: null, expiresAtMs: Number.MAX_SAFE_INTEGER }, config.identity.people)
  return explain(policies, identity, resource, await statementOf(text))
}
