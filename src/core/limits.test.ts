import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Holding, SlidingWindow, leaseSize } from './limits.ts'
import { isLoopback, parseAddress, parseBytes, parseDurationMs, parseRate } from './units.ts'

test('within any span of the window never more than the most is given, whatever the times', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 200, max: 10_000 }), fc.array(fc.tuple(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 30 })), { maxLength: 60 }), (most, perMs, takes) => {
    const window = new SlidingWindow(most, perMs)
    const given: [number, number][] = []
    let now = 1_000_000
    for (const [pause, ask] of takes) { now += pause; given.push([now, window.take(ask, now)]) }
    for (const [from] of given) assert.ok(given.filter(([at]) => at >= from && at < from + perMs).reduce((sum, [, count]) => sum + count, 0) <= most)
  }), { numRuns: 500 })
})

test('what was taken comes free again when its window has passed, and what is given back at once', () => {
  const window = new SlidingWindow(10, 60_000)
  assert.equal(window.take(12, 0), 10)
  assert.equal(window.take(1, 59_999), 0)
  assert.ok(window.freeAtMs(0) <= 66_000)
  assert.equal(window.take(1, window.freeAtMs(0)), 1)
  const other = new SlidingWindow(10, 60_000)
  other.take(10, 0)
  other.giveBack(4, 0)
  other.giveBack(-4, 0)
  assert.equal(other.left(1), 4)
  other.giveBack(100, 0)
  assert.equal(other.left(1), 10, 'never more than there was')
  assert.ok(other.isIdle(1))
  assert.equal(new SlidingWindow(0, 1_000).take(1, 0), 0)
  assert.equal(new SlidingWindow(5, 1_000).take(-3, 0), 0)
})

test('a holding gives what was leased, once', () => {
  const holding = new Holding()
  holding.add(10)
  holding.add(-5)
  assert.deepEqual([holding.take(7), holding.take(7), holding.take(7), holding.held], [7, 3, 0, 0])
  holding.add(4)
  assert.deepEqual([holding.release(), holding.release()], [4, 0])
  assert.ok(leaseSize(500, 1, 4) >= 1 && leaseSize(500, 1, 4) <= 500 && leaseSize(3, 100, 4) === 3 && leaseSize(1_000, 200, 100) === 200)
})

test('durations, sizes, rates and addresses are read exactly or not at all', () => {
  assert.deepEqual(['15m', '90d', '500ms', '1h30m', '0s', '2w'].map(parseDurationMs), [900_000, 7_776_000_000, 500, 5_400_000, 0, 1_209_600_000])
  for (const text of ['15', '', 'm', '-1m', '1.5h', '1 m', '1M', '999999999999w']) assert.equal(parseDurationMs(text), null, text)
  assert.deepEqual(['10MB', '64KiB', '60000', '1GiB', '5 KB', '7B'].map(parseBytes), [10_000_000, 65_536, 60_000, 1_073_741_824, 5_000, 7])
  for (const text of ['', '10mb', '1.5MB', '-1', '10PB', '999999999999999TB', 'Bi']) assert.equal(parseBytes(text), null, text)
  assert.deepEqual(parseRate('10/1m'), { count: 10, perMs: 60_000 })
  for (const text of ['10', '10/', '/1m', '10/0s', '10/m', 'x/1m']) assert.equal(parseRate(text), null, text)
  assert.deepEqual([parseAddress('db.internal:5432'), parseAddress('[::1]:1'), parseAddress('unix:/run/x.sock'), parseAddress('*:1')], [{ host: 'db.internal', port: 5432 }, { host: '::1', port: 1 }, { path: '/run/x.sock' }, { host: '::', port: 1 }])
  for (const text of ['db', 'db:', ':1', 'db:0', 'db:65536', 'db:1:2', '::1:5', 'unix:x', 'unix:/', 'a b:1', 'http://x:1', 'u@h:1']) assert.equal(parseAddress(text), null, text)
  assert.deepEqual(parseAddress('0.0.0.0:0', 0), { host: '0.0.0.0', port: 0 })
  assert.ok(isLoopback({ host: 'LOCALHOST', port: 1 }) && isLoopback({ host: '127.8.9.1', port: 1 }) && isLoopback({ path: '/x' }))
  for (const host of ['127.evil.com', '0.0.0.0', 'localhost.evil.com', '128.0.0.1', '::']) assert.ok(!isLoopback({ host, port: 1 }), host)
})
