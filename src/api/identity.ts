// /api/identity: takes a subject, a token id or a credential out of use, everywhere and at once, and gives it back.
import type { Revocation } from '../store/revocations.ts'
import { act } from './act.ts'
import { NotFound } from './errors.ts'
import { type Api, body, json, route } from './route.ts'
import { killedSchema, doneSchema, revokeInput, type RevokeInput } from './schema.ts'

export function identity(api: Api): void {
  const { ports } = api
  route(
    api,
    'admin',
    json(
      {
        method: 'post',
        path: '/api/identity/revoke',
        request: { body: body(revokeInput) },
        summary: 'Revoke a subject, a token id or a credential, and end its sessions',
      },
      killedSchema,
    ),
    async (c) => {
      const input = c.req.valid('json')
      const caller = c.get('caller')
      // An address instead of the name would revoke nothing and look like a success.
      const names = ports.facts().issuerNames
      if ('issuer' in input && names !== undefined && !names.includes(input.issuer)) throw new NotFound(`issuer (it is named as in sluice.yaml: ${names.join(', ')})`)
      const revocation = revocationOf(input)
      const ended = await act(ports, caller, 'identity.revoke', `${revocation.kind} ${revocation.value}`, { reason: input.reason }, async () => {
        await ports.store.revocations.revoke(revocation, caller.party, input.reason)
        // The bell ends sessions by credential too; a subject's are ended and counted here.
        return revocation.kind === 'subject' ? ports.sessions.killIdentity(revocation.value, caller.party) : 0
      })
      return c.json({ ended }, 200)
    },
  )

  route(
    api,
    'admin',
    json({ method: 'post', path: '/api/identity/restore', request: { body: body(revokeInput) }, summary: 'Lift a revocation' }, doneSchema),
    async (c) => {
      const input = c.req.valid('json')
      const revocation = revocationOf(input)
      const lifted = await act(ports, c.get('caller'), 'identity.restore', `${revocation.kind} ${revocation.value}`, { reason: input.reason }, () =>
        ports.store.revocations.lift(revocation),
      )
      if (!lifted) throw new NotFound('revocation')
      return c.json({ done: true as const }, 200)
    },
  )
}

function revocationOf(input: RevokeInput): Revocation {
  switch (input.kind) {
    case 'subject':
      return { kind: 'subject', value: `${input.issuer} ${input.subject}` }
    case 'token-id':
      return { kind: 'token-id', value: `${input.issuer} ${input.tokenId}` }
    case 'credential':
      return { kind: 'credential', value: input.hash }
  }
}
