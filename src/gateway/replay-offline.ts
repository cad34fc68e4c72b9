// What the policies of a file would say of statements that were recorded: by the effects that the record has of each, for the identity and the
// resource of its session. Masks, budgets and what an answer's size leads to are not replayed: they depend on data.
import type { Config } from '../config.ts'
import { compilePolicies } from '../core/compile.ts'
import { type Identity, withDeclared } from '../core/identity.ts'
import type { Effect, Statement } from '../core/statement.ts'
import { requestDetector } from './detection.ts'

export interface Recorded { readonly kind: string; readonly body: unknown }
export interface Changed { readonly run: number; readonly text: string; readonly was: string; readonly wasRule: string; readonly now: string; readonly nowRule: string }
export interface Replayed { readonly statements: number; readonly unread: number; readonly changed: readonly Changed[] }

interface Opened { readonly identity: Identity; readonly resource: string; readonly database: string; readonly client: string }
interface Asked { readonly run: number; readonly of?: number; readonly text?: string; readonly effects?: readonly Effect[]; readonly parameters?: readonly string[]; readonly verdict: string; readonly rule: string; readonly review?: object }

/** The events of one session, in their order. */
export async function replayOffline(config: Config, session: string, events: AsyncIterable<Recorded>): Promise<Replayed> {
  const policies = compilePolicies(config.policies, { detector: requestDetector })
  const texts = new Map<number, { readonly text: string; readonly effects: readonly Effect[] }>()
  const changed: Changed[] = []
  const dependOnData = new Set(config.policies.flatMap((policy) => [...policy.mask, ...policy.budget, ...policy.filter, ...[...policy.deny, ...policy.review].filter(({ rows, bytes }) => rows !== null || bytes !== null)].map(({ name }) => `${policy.name}/${name}`)))
  let [statements, unread] = [0, 0]
  let opened: Opened | null = null
  for await (const { kind, body: raw } of events) {
    const body = (typeof raw === 'string' ? JSON.parse(raw) : raw) as unknown
    if (kind === 'opened') opened = body as Opened
    if (kind !== 'asked' || opened === null) continue
    const asked = body as Asked
    const own = asked.text === undefined || asked.effects === undefined ? null : { text: asked.text, effects: asked.effects }
    if (own !== null) texts.set(asked.run, own)
    const said = own ?? texts.get(asked.of ?? 0)
    if (said === undefined) { unread++; continue }
    statements++
    const resource = config.resources.find(({ name }) => name === opened!.resource)
    const grant = resource === undefined ? null : policies.grant(withDeclared(opened.identity, config.identity.people), resource)
    const was = asked.review !== undefined ? 'review' : asked.verdict === 'modify' ? 'allow' : asked.verdict
    const judged = grant === null ? { kind: 'deny' as const, rule: 'no such resource' } : grant.judge(statementOf(said), { id: session, database: opened.database, client: opened.client, startedAtMs: 0 }, asked.parameters)
    // A review that was denied or ran out is recorded as a refusal by its rule.
    const same = judged.kind === was || (judged.kind === 'review' && was === 'deny' && judged.rule === asked.rule) || (judged.kind === 'allow' && was === 'deny' && dependOnData.has(asked.rule))
    if (!same) changed.push({ run: asked.run, text: said.text, was, wasRule: asked.rule, now: judged.kind, nowRule: judged.rule })
  }
  return { statements, unread, changed }
}

const statementOf = ({ text, effects }: { readonly text: string; readonly effects: readonly Effect[] }): Statement =>
  ({ text, effects, shown: text, masking: null, rowsMax: Infinity, exempt: false, single: false, guarded: false })
