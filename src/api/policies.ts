// /api/policies: those in force for admins and auditors, a check of a text before it is put in force, and why a statement would
// be allowed, refused or reviewed: for oneself, or by admins and auditors for somebody else.
import { createHash } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { NoSuchResource, NotAllowed } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { type Api, body, json, route } from './route.ts'
import { explainInput, policiesSchema, policyCheckInput, policyCheckSchema } from './schema.ts'

export function policies(api: Api): void {
  const { ports } = api
  route(api, 'officer', json({ method: 'get', path: '/api/policies', summary: 'The policies in force' }, policiesSchema), async (c) => {
    const list = await ports.policies.list()
    return c.json({ version: createHash('sha256').update(JSON.stringify(list)).digest('hex'), policies: [...list] }, 200)
  })

  route(
    api,
    'person',
    json(
      { method: 'post', path: '/api/policies/check', request: { body: body(policyCheckInput) }, summary: 'Errors of a policy text, with their lines' },
      policyCheckSchema,
    ),
    async (c) => {
      const errors = [...(await ports.policies.check(c.req.valid('json').text))]
      return c.json({ ok: errors.length === 0, errors }, 200)
    },
  )

  route(
    api,
    'person',
    json(
      { method: 'post', path: '/api/policies/explain', request: { body: body(explainInput) }, summary: 'What would happen to a statement, and by which rule' },
      z.unknown(),
    ),
    async (c) => {
      const caller = c.get('caller')
      const { resource, statement, as } = c.req.valid('json')
      if (as !== undefined && !caller.admin && !caller.auditor) throw new NotAllowed('only admins and auditors of Sluice may ask this for somebody else')
      const named: Identity | null =
        as === undefined ? null : { ...as, onBehalfOf: null, credentialHash: 'explain', tokenId: null, expiresAtMs: caller.identity.expiresAtMs }
      const who = named === null ? caller.identity : (ports.declared?.(named) ?? named)
      if (!(await ports.grants(who)).some(({ name }) => name === resource)) throw new NoSuchResource(`no such resource, or none within reach: ${resource}`)
      return c.json((await ports.policies.explain(who, resource, statement)) as object, 200)
    },
  )
}
