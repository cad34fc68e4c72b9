// The corpus of tokens: what a gateway must not take for an identity, over the PostgreSQL start-up of a real gateway.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CORPUS, corpusYaml, runCorpus, startCorpusServer } from './servers/corpus.ts'
import { startIssuer, startTestGateway } from './servers/gateway.ts'
import { freePort } from './servers/postgres.ts'

interface Case { readonly id: string; readonly mode: string; readonly category: string; readonly request: { readonly kind: string } }
const cases = readFileSync(`${CORPUS}identity.jsonl`, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Case)
const REVOKE = fileURLToPath(new URL('./servers/revoke.ts', import.meta.url))

test('every OIDC case comes out as it must', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-identity-'))
  const [server, admins, port] = await Promise.all([startCorpusServer(15), startIssuer(), freePort()])
  try {
    await server.sql('CREATE DATABASE gwcase TEMPLATE gwtpl')
    const yaml = corpusYaml('sluice-identity.yaml', { '127.0.0.1:8998': `127.0.0.1:${port}`, '127.0.0.1:55991': `127.0.0.1:${server.port}` })
      .replace('issuers:', `issuers:\n    - { name: admins, issuer: "${admins.url}", audience: sluice, subject: email, groups: groups }`)
    const gateway = await startTestGateway(yaml, { gateway: '  admins: { groups: [platform] }\n' })
    try {
      const token = join(folder, 'token')
      writeFileSync(token, await admins.token('ada@corpus.example', 'platform', '&ttl=3600'), { mode: 0o600 })
      const { results, output } = await runCorpus('run_identity.py', [
        'gateway', `${CORPUS}identity.jsonl`, '--target', `127.0.0.1:${gateway.port}`, '--listen', String(port), '--keys', join(folder, 'keys'),
        '--config', gateway.config, '--revoke', `${process.execPath} ${REVOKE} ${gateway.web} ${token} idp {jti}`,
      ])
      const failed = results.filter((r) => r.skipped === undefined && r.ok !== true).map((r) => `${r.id}: expected ${r.expect}, got ${String(r.got)}: ${(r.problems ?? []).join('; ')}`)
      assert.deepEqual(failed, [], gateway.log().slice(-2_000))
      assert.doesNotMatch(output, /controls not accepted/)
      const owed = cases.filter((c) => c.mode === 'oidc' && c.request.kind === 'jwt').map((c) => c.id)
      assert.deepEqual(owed.filter((id) => results.find((r) => r.id === id)?.ok !== true), [], 'none of the OIDC cases was skipped')
      console.log(JSON.stringify({ test: 'identity', n: results.length, passed: results.filter((r) => r.ok).length, skipped: results.filter((r) => r.skipped).length }))
    } finally { await gateway.stop() }
  } finally { admins.stop(); await server.stop(); rmSync(folder, { recursive: true, force: true }) }
})
