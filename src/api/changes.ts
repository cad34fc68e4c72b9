// A change of what Sluice enforces. What only tightens is done at once; what may loosen waits for a second admin, as a review: nobody
// approves their own, it covers exactly what was shown, once, and for a time. After the approval the same request is sent again.
import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { SluiceError } from '../core/errors.ts'
import { canonical } from '../core/loosening.ts'
import { partyOf } from '../store/review_rows.ts'
import type { StoredObject } from '../store/objects.ts'
import type { Caller } from './access.ts'
import { act } from './act.ts'
import type { ApiPorts } from './ports.ts'

/** How long a change waits for a second admin, and then for being sent again. */
export const CHANGE_WITHIN_MS = 86_400_000

export interface Change<T> {
  /** `policy.put`, `issuer.remove`. */
  readonly action: string
  readonly name: string
  readonly before: StoredObject | null
  /** The body as it will stand; null: removed. */
  readonly after: unknown
  /** Why it may let something through that was refused before; null when it can't. */
  readonly loosens: string | null
  readonly work: () => Promise<T>
}
export type Changed<T> = { readonly done: T } | { readonly review: string; readonly url: string; readonly why: string }

export async function change<T>(ports: ApiPorts, caller: Caller, asked: Change<T>): Promise<Changed<T>> {
  const { action, name, before, after, loosens } = asked
  const body = after === null ? null : canonical(after)
  const detail = { version: before?.version ?? 0, body }
  if (loosens === null) return { done: await applied(ports, caller, asked, detail) }
  const { admins } = ports.facts()
  const found = await ports.redeem({
    session: '-', run: 0, resource: 'sluice', database: '', requester: caller.identity.subject, onBehalfOf: null, parties: [partyOf(caller.identity)],
    rule: 'two-admins', reason: `${action} ${name}: ${loosens}`, kind: 'change', parameters: [], text: shown(asked),
    binding: createHash('sha256').update(canonical([action, name, before?.version ?? 0, before?.body ?? null, after, caller.party, admins])).digest('hex'),
    terms: { reviewers: { groups: [...admins.groups], users: [...admins.users] }, withinMs: CHANGE_WITHIN_MS, wait: 'refuse' },
  })
  if (found.kind === 'failed') throw new SluiceError('CONFLICT', `a second admin could not be asked: ${found.why}`)
  if (found.kind === 'released') return { done: await applied(ports, caller, asked, { ...detail, review: found.id, approvedBy: found.by }) }
  await act(ports, caller, `${action}.asked`, name, { ...detail, review: found.id }, async () => {})
  return { review: found.id, url: found.url, why: `${loosens}: another admin must approve it, then send the same again` }
}

/** 200 with what is now in force, or 202: nothing has changed yet. */
export async function answered<T>(c: Context, changing: Promise<Changed<T>>, done: (value: T) => object): Promise<never> {
  const changed = await changing
  return ('done' in changed ? c.json(done(changed.done), 200) : c.json({ review: changed.review, url: changed.url, why: changed.why }, 202)) as never
}

async function applied<T>(ports: ApiPorts, caller: Caller, { action, name, work }: Change<T>, detail: Readonly<Record<string, string | number | null>>): Promise<T> {
  const result = await act(ports, caller, action, name, detail, work)
  await ports.reload()
  return result
}

/** Complete, so that who decides reads what will be in force and what was. */
function shown({ action, name, before, after }: Change<unknown>): string {
  const words = (value: unknown) => JSON.stringify(value, null, 2)
  return [`${action} ${name}`, ...(before === null ? [] : [`-- in force (version ${before.version})`, words(before.body)]), after === null ? '-- removed' : `-- then`, ...(after === null ? [] : [words(after)])].join('\n')
}
