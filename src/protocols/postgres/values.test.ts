import assert from 'node:assert/strict'
import test from 'node:test'
import { type MaskKind, NULLED, REPLACED, UNCHANGED } from '../../core/mask.ts'
import { compileDetectors } from '../../detect/index.ts'
import { Scratch } from '../../wire/bytes.ts'
import { type CellType, cellMask } from './values.ts'

const DETECTOR = compileDetectors(['us-ssn', 'credit-card', 'email'].map((detector) => ({ detector, pattern: null, with: 'redact', rule: detector })))!
const hash = () => 'abcdef0123456789abcdef0123456789'
const H = '[hidden]'
const cell = (type: number, more: Partial<CellType> = {}): CellType => ({ type, typmod: -1, format: 0, name: null, ...more })
/** What becomes of a value: its text, null for NULL; undefined when no mask applies. */
function run(type: CellType, value: Buffer | string, column: MaskKind | null = null): Buffer | null | undefined {
  const mask = cellMask(type, column, DETECTOR, hash)
  if (mask === null) return undefined
  const bytes = Buffer.concat([Buffer.from('7'), Buffer.from(value as string), Buffer.from('7')])
  const out = new Scratch(4)
  const verdict = mask(bytes, 1, bytes.length - 1, out)
  assert.equal(verdict === REPLACED || out.length === 0, true)
  return verdict === NULLED ? null : verdict === UNCHANGED ? bytes.subarray(1, -1) : out.taken()
}
const text = (type: CellType, value: string, column: MaskKind | null = null) => run(type, value, column)?.toString()

test('a masked column shows a word of its length, or NULL where its type has no word', () => {
  assert.equal(text(cell(25), 'secret', 'redact'), H)
  assert.equal(text(cell(1043, { typmod: 9 }), 'secret', 'redact'), '[hidd')
  assert.equal(text(cell(1042, { typmod: 14 }), 'secret    ', 'redact'), '[hidden]  ')
  for (const type of [23, 18, 19, 114, 3802, 1009, 17, 99_999]) assert.equal(run(cell(type), 'x', 'redact'), null)
  assert.equal(run(cell(25), 'x', 'null'), null)
  assert.equal(text(cell(25), 'x', 'hash'), 'abcdef0123456789')
  assert.deepEqual(['4539 1488 0343 6467', 'bob@x.de', 'Carol', 'Caroline', ''].map((value) => text(cell(25), value, 'partial')), ['***6467', 'b***@x.de', '***', 'C***e', '***'])
})

test('text is searched in both formats, other types are not', () => {
  for (const format of [0, 1]) for (const type of [25, 1043, 1042, 19, 142]) assert.equal(text(cell(type, { format }), 'ssn 078-05-1120.'), `ssn ${H}.`)
  for (const type of [17, 20, 23, 1700, 1184, 2950, 1007]) assert.equal(cellMask(cell(type), null, DETECTOR, hash), null)
  assert.equal(text(cell(1042, { typmod: 18 }), '123-45-6789   '), '[hidden]      ')
  assert.equal(text(cell(1043, { typmod: 10 }), 'a@b.co'), '[hidde')
  assert.equal(text(cell(20_000), '("Bob, B",123-45-6789)'), `("Bob, B",${H})`)
  assert.equal(text(cell(20_000, { name: 'hstore' }), '"a"=>"123-45-6789"'), `"a"=>"${H}"`)
  assert.equal(text(cell(20_000, { name: 'citext', format: 1 }), '123-45-6789'), H)
  assert.equal(run(cell(20_000, { format: 1 }), '\x01123-45-6789'), null)
  assert.equal(cellMask(cell(25), null, null, hash), null)
})

test('JSON stays JSON: strings and keys change, escapes hide nothing, numbers stay', () => {
  const cases: [string, string][] = [['{"ssn": "123-45-6789", "n": 4539148803436467}', `{"ssn": "${H}", "n": 4539148803436467}`], ['"\\u003123-45-6789"', `"${H}"`], ['["a\\n123-45-6789\\t\\"q\\"\\\\"]', `["a\\u000a${H}\\u0009\\"q\\"\\\\"]`],
    ['"x\\u0031\\u003123-45-6789"', '"x\\u0031\\u003123-45-6789"'], ['{"a@b.co":1}', `{"${H}":1}`], ['"\\ud83d\\ude00 123-45-6789"', `"\\ud83d\\ude00 123-45-6789"`.replace('\\ud83d\\ude00 123-45-6789', `😀 ${H}`)], ['"123-45-6789', `"${H}`], ['"\\', '"\\'], ['{}', '{}'], ['"\\u12', '"\\u12']]
  for (const [value, expected] of cases) for (const type of [114, 3802]) {
    assert.equal(text(cell(type), value), expected)
    assert.equal(run(cell(type, { format: 1 }), type === 3802 ? `\x01${value}` : value)?.toString(), type === 3802 ? `\x01${expected}` : expected)
  }
  assert.equal(run(cell(3802, { format: 1 }), '\x02"x"'), null)
})

test('arrays keep their bounds, NULLs and nesting in text format', () => {
  const cases: [string, string][] = [['{123-45-6789,NULL,"a, b"}', `{"${H}",NULL,"a, b"}`], ['[0:1]={{a},{123-45-6789}}', `[0:1]={{a},{"${H}"}}`], ['{"\\"123-45-6789\\""}', `{"\\"${H}\\""}`], ['{}', '{}'], ['{"x\\\\y",z}', '{"x\\\\y",z}'], ['{"123-45-6789', `{"${H}"`], ['{"\\', '{"\\']]
  for (const [value, expected] of cases) assert.equal(text(cell(1009), value), expected)
  assert.equal(text(cell(3807), '{"{\\"a\\": \\"\\\\u003123-45-6789\\"}"}'), `{"{\\"a\\": \\"${H}\\"}"}`)
})

const i32 = (...values: number[]) => { const b = Buffer.alloc(values.length * 4); values.forEach((value, i) => b.writeInt32BE(value, i * 4)); return b }
const sized = (value: string | Buffer | null) => value === null ? i32(-1) : Buffer.concat([i32(Buffer.byteLength(value)), Buffer.from(value as string)])
const array = (element: number, flags: number, ...values: (string | null)[]) => Buffer.concat([i32(1, flags, element, values.length, 1), ...values.map(sized)])
const record = (...columns: [number, string | Buffer | null][]) => Buffer.concat([i32(columns.length), ...columns.flatMap(([type, value]) => [i32(type), sized(value)])])
const hstore = (...pairs: [string, string | null][]) => Buffer.concat([i32(pairs.length), ...pairs.flatMap(([key, value]) => [sized(key), sized(value)])])

test('arrays, records and hstore keep their structure in binary format, whatever type they are said to be', () => {
  for (const type of [1009, 20_000]) assert.deepEqual(run(cell(type, { format: 1 }), array(25, 1, '123-45-6789', null, 'ok')), array(25, 1, H, null, 'ok'))
  for (const type of [2249, 20_000]) {
    const inner = record([25, '078-05-1120'], [17, '123-45-6789'])
    assert.deepEqual(run(cell(type, { format: 1 }), record([23, '\0\0\0\x07'], [25, null], [1043, 'x a@b.co'], [2249, inner], [3802, '\x01"123-45-6789"'])),
      record([23, '\0\0\0\x07'], [25, null], [1043, `x ${H}`], [2249, record([25, H], [17, '123-45-6789'])], [3802, `\x01"${H}"`]))
  }
  assert.deepEqual(run(cell(20_000, { format: 1 }), hstore(['k', '123-45-6789'], ['n', null])), hstore(['k', H], ['n', null]))
  assert.deepEqual(run(cell(3807, { format: 1 }), array(3802, 0, '\x02x', '\x01"a@b.co"')), array(3802, 1, null, `\x01"${H}"`))
  const value = `123-45-6789${' '.repeat(54)}`
  assert.deepEqual(run(cell(20_000, { format: 1 }), record([25, value])), record([25, `${H}${' '.repeat(54)}`]))
  assert.equal(run(cell(1009, { format: 1 }), 'not an array'), null)
  let deep = record([25, '123-45-6789'])
  for (let i = 0; i < 40; i++) deep = record([2249, deep])
  assert.equal(run(cell(2249, { format: 1 }), deep)?.includes('123-45-6789'), false)
})

test('values cut at every byte and random bytes never throw, and never show what was found', () => {
  const values: [number, number, Buffer][] = [[3807, 1, array(3802, 0, '\x01"a@b.co"')], [2249, 1, record([25, '078-05-1120'], [1009, array(25, 0, 'a@b.co')])], [1009, 0, Buffer.from('[0:1]={{"a\\"b"},{123-45-6789}}')], [3802, 0, Buffer.from('{"a\\u003123-45-6789":"\\ud83d\\ude00"}')]]
  for (const [type, format, value] of values) for (let cut = 0; cut <= value.length; cut++) {
    run(cell(type, { format }), value.subarray(0, cut))
    const flipped = Buffer.from(value)
    for (const to of [0, 255, 0x22, 0x5c]) { if (cut < value.length) flipped[cut] = to; run(cell(type, { format }), flipped) }
  }
})
