import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import { NotAuthenticated } from '../core/errors.ts'
import type { Issuer } from './issuer.ts'
import { addressProblem } from './issuer.ts'
import { KeyCache } from './key-cache.ts'
import { FETCH_INTERVAL_MS, KeyFetcher } from './keys.ts'

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = (kid: string) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' })
const fetched: string[] = []
let published = ['one'], maxAge = 'max-age=30', base = ''
const json = (answer: ServerResponse, value: unknown, status = 200) => { answer.writeHead(status, { 'content-type': 'application/json', 'cache-control': maxAge }).end(JSON.stringify(value)) }
const server = createServer((request, answer) => {
  const path = request.url ?? ''
  fetched.push(path)
  const [, name, leaf] = /^\/(\w*)\/?(.*)$/.exec(path) ?? []
  if (leaf === '.well-known/openid-configuration') {
    const issuer = name === 'other' ? base : `${base}/${name}`
    if (name === 'moved') { answer.writeHead(302, { location: `${base}/good/.well-known/openid-configuration` }).end(); return }
    json(answer, { issuer, jwks_uri: name === 'remote' ? 'http://example.com/jwks' : name === 'plain' ? 7 : `${base}/${name}/jwks` })
  } else if (name === 'down') json(answer, {}, 503)
  else if (name === 'empty') json(answer, { keys: [] })
  else if (name === 'html') answer.end('<html>sign in first</html>')
  else if (name === 'twice') answer.end('{"keys":[],"keys":[]}')
  else if (name === 'cut') { answer.writeHead(200, { 'content-length': '100' }); answer.write('{'); answer.destroy() }
  else if (name === 'huge') { const pour = () => { while (!answer.destroyed && answer.write('{"keys":['.padEnd(65_536))); if (!answer.destroyed) answer.once('drain', pour) }; pour() }
  else json(answer, { keys: published.map(key) })
})
before(async () => { server.listen(0, '127.0.0.1'); await once(server, 'listening'); base = `http://127.0.0.1:${(server.address() as { port: number }).port}` })
after(() => { server.closeAllConnections(); server.close() })
const jwksFetches = () => fetched.filter(path => path.endsWith('/jwks')).length
const kids = async (fetcher: KeyFetcher, refresh = false) => (await fetcher.keys(`${base}/good`, refresh)).keys.map(one => one.kid)

test('keys are found by discovery and fetched at most once in 30 s, whatever is asked and by how many', async () => {
  let now = 0
  const fetcher = new KeyFetcher({ monotonicMs: () => now }), before = jwksFetches()
  assert.deepEqual((await Promise.all(Array.from({ length: 50 }, () => kids(fetcher)))).flat().length, 50)
  for (let at = 0; at < 30; at++) await kids(fetcher, true)
  assert.equal(jwksFetches() - before, 1)
  now += FETCH_INTERVAL_MS
  published = ['one', 'two']
  assert.deepEqual(await kids(fetcher, true), ['one', 'two'])
  assert.equal(jwksFetches() - before, 2)
})
test('a key that left the set is refused once max-age has passed, and within an hour whatever max-age says', async () => {
  for (const [header, afterMs] of [['max-age=30', 30_000], ['no-store', 30_000], ['max-age=0', 30_000], ['max-age=999999999', 3_600_000], ['public, max-age=60', 60_000]] as const) {
    let now = 0
    maxAge = header
    published = ['one']
    const fetcher = new KeyFetcher({ monotonicMs: () => now })
    await kids(fetcher)
    published = ['two']
    now = afterMs
    assert.deepEqual(await kids(fetcher), ['two'], header)
  }
  maxAge = 'max-age=30'
})
test('an issuer that gives nothing usable gives no keys, says so, and is not asked again at once', async () => {
  for (const name of ['down', 'empty', 'html', 'huge', 'other', 'moved', 'remote', 'plain', 'twice', 'cut']) {
    let now = 0
    const told: string[] = [], fetcher = new KeyFetcher({ monotonicMs: () => now, failed: (_issuer, why) => told.push(why) })
    for (let at = 0; at < 5; at++) await assert.rejects(fetcher.keys(`${base}/${name}`, at % 2 === 0), NotAuthenticated, name)
    assert.equal(told.length, 1, name)
    now += FETCH_INTERVAL_MS
    await assert.rejects(fetcher.keys(`${base}/${name}`, false), NotAuthenticated)
    assert.equal(told.length, 2, name)
  }
  const gone = new KeyFetcher()
  await assert.rejects(gone.keys('http://127.0.0.1:9', false), /does not answer/)
  for (const issuer of ['http://example.com', 'ftp://127.0.0.1', 'nonsense', 'https://user:pass@example.com']) await assert.rejects(new KeyFetcher().keys(issuer, false), /can't be asked/)
  assert.ok(!fetched.some(path => path.includes('example')))
})
test('keys past their time are not used while the issuer is down, and are again when it is back', async () => {
  let now = 0, down = false
  published = ['one']
  const fetcher = new KeyFetcher({ monotonicMs: () => now })
  await kids(fetcher)
  const real = globalThis.fetch
  globalThis.fetch = (...asked) => down ? Promise.reject(new TypeError('down')) : real(...asked)
  try {
    down = true
    now = 29_000
    assert.deepEqual(await kids(fetcher), ['one'])
    now = 30_000
    await assert.rejects(kids(fetcher), /does not answer/)
    down = false
    now = 60_000
    assert.deepEqual(await kids(fetcher), ['one'])
  } finally { globalThis.fetch = real }
})
test('a worker asks for what it lacks, seldom, and keeps the same object for the same keys', async () => {
  let now = 0
  const issuer: Issuer = { name: 'good', issuer: `${base}/good`, audience: ['a'], subject: 'sub', groups: null, agent: null }
  const asked: boolean[] = [], fetcher = new KeyFetcher({ monotonicMs: () => now })
  const cache = new KeyCache(async (name, { refresh }) => { assert.equal(name, 'good'); asked.push(refresh); return structuredClone(await fetcher.keys(issuer.issuer, refresh)) }, () => now)
  const first = await cache.keys(issuer, false)
  for (let at = 0; at < 30; at++) assert.equal(await cache.keys(issuer, true), first)
  assert.deepEqual(asked, [false, true])
  now += 30_000
  assert.equal(await cache.keys(issuer, false), first)
  published = ['three']
  now += 30_000
  assert.deepEqual((await cache.keys(issuer, false)).keys.map(one => one.kid), ['three'])
})
test('http:// is for loopback addresses only', () => {
  for (const good of ['https://idp.example.com', 'http://127.0.0.1:8998/x', 'http://localhost', 'http://[::1]:1']) assert.equal(addressProblem(good), null, good)
  for (const bad of ['http://idp.example.com', 'http://127.0.0.1.evil.example', 'http://localhost.evil.example', 'http://10.0.0.1', 'file:///etc/passwd', 'data:,x', '', 'https://a:b@c']) assert.notEqual(addressProblem(bad), null, bad)
})
