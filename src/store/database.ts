// The pool of connections to the control store and its transactions. Errors of the driver leave here as StoreFailed, without
// the server's words: `detail` and many messages quote values.
import pg from 'pg'
import { SluiceError } from '../core/errors.ts'

const POOL_CONNECTIONS_MAX = 8
const CONNECT_TIMEOUT_MS = 2_000
const QUERY_TIMEOUT_MS = 10_000
const IDLE_TIMEOUT_MS = 30_000
/** Notices a dead server within half a minute; and the server a dead gateway. */
const KEEPALIVE_AFTER_MS = 10_000

export type StoreAddress = { readonly url: string } | { readonly socket: string; readonly port: number; readonly user: string; readonly database: string }
export type Value = string | number | boolean | null | Buffer | readonly string[]
export interface Queries {
  query<Row>(text: string, values?: readonly Value[]): Promise<Row[]>
}
export interface Database extends Queries {
  readonly address: StoreAddress
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** The control store did not do what was asked: callers refuse. */
export class StoreFailed extends SluiceError {
  /** SQLSTATE, or the system's error code. */
  readonly state: string
  constructor(state: string) {
    super('STORE_FAILED', `the control store failed (${state}); try again shortly`)
    this.state = state
  }
}

/** 8-byte integers here are times and counts, far below 2^53. */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => (oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text')),
} as pg.CustomTypesConfig

export function clientSettings(address: StoreAddress): pg.ClientConfig {
  const to = 'url' in address ? { connectionString: address.url } : { host: address.socket, port: address.port, user: address.user, database: address.database }
  return {
    ...to,
    application_name: 'sluice',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
    types,
  }
}

export function openDatabase(address: StoreAddress): Database {
  const pool = new pg.Pool({
    ...clientSettings(address),
    max: POOL_CONNECTIONS_MAX,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    statement_timeout: QUERY_TIMEOUT_MS,
    allowExitOnIdle: true,
  })
  // An idle connection that breaks is replaced by the next query; without a listener it would end the process.
  pool.on('error', () => {})
  return {
    address,
    query: (text, values) => run(pool, text, values),
    transaction: (work) => transaction(pool, work),
    close: () => pool.end(),
  }
}

async function run<Row>(to: pg.Pool | pg.PoolClient, text: string, values: readonly Value[] = []): Promise<Row[]> {
  try {
    return (await to.query(text, values as Value[])).rows as Row[]
  } catch (error) {
    throw storeFailed(error)
  }
}

const SQLSTATE = /^[0-9A-Z]{5}$/
async function transaction<T>(pool: pg.Pool, work: (queries: Queries) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw storeFailed(error)
  })
  let broken = false
  // A connection that breaks between two statements says so by an event; unheard, it would end the process.
  const breaks = () => { broken = true }
  client.on('error', breaks)
  try {
    await run(client, 'BEGIN')
    const result = await work({ query: (text, values) => run(client, text, values) })
    await run(client, 'COMMIT')
    return result
  } catch (error) {
    // Without a word of the server's own the connection is of no more use: to ask it again would wait once more.
    if (error instanceof StoreFailed && !SQLSTATE.test(error.state)) broken = true
    else
      await client.query('ROLLBACK').catch(() => {
        broken = true
      })
    throw error
  } finally {
    client.release(broken)
    client.off('error', breaks)
  }
}

export function storeFailed(error: unknown): StoreFailed {
  if (error instanceof StoreFailed) return error
  const code = (error as { code?: unknown } | null)?.code
  return new StoreFailed(typeof code === 'string' && /^[A-Z0-9_]{1,32}$/.test(code) ? code : 'unreachable')
}
