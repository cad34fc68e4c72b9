// POST /api/emergency: a break-glass account gets a token for an hour, so that its secret goes back into the safe. Loud as each of its uses.
import { BREAK_GLASS_SESSION_MS } from '../auth/break-glass.ts'
import { NotAllowed } from '../core/errors.ts'
import { act } from './act.ts'
import { type Api, json, route } from './route.ts'
import { mintedSchema } from './schema.ts'

export function emergency(api: Api): void {
  const { ports } = api
  route(api, 'person', json({ method: 'post', path: '/api/emergency', summary: 'A token of an hour for a break-glass account' }, mintedSchema), async (c) => {
    const caller = c.get('caller')
    const { identity, proved, tokenId } = caller
    // A token makes no token: the hour would have no end.
    if (identity.issuer !== 'sluice' || tokenId !== null) throw new NotAllowed('only a break-glass account, with its own secret, may ask this')
    return c.json(await act(ports, caller, 'emergency.token', identity.subject, {}, () => ports.store.emergency.issue(proved.subject, proved.groups, BREAK_GLASS_SESSION_MS)), 200)
  })
}
