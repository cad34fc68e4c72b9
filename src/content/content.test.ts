import assert from 'node:assert/strict'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { compileDetectors } from '../detect/index.ts'
import { codingsOf, decodedWhole, encodedWhole, heldToRatio } from './encoding.ts'
import { type BodyMask, ContentRefused, Hider } from './hider.ts'
import { JSON_DEPTH_MAX } from './json.ts'
import { checkCharset, kindOf, type Kind, maskOf, sniffed } from './kind.ts'

const SSN = '536-90-4399'
const detector = compileDetectors([{ detector: 'us-ssn', pattern: null, with: 'redact', rule: 'ssn' }, { detector: 'email', pattern: null, with: 'partial', rule: 'mail' }])!
const hash = () => 'ab'.repeat(32)
const field = (_grand: string, parent: string, name: string) => (name === 'secret' || (name === 'code' && parent === 'card') ? 'redact' as const : null)
const reading = () => ({ hider: new Hider(field, detector, hash), detector, hash })

/** Gives the body in pieces of `size` bytes. */
function through(kind: Kind, text: string | Buffer, size = Infinity): string {
  const bytes = Buffer.from(text as string), out: Buffer[] = []
  const mask: BodyMask = maskOf(kind, bytes, reading())
  for (let at = 0; at < bytes.length; at += size) mask.push(bytes.subarray(at, Math.min(bytes.length, at + size)), out)
  mask.end(out)
  return Buffer.concat(out).toString('utf8')
}
const cases: readonly (readonly [Kind, string, string])[] = [
  ['json', '{ "a": 1.50e3, "b": [true,null , "x\\u0041"], "z":{}, "y":[] }\n', '{ "a": 1.50e3, "b": [true,null , "x\\u0041"], "z":{}, "y":[] }\n'],
  ['json', '{"secret":"v","n":{"secret":12},"card":{"code":"9"},"code":"9"}', '{"secret":"[hidden]","n":{"secret":null},"card":{"code":"[hidden]"},"code":"9"}'],
  ['json', '{"card":[{"code":"9"},{"code":null}]}', '{"card":[{"code":"[hidden]"},{"code":null}]}'],
  ['json', '[{"secret":{"deep":["v",{"w":1}]},"b":2},{"secret":[1,[2]]}]', '[{"secret":"[hidden]","b":2},{"secret":"[hidden]"}]'],
  ['json', `{"note":"see ${SSN}!","${SSN}":1}`, '{"note":"see [hidden]!","[hidden]":1}'],
  ['json', `{"p":"{\\"secret\\": \\"${SSN}\\", \\"q\\":1}"}`, '{"p":"{\\"secret\\": \\"[hidden]\\", \\"q\\":1}"}'],
  ['json', `"\\u0035\\u00336-90-4399"`, '"[hidden]"'],
  ['json', '"{not json} but text"', '"{not json} but text"'],
  ['ndjson', `{"a":1}\r\n\n{"secret":"x"}\n{"m":"${SSN}"}`, '{"a":1}\r\n\n{"secret":"[hidden]"}\n{"m":"[hidden]"}'],
  ['events', 'event: x\ndata: {"secret":"v"}\n\n: ping\n\ndata: plain\n\n', 'event: x\ndata: {"secret":"[hidden]"}\n\n: ping\n\ndata: plain\n\n'],
  ['events', 'data: 536-90\ndata: -4399\n\n', 'data: [hidden]\n\n'],
  ['csv', `id,secret,note\n1,"a, b","x ""${SSN}"""\n2,,ok\n`, 'id,secret,note\n1,[hidden],"x ""[hidden]"""\n2,,ok\n'],
  ['form', `a=1&secret=v&note=my%20${SSN}+x`, 'a=1&secret=%5Bhidden%5D&note=my%20%5Bhidden%5D%20x'],
  ['markup', `<p>5<b>36</b>-90-4&#51;99</p><i title="${SSN}">ok</i>`, '<p>[hidden]<b></b></p><i title="[hidden]">ok</i>'],
  ['markup', '<r><secret>v<b>w</b></secret><c secret="v"/><a>ok</a></r>', '<r><secret>[hidden]<b>[hidden]</b></secret><c secret="[hidden]"/><a>ok</a></r>'],
  ['markup', '<a><![CDATA[536-90-]]>4399</a>', '<a><![CDATA[[hidden]]]></a>'],
  ['text', `line one\nssn ${SSN}.\n`, 'line one\nssn [hidden].\n'],
]
for (const [kind, given, expected] of cases) {
  test(`${kind}: ${given.slice(0, 60).replaceAll('\n', '↵')}, whole and cut at every byte`, () => {
    assert.equal(through(kind, given), expected)
    for (const size of [1, 2, 3, 7]) assert.equal(through(kind, given, size), expected, `in pieces of ${size}`)
    for (let at = 1; at < given.length; at++) {
      const bytes = Buffer.from(given), out: Buffer[] = []
      const mask = maskOf(kind, bytes, reading())
      mask.push(bytes.subarray(0, at), out)
      mask.push(bytes.subarray(at), out)
      mask.end(out)
      assert.equal(Buffer.concat(out).toString(), expected, `cut at ${at}`)
    }
  })
}

const broken = ['', '{', '{"a":1,"a":2}', '{"\\u0061":1,"a":2}', '[1,]', '{"a" 1}', '01', '[1 2]', '"\u0001"', '{"a":1}x', 'nul', '"\\x"', '{,}', '[,1]', '-', '{"a":}', '"abc']
test('what is no JSON, or names a key twice, is refused', () => {
  for (const text of broken) assert.throws(() => through('json', text), ContentRefused, text)
  assert.throws(() => through('json', Buffer.from([0x22, 0xff, 0x22])), ContentRefused)
  assert.throws(() => through('json', '['.repeat(JSON_DEPTH_MAX + 1)), /deeper/)
})

test('random documents: what need not change comes out as it went in, and only what JSON.parse takes is taken', () => {
  let seed = 7
  const random = (n: number) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n }
  const value = (depth: number): unknown => {
    switch (random(depth > 3 ? 5 : 7)) {
      case 0: return random(1000) / 8
      case 1: return ['a', 'ü"\\', '\n\u2028', 'x'.repeat(random(40)), '😀'][random(5)]
      case 2: return null
      case 3: return random(2) === 0
      case 4: return -random(9)
      case 5: return Array.from({ length: random(4) }, () => value(depth + 1))
      default: return Object.fromEntries(Array.from({ length: random(4) }, (_, i) => [`k${i}"${random(3)}`, value(depth + 1)]))
    }
  }
  for (let round = 0; round < 2_000; round++) {
    const text = JSON.stringify(value(0), null, random(3))
    assert.equal(through('json', text, 1 + random(9)), text)
    // One byte is changed: we take no more than the language's own parser does.
    const bytes = Buffer.from(text)
    bytes[random(bytes.length)] = [0x22, 0x2c, 0x5c, 0x7d, 0x30, 0x00, 0x61][random(7)]!
    let taken = true
    try { through('json', bytes) } catch (error) { assert.ok(error instanceof ContentRefused); taken = false }
    if (taken) assert.doesNotThrow(() => { JSON.parse(bytes.toString('utf8')) }, bytes.toString())
  }
})

test('rows are items of the outermost arrays, lines, events and records', () => {
  const rows = (kind: Kind, text: string) => { const mask = maskOf(kind, Buffer.from(text), reading()); mask.push(Buffer.from(text), []); mask.end([]); return mask.rows }
  assert.equal(rows('json', '[{"a":[1,2,3]},{},[1]]'), 3)
  assert.equal(rows('json', '{"items":[1,2],"more":{"x":[1]},"next":[3]}'), 3)
  assert.equal(rows('json', '{"a":1}'), 0)
  assert.equal(rows('ndjson', '1\n2\n3'), 3)
  assert.equal(rows('csv', 'a,b\n1,2\n3,4\n'), 2)
})

test('kinds are told by what is said and by how it begins; encodings that hide ASCII are refused', () => {
  const kinds: [string | undefined, Kind | null][] = [['application/json; charset=utf-8', 'json'], ['application/vnd.api+json', 'json'], ['application/x-ndjson', 'ndjson'], ['text/event-stream', 'events'], ['text/html', 'markup'],
    ['image/svg+xml', 'markup'], ['image/png', 'media'], ['application/x-protobuf', 'binary'], ['application/msgpack', 'binary'], ['text/plain', 'text'], ['application/yaml', 'code'], ['text/javascript', 'code'], ['application/vnd.oai.openapi+yaml', 'code'], ['multipart/byteranges; boundary=x', 'ranges'], [undefined, null]]
  for (const [type, kind] of kinds) assert.equal(kindOf(type), kind, type)
  assert.equal(sniffed(Buffer.from('  {"a":1}')), 'json')
  assert.equal(sniffed(Buffer.from('ok')), 'text')
  assert.equal(sniffed(Buffer.from([1, 0, 2])), 'binary')
  assert.throws(() => checkCharset('application/json; charset=utf-16', Buffer.alloc(0)), ContentRefused)
  assert.throws(() => checkCharset('text/plain', Buffer.from([0xff, 0xfe, 0x31, 0])), ContentRefused)
  assert.throws(() => through('text', Buffer.from('1\u00002')), ContentRefused)
})

test('codings are undone and done again; what is left over, unknown, or a bomb is told', async () => {
  const text = Buffer.from('hello '.repeat(100))
  for (const coding of ['gzip', 'deflate', 'br', 'zstd'] as const) {
    const coded = await encodedWhole(text, [coding])
    assert.deepEqual(await decodedWhole(coded, [coding], 10_000), { bytes: text, exact: true })
    await assert.rejects(decodedWhole(coded, [coding], 100), /longer than/)
    await assert.rejects(decodedWhole(coded.subarray(0, coded.length - 6), [coding], 10_000), ContentRefused)
  }
  assert.deepEqual(await decodedWhole(await encodedWhole(text, ['gzip', 'br']), codingsOf('gzip, br'), 10_000), { bytes: text, exact: true })
  assert.deepEqual((await decodedWhole(zlib.deflateRawSync(text), ['deflate'], 10_000)).bytes, text)
  const trailed = await decodedWhole(Buffer.concat([zlib.gzipSync(text), Buffer.from(SSN)]), ['gzip'], 10_000).catch((error: unknown) => error)
  assert.ok(trailed instanceof ContentRefused || !(trailed as { exact: boolean }).exact)
  assert.throws(() => codingsOf('compress'), ContentRefused)
  assert.throws(() => codingsOf('gzip,gzip,gzip'), ContentRefused)
  assert.throws(() => heldToRatio(10_000, 1 << 30), ContentRefused)
})

test('markup of every broken form costs linear time', () => {
  for (const piece of ['<a "', '<!--', '&#', '<a b="c" ', '<![CDATA[', '</a', '<a><b>']) {
    const started = process.cpuUsage().user
    try { through('markup', piece.repeat(100_000)) } catch (error) { assert.ok(error instanceof ContentRefused) }
    assert.ok(process.cpuUsage().user - started < 4_000_000, `${piece} took ${process.cpuUsage().user - started} µs`)
  }
})
