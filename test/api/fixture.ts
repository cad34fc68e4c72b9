// The API over a real store, with the rest of the gateway played by hand: one open session, one resource, and tokens that name
// whom they are for.
import { ConfigInvalid, NotAuthenticated } from '../../src/core/errors.ts'
import { storedIssuer, storedPolicy } from '../../src/gateway/stored.ts'
import { checkPolicies } from '../../src/core/check.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { AdminEvent } from '../../src/store/admin_events.ts'
import { openReviewDesk } from '../../src/store/review_desk.ts'
import { newSealKey, seal } from '../../src/store/seal.ts'
import { hashOf } from '../../src/store/tokens.ts'
import type { Store } from '../../src/store/store.ts'
import type { ApiFacts, ApiPorts } from '../../src/api/ports.ts'
import type { LiveSession } from '../../src/api/schema.ts'

export interface Gateway {
  readonly ports: ApiPorts
  readonly events: AdminEvent[]
  readonly failures: unknown[]
  readonly identities: Map<string, Identity>
  readonly live: Map<string, LiveSession>
  facts: ApiFacts
  /** When set, nothing can be recorded. */
  recordFails: boolean
}

export function liveSession(session: string, identity: Identity): LiveSession {
  return {
    session,
    resource: 'orders',
    protocol: 'postgres',
    database: 'orders',
    issuer: identity.issuer,
    subject: identity.subject,
    onBehalfOf: identity.onBehalfOf,
    agent: identity.agent,
    client: 'psql',
    startedAtMs: Date.now(),
    statements: 1,
    denied: 0,
    reviewed: 0,
    rows: 2,
    bytes: 3,
    masked: 0,
  }
}

export function makeGateway(store: Store, facts: Partial<ApiFacts> = {}): Gateway {
  const key = newSealKey()
  const event = { sequence: 1, atMs: 1, kind: 'asked', body: { text: 'SELECT 1' } }
  const gateway: Gateway = {
    events: [],
    failures: [],
    identities: new Map(),
    live: new Map(),
    recordFails: false,
    facts: {
      version: '0.0.0',
      publicUrl: null,
      issuers: [],
      admins: { groups: ['platform'], users: [] },
      auditors: { groups: ['audit'], users: [] },
      resources: [
        { name: 'orders', origin: 'file' },
        { name: 'wiki', origin: 'store' },
      ] as never,
      inFile: { policies: ['from-file'], issuers: ['corp'] },
      ...facts,
    },
    ports: {
      store,
      facts: () => gateway.facts,
      sessions: {
        list: async () => [...gateway.live.values()],
        get: async (id) => gateway.live.get(id) ?? null,
        kill: async (id) => gateway.live.has(id),
        cancel: async (id) => gateway.live.has(id),
        killElsewhere: async () => false,
        renew: async () => 0,
        killIdentity: async (party) => [...gateway.live.values()].filter(({ issuer, subject }) => `${issuer} ${subject}` === party).length,
      },
      records: {
        async *events(_session, answers) {
          yield answers ? { ...event, answer: 'AA==' } : event
        },
        async *follow() {
          yield event
        },
        async *export() {
          yield Buffer.from('record')
        },
        verify: async () => ({ ok: true, sessions: 1, events: 1, bytes: 1, firstBad: null, unsealed: [] }),
      },
      policies: {
        list: async () => [{ name: 'p', mode: 'enforce', origin: 'file', body: {} }],
        check: async (text) => (text === 'bad' ? ['sluice.yaml:1:1: bad'] : []),
        explain: async () => ({ verdict: 'allow' }),
      },
      async authenticate(secret) {
        const identity = gateway.identities.get(secret)
        if (identity === undefined) throw new NotAuthenticated('the token is not valid')
        return { ...identity, credentialHash: hashOf(secret) }
      },
      grants: async (identity) =>
        identity.groups.includes('nobody')
          ? []
          : [{ name: 'orders', protocol: 'postgres', labels: {}, database: 'orders', allows: ['read'], masked: [], reviewed: [], denied: [], connect: [] }],
      async checkResource(_name, body) {
        if ((body as { bad?: unknown }).bad !== undefined) throw new ConfigInvalid('unknown key bad', 'api:1:1')
      },
      async checkPolicy(name, body) {
        const policy = storedPolicy(name, body)
        return { policy, findings: checkPolicies({ policies: [policy], resources: [], issuers: [], groups: null }).filter(({ level }) => level === 'error') }
      },
      issuers: () => [],
      async checkIssuer(name, body) {
        storedIssuer(name, body, '/', [])
      },
      redeem: (request) => openReviewDesk({ store, instance: 0, reviewUrl: (id) => `https://sluice.example/reviews/${id}` }).redeem(request),
      testResource: async () => ({ ok: true, message: 'PostgreSQL 18' }),
      classifyResource: async () => ({ columns: [], unread: [], tables: 0 }),
      seal: async (name, secret) => {
        const sealed = seal(key, name, Buffer.from(secret))
        return { keyId: sealed.keyId, bytes: sealed.bytes }
      },
      reload: async () => {},
      async adminEvent(made) {
        if (gateway.recordFails) throw new Error('the disk is full')
        gateway.events.push(made)
      },
      metrics: async () => 'sluice_up 1\n',
      health: async () => null,
      failed: (error) => {
        gateway.failures.push(error)
      },
    },
  }
  return gateway
}
