// `npm run fuzz`: hostile bytes in both directions of a PostgreSQL session, SLUICE_FUZZ_SECONDS each (5 minutes), SLUICE_SEED to repeat a run.
import { after, before, test } from 'node:test'
import { fuzz } from '../postgres/hostile.ts'
import { SCHEMA } from '../postgres/conversations.ts'
import { startPostgres, type TestServer } from '../servers/postgres.ts'

const seed = Number(process.env.SLUICE_SEED ?? Math.floor(Math.random() * 1e9))
const SECONDS = Number(process.env.SLUICE_FUZZ_SECONDS ?? 300)
let server: TestServer
before(async () => { server = await startPostgres({ version: 18 }); await server.sql(SCHEMA) })
after(async () => { await server.stop() })
for (const direction of ['client', 'server'] as const) {
  test(`hostile bytes of the ${direction} (seed ${seed}, ${SECONDS} s)`, async (t) => { await fuzz(server, 'postgres', direction, SECONDS, seed, (text) => t.diagnostic(text)) })
}
