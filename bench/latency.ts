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
interface Open { readonly target: Target; client: RawClient | null; readonly times: number[] }
const SQL = 'SELECT abalance FROM pgbench_accounts WHERE aid = '

export const latency: Measure = {
  name: 'latency', what: 'one client: time added to a point read', tables: ['pgbench_accounts'], targets: null, roundsMax: Number.POSITIVE_INFINITY,
  async round(run) { for (const mode of MODES) if (`${mode}, 1 client`.includes(run.effort.cases)) await compare(run, mode, run.effort.quick ? 40 : 30 * run.effort.seconds) },
}

async function compare(run: Run, mode: Mode, bursts: number): Promise<void> {
  const name = `${mode}, 1 client`
  const open: Open[] = []
  const failed = (one: Open, error: unknown) => { run.failed(`latency, ${name}, ${one.target.name}`, error); one.client?.close(); open.splice(open.indexOf(one), 1) }
  for (const target of run.targets) {
    const one: Open = { target, client: null, times: [] }
    open.push(one)
    try {
      one.client = await RawClient.open(target)
      if (mode === 'prepared') await one.client.request(prepare('P', `${SQL}$1`))
      for (let i = 0; i < WARM_BURSTS; i++) await burst(one.client, mode, [])
    } catch (error) { failed(one, error) }
  }
  for (let i = 0; i < bursts; i++) for (const one of i % 2 === 0 ? [...open] : [...open].reverse()) try { await burst(one.client!, mode, one.times) } catch (error) { failed(one, error) }
  for (const { client } of open) client?.close()
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
