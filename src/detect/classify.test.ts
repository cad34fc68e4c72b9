import assert from 'node:assert/strict'
import test from 'node:test'
import { likenessOf } from './index.ts'

const facts = (name: string, type = 'text', comment: string | null = null) => ({ name, type, comment })
const values = (count: number, make: (i: number) => string) => Array.from({ length: count }, (_, i) => Buffer.from(make(i)))
const kind = (name: string, sample: readonly Buffer[] = [], type = 'text', comment: string | null = null) => likenessOf(facts(name, type, comment), sample)?.kind ?? null

test('names of any style tell, and words within others don\'t', () => {
  for (const [name, expected] of [['email', 'email'], ['eMailAddress', 'email'], ['user_e_mail', 'email'], ['SSN', 'us-ssn'], ['cardNumber', 'credit-card'], ['mobile', 'phone'], ['homePhone2', 'phone'], ['firstName', 'person-name'], ['date_of_birth', 'birth-date'], ['password_hash', 'secret'], ['apiKey', 'secret'], ['passport_no', 'national-id'],
    ['salary', 'salary'], ['billing_address', 'address'], ['remote_ip', 'ip']] as const) assert.equal(kind(name), expected, name)
  for (const name of ['id', 'filename', 'company_name', 'tokens_used', 'shipping_method', 'passes', 'panel', 'telemetry', 'description', 'ipsum', 'discount_code', 'tag']) assert.equal(kind(name), null, name)
  assert.equal(kind('c7', [], 'text', 'customer phone'), 'phone')
  assert.equal(kind('origin', [], 'inet'), 'ip')
})

test('values tell without a name, and against one', () => {
  assert.equal(kind('c1', values(50, (i) => `a${i}@b.example`)), 'email')
  const text = likenessOf(facts('c2'), values(50, (i) => (i % 5 === 0 ? `please write to a${i}@b.example as soon as you can about the order that was late` : 'nothing')))!
  assert.deepEqual([text.kind, text.within, text.matched], ['email', true, 10])
  assert.equal(kind('contact_email', values(50, (i) => `order ${i}`)), null)
  assert.equal(kind('contact_email', values(5, (i) => `order ${i}`)), 'email')
  assert.equal(kind('ssn', values(50, (i) => String(219_099_000 + i))), 'us-ssn')
  assert.equal(kind('number', values(50, (i) => String(219_099_000 + i))), null)
})

test('what comes out holds no value', () => {
  const out = JSON.stringify(likenessOf(facts('email'), values(50, (i) => `zanzibar${i}@b.example`)))
  assert.ok(!out.includes('zanzibar') && !out.includes('b.example'))
})

test('numbers that pass a checksum by chance are no cards', () => {
  assert.equal(kind('order_number', values(200, (i) => `45391488034${String(36_467 + i * 7)}`)), null)
})
