// /api/tokens: short-lived credentials for standard clients. A token is for one resource that its maker may open, and shows its
// secret once.
import { z } from '@hono/zod-openapi'
import { NoSuchResource } from '../core/errors.ts'
import { act } from './act.ts'
import { NotFound } from './errors.ts'
import { type Api, body, json, route } from './route.ts'
import { doneSchema, idParameter, mintedSchema, tokenInput, tokenSchema } from './schema.ts'

export function tokens(api: Api): void {
  const { ports } = api
  route(
    api,
    'person',
    json({ method: 'post', path: '/api/tokens', request: { body: body(tokenInput) }, summary: 'A short-lived credential for one resource' }, mintedSchema),
    async (c) => {
      const { resource, ttlSeconds } = c.req.valid('json')
      const caller = c.get('caller')
      if (!(await ports.grants(caller.identity)).some(({ name }) => name === resource))
        throw new NoSuchResource(`no such resource, or none you may reach: ${resource}`)
      return c.json(
        await act(ports, caller, 'token.mint', resource, { ttlSeconds }, () =>
          ports.store.tokens.mint(caller.proved, 'resource', resource, ttlSeconds * 1_000),
        ),
        200,
      )
    },
  )

  route(
    api,
    'person',
    json(
      {
        method: 'get',
        path: '/api/tokens',
        request: { query: z.object({ all: z.enum(['true', 'false']).optional() }) },
        summary: 'Valid tokens: your own, or all for admins',
      },
      z.array(tokenSchema),
    ),
    async (c) => {
      const caller = c.get('caller')
      return c.json(await ports.store.tokens.list(c.req.valid('query').all === 'true' && caller.admin ? null : caller.party), 200)
    },
  )

  route(
    api,
    'person',
    json({ method: 'delete', path: '/api/tokens/{id}', request: { params: idParameter }, summary: 'Revoke a token and end its sessions' }, doneSchema),
    async (c) => {
      const { id } = c.req.valid('param')
      const caller = c.get('caller')
      if (!(await act(ports, caller, 'token.revoke', id, {}, () => ports.store.tokens.revoke(id, caller.admin ? null : caller.party, caller.party))))
        throw new NotFound('token')
      return c.json({ done: true as const }, 200)
    },
  )
}
