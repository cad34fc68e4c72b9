// How well the detectors find what they are for, and only that: precision and recall on a labelled set, beside the regular expressions
// that one would write down at first. The bars hold for kinds with a checksum or a fixed shape; the others are reported.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileDetectors, Found } from '../../src/detect/index.ts'
import { LINES, unmarked, type Value } from './hand-written.ts'
import { NEGATIVES } from './negatives.ts'
import { type Kind, KINDS, POSITIVES } from './positives.ts'
import { LOWER, Sequence } from './random.ts'

const POSITIVES_OF_EACH = 600
const NEGATIVES_OF_EACH = 60
const BAR = 0.99
const BARRED: readonly Kind[] = ['us-ssn', 'credit-card', 'iban', 'email', 'ip', 'api-key', 'jwt', 'private-key']
const PLAIN: Readonly<Record<Kind, RegExp>> = {
  'us-ssn': /\b\d{3}-\d{2}-\d{4}\b/g, 'credit-card': /\b(?:\d[ -]?){12,18}\d\b/g, iban: /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b/g, phone: /\+?\(?\d[\d ().-]{7,}\d/g,
  ip: /\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\b/gi, email: /[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}/g, 'api-key': /\b[A-Za-z0-9_-]{32,}\b/g,
  jwt: /eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g, 'private-key': /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g,
}

interface Line { readonly text: string; readonly values: readonly Value[] }
const AROUND: readonly ((random: Sequence) => readonly [string, string])[] = [
  () => ['', ''], () => ['', ''], (r) => [`${r.text(LOWER, 5)} ${r.text(LOWER, 3)} `, ` ${r.text(LOWER, 6)}`], () => ['{"value":"', '","n":12}'], () => ['(', '),'], () => ['id=42;v=', ';t=2024-01-02'], () => ['[', ']'], (r) => [`${r.text(LOWER, 7)}: `, '.'], () => ['1,', ',2024-03-04'], () => ['<b>', '</b>'],
]
function set(): readonly Line[] {
  const random = new Sequence(20_261_121), lines: Line[] = []
  for (const kind of KINDS) for (let i = 0; i < POSITIVES_OF_EACH; i++) {
    const value = POSITIVES[kind](random), [before, after] = random.of(AROUND)(random)
    lines.push({ text: before + value + after, values: [{ kind, from: Buffer.byteLength(before), to: Buffer.byteLength(before + value) }] })
  }
  for (const make of Object.values(NEGATIVES)) for (let i = 0; i < NEGATIVES_OF_EACH; i++) { const [before, after] = random.of(AROUND)(random); lines.push({ text: before + make(random) + after, values: [] }) }
  return [...lines, ...LINES.map(unmarked)]
}

interface Score { readonly precision: number; readonly recall: number; readonly wrong: readonly string[]; readonly missed: readonly string[] }
type Spans = (text: string) => readonly (readonly [number, number])[]
/** A value counts as found when one span covers all of it; a span that touches no value of its kind is a wrong one. */
function score(lines: readonly Line[], kind: Kind, spans: Spans): Score {
  let right = 0
  const wrong: string[] = [], missed: string[] = []
  for (const { text, values } of lines) {
    const own = values.filter((value) => value.kind === kind), found = spans(text)
    for (const { from, to } of own) if (found.some(([a, b]) => a <= from && b >= to)) right++; else missed.push(text)
    for (const [a, b] of found) if (!own.some(({ from, to }) => a < to && b > from)) wrong.push(`${text.slice(0, 120)} [${a}, ${b})`)
  }
  return { precision: right / Math.max(1, right + wrong.length), recall: right / Math.max(1, right + missed.length), wrong, missed }
}
function detected(kind: Kind): Spans {
  const detector = compileDetectors([{ detector: kind, pattern: null, with: 'redact', rule: kind }])!, found = new Found()
  return (text) => {
    const bytes = Buffer.from(text)
    detector.scan(bytes, 0, bytes.length, found)
    return Array.from({ length: found.count }, (_, i) => [found.from[i]!, found.to[i]!] as const)
  }
}
const matched = (kind: Kind): Spans => (text) => [...text.matchAll(PLAIN[kind])].map((match) => { const from = Buffer.byteLength(text.slice(0, match.index)); return [from, from + Buffer.byteLength(match[0])] as const })

const lines = set()
const percent = (share: number) => share.toFixed(4)
for (const kind of KINDS) test(`${kind}: precision and recall on the labelled set`, (t) => {
  const ours = score(lines, kind, detected(kind)), plain = score(lines, kind, matched(kind))
  t.diagnostic(`${kind}: precision ${percent(ours.precision)}, recall ${percent(ours.recall)}; plain regular expression ${percent(plain.precision)}, ${percent(plain.recall)}`)
  const detail = `wrong: ${ours.wrong.slice(0, 8).join(' | ')}\nmissed: ${ours.missed.slice(0, 8).join(' | ')}`
  const bar = BARRED.includes(kind) ? BAR : 0.9
  assert.ok(ours.precision >= bar && ours.recall >= bar, `${kind}: precision ${ours.precision}, recall ${ours.recall}\n${detail}`)
})
