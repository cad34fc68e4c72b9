import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { test } from 'node:test'
import { base32, fromBase32 } from './base32.ts'
import { Ff1 } from './ff1.ts'
import { Shapes } from './shapes.ts'
import { TOKEN_TEXT_BYTES_MAX, Tokens, type TokenType } from './tokens.ts'

const tokens: Tokens = new Tokens(Buffer.alloc(32, 7))
const text: TokenType = { kind: 'text', length: null }
const luhn = (digits: string) => [...digits].reverse().reduce((sum, d, i) => sum + (i % 2 === 0 ? Number(d) : Number(d) * 2 > 9 ? Number(d) * 2 - 9 : Number(d) * 2), 0) % 10 === 0

test('FF1 gives the nine samples of NIST SP 800-38G, and takes them back', () => {
  const key = '2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94'
  const letters = '0123456789abcdefghijklmnopqrstuvwxyz'
  for (const [bytes, radix, tweak, plain, cipher] of [
    [16, 10, '', '0123456789', '2433477484'], [16, 10, '39383736353433323130', '0123456789', '6124200773'], [16, 36, '3737373770717273373737', '0123456789abcdefghi', 'a9tv40mll9kdu509eum'],
    [24, 10, '', '0123456789', '2830668132'], [24, 10, '39383736353433323130', '0123456789', '2496655549'], [24, 36, '3737373770717273373737', '0123456789abcdefghi', 'xbj3kv35jrawxv32ysr'],
    [32, 10, '', '0123456789', '6657667009'], [32, 10, '39383736353433323130', '0123456789', '1001623463'], [32, 36, '3737373770717273373737', '0123456789abcdefghi', 'xs8a0azh2avyalyzuwd'],
  ] as const) {
    const ff1 = new Ff1(Buffer.from(key, 'hex').subarray(0, bytes))
    const digits = [...plain].map((letter) => letters.indexOf(letter))
    const made = ff1.encrypt(radix, Buffer.from(tweak, 'hex'), digits)
    assert.equal(made.map((digit) => letters[digit]).join(''), cipher)
    assert.deepEqual(ff1.decrypt(radix, Buffer.from(tweak, 'hex'), made), digits)
  }
})
test('FF1 refuses domains below a million, and what is no string over its radix', () => {
  const ff1 = new Ff1(Buffer.alloc(32))
  for (const [radix, digits] of [[10, [1, 2, 3, 4, 5]], [2, Array(19).fill(1)], [10, [1, 2, 3, 4, 5, 10]], [1, Array(100).fill(0)], [10, Array(257).fill(1)], [10, [0.5, 1, 1, 1, 1, 1]], [65_537, [1, 2]]] as const) assert.throws(() => ff1.encrypt(radix, Buffer.alloc(0), digits as number[]), RangeError)
  assert.equal(ff1.encrypt(10, Buffer.alloc(0), [0, 0, 0, 0, 0, 0]).length, 6)
  assert.equal(ff1.encrypt(2, Buffer.alloc(0), Array<number>(20).fill(1)).length, 20)
})
test('base32 is what it writes, and nothing else', () => {
  for (let i = 0; i < 200; i++) { const bytes = randomBytes(i % 40); assert.deepEqual(fromBase32(base32(bytes)), bytes) }
  for (const bad of ['A', 'a', '1', 'ab=', 'aaaaaaz', 'bb']) assert.equal(fromBase32(bad), null, bad)
})

test('texts keep the shape that matters, are the same each time, and come back', () => {
  const shapes: readonly (readonly [string, RegExp])[] = [
    ['ana.lopez+x@mail.example.com', /^[a-z2-7]{1,64}@([a-z2-7]{1,60}\.)*token\.invalid$/], [`${'l'.repeat(64)}@${'d'.repeat(60)}.example`, /^[a-z2-7]{1,64}@([a-z2-7]{1,60}\.)+token\.invalid$/],
    ['123-45-6789', /^\d{3}-\d{2}-\d{4}$/], ['4539 1488 0343 6467', /^\d{4} \d{4} \d{4} \d{4}$/], ['378282246310005', /^\d{15}$/], ['+49 (30) 901820', /^\+4\d \(\d\d\) \d{6}$/], ['555-867-5309', /^\d{3}-\d{3}-\d{4}$/],
    ['6ba7b810-9dad-11d1-80b4-00c04fd430c8', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/], ['11111111-1111-1111-1111-111111111111', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/],
    ['Ana', /^tok_[\w-]+$/], ['', /^tok_[\w-]+$/], ['ключ 🔑', /^tok_[\w-]+$/], ['12345', /^tok_/], ['DE89 3704 0044 0532 0130 00', /^tok_/],
  ]
  for (const [value, shape] of shapes) {
    const token: string = tokens.hide(text, value)!
    assert.match(token, shape, value)
    assert.notEqual(token, value)
    assert.equal(tokens.hide(text, value), token)
    assert.equal(tokens.back(text, token)?.value, value)
    assert.notEqual(new Tokens(Buffer.alloc(32, 8)).hide(text, value), token, 'another installation')
    assert.notEqual(new Tokens(Buffer.alloc(32, 7), 'team').hide(text, value), token, 'another label')
  }
  assert.equal(tokens.hide(text, 'x'.repeat(TOKEN_TEXT_BYTES_MAX + 1)), null)
  assert.equal(tokens.hide({ kind: 'text', length: 10 }, 'Ana'), null)
  assert.equal(tokens.hide({ kind: 'text', length: 16 }, '4539148803436467')?.length, 16)
})
test('a card keeps its length and its check, and its token is known as one', () => {
  for (let i = 0; i < 300; i++) {
    const body = String(randomInt(2, 7)) + Array.from({ length: randomInt(11, 18) }, () => randomInt(10)).join('')
    const card = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((last) => body + last).find(luhn)!
    const token: string = tokens.hide(text, card)!
    assert.ok(luhn(token) && token.length === card.length, token)
    assert.ok(Shapes.isCardToken(token) && !Shapes.isCardToken(card))
    assert.deepEqual(tokens.back(text, token), { value: card, certain: true })
    const wrong = card.slice(0, -1) + (Number(card.at(-1)) + 1) % 10
    const other: string = tokens.hide(text, wrong)!
    assert.ok(!luhn(other))
    assert.deepEqual(tokens.back(text, other), { value: wrong, certain: false })
    assert.equal(tokens.hide(text, tokens.back(text, card)!.value), card, 'a permutation of all')
  }
})
test('UUIDs keep their form; those that are made today are told from tokens', () => {
  for (let i = 0; i < 300; i++) {
    const value = i % 3 === 0 ? randomBytes(16).toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-') : crypto.randomUUID()
    const token = tokens.hide({ kind: 'uuid' }, value)!
    assert.notEqual(token, value)
    assert.equal(tokens.back({ kind: 'uuid' }, token)?.value, value)
    if (i % 3 !== 0) { assert.equal(tokens.back({ kind: 'uuid' }, token)?.certain, true); assert.equal(tokens.back({ kind: 'uuid' }, value)?.certain, false) }
    assert.equal(tokens.hide(text, value), token, 'the same in a column of text')
  }
})
test('numbers stay within their type, precision and scale, and keep their sign', () => {
  for (const [type, values] of [
    [{ kind: 'int4' }, ['0', '1', '-1', '2147483647', '-2147483648', '42']], [{ kind: 'int8' }, ['0', '9007199254740991', '9007199254740992', '-9223372036854775808', '9223372036854775807', '-5']],
    [{ kind: 'numeric', precision: 12, scale: 2 }, ['0.00', '12.50', '-0.01', '9999999999.99', '100.00']], [{ kind: 'numeric', precision: 6, scale: 6 }, ['0.123456']], [{ kind: 'numeric', precision: null, scale: 0 }, ['1', '12.5', '-3.14159', '999999999999999']],
  ] as readonly (readonly [TokenType, readonly string[]])[]) {
    for (const value of values) {
      const token = tokens.hide(type, value)!
      assert.notEqual(token, value)
      assert.equal(token.startsWith('-'), value.startsWith('-'))
      assert.equal(token.split('.')[1]?.length, value.split('.')[1]?.length)
      assert.deepEqual(tokens.back(type, token), { value, certain: false }, `${value} ${token}`)
      if (type.kind === 'int4') assert.equal(BigInt.asIntN(32, BigInt(token)), BigInt(token))
      if (type.kind === 'int8') { assert.equal(BigInt.asIntN(64, BigInt(token)), BigInt(token)); if (Number.isSafeInteger(Number(value))) assert.ok(Number.isSafeInteger(Number(token))) }
      if (type.kind === 'numeric' && type.precision !== null) assert.ok(token.replace(/[-.]/g, '').length <= type.precision + 1)
    }
  }
  for (const [type, value] of [[{ kind: 'int4' }, '2147483648'], [{ kind: 'numeric', precision: 5, scale: 0 }, '1'], [{ kind: 'numeric', precision: null, scale: 0 }, 'NaN'], [{ kind: 'numeric', precision: null, scale: 0 }, '1234567890123456'], [{ kind: 'int4' }, 'x']] as readonly (readonly [TokenType, string])[]) assert.equal(tokens.hide(type, value), null)
})
test('dates and times move by one number of days', () => {
  const day = (value: string) => Date.parse(`${value.slice(0, 10)}T00:00:00Z`) / 86_400_000
  for (const value of ['2024-02-29', '1970-01-01', '1999-12-31']) { const token = tokens.hide({ kind: 'date' }, value)!; assert.equal(day(token) - day(value), tokens.days); assert.equal(tokens.back({ kind: 'date' }, token)?.value, value) }
  assert.ok(Math.abs(tokens.days) > 365)
  assert.match(tokens.hide({ kind: 'timestamp' }, '2024-02-29 10:11:12.5+02')!, /^\d{4}-\d\d-\d\d 10:11:12\.5\+02$/)
  for (const value of ['infinity', '0044-03-15 BC', '29/02/2024', '2023-02-29', '9999-12-31', '']) assert.ok((tokens.hide({ kind: 'date' }, value) ?? value) !== '' || value === '', value)
  for (const value of ['infinity', '0044-03-15 BC', '29/02/2024', '2023-02-29']) assert.equal(tokens.hide({ kind: 'date' }, value), null)
})
test('what is no token of this key is not taken for one', () => {
  for (const value of ['ana@example.com', 'x@token.invalid', 'tok_abc', 'tok_', 'tok_????', 'Ana', '', '[hidden]', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@token.invalid']) assert.equal(tokens.back(text, value), null, value)
  const token = tokens.hide(text, 'Ana')!, mail = tokens.hide(text, 'ana@example.com')!
  for (let i = PREFIX; i < token.length; i++) assert.equal(tokens.back(text, token.slice(0, i) + (token[i] === 'A' ? 'B' : 'A') + token.slice(i + 1)), null)
  assert.equal(tokens.back(text, token.slice(0, -1)), null)
  assert.equal(tokens.back(text, mail.toUpperCase())?.value, 'ana@example.com', 'mail has no case')
  assert.equal(new Tokens(Buffer.alloc(32, 8)).back(text, token), null)
  assert.equal(tokens.back(text, PREFIX_MOVED(mail)), null, 'one kind is not another')
})
const PREFIX = 4
const PREFIX_MOVED = (mail: string): string => `tok_${fromBase32(mail.split('@')[0]!)!.toString('base64url')}`
