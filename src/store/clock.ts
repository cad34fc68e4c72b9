// The time that expiry is judged by: the later of the wall clock and the time elapsed since the process began, so that setting
// the clock back brings nothing to life again. (What was found expired is also marked so in the store: setting it forward and
// back does not either.)
export interface Clock { nowMs(): number }

export function steadyClock(wall: () => number = Date.now, monotonic: () => number = () => performance.now()): Clock {
  const wallAtStart = wall()
  const monotonicAtStart = monotonic()
  return { nowMs: () => Math.max(wall(), Math.floor(wallAtStart + monotonic() - monotonicAtStart)) }
}
