// /api/issuers: who is believed when they say who somebody is. What the file declares is read-only here; a new or changed issuer waits
// for a second admin.
import { z } from '@hono/zod-openapi'
import { SluiceError } from '../core/errors.ts'
import type { StoredObject } from '../store/objects.ts'
import { answered, change } from './changes.ts'
import { NotFound } from './errors.ts'
import { type Api, body, changing, json, route } from './route.ts'
import { doneSchema, issuerInput, issuerViewSchema, nameParameter, storedObjectSchema } from './schema.ts'

export function issuers(api: Api): void {
  const { ports } = api
  const path = '/api/issuers/{name}' as const
  const refuseDeclaredInFile = (name: string) => {
    if (ports.facts().inFile?.issuers.includes(name)) throw new SluiceError('CONFLICT', `${name} is declared in the gateway's file: change it there`)
  }

  route(api, 'officer', json({ method: 'get', path: '/api/issuers', summary: 'The issuers in force' }, z.array(issuerViewSchema)), (c) =>
    c.json([...ports.issuers()], 200),
  )

  route(api, 'admin', json({ method: 'get', path, request: { params: nameParameter }, summary: 'A registered issuer as declared' }, storedObjectSchema), async (c) => {
    const stored = await ports.store.objects.get('issuer', c.req.valid('param').name)
    if (stored === null) throw new NotFound('registered issuer')
    return c.json(viewOf(stored), 200)
  })

  route(
    api,
    'admin',
    changing({ method: 'put', path, request: { params: nameParameter, body: body(issuerInput) }, summary: 'Register or change an issuer' }, storedObjectSchema),
    async (c) => {
      const { name } = c.req.valid('param')
      const input = c.req.valid('json')
      refuseDeclaredInFile(name)
      await ports.checkIssuer(name, input.body)
      const before = await ports.store.objects.get('issuer', name)
      refuseOtherVersion(before?.version ?? 0, input.version)
      const caller = c.get('caller')
      return answered(
        c,
        change(ports, caller, {
          action: 'issuer.put', name, before, after: input.body, loosens: before === null ? 'whom it names may come in' : 'it may name others, or in other groups',
          work: () => ports.store.objects.put('issuer', name, input.body, input.version, caller.party),
        }),
        viewOf,
      )
    },
  )

  route(api, 'admin', json({ method: 'delete', path, request: { params: nameParameter }, summary: 'Remove a registered issuer' }, doneSchema), async (c) => {
    const { name } = c.req.valid('param')
    refuseDeclaredInFile(name)
    const before = await ports.store.objects.get('issuer', name)
    if (before === null) throw new NotFound('registered issuer')
    await change(ports, c.get('caller'), { action: 'issuer.remove', name, before, after: null, loosens: null, work: () => ports.store.objects.remove('issuer', name, before.version) })
    return c.json({ done: true as const }, 200)
  })
}

export const viewOf = ({ name, body: declared, version, changedAtMs, changedBy }: StoredObject) => ({ name, body: declared, version, changedAtMs, changedBy })

/** Before a person is asked, not after. */
export function refuseOtherVersion(now: number, replaced: number): void {
  if (now !== replaced) throw new SluiceError('CONFLICT', now === 0 ? 'there is none of this name to replace' : replaced === 0 ? 'there is one of this name already' : 'it was changed meanwhile: read it again')
}
