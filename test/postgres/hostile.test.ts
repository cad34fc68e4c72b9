// A short run of the fuzzer in test/fuzz/postgres.ts; SLUICE_SEED=random takes a new seed, `npm run fuzz` hours.
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import { SCHEMA } from './conversations.ts'
import { fuzz } from './hostile.ts'

const SEED = 8
const seed = process.env.SLUICE_SEED === 'random' ? Math.floor(Math.random() * 1e9) : Number(process.env.SLUICE_SEED ?? SEED)
const SECONDS = Number(process.env.SLUICE_FUZZ_SECONDS ?? 5)
let server: TestServer
before(async () => { server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! }); await server.sql(SCHEMA) })
after(async () => { await server.stop() })
for (const direction of ['client', 'server'] as const) {
  test(`hostile bytes of the ${direction} end no more than their session (seed ${seed})`, async (t) => { await fuzz(server, 'postgres', direction, SECONDS, seed, (text) => t.diagnostic(text)) })
}
