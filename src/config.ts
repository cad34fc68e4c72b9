// sluice.yaml + environment → one frozen, checked Config, or every mistake in it with its place.
// Never resolves a secret: it holds sources only. Relative paths are relative to the folder of the file.
import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { inspect } from 'node:util'
import { gatewaySchema, identitySchema, DEFAULT_LISTEN, LISTENERS } from './config/schema.ts'
import type { GatewayRead, IdentityRead } from './config/schema.ts'
import type { Checked, FilterMistake, Finding } from './core/check.ts'
import { checkPolicies } from './core/check.ts'
import type { Source } from './core/document.ts'
import { parseWith, readDocument } from './core/document.ts'
import { ConfigErrors, ConfigInvalid } from './core/errors.ts'
import { nearest } from './core/operations.ts'
import type { PolicyRules } from './core/policy-rules.ts'
import { readPolicies } from './core/policy-rules.ts'
import type { Resource, SecretSource } from './core/resource.ts'
import { placed, readResources } from './core/resource-rules.ts'
import { parseAddress } from './core/units.ts'

export type Listener = (typeof LISTENERS)[number]
export interface ListenAddress {
  readonly host: string
  readonly port: number
}
export interface Members {
  readonly groups: readonly string[]
  readonly users: readonly string[]
}
/** A text that may hold a secret because the file does: printed nowhere, read on purpose only. */
export class Sensitive {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
    Object.freeze(this)
  }
  reveal(): string {
    return this.#text
  }
  toString(): string {
    return '[hidden]'
  }
  toJSON(): string {
    return '[hidden]'
  }
  [inspect.custom](): string {
    return '[hidden]'
  }
}
export type StoreConfig =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'postgres'; readonly url: Sensitive }
  | { readonly kind: 'postgres-secret'; readonly url: SecretSource }
export interface GatewayConfig {
  /** Absolute. */
  readonly data: string
  readonly store: StoreConfig
  readonly recordings: { readonly kind: 'file' }
  readonly workers: number | 'auto'
  readonly tls: { readonly kind: 'auto' } | { readonly kind: 'files'; readonly cert: string; readonly key: string }
  readonly listen: { readonly [L in Listener]?: ListenAddress }
  /** Address of the web listener as others see it, when it is not the listener's own. */
  readonly url: string | null
  readonly admins: Members
  readonly auditors: Members
  readonly heads: string | null
  readonly webhook: { readonly url: string; readonly secret: SecretSource } | null
  /** Break-glass accounts; in the groups of admins unless their own are given. */
  readonly emergency: readonly { readonly name: string; readonly groups: readonly string[]; readonly passwordHash: string }[]
  readonly limits: {
    readonly connections: number
    readonly connectionsInLogin: number
    readonly failedLogins: { readonly ofAddress: number; readonly ofOne: number }
    readonly storeGraceMs: number
    readonly loginMs: number
    readonly drainMs: number
    readonly messageBytesMax: number
    readonly statementBytesMax: number
  }
}
export interface IssuerConfig {
  readonly name: string
  readonly issuer: string
  readonly audience: readonly string[]
  readonly subject: string
  readonly groups: string
  readonly agent: string | null
  readonly onBehalf: string | null
  readonly clientId: string | null
  readonly clientSecret: SecretSource
  readonly scopes: readonly string[]
}
export interface PersonConfig {
  readonly subject: string
  /** Its name; when the file says none, its only issuer. */
  readonly issuer: string
  readonly groups: readonly string[]
  readonly keyFiles: readonly string[]
}
export interface IdentityConfig {
  readonly issuers: readonly IssuerConfig[]
  readonly people: readonly PersonConfig[]
  readonly authorityFiles: readonly string[]
}
export interface Config {
  readonly origin: 'file'
  /** Absolute path of the file, and the folder that paths in it are relative to. */
  readonly file: string
  readonly folder: string
  readonly gateway: GatewayConfig
  readonly identity: IdentityConfig
  readonly resources: readonly Resource[]
  readonly policies: readonly PolicyRules[]
  /** What `sluice policy check` shows beside errors; a config with errors does not exist. */
  readonly warnings: readonly Finding[]
}
export type Environment = Readonly<Record<string, string | undefined>>
/** Overrides for containers: each stands for the key of that name. */
const OVERRIDES = { SLUICE_DATA: 'data', SLUICE_STORE: 'store', SLUICE_WORKERS: 'workers' } as const
const CONFIG_BYTES_MAX = 4 * 1024 * 1024

/** Throws ConfigErrors with every mistake at once. */
export function loadConfig(path: string, environment: Environment, filterMistake?: FilterMistake): Config {
  const file = resolve(path)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigErrors([new ConfigInvalid(`can't be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`, file)])
  }
  return parseConfig(text, file, environment, filterMistake)
}

/** The same from text; `file` says what its places and relative paths are called after. `filterMistake` reads row filters, where the grammar is at hand. */
export function parseConfig(text: string, file: string, environment: Environment = {}, filterMistake?: FilterMistake): Config {
  if (text.length > CONFIG_BYTES_MAX) throw new ConfigErrors([new ConfigInvalid(`longer than ${CONFIG_BYTES_MAX} characters`, file)])
  const folder = dirname(file)
  const source = readDocument(text, basename(file))
  const mistakes: ConfigInvalid[] = []
  const root = rootOf(source, mistakes)
  const gateway = parseWith(gatewaySchema, source, mistakes, ['gateway'], overridden(root.gateway ?? {}, environment))
  const identity = parseWith(identitySchema, source, mistakes, ['identity'], root.identity ?? {})
  const resources = readResources(source, ['resources'], root.resources ?? [], mistakes, { origin: 'file', folder })
  const policies = readPolicies(source, ['policies'], root.policies ?? [], mistakes)
  if (identity !== null) { checkIdentity(identity, source, mistakes); checkPeople(identity, source, mistakes) }
  if (gateway !== null) checkGateway(gateway, source, mistakes)
  if (gateway === null || identity === null || mistakes.length > 0) throw new ConfigErrors(inOrder(mistakes))
  const findings = [...findingsOf({ identity, resources, policies, source }, filterMistake), ...warningsOf(gateway, identity, resources, source, environment)]
  const errors = findings.filter(finding => finding.level === 'error')
  if (errors.length > 0) throw new ConfigErrors(inOrder(errors.map(finding => new ConfigInvalid(finding.message, finding.where))))
  return deepFreeze({
    origin: 'file',
    file,
    folder,
    gateway: gatewayOf(gateway, folder),
    identity: identityOf(identity, folder),
    resources,
    policies,
    warnings: findings.filter(finding => finding.level === 'warning'),
  } satisfies Config)
}

const SECTIONS = ['gateway', 'identity', 'resources', 'policies'] as const
function rootOf(source: Source, mistakes: ConfigInvalid[]): { readonly [S in (typeof SECTIONS)[number]]?: unknown } {
  const root = source.value ?? {}
  if (typeof root !== 'object' || Array.isArray(root)) {
    mistakes.push(new ConfigInvalid('not a map: gateway, identity, resources, policies', source.locate([])))
    return {}
  }
  for (const key of Object.keys(root))
    if (!(SECTIONS as readonly string[]).includes(key))
      mistakes.push(new ConfigInvalid(`unknown key \`${key.slice(0, 60).replace(/[^\x20-\x7e]/g, '?')}\``, source.locateKey([], key)))
  return root
}

function overridden(gateway: unknown, environment: Environment): unknown {
  if (typeof gateway !== 'object' || gateway === null || Array.isArray(gateway)) return gateway
  const given = Object.entries(OVERRIDES).filter(([name]) => environment[name] !== undefined && environment[name] !== '')
  return {
    ...gateway,
    ...Object.fromEntries(
      given.map(([name, key]) => [key, /^\d+$/.test(environment[name] ?? '') && key === 'workers' ? Number(environment[name]) : environment[name]]),
    ),
  }
}

function checkGateway(gateway: GatewayRead, source: Source, mistakes: ConfigInvalid[]): void {
  const mistake = (path: PropertyKey[], message: string) => {
    mistakes.push(new ConfigInvalid(message, source.locate(['gateway', ...path])))
  }
  if (gateway.recordings !== 'file') mistake(['recordings'], '`recordings`: s3:// is not supported yet: use `file`')
  if (typeof gateway.store === 'object' && gateway.store.url.kind !== 'env' && gateway.store.url.kind !== 'file')
    mistake(['store'], '`store`: its address comes from { env } or { file }')
  if (gateway.webhook?.secret.kind === 'none') mistake(['webhook', 'secret'], '`webhook`: without a secret nobody could tell our messages from others\': { env }, { file } or { store }')
  const taken = new Map<string, string>()
  for (const [key, address] of Object.entries(gateway.listen ?? {})) {
    if (address === undefined || address.port === 0) continue
    const place = `${address.host}:${address.port}`
    const other = taken.get(place)
    if (other !== undefined) mistake(['listen', key], `\`listen\`: ${key} and ${other} are at the same address`)
    taken.set(place, key)
  }
  gateway.emergency.forEach((account, index) => {
    if (gateway.emergency.findIndex(other => other.name === account.name) !== index)
      mistake(['emergency', index, 'name'], `a second account named \`${account.name}\``)
  })
}

function checkIdentity(identity: IdentityRead, source: Source, mistakes: ConfigInvalid[]): void {
  identity.issuers.forEach((issuer, index) => {
    const mistake = (key: string, message: string) => {
      mistakes.push(new ConfigInvalid(message, source.locate(['identity', 'issuers', index, key])))
    }
    if (identity.issuers.findIndex(other => other.name === issuer.name) !== index) mistake('name', `a second issuer named \`${issuer.name}\``)
    if (identity.issuers.findIndex(other => other.issuer === issuer.issuer) !== index)
      mistake('issuer', 'a second issuer with this address: a token would have two meanings')
    if (issuer.client_secret !== undefined && issuer.client_id === undefined) mistake('client_secret', '`client_secret` without `client_id`')
  })
}

/** Two issuers may each have an `ana`: groups are given to one of them, by name. */
function checkPeople(identity: IdentityRead, source: Source, mistakes: ConfigInvalid[]): void {
  const names = identity.issuers.map(issuer => issuer.name)
  const seen = new Set<string>()
  identity.people.forEach((person, index) => {
    const mistake = (key: string, message: string) => {
      mistakes.push(new ConfigInvalid(message, source.locate(['identity', 'people', index, key])))
    }
    if (person.issuer === undefined && names.length > 1) mistake('subject', `\`people\`: say whose ${person.subject} this is, with \`issuer\`: ${names.join(', ')}`)
    if (person.issuer !== undefined && !names.includes(person.issuer)) {
      const meant = nearest(person.issuer, names)
      mistake('issuer', `\`people\`: no issuer is named \`${person.issuer}\`${meant === null ? '' : `; did you mean \`${meant}\`?`}`)
    }
    const key = `${person.issuer ?? ''} ${person.subject}`
    if (seen.has(key)) mistake('subject', `\`people\`: a second entry for ${person.subject}`)
    seen.add(key)
  })
}

interface Parts {
  readonly identity: IdentityRead
  readonly resources: readonly Resource[]
  readonly policies: readonly PolicyRules[]
  readonly source: Source
}
function findingsOf({ identity, resources, policies, source }: Parts, filterMistake?: FilterMistake): Finding[] {
  return checkPolicies({
    ...(filterMistake === undefined ? {} : { filterMistake }),
    policies,
    resources,
    issuers: identity.issuers.map(issuer => issuer.name),
    groups: identity.issuers.length > 0 ? null : identity.people.flatMap(person => person.groups),
    placeOf: resource => source.locate(['resources', resources.indexOf(resource)]),
  })
}

/** Findings about a whole config, as `sluice policy check` lists them (errors never get this far). */
export const checkConfig = (config: Config): readonly Finding[] => config.warnings
export { checkPolicies }
export type { Checked, Finding }

function warningsOf(gateway: GatewayRead, identity: IdentityRead, resources: readonly Resource[], source: Source, environment: Environment): Finding[] {
  const found: Finding[] = []
  const warn = (path: PropertyKey[], message: string) => {
    found.push({ level: 'warning', where: source.locate(path), message })
  }
  if (identity.issuers.length === 0 && gateway.emergency.length === 0) warn(['identity'], 'no issuer and no emergency account: nobody can sign in')
  for (const account of gateway.emergency)
    if ((account.groups ?? gateway.admins.groups).length === 0) warn(['gateway', 'emergency'], `emergency account ${account.name} is in no group: it may do nothing unless a policy or \`admins\` names it`)
  identity.people.forEach((person, index) => {
    if (person.keys.length > 0) warn(['identity', 'people', index, 'keys'], `the keys of ${person.subject} are not used yet: SSH is not built`)
  })
  if (identity.authorities.length > 0) warn(['identity', 'authorities'], '`authorities` are not used yet: SSH is not built')
  if (identity.saml.length > 0) warn(['identity', 'saml'], 'SAML is not supported yet: these providers are ignored')
  if (typeof gateway.store === 'string' && gateway.store !== 'embedded' && new URL(gateway.store).password !== '')
    warn(['gateway', 'store'], 'a password stands in the file: use { url: { env: NAME } }')
  for (const key of Object.keys(gateway.listen ?? {}))
    if (key !== 'web' && key !== 'postgres') warn(['gateway', 'listen', key], `\`listen\`: ${key} is not built yet: nothing listens there`)
  resources.forEach((resource, index) => {
    for (const credential of Object.values(resource.credentials)) {
      if (credential.password.kind === 'env' && environment[credential.password.name] === undefined)
        warn(['resources', index, 'credential'], `resource ${resource.name}: environment variable ${credential.password.name} is not set`)
    }
  })
  return found
}

function gatewayOf(read: GatewayRead, folder: string): GatewayConfig {
  return {
    data: resolve(folder, read.data),
    store: storeOf(read.store, folder),
    recordings: { kind: 'file' },
    workers: read.workers,
    tls: read.tls === 'auto' ? { kind: 'auto' } : { kind: 'files', cert: resolve(folder, read.tls.cert), key: resolve(folder, read.tls.key) },
    listen: listenOf(read.listen),
    url: read.url ?? null,
    admins: read.admins,
    auditors: read.auditors,
    heads: read.heads === undefined ? null : resolve(folder, read.heads),
    webhook: read.webhook === undefined ? null : { url: read.webhook.url, secret: placed(read.webhook.secret, folder) },
    emergency: read.emergency.map(account => ({ name: account.name, groups: account.groups ?? read.admins.groups, passwordHash: account.password_hash })),
    limits: {
      connections: read.limits.connections,
      connectionsInLogin: read.limits.connections_in_login,
      failedLogins: { ofAddress: read.limits.failed_logins, ofOne: read.limits.failed_logins_of_one },
      storeGraceMs: read.limits.store_grace,
      loginMs: read.limits.login,
      drainMs: read.limits.drain,
      messageBytesMax: read.limits.message,
      statementBytesMax: read.limits.statement,
    },
  }
}

function listenOf(listen: GatewayRead['listen']): GatewayConfig['listen'] {
  const given = listen ?? Object.fromEntries(Object.entries(DEFAULT_LISTEN).map(([key, text]) => [key, parseAddress(text)]))
  return Object.fromEntries(Object.entries(given).filter(([, address]) => address !== undefined && address !== null)) as GatewayConfig['listen']
}

function storeOf(read: GatewayRead['store'], folder: string): StoreConfig {
  if (read === 'embedded') return { kind: 'embedded' }
  return typeof read === 'string' ? { kind: 'postgres', url: new Sensitive(read) } : { kind: 'postgres-secret', url: placed(read.url, folder) }
}

export function issuerConfig(issuer: IdentityRead['issuers'][number], folder: string): IssuerConfig {
  return {
    name: issuer.name,
    issuer: issuer.issuer,
    audience: issuer.audience,
    subject: issuer.subject,
    groups: issuer.groups,
    agent: issuer.agent ?? null,
    onBehalf: issuer.on_behalf ?? null,
    clientId: issuer.client_id ?? null,
    clientSecret: placed(issuer.client_secret ?? { kind: 'none' }, folder),
    scopes: issuer.scopes,
  }
}

function identityOf(read: IdentityRead, folder: string): IdentityConfig {
  return {
    issuers: read.issuers.map(issuer => issuerConfig(issuer, folder)),
    people: read.people.map(person => ({
      subject: person.subject,
      issuer: person.issuer ?? read.issuers[0]?.name ?? '',
      groups: person.groups,
      keyFiles: person.keys.map(key => resolve(folder, key.file)),
    })),
    authorityFiles: read.authorities.map(key => resolve(folder, key.file)),
  }
}

/** Mistakes in the order of the file. */
function inOrder(mistakes: readonly ConfigInvalid[]): ConfigInvalid[] {
  const place = (mistake: ConfigInvalid) => mistake.where.split(':').slice(-2).map(Number)
  return [...mistakes].sort((a, b) => {
    const [x, y] = [place(a), place(b)]
    return (x[0] ?? 0) - (y[0] ?? 0) || (x[1] ?? 0) - (y[1] ?? 0)
  })
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const item of Object.values(value)) deepFreeze(item)
  }
  return value
}
