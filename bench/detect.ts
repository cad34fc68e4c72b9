// How fast the detectors are in one core: MB/s over rows like those of the bulk benchmark, cell by cell, and over clean text.
// Not part of the tests: absolute numbers say little on shared machines.
import { compileDetectors, DETECTORS, type Detector, Found, writeHidden } from '../src/detect/index.ts'
import { Scratch } from '../src/wire/bytes.ts'

const ROUNDS = 9
const rules = (names: readonly string[]) => compileDetectors(names.map((detector) => ({ detector, pattern: null, with: 'redact' as const, rule: detector })))!
const SETS: readonly (readonly [string, Detector])[] = [['us-ssn, credit-card', rules(['us-ssn', 'credit-card'])], ['us-ssn, credit-card, email, api-key', rules(['us-ssn', 'credit-card', 'email', 'api-key'])], [`all ${DETECTORS.length}`, rules(DETECTORS)]]

const words = 'the order was shipped late and the customer asked for a refund which support granted after a call '
const row = (i: number) => [`${i}`, `Customer Name ${i % 977}`, `user${i}@bulk-mail.example`, `${900 + (i % 99)}-${10 + (i % 89)}-${1000 + (i % 8999)}`, `40000000${String(i * 7919).padStart(8, '0').slice(0, 8)}`, words, '2024-03-01 00:00:00+00']
const clean = (i: number) => [`${i}`, `Customer Name ${i % 977}`, words, words]

interface Cells { readonly bytes: Buffer; readonly ends: Int32Array }
function cells(make: (i: number) => readonly string[], rows: number): Cells {
  const texts = Array.from({ length: rows }, (_, i) => make(i)).flat()
  const ends = new Int32Array(texts.length)
  let at = 0
  texts.forEach((text, i) => { at += Buffer.byteLength(text); ends[i] = at })
  return { bytes: Buffer.from(texts.join('')), ends }
}
function pass(detector: Detector, { bytes, ends }: Cells, out: Scratch, found: Found): number {
  out.reset()
  let start = 0, hits = 0
  for (let i = 0; i < ends.length; i++) {
    const end = ends[i]!
    if (detector.scan(bytes, start, end, found)) { hits += found.count; writeHidden(detector, found, bytes, start, end, () => '', out) }
    start = end
  }
  return hits
}

for (const [what, data] of [['bulk rows', cells(row, 40_000)], ['clean text', cells(clean, 40_000)]] as const) {
  for (const [name, detector] of SETS) {
    const out = new Scratch(data.bytes.length * 2), found = new Found()
    const speeds: number[] = []
    let hits = 0
    for (let round = 0; round < ROUNDS; round++) {
      const began = process.cpuUsage()
      hits = pass(detector, data, out, found)
      const { user, system } = process.cpuUsage(began)
      speeds.push(data.bytes.length / (user + system))
    }
    speeds.sort((a, b) => a - b)
    console.log(`${what}, ${name}: ${speeds[ROUNDS >> 1]!.toFixed(0)} MB/s [${speeds[0]!.toFixed(0)}–${speeds.at(-1)!.toFixed(0)}] per core, ${hits} hits in ${(data.bytes.length / 1e6).toFixed(1)} MB`)
  }
}
