// A store on a real PostgreSQL, one database per suite, and the identities of its tests.
import { randomBytes } from 'node:crypto'
import type { Identity } from '../../src/core/identity.ts'
import type { ReviewRequest } from '../../src/core/review.ts'
import { type Clock, steadyClock } from '../../src/store/clock.ts'
import type { StoreAddress } from '../../src/store/database.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { startPostgres, type TestServer } from '../servers/postgres.ts'

export interface StoreFixture {
  readonly server: TestServer
  readonly address: StoreAddress
  open(clock?: Clock): Promise<Store>
  stop(): Promise<void>
}

export async function startStore(): Promise<StoreFixture> {
  const server = await startPostgres({ version: 18 })
  await server.sql('CREATE DATABASE sluice')
  const address = { socket: server.socket, port: server.port, user: 'gwsuper', database: 'sluice' }
  const open: Store[] = []
  return {
    server,
    address,
    async open(clock) {
      const store = await openStore(address, clock === undefined ? {} : { clock })
      open.push(store)
      return store
    },
    async stop() {
      await Promise.all(open.map((store) => store.close()))
      await server.stop()
    },
  }
}

/** A clock that the test sets. */
export function handClock(): Clock & { aheadMs: number } {
  const steady = steadyClock()
  return {
    aheadMs: 0,
    nowMs() {
      return steady.nowMs() + this.aheadMs
    },
  }
}

export function person(subject: string, groups: readonly string[] = [], more: Partial<Identity> = {}): Identity {
  return {
    subject,
    issuer: 'corp',
    groups,
    agent: false,
    onBehalfOf: null,
    credentialHash: randomBytes(32).toString('hex'),
    tokenId: randomBytes(6).toString('hex'),
    expiresAtMs: Date.now() + 3_600_000,
    ...more,
  }
}

export function asking(identity: Identity, more: Partial<ReviewRequest> & { wait?: 'hold' | 'refuse'; withinMs?: number } = {}): ReviewRequest {
  const { wait = 'hold', withinMs = 60_000, ...rest } = more
  return {
    session: 's-1',
    run: 7,
    resource: 'orders',
    database: 'orders',
    requester: identity.subject,
    onBehalfOf: identity.onBehalfOf,
    parties: [`${identity.issuer} ${identity.subject}`, ...(identity.onBehalfOf === null ? [] : [`${identity.issuer} ${identity.onBehalfOf}`])],
    rule: 'unbounded-write',
    reason: 'an UPDATE without a bound needs a review',
    text: 'UPDATE orders SET state = $1',
    parameters: ['paid'],
    kind: 'statement',
    binding: randomBytes(32).toString('hex'),
    terms: { reviewers: { groups: ['leads'], users: [] }, withinMs, wait },
    ...rest,
  }
}
