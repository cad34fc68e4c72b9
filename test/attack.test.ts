// `sluice attack`, which must show leaks where nothing stands in between, and none through Sluice.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BENIGN, readCases, USABLE } from '../src/attack/cases.ts'
import { HIDDEN_FIELDS } from '../src/attack/plant.ts'
import type { Result } from '../src/attack/run.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from './servers/gateway.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from './servers/postgres.ts'

let server: TestServer, issuer: TestIssuer, gateway: TestGateway
before(async () => {
  [server, issuer] = await Promise.all([startPostgres({ version: SUITE_VERSIONS.at(-1)! }), startIssuer()])
  await server.sql('CREATE ROLE owner LOGIN')
  await server.sql('CREATE DATABASE target OWNER owner')
  gateway = await startTestGateway(`identity: { issuers: [{ name: corp, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }] }
resources: [{ name: target, protocol: postgres, address: "127.0.0.1:${server.port}", database: target, tls: disable, credential: { username: owner } }]
policies: [{ name: p, who: { any: true }, on: { resources: [target] }, allow: [session, read, write, admin], mask: [{ fields: [${HIDDEN_FIELDS.map((field) => `"${field}"`).join(', ')}], with: redact }] }]
`)
})
after(async () => { await gateway?.stop(); issuer?.stop(); await server?.stop() })

interface Run { readonly status: number; readonly results: readonly Result[]; readonly text: string }
function sluice(options: readonly string[]): Promise<Run> {
  return new Promise((done) => {
    execFile(process.execPath, [fileURLToPath(new URL('../src/cli/index.ts', import.meta.url)), 'attack', ...options, '--json'], { maxBuffer: 1 << 26 }, (error, out, err) => {
      const { results = [] } = (out.startsWith('{') ? JSON.parse(out) : {}) as { results?: Result[] }
      done({ status: error === null ? 0 : Number(error.code), results, text: `${out}${err}` })
    })
  })
}
const named = (results: readonly Result[], outcome: string) => results.filter((result) => result.outcome === outcome).map((result) => `${result.id} ${result.statements.join('; ')} ${result.why}`)
const bare = () => `postgres://owner@127.0.0.1:${server.port}/target`

test('a bare server leaks in every case that is no benign one, and the schema is gone afterwards', async () => {
  const run = await sluice(['--url', bare()])
  assert.equal(run.status, 1, run.text.slice(0, 2_000))
  assert.deepEqual(run.results.filter((result) => result.outcome !== (result.category === BENIGN ? 'works' : 'leaked') && !(result.category === USABLE && result.outcome === 'works')).map((result) => `${result.outcome} ${result.id} ${result.statements.join('; ')} ${result.why}`), [])
  assert.equal(run.results.length, readCases().length)
  assert.deepEqual((await server.sql("SELECT nspname FROM pg_namespace WHERE nspname = 'sluice_attack'", 'target')).rows, [])
})
test('through Sluice nothing leaks and what is benign or masked works', async () => {
  const token = await issuer.token('ana@example.com', 'team')
  const run = await sluice(['--url', `postgres://ana:${encodeURIComponent(token)}@127.0.0.1:${gateway.port}/target`, '--setup', bare()])
  assert.deepEqual(named(run.results, 'leaked'), [])
  assert.deepEqual([...named(run.results, 'changed'), ...named(run.results, 'not tried')], [])
  assert.deepEqual(named(run.results.filter((result) => result.category === BENIGN || result.category === USABLE), 'refused'), [])
  assert.equal(run.status, 0)
  assert.equal(run.text.includes('123-45-6789@'), false)
})
test('what can not be planted or reached is said, and is no pass', async () => {
  const gone = await sluice(['--url', 'postgres://nobody@127.0.0.1:1/x'])
  assert.notEqual(gone.status, 0)
  assert.match(gone.text, /nothing listens there/)
  const both = await sluice(['target', '--url', bare()])
  assert.equal(both.status, 2)
  const none = await sluice(['--url', bare(), '--only', 'no such case'])
  assert.match(none.text, /no case is called/)
})
