// /api/audit: whether the record is whole, and who did what in Sluice itself.
import { z } from '@hono/zod-openapi'
import { act } from './act.ts'
import { type Api, json, route } from './route.ts'
import { adminEventSchema, verificationSchema } from './schema.ts'

export function audit(api: Api): void {
  const { ports } = api
  route(api, 'auditor', json({ method: 'get', path: '/api/audit/verify', summary: 'Verify the whole record' }, verificationSchema), async (c) =>
    c.json(await act(ports, c.get('caller'), 'audit.verify', 'record', {}, () => ports.records.verify()), 200),
  )

  const query = z.object({
    before: z
      .string()
      .regex(/^\d{1,15}$/)
      .optional(),
    limit: z
      .string()
      .regex(/^\d{1,4}$/)
      .optional(),
  })
  route(
    api,
    'auditor',
    json({ method: 'get', path: '/api/audit/events', request: { query }, summary: 'Admin actions, newest first' }, z.array(adminEventSchema)),
    async (c) => {
      const { before, limit } = c.req.valid('query')
      return c.json(
        (await ports.store.admin.list(before === undefined ? null : Number(before), Number(limit ?? 100))).map((event) => ({
          ...event,
          detail: { ...event.detail },
        })),
        200,
      )
    },
  )
}
