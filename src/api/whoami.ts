// GET /api/whoami: who the caller is, as Sluice sees it.
import { type Api, json, route } from './route.ts'
import { whoamiSchema } from './schema.ts'

export function whoami(api: Api): void {
  route(api, 'token', json({ method: 'get', path: '/api/whoami', summary: 'Who you are' }, whoamiSchema), (c) => {
    const { identity, admin, auditor, boundTo } = c.get('caller')
    const { subject, issuer, groups, agent, onBehalfOf, expiresAtMs } = identity
    return c.json({ subject, issuer, groups: [...groups], agent, onBehalfOf, expiresAtMs, admin, auditor, boundTo }, 200)
  })
}
