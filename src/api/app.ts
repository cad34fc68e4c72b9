// The API put together: headers, limits, routes, errors. It answers requests and knows no socket; server.ts listens.
import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { newSealKey, type SealKey } from '../store/seal.ts'
import type { ApiEnvironment } from './access.ts'
import { audit } from './audit.ts'
import { emergency } from './emergency.ts'
import { answerError } from './errors.ts'
import { gateway } from './gateway.ts'
import { identity } from './identity.ts'
import { issuers } from './issuers.ts'
import { login } from './login.ts'
import { operation } from './operation.ts'
import { page } from './page.ts'
import { policies } from './policies.ts'
import type { ApiPorts } from './ports.ts'
import { resources } from './resources.ts'
import { reviews } from './reviews.ts'
import type { Api } from './route.ts'
import { secrets } from './secrets.ts'
import { sessions } from './sessions.ts'
import { tokens } from './tokens.ts'
import { whoami } from './whoami.ts'

/** The largest thing sent is a policy text. */
export const BODY_BYTES_MAX = 2_097_152
/** Issues of a request that are told. */
const ISSUES_MAX = 10

export interface ApiOptions {
  /** Seals what a browser carries through a sign-in; gateways behind one address share it. */
  readonly cookieKey?: SealKey
}

export function makeApi(ports: ApiPorts, options: ApiOptions = {}): Api {
  const app = new OpenAPIHono<ApiEnvironment>({
    defaultHook: (result, c) => {
      if (result.success) return undefined
      const told = result.error.issues.slice(0, ISSUES_MAX).map(({ path, message }) => `${path.join('.') || 'request'}: ${message}`)
      return c.json({ error: { code: 'INVALID', message: told.join('; ') } }, 400)
    },
  })
  app.onError((error, c) => answerError(c, error, ports.failed))
  app.notFound((c) => c.json({ error: { code: 'NOT_FOUND', message: 'there is nothing here' } }, 404))
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        connectSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
        requireTrustedTypesFor: ["'script'"],
        trustedTypes: ["'none'"],
      },
      xFrameOptions: 'DENY',
      referrerPolicy: 'no-referrer',
      crossOriginOpenerPolicy: 'same-origin',
      crossOriginResourcePolicy: 'same-origin',
      permissionsPolicy: { camera: [], geolocation: [], microphone: [], payment: [], usb: [] },
    }),
  )
  app.use(async (c, next) => {
    await next()
    if (c.res.headers.get('cache-control') === null) c.header('cache-control', 'no-store')
  })
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (c) => c.json({ error: { code: 'TOO_LARGE', message: `a request may have at most ${BODY_BYTES_MAX} bytes` } }, 413),
    }),
  )

  const api: Api = { app, ports, accesses: new Map() }
  for (const noun of [gateway, whoami, resources, tokens, reviews, sessions, policies, issuers, emergency, audit, secrets, identity, operation, page]) noun(api)
  login(api, options.cookieKey ?? newSealKey())
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer', description: 'a token of a configured issuer' })
  api.accesses.set('GET /api/openapi.json', 'anyone')
  app.doc31('/api/openapi.json', () => ({ openapi: '3.1.0', info: { title: 'Sluice', version: ports.facts().version }, security: [{ bearer: [] }] }))
  return api
}
