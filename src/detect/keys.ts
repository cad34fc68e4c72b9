// Keys and tokens of the big providers, by the shapes that they document. A key is recognised at the rarest byte of its prefix and the byte
// before that, so that plain text costs nothing; then its body is read, a bounded number of bytes.
import { isAlphanumeric } from './digits.ts'

/** Bytes of a body that decide; a longer body is taken to its end once it is decided. */
const BODY_BYTES_DECIDED = 128
export const ALPHANUMERIC = 1, DASHED = 2, UPPER = 4, HEXADECIMAL = 8, DOTTED = 16, BASE64 = 32, BASE32 = 64
export const BODY = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte)
  const bit = (pattern: RegExp, kind: number) => (pattern.test(character) ? kind : 0)
  BODY[byte] = bit(/[A-Za-z0-9]/, ALPHANUMERIC) | bit(/[A-Za-z0-9_-]/, DASHED) | bit(/[A-Z0-9]/, UPPER) | bit(/[0-9a-f]/i, HEXADECIMAL) | bit(/[A-Za-z0-9_.~-]/, DOTTED) | bit(/[A-Za-z0-9+/]/, BASE64) | bit(/[A-Z2-7]/, BASE32)
}

interface Key {
  readonly prefix: string
  /** Index within the prefix of the byte it is recognised at. */
  readonly anchor: number
  /** What its body is made of, how long it is at least, and whether it is exactly so long. */
  readonly body: number
  readonly least: number
  readonly exact: boolean
  /** So many bytes stand before the prefix that belong to the key. */
  readonly ahead: number
  /** The prefix is a name that a key is given by: it stays. */
  readonly named: boolean
  /** Its body could be words: it holds a run of this many letters and digits, with both in it. */
  readonly mixed: number
}
const key = (prefix: string, body: number, least: number, options: Partial<Pick<Key, 'exact' | 'mixed' | 'anchor' | 'ahead' | 'named'>> = {}): Key =>
  ({ prefix, anchor: options.anchor ?? prefix.length - 1, body, least, exact: options.exact ?? false, mixed: options.mixed ?? 0, ahead: options.ahead ?? 0, named: options.named ?? false })
const keys = (prefixes: string, body: number, least: number, options: Parameters<typeof key>[3] = {}): Key[] => prefixes.split(' ').map((prefix) => key(prefix, body, least, options))
const exact = true, named = true

const KEYS: readonly Key[] = [
  // AWS: access key ids (IAM user guide, "unique identifiers"), Bedrock API keys, a secret by the name it is given by.
  ...keys('AKIA ASIA ABIA ACCA', UPPER, 16, { exact, anchor: 1 }), key('ABSK', BASE64, 109, { anchor: 3 }),
  ...keys('secret_access_key SECRET_ACCESS_KEY', BASE64, 40, { exact, anchor: 6, named }), ...keys('ecretAccessKey', BASE64, 40, { exact, anchor: 5, named }),
  // Google: API key, OAuth secret, access token. Service accounts are private keys.
  key('AIza', DASHED, 35, { exact, anchor: 2 }), key('GOCSPX-', DASHED, 28), key('ya29.', DASHED, 20), key('1//0', DASHED, 40, { anchor: 2, mixed: 16 }),
  // Azure: secrets of applications, storage and bus keys by name or by the signature in them, "common annotated security keys".
  ...keys('7Q~ 8Q~', DOTTED, 31, { ahead: 3, mixed: 8 }), ...keys('AccountKey= SharedAccessKey=', BASE64, 43, { named }), key('+ASt', BASE64, 6, { exact, anchor: 2, ahead: 76 }), key('JQQJ9', ALPHANUMERIC, 24, { anchor: 2, ahead: 52 }),
  // GitHub, GitLab, npm, PyPI, Docker, RubyGems, Terraform
  ...keys('ghp_ gho_ ghu_ ghs_ ghr_', ALPHANUMERIC, 36), key('github_pat_', DASHED, 22, { mixed: 16 }), ...keys('glpat- gldt- glrt- glptt- glft- glcbt- glsoat- gloas- glagent- glimt- glffct-', DOTTED, 20, { mixed: 8 }),
  key('npm_', ALPHANUMERIC, 36), key('pypi-', DASHED, 50), ...keys('dckr_pat_ dckr_oat_', DASHED, 27), key('rubygems_', HEXADECIMAL, 48), key('.atlasv1.', DASHED, 60, { ahead: 14 }),
  // Slack
  ...keys('xoxb- xoxa- xoxp- xoxr- xoxs- xoxe- xoxo- xoxc- xoxd- xapp-', DASHED, 10, { mixed: 10 }),
  // Stripe
  ...keys('sk_live_ sk_test_ rk_live_ rk_test_', ALPHANUMERIC, 16), key('whsec_', BASE64, 24),
  // Twilio: API key id; SendGrid
  key('SK', HEXADECIMAL, 32, { exact, anchor: 1 }), key('SG.', DOTTED, 66, { exact }),
  // OpenAI (sk-, sk-proj-, sk-svcacct-, sk-admin-), Anthropic (sk-ant-), OpenRouter (sk-or-) and others of that shape; Groq, xAI, Perplexity, Replicate, Hugging Face
  key('sk-', DASHED, 20, { mixed: 16 }), key('gsk_', ALPHANUMERIC, 48), key('xai-', ALPHANUMERIC, 60), key('pplx-', ALPHANUMERIC, 40), key('r8_', ALPHANUMERIC, 37), key('hf_', ALPHANUMERIC, 34),
  // HashiCorp Vault, DigitalOcean, Shopify, Linear, Sentry, Grafana, Postman, New Relic, Atlassian, Notion, Figma, Airtable, Supabase, PlanetScale, Doppler, age
  ...keys('hvs. hvb.', DASHED, 24), ...keys('dop_v1_ doo_v1_ dor_v1_', HEXADECIMAL, 64), ...keys('shpat_ shpca_ shppa_ shpss_', HEXADECIMAL, 32), key('lin_api_', ALPHANUMERIC, 32),
  ...keys('sntrys_ sntryu_', DASHED, 40), key('glsa_', DASHED, 32), key('glc_', BASE64, 32), key('PMAK-', DASHED, 59), key('NRAK-', UPPER, 27), key('ATATT3', DASHED, 100, { anchor: 4 }), key('ntn_', ALPHANUMERIC, 40), key('figd_', DASHED, 40),
  key('sbp_', HEXADECIMAL, 40), key('pscale_tkn_', DASHED, 32), key('dp.pt.', ALPHANUMERIC, 40), key('AGE-SECRET-KEY-1', UPPER, 58, { anchor: 3 }),
]

/** Keys by the anchor byte and the one before it, as `before << 7 | anchor`; all of a prefix is ASCII. */
const byAnchor: (readonly Key[] | undefined)[] = []
/** 1 where byAnchor has an entry: most anchors end here. */
const PAIRS = new Uint8Array(1 << 14)
for (const each of KEYS) {
  const pair = each.prefix.charCodeAt(each.anchor - 1) << 7 | each.prefix.charCodeAt(each.anchor)
  byAnchor[pair] = [...(byAnchor[pair] ?? []), each]
  PAIRS[pair] = 1
}
export const KEY_ANCHORS: readonly number[] = [...new Set(KEYS.map((each) => each.prefix.charCodeAt(each.anchor)))]

/** Whether a prefix has these two bytes at its anchor. */
export const isKeyPair = (before: number, anchor: number): boolean => before < 0x80 && PAIRS[before << 7 | anchor] === 1

/** Where the key recognised last begins. */
export let keyFrom = 0
/** End of the key with an anchor at `at`, -1 when there is none; where it begins is left in `keyFrom`. The pair before `at` is a key's. */
export function keyEnd(bytes: Uint8Array, start: number, at: number, end: number): number {
  const candidates = byAnchor[bytes[at - 1]! << 7 | bytes[at]!]
  if (candidates === undefined) return -1
  for (let i = 0; i < candidates.length; i++) {
    const to = endOf(candidates[i]!, bytes, start, at - candidates[i]!.anchor, end)
    if (to >= 0) return to
  }
  return -1
}

function endOf(candidate: Key, bytes: Uint8Array, start: number, prefixAt: number, end: number): number {
  const { prefix, body, ahead } = candidate
  const from = prefixAt - ahead
  if (from < start || prefixAt + prefix.length > end) return -1
  for (let i = prefix.length - 1; i >= 0; i--) if (bytes[prefixAt + i] !== prefix.charCodeAt(i)) return -1
  for (let p = from; p < prefixAt; p++) if ((BODY[bytes[p]!]! & body) === 0) return -1
  // A key given by name may have more of the name before it, and quotes and signs behind it.
  if (!candidate.named && from > start && isAlphanumeric(bytes[from - 1]!) && bytes[from - 2] !== 0x5c) return -1
  let first = prefixAt + prefix.length
  if (candidate.named) for (const limit = Math.min(end, first + NAME_GAP_BYTES_MAX); first < limit && NAME_GAP[bytes[first]!] === 1; first++);
  const limit = Math.min(end, first + BODY_BYTES_DECIDED)
  let p = first
  while (p < limit && (BODY[bytes[p]!]! & body) !== 0) p++
  if (p - first < candidate.least || (candidate.mixed > 0 && !isMixed(bytes, first, p, candidate.mixed))) return -1
  if (candidate.exact) { if (p - first !== candidate.least || (p < end && (BODY[bytes[p]!]! & ALPHANUMERIC) !== 0)) return -1 }
  else while (p < end && (BODY[bytes[p]!]! & body) !== 0) p++
  keyFrom = candidate.named ? first : from
  return p
}
const NAME_GAP_BYTES_MAX = 6
const NAME_GAP = new Uint8Array(256)
for (const character of ' "\':=\\>\t') NAME_GAP[character.charCodeAt(0)] = 1

/** Whether [from, to) holds a run of `least` letters and digits with both in it: words and dates in a slug don't. */
function isMixed(bytes: Uint8Array, from: number, to: number, least: number): boolean {
  for (let p = from; p < to;) {
    let q = p, digits = 0
    for (; q < to && (BODY[bytes[q]!]! & ALPHANUMERIC) !== 0; q++) if (bytes[q]! < 58) digits++
    if (q - p >= least && digits > 0 && (digits < q - p || least <= SHORT_MIXED)) return true
    p = q + 1
  }
  return false
}
/** Runs this short may be of digits alone: a Slack token's first part is. */
const SHORT_MIXED = 10
