// The day on which the identity provider is down: a break-glass account, made by `sluice emergency`, opens the database and the API, and
// each use of it is told aloud, counted and recorded.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { compiled, startIssuer, type TestIssuer } from '../servers/gateway.ts'
import { type Site, startSite, until } from './site.ts'

let site: Site, issuer: TestIssuer, folder: string
before(async () => { issuer = await startIssuer(); site = await startSite({ storeBeside: true, issuer }); folder = mkdtempSync(join(tmpdir(), 'sluice-emergency-')) })
after(async () => { await site?.stop(); issuer?.stop(); rmSync(folder, { recursive: true, force: true }) })

const sluice = (line: readonly string[], input = '') => new Promise<{ out: string; error: string; status: number }>((done) => {
  const child = execFile(process.execPath, [fileURLToPath(new URL('../../src/cli/index.ts', import.meta.url)), ...line], { env: { ...process.env, XDG_CONFIG_HOME: folder, NODE_COMPILE_CACHE: compiled() } }, (error, out, stderr) => done({ out, error: stderr, status: error === null ? 0 : Number(error.code) }))
  child.stdin?.end(input)
})

test('it is made by a command, works without any provider, is loud, and ends with its entry', async () => {
  const made = JSON.parse((await sluice(['emergency', 'root', '--groups', 'agents,platform,audit', '--json'])).out) as { account: { password_hash: string }; password: string }
  const secret = made.password.split(':')[2]!
  const entry = `  emergency: [{ name: root, groups: [agents, platform, audit], password_hash: "${made.account.password_hash}" }]\n`
  site.edit((text) => text.replace('identity:', `${entry}identity:`))
  await until('the reload', () => site.gateway.log().includes('the configuration was reloaded'))
  issuer.stop()
  const client = await until('it opens', () => site.gateway.client({ database: 'orders', password: made.password }).catch(() => null))
  assert.equal((await client.query('SELECT ssn FROM customers WHERE id = 1')).rows[0].ssn, '[hidden]', 'rules hold for it as for anyone')
  assert.equal(site.gateway.log().split('AN EMERGENCY ACCOUNT WAS USED').length - 1 >= 1, true)
  await assert.rejects(site.gateway.client({ database: 'orders', password: 'break-glass:root:guess' }), { code: '28P01' })
  await assert.rejects(site.gateway.client({ database: 'orders', password: `break-glass:toor:${secret}` }), { code: '28P01' })
  const who = await site.api(made.password, 'GET', '/api/whoami')
  assert.deepEqual([who.status, who.json<{ admin: boolean; issuer: string }>().admin, who.json<{ issuer: string }>().issuer], [200, true, 'sluice'], who.text)
  const wrong = await sluice(['login', '--break-glass', '--gateway', `https://127.0.0.1:${site.gateway.web}`, '--ca', join(site.gateway.data, 'keys/ca.pem')], 'break-glass:root:wrong\n')
  assert.notEqual(wrong.status, 0)
  const login = await sluice(['login', '--break-glass', '--gateway', `https://127.0.0.1:${site.gateway.web}`, '--ca', join(site.gateway.data, 'keys/ca.pem')], `${made.password}\n`)
  assert.equal(login.status, 0, login.error)
  const kept = readFileSync(join(folder, 'sluice/profiles/default.json'), 'utf8')
  assert.ok(!kept.includes(secret), 'the secret goes back into the safe')
  const { token } = JSON.parse(kept) as { token: string }
  assert.equal((await site.api(token, 'POST', '/api/emergency')).status, 403, 'a token makes no token')
  assert.match((await sluice(['sql', 'orders', '-c', 'SELECT 42 AS answer', '--json'])).out, /42/)
  const events = (await site.api(made.password, 'GET', '/api/audit/events')).json<{ action: string; actor: string }[]>()
  assert.ok(events.some(({ action, actor }) => action === 'emergency.token' && actor === 'sluice root'))
  assert.match((await site.api('', 'GET', '/metrics')).text, /sluice_emergency_uses_total [3-9]/)
  const text = site.gateway.log()
  assert.ok(!text.includes(secret) && !text.includes(token))
  site.edit((before_) => before_.replace(entry, ''))
  await until('it ends', () => client.query('SELECT 1').then(() => false, () => true), 8_000)
  await assert.rejects(site.gateway.client({ database: 'orders', password: made.password }), { code: '28P01' })
})
