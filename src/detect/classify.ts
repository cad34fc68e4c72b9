// What a column holds, judged by its name, its comment, its type and a sample of its values. Pure: values come in, kinds and counts go out.
import { compileDetectors, type Detector, DETECTORS } from './detector.ts'
import { Found } from './found.ts'

export interface ColumnFacts { readonly name: string; readonly comment: string | null; readonly type: string }
export interface Likeness { readonly kind: string; readonly tag: 'pii' | 'secret'; readonly confidence: number; readonly why: string; readonly sampled: number; readonly matched: number; readonly within: boolean }

/** Less is not proposed. */
const CONFIDENCE_MIN = 0.5
/** Fewer values than this say nothing against a name. */
const SAMPLE_SAYS = 20
/** A column of values rather than of text with values in it: this share of them, and of their bytes. */
const WHOLE_SHARE = 0.6

const CHANCE_SHARE = 0.3

type Kind = (typeof DETECTORS)[number]
const CHECKED: ReadonlySet<string> = new Set<Kind>(['credit-card', 'iban', 'api-key', 'jwt', 'private-key', 'us-ssn', 'email'])
const SECRETS: ReadonlySet<string> = new Set(['api-key', 'jwt', 'private-key', 'secret'])

/** Kinds by the words of a name, the first that fits. Words are parted by what is no letter, and by capitals. */
const NAMES: readonly (readonly [string, RegExp])[] = [
  ['email', /e ?mails?\b|\bmail address/], ['us-ssn', /\bssn\b|social ?sec/], ['credit-card', /\b(?:credit|debit|payment|bank) ?card|\bcard ?(?:no|num)|\bcc ?num|\bpan\b/], ['iban', /\biban\b/],
  ['phone', /phone|\bmobile\b|\bmsisdn\b|\b(?:tel|cell|fax)\b/], ['ip', /\bip\b|\bip ?addr|\bremote ?addr/],
  ['secret', /\bpass ?(?:word|wd|phrase)?\b|\bpwd\b|\bsecret|\bapi ?key|\baccess ?key|\bprivate ?key|\b(?:access|refresh|auth|bearer|session|api) ?token\b|\bcredentials?\b|\botp\b|\bpin ?(?:code|hash)?\b/],
  ['birth-date', /\bdob\b|\bbirth|\bborn\b/], ['person-name', /\b(?:first|last|full|given|family|middle|maiden|sur|person|patient|customer|contact|holder|legal) ?name\b|\bsurname\b/],
  ['national-id', /\bpassport|\bnational ?id|\btax ?(?:id|no|num)|\btin\b|\bdriv\w+ ?licen[cs]e|\bsocial ?insurance|\bnhs\b|\baadhaar\b/],
  ['address', /\bstreet\b|\b(?:home|postal|billing|shipping|mailing) ?addr|\baddress(?: ?line)?\b|\bpost ?code\b|\bzip ?code\b/], ['account', /\b(?:bank ?)?account ?(?:no|num)|\bsort ?code\b|\brouting ?num/], ['salary', /\bsalar|\bwages?\b|\bcompensation\b/],
]
const words = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[^\p{L}\p{N}]+/gu, ' ').toLowerCase()
const said = (text: string | null): string | null => (text === null ? null : NAMES.find(([, pattern]) => pattern.test(words(text)))?.[0] ?? null)

let scanners: readonly (readonly [Kind, Detector])[] | null = null
const scannersOf = () => scanners ??= DETECTORS.map((kind) => [kind, compileDetectors([{ detector: kind, pattern: null, with: 'redact', rule: kind }])!] as const)
const found = new Found()

/** `values`: a sample without NULLs, as text; nothing of it is kept. Null: nothing speaks for any kind. */
export function likenessOf(facts: ColumnFacts, values: readonly Buffer[]): Likeness | null {
  const named = said(facts.name), noted = said(facts.comment), byType = /^(?:inet|cidr)\b/.test(facts.type) ? 'ip' : null
  let best: Likeness | null = null
  const consider = (kind: string, confidence: number, why: string, matched: number, within: boolean) => {
    if (confidence >= CONFIDENCE_MIN && (best === null || confidence > best.confidence)) best = { kind, tag: SECRETS.has(kind) ? 'secret' : 'pii', confidence: Math.round(confidence * 100) / 100, why, sampled: values.length, matched, within }
  }
  if (byType !== null) consider(byType, 0.9, `its type is ${facts.type}`, 0, false)
  for (const [kind, plain] of scannersOf()) {
    const { matched, whole } = tally(plain.inColumn(facts.name), values)
    if (matched === 0) continue
    const share = matched / values.length, isNamed = named === kind || noted === kind || (kind === 'api-key' && (named ?? noted) === 'secret')
    const within = whole / matched < WHOLE_SHARE
    // One number in ten passes the checksum of cards by chance.
    if (kind === 'credit-card' && !within && !isNamed && share < CHANCE_SHARE) continue
    const sure = CHECKED.has(kind) ? 0.97 : 0.85
    const confidence = isNamed ? Math.max(sure, 0.95) : share >= WHOLE_SHARE ? sure : matched >= 2 ? 0.55 + 0.3 * share : CHECKED.has(kind) ? 0.5 : 0.4
    consider(kind, confidence, `${matched} of ${values.length} values${within ? ' hold one within text' : ''}${isNamed ? ', and its name says so' : ''}`, matched, within)
  }
  for (const [kind, what] of [[named, 'name'], [noted, 'comment']] as const) {
    if (kind === null) continue
    // A name whose values look otherwise counts little, where values of the kind can be told.
    const contradicted = values.length >= SAMPLE_SAYS && (DETECTORS as readonly string[]).includes(kind)
    consider(kind, contradicted ? 0.3 : what === 'name' ? 0.7 : 0.6, `its ${what} says so${values.length === 0 ? ', no value was looked at' : ''}`, 0, false)
  }
  return best
}

/** How many values hold the kind, and how many of them are hardly anything else. */
function tally(detector: Detector, values: readonly Buffer[]): { readonly matched: number; readonly whole: number } {
  let matched = 0, whole = 0
  for (const value of values) {
    if (!detector.scan(value, 0, value.length, found)) continue
    matched++
    let bytes = 0
    for (let i = 0; i < found.count; i++) bytes += found.to[i]! - found.from[i]!
    if (bytes >= value.length * WHOLE_SHARE) whole++
  }
  return { matched, whole }
}
