import assert from 'node:assert/strict'
import { test } from 'node:test'
import { steadyClock } from './clock.ts'

test('setting the wall clock back does not turn the time back; setting it forward is believed', () => {
  let wall = 1_000_000
  let monotonic = 50
  const clock = steadyClock(() => wall, () => monotonic)
  assert.equal(clock.nowMs(), 1_000_000)
  monotonic += 5_000
  wall -= 3_600_000
  assert.equal(clock.nowMs(), 1_005_000)
  wall += 7_200_000
  assert.equal(clock.nowMs(), wall)
})
