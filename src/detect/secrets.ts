// Keys and tokens by the prefixes their issuers document, JWTs, and private keys in PEM. A prefix is recognised at its rarest byte, so that
// plain text costs nothing.
import { isAlphanumeric } from './digits.ts'

/** Bytes of a body that decide; a longer body is taken to its end once it is decided. */
const BODY_BYTES_DECIDED = 128
const ALPHANUMERIC = 1, DASHED = 2, UPPER = 4, HEXADECIMAL = 8, DOTTED = 16
const classes = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte)
  classes[byte] = (/[A-Za-z0-9]/.test(character) ? ALPHANUMERIC : 0) | (/[A-Za-z0-9_-]/.test(character) ? DASHED : 0) | (/[A-Z0-9]/.test(character) ? UPPER : 0)
    | (/[0-9a-f]/i.test(character) ? HEXADECIMAL : 0) | (/[A-Za-z0-9_.-]/.test(character) ? DOTTED : 0)
}

interface Key { readonly prefix: string; /** Index within the prefix of the byte it is recognised at. */ readonly anchor: number; readonly body: number; readonly least: number; readonly exact: boolean; /** Needs a digit: its body could be words. */ readonly mixed: boolean }
const key = (prefix: string, body: number, least: number, options: { exact?: boolean; mixed?: boolean; anchor?: number } = {}): Key =>
  ({ prefix, anchor: options.anchor ?? prefix.length - 1, body, least, exact: options.exact ?? false, mixed: options.mixed ?? false })

const KEYS: readonly Key[] = [
  // AWS access key ids: IAM user guide, "unique identifiers".
  key('AKIA', UPPER, 16, { exact: true, anchor: 1 }), key('ASIA', UPPER, 16, { exact: true, anchor: 1 }), key('ABIA', UPPER, 16, { exact: true, anchor: 1 }), key('ACCA', UPPER, 16, { exact: true, anchor: 1 }),
  // GitHub, GitLab, npm, PyPI
  ...['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'].map((prefix) => key(prefix, ALPHANUMERIC, 36)), key('github_pat_', DASHED, 22), ...['glpat-', 'gldt-', 'glrt-', 'glptt-'].map((prefix) => key(prefix, DOTTED, 20)),
  key('npm_', ALPHANUMERIC, 36), key('pypi-', DASHED, 50),
  // Slack
  ...['xoxb-', 'xoxa-', 'xoxp-', 'xoxr-', 'xoxs-', 'xoxe-', 'xoxo-', 'xapp-'].map((prefix) => key(prefix, DASHED, 10, { mixed: true })),
  // Stripe
  ...['sk_live_', 'sk_test_', 'rk_live_', 'rk_test_'].map((prefix) => key(prefix, ALPHANUMERIC, 10)), key('whsec_', ALPHANUMERIC, 24),
  // Google: API key, OAuth secret, access token
  key('AIza', DASHED, 35, { anchor: 2 }), key('GOCSPX-', DASHED, 24), key('ya29.', DASHED, 20),
  // OpenAI (sk-, sk-proj-), Anthropic (sk-ant-), OpenRouter (sk-or-) and others of that shape
  key('sk-', DASHED, 20, { mixed: true }),
  // SendGrid, HashiCorp Vault, DigitalOcean, Hugging Face, Shopify, Databricks, Linear, Sentry, Grafana
  key('SG.', DOTTED, 60), key('hvs.', DASHED, 24), key('hvb.', DASHED, 24), ...['dop_v1_', 'doo_v1_', 'dor_v1_'].map((prefix) => key(prefix, HEXADECIMAL, 64)), key('hf_', ALPHANUMERIC, 34),
  ...['shpat_', 'shpca_', 'shppa_', 'shpss_'].map((prefix) => key(prefix, HEXADECIMAL, 32)), key('lin_api_', ALPHANUMERIC, 32), key('sntrys_', DASHED, 40), key('glsa_', DASHED, 32),
]

const byAnchor: (readonly Key[] | undefined)[] = []
for (const each of KEYS) { const anchor = each.prefix.charCodeAt(each.anchor); byAnchor[anchor] = [...(byAnchor[anchor] ?? []), each] }
export const KEY_ANCHORS: readonly number[] = byAnchor.flatMap((keys, byte) => (keys === undefined ? [] : [byte]))

/** 1 for bytes that stand before an anchor in some prefix. */
export const BEFORE_ANCHOR = new Uint8Array(256)
for (const each of KEYS) BEFORE_ANCHOR[each.prefix.charCodeAt(each.anchor - 1)] = 1

/** Where the key recognised last begins. */
export let keyFrom = 0
/** End of the key with an anchor at `at`, -1 when there is none; where it begins is left in `keyFrom`. */
export function keyEnd(bytes: Uint8Array, start: number, at: number, end: number): number {
  const candidates = byAnchor[bytes[at]!]
  if (candidates === undefined) return -1
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i]!
    const to = bodyEnd(candidate, bytes, start, at - candidate.anchor, end)
    if (to >= 0) { keyFrom = at - candidate.anchor; return to }
  }
  return -1
}
function bodyEnd(candidate: Key, bytes: Uint8Array, start: number, from: number, end: number): number {
  const { prefix, body } = candidate
  if (from < start || from + prefix.length > end || (from > start && isAlphanumeric(bytes[from - 1]!) && bytes[from - 2] !== 0x5c)) return -1
  for (let i = prefix.length - 1; i >= 0; i--) if (bytes[from + i] !== prefix.charCodeAt(i)) return -1
  const first = from + prefix.length
  const limit = Math.min(end, first + BODY_BYTES_DECIDED)
  let p = first, digit = false
  while (p < limit && (classes[bytes[p]!]! & body) !== 0) { if (bytes[p]! < 58 && bytes[p]! >= 48) digit = true; p++ }
  if (p - first < candidate.least || (candidate.mixed && !digit)) return -1
  if (candidate.exact) return p - first === candidate.least && (p >= end || (classes[bytes[p]!]! & ALPHANUMERIC) === 0) ? p : -1
  while (p < end && (classes[bytes[p]!]! & body) !== 0) p++
  return p
}

const SEGMENT_BYTES_MIN = 8
/** Up to where no JWT begins: what was read once in vain is not read again. */
let vain = 0
export const forgetVain = (): void => { vain = 0 }
/** End of the JWT whose `eyJ` begins at `from`, -1 when there is none. */
export function jwtEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  if (from < vain || from < start || (from > start && isAlphanumeric(bytes[from - 1]!) && bytes[from - 2] !== 0x5c)) return -1
  let p = from, segments = 0, last = from
  for (; segments < 5; segments++) {
    const first = p
    while (p < end && (classes[bytes[p]!]! & DASHED) !== 0) p++
    if (segments < 2 && p - first < SEGMENT_BYTES_MIN) break
    last = p
    if (p >= end || bytes[p] !== 0x2e) { segments++; break }
    p++
  }
  if (segments >= 2) return last
  vain = last
  return -1
}

const BEGIN = '-----BEGIN '
const LABEL_BYTES_MAX = 64
/** End of the PEM private key that begins at `at`: its last line, or the end of the value when that is missing. -1 when none begins. */
export function privateKeyEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let i = 1; i < BEGIN.length; i++) if (at + i >= end || bytes[at + i] !== BEGIN.charCodeAt(i)) return -1
  let p = at + BEGIN.length
  let label = ''
  while (p < end && bytes[p] !== 0x2d && label.length < LABEL_BYTES_MAX) label += String.fromCharCode(bytes[p++]!)
  if (!label.includes('PRIVATE KEY')) return -1
  for (; p + 8 < end; p++) {
    if (bytes[p] !== 0x2d || bytes[p + 4] !== 0x2d || bytes[p + 5] !== 0x45 || bytes[p + 6] !== 0x4e || bytes[p + 7] !== 0x44) continue
    p += 8
    while (p < end && bytes[p] !== 0x2d) p++
    while (p < end && bytes[p] === 0x2d) p++
    return p
  }
  return end
}
