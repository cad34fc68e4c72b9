// HTTP through the whole gateway, with curl and node's HTTP/2 client as they are, in front of a real server that keeps what reached it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectH2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { callApi } from '../servers/api.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { acceptOf, CLOSE, frame, Frames, TEXT } from '../../src/wire/http/websocket.ts'
import { until } from './site.ts'

const KEY = 'canary-key-5d11', SSN = '536-90-4399', OTHER_SSN = '219-09-9999'
interface Arrived { readonly method: string; readonly url: string; readonly headers: IncomingHttpHeaders; readonly body: string }
interface Got { readonly status: number; readonly headers: string; readonly body: string; readonly bytes: Buffer }

describe('HTTP through the whole gateway', () => {
  let gateway: TestGateway, issuer: TestIssuer, token: string, lead: string
  const arrived: Arrived[] = []
  let script: (request: IncomingMessage, answer: ServerResponse, body: string) => void = (_request, answer) => { answer.end('ok') }
  const target = createServer((request, answer) => {
    let body = ''
    request.on('data', (part) => { body += part })
    request.on('end', () => { arrived.push({ method: request.method!, url: request.url!, headers: request.headers, body }); script(request, answer, body) })
  })
  const json = (value: unknown, headers: Record<string, string> = {}) => { script = (_request, answer) => { const text = JSON.stringify(value); answer.writeHead(200, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)), etag: '"v1"', ...headers }); answer.end(text) } }

  before(async () => {
    await new Promise<void>((ready) => target.listen(0, '127.0.0.1', ready))
    issuer = await startIssuer()
    gateway = await startTestGateway(`identity:
  issuers:
    - { name: test, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }
resources:
  - { name: shop, protocol: http, address: "127.0.0.1:${(target.address() as AddressInfo).port}", tls: disable, credential: { bearer: { env: SHOP_KEY } }, attribution: none }
  - { name: keyed, protocol: http, address: "127.0.0.1:${(target.address() as AddressInfo).port}", tls: disable, credential: { query: { name: api_key, value: { env: SHOP_KEY } } } }
  - { name: gone, protocol: http, address: "127.0.0.1:1", tls: disable }
policies:
  - name: strict
    who: { groups: [strict] }
    on: { resources: [shop] }
    allow: [read]
    deny: [{ name: no-salary, fields: ["*.salary"] }]
  - name: agents
    who: { groups: [agents] }
    on: { protocols: [http] }
    allow: [read, write]
    deny:
      - { name: no-admin, operations: [http], when: "statement.objects.exists(o, o == '/admin' || o.startsWith('/admin/'))", message: "not through the gateway" }
      - { name: no-data-out, operations: [http], detect: [us-ssn], message: "this request carries personal data" }
      - { name: no-dump, rows: 500 }
    review:
      - { name: refunds, operations: [http.PUT], reviewers: { groups: [leads] }, within: 20s, wait: refuse }
      - { name: patches, operations: [http.PATCH], reviewers: { groups: [leads] }, within: 20s, wait: hold }
    mask:
      - { fields: ["*.ssn", "customer.email"], with: redact }
      - { fields: ["*.phone"], with: partial }
      - { detect: [us-ssn], with: redact }
`, { gateway: '  auditors: { groups: [audit] }\n', env: { SHOP_KEY: KEY }, workers: 1 })
    token = await issuer.token('ann@example.com', 'agents')
    lead = await issuer.token('lea@example.com', 'leads')
  })
  after(async () => { await gateway.stop(); issuer.stop(); target.close() })

  const at = (path: string, resource = 'shop') => `https://127.0.0.1:${gateway.proxy}/http/${resource}${path}`
  /** curl as a client has it; `-i` parted into head and body. */
  async function curl(path: string, options: readonly string[] = [], resource = 'shop', as = token): Promise<Got> {
    arrived.length = 0
    const { stdout } = await promisify(execFile)('curl', ['-sk', '-i', '--path-as-is', '--max-time', '20', ...(as === '' ? [] : ['-H', `Authorization: Bearer ${as}`]), ...options, at(path, resource)], { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 })
    let rest = stdout, head = ''
    do { const end = rest.indexOf('\r\n\r\n'); head = rest.toString('latin1', 0, end); rest = rest.subarray(end + 4) } while (/^HTTP\/[\d.]+ 1\d\d/.test(head))
    return { status: Number(/^HTTP\/[\d.]+ (\d+)/.exec(head)?.[1]), headers: head.toLowerCase(), body: rest.toString('utf8'), bytes: rest }
  }

  test('fields and values are hidden wherever they stand; the rest comes as the target sent it', async () => {
    json({ id: 1.50, ssn: SSN, customer: { email: 'a@example.org', phone: '+1 202 555 0143' }, order: { email: 'kept@example.org' }, note: `call ${OTHER_SSN} now` })
    const got = await curl('/customers/1')
    assert.equal(got.status, 200)
    assert.equal(got.body, '{"id":1.5,"ssn":"[hidden]","customer":{"email":"[hidden]","phone":"***0143"},"order":{"email":"kept@example.org"},"note":"call [hidden] now"}')
    assert.doesNotMatch(got.headers, /etag/, 'what speaks of the exact bytes is gone')
  })

  test('what holds nothing to hide comes back byte for byte, coded as it was', async () => {
    const body = zlib.gzipSync(Buffer.from('[1.0, {"a":  "b"}]'))
    script = (_request, answer) => { answer.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': String(body.length), etag: '"v2"' }); answer.end(body) }
    const got = await curl('/plain', ['-H', 'Accept-Encoding: gzip'])
    assert.deepEqual(got.bytes, body)
    assert.match(got.headers, /etag: "v2"/)
    assert.match(got.headers, /content-encoding: gzip/)
    assert.equal((await curl('/plain', ['-I', '-H', 'Accept-Encoding: gzip'])).status, 200)
    script = (_request, answer) => { answer.writeHead(304, { etag: '"v2"' }); answer.end() }
    assert.equal((await curl('/plain', ['-H', 'If-None-Match: "v2"'])).status, 304)
  })

  test('a coded body is masked too, and coded again', async () => {
    for (const [coding, code, decode] of [['gzip', zlib.gzipSync, zlib.gunzipSync], ['br', zlib.brotliCompressSync, zlib.brotliDecompressSync], ['zstd', zlib.zstdCompressSync, zlib.zstdDecompressSync], ['deflate', zlib.deflateSync, zlib.inflateSync]] as const) {
      script = (_request, answer) => { answer.writeHead(200, { 'content-type': 'application/json', 'content-encoding': coding }); answer.end(code(Buffer.from(`{"ssn":"${SSN}"}`))) }
      const got = await curl('/coded', ['-H', `Accept-Encoding: ${coding}`])
      assert.match(got.headers, new RegExp(`content-encoding: ${coding}`))
      assert.equal(decode(got.bytes).toString(), '{"ssn":"[hidden]"}')
    }
  })

  test('the target gets the resource\'s credential, and nothing of who asked or of the gateway\'s own', async () => {
    json({})
    await curl('/x?a=1', ['-H', 'X-Forwarded-For: 10.0.0.1', '-H', 'X_Forwarded_User: root', '-H', 'Impersonate-User: root', '-H', 'X-Original-URL: /admin', '-H', 'Cookie: theme=dark; __Host-sluice-session=secret', '-H', 'X-Custom: kept'])
    const [request] = arrived
    assert.equal(request?.headers.authorization, `Bearer ${KEY}`)
    assert.equal(request?.headers.cookie, 'theme=dark')
    assert.equal(request?.headers['x-custom'], 'kept')
    assert.equal(request?.url, '/x?a=1')
    const all = JSON.stringify(request)
    for (const gone of [token, 'x-forwarded', 'x_forwarded', 'impersonate', 'x-original', 'sluice']) assert.ok(!all.toLowerCase().includes(gone.toLowerCase()), gone)
    await curl('/y?api_key=mine&b=2', [], 'keyed')
    assert.equal(arrived[0]?.url, `/y?b=2&api_key=${KEY}`)
    assert.equal(arrived[0]?.headers.authorization, undefined)
    assert.equal((await curl(`/z?t=${token}`)).status, 400, 'the credential never goes up in another place')
    assert.equal(arrived.length, 0)
  })

  test('rules refuse with the rule and what would be allowed; the session goes on', async () => {
    json({})
    for (const path of ['/admin', '/admin/users', '/%61dmin', '/admin;x=1/users']) {
      const got = await curl(path)
      assert.equal(got.status, 403, path)
      assert.match(got.headers, /application\/problem\+json/)
      assert.equal((JSON.parse(got.body) as { rule: string }).rule, 'agents/no-admin')
      assert.equal(arrived.length, 0)
    }
    for (const [body, type] of [[`{"m":"${SSN}"}`, 'application/json'], [`{"m":"\\u0035${SSN.slice(1)}"}`, 'application/json'], [`m=${SSN.replaceAll('-', '%2D')}`, 'application/x-www-form-urlencoded'], [`<m>536-90<b/>-4399</m>`, 'text/xml']] as const) {
      const got = await curl('/notes', ['-X', 'POST', '-H', `Content-Type: ${type}`, '--data-binary', body])
      assert.equal(got.status, type === 'text/xml' ? 200 : 403, body)
      if (got.status === 403) assert.equal((JSON.parse(got.body) as { rule: string }).rule, 'agents/no-data-out')
    }
    assert.equal((await curl('/notes', ['-X', 'DELETE'])).status, 403, 'DELETE is admin')
    assert.equal((await curl('/ok')).status, 200)
  })

  test('a value goes out in no header either, and the record of a request hides masked fields whatever they look like', async () => {
    json({})
    for (const header of [`Cookie: last=${SSN}`, `X-Note: ${SSN}`]) assert.equal((await curl('/ok', ['-H', header])).status, 403, header)
    assert.equal(arrived.length, 0)
    for (const [type, body] of [['application/json', '{"ssn":"kept-canary-1","customer":{"email":"kept-canary-2"},"q":"sent"}'], ['application/x-www-form-urlencoded', 'ssn=kept-canary-3&q=sent'], ['application/json', '{"s\\u0073n":"kept-canary-4"}']] as const) assert.equal((await curl('/notes?ssn=kept-canary-5', ['-X', 'POST', '-H', `Content-Type: ${type}`, '-d', body])).status, 200)
    assert.ok(arrived[0]?.body.includes('kept-canary-4'), 'the target gets what was sent')
  })

  test('a rule that HTTP can\'t hold closes the resource', async () => {
    const got = await curl('/ok', [], 'shop', await issuer.token('sid@example.com', 'strict'))
    assert.equal(got.status, 403)
    assert.match(got.body, /not built for protocol http/)
  })

  test('paths and heads that could be read in two ways are refused before anything goes up', async () => {
    json({})
    for (const path of ['/../admin', '/a/../admin', '/a/%2e%2e/admin', '/..%2fadmin', '/a%5c..%5cadmin', '//admin', '/a//b', '/%2561dmin', '/a%00b', '/%c0%af', '/a/./b', '/.;/admin']) {
      const got = await curl(path)
      assert.equal(got.status, 400, `${path} got ${got.status}`)
      assert.equal(arrived.length, 0, path)
    }
    for (const header of ['X-HTTP-Method-Override: DELETE', 'Upgrade: h2c', 'Connection: authorization', 'Transfer-Encoding: gzip, chunked', 'Expect: magic']) assert.ok((await curl('/a', ['--http1.1', '-H', header])).status >= 400, header)
    assert.equal((await curl('/a', ['-H', 'Host: elsewhere.example'])).status, 421)
    assert.equal(arrived.length, 0)
  })

  /** Bytes as they are, over TLS. */
  function raw(text: string): Promise<string> {
    return new Promise((done) => {
      const socket = connectTls({ host: '127.0.0.1', port: gateway.proxy, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }, () => { socket.write(text, 'latin1') })
      let received = ''
      socket.setEncoding('latin1').on('data', (part: string) => { received += part }).on('error', () => {}).on('close', () => done(received))
      setTimeout(() => { socket.destroy() }, 1_500)
    })
  }
  test('smuggled requests never leave the gateway', async () => {
    arrived.length = 0
    const head = (more: string) => `POST /http/shop/x HTTP/1.1\r\nHost: 127.0.0.1:${gateway.proxy}\r\nAuthorization: Bearer ${token}\r\n${more}\r\n\r\n`
    for (const text of [
      `${head('Transfer-Encoding: chunked\r\nContent-Length: 4')}5c\r\n`, `${head('Content-Length: 3\r\nContent-Length: 4')}abcd`, `${head('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity')}0\r\n\r\n`,
      `${head('Transfer-Encoding : chunked')}0\r\n\r\n`, `${head('Transfer-Encoding: xchunked')}0\r\n\r\n`, `${head(' folded: x')}`, `${head('X: a\0b')}`, `${head('Content-Length: +3')}abc`, `${head('Content-Length: 0x3')}abc`,
      `${head('Transfer-Encoding: chunked')}3 \r\nabc\r\n0\r\n\r\n`, `${head('Transfer-Encoding: chunked')}0x3\r\nabc\r\n0\r\n\r\n`, `${head('Transfer-Encoding: chunked')}3\nabc\n0\n\n`, head(`Host: other`), head('X: y').replaceAll('\r\n', '\n'), head('X: y').replace('HTTP/1.1', 'HTTP/1.2'),
    ]) {
      const answer = await raw(text)
      assert.match(answer, /^(HTTP\/1\.1 (400|421|501|505)|$)/, JSON.stringify(text.slice(-60)))
    }
    assert.deepEqual(arrived, [])
  })

  test('a request that needs a person is refused with an address, and passes once when approved', async () => {
    json({ done: true })
    const put = () => curl('/refunds/7', ['-X', 'PUT', '-H', 'Content-Type: application/json', '-d', '{"amount":5}'])
    const refused = await put()
    assert.equal(refused.status, 403)
    const { instance } = JSON.parse(refused.body) as { instance: string }
    assert.match(instance, /\/reviews\//)
    assert.equal(arrived.length, 0)
    assert.equal((await callApi(gateway.web, lead, 'POST', `/api/reviews/${instance.split('/').pop()}/approve`, {})).status, 200)
    assert.equal((await curl('/refunds/7', ['-X', 'PUT', '-H', 'Content-Type: application/json', '-d', '{"amount":6}'])).status, 403, 'one byte more is another request')
    assert.equal((await put()).status, 200)
    assert.equal((await put()).status, 403, 'once')
  })

  test('a held request is told where it waits, and runs when approved; who leaves cancels', async () => {
    json({ done: true })
    arrived.length = 0
    const held = curl('/orders/1', ['-X', 'PATCH', '-d', 'a=1'])
    const waiting = () => until('a review', async () => (await callApi(gateway.web, lead, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string; rule: string }[] }>().reviews.find(({ rule }) => rule === 'agents/patches'))
    const review = await waiting()
    assert.equal(arrived.length, 0)
    assert.equal((await callApi(gateway.web, lead, 'POST', `/api/reviews/${review.id}/approve`, {})).status, 200)
    assert.equal((await held).status, 200)
    const left = curl('/orders/2', ['-X', 'PATCH', '-d', 'a=1', '--max-time', '2']).catch(() => null)
    const second = await waiting()
    await left
    await until('the review to be cancelled', async () => ((await callApi(gateway.web, lead, 'GET', `/api/reviews/${second.id}`)).json<{ state: string }>().state === 'cancelled' ? true : undefined))
  })

  test('limits count items of arrays and lines: nothing beyond them leaves', async () => {
    json(Array.from({ length: 500 }, (_, id) => ({ id })))
    assert.equal((await curl('/list')).status, 200)
    json(Array.from({ length: 501 }, (_, id) => ({ id })))
    const got = await curl('/list')
    assert.equal(got.status, 403)
    assert.equal((JSON.parse(got.body) as { rule: string }).rule, 'agents/no-dump')
    script = (_request, answer) => {
      answer.writeHead(200, { 'content-type': 'application/x-ndjson' })
      let line = 0
      const timer = setInterval(() => { for (let i = 0; i < 50; i++) answer.write(`{"line":${line++}}\n`); if (line >= 5_000) { clearInterval(timer); answer.end() } }, 20)
      answer.once('close', () => { clearInterval(timer) })
    }
    for (const version of ['--http1.1', '--http2']) {
    const { stdout, code } = await promisify(execFile)('curl', ['-sk', version, '--max-time', '20', '-H', `Authorization: Bearer ${token}`, at('/lines')]).then(({ stdout }) => ({ stdout, code: 0 }), (error: { stdout: string; code: number }) => error)
    assert.ok(code !== 0, `${version}: the client takes it for whole`)
    const lines = stdout.split('\n').filter((line) => line !== '')
    assert.ok(lines.length > 0 && lines.length <= 500, `${lines.length} lines came`)
    }
  })

  test('a stream comes event by event, each after its mask', async () => {
    script = (_request, answer) => { answer.writeHead(200, { 'content-type': 'text/event-stream' }); answer.write(`data: {"ssn":"${SSN}"}\n\n`); setTimeout(() => { answer.write(`data: ${SSN}\n\n`) }, 400); setTimeout(() => { answer.end('data: bye\n\n') }, 3_000) }
    const client = connectH2(`https://127.0.0.1:${gateway.proxy}`, { rejectUnauthorized: false })
    const stream = client.request({ ':path': '/http/shop/events', authorization: `Bearer ${token}` })
    const started = Date.now()
    let text = ''
    await new Promise<void>((done, failed) => { stream.setEncoding('utf8').on('data', (part: string) => { text += part; if (text.includes('data: [hidden]')) done() }).on('error', failed).on('close', () => failed(new Error(`it closed after ${text}`))) })
    assert.ok(Date.now() - started < 2_500, 'the second event came before the last')
    assert.equal(text, 'data: {"ssn":"[hidden]"}\n\ndata: [hidden]\n\n')
    stream.close()
    client.close()
  })

  test('a WebSocket: what the target sends is masked message by message, what the client sends is judged', async () => {
    const heard: string[] = []
    target.removeAllListeners('upgrade').on('upgrade', (request, socket, early) => {
      arrived.push({ method: request.method!, url: request.url!, headers: request.headers, body: '' })
      const frames = new Frames(true)
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(request.headers['sec-websocket-key']!)}\r\n\r\n`)
      const first = frame(TEXT, Buffer.from(`see ${SSN.slice(0, 5)}`), false), rest = frame(TEXT, Buffer.from(SSN.slice(5)), false)
      first[0] = TEXT
      rest[0] = 0x80
      socket.write(Buffer.concat([first, rest, frame(TEXT, Buffer.from('{"ssn":"x"}'), false)]))
      const hear = (bytes: Buffer) => { for (const { kind, bytes: text } of frames.push(bytes)) if (kind === TEXT) { heard.push(text.toString()); socket.write(frame(TEXT, Buffer.from(`heard ${text.toString()}`), false)) } }
      hear(early)
      socket.on('data', hear).on('error', () => {})
    })
    arrived.length = 0
    const said: string[] = []
    const closed = await new Promise<number>((done, failed) => {
      setTimeout(() => failed(new Error(`nothing more came after ${JSON.stringify(said)}; the target heard ${JSON.stringify(heard)}`)), 8_000).unref()
      const socket = connectTls({ host: '127.0.0.1', port: gateway.proxy, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }, () => {
        socket.write(`GET /http/shop/live HTTP/1.1\r\nHost: 127.0.0.1:${gateway.proxy}\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`)
      })
      const frames = new Frames(false)
      let head = ''
      socket.on('error', failed).on('data', (bytes: Buffer) => {
        let rest = bytes
        if (!head.includes('\r\n\r\n')) {
          head += bytes.toString('latin1')
          if (!head.includes('\r\n\r\n')) return
          assert.match(head, /^HTTP\/1\.1 101 [^]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/)
          assert.doesNotMatch(head, /extensions/i)
          rest = Buffer.from(head.slice(head.indexOf('\r\n\r\n') + 4), 'latin1')
          socket.write(frame(TEXT, Buffer.from('hello'), true))
        }
        for (const message of frames.push(rest)) {
          if (message.kind === CLOSE) { done(message.bytes.readUInt16BE(0)); socket.destroy(); return }
          said.push(message.bytes.toString())
          if (said.length === 3) socket.write(frame(TEXT, Buffer.from(`my number is ${SSN}`), true))
        }
      })
    })
    assert.deepEqual(said.slice(0, 3), ['see [hidden]', '{"ssn":"[hidden]"}', 'heard hello'])
    assert.equal(closed, 1008, 'a message that a rule refuses ends it with the protocol\'s own code')
    assert.deepEqual(heard, ['hello'])
    assert.equal(arrived[0]?.headers.authorization, `Bearer ${KEY}`)
    assert.equal(arrived[0]?.headers['sec-websocket-extensions'], undefined)
  })

  test('redirects and cookies stay with the gateway; one that leads around is withheld', async () => {
    const port = (target.address() as AddressInfo).port
    script = (_request, answer) => { answer.writeHead(302, [['location', `http://127.0.0.1:${port}/next?x=1`], ['set-cookie', 'a=b; Path=/; Domain=example.org; HttpOnly'], ['set-cookie', `s=${SSN}; Path=/deep`], ['x-backend', `127.0.0.1:${port}`], ['strict-transport-security', 'max-age=1']].flat()); answer.end() }
    const got = await curl('/go')
    assert.match(got.headers, /location: \/http\/shop\/next\?x=1/)
    assert.match(got.headers, /set-cookie: a=b; httponly; path=\/http\/shop\r?\n/)
    assert.match(got.headers, /set-cookie: s=\[hidden\]; path=\/http\/shop\/deep/)
    assert.doesNotMatch(got.headers, /x-backend|strict-transport/)
    for (const address of ['https://elsewhere.example/x', '//elsewhere.example/x', 'http://127.0.0.1:1/x', 'javascript:alert(1)', '/\\elsewhere.example']) {
      script = (_request, answer) => { answer.writeHead(302, { location: address }); answer.end() }
      const around = await curl('/go')
      assert.equal(around.status, 502, address)
      assert.ok(!around.body.includes('elsewhere'))
    }
  })

  test('absolute addresses of the target become the gateway\'s', async () => {
    const host = `127.0.0.1:${(target.address() as AddressInfo).port}`
    json({ next: `http://${host}/list?page=2`, other: `http://${host}1/x`, secure: `https://${host}` })
    assert.equal((await curl('/list')).body, JSON.stringify({ next: `${at('/list?page=2')}`, other: `http://${host}1/x`, secure: at('').replace(/\/$/, '') }))
    script = (_request, answer) => { answer.writeHead(200, { 'content-type': 'text/plain' }); const text = `see http://${host}/a and http:`; answer.write(text); setTimeout(() => { answer.end(`//${host}/b`) }, 400) }
    assert.equal((await curl('/list')).body, `see ${at('/a')} and ${at('/b')}`)
  })

  test('what can\'t be looked into is withheld, not passed', async () => {
    const bodies: readonly (readonly [string, Buffer | string, Record<string, string>?])[] = [
      ['application/json', '{"a":1,"a":2}'], ['application/json', '{"a":'], ['application/json; charset=utf-16', 'x'], ['application/x-protobuf', '\u0001'], ['application/yaml', 'ssn: hidden by its name alone'], ['application/json', 'abc', { 'content-encoding': 'compress' }],
      ['application/json', 'abc', { 'content-encoding': 'gzip' }], ['text/plain', Buffer.from(SSN, 'utf16le')], ['application/json', zlib.gzipSync(Buffer.alloc(20 * 1024 * 1024)), { 'content-encoding': 'gzip' }], ['image/png', `\u0089PNG ${SSN}`],
    ]
    for (const [type, body, more] of bodies) {
      script = (_request, answer) => { answer.writeHead(200, { 'content-type': type, ...more }); answer.end(body) }
      const got = await curl('/odd')
      assert.equal(got.status, 502, `${type} ${JSON.stringify(more ?? '')}: ${got.status}`)
      assert.ok(!got.bytes.includes(SSN))
    }
    script = (_request, answer) => { answer.writeHead(206, { 'content-type': 'application/json', 'content-range': 'bytes 0-3/20' }); answer.end('1234') }
    assert.equal((await curl('/part', ['-H', 'Range: bytes=0-3'])).status, 502)
    assert.equal(arrived[0]?.headers.range, undefined, 'parts are not asked for')
  })

  test('a GraphQL alias hides no masked field, and a stored query is withheld', async () => {
    json({ data: { x: { y: 'not-shaped-like-a-number' } } })
    const ask = (body: unknown) => curl('/graphql', ['-X', 'POST', '-H', 'Content-Type: application/json', '-d', JSON.stringify(body)])
    assert.equal((await ask({ query: '{ x: customer(id:1) { y: ssn } }' })).body, '{"data":{"x":{"y":"[hidden]"}}}')
    assert.equal((await ask({ extensions: { persistedQuery: { sha256Hash: 'ab' } } })).status, 502)
  })

  test('no credential, a wrong one, an unknown resource, one of another protocol, a target that is away', async () => {
    const none = await curl('/x', [], 'shop', '')
    assert.equal(none.status, 401)
    assert.match(none.headers, /www-authenticate: bearer/)
    assert.equal((await curl('/x', [], 'shop', 'nonsense')).status, 401)
    assert.equal((await curl('/x', [], 'nowhere')).status, 404)
    const away = await curl('/x', [], 'gone')
    assert.equal(away.status, 502)
    assert.match(away.body, /can't be reached/)
  })

  test('HTTP/2: the same answers; heads that would be two requests to HTTP/1 are refused', async () => {
    json({ ssn: SSN })
    const client = connectH2(`https://127.0.0.1:${gateway.proxy}`, { rejectUnauthorized: false })
    const ask = (headers: Record<string, string>, body?: string) => new Promise<{ status: number; body: string }>((done) => {
      const stream = client.request({ authorization: `Bearer ${token}`, ...headers }, { endStream: body === undefined })
      let status = 0, text = ''
      stream.on('response', (head) => { status = Number(head[':status']) }).setEncoding('utf8').on('data', (part: string) => { text += part }).on('error', () => {}).on('close', () => done({ status, body: text }))
      if (body !== undefined) stream.end(body)
    })
    assert.deepEqual(await ask({ ':path': '/http/shop/a' }), { status: 200, body: '{"ssn":"[hidden]"}' })
    assert.equal((await ask({ ':path': '/http/shop/a/../admin' })).status, 400)
    assert.equal((await ask({ ':path': '/http/shop/a', host: 'other.example' })).status, 421)
    assert.equal((await ask({ ':path': '/http/shop/n', ':method': 'POST' }, 'hello')).status, 200)
    client.close()
  })

  test('the record has each request, what was refused and the masked answer; no value, no credential', async () => {
    json({ ssn: SSN, seen: 'in-the-record' })
    await curl('/recorded?x=1', ['-X', 'POST', '-H', 'Content-Type: application/json', '-d', '{"q":"what was asked"}'])
    const auditor = await issuer.token('aud@example.com', 'audit')
    const sessions = (await callApi(gateway.web, auditor, 'GET', '/api/sessions')).json<{ session: string; resource: string }[]>().filter(({ resource }) => resource === 'shop')
    assert.ok(sessions.length > 0)
    const events = await until('the events', async () => {
      const text = (await Promise.all(sessions.map(({ session }) => callApi(gateway.web, auditor, 'GET', `/api/sessions/${session}/replay`)))).map(({ text }) => text.replace(/"answer":"([^"]*)"/g, (_, bytes: string) => Buffer.from(bytes, 'base64').toString('utf8'))).join('\n')
      return text.includes('in-the-record') ? text : undefined
    })
    for (const wanted of ['POST /recorded?x=1', 'what was asked', 'agents/no-admin', 'http.POST']) assert.ok(events.includes(wanted), wanted)
    for (const never of [SSN, OTHER_SSN, KEY, token, 'kept-canary']) for (const [where, text] of [['the record', events], ['the log', gateway.log()]] as const) assert.ok(!text.includes(never), `${where} has one: ${text.slice(Math.max(0, text.indexOf(never) - 300), text.indexOf(never)).replaceAll(never, '…')}`)
  })

  test('a session that is ended ends its requests; the next one signs in again', async () => {
    script = (_request, answer) => { answer.writeHead(200, { 'content-type': 'text/event-stream' }); answer.write('data: 1\n\n') }
    const mine = await issuer.token('kai@example.com', 'agents')
    const streaming = curl('/endless', [], 'shop', mine).catch((error: { code: number }) => error)
    const session = await until('the session', async () => (await callApi(gateway.web, mine, 'GET', '/api/sessions')).json<{ session: string; resource: string }[]>().find(({ resource }) => resource === 'shop'))
    assert.ok((await callApi(gateway.web, mine, 'POST', `/api/sessions/${session.session}/kill`, {})).status < 300)
    const ended = await streaming
    assert.ok('code' in ended, 'the answer was broken off')
    json({ again: true })
    assert.equal((await curl('/x', [], 'shop', mine)).status, 200)
  })

  test('masks that change end what goes on under the old ones', async () => {
    script = (_request, answer) => { answer.writeHead(200, { 'content-type': 'text/event-stream' }); const timer = setInterval(() => { answer.write('data: {"later":"x"}\n\n') }, 100); answer.once('close', () => { clearInterval(timer) }) }
    const streaming = curl('/endless').catch((error: { code: number; stdout: Buffer }) => error)
    await until('the stream', async () => (arrived.length > 0 ? true : undefined))
    writeFileSync(gateway.config, readFileSync(gateway.config, 'utf8').replace('"customer.email"]', '"customer.email", "*.later"]'))
    const ended = await streaming
    assert.ok('code' in ended && ended.code !== 28, 'it was broken off, not left to the client\'s own time')
    json({ later: 'x' })
    assert.equal((await curl('/x')).body, '{"later":"[hidden]"}')
  })
})
