// A session through `connect` outlives the credential that opened it, as long as that can be renewed; with another identity, or once the
// resource's own time is over, it does not.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type Site, startSite, until } from '../gateway/site.ts'
import { compiled } from '../servers/gateway.ts'
import { type RefreshingIssuer, startRefreshing } from '../servers/refreshing.ts'

/** A session ends at most so long after its credential. */
const GRACE_MS = 25_000
const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')

describe('what is open through connect', () => {
  let site: Site, issuer: RefreshingIssuer, folder: string
  before(async () => {
    issuer = await startRefreshing()
    site = await startSite({ storeBeside: true, issuer })
    folder = mkdtempSync(join(tmpdir(), 'sluice-renew-'))
  })
  after(async () => { await site?.stop(); issuer?.stop(); if (folder !== undefined) rmSync(folder, { recursive: true, force: true }) })

  test('it goes on after its credential has ended, under the fresh one, and ends when that is revoked', async () => {
    const token = await issuer.token('ren@example.com')
    mkdirSync(join(folder, 'sluice/profiles'), { recursive: true })
    writeFileSync(join(folder, 'sluice/profiles/default.json'), JSON.stringify({
      gateway: `https://127.0.0.1:${site.gateway.web}`, ca: readFileSync(join(site.gateway.data, 'keys/ca.pem'), 'utf8'), postgres: { host: '127.0.0.1', port: site.gateway.port },
      issuer: { name: 'test', issuer: issuer.url, clientId: 'sluice', scopes: ['openid'] }, token, refreshToken: 'ren@example.com', expiresAtMs: Date.now() + 3_000,
    }), { mode: 0o600 })
    const connect = spawn(process.execPath, [fileURLToPath(new URL('../../src/cli/index.ts', import.meta.url)), 'connect', 'orders', '--json'], { env: { ...process.env, XDG_CONFIG_HOME: folder, NODE_COMPILE_CACHE: compiled() } })
    try {
      let [out, said] = ['', '']
      connect.stdout.on('data', (bytes: Buffer) => { out += bytes })
      connect.stderr.on('data', (bytes: Buffer) => { said += bytes })
      const environment = await until('the entrance', () => { try { return JSON.parse(out) as { PGHOST: string; PGPORT: string } } catch { return null } }, 30_000)
      const client = new pg.Client({ host: environment.PGHOST, port: Number(environment.PGPORT), user: 'x', database: 'orders' })
      client.on('error', () => {})
      await client.connect()
      // The same credential without anyone who renews it.
      const left = await site.gateway.client({ database: 'orders', password: await issuer.token('left@example.com') })
      const from = Date.now()
      await until('it ends', () => left.query('SELECT 1').then(() => false, () => true), GRACE_MS + 8_000)
      assert.ok(Date.now() - from > GRACE_MS - 2_000)
      await sleep(3_000)
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1, said)
      assert.ok(issuer.refreshed() >= 2)
      issuer.ttlSeconds = 600
      const admin = await (async () => { issuer.groups = ['platform']; const made = await issuer.token('ada@example.com'); issuer.groups = ['agents']; return made })()
      const current = await until('a long credential', () => { const { token: now } = JSON.parse(readFileSync(join(folder, 'sluice/profiles/default.json'), 'utf8')) as { token: string }; const { exp } = JSON.parse(Buffer.from(now.split('.')[1]!, 'base64url').toString()) as { exp: number }; return exp * 1_000 > Date.now() + 300_000 ? now : null })
      await sleep(1_500)
      assert.equal((await site.api(admin, 'POST', '/api/identity/revoke', { kind: 'credential', hash: hashOf(current), reason: 'a test' })).status, 200)
      await until('it ends with the fresh credential', () => client.query('SELECT 1').then(() => false, () => true), 5_000)
    } finally { connect.kill('SIGTERM') }
  })

  test('only the same identity renews, only with a credential that lasts longer, and what it may do is judged anew', async () => {
    issuer.ttlSeconds = 60
    const opener = await issuer.token('own@example.com')
    const client = await site.gateway.client({ database: 'orders', password: opener })
    const renew = async (token: string, of = opener) => (await site.api(token, 'POST', '/api/sessions/renew', { credential: hashOf(of) })).json<{ renewed: number }>().renewed
    issuer.ttlSeconds = 120
    assert.equal(await renew(await issuer.token('thief@example.com')), 0)
    const longer = await issuer.token('own@example.com')
    assert.equal(await renew(longer, longer), 0)
    assert.equal(await renew(opener), 0, 'no longer than before')
    assert.equal(await renew(longer), 1)
    assert.equal(await renew(longer), 0, 'it is done')
    issuer.ttlSeconds = 180
    issuer.groups = ['strangers']
    assert.equal(await renew(await issuer.token('own@example.com'), longer), 0)
    await until('it ends', () => client.query('SELECT 1').then(() => false, () => true), 5_000)
    issuer.groups = ['agents']
    // The one that opened it counts too: revoked, what it began ends.
    issuer.ttlSeconds = 60
    const first = await issuer.token('two@example.com')
    const second = await site.gateway.client({ database: 'orders', password: first })
    issuer.ttlSeconds = 120
    assert.equal(await renew(await issuer.token('two@example.com'), first), 1)
    issuer.groups = ['platform']
    assert.equal((await site.api(await issuer.token('ada@example.com'), 'POST', '/api/identity/revoke', { kind: 'credential', hash: hashOf(first), reason: 'a test' })).status, 200)
    issuer.groups = ['agents']
    await until('it ends', () => second.query('SELECT 1').then(() => false, () => true), 5_000)
  })
})
