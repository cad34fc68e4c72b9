// The bench in words: each measure's table with its ratios to pgbouncer, then the goals, met or not. Absolute figures belong to the
// host that is named; ratios are what can be compared.
import type { Goal } from './goals.ts'
import { figure, ratio, type Sample, type Spread } from './sample.ts'

/** How a value is named, and whether its ratio to pgbouncer's says something. */
const VALUES: Readonly<Record<string, { readonly title: string; readonly ratio: boolean }>> = {
  tps: { title: 'queries/s', ratio: true }, cpuMicros: { title: 'CPU µs per query', ratio: true },
  p50Micros: { title: 'p50 µs', ratio: false }, p99Micros: { title: 'p99 µs', ratio: false }, addedP50Micros: { title: 'added p50 µs', ratio: true }, addedP99Micros: { title: 'added p99 µs', ratio: true },
  rowsPerSecond: { title: 'rows/s', ratio: true }, megabytes: { title: 'MB', ratio: false }, megabytesPerCoreSecond: { title: 'MB/s per core', ratio: true }, cpuMicrosPerRow: { title: 'CPU µs per row', ratio: true },
  peakMebibytes: { title: 'peak MiB added', ratio: false }, kibibytesPerSession: { title: 'KiB per session', ratio: false }, sessions: { title: 'sessions', ratio: false },
  p50Millis: { title: 'p50 ms', ratio: false }, p99Millis: { title: 'p99 ms', ratio: false }, addedP50Millis: { title: 'added p50 ms', ratio: false }, addedP99Millis: { title: 'added p99 ms', ratio: false },
  perSecond: { title: 'logins/s', ratio: true }, cpuMillis: { title: 'CPU ms per login', ratio: true }, p50BeforeMillis: { title: 'p50 ms without', ratio: false }, maxMillis: { title: 'slowest ms', ratio: false }, stuck: { title: 'stuck', ratio: false },
}

export function number(value: number): string {
  const size = Math.abs(value)
  return size >= 1000 ? Math.round(value).toLocaleString('en-US') : size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2)
}
export const spreadText = (spread: Spread | null): string => (spread === null ? '–' : spread.rounds === 1 ? number(spread.median) : `${number(spread.median)} [${number(spread.min)}–${number(spread.max)}]`)

/** One table per measure and case: a line per target, a column per value, with its ratio to pgbouncer's behind it. */
export function tables(samples: readonly Sample[]): string {
  const groups = new Map<string, Sample[]>()
  for (const sample of samples) { const key = `${sample.measure}: ${sample.case}`; groups.set(key, [...(groups.get(key) ?? []), sample]) }
  return [...groups].map(([title, group]) => `${title}\n${table(group)}`).join('\n\n')
}

function table(group: readonly Sample[]): string {
  const { measure, case: of } = group[0]!
  const columns = [...new Set(group.flatMap((sample) => Object.keys(sample.values)))]
  const hasPeer = group.some((sample) => sample.target === 'pgbouncer')
  const header = ['', ...columns.flatMap((value) => [VALUES[value]?.title ?? value, ...(hasPeer && VALUES[value]?.ratio === true ? ['× pgbouncer'] : [])])]
  const lines = [...new Set(group.map((sample) => sample.target))].map((target) => [target, ...columns.flatMap((value) => {
    const one = { measure, case: of, target, value }
    return [spreadText(figure(group, one)), ...(hasPeer && VALUES[value]?.ratio === true ? [spreadText(ratio(group, one, 'pgbouncer'))] : [])]
  })])
  return aligned([header, ...lines])
}

export function goalTable(goals: readonly Goal[]): string {
  const sign = { 'at least': '≥', 'at most': '≤', shown: '' }
  const verdict = (goal: Goal) => (goal.measured === null ? 'not measured' : goal.met === null ? '' : goal.met ? 'met' : 'NOT MET')
  return aligned([['what it must reach', 'target', 'measured', ''], ...goals.map((goal) => [goal.what, goal.bound === 'shown' ? goal.unit : `${sign[goal.bound]} ${goal.limit} ${goal.unit}`, spreadText(goal.measured), verdict(goal)])])
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  ')}`.trimEnd()).join('\n')
}
