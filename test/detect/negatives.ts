// What is not a value but looks like one: numbers of orders, versions, times, ids, hashes, paths, code. Made by rule, so that each is known
// to hold none: whatever would pass a checksum by chance is made to fail it.
import { ALPHANUMERIC, BASE64, HEX, LOWER, Sequence, UPPER } from './random.ts'
import { withCheckDigit } from './positives.ts'

type Make = (random: Sequence) => string
/** A number of `length` digits whose check digit is wrong. */
function unchecked(random: Sequence, prefix: string, length: number): string {
  const digits = prefix + random.digits(length - prefix.length - 1), right = withCheckDigit(digits).at(-1)!
  return digits + String((Number(right) + 1 + random.below(9)) % 10)
}
const two = (random: Sequence, to: number) => String(random.below(to + 1)).padStart(2, '0')
const date = (random: Sequence) => `20${two(random, 29)}-${String(1 + random.below(12)).padStart(2, '0')}-${String(1 + random.below(28)).padStart(2, '0')}`
const time = (random: Sequence) => `${two(random, 23)}:${two(random, 59)}:${two(random, 59)}`
export const uuid = (random: Sequence) => [8, 4, 4, 4, 12].map((length) => random.text(HEX, length)).join('-')

export const NEGATIVES: Readonly<Record<string, Make>> = {
  'order number like a card': (r) => `order ${unchecked(r, r.of(['4', '51', '6011', '37', '62']), 16)}`,
  'parted order number like a card': (r) => `order ${unchecked(r, '4', 16).replace(/.{4}(?=.)/g, '$&-')}`,
  'number without an issuer that passes the checksum': (r) => withCheckDigit(`9${r.digits(14)}`),
  'tracking number': (r) => `${r.of(['1Z', '9400 1', 'RR'])}${r.digits(r.of([18, 20, 21]))}${r.of(['', 'US'])}`,
  'timestamp in nanoseconds': (r) => `${r.number(1_700_000_000, 1_799_999_999)}${r.digits(9)}`,
  'time of day': (r) => `${date(r)} ${time(r)}.${r.digits(6)}+00`,
  'time in ISO 8601': (r) => `${date(r)}T${time(r)}Z`,
  'UUID': uuid,
  'UUID without dashes': (r) => r.text(HEX, 32),
  'hash': (r) => r.of([(s: Sequence) => s.text(HEX, 40), (s: Sequence) => s.text(HEX, 64), (s: Sequence) => `sha512-${s.text(BASE64, 86)}==`, (s: Sequence) => `md5:${s.text(HEX, 32)}`])(r),
  'base64': (r) => r.text(BASE64, r.of([40, 64, 200])),
  'version': (r) => `v${r.number(0, 20)}.${r.number(0, 40)}.${r.number(0, 9)}`,
  'version of more parts': (r) => `build ${r.number(1, 20)}.${r.number(0, 9)}.${r.number(1000, 20000)}.${r.number(1, 9)}`,
  'version of five parts': (r) => `${r.number(1, 20)}.${r.number(0, 9)}.${r.number(0, 99)}.${r.number(0, 99)}.${r.number(0, 99)}`,
  'object identifier': (r) => `1.3.6.1.4.1.${r.number(1, 60000)}.${r.number(1, 9)}`,
  'clock': (r) => `${two(r, 59)}:${two(r, 59)}:${two(r, 59)}`,
  'hardware address': (r) => Array.from({ length: 6 }, () => r.text(HEX, 2)).join(':'),
  'scope in code': (r) => `${r.text(LOWER, 5)}::${r.text(LOWER, 6)}::new()`,
  'package version': (r) => `${r.text(LOWER, 6)}@${r.number(0, 20)}.${r.number(0, 9)}.${r.number(0, 99)}`,
  'handle': (r) => `thanks @${r.text(LOWER, 8)} for this`,
  'path with an @': (r) => `node_modules/@${r.text(LOWER, 5)}/${r.text(LOWER, 6)}/index.js`,
  'host without a domain': (r) => `ssh ${r.text(LOWER, 4)}@${r.text(LOWER, 6)}`,
  'SSN that was never issued': (r) => r.of([`000-${r.number(10, 99)}-${r.number(1000, 9999)}`, `${r.number(100, 665)}-00-${r.number(1000, 9999)}`, `${r.number(100, 665)}-${r.number(10, 99)}-0000`]),
  'part number': (r) => `${r.digits(3)}-${r.digits(2)}-${r.digits(r.of([3, 5, 6]))}`,
  'part number with letters': (r) => `${r.text(UPPER, 1)}${r.digits(3)}-${r.digits(2)}-${r.digits(4)}`,
  'date range': (r) => `${date(r)}-${date(r)}`,
  'id of ten digits': (r) => `ticket ${r.number(1_000_000_000, 1_999_999_999)}`,
  'id of nine digits': (r) => `account ${r.number(100_000_000, 999_999_999)}`,
  'parted id': (r) => `ref ${r.digits(4)}-${r.digits(4)}`,
  'coordinates': (r) => `${r.number(-89, 89)}.${r.digits(6)}, ${r.number(-179, 179)}.${r.digits(6)}`,
  'fraction': (r) => `0.${r.digits(16)}`,
  'amount': (r) => `${r.number(1, 999)},${r.digits(3)},${r.digits(3)}.${r.digits(2)}`,
  'ISBN': (r) => `978-${r.number(0, 9)}-${r.digits(4)}-${r.digits(4)}-${r.number(0, 9)}`,
  'IBAN with wrong check digits': (r) => `DE${two(r, 1)}${r.digits(18)}`,
  'flight and gate': (r) => `${r.text(UPPER, 2)}${r.digits(4)} gate ${r.text(UPPER, 1)}${r.digits(2)}`,
  'slug that begins like a key': (r) => `sk-${r.text(LOWER, 5)}-${r.text(LOWER, 7)}-${date(r)}-${r.text(LOWER, 6)}`,
  'name in snake case': (r) => `npm_config_${r.text(LOWER, 9)}_${r.text(LOWER, 9)}_${r.text(LOWER, 9)}`,
  'name that begins like a key': (r) => `${r.of(['ghp_', 'hf_', 'sk_live_', 'glpat-', 'xoxb-'])}${r.text(LOWER, 6)}`,
  'cut JWT': (r) => `eyJ${r.text(ALPHANUMERIC, 30)}`,
  'base64 of JSON': (r) => Buffer.from(`{"id":${r.digits(6)},"name":"${r.text(LOWER, 12)}"}`).toString('base64'),
  'certificate': (r) => `-----BEGIN CERTIFICATE-----\n${r.text(BASE64, 64)}\n-----END CERTIFICATE-----`,
  'public key': (r) => `-----BEGIN PUBLIC KEY-----\n${r.text(BASE64, 64)}\n-----END PUBLIC KEY-----`,
  'SSH public key': (r) => `ssh-ed25519 AAAA${r.text(BASE64, 60)} me`,
  'words': (r) => Array.from({ length: 12 }, () => r.text(LOWER, 2 + r.below(8))).join(' '),
}
