// /health (the process answers), /ready (sessions can be served), /metrics, and reload. What fails is not told to strangers.
import { act } from './act.ts'
import { type Api, json, other, route } from './route.ts'
import { doneSchema, healthSchema } from './schema.ts'

export function operation(api: Api): void {
  const { ports } = api
  route(api, 'anyone', json({ method: 'get', path: '/health', summary: 'Whether this process answers' }, healthSchema), (c) =>
    c.json({ status: 'ok' as const }, 200),
  )

  route(api, 'anyone', json({ method: 'get', path: '/ready', summary: 'Whether sessions can be served' }, healthSchema), async (c) => {
    const failing = (await ports.store.health()) ?? (await ports.health())
    return failing === null ? c.json({ status: 'ok' as const }, 200) : (c.json({ status: 'failing' }, 503) as never)
  })

  route(api, 'scraper', other({ method: 'get', path: '/metrics', summary: 'Prometheus metrics' }, 'text/plain'), async (c) =>
    c.text(await ports.metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )

  route(api, 'admin', json({ method: 'post', path: '/api/reload', summary: 'Read the configuration again' }, doneSchema), async (c) => {
    await act(ports, c.get('caller'), 'gateway.reload', 'configuration', {}, () => ports.reload())
    return c.json({ done: true as const }, 200)
  })
}
