// Values of each kind as their issuers document them, made anew each time: no secret stands in the repository, and none is anyone's.
// Independent of the detectors: what is made here follows the documents, not the code under test.
import { ALPHANUMERIC, BASE64, DIGITS, HEX, LOWER, Sequence, UPPER, URL64 } from './random.ts'

export type Kind = 'us-ssn' | 'credit-card' | 'iban' | 'phone' | 'ip' | 'email' | 'api-key' | 'jwt' | 'private-key'
type Make = (random: Sequence) => string

// Scheme, prefix as the scheme publishes it, length.
const CARDS: readonly (readonly [string, number])[] = [
  ['4', 16], ['4', 16], ['4', 13], ['4', 19], ['51', 16], ['52', 16], ['53', 16], ['54', 16], ['55', 16], ['2221', 16], ['2720', 16], ['2500', 16], ['34', 15], ['37', 15], ['6011', 16], ['65', 16], ['644', 16],
  ['3528', 16], ['3589', 16], ['36', 14], ['300', 14], ['305', 14], ['62', 16], ['62', 19], ['2200', 16], ['5018', 16], ['6304', 16], ['6759', 16],
]
/** Digits and the check digit that makes the weighted sum a multiple of ten. */
export function withCheckDigit(digits: string): string {
  const sum = [...digits].reverse().reduce((total, digit, index) => { const value = Number(digit) * (index % 2 === 0 ? 2 : 1); return total + (value > 9 ? value - 9 : value) }, 0)
  return digits + String((10 - (sum % 10)) % 10)
}
const grouped = (digits: string, sizes: readonly number[], by: string): string => { let at = 0; return sizes.map((size) => digits.slice(at, at += size)).filter((part) => part !== '').join(by) }
function card(random: Sequence): string {
  const [prefix, length] = random.of(CARDS)
  const digits = withCheckDigit(prefix + random.digits(length - prefix.length - 1))
  const sizes = length === 15 ? [4, 6, 5] : length === 14 ? [4, 6, 4] : [4, 4, 4, 4, 3]
  return random.below(2) === 0 ? digits : grouped(digits, sizes, random.of([' ', '-']))
}

// BBAN structures of the IBAN registry: n digits, a capitals, c both.
const IBANS: Readonly<Record<string, string>> = {
  DE: '18n', GB: '4a14n', FR: '10n11c2n', NL: '4a10n', ES: '20n', IT: '1a10n12c', BE: '12n', AT: '16n', CH: '5n12c', PL: '24n', SE: '20n', NO: '11n', DK: '14n', FI: '14n', IE: '4a14n', PT: '21n', CZ: '20n', LU: '3n13c', TR: '6n16c', SA: '2n18c', AE: '19n', MT: '4a5n18c', LT: '16n', GR: '7n16c', HU: '24n', RO: '4a16c', BR: '23n1a1c', QA: '4a21c', XK: '16n',
}
function iban(random: Sequence): string {
  const country = random.of(Object.keys(IBANS))
  const account = [...IBANS[country]!.matchAll(/(\d+)([nac])/g)].map(([, count, kind]) => random.text(kind === 'n' ? DIGITS : kind === 'a' ? UPPER : UPPER + DIGITS, Number(count))).join('')
  const numbers = [...`${account}${country}00`].map((character) => parseInt(character, 36)).join('')
  const whole = `${country}${String(98n - BigInt(numbers) % 97n).padStart(2, '0')}${account}`
  return random.below(2) === 0 ? whole : whole.replace(/.{4}(?=.)/g, '$& ')
}

function ssn(random: Sequence): string {
  let area = 1 + random.below(899)
  if (area === 666) area = 665
  return `${String(area).padStart(3, '0')}-${String(1 + random.below(99)).padStart(2, '0')}-${String(1 + random.below(9999)).padStart(4, '0')}`
}

const exchange = (random: Sequence) => random.number(2, 9) + random.digits(2)
function phone(random: Sequence): string {
  const area = `${random.number(2, 9)}${random.number(0, 8)}${random.number(0, 9)}`
  return random.of<Make>([
    (r) => `+1${r.of([' ', '-', ''])}${area}${r.of([' ', '-', ''])}${exchange(r)}${r.digits(4)}`, (r) => `+1 (${area}) ${exchange(r)}-${r.digits(4)}`, (r) => `(${area}) ${exchange(r)}-${r.digits(4)}`, (r) => `${area}-${exchange(r)}-${r.digits(4)}`, (r) => `${area}.${exchange(r)}.${r.digits(4)}`,
    (r) => `1-${area}-${exchange(r)}-${r.digits(4)}`, (r) => `+44 20 ${r.digits(4)} ${r.digits(4)}`, (r) => `+49 ${r.number(15, 89)} ${r.digits(7)}`, (r) => `+33 ${r.number(1, 9)} ${r.digits(2)} ${r.digits(2)} ${r.digits(2)} ${r.digits(2)}`, (r) => `+91 ${r.number(70000, 99999)} ${r.digits(5)}`,
    (r) => `+81-3-${r.digits(4)}-${r.digits(4)}`, (r) => `+86${r.of(['13', '15', '18'])}${r.digits(9)}`, (r) => `020 ${r.digits(4)} ${r.digits(4)}`, (r) => `0${r.number(171, 179)} ${r.digits(7)}`, (r) => `0${r.number(1, 9)} ${r.digits(2)} ${r.digits(2)} ${r.digits(2)} ${r.digits(2)}`, (r) => `+${r.number(20, 98)}${r.digits(9)}`,
  ])(random)
}

const octet = (random: Sequence) => random.number(0, 255)
const group = (random: Sequence) => random.number(0, 65535).length > 0 ? (1 + random.below(65535)).toString(16) : ''
const groups = (random: Sequence, count: number) => Array.from({ length: count }, () => group(random)).join(':')
function ip(random: Sequence): string {
  return random.of<Make>([
    (r) => `${octet(r)}.${octet(r)}.${octet(r)}.${octet(r)}`, (r) => `10.${octet(r)}.${octet(r)}.${octet(r)}`, (r) => `192.168.${octet(r)}.${octet(r)}`, (r) => groups(r, 8), (r) => `2001:db8::${groups(r, 1 + r.below(4))}`, (r) => `fe80::${groups(r, 4)}`, (r) => `${groups(r, 3)}::${groups(r, 2)}`,
  ])(random)
}

const name = (random: Sequence) => random.of(['ana', 'bo.li', 'carol', 'd_smith', 'erin-k', 'frank', 'gita.rao', 'hugo', 'ines', 'jan', 'o\'neil', 'kim2', 'lee', 'x'])
const host = (random: Sequence) => random.of(['example.com', 'mail.example.org', 'corp.example.co.uk', 'dept-7.example.edu', 'example.io', 'sub.deep.example.net', 'münchen.example.de', 'xn--bcher-kva.example', 'post.example.museum'])
const email: Make = (random) => `${name(random)}${random.of(['', `${random.digits(2)}`, `+${random.text(LOWER, 5)}`, `.${random.text(LOWER, 4)}`])}@${host(random)}`

const KEYS: readonly Make[] = [
  (r) => `${r.of(['AKIA', 'ASIA'])}${r.text('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`, (r) => `AIza${r.text(URL64, 35)}`, (r) => `GOCSPX-${r.text(URL64, 28)}`, (r) => `ya29.${r.text(URL64, 120)}`,
  (r) => `${r.text(ALPHANUMERIC, 3)}8Q~${r.text(`${ALPHANUMERIC}_.~-`, 34)}`, (r) => `${r.text(ALPHANUMERIC, 52)}JQQJ9${r.of(['9', 'D'])}${r.text(ALPHANUMERIC, 1)}${r.text('ABCDEFGHIJKL', 1)}${r.text(ALPHANUMERIC, 24)}`,
  (r) => `${r.of(['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'])}${r.text(ALPHANUMERIC, 36)}`, (r) => `github_pat_${r.text(ALPHANUMERIC, 22)}_${r.text(ALPHANUMERIC, 59)}`, (r) => `${r.of(['glpat-', 'gldt-', 'glrt-'])}${r.text(ALPHANUMERIC, 20)}`,
  (r) => `npm_${r.text(ALPHANUMERIC, 36)}`, (r) => `pypi-AgEIcHlwaS5vcmc${r.text(URL64, 140)}`, (r) => `dckr_pat_${r.text(URL64, 27)}`,
  (r) => `xoxb-${r.digits(12)}-${r.digits(12)}-${r.text(ALPHANUMERIC, 24)}`, (r) => `xoxp-${r.digits(12)}-${r.digits(12)}-${r.digits(12)}-${r.text(HEX, 32)}`, (r) => `xapp-1-A${r.text(UPPER + DIGITS, 10)}-${r.digits(13)}-${r.text(HEX, 64)}`,
  (r) => `${r.of(['sk_live_', 'sk_test_', 'rk_live_'])}${r.text(ALPHANUMERIC, r.of([24, 99]))}`, (r) => `whsec_${r.text(ALPHANUMERIC, 32)}`, (r) => `SK${r.text(HEX, 32)}`, (r) => `SG.${r.text(URL64, 22)}.${r.text(URL64, 43)}`,
  (r) => `sk-${r.text(ALPHANUMERIC, 20)}T3BlbkFJ${r.text(ALPHANUMERIC, 20)}`, (r) => `sk-proj-${r.text(URL64, 74)}T3BlbkFJ${r.text(URL64, 74)}`, (r) => `sk-ant-api03-${r.text(URL64, 93)}AA`, (r) => `sk-or-v1-${r.text(HEX, 64)}`, (r) => `gsk_${r.text(ALPHANUMERIC, 52)}`, (r) => `hf_${r.text(LOWER + UPPER, 34)}`,
  (r) => `hvs.${r.text(URL64, 90)}`, (r) => `dop_v1_${r.text(HEX, 64)}`, (r) => `shpat_${r.text(HEX, 32)}`, (r) => `PMAK-${r.text(HEX, 24)}-${r.text(HEX, 34)}`, (r) => `NRAK-${r.text(UPPER + DIGITS, 27)}`, (r) => `glsa_${r.text(ALPHANUMERIC, 32)}_${r.text(HEX, 8)}`,
]
const apiKey: Make = (random) => random.of(KEYS)(random)

const base64url = (text: string) => Buffer.from(text).toString('base64url')
function jwt(random: Sequence): string {
  const header = random.of(['{"alg":"HS256","typ":"JWT"}', '{"alg":"RS256","kid":"k1","typ":"JWT"}', '{"typ":"at+jwt","alg":"ES256"}'])
  return `${base64url(header)}.${base64url(`{"sub":"${random.text(LOWER, 8)}","exp":${random.number(1_700_000_000, 1_800_000_000)}}`)}.${random.text(URL64, random.of([43, 86, 342]))}`
}
function privateKey(random: Sequence): string {
  const label = random.of(['RSA PRIVATE KEY', 'PRIVATE KEY', 'EC PRIVATE KEY', 'OPENSSH PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'])
  const by = random.of(['\n', '\\n'])
  return `-----BEGIN ${label}-----${by}${Array.from({ length: 3 }, () => random.text(BASE64, 64)).join(by)}${by}-----END ${label}-----`
}

export const POSITIVES: Readonly<Record<Kind, Make>> = { 'us-ssn': ssn, 'credit-card': card, iban, phone, ip, email, 'api-key': apiKey, jwt, 'private-key': privateKey }
export const KINDS = Object.keys(POSITIVES) as Kind[]
