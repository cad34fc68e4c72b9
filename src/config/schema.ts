// The shape of sluice.yaml's `gateway` and `identity`: every key, its form and its default. Unknown keys are mistakes.
import { z } from 'zod'
import { secretSource } from '../core/resource-rules.ts'
import { bytes, count, durationMs, listenAddress, name } from '../core/scalars.ts'

export const WORKERS_MAX = 256
/** Ports of face.md, on this machine only, for those that listen without being told where. */
export const DEFAULT_LISTEN = { web: '127.0.0.1:8443', proxy: '127.0.0.1:8444', postgres: '127.0.0.1:15432' } as const
export const LISTENERS = ['web', 'proxy', 'postgres', 'mysql', 'mongodb', 'redis', 'amqp', 'kafka', 'nats', 'ssh'] as const
/** Open client connections of a worker; beyond, new ones are closed. */
export const CONNECTIONS_MAX = 20_000
/** Of these, not yet logged in; beyond, new ones are closed. */
export const CONNECTIONS_IN_LOGIN_MAX = 6_000
/** What is open goes on for so long without the control store. */
export const STORE_GRACE_MS = 5 * 60_000
/** Failed logins of one address in a minute, and of one claimed identity there; beyond, further ones are refused unread. */
export const FAILED_LOGINS_OF_ADDRESS = 1_000
export const FAILED_LOGINS_OF_ONE = 100
/** From the first byte to a proved identity. */
export const LOGIN_MS = 10_000
/** What sessions get to finish when the gateway stops. */
export const DRAIN_MS = 5_000
export const DRAIN_MAX_MS = 8_000
/** One message of a client. */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
/** One statement's text. */
export const STATEMENT_BYTES_MAX = 1024 * 1024
const SCOPES = ['openid', 'profile', 'email']
/** As `sluice` writes it: salt of 16 and key of 32 bytes, base64url. */
const SECRET_HASH = /^scrypt\$[A-Za-z0-9_-]{22}\$[A-Za-z0-9_-]{43}$/

const text = z.string().min(1).max(4_000)
const path = text.refine(value => !value.includes('\0'), 'holds a zero byte')
const members = z.strictObject({ groups: z.array(text).max(1_000).default([]), users: z.array(text).max(1_000).default([]) })
const isLoopbackUrl = (url: URL) => /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
const isUrl = (value: string, context: z.RefinementCtx): void => {
  const url = URL.canParse(value) ? new URL(value) : null
  if (url === null || !/^https?:$/.test(url.protocol)) context.addIssue({ code: 'custom', message: 'not an https:// address' })
  else if (url.protocol === 'http:' && !isLoopbackUrl(url)) context.addIssue({ code: 'custom', message: 'http:// is taken on loopback only: use https://' })
  else if (url.username !== '' || url.password !== '') context.addIssue({ code: 'custom', message: 'holds a user or password' })
}
const url = text.superRefine(isUrl)
const storeUrl = z
  .string()
  .max(4_000)
  .refine(value => /^postgres(ql)?:\/\//.test(value) && URL.canParse(value), 'embedded, postgres://…, or { url: { env: NAME } }')
const listen = z.strictObject(
  Object.fromEntries(LISTENERS.map(key => [key, listenAddress.optional()])) as Record<(typeof LISTENERS)[number], z.ZodOptional<typeof listenAddress>>,
)

export const gatewaySchema = z.strictObject({
  data: path.default('./data'),
  store: z.union([z.literal('embedded'), storeUrl, z.strictObject({ url: secretSource })]).default('embedded'),
  recordings: z
    .string()
    .refine(value => value === 'file' || /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/.*)?$/.test(value), 'file, or s3://bucket/prefix')
    .default('file'),
  workers: z.union([z.literal('auto'), z.number().int().min(1).max(WORKERS_MAX)]).default('auto'),
  tls: z.union([z.literal('auto'), z.strictObject({ cert: path, key: path })]).default('auto'),
  listen: listen.optional(),
  /** How clients and reviewers reach the web address from outside; default: https and the web listener. */
  url: url.optional(),
  admins: members.prefault({}),
  auditors: members.prefault({}),
  heads: path.optional(),
  webhook: z.strictObject({ url, secret: secretSource }).optional(),
  emergency: z
    .array(
      z.strictObject({
        name,
        groups: z.array(text).max(1_000).optional(),
        password_hash: z.string().regex(SECRET_HASH, 'scrypt$SALT$KEY, never the secret itself'),
      }),
    )
    .max(20)
    .default([]),
  limits: z
    .strictObject({
      connections: count.min(1).max(1_000_000).default(CONNECTIONS_MAX),
      connections_in_login: count.min(1).max(1_000_000).default(CONNECTIONS_IN_LOGIN_MAX),
      store_grace: durationMs.refine(value => value <= 86_400_000, 'at most 24h').default(STORE_GRACE_MS),
      failed_logins: count.min(1).max(1_000_000).default(FAILED_LOGINS_OF_ADDRESS),
      failed_logins_of_one: count.min(1).max(1_000_000).default(FAILED_LOGINS_OF_ONE),
      login: durationMs.refine(value => value >= 1_000 && value <= 600_000, 'between 1s and 10m').default(LOGIN_MS),
      drain: durationMs.refine(value => value <= DRAIN_MAX_MS, 'at most 8s: the gateway ends within 10s').default(DRAIN_MS),
      message: bytes.refine(value => value >= 65_536 && value <= 1_073_741_824, 'between 64KiB and 1GiB').default(MESSAGE_BYTES_MAX),
      statement: bytes.refine(value => value >= 1_024 && value <= 67_108_864, 'between 1KiB and 64MiB').default(STATEMENT_BYTES_MAX),
    })
    .prefault({}),
})

export const issuerSchema = z.strictObject({
  name: name.refine(value => value !== 'sluice', "`sluice` is the gateway's own"),
  issuer: url,
  audience: z.union([text.transform(one => [one]), z.array(text).min(1).max(20)]),
  subject: text.default('sub'),
  groups: text.default('groups'),
  /** Claim that says an agent acts, beside `act`; and the claim that names the person it acts for. */
  agent: text.optional(),
  on_behalf: text.optional(),
  /** For web sign-in and `sluice login`. */
  client_id: text.optional(),
  client_secret: secretSource.optional(),
  scopes: z.array(text).max(50).default(SCOPES),
})
const key = z.strictObject({ file: path })
export const identitySchema = z.strictObject({
  issuers: z.array(issuerSchema).max(100).default([]),
  saml: z.array(z.record(z.string(), z.unknown())).max(100).default([]),
  people: z
    .array(z.strictObject({ subject: text, issuer: text.optional(), groups: z.array(text).max(1_000).default([]), keys: z.array(key).max(100).default([]) }))
    .max(10_000)
    .default([]),
  authorities: z.array(key).max(100).default([]),
})
export type GatewayRead = z.infer<typeof gatewaySchema>
export type IdentityRead = z.infer<typeof identitySchema>
