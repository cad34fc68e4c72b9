// Declares one route: its access class, its shapes and what it does. There is no other way to add one, so none lacks a class.
import { timeout } from 'hono/timeout'
import { createRoute, type OpenAPIHono, type RouteConfig, type RouteHandler, type z } from '@hono/zod-openapi'
import { type Access, type ApiEnvironment, requires } from './access.ts'
import type { ApiPorts } from './ports.ts'
import { changeSchema, errorSchema } from './schema.ts'

export interface Api {
  readonly app: OpenAPIHono<ApiEnvironment>
  readonly ports: ApiPorts
  /** `METHOD /path` → who may call it. */
  readonly accesses: Map<string, Access>
}
/** What a request may take when its answer is one piece of JSON. */
const HANDLER_TIMEOUT_MS = 30_000
/** Reads the whole record, however long that takes. */
const UNLIMITED = new Set(['/api/audit/verify'])

type Shape = Pick<RouteConfig, 'method' | 'path' | 'request'> & { readonly summary: string }

const failure = (description: string) => ({ description, content: { 'application/json': { schema: errorSchema } } })
const FAILURES = {
  400: failure('the request is not valid'), 401: failure('not signed in'), 403: failure('not allowed'), 404: failure('no such thing, or none you may know of'),
  409: failure('changed or over meanwhile'), 429: failure('too many'), 503: failure('not recorded, or the store is away: nothing was done'),
}

export function route<R extends RouteConfig & { getRoutingPath(): string }>(api: Api, access: Access, definition: R, handler: RouteHandler<R, ApiEnvironment>): void {
  api.accesses.set(`${definition.method.toUpperCase()} ${definition.path}`, access)
  const streams = Object.keys((definition.responses[200] as { content?: object } | undefined)?.content ?? {}).some((type) => type !== 'application/json')
  const guards = streams || UNLIMITED.has(definition.path) ? [requires(api.ports, access)] : [requires(api.ports, access), timeout(HANDLER_TIMEOUT_MS)]
  api.app.openapi({ ...definition, middleware: guards } as never, handler as never)
}

/** A route that answers JSON. */
export function json<const S extends Shape, R extends z.ZodType>(shape: S, answer: R) {
  return createRoute({ ...shape, responses: { 200: { description: shape.summary, content: { 'application/json': { schema: answer } } }, ...FAILURES } })
}

/** A route whose change may have to wait for a second admin. */
export function changing<const S extends Shape, R extends z.ZodType>(shape: S, answer: R) {
  const waits = { description: 'nothing has changed yet: a second admin must agree', content: { 'application/json': { schema: changeSchema } } }
  return createRoute({ ...shape, responses: { 200: { description: shape.summary, content: { 'application/json': { schema: answer } } }, 202: waits, ...FAILURES } })
}

/** A route that answers something else: text, a stream, a page. */
export function other<const S extends Shape>(shape: S, contentType: string) {
  return createRoute({ ...shape, responses: { 200: { description: shape.summary, content: { [contentType]: { schema: { type: 'string' as const } } } }, ...FAILURES } })
}

export const body = <T extends z.ZodType>(schema: T) => ({ required: true as const, content: { 'application/json': { schema } } })
