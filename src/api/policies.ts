// /api/policies: those in force for admins and auditors; for admins what the store declares beside the file, where a change that may
// loosen waits for a second admin; a check of a text before it is put in force, and why a statement would
// be allowed, refused or reviewed: for oneself, or by admins and auditors for somebody else.
import { createHash } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { ConfigErrors, ConfigInvalid, NoSuchResource, NotAllowed, SluiceError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { loosens } from '../core/loosening.ts'
import type { PolicyRules } from '../core/policy-rules.ts'
import type { StoredObject } from '../store/objects.ts'
import { answered, change } from './changes.ts'
import { NotFound } from './errors.ts'
import { refuseOtherVersion, viewOf } from './issuers.ts'
import { type Api, body, changing, json, route } from './route.ts'
import { doneSchema, explainInput, nameParameter, policyInput, storedObjectSchema, storedPolicySchema, policiesSchema, policyCheckInput, policyCheckSchema } from './schema.ts'

export function policies(api: Api): void {
  const { ports } = api
  route(api, 'officer', json({ method: 'get', path: '/api/policies', summary: 'The policies in force' }, policiesSchema), async (c) => {
    const list = await ports.policies.list()
    return c.json({ version: createHash('sha256').update(JSON.stringify(list)).digest('hex'), policies: [...list] }, 200)
  })

  const path = '/api/policies/{name}' as const
  const refuseDeclaredInFile = (name: string) => {
    if (ports.facts().inFile?.policies.includes(name)) throw new SluiceError('CONFLICT', `${name} is declared in the gateway's file: change it there`)
  }
  const rulesOf = async (stored: StoredObject | null): Promise<PolicyRules | null> => (stored === null ? null : (await ports.checkPolicy(stored.name, stored.body)).policy)

  route(api, 'officer', json({ method: 'get', path, request: { params: nameParameter }, summary: 'A registered policy as declared' }, storedObjectSchema), async (c) => {
    const stored = await ports.store.objects.get('policy', c.req.valid('param').name)
    if (stored === null) throw new NotFound('registered policy')
    return c.json(viewOf(stored), 200)
  })

  route(
    api,
    'admin',
    changing({ method: 'put', path, request: { params: nameParameter, body: body(policyInput) }, summary: 'Register or change a policy' }, storedPolicySchema),
    async (c) => {
      const { name } = c.req.valid('param')
      const input = c.req.valid('json')
      const caller = c.get('caller')
      refuseDeclaredInFile(name)
      const { policy, findings } = await ports.checkPolicy(name, input.body)
      const errors = findings.filter(({ level }) => level === 'error')
      if (errors.length > 0) throw new ConfigErrors(errors.map(({ message, where }) => new ConfigInvalid(message, where)))
      const before = await ports.store.objects.get('policy', name)
      refuseOtherVersion(before?.version ?? 0, input.version)
      // One that can't be read refuses everything: whatever takes its place may loosen.
      const loosening = await rulesOf(before).then((rules) => loosens(rules, policy), () => 'what it replaces can\'t be read')
      return answered(
        c,
        change(ports, caller, { action: 'policy.put', name, before, after: input.body, loosens: loosening, work: () => ports.store.objects.put('policy', name, input.body, input.version, caller.party) }),
        (stored) => ({ ...viewOf(stored), warnings: findings.map(({ where, message }) => `${where}: ${message}`) }),
      )
    },
  )

  route(api, 'admin', changing({ method: 'delete', path, request: { params: nameParameter }, summary: 'Remove a registered policy' }, doneSchema), async (c) => {
    const { name } = c.req.valid('param')
    refuseDeclaredInFile(name)
    const before = await ports.store.objects.get('policy', name)
    if (before === null) throw new NotFound('registered policy')
    const loosening = await rulesOf(before).then((rules) => loosens(rules, null), () => 'what it refuses can\'t be read')
    const work = async () => { if (!(await ports.store.objects.remove('policy', name, before.version))) throw new SluiceError('CONFLICT', 'it was changed meanwhile: read it again') }
    return answered(c, change(ports, c.get('caller'), { action: 'policy.remove', name, before, after: null, loosens: loosening, work }), () => ({ done: true }))
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
