// Every shape of the API, once: validation, types and OpenAPI come from here, and the CLI and the console import these types.
// Input objects are strict: an unknown key is an error.
import { z } from '@hono/zod-openapi'

export const NAME = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/)
  .openapi({ description: 'a name in lower case', example: 'orders' })
const ID = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)
const TIME = z.number().int().openapi({ description: 'Unix milliseconds' })

export const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) }).openapi('Error')
export const idParameter = z.object({ id: ID })
export const nameParameter = z.object({ name: NAME })
export const doneSchema = z.object({ done: z.literal(true) }).openapi('Done')

export const whoamiSchema = z
  .object({
    subject: z.string(),
    issuer: z.string(),
    groups: z.array(z.string()),
    agent: z.boolean(),
    onBehalfOf: z.string().nullable(),
    expiresAtMs: TIME,
    admin: z.boolean(),
    auditor: z.boolean(),
    boundTo: z.string().nullable().openapi({ description: 'the one resource this token is for' }),
  })
  .openapi('Whoami')

export const gatewaySchema = z
  .object({
    version: z.string(),
    ca: z.string().nullable().openapi({ description: 'PEM of the CA to pin; null: a public one' }),
    postgres: z.object({ host: z.string(), port: z.number().int() }).nullable(),
    issuers: z.array(z.object({ name: z.string(), issuer: z.string(), clientId: z.string(), scopes: z.array(z.string()), forPrograms: z.boolean() })),
  })
  .openapi('Gateway')
export type GatewayView = z.infer<typeof gatewaySchema>

export const grantSchema = z
  .object({
    name: z.string(),
    protocol: z.string(),
    labels: z.record(z.string(), z.string()),
    database: z.string().nullable(),
    allows: z.array(z.string()).openapi({ description: 'access classes and operations' }),
    masked: z.array(z.object({ fields: z.string(), with: z.string(), rule: z.string() })),
    reviewed: z.array(z.string()).openapi({ description: 'what needs a review, in words' }),
    denied: z.array(z.string()),
    connect: z.array(z.string()).openapi({ description: 'how a standard client connects' }),
  })
  .openapi('Resource')
export type Grant = z.infer<typeof grantSchema>

export const resourceInput = z
  .strictObject({
    body: z.record(z.string(), z.unknown()).openapi({ description: 'as in sluice.yaml, without its name' }),
    version: z.number().int().min(0).openapi({ description: 'the version replaced; 0 for a new one' }),
  })
  .openapi('ResourceInput')
export const storedObjectSchema = z
  .object({ name: z.string(), body: z.unknown(), version: z.number().int(), changedAtMs: TIME, changedBy: z.string() })
  .openapi('StoredResource')
export const testSchema = z.object({ ok: z.boolean(), message: z.string() }).openapi('ResourceTest')

export const classifiedSchema = z
  .object({
    columns: z.array(
      z.object({
        field: z.string(),
        type: z.string(),
        tag: z.enum(['pii', 'secret']).openapi({ description: 'what is proposed' }),
        kind: z.string(),
        confidence: z.number(),
        why: z.string(),
        sampled: z.number().int(),
        matched: z.number().int(),
        within: z.boolean().openapi({ description: 'values stand within other text: a detector hides them and leaves the text' }),
        tags: z.array(z.string()).openapi({ description: 'those that it carries already' }),
        like: z.string().nullable().openapi({ description: 'a tagged column that it looks like' }),
      }),
    ),
    unread: z.array(z.object({ table: z.string(), why: z.string() })),
    tables: z.number().int(),
  })
  .openapi('Classified')
export type ClassifiedView = z.infer<typeof classifiedSchema>

export const tokenInput = z.strictObject({ resource: NAME, ttlSeconds: z.number().int().min(1).max(86_400).default(900) }).openapi('TokenInput')
export const tokenSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['resource', 'web', 'emergency']),
    subject: z.string(),
    issuer: z.string(),
    resource: z.string().nullable(),
    issuedAtMs: TIME,
    expiresAtMs: TIME,
    endedAtMs: TIME.nullable(),
  })
  .openapi('Token')
export const mintedSchema = tokenSchema.extend({ secret: z.string().openapi({ description: 'shown once; kept as a hash' }) }).openapi('MintedToken')

export const REVIEW_STATES = ['waiting', 'approved', 'denied', 'expired', 'cancelled', 'used'] as const
export const reviewSchema = z
  .object({
    id: z.string(),
    state: z.enum(REVIEW_STATES),
    kind: z.enum(['statement', 'answer', 'change']),
    wait: z.enum(['hold', 'refuse']),
    requester: z.string(),
    onBehalfOf: z.string().nullable(),
    resource: z.string(),
    database: z.string(),
    session: z.string(),
    rule: z.string(),
    reason: z.string(),
    text: z.string().openapi({ description: 'complete; hidden values as in the Record' }),
    parameters: z.array(z.string()),
    binding: z.string(),
    reviewers: z.object({ groups: z.array(z.string()), users: z.array(z.string()) }),
    createdAtMs: TIME,
    expiresAtMs: TIME,
    decidedAtMs: TIME.nullable(),
    decidedBy: z.string().nullable(),
    comment: z.string().nullable(),
    endedAtMs: TIME.nullable(),
    endedWhy: z.string().nullable(),
    mine: z.boolean(),
    mayNotDecide: z.string().nullable().openapi({ description: 'why you may not decide it; null when you may' }),
  })
  .openapi('Review')
export type ReviewView = z.infer<typeof reviewSchema>
export const reviewSummarySchema = reviewSchema
  .omit({ text: true, parameters: true })
  .extend({
    summary: z.string().openapi({ description: 'the beginning of the text' }),
    textLines: z.number().int(),
    textCharacters: z.number().int(),
  })
  .openapi('ReviewSummary')
export type ReviewSummaryView = z.infer<typeof reviewSummarySchema>
export const reviewListSchema = z.object({ nowMs: TIME, reviews: z.array(reviewSummarySchema) }).openapi('Reviews')
export const reviewQuery = z.object({ state: z.enum(REVIEW_STATES).optional(), resource: NAME.optional() })
export const decisionInput = z
  .strictObject({
    comment: z.string().max(2_000).optional(),
    binding: z
      .string()
      .regex(/^[0-9a-f]{1,128}$/)
      .optional()
      .openapi({ description: 'of the review as you read it: another one is refused' }),
  })
  .openapi('Decision')
export const reviewDetailSchema = reviewSchema
  .extend({ steps: z.array(z.object({ atMs: TIME, state: z.enum(REVIEW_STATES), actor: z.string(), note: z.string().nullable() })) })
  .openapi('ReviewDetail')

export const sessionSchema = z
  .object({
    session: z.string(),
    resource: z.string(),
    protocol: z.string(),
    database: z.string(),
    issuer: z.string(),
    subject: z.string(),
    onBehalfOf: z.string().nullable(),
    agent: z.boolean(),
    client: z.string(),
    startedAtMs: TIME,
    endedAtMs: TIME.nullable(),
    endedWhy: z.string().nullable(),
    statements: z.number(),
    denied: z.number(),
    reviewed: z.number(),
    rows: z.number(),
    bytes: z.number(),
    masked: z.number(),
    columns: z.array(z.string()).readonly().optional().openapi({ description: 'schema.table.column of what its statements named; of one session, not in lists' }),
    open: z.boolean(),
  })
  .openapi('Session')
export type SessionView = z.infer<typeof sessionSchema>
/** What the supervisor knows of an open session. */
export type LiveSession = Omit<SessionView, 'open' | 'endedAtMs' | 'endedWhy'>
export const sessionQuery = z.object({
  resource: NAME.optional(),
  subject: z.string().max(512).optional(),
  column: z.string().max(512).optional().openapi({ description: 'schema.table.column: sessions whose statements named it' }),
  open: z.enum(['true', 'false']).optional(),
  since: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional(),
  before: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .optional(),
})
export const killInput = z.strictObject({ issuer: z.string().min(1).max(256), subject: z.string().min(1).max(512) }).openapi('Identity')
export const renewInput = z.strictObject({ credential: z.string().regex(/^[0-9a-f]{64}$/).openapi({ description: 'SHA-256 (hex) of the credential that opened them' }) }).openapi('Renewal')
export const renewedSchema = z.object({ renewed: z.number().int() }).openapi('Renewed')
export const killedSchema = z.object({ ended: z.number().int() }).openapi('Ended')
export const recordEventSchema = z
  .object({
    sequence: z.number().int(),
    atMs: z.number(),
    kind: z.string(),
    body: z.unknown(),
    answer: z.string().optional().openapi({ description: 'what the client was given, base64' }),
  })
  .openapi('RecordEvent')
export type RecordEvent = z.infer<typeof recordEventSchema>

export const policySchema = z.object({ name: z.string(), mode: z.string(), origin: z.enum(['file', 'store']), body: z.unknown() }).openapi('Policy')
export type PolicyView = z.infer<typeof policySchema>
export const policiesSchema = z.object({ version: z.string(), policies: z.array(policySchema) }).openapi('Policies')
export const policyInput = z
  .strictObject({
    body: z.record(z.string(), z.unknown()).openapi({ description: 'as under `policies` in sluice.yaml, without its name' }),
    version: z.number().int().min(0).openapi({ description: 'the version replaced; 0 for a new one' }),
  })
  .openapi('PolicyInput')
export const storedPolicySchema = storedObjectSchema.extend({ warnings: z.array(z.string()) }).openapi('StoredPolicy')
export const issuerInput = z
  .strictObject({
    body: z.record(z.string(), z.unknown()).openapi({ description: 'as under `identity.issuers` in sluice.yaml, without its name' }),
    version: z.number().int().min(0).openapi({ description: 'the version replaced; 0 for a new one' }),
  })
  .openapi('IssuerInput')
export const issuerViewSchema = z
  .object({
    name: z.string(),
    issuer: z.string(),
    audience: z.array(z.string()),
    subject: z.string(),
    groups: z.string(),
    agent: z.string().nullable(),
    onBehalf: z.string().nullable(),
    clientId: z.string().nullable(),
    scopes: z.array(z.string()),
    origin: z.enum(['file', 'store']),
  })
  .openapi('Issuer')
export type IssuerView = z.infer<typeof issuerViewSchema>
/** 202: nothing has changed yet. */
export const changeSchema = z
  .object({ review: z.string(), url: z.string(), why: z.string().openapi({ description: 'why a second admin must agree; then send the same again' }) })
  .openapi('ChangeWaits')
export const policyCheckInput = z.strictObject({ text: z.string().max(1_048_576) }).openapi('PolicyText')
export const policyCheckSchema = z.object({ ok: z.boolean(), errors: z.array(z.string()) }).openapi('PolicyCheck')
export const explainInput = z
  .strictObject({
    resource: NAME,
    statement: z.string().max(1_048_576),
    as: z
      .strictObject({
        subject: z.string().max(512),
        issuer: z.string().max(256),
        groups: z.array(z.string().max(256)).max(1_000),
        agent: z.boolean().default(false),
      })
      .optional()
      .openapi({ description: 'somebody else, by admins and auditors' }),
  })
  .openapi('Explain')

export const verificationSchema = z
  .object({
    ok: z.boolean(),
    sessions: z.number().int(),
    events: z.number().int(),
    bytes: z.number().int(),
    firstBad: z.object({ session: z.string().nullable(), file: z.string(), sequence: z.number().int().nullable(), why: z.string() }).nullable(),
    unsealed: z.array(z.string()),
  })
  .openapi('Verification')
export type Verification = z.infer<typeof verificationSchema>
export const adminEventSchema = z
  .object({ number: z.number().int(), atMs: TIME, actor: z.string(), action: z.string(), subject: z.string(), detail: z.record(z.string(), z.unknown()) })
  .openapi('AdminEvent')

export const secretInput = z.strictObject({ value: z.string().min(1).max(65_536) }).openapi('Secret')
export const secretInfoSchema = z.object({ name: z.string(), keyId: z.string(), changedAtMs: TIME, changedBy: z.string() }).openapi('SecretInfo')

export const revokeInput = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('subject'),
      issuer: z.string().min(1).max(256),
      subject: z.string().min(1).max(512),
      reason: z.string().max(500).default(''),
    }),
    z.strictObject({
      kind: z.literal('token-id'),
      issuer: z.string().min(1).max(256),
      tokenId: z.string().min(1).max(512),
      reason: z.string().max(500).default(''),
    }),
    z.strictObject({ kind: z.literal('credential'), hash: z.string().regex(/^[0-9a-f]{64}$/), reason: z.string().max(500).default('') }),
  ])
  .openapi('Revocation')
export type RevokeInput = z.infer<typeof revokeInput>

export const healthSchema = z.object({ status: z.enum(['ok', 'failing']) }).openapi('Health')
