// What one client waits longer than it would without the gateway: bursts of queries to each target in turn on open connections, the
// direct path's quantiles of the same round subtracted.
import { execute, prepare, RawClient, simpleQuery } from './client.ts'
import { type Measure, quantile, type Run } from './sample.ts'
import type { Target } from './stage.ts'
import { PGBENCH_ROWS } from './tables.ts'

const BURST = 50
const WARM_BURSTS = 10
const MODES = ['simple', 'prepared'] as const
type Mode = (typeof MODES)[number]
const SQL = 'SELECT abalance FROM pgbench_accounts WHERE aid = '

export const latency: Measure = {
  name: 'latency', what: 'one client: time added to a point read', tables: ['pgbench_accounts'], targets: null, roundsMax: Number.POSITIVE_INFINITY,
  async round(run) { for (const mode of MODES) await compare(run, mode, run.effort.quick ? 40 : 30 * run.effort.seconds) },
}

async function compare(run: Run, mode: Mode, bursts: number): Promise<void> {
  const name = `${mode}, 1 client`
  const open: { target: Target; client: RawClient; times: number[] }[] = []
  for (const target of run.targets) {
    try {
      const client = await RawClient.open(target)
      open.push({ target, client, times: [] })
      if (mode === 'prepared') await client.request(prepare('P', `${SQL}$1`))
      for (let i = 0; i < WARM_BURSTS; i++) await burst(client, mode, [])
    } catch (error) { run.failed(`latency, ${name}, ${target.name}`, error); open.splice(0, open.length, ...open.filter((one) => one.target !== target)) }
  }
  for (let i = 0; i < bursts; i++) for (const { client, times } of i % 2 === 0 ? open : [...open].reverse()) await burst(client, mode, times)
  for (const { client } of open) client.close()
  const direct = open.find(({ target }) => target.name === 'direct')?.times
  for (const { target, times } of open) {
    const values = { p50Micros: quantile(times, 0.5), p99Micros: quantile(times, 0.99) }
    const added = direct === undefined || target.name === 'direct' ? {} : { addedP50Micros: values.p50Micros - quantile(direct, 0.5), addedP99Micros: values.p99Micros - quantile(direct, 0.99) }
    run.add({ case: name, target: target.name, values: { ...values, ...added } })
  }
}

async function burst(client: RawClient, mode: Mode, times: number[]): Promise<void> {
  for (let i = 0; i < BURST; i++) {
    const key = String(1 + Math.floor(Math.random() * PGBENCH_ROWS))
    const bytes = mode === 'simple' ? simpleQuery(SQL + key) : execute('P', key)
    const began = process.hrtime.bigint()
    const { rows } = await client.request(bytes)
    times.push(Number(process.hrtime.bigint() - began) / 1000)
    if (rows !== 1) throw new Error(`a point read gave ${rows} rows`)
  }
}
