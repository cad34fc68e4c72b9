// Every detector on bytes that nobody expects, and on text cut anywhere: a stream says what the whole says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileDetectors, DETECTORS, DetectStream, Found, writeHidden } from '../../src/detect/index.ts'
import { LINES, unmarked } from './hand-written.ts'
import { NEGATIVES } from './negatives.ts'
import { KINDS, POSITIVES } from './positives.ts'
import { Sequence } from './random.ts'

const compiled = (names: readonly string[]) => compileDetectors(names.map((detector) => ({ detector, pattern: null, with: 'redact' as const, rule: detector })))!
const ALL = compiled(DETECTORS), EACH = DETECTORS.map((name) => compiled([name]))
const found = new Found()

function whole(text: Buffer): string {
  const parts: Buffer[] = []
  ALL.scan(text, 0, text.length, found)
  writeHidden(ALL, found, text, 0, text.length, () => '', { copy: (source, from, to) => { parts.push(Buffer.from(source.subarray(from, to))) }, text: (value) => { parts.push(Buffer.from(value)) } })
  return Buffer.concat(parts).toString('latin1')
}
function streamed(...pieces: readonly Buffer[]): string {
  const stream = new DetectStream(ALL, () => '')
  return Buffer.concat([...pieces.map((piece) => stream.push(piece)), stream.end()]).toString('latin1')
}
const makers = [...KINDS.map((kind) => POSITIVES[kind]), ...Object.values(NEGATIVES)]

test('a text cut at any byte is hidden as the whole is', () => {
  const random = new Sequence(11)
  const texts = [...LINES.map((line) => unmarked(line).text), ...makers.map((make) => `some words ${make(random)} and `.repeat(3))]
  for (const text of texts) {
    const bytes = Buffer.from(text), expected = whole(bytes)
    for (let cut = 0; cut <= bytes.length; cut++) assert.equal(streamed(bytes.subarray(0, cut), bytes.subarray(cut)), expected, `cut at ${cut} of ${bytes.length}`)
    assert.equal(streamed(...[...bytes].map((byte) => Buffer.of(byte))), expected)
  }
})

test('a detector alone and among all finds the same, wherever its value lies, and what is cut off never throws', () => {
  const random = new Sequence(12)
  for (let round = 0; round < 1_500; round++) {
    const value = Buffer.from(random.of(makers)(random)), around = Buffer.from(random.of(['', ' ', '\t', '"', '\n', 'é', '('])), bytes = Buffer.concat([Buffer.from('x'.repeat(random.below(5))), around, value, around])
    const start = random.below(bytes.length), end = start + random.below(bytes.length - start + 1)
    for (const detector of [ALL, ...EACH]) {
      detector.scan(bytes, start, end, found)
      // Bytes outside of [start, end) tell nothing: a copy of the part gives the same.
      const spans = [...found.from.subarray(0, found.count)].map((from, i) => `${from - start} ${found.to[i]! - start}`), part = Buffer.from(bytes.subarray(start, end))
      detector.scan(part, 0, part.length, found)
      assert.deepEqual([...found.from.subarray(0, found.count)].map((from, i) => `${from} ${found.to[i]!}`), spans, part.toString('latin1'))
    }
  }
})

test('random bytes and random mixtures never throw, and spans are sorted, apart and inside', () => {
  const random = new Sequence(13), alphabet = '0123456789-. @:+()/_=~SKJQey\\%aB'
  for (let round = 0; round < 4_000; round++) {
    const bytes = round % 2 === 0 ? Buffer.from(Array.from({ length: random.below(60) }, () => random.below(256))) : Buffer.from(random.text(alphabet, random.below(60)) + random.of(makers)(random) + random.text(alphabet, random.below(20)))
    for (const detector of [ALL, ...EACH]) for (const named of [detector, detector.inColumn('ssn_card_no_phone')]) {
      named.scan(bytes, 0, bytes.length, found)
      let last = 0
      for (let i = 0; i < found.count; i++) { assert.ok(found.from[i]! >= last && found.to[i]! > found.from[i]! && found.to[i]! <= bytes.length, bytes.toString('latin1')); last = found.to[i]! }
    }
  }
})
