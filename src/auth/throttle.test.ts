// Failed logins are limited by address and by who is claimed; nobody is locked out for longer than the minute, or by somebody elsewhere.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NotAuthenticated } from '../core/errors.ts'
import { claimOf, FailedLogins, FAILED_LOGINS_KEPT, FAILED_LOGINS_MS, FAILED_LOGINS_OF_ACCOUNT, LoginBlocks, placeOf, Throttled } from './throttle.ts'

const LIMITS = { ofAddress: 50, ofOne: 5 }
const jwt = (sub: string, more = '') => `e30.${Buffer.from(JSON.stringify({ iss: 'https://i.example', sub })).toString('base64url')}.${more}`
function setup() {
  const counts = new FailedLogins()
  const clock = { ms: 1_000_000 }
  let judged = 0
  const blocks = new LoginBlocks((address, claim) => { for (const block of counts.failed(address, claim, LIMITS, clock.ms)) blocks.add(block) }, () => clock.ms)
  const wrong = (address: string, secret: string) => blocks.judge(address, secret, async () => { judged++; throw new NotAuthenticated('no') }).then(() => 'in', (error: unknown) => (error instanceof Throttled ? 'throttled' : 'refused'))
  const right = (address: string, secret: string) => blocks.judge(address, secret, async () => 'in').catch((error: unknown) => (error instanceof Throttled ? 'throttled' : 'refused'))
  return { clock, wrong, right, judged: () => judged }
}

test('one identity that fails again and again is refused unread until the minute is over; others at the address are not', async () => {
  const { clock, wrong, right, judged } = setup()
  for (let i = 0; i < LIMITS.ofOne; i++) assert.equal(await wrong('10.0.0.1', jwt('ana', String(i))), 'refused')
  for (let i = 0; i < 1_000; i++) assert.equal(await wrong('10.0.0.1', jwt('ana', `more${i}`)), 'throttled')
  assert.equal(judged(), LIMITS.ofOne)
  assert.equal(await right('10.0.0.1', jwt('ben')), 'in', 'a thousand refused ones did not use up the address')
  assert.equal(await right('10.0.0.2', jwt('ana')), 'in', 'nobody locks her out from elsewhere')
  assert.equal(await right('10.0.0.1', jwt('ana')), 'in', 'that credential was accepted lately')
  assert.equal(await right('10.0.0.1', jwt('ana', 'new')), 'throttled')
  clock.ms += FAILED_LOGINS_MS + 1
  assert.equal(await right('10.0.0.1', jwt('ana', 'new')), 'in')
})

test('an address is limited as a whole, for a minute, and who was accepted lately passes', async () => {
  const { clock, wrong, right } = setup()
  assert.equal(await right('10.0.0.1', 'slc_good'), 'in')
  for (let i = 0; i < LIMITS.ofAddress; i++) assert.equal(await wrong('10.0.0.1', jwt(`guess${i}`)), 'refused')
  assert.equal(await right('10.0.0.1', jwt('ben')), 'throttled')
  assert.equal(await right('10.0.0.1', 'slc_good'), 'in')
  assert.equal(await right('10.0.0.9', jwt('ben')), 'in')
  // However long it goes on, each minute begins open.
  for (let minute = 0; minute < 5; minute++) {
    clock.ms += FAILED_LOGINS_MS + 1
    assert.equal(await right('10.0.0.1', jwt(`fresh${minute}`)), 'in')
    for (let i = 0; i < LIMITS.ofAddress; i++) await wrong('10.0.0.1', jwt(`guess${minute} ${i}`))
  }
})

test('a clock that jumps back holds nobody longer', async () => {
  const { clock, wrong, right } = setup()
  for (let i = 0; i < LIMITS.ofOne; i++) await wrong('10.0.0.1', jwt('ana', String(i)))
  clock.ms -= 3_600_000
  assert.equal(await right('10.0.0.1', jwt('ana', 'new')), 'in')
})

test('guesses at a break-glass account are fewer, and counted by account', () => {
  const counts = new FailedLogins()
  let blocks = 0
  for (let i = 0; i < FAILED_LOGINS_OF_ACCOUNT; i++) blocks += counts.failed('10.0.0.1', claimOf(`break-glass:root:${i}`), { ofAddress: 1_000, ofOne: 100 }, 0).length
  assert.equal(blocks, 1)
  assert.equal(claimOf('break-glass:root:a'), claimOf('break-glass:root:b'))
  assert.notEqual(claimOf('break-glass:root:a'), claimOf('break-glass:other:a'))
})

test('what somebody claims is kept as a digest, whatever it is, and never more than so many', () => {
  for (const secret of ['', 'a.b.c', `x.${'['.repeat(5_000)}.y`, 'x'.repeat(100_000), jwt('ana'), `e30.${Buffer.from('null').toString('base64url')}.x`]) assert.match(claimOf(secret), /^(subject|secret) [A-Za-z0-9_-]{22}$/)
  const counts = new FailedLogins()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < FAILED_LOGINS_KEPT * 5; i++) counts.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, `secret ${i}`, LIMITS, 0)
  assert.ok(process.memoryUsage().heapUsed - before < 64 * 1024 * 1024)
})

test('an address counts as the network that whoever has it has', () => {
  assert.equal(placeOf('::ffff:10.0.0.1'), '10.0.0.1')
  assert.equal(placeOf('2001:db8::1'), placeOf('2001:0db8:0:0:ffff:1:2:3'))
  assert.notEqual(placeOf('2001:db8:0:1::1'), placeOf('2001:db8::1'))
  assert.equal(placeOf('fe80::1%eth0'), placeOf('fe80::2'))
  assert.equal(placeOf('::1'), '0:0:0:0::/64')
})
