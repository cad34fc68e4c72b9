// /api/secrets: sealed on the way in by the process that has the key, named in lists, and never given out by any route.
import { z } from '@hono/zod-openapi'
import { act } from './act.ts'
import { NotFound } from './errors.ts'
import { type Api, body, json, route } from './route.ts'
import { doneSchema, nameParameter, secretInfoSchema, secretInput } from './schema.ts'

export function secrets(api: Api): void {
  const { ports } = api
  const path = '/api/secrets/{name}' as const
  route(api, 'admin', json({ method: 'get', path: '/api/secrets', summary: 'Names of the sealed secrets' }, z.array(secretInfoSchema)), async (c) =>
    c.json(await ports.store.secrets.list(), 200),
  )

  route(
    api,
    'admin',
    json({ method: 'put', path, request: { params: nameParameter, body: body(secretInput) }, summary: 'Seal a secret under a name' }, doneSchema),
    async (c) => {
      const { name } = c.req.valid('param')
      const caller = c.get('caller')
      await act(ports, caller, 'secret.put', name, {}, async () => {
        const { keyId, bytes } = await ports.seal(name, c.req.valid('json').value)
        await ports.store.secrets.putSealed(name, keyId, bytes, caller.party)
      })
      return c.json({ done: true as const }, 200)
    },
  )

  route(api, 'admin', json({ method: 'delete', path, request: { params: nameParameter }, summary: 'Forget a secret' }, doneSchema), async (c) => {
    const { name } = c.req.valid('param')
    if (!(await act(ports, c.get('caller'), 'secret.remove', name, {}, () => ports.store.secrets.remove(name)))) throw new NotFound('secret')
    return c.json({ done: true as const }, 200)
  })
}
