import assert from 'node:assert/strict'
import test from 'node:test'
import { compileDetectors, type Detector, DETECTORS, Found, writeHidden } from './index.ts'
import { WIDE_LEADS, ZEROS } from './digits.ts'

const detect = (...names: string[]) => compileDetectors(names.map((detector) => ({ detector, pattern: null, with: 'redact', rule: detector })))!
const ALL = detect(...DETECTORS)
const found = new Found()
/** The text with every found value replaced. Bytes around the value make sure that no detector reads beyond it. */
function hide(detector: Detector, text: string): string {
  const bytes = Buffer.from(`9${text}9`)
  const parts: Buffer[] = []
  detector.scan(bytes, 1, bytes.length - 1, found)
  writeHidden(detector, found, bytes, 1, bytes.length - 1, () => 'hash', { copy: (source, from, to) => { parts.push(Buffer.from(source.subarray(from, to))) }, text: (value) => { parts.push(Buffer.from(value)) } })
  return Buffer.concat(parts).toString()
}
function table(detector: Detector, cases: readonly (readonly [string, string])[]) { for (const [text, expected] of cases) assert.equal(hide(detector, text), expected) }
const unchanged = (detector: Detector, texts: readonly string[]) => table(detector, texts.map((text) => [text, text]))
const H = '[hidden]'

test('a social security number is its shape, in digits of any script', () => {
  const ssn = detect('us-ssn')
  table(ssn, [['123-45-6789', H], ['caller confirmed SSN 078-05-1120 by phone', `caller confirmed SSN ${H} by phone`], ['１２３-４５-６７８９', H], ['١٢٣-٤٥-٦٧٨٩', H], ['12３-45－6789', H], ['123‐45‐6789', H],
    ['(123-45-6789)', `(${H})`], ['_123-45-6789_', `_${H}_`], ['a\\n123-45-6789', `a\\n${H}`], ['\\u000a123-45-6789', `\\u000a${H}`], ['123-45-6789,987-65-4320', `${H},${H}`], ['𝟏𝟐𝟑-𝟒𝟓-𝟔𝟕𝟖𝟗', H], ['\\u0031123-45-6789', `\\u0031${H}`], ['\\u00a0123-45-6789', `\\u00a0${H}`], ['ssn%20123-45-6789', `ssn%20${H}`], ['a%2C123-45-6789', `a%2C${H}`], ['\\x0a123-45-6789', `\\x0a${H}`], ['100%123-45-6789', `100%${H}`], ['é123-45-6789', `é${H}`]])
  unchanged(ssn, ['212-555-0199', '1123-45-6789', '123-45-67890', '123-45-678', '123 45 6789', '219099999', 'x123-45-6789', '123-45-6789x', '１123-45-6789', '123-45-6789１', '6f1c1a3e-7d0f-4c33-9d0a-0123456789ab', '12.34.5678', '', '-', '1', '123-', '123-45-'])
})

test('a card has an issuer, a length it issues and a check digit', () => {
  const card = detect('credit-card')
  table(card, ['4539148803436467', '4539-1488-0343-6467', '4539 1488 0343 6467', '3714 496353 98431', '378282246310005', '5425233430109903', '4556737586899855', '6011111111111117', '3530111333300000', '30569309025904', '3056 930902 5904',
    '4222222222222', '６０１１111111111117', '4539\u00a01488\u00a00343\u00a06467', '4539.1488.0343.6467', '45 39 14 88 03 43 64 67'].map((text) => [text, H]))
  table(card, [['4539148803436467 2024-01-02', `${H} 2024-01-02`], ['4539 1488 0343 6467 124', `${H} 124`], ['2 4539 1488 0343 6467', `2 ${H}`], ['{"c":"4539148803436467"}', `{"c":"${H}"}`]])
  unchanged(card, ['9400 1000 0000 0000 0000 00', '4539148803436468', '14539148803436467', '45391488034364670', 'x4539148803436467', '0.4539148803436467', '2024-01-02 03:04:05.123456+00', '246813579', '00000000-0000-0000-0000-000000000001', '45 39 14 88 03 43 64 67 1 2 3 4', '0000000000000000'])
})

test('what stands around bare digits tells what they are: words before them, or the name of their column', () => {
  const numbers = detect('us-ssn', 'phone', 'credit-card')
  table(numbers, [['SSN: 219099999', `SSN: ${H}`], ['his social security number is 219099999.', `his social security number is ${H}.`], ['account 219099999', 'account 219099999'], ['SSN 2190999990', 'SSN 2190999990']])
  table(numbers.inColumn('customer_ssn'), [['219099999', H], ['2190999990', '2190999990'], ['x219099999', 'x219099999']])
  table(numbers.inColumn('x mobile'), [['4155552671', H], ['123456', '123456']])
  table(numbers.inColumn('card_number'), [['9400100000000005', H], ['9400100000000008', '9400100000000008']])
  unchanged(numbers.inColumn('company_name'), ['219099999', '4155552671'])
  assert.equal(numbers.inColumn('ssn'), numbers.inColumn('the SSN'))
  assert.equal(numbers.inColumn('ssn').inColumn('note'), numbers)
})

test('a card\'s digits within a bank account are no card, and what no issuer gives out is no social security number', () => {
  unchanged(detect('credit-card'), ['DE67 5370 8025 3748 1632 51', 'SE88 8712 2331 8155 0282 3807'])
  unchanged(detect('us-ssn'), ['000-12-3456', '123-00-4567', '123-45-0000', '１２３-００-４５６７'])
})

test('an e-mail reaches back and forward from its @', () => {
  const email = detect('email')
  table(email, ['alice.zephyr@marker-mail.example', 'carol+tag@marker-mail.example', 'Ünïcode@marker-mail.example', 'o\'hara@x.ie', 'a@b.co', '"john doe"@example.com', 'x@xn--80ak6aa92e.xn--p1ai', 'bob＠example.com', 'dev@münchen.de'].map((text) => [text, H]))
  table(email, [['<a@b.co>', `<${H}>`], ['mail=a@b.co&x=1', `mail=${H}&x=1`], ['\'a@b.co\'', `'${H}'`], ['a@b.co, c@d.org.', `${H}, ${H}.`], ['a@b.com-123', `${H}-123`], ['line\\nbob@x.com', `line\\n${H}`], ['postgres://u:p@db.example/x', `postgres://u:${H}/x`]])
  unchanged(email, ['@', 'a@', '@b.co', 'a@b', 'react@18.2.0', 'a@b.c', 'a@@b.co', 'a @b.co', 'user@localhost', 'a@.co'])
})

test('bank accounts, phones and addresses of machines have their checks', () => {
  table(detect('iban'), [['DE89370400440532013000', H], ['DE89 3704 0044 0532 0130 00', H], ['GB29NWBK60161331926819', H], ['pay gb29 nwbk 6016 1331 9268 19 now', `pay ${H} now`], ['DE88370400440532013000', 'DE88370400440532013000'], ['ADE89370400440532013000', 'ADE89370400440532013000']])
  table(detect('phone'), [['+49 30 901820', H], ['(212) 555-0199', H], ['212-555-0199', H], ['1-212-555-0199', H], ['+1 (212) 555-0199', H], ['020 7946 0018', H], ['call 212.555.0199 now', `call ${H} now`], ['2024-01-02', '2024-01-02'], ['1234567890', '1234567890'], ['123-45-6789', '123-45-6789']])
  table(detect('ip'), [['10.0.0.1', H], ['http://10.0.0.1:80/', `http://${H}:80/`], ['2001:db8::1', H], ['::1', H], ['fe80::1ff:fe23:4567:890a', H], ['12:34:56', '12:34:56'], ['1.2.3.4.5', '1.2.3.4.5'], ['256.1.1.1', '256.1.1.1'], ['12.34.5678', '12.34.5678'], ['a::b()', `${'a::b'}()`]].filter(([text]) => text !== 'a::b()') as [string, string][])
})

test('keys are known by the prefixes that their issuers document', () => {
  const body = 'A1b2C3d4E5f6G7h8J9k0A1b2C3d4E5f6G7h8J9k0'
  table(detect('api-key'), [['AKIAIOSFODNN7EXAMPLE', H], [`ghp_${body.slice(0, 36)}`, H], [`token=github_pat_${body}_${body};`, `token=${H};`], ['xoxb-123456789012-abcdefABCDEF', H], [`sk_live_${body.slice(0, 24)}`, H], [`AIza${body.slice(0, 35)}`, H],
    [`sk-${body}`, H], [`sk-proj-${body}`, H], [`sk-ant-api03-${body}-${body}`, H], [`x\\n${`sk-${body}`}`, `x\\n${H}`], [`{"k":"glpat-${body.slice(0, 20)}"}`, `{"k":"${H}"}`]])
  unchanged(detect('api-key'), ['AKIAIOSFODNN7EXAMPLES', 'xAKIAIOSFODNN7EXAMPLE', 'sk-learn-and-other-words-of-great-length', 'task-1234567890123456789012', 'ghp_short', 'snake_case_names_are_fine', 'a-b-c-d', 'SG.'])
  table(detect('jwt'), [['Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U!', `Bearer ${H}!`], ['eyJ', 'eyJ'], ['eyJhbGciOiJIUzI1NiJ9', 'eyJhbGciOiJIUzI1NiJ9']])
  table(detect('private-key'), [['x -----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY----- y', `x ${H} y`], ['-----BEGIN OPENSSH PRIVATE KEY-----\ncut', H], ['-----BEGIN CERTIFICATE-----\nMIIB', '-----BEGIN CERTIFICATE-----\nMIIB']])
})

test('a pattern of one\'s own works beside the others, and what overlaps is hidden once under the stronger rule', () => {
  const own = compileDetectors([{ detector: 'badge', pattern: 'B-\\d{6}', with: 'redact', rule: 'r' }, { detector: 'email', pattern: null, with: 'hash', rule: 's' }, { detector: 'any', pattern: '\\w+@\\w+', with: 'partial', rule: 't' }])!
  table(own, [['badge B-123456 of é B-654321', `badge ${H} of é ${H}`], ['a@b.co', 'hash'], ['B-123456@x.de', H], ['B-12345', 'B-12345'], ['', '']])
  assert.throws(() => compileDetectors([{ detector: 'no-such', pattern: null, with: 'redact', rule: 'r' }]), /no-such/)
})

test('a value too long for patterns is hidden whole', () => {
  const own = compileDetectors([{ detector: 'badge', pattern: 'B-\\d{6}', with: 'redact', rule: 'r' }])!
  assert.equal(hide(own, 'x'.repeat(1024 * 1024 + 1)), H)
})

test('digits of every script are those of Unicode', () => {
  const zeros: number[] = [], leads = new Set<number>()
  for (let code = 0x80, run = 0; code < 0x20000; code++) {
    if (!/\p{Nd}/u.test(String.fromCodePoint(code))) { run = 0; continue }
    if (run++ % 10 === 0) zeros.push(code)
    leads.add(Buffer.from(String.fromCodePoint(code))[0]!)
  }
  assert.deepEqual([...ZEROS], zeros)
  assert.deepEqual([...leads].sort(), [...WIDE_LEADS].sort())
})

test('any input takes linear time', () => {
  const inputs = ['1', '1 ', '1-', '123-', '123-45-', '4539 ', '@', 'a@', 'a@a.', 'a.', '.', '-', '-----BEGIN ', '-----BEGIN PRIVATE KEY', 'sk-', '_eyJ', 'eyJ.', 'eyJaaaaaaaaa.', '.eyJaaaaaaaaa', 'DE89 ', '+1(', '::', '1:', '1.', '"', '"@', 'gh_ghp_', '\xef\xbc', '１', '１-', 'AKIA', '\\u', 'a1', "'a", 'secret_access_key=', 'JQQJ9', '+ASt', '8Q~', 'AccountKey=', '1//0', 'DE89 3704 0044 0532 0130 ', 'ssn 123456789 ', 'xoxb-', 'sk-sk-a1']
  const own = compileDetectors([...DETECTORS.map((detector) => ({ detector, pattern: null, with: 'redact' as const, rule: detector })), { detector: 'own', pattern: '(a*)*b', with: 'redact', rule: 'own' }])!
  const time = (detector: Detector, input: string, length: number) => {
    const bytes = Buffer.from(input.repeat(Math.ceil(length / Buffer.byteLength(input))))
    let best = Infinity
    for (let round = 0; round < 3; round++) { const began = process.cpuUsage(); detector.scan(bytes, 0, bytes.length, found); const used = process.cpuUsage(began); best = Math.min(best, (used.user + used.system) / 1000) }
    return best
  }
  for (const input of inputs) {
    const half = time(ALL, input, 150_000), whole = time(ALL, input, 300_000)
    assert.ok(whole < 200, `${JSON.stringify(input)}: ${whole} ms for 300 KB`)
    assert.ok(whole < Math.max(half * 4, 40), `${JSON.stringify(input)}: ${half} ms, twice as long ${whole} ms`)
  }
  assert.ok(time(own, 'a', 200_000) < 2_000)
})

test('random bytes never throw, and spans are sorted, apart and inside', () => {
  let seed = 7
  const random = (below: number) => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % below }
  const pieces = ['123-45-6789', '4539 1488 0343 6467', 'a@b.co', 'eyJ', '.', '-', '@', '１', '\xff', 'sk-', '+49', '::', 'DE89', ' ', '4', '-----BEGIN PRIVATE KEY-----', '"', '\\n']
  for (let round = 0; round < 3_000; round++) {
    let bytes = Buffer.alloc(0)
    for (let i = random(12); i >= 0; i--) bytes = Buffer.concat([bytes, random(3) === 0 ? Buffer.from([random(256), random(256)]) : Buffer.from(pieces[random(pieces.length)]!)])
    for (const [start, end] of [[0, bytes.length], [random(bytes.length), bytes.length], [0, random(bytes.length)]] as const) {
      ALL.scan(bytes, start, end, found)
      let last = start
      for (let i = 0; i < found.count; i++) { assert.ok(found.from[i]! >= last && found.to[i]! > found.from[i]! && found.to[i]! <= end, bytes.toString('latin1')); last = found.to[i]! }
    }
  }
})
