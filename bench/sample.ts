// What a measure gives, and how samples are compared: always within one round, target against target, so that what the machine did
// meanwhile touches both sides; then the median of the rounds with its lowest and highest.
import type { Stage, Target, TargetName } from './stage.ts'

export interface Sample {
  readonly measure: string
  /** What was asked: `prepared, 32 clients`. */
  readonly case: string
  readonly target: TargetName | 'disk'
  readonly round: number
  readonly values: Readonly<Record<string, number>>
}
export interface Spread { readonly median: number; readonly min: number; readonly max: number; readonly rounds: number }

/** How long and how often. */
export interface Effort {
  readonly rounds: number
  readonly seconds: number
  readonly quick: boolean
  /** Only cases whose name has this in it. */
  readonly cases: string
}
export interface Run {
  readonly stage: Stage
  readonly effort: Effort
  readonly round: number
  /** In this round's order. */
  readonly targets: readonly Target[]
  add(sample: Omit<Sample, 'round' | 'measure'>): void
  failed(what: string, error: unknown): void
}
export interface Measure {
  readonly name: string
  readonly what: string
  readonly tables: readonly string[]
  /** Null: all. */
  readonly targets: readonly TargetName[] | null
  /** Those whose absolute value says enough need fewer. */
  readonly roundsMax: number
  round(run: Run): Promise<void>
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = sorted[Math.floor(at)], high = sorted[Math.ceil(at)]
  return low === undefined || high === undefined ? Number.NaN : low + (high - low) * (at - Math.floor(at))
}
export function spread(values: readonly number[]): Spread | null {
  const known = values.filter(Number.isFinite)
  return known.length === 0 ? null : { median: median(known), min: Math.min(...known), max: Math.max(...known), rounds: known.length }
}

export interface Figure { readonly measure: string; readonly case: string; readonly target: Sample['target']; readonly value: string }
export function figure(samples: readonly Sample[], of: Figure): Spread | null {
  return spread(matching(samples, of).map((sample) => sample.values[of.value]!))
}
/** Per round: this target's value by the other's; nothing for a round in which the other's drowned in noise (an added time below zero). */
export function ratio(samples: readonly Sample[], of: Figure, to: TargetName): Spread | null {
  const others = new Map(matching(samples, { ...of, target: to }).map((sample) => [sample.round, sample.values[of.value]!]))
  return spread(matching(samples, of).map((sample) => {
    const other = others.get(sample.round) ?? 0
    return other > 0 ? sample.values[of.value]! / other : Number.NaN
  }))
}
function matching(samples: readonly Sample[], of: Figure): Sample[] {
  return samples.filter((sample) => sample.measure === of.measure && sample.case === of.case && sample.target === of.target && sample.values[of.value] !== undefined)
}
