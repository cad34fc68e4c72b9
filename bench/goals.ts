// What the gateway must reach, beside what was measured. A goal is met by the median of its rounds; one that was not measured says so.
import { figure, ratio, type Sample, type Spread } from './sample.ts'
import type { TargetName, Variant } from './stage.ts'

export interface Goal {
  readonly what: string
  readonly bound: 'at least' | 'at most' | 'shown'
  readonly limit: number
  readonly unit: string
  readonly measured: Spread | null
  readonly met: boolean | null
}
type Bound = readonly [bound: Goal['bound'], limit: number, unit: string]

export function goals(samples: readonly Sample[]): Goal[] {
  const by = (measure: string, of: string, target: TargetName, value: string, to: TargetName = 'pgbouncer') => ratio(samples, { measure, case: of, target, value }, to)
  const own = (measure: string, of: string, target: Sample['target'], value: string) => figure(samples, { measure, case: of, target, value })
  const found: Goal[] = []
  const goal = (what: string, [bound, limit, unit]: Bound, measured: Spread | null) => {
    const met = measured === null || bound === 'shown' ? null : bound === 'at least' ? measured.median >= limit : measured.median <= limit
    found.push({ what, bound, limit, unit, measured, met })
  }
  for (const [mode, tps, cpu] of [['prepared', 0.9, 1.5], ['simple', 0.85, 1.7]] as const) for (const variant of ['balanced', 'mask'] as const) {
    goal(`throughput, 32 clients, ${mode}, ${variant}`, ['at least', tps, '× pgbouncer'], by('points', `${mode}, 32 clients`, variant, 'tps'))
    goal(`CPU per query, 32 clients, ${mode}, ${variant}`, ['at most', cpu, '× pgbouncer'], by('points', `${mode}, 32 clients`, variant, 'cpuMicros'))
  }
  for (const mode of ['prepared', 'simple'] as const) for (const variant of ['balanced', 'mask'] as const) {
    goal(`added p50, 1 client, ${mode}, ${variant}`, ['at most', 1.3, '× what pgbouncer adds'], by('latency', `${mode}, 1 client`, variant, 'addedP50Micros'))
    goal(`added p99, 1 client, ${mode}, ${variant}`, ['at most', 2, '× what pgbouncer adds'], by('latency', `${mode}, 1 client`, variant, 'addedP99Micros'))
  }
  goal('added p50, 1 client, prepared, sync', ['shown', 0, 'µs'], own('latency', 'prepared, 1 client', 'sync', 'addedP50Micros'))
  goal("the disk's own append and fdatasync, p50", ['shown', 0, 'µs'], own('disk', 'fdatasync', 'disk', 'p50Micros'))
  for (const read of ['COPY', 'SELECT'] as const) {
    goal(`1M rows, ${read}, mask: rows/s`, ['at least', 0.9, '× pgbouncer'], by('bulk', read, 'mask', 'rowsPerSecond'))
    goal(`1M rows, ${read}, mask: per core`, ['at least', 400, 'MB/s'], own('bulk', read, 'mask', 'megabytesPerCoreSecond'))
    goal(`1M rows, ${read}, detect: per core`, ['at least', 300, 'MB/s'], own('bulk', read, 'detect', 'megabytesPerCoreSecond'))
  }
  for (const variant of ['balanced', 'mask', 'detect'] satisfies Variant[]) goal(`slow reader, ${variant}: peak memory added`, ['at most', 32, 'MiB'], own('slow', 'SELECT', variant, 'peakMebibytes'))
  goal('idle session, plain', ['at most', 64, 'KiB'], own('idle', 'plain', 'balanced', 'kibibytesPerSession'))
  goal('idle session, TLS', ['at most', 128, 'KiB'], own('idle', 'TLS', 'balanced', 'kibibytesPerSession'))
  goal('login, one by one: added p50', ['at most', 3, 'ms'], own('logins', 'one by one', 'balanced', 'addedP50Millis'))
  goal('slowest login beside 5,000 stuck in start-up', ['at most', 1000, 'ms'], own('stuck', 'login', 'balanced', 'maxMillis'))
  return found
}
