// An error as the API answers it: only texts that say they are safe leave; all else is one sentence, and is logged once here.
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { SluiceError } from '../core/errors.ts'
import { ReviewRefused, type ReviewRefusal } from '../store/review_text.ts'

const STATUSES: Readonly<Record<string, ContentfulStatusCode>> = {
  NOT_AUTHENTICATED: 401, NOT_ALLOWED: 403, NO_SUCH_RESOURCE: 404, NOT_FOUND: 404, CONFLICT: 409, CONFIG_INVALID: 400, MALFORMED: 400, TOO_LARGE: 413,
  TOO_MANY_TOKENS: 429, THROTTLED: 429, TOO_MANY_STREAMS: 429, UNREACHABLE: 502, STORE_FAILED: 503, RECORD_FAILED: 503,
}
const REVIEW_STATUSES: Readonly<Record<ReviewRefusal, ContentfulStatusCode>> = {
  'too-many': 429, 'too-large': 413, 'no-such-review': 404, 'not-yours': 403, 'not-waiting': 409, 'not-approved': 409, expired: 409, changed: 409, 'reviewer-left': 409,
}

export class NotFound extends SluiceError { constructor(what: string) { super('NOT_FOUND', `no such ${what}, or none you may know of`) } }

export function answerError(c: Context, error: unknown, failed: (error: unknown) => void): Response {
  const told = error instanceof SluiceError && error.public ? error : null
  const status = told === null ? null : told instanceof ReviewRefused ? REVIEW_STATUSES[told.refusal] : STATUSES[told.code]
  if (told !== null && status !== undefined && status !== null) {
    if (status >= 500) failed(error)
    if (status === 401) c.header('www-authenticate', 'Bearer realm="sluice"')
    return c.json({ error: { code: told.code, message: told.message } }, status)
  }
  if (error instanceof HTTPException) return c.json({ error: { code: 'REQUEST', message: error.message } }, error.status)
  failed(error)
  return c.json({ error: { code: 'INTERNAL', message: 'an internal error; it was logged' } }, 500)
}
