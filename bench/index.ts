// `npm run bench`: one interleaved run over the direct path, pgbouncer, a bare relay and Sluice in its variants. Targets alternate
// within a round, rounds alternate their order, and what is compared is compared within a round.
//   npm run bench -- [--json] [--quick] [--only NAME,…] [--targets NAME,…] [--rounds N] [--seconds N] [--cases TEXT] [--profile]
import { parseArgs } from 'node:util'
import { bulk } from './bulk.ts'
import { disk } from './disk.ts'
import { goals } from './goals.ts'
import { describeHost, hostLine } from './host.ts'
import { idle } from './idle.ts'
import { latency } from './latency.ts'
import { logins, stuck } from './logins.ts'
import { points } from './points.ts'
import { nowMicros, profileText, profiling } from './profile.ts'
import { goalTable, tables } from './report.ts'
import type { Effort, Measure, Sample } from './sample.ts'
import { slowReader } from './slow-reader.ts'
import { setStage, type Stage, TARGETS, type TargetName } from './stage.ts'

/** Memory first: what other measures leave on the heap would blur it. */
const MEASURES: readonly Measure[] = [idle, slowReader, disk, latency, points, bulk, logins, stuck]
const FULL: Effort = { rounds: 5, seconds: 5, quick: false, cases: '' }
const QUICK: Effort = { rounds: 2, seconds: 1, quick: true, cases: '' }
const ERRORS_SHOWN = 10
const say = (text: string) => process.stderr.write(`bench: ${text}\n`)

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' }, targets: { type: 'string' }, rounds: { type: 'string' }, seconds: { type: 'string' }, cases: { type: 'string' }, profile: { type: 'boolean' } } })
  const base = values.quick === true ? QUICK : FULL
  const effort: Effort = { ...base, rounds: count('rounds', values.rounds, base.rounds), seconds: count('seconds', values.seconds, base.seconds), cases: values.cases ?? '' }
  const measures = chosen('measure', values.only, MEASURES, (measure) => measure.name)
  const wanted = chosen('target', values.targets, TARGETS, (target) => target)
  const profile = values.profile === true ? profiling() : null
  const host = describeHost()
  const samples: Sample[] = [], failures: string[] = []
  const stage = await setStage({ targets: needed(measures, wanted), tables: [...new Set(measures.flatMap((measure) => measure.tables))], environment: profile?.environment ?? {}, say })
  const interrupted = () => { void stage.stop().finally(() => process.exit(130)) }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted)
  if (stage.pgbouncer === null && wanted.includes('pgbouncer')) failures.push('pgbouncer is not installed (Debian: pgbouncer): there is nothing to compare with')
  const fromMicros = nowMicros()
  let toMicros = fromMicros
  try { await rounds(stage, measures, wanted, effort, samples, failures) } finally { toMicros = nowMicros(); failures.push(...errorsOf(stage)); await stage.stop() }
  const whole = values.only === undefined && values.targets === undefined
  const reached = goals(samples).filter((goal) => whole || goal.measured !== null)
  if (values.json === true) process.stdout.write(`${JSON.stringify({ host, pgbouncer: stage.pgbouncer, workers: stage.workers, effort, goals: reached, failures, samples })}\n`)
  else process.stdout.write(`${hostLine(host)}\npgbouncer ${stage.pgbouncer ?? 'absent'} (session mode), PostgreSQL 15, ${stage.workers} workers; medians of ${effort.rounds} rounds [lowest–highest]\n\n${tables(samples)}\n\n${goalTable(reached)}\n`)
  if (profile !== null) process.stdout.write(`\nprofiles in ${profile.folder}, own time of all the gateway's processes:\n${profileText(profile.folder, { fromMicros, toMicros })}\n`)
  for (const failure of failures) say(failure)
  process.exitCode = failures.length > 0 ? 1 : 0
}

async function rounds(stage: Stage, measures: readonly Measure[], wanted: readonly TargetName[], effort: Effort, samples: Sample[], failures: string[]): Promise<void> {
  const began = Date.now()
  for (let round = 0; round < effort.rounds; round++) for (const measure of measures) {
    if (round >= measure.roundsMax) continue
    say(`round ${round + 1} of ${effort.rounds}, ${measure.name}: ${measure.what} (${Math.round((Date.now() - began) / 1000)} s)`)
    const some = stage.targets.filter(({ name }) => wanted.includes(name) && (measure.targets === null || measure.targets.includes(name)))
    await measure.round({
      stage, effort, round, targets: round % 2 === 0 ? some : [...some].reverse(),
      add: (sample) => samples.push({ ...sample, measure: measure.name, round }),
      failed: (what, error) => { failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`) },
    })
  }
}

/** What the gateway itself complained of: figures of a gateway that fails mean nothing. */
function errorsOf(stage: Stage): string[] {
  return (stage.gateway?.log() ?? '').split('\n').filter((line) => /"level":(50|60)/.test(line)).slice(0, ERRORS_SHOWN).map((line) => `the gateway's log: ${line}`)
}

/** No gateway is started for measures that don't ask for it. */
function needed(measures: readonly Measure[], wanted: readonly TargetName[]): TargetName[] {
  return wanted.filter((name) => measures.some((measure) => measure.targets === null || measure.targets.includes(name)))
}
function chosen<T>(what: string, text: string | undefined, all: readonly T[], nameOf: (one: T) => string): readonly T[] {
  if (text === undefined) return all
  const names = text.split(',')
  const unknown = names.find((name) => !all.some((one) => nameOf(one) === name))
  if (unknown !== undefined) throw new Error(`no ${what} is named ${unknown}: ${all.map(nameOf).join(', ')}`)
  return all.filter((one) => names.includes(nameOf(one)))
}
function count(what: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${what} is a whole number from 1`)
  return value
}

main().catch((error: unknown) => { say(error instanceof Error ? error.message : String(error)); process.exit(1) })
