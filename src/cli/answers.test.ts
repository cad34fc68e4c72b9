// How a replay shows an answer: readable, and harmless whatever it holds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerReader, shown } from './answers.ts'

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
function description(...columns: readonly (readonly [string, number])[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeUInt16BE(columns.length)
  return message('T', Buffer.concat([count, ...columns.flatMap(([name, format]) => { const tail = Buffer.alloc(18); tail.writeUInt16BE(format, 16); return [Buffer.from(`${name}\0`), tail] })]))
}
function row(...cells: readonly (Buffer | string | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeUInt16BE(cells.length)
  return message('D', Buffer.concat([count, ...cells.flatMap((one) => {
    const length = Buffer.alloc(4)
    const bytes = one === null ? Buffer.alloc(0) : Buffer.from(one)
    length.writeInt32BE(one === null ? -1 : bytes.length)
    return [length, bytes]
  })]))
}
const read = (...parts: readonly Buffer[]) => { const reader = new AnswerReader(); return parts.flatMap((part) => [...reader.lines(part)]) }
const ANSWER = Buffer.concat([description(['id', 1], ['name', 0]), row(Buffer.from([0, 0, 0, 7]), 'Maria Øst'), row(null, ''), message('C', Buffer.from('SELECT 2\0')), message('Z', Buffer.from('I'))])
const LINES = ['id | name', '\\x00000007 | Maria Øst', 'NULL | ', 'SELECT 2']

test('rows stand under the names of their columns, binary as hex', () => { assert.deepEqual(read(ANSWER), LINES) })

test('an answer that was recorded in pieces reads the same, wherever it was cut', () => {
  for (let at = 0; at <= ANSWER.length; at++) assert.deepEqual(read(ANSWER.subarray(0, at), ANSWER.subarray(at)), LINES)
})

test('a value can\'t move the cursor, break its line, or turn text around', () => {
  const [, line = ''] = read(Buffer.concat([description(['x\u001b[2J', 0]), row('a\u001b]0;b\u0007\nSELECT 9\r\u202eend\tz')]))
  assert.equal(line, 'a\\u{1b}]0;b\\u{7}↵SELECT 9\\u{d}\\u{202e}end⇥z')
})

test('errors and notices are told with their code, detail and hint', () => {
  assert.deepEqual(read(message('E', Buffer.from('SERROR\0VERROR\0C42501\0Mno\0Dwhy\0Hask\0\0'))), ['ERROR  42501  no  detail: why  hint: ask'])
})

test('what is no message of PostgreSQL is shown as bytes and ends nothing', () => {
  assert.deepEqual(read(Buffer.from('D\0\0\0\x01rest')), ['bytes \\x440000000172657374'])
  assert.deepEqual(read(message('D', Buffer.from([0, 3, 0, 0])), ANSWER), ['bytes \\x00030000', ...LINES])
  assert.deepEqual(read(message('D', Buffer.from([0, 1, 0, 0, 0, 9, 1]))), ['bytes \\x00010000000901'])
  assert.deepEqual(read(message('T', Buffer.from([0, 200, 65]))), ['bytes \\x00c841'])
  assert.deepEqual(read(message('E', Buffer.from('Sno end'))), ['bytes \\x536e6f20656e64'])
  assert.equal(shown(Buffer.from([0xff, 0xfe])), '\\xfffe')
  for (let seed = 0; seed < 2_000; seed++) read(Buffer.from(Array.from({ length: 40 }, (_, index) => (seed * 31 + index * index * 7 + (seed >> 3)) & 0xff)))
})
