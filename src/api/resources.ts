// /api/resources: what I may reach; for admins what the store declares, to be registered, changed, removed and tested. What the
// file declares is read-only here.
import { SluiceError } from '../core/errors.ts'
import type { StoredObject } from '../store/objects.ts'
import { act } from './act.ts'
import { NotFound } from './errors.ts'
import { type Api, body, json, route } from './route.ts'
import { classifiedSchema, doneSchema, grantSchema, nameParameter, resourceInput, storedObjectSchema, testSchema } from './schema.ts'
import { z } from '@hono/zod-openapi'

export function resources(api: Api): void {
  const { ports } = api
  const path = '/api/resources/{name}' as const
  const refuseDeclaredInFile = (name: string) => {
    if (ports.facts().resources.some((resource) => resource.name === name && resource.origin === 'file'))
      throw new SluiceError('CONFLICT', `${name} is declared in the gateway's file: change it there`)
  }
  const view = ({ name, body: declared, version, changedAtMs, changedBy }: StoredObject) => ({ name, body: declared, version, changedAtMs, changedBy })

  route(
    api,
    'person',
    json({ method: 'get', path: '/api/resources', summary: 'What you may reach, how, what is masked there and what needs a review' }, z.array(grantSchema)),
    async (c) => c.json([...(await ports.grants(c.get('caller').identity))], 200),
  )

  route(
    api,
    'admin',
    json({ method: 'get', path, request: { params: nameParameter }, summary: 'A registered resource as declared' }, storedObjectSchema),
    async (c) => {
      const stored = await ports.store.objects.get('resource', c.req.valid('param').name)
      if (stored === null) throw new NotFound('registered resource')
      return c.json(view(stored), 200)
    },
  )

  route(
    api,
    'admin',
    json({ method: 'put', path, request: { params: nameParameter, body: body(resourceInput) }, summary: 'Register or change a resource' }, storedObjectSchema),
    async (c) => {
      const { name } = c.req.valid('param')
      const input = c.req.valid('json')
      refuseDeclaredInFile(name)
      await ports.checkResource(name, input.body)
      const caller = c.get('caller')
      const stored = await act(ports, caller, 'resource.put', name, { version: input.version }, () =>
        ports.store.objects.put('resource', name, input.body, input.version, caller.party),
      )
      await ports.reload()
      return c.json(view(stored), 200)
    },
  )

  route(api, 'admin', json({ method: 'delete', path, request: { params: nameParameter }, summary: 'Remove a registered resource' }, doneSchema), async (c) => {
    const { name } = c.req.valid('param')
    refuseDeclaredInFile(name)
    if (!(await act(ports, c.get('caller'), 'resource.remove', name, {}, () => ports.store.objects.remove('resource', name))))
      throw new NotFound('registered resource')
    await ports.reload()
    return c.json({ done: true as const }, 200)
  })

  route(
    api,
    'admin',
    json({ method: 'post', path: '/api/resources/{name}/test', request: { params: nameParameter }, summary: 'Dial a resource and log in' }, testSchema),
    async (c) => {
      const { name } = c.req.valid('param')
      if (!ports.facts().resources.some((resource) => resource.name === name)) throw new NotFound('resource')
      return c.json(await act(ports, c.get('caller'), 'resource.test', name, {}, () => ports.testResource(name)), 200)
    },
  )

  route(
    api,
    'admin',
    json({ method: 'post', path: '/api/resources/{name}/classify', request: { params: nameParameter }, summary: 'What its columns hold, by their names and a sample of their values' }, classifiedSchema),
    async (c) => {
      const { name } = c.req.valid('param')
      if (!ports.facts().resources.some((resource) => resource.name === name)) throw new NotFound('resource')
      const { columns, unread, tables } = await act(ports, c.get('caller'), 'resource.classify', name, {}, () => ports.classifyResource(name))
      return c.json({ columns: columns.map((column) => ({ ...column, tags: [...column.tags] })), unread: [...unread], tables }, 200)
    },
  )
}
