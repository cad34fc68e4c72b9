// Signed heads: what the record held, said by the supervisor, one line each, chained, in the data folder and in a second place. The
// last line's signature covers all before it through the chain. A line is the exact text that was signed: it is never re-encoded.
import { sign, verify as verifySignature, type KeyObject } from 'node:crypto'
import type { Point } from './layout.ts'
import { sha256 } from './layout.ts'
import type { Head } from './log.ts'
import { isCount, isPoint } from './scan.ts'

/** The first file is `heads.jsonl`, the next ones have a number. The one with the highest is in force, and needs none before it. */
export const headsName = (file: number): string => file === 1 ? 'heads.jsonl' : `heads.${String(file).padStart(6, '0')}.jsonl`
const HEADS_NAME = /^heads(?:\.(\d{6}))?\.jsonl$/
/** The number of the file in force among these names; 0 when there is none. */
export function newestHeads(names: readonly string[]): number {
  return Math.max(0, ...names.map((name) => HEADS_NAME.exec(name)).filter((found) => found !== null).map((found) => Number(found[1] ?? 1)))
}
/** Then the next file begins, with the last head of each log that still has files. */
export const HEADS_BYTES_MAX = 8 * 1024 * 1024
/** What a line may be: no line of ours comes near it. */
export const HEAD_LINE_BYTES_MAX = 8_192
const START = '{"entry":'
const MIDDLE = ',"signature":"'
const END = '"}'
const SIGNATURE_CHARACTERS = 88

export type Entry =
  | { readonly kind: 'start'; readonly writer: string }
  /** The first line of a file that follows others: what still counts of those stands behind it. */
  | { readonly kind: 'turned'; readonly file: number }
  | ({ readonly kind: 'head' } & Head)
  /** Found at a start: a log that was not closed ends here, after `cutBytes` of a batch that was not whole were cut off. */
  | { readonly kind: 'crash'; readonly log: string; readonly segment: number; readonly batch: number; readonly hash: string; readonly bytes: number; readonly cutBytes: number }
  /** Segments of the log up to this one were deleted as their time had come. */
  | ({ readonly kind: 'retired'; readonly log: string; readonly resource: string } & Point)
export type SignedEntry = Entry & { readonly number: number; readonly previous: string; readonly atMs: number }

export const FIRST_PREVIOUS = '0'.repeat(64)

export function signEntry(entry: Entry, number: number, previous: string, atMs: number, key: KeyObject): string {
  const text = JSON.stringify({ number, previous, ...entry, atMs: 'atMs' in entry ? entry.atMs : atMs })
  return `${START}${text}${MIDDLE}${sign(null, Buffer.from(text), key).toString('base64')}${END}`
}
export const lineHash = (line: string): string => sha256(Buffer.from(line)).toString('hex')

/** The signed text of a line, or null. */
function split(line: string): { text: string; signature: string } | null {
  const middle = line.length - END.length - SIGNATURE_CHARACTERS - MIDDLE.length
  if (!line.startsWith(START) || !line.endsWith(END) || middle < START.length || !line.startsWith(MIDDLE, middle)) return null
  return { text: line.slice(START.length, middle), signature: line.slice(middle + MIDDLE.length, -END.length) }
}
export function isSigned(line: string, publicKey: KeyObject): boolean {
  const parts = split(line)
  if (parts === null) return false
  const signature = Buffer.from(parts.signature, 'base64')
  // Base64 has several texts for the same bytes: only the one that was written counts.
  return signature.toString('base64') === parts.signature && verifySignature(null, Buffer.from(parts.text), publicKey, signature)
}
export function parseLine(line: string): SignedEntry | null {
  const parts = line.length > HEAD_LINE_BYTES_MAX ? null : split(line)
  if (parts === null) return null
  let value: unknown
  try { value = JSON.parse(parts.text) } catch { return null }
  if (typeof value !== 'object' || value === null) return null
  const { kind, number, previous, atMs, log, writer, bytes } = value as Record<string, unknown>
  if (typeof number !== 'number' || typeof previous !== 'string' || typeof atMs !== 'number') return null
  if (kind === 'turned') return isCount((value as Record<string, unknown>)['file'], 999_999) ? value as SignedEntry : null
  if (kind === 'start') return typeof writer === 'string' ? value as SignedEntry : null
  if (typeof log !== 'string' || !isPoint(value)) return null
  if (kind === 'head' || kind === 'crash') return typeof bytes === 'number' ? value as SignedEntry : null
  return kind === 'retired' ? value as SignedEntry : null
}

export interface HeadList { readonly lines: readonly string[]; readonly entries: readonly SignedEntry[]; /** Number of the first line that is not what was signed. */ readonly badLine: number | null; readonly torn: string }

/** Reads a heads file: links and form of every line, and the last one's signature. */
export function readHeads(bytes: Buffer, publicKey: KeyObject): HeadList {
  const lines = bytes.toString('utf8').split('\n')
  const torn = lines.pop() ?? ''
  const entries: SignedEntry[] = []
  const first = parseLine(lines[0] ?? '')
  const begins = first?.kind === 'turned' ? first : null
  let previous = begins?.previous ?? FIRST_PREVIOUS
  for (const [index, line] of lines.entries()) {
    const entry = parseLine(line)
    if (entry === null || entry.number !== (begins?.number ?? 1) + index || entry.previous !== previous) return { lines, entries, badLine: index + 1, torn }
    entries.push(entry)
    previous = lineHash(line)
  }
  const last = lines.at(-1)
  if (last !== undefined && !isSigned(last, publicKey)) return { lines, entries, badLine: firstUnsigned(lines, publicKey), torn }
  return { lines, entries, badLine: null, torn }
}
function firstUnsigned(lines: readonly string[], publicKey: KeyObject): number {
  const index = lines.findIndex((line) => !isSigned(line, publicKey))
  return index + 1
}
/** Which of the files of heads this is. */
export function fileOf(bytes: Buffer): number {
  const end = bytes.indexOf(10)
  const first = end < 0 || end > HEAD_LINE_BYTES_MAX ? null : parseLine(bytes.toString('utf8', 0, end))
  return first?.kind === 'turned' ? first.file : 1
}
