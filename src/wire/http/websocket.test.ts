import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acceptOf, BINARY, CLOSE, closeFrame, frame, FrameError, Frames, type Message, MESSAGE_BYTES_MAX, PING, TEXT } from './websocket.ts'

const all = (bytes: Buffer, masked: boolean, size = Infinity): Message[] => {
  const frames = new Frames(masked)
  const messages: Message[] = []
  for (let at = 0; at < bytes.length; at += size) messages.push(...frames.push(bytes.subarray(at, Math.min(at + size, bytes.length))))
  return messages
}
test('the accept key is that of the standard\'s own example', () => { assert.equal(acceptOf('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=') })

test('messages of every length come out as they went in, whole and cut at every byte', () => {
  for (const masked of [true, false]) {
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536]) {
      const bytes = Buffer.alloc(length, 'x')
      const wire = frame(TEXT, bytes, masked)
      assert.deepEqual(all(wire, masked), [{ kind: TEXT, bytes }])
      if (length < 200) for (let at = 0; at <= wire.length; at++) { const frames = new Frames(masked); assert.deepEqual([...frames.push(wire.subarray(0, at)), ...frames.push(wire.subarray(at))], [{ kind: TEXT, bytes }]) }
    }
  }
})
test('fragments are one message, with control frames between them', () => {
  const first = frame(TEXT, Buffer.from('ssn 123-4'), false), last = frame(TEXT, Buffer.from('5-6789'), false)
  first[0] = TEXT
  last[0] = 0x80
  const wire = Buffer.concat([first, frame(PING, Buffer.from('p'), false), last, closeFrame(1000, 'bye', false)])
  for (const size of [1, 3, Infinity]) assert.deepEqual(all(wire, false, size).map(({ kind, bytes }) => [kind, bytes.toString('utf8', kind === CLOSE ? 2 : 0)]), [[PING, 'p'], [TEXT, 'ssn 123-45-6789'], [CLOSE, 'bye']])
})
test('what the standard forbids is refused with its code', () => {
  const bad: [string, Buffer, number][] = [
    ['a reserved bit', Buffer.from([0xc1, 0x00]), 1002], ['a masked frame of a server', frame(TEXT, Buffer.from('a'), true), 1002], ['an unknown kind', Buffer.from([0x83, 0x00]), 1002], ['a long control frame', Buffer.from([0x89, 126, 0, 126]), 1002],
    ['a control frame in fragments', Buffer.from([0x09, 0x00]), 1002], ['a continuation of nothing', Buffer.from([0x80, 0x00]), 1002], ['a length too long', Buffer.from([0x81, 126, 0, 1, 0x61]), 1002], ['no UTF-8', frame(TEXT, Buffer.from([0xff]), false), 1007],
    ['a close of one byte', frame(CLOSE, Buffer.from([3]), false), 1002], ['a close code that is none', closeFrame(1005, '', false), 1002],
    ['a message too long', Buffer.concat([Buffer.from([0x82, 127]), (() => { const length = Buffer.alloc(8); length.writeBigUInt64BE(BigInt(MESSAGE_BYTES_MAX + 1)); return length })()]), 1009],
  ]
  for (const [what, wire, code] of bad) assert.throws(() => all(wire, false), (error) => error instanceof FrameError && error.code === code, what)
  assert.throws(() => all(frame(BINARY, Buffer.from('a'), false), true), FrameError)
})
test('random bytes are messages or a refusal, never anything else', () => {
  let seed = 11
  const random = (n: number) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n }
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(Array.from({ length: random(40) }, () => random(256)))
    if (bytes.length > 1 && random(2) === 0) { bytes[0] = [0x81, 0x82, 0x01, 0x80, 0x88, 0x89][random(6)]!; bytes[1] = random(30) }
    try { all(bytes, false, 1 + random(5)) } catch (error) { assert.ok(error instanceof FrameError) }
  }
})
