import assert from 'node:assert/strict'
import test from 'node:test'
import { compileDetectors, DetectStream, HELD_BYTES_MAX } from './index.ts'

const DETECTOR = compileDetectors(['us-ssn', 'credit-card', 'email', 'private-key', 'jwt'].map((detector) => ({ detector, pattern: null, with: 'redact', rule: detector })))!
const H = '[hidden]'
function run(...pieces: (string | Buffer)[]): string {
  const stream = new DetectStream(DETECTOR, () => 'hash')
  return Buffer.concat([...pieces.map((piece) => stream.push(Buffer.from(piece as string))), stream.end()]).toString()
}

test('a value is found wherever a stream is cut', () => {
  const words = 'some words between the values that are long enough to let something go out before the end is here, surely; '
  const text = `${words}4539 1488 0343 6467 ${words}alice@example.com\n${words}123-45-6789 ${words}-----BEGIN PRIVATE KEY-----\nMIIB AAAA\n-----END PRIVATE KEY-----\n${words}Ünïcode@example.com`
  const expected = `${words}${H} ${words}${H}\n${words}${H} ${words}${H}\n${words}${H}`
  const bytes = Buffer.from(text)
  for (let cut = 0; cut <= bytes.length; cut++) assert.equal(run(bytes.subarray(0, cut), bytes.subarray(cut)), expected, `cut at ${cut}`)
  assert.equal(run(...[...bytes].map((byte) => Buffer.of(byte))), expected)
})

test('what is too long to hold is hidden, not passed, and what follows comes out', () => {
  const long = 'x'.repeat(HELD_BYTES_MAX * 2)
  assert.equal(run('a ', long.slice(0, -5), 'x123-45', '-6789 after'), `a ${H} after`)
  const key = `-----BEGIN PRIVATE KEY-----\n${'AAAA '.repeat(HELD_BYTES_MAX / 2)}`
  const shown = run('a ', key, 'secret\n---', '--END PRIVATE KEY-----', ' after')
  assert.equal(shown.includes('secret') || shown.includes('AAAA'), false)
  assert.equal(shown.endsWith(' after'), true)
})

test('small pieces cost no more than large ones, however long what they make is held', () => {
  const took = (first: string, piece: string, count: number) => {
    const stream = new DetectStream(DETECTOR, () => 'hash'), bytes = Buffer.from(piece), began = process.cpuUsage()
    stream.push(Buffer.from(first))
    for (let i = 0; i < count; i++) stream.push(bytes)
    stream.end()
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1000
  }
  for (const piece of ['x', '-', ' ', '1', 'a@', '\n']) {
    for (const first of ['', '-----BEGIN PRIVATE KEY-----', '-----BEGIN PRIVATE KEY-----\n-----END ']) {
      took(first, piece, 1_000)
      const half = took(first, piece, 10_000), whole = took(first, piece, 20_000)
      assert.ok(whole < Math.max(half * 4, 200), `${JSON.stringify(first + piece)}: ${half} ms, twice as many ${whole} ms`)
    }
  }
})
