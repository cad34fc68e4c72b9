// The process that answers the API and the page of reviews. It reads the store and the recordings; it has no seal key, no signing key
// and no target credential: what needs those it asks the supervisor for.
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { listen } from '../api/server.ts'
import { makeApi } from '../api/app.ts'
import type { ApiPorts } from '../api/ports.ts'
import type { Grant as GrantView, LiveSession as LiveView, RecordEvent, Verification } from '../api/schema.ts'
import { Authenticator } from '../auth/authenticate.ts'
import { LoginBlocks, Throttled } from '../auth/throttle.ts'
import { KeyCache } from '../auth/key-cache.ts'
import { readsFilters } from './filters.ts'
import { type Config, parseConfig } from '../config.ts'
import { findingsOf, type StoredObject, storedIssuer, storedPolicy, storedResource, withStored } from './stored.ts'
import { checkPolicyText } from '../core/check.ts'
import { compilePolicies } from '../core/compile.ts'
import { ConfigErrors, NoSuchResource, NotAuthenticated } from '../core/errors.ts'
import { explain } from '../core/explain.ts'
import { declaredGroups, type Identity, withDeclared } from '../core/identity.ts'
import { ALWAYS, RecordReader, type Span, verifyFolder, type Event } from '../store/record/index.ts'
import { openStore } from '../store/store.ts'
import { Bus } from './bus.ts'
import { requestDetector } from './detection.ts'
import { grantView } from './grants.ts'
import { issuersOf } from './issuers.ts'
import { log } from './log.ts'
import type { SessionCounts, SessionInfo, WebAsks, WebHears, WebTells } from './messages.ts'
import { statementOf } from './offline.ts'

const KEYS_AT_ONCE = 200

/** What another gateway gets to end a session and say so. */
const ELSEWHERE_MS = 3_000

async function main(): Promise<void> {
  let config: Config
  let policies: ReturnType<typeof compilePolicies>
  let declared: Config
  let clientSecrets: Readonly<Record<string, string | null>> = {}
  const use = (text: string, file: string, stored: readonly StoredObject[]) => { declared = parseConfig(text, file, process.env); config = withStored(declared, stored).config; policies = compilePolicies(config.policies, { detector: requestDetector }) }
  let file = ''
  const blocks: LoginBlocks = new LoginBlocks((address, claim) => bus.tell('failedLogin', { address, claim }))
  const bus = new Bus<WebAsks, WebTells, object, WebHears>(process, {}, { reload: ({ text, stored, clientSecrets: fresh }) => { clientSecrets = fresh; use(text, file, stored) }, block: (block) => blocks.add(block) })
  const boot = await bus.ask('boot', null)
  file = boot.file
  clientSecrets = boot.clientSecrets
  use(boot.text, file, boot.stored)
  const store = await openStore(boot.store, { migrate: false })
  store.reviews.declared = (issuer, subject) => declaredGroups(config.identity.people, issuer, subject)
  const keys = new KeyCache((issuer, { refresh }) => bus.ask('keys', { issuer, refresh }))
  const authenticator = new Authenticator({
    issuers: () => issuersOf(config), keys, breakGlass: () => config.gateway.emergency.map((a) => ({ name: a.name, groups: a.groups, hash: a.passwordHash })),
    findToken: (_hash, secret) => store.tokens.open(secret), revoked: (identity) => store.revocations.covering(identity), loud: () => {}, nowMs: store.clock.nowMs,
  })
  const recordings = join(config!.gateway.data, 'recordings')
  /** A session's record: the keys of what is sealed are asked for it, and kept no longer. */
  const recordOf = async (id: string) => {
    const live = (await bus.ask('sessions', null)).find((s) => s.id === id)
    const known = live === undefined ? await store.sessions.get(id) : null
    const resource = live?.resource ?? known?.resource ?? null
    const span: Span = live !== undefined ? { sinceMs: live.startedAtMs, beforeMs: Infinity } : known === null ? ALWAYS : { sinceMs: known.startedAtMs, beforeMs: known.endedAtMs ?? Infinity }
    const sealed = new RecordReader(recordings).sealed(resource, span)
    const found = new Map<string, Buffer>()
    for (let at = 0; at < sealed.length; at += KEYS_AT_ONCE) {
      const part = sealed.slice(at, at + KEYS_AT_ONCE)
      for (const [i, key] of (await bus.ask('recordKeys', part)).entries()) if (key !== null) found.set(part[i]!.name, Buffer.from(key))
    }
    return { reader: new RecordReader(recordings, (name) => found.get(name) ?? null), resource, span }
  }
  const eventOf = (event: Event, answers: boolean): RecordEvent => Buffer.isBuffer(event.body)
    ? { sequence: event.sequence, atMs: event.atMs, kind: event.kind, body: { run: event.run ?? 0, bytes: event.body.length }, ...(answers ? { answer: event.body.toString('base64') } : {}) }
    : { sequence: event.sequence, atMs: event.atMs, kind: event.kind, body: event.body }
  const ports: ApiPorts = {
    store,
    facts: () => ({
      version: version(), publicUrl: boot.url, admins: config.gateway.admins, auditors: config.gateway.auditors, resources: config.resources,
      entry: { ca: config.gateway.tls.kind === 'auto' ? boot.ca : null, postgres: config.gateway.listen.postgres ?? null },
      issuerNames: [...config.identity.issuers.map((i) => i.name), 'sluice'],
      inFile: { policies: declared.policies.map((p) => p.name), issuers: declared.identity.issuers.map((i) => i.name) },
      issuers: config.identity.issuers.flatMap((i) => (i.clientId === null ? [] : [{ name: i.name, issuer: i.issuer, clientId: i.clientId, clientSecret: clientSecrets[i.name] ?? null, scopes: i.scopes }])),
    }),
    sessions: {
      list: async () => (await bus.ask('sessions', null)).map(liveView),
      get: async (id) => { const found = (await bus.ask('sessions', null)).find((s) => s.id === id); return found === undefined ? null : liveView(found) },
      kill: async (id, by) => (await bus.ask('kill', { id, party: null, by })) > 0,
      cancel: (id) => bus.ask('interrupt', { id }),
      renew: (identity, credentialHash) => bus.ask('renew', { identity, credentialHash }),
      killElsewhere: async (id, by) => {
        await store.bell.ring({ topic: 'end', session: id, party: null, cancel: false, by })
        // Whoever has it puts it into the index as ended.
        for (const until = performance.now() + ELSEWHERE_MS; performance.now() < until; await new Promise((later) => setTimeout(later, 50))) if ((await store.sessions.get(id)) !== null) return true
        return false
      },
      killIdentity: async (party, by) => {
        const ended = await bus.ask('kill', { id: null, party, by })
        await store.bell.ring({ topic: 'end', session: null, party, cancel: false, by })
        return ended
      },
    },
    records: {
      async *events(session, answers) { const { reader, resource, span } = await recordOf(session); for (const event of reader.events(session, resource, span)) yield eventOf(event, answers) },
      async *follow(session, signal) { const { reader, resource } = await recordOf(session); for await (const event of reader.tail(session, resource, signal)) yield eventOf(event, false) },
      async *export(session) { const { reader, resource, span } = await recordOf(session); for (const line of reader.exportLines(session, resource, span)) yield Buffer.from(line) },
      verify: async () => verification(recordings, config.gateway.heads, boot.publicKey),
    },
    policies: {
      list: async () => config.policies.map((p) => ({ name: p.name, mode: p.mode, origin: declared.policies.some((one) => one.name === p.name) ? 'file' as const : 'store' as const, body: p })),
      check: async (text) => { try { return checkPolicyText(text, 'policies', { resources: config.resources, issuers: config.identity.issuers.map((i) => i.name), groups: null, filterMistake: await readsFilters() }).map((f) => `${f.where}: ${f.message}`) } catch (error) { if (error instanceof ConfigErrors) return error.list.map((e) => e.message); throw error } },
      explain: async (who, name, text) => {
        const resource = config.resources.find((r) => r.name === name)
        if (resource === undefined) throw new NoSuchResource('no such resource')
        return explain(policies, who, resource, await statementOf(text))
      },
    },
    authenticate: async (secret) => {
      const found = await authenticator.authenticate(secret)
      if (found.boundTo !== null) throw new NotAuthenticated('this token opens one resource only')
      return found.identity
    },
    declared: (identity) => withDeclared(identity, config.identity.people),
    judged: (address, secret, work) => blocks.judge(address, secret, work).catch((error: unknown) => { if (error instanceof Throttled) bus.tell('refused', { THROTTLED: 1 }); throw error }),
    grants: async (identity: Identity): Promise<GrantView[]> => config.resources.flatMap((resource) => { const view = grantView(policies, identity, resource, config); return view === null ? [] : [view] }),
    checkResource: async (name, body) => { storedResource(name, body, config.folder) },
    checkPolicy: async (name, body) => { const policy = storedPolicy(name, body); return { policy, findings: findingsOf(policy, config, await readsFilters()) } },
    issuers: () => config.identity.issuers.map((i) => ({ name: i.name, issuer: i.issuer, audience: [...i.audience], subject: i.subject, groups: i.groups, agent: i.agent, onBehalf: i.onBehalf, clientId: i.clientId, scopes: [...i.scopes], origin: declared.identity.issuers.some((one) => one.name === i.name) ? 'file' as const : 'store' as const })),
    checkIssuer: async (name, body) => { storedIssuer(name, body, config.folder, config.identity.issuers) },
    redeem: (request) => bus.ask('redeem', request),
    testResource: (name) => bus.ask('test', { name }),
    classifyResource: (name) => bus.ask('classify', { name }),
    seal: (name, secret) => bus.ask('seal', { name, secret }),
    reload: () => bus.ask('reload', null),
    adminEvent: (event) => bus.ask('admin', event),
    metrics: () => bus.ask('metrics', null),
    health: () => bus.ask('health', null),
    failed: (error) => log.error({ error: error instanceof Error ? error.message : 'unknown' }, 'the API failed'),
  }
  const address = config!.gateway.listen.web!
  const server = await listen(makeApi(ports), { host: address.host, port: address.port, tls: boot.tls })
  const end = () => { void server.close().then(() => process.exit(0)) }
  process.on('SIGTERM', end)
  process.on('SIGINT', () => {})
  process.on('disconnect', () => process.exit(1))
  bus.tell('ready', null)
}

function liveView(info: SessionInfo & { counts: SessionCounts }): LiveView {
  const { identity, counts } = info
  return {
    session: info.id, resource: info.resource, protocol: info.protocol, database: info.database, issuer: identity.issuer, subject: identity.subject, onBehalfOf: identity.onBehalfOf, agent: identity.agent,
    client: info.client, startedAtMs: info.startedAtMs, statements: counts.statements, denied: counts.denied, reviewed: 0, rows: counts.rows, bytes: counts.bytes, masked: 0, columns: [...counts.columns ?? []],
  }
}
function verification(folder: string, heads: string | null, publicKey: string): Verification {
  const found = verifyFolder(folder, heads, createPublicKey(publicKey))
  const bad = found.bad[0]
  return {
    ok: found.ok, sessions: 0, events: found.batches, bytes: found.bytes, unsealed: found.unsealed.map((u) => `${u.log}: ${u.why}`),
    firstBad: bad === undefined ? null : { session: bad.after?.session ?? null, file: bad.segment === null ? bad.log : `${bad.log}/${bad.segment}`, sequence: bad.after?.sequence ?? null, why: bad.why },
  }
}
function version(): string { return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version }

main().catch((error: unknown) => { log.error({ error: error instanceof Error ? error.stack : String(error) }, 'the web process could not start'); process.exit(1) })
