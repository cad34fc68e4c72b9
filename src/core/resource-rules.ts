// What a resource's declaration says: read and checked from the file or from an API body, and made into a Resource.
// Secrets stay where they are: only their sources are read. A secret written into the declaration itself is a mistake.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import type { Path, Source } from './document.ts'
import { parseWith, sourceOf } from './document.ts'
import { ConfigErrors, ConfigInvalid } from './errors.ts'
import { parseFieldPattern, partsOf } from './match.ts'
import type { Credential, Credentials, Resource, SecretSource, TlsMode } from './resource.ts'
import { address, count, durationMs, either, label, name } from './scalars.ts'
import { isLoopback } from './units.ts'

export const RESOURCES_MAX = 10_000
export const ADDRESSES_MAX = 16
export const STATEMENT_MS = 3_600_000
export const IDLE_MS = 3_600_000
export const SESSIONS_PER_IDENTITY = 50
export const RETAIN_MS = 90 * 86_400_000
/** Tags of a resource, and columns under one. */
export const TAGS_MAX = 100
export const TAGGED_MAX = 10_000
const RETAIN_MAX_MS = 36_500 * 86_400_000
const CA_CHARS_MAX = 1024 * 1024
/** Protocols that a declaration may name. */
export const PROTOCOLS = ['postgres', 'mysql', 'mongodb', 'redis', 'amqp', 'kafka', 'nats', 'ssh', 'kubernetes', 'http', 'mcp', 's3'] as const
/** Those that can be opened. The others parse, are warned of, and are refused at open. */
export const PROTOCOLS_BUILT: readonly string[] = ['postgres', 'http']
const WITH_DATABASE: readonly string[] = ['postgres', 'mysql', 'mongodb']
const WITH_LOGIN: readonly string[] = ['postgres', 'mysql']
/** How an HTTP request can carry a credential. */
const IN_REQUESTS: readonly string[] = ['bearer', 'basic', 'header', 'query']

const text = z.string().min(1).max(4_000)
/** `{ env }`, `{ file }`, `{ store }`, or `none`. */
export const secretSource = z.unknown().transform((value, context): SecretSource => {
  const refuse = (message: string, key?: string): never => {
    context.addIssue({ code: 'custom', message, ...(key === undefined ? {} : { path: [key] }) })
    return z.NEVER
  }
  if (value === 'none' || value === undefined || value === null) return { kind: 'none' }
  if (typeof value !== 'object' || Array.isArray(value))
    return refuse('a secret is not written here: say where it comes from, { env: NAME }, { file: PATH } or { store: NAME }')
  const entries = Object.entries(value)
  const [kind, from] = entries[0] ?? []
  if (kind === undefined || entries.length !== 1) return refuse('one source: { env }, { file } or { store }')
  if (kind === 'vault' || kind === 'exec') return refuse(`secrets from ${kind} are not supported yet: use env, file or store`, kind)
  if (typeof from !== 'string' || from === '' || from.includes('\0')) return refuse('a name or a path', kind)
  if (kind === 'env') return /^[A-Za-z_][A-Za-z0-9_]*$/.test(from) ? { kind, name: from } : refuse('not the name of an environment variable', kind)
  if (kind === 'file') return { kind, path: from }
  if (kind === 'store') return { kind, name: from }
  return refuse('not a source known here: { env }, { file } or { store }', kind)
})
const file = z.strictObject({ file: text })
const pem = z.union([
  file,
  z.strictObject({ pem: z.string().max(CA_CHARS_MAX).includes('-----BEGIN CERTIFICATE-----', { message: 'not a certificate in PEM' }) }),
])
const credential = z
  .strictObject({
    username: z
      .string()
      .min(1)
      .max(200)
      .refine(value => !value.includes('\0'), 'holds a zero byte')
      .optional(),
    password: secretSource.optional(),
    key: secretSource.optional(),
    bearer: secretSource.optional(),
    basic: z.strictObject({ username: text, password: secretSource }).optional(),
    header: z.strictObject({ name: text, value: secretSource }).optional(),
    query: z.strictObject({ name: text, value: secretSource }).optional(),
    mtls: z.strictObject({ cert: file, key: secretSource }).optional(),
    oauth2: z.record(z.string(), z.unknown()).optional(),
    access_key: secretSource.optional(),
    secret_key: secretSource.optional(),
  })
  .refine(value => Object.keys(value).length > 0, 'says nothing: username, password')
const classes = z
  .strictObject({ read: credential.optional(), write: credential.optional(), admin: credential.optional() })
  .refine(value => Object.keys(value).length > 0, 'names no class: read, write or admin')
const isByClass = (value: unknown): value is z.infer<typeof classes> =>
  typeof value === 'object' && value !== null && ['read', 'write', 'admin'].some(key => Object.hasOwn(value, key))
const duration = durationMs.refine(value => value >= 1_000, 'at least 1s')
const scalar = z.union([z.string().max(200), z.number().transform(String), z.boolean().transform(String)])

const tagged = z
  .string()
  .max(400)
  .refine(value => parseFieldPattern(value) !== null && (partsOf(value)?.length ?? 0) <= 3, 'not a field: schema.table.column, table.column or *.column')

export const resourceSchema = z
  .strictObject({
    name,
    protocol: z.enum(PROTOCOLS),
    address: z.union([address.transform(one => [one]), z.array(address).min(1).max(ADDRESSES_MAX)]),
    database: text.optional(),
    databases: z.union([z.literal('any'), z.array(text).max(1_000)]).default([]),
    tls: z.enum(['verify-full', 'verify-ca', 'require', 'disable']).optional(),
    ca: pem.optional(),
    credential: either(
      value => value === 'none',
      z.literal('none').transform(() => null),
      either(isByClass, classes, credential),
    ).optional(),
    host_key: file.optional(),
    attribution: z.enum(['application_name', 'set_role', 'none']).default('application_name'),
    tags: z.record(label, z.array(tagged).max(TAGGED_MAX)).refine(value => Object.keys(value).length <= TAGS_MAX, `at most ${TAGS_MAX} tags`).default({}),
    functions: z
      .array(
        z
          .string()
          .max(400)
          .regex(/^[^\s().]+\.[^\s().]+\([^()]*\)$/, 'a signature: schema.name(type, …)'),
      )
      .max(10_000)
      .default([]),
    views: z.array(z.string().max(200).regex(/^[^\s().]+\.[^\s().]+$/, 'a view: schema.name')).max(10_000).default([]),
    limits: z
      .strictObject({ statement: duration.default(STATEMENT_MS), idle: duration.default(IDLE_MS), sessions: count.min(1).default(SESSIONS_PER_IDENTITY) })
      .prefault({}),
    labels: z.record(label, scalar).default({}),
    connector: name.optional(),
    record: z.enum(['sync', 'balanced', 'kernel']).default('balanced'),
    retain: durationMs.refine(value => value >= 1_000 && value <= RETAIN_MAX_MS, 'between 1s and 36500d').default(RETAIN_MS),
    session: z.strictObject({ max: duration }).optional(),
  })
  .superRefine((resource, context) => {
    const only = (key: string, given: unknown, protocols: readonly string[]) => {
      if (given !== undefined && !protocols.includes(resource.protocol))
        context.addIssue({ code: 'custom', path: [key], message: `not for protocol ${resource.protocol}, only for ${protocols.join(', ')}` })
    }
    only('database', resource.database, WITH_DATABASE)
    only('host_key', resource.host_key, ['ssh'])
    only('functions', resource.functions.length > 0 ? true : undefined, ['postgres', 'mysql'])
    only('views', resource.views.length > 0 ? true : undefined, ['postgres', 'mysql'])
    if (resource.protocol === 'postgres' && resource.database === undefined) context.addIssue({ code: 'custom', path: [], message: 'missing `database`' })
    if (WITH_LOGIN.includes(resource.protocol) && (resource.credential ?? null) === null)
      context.addIssue({ code: 'custom', path: resource.credential === undefined ? [] : ['credential'], message: 'missing `credential` with a `username`' })
    if (WITH_LOGIN.includes(resource.protocol))
      for (const [path, one] of credentialsOf(resource.credential)) {
        if (one.username === undefined) context.addIssue({ code: 'custom', path, message: 'missing `username`' })
        for (const key of Object.keys(one))
          if (key !== 'username' && key !== 'password')
            context.addIssue({ code: 'custom', path: [...path, key], message: `not for protocol ${resource.protocol}: username and password` })
      }
    if (resource.protocol === 'http')
      for (const [path, one] of credentialsOf(resource.credential ?? null)) {
        const keys = Object.keys(one), other = keys.find(key => !IN_REQUESTS.includes(key))
        if (other !== undefined) context.addIssue({ code: 'custom', path: [...path, other], message: `not for protocol http: ${IN_REQUESTS.join(', ')}` })
        else if (keys.length > 1) context.addIssue({ code: 'custom', path, message: `one of ${IN_REQUESTS.join(', ')}` })
      }
  })
export type ResourceRead = z.infer<typeof resourceSchema>
type CredentialRead = z.infer<typeof credential>

export interface ResourceOptions {
  readonly origin: 'file' | 'store'
  /** What relative paths are relative to. */
  readonly folder: string
}

/** One resource as the API gets it. Secrets then come from the store only: a path or variable of the gateway's is not an API client's to name. Throws ConfigErrors. */
export function parseResource(value: unknown, options: ResourceOptions = { origin: 'store', folder: '/' }): Resource {
  const mistakes: ConfigInvalid[] = []
  const [resource] = readResources(sourceOf(value, ''), [], [value], mistakes, options, true)
  if (resource === undefined || mistakes.length > 0) throw new ConfigErrors(mistakes)
  return resource
}

/** Resources of a larger document; mistakes are added to the list. */
export function readResources(source: Source, path: Path, value: unknown, mistakes: ConfigInvalid[], options: ResourceOptions, alone = false): Resource[] {
  const read = alone
    ? [parseWith(resourceSchema, source, mistakes, path, (value as readonly unknown[])[0])]
    : parseWith(z.array(resourceSchema).max(RESOURCES_MAX), source, mistakes, path, value)
  const resources: Resource[] = []
  for (const [index, one] of (read ?? []).entries()) {
    if (one === null) continue
    const under = alone ? path : [...path, index]
    if (resources.some(other => other.name === one.name))
      mistakes.push(new ConfigInvalid(`a second resource named \`${one.name}\``, source.locate([...under, 'name'])))
    resources.push(
      resourceOf(one, options, (keys, message) => {
        mistakes.push(new ConfigInvalid(message, source.locate([...under, ...keys])))
      }),
    )
  }
  return resources
}

function resourceOf(read: ResourceRead, options: ResourceOptions, mistake: (path: Path, message: string) => void): Resource {
  if (options.origin === 'store')
    for (const [path, one] of credentialsOf(read.credential))
      for (const [key, value] of Object.entries(one)) {
        if (isSource(value) && value.kind !== 'store' && value.kind !== 'none')
          mistake([...path, key], 'a resource registered here takes its secrets from the store: { store: NAME }')
      }
  return {
    name: read.name,
    protocol: read.protocol,
    addresses: read.address,
    database: read.database ?? null,
    databases: read.databases,
    tls: read.tls ?? defaultTls(read),
    ca: caOf(read, options, mistake),
    credentials: credentialsByClass(read, options.folder),
    attribution: read.attribution,
    functions: read.functions,
    views: read.views,
    limits: { statementMs: read.limits.statement, idleMs: read.limits.idle, sessions: read.limits.sessions },
    tags: read.tags,
    labels: read.labels,
    record: read.record,
    retainMs: read.retain,
    sessionMaxMs: read.session?.max ?? 0,
    origin: options.origin,
    refused: refusedBecause(read),
  }
}

/** Why no session may open on it, as long as that part is not built. */
function refusedBecause(read: ResourceRead): string | null {
  if (!PROTOCOLS_BUILT.includes(read.protocol)) return `protocol ${read.protocol} is not built yet`
  return read.connector === undefined ? null : `connectors are not built yet (${read.connector})`
}

const defaultTls = (read: ResourceRead): TlsMode => (read.address.every(isLoopback) ? 'disable' : 'verify-full')

function caOf(read: ResourceRead, options: ResourceOptions, mistake: (path: Path, message: string) => void): string | null {
  if (read.ca === undefined) return null
  if ('pem' in read.ca) return read.ca.pem
  if (options.origin === 'store') {
    mistake(['ca'], 'a resource registered here brings its certificate along: { pem: … }')
    return null
  }
  // What can't be opened yet needs nothing from the disk yet.
  if (!PROTOCOLS_BUILT.includes(read.protocol)) return null
  const path = resolve(options.folder, read.ca.file)
  try {
    const content = readFileSync(path, 'utf8')
    if (content.length <= CA_CHARS_MAX && content.includes('-----BEGIN CERTIFICATE-----')) return content
    mistake(['ca', 'file'], `${path} holds no certificate in PEM`)
  } catch {
    mistake(['ca', 'file'], `${path} can't be read`)
  }
  return null
}

/** One credential serves every class: it is the only one there is. */
function credentialsByClass(read: ResourceRead, folder: string): Credentials {
  const login = (one: CredentialRead): Credential => (read.protocol === 'http' ? inRequests(one, folder) : { username: one.username ?? '', password: placed(one.password ?? { kind: 'none' }, folder) })
  // A target that asks for nothing is reached with nothing.
  if (read.credential === undefined || read.credential === null) return read.protocol === 'http' ? { admin: { username: '', password: { kind: 'none' } } } : {}
  if (!isByClass(read.credential)) return { admin: login(read.credential) }
  const { read: reading, write, admin } = read.credential
  return {
    ...(reading === undefined ? {} : { read: login(reading) }),
    ...(write === undefined ? {} : { write: login(write) }),
    ...(admin === undefined ? {} : { admin: login(admin) }),
  }
}

function inRequests(one: CredentialRead, folder: string): Credential {
  if (one.basic !== undefined) return { username: one.basic.username, password: placed(one.basic.password, folder), as: { kind: 'basic' } }
  for (const kind of ['header', 'query'] as const) {
    const named = one[kind]
    if (named !== undefined) return { username: '', password: placed(named.value, folder), as: { kind, name: named.name } }
  }
  return { username: '', password: placed(one.bearer ?? { kind: 'none' }, folder), as: { kind: 'bearer' } }
}

/** Relative files are relative to the folder of the declaration. */
export const placed = (source: SecretSource, folder: string): SecretSource =>
  source.kind === 'file' ? { kind: 'file', path: resolve(folder, source.path) } : source

const isSource = (value: unknown): value is SecretSource => typeof value === 'object' && value !== null && 'kind' in value

/** Every credential with its path in the declaration. */
function credentialsOf(read: ResourceRead['credential']): [string[], CredentialRead][] {
  if (read === undefined || read === null) return []
  if (!isByClass(read)) return [[['credential'], read]]
  return Object.entries(read).flatMap(([key, one]) => (one === undefined ? [] : [[['credential', key], one] as [string[], CredentialRead]]))
}
