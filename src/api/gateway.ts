// GET /api/gateway: what a client must know before it can sign in: where, with which CA, and where the wire protocols listen.
import { type Api, json, route } from './route.ts'
import { gatewaySchema } from './schema.ts'

export function gateway(api: Api): void {
  route(api, 'anyone', json({ method: 'get', path: '/api/gateway', summary: 'How to reach and trust this gateway, and where to sign in' }, gatewaySchema), (c) => {
    const { version, issuers, entry } = api.ports.facts()
    return c.json({
      version, ca: entry?.ca ?? null, postgres: entry?.postgres ?? null,
      // A client with a secret is the page's alone: a program on someone's machine can't keep one.
      issuers: issuers.map(({ name, issuer, clientId, clientSecret, scopes }) => ({ name, issuer, clientId, scopes: [...scopes], forPrograms: clientSecret === null })),
    }, 200)
  })
}
