// Point reads under load: pgbench -S. Rates are taken from its progress lines, after a second of warming up, so that connecting is in
// neither the throughput nor the CPU.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { cpuMicros } from './processes.ts'
import type { Measure, Run } from './sample.ts'
import { PEERS, type Target } from './stage.ts'
import { pgbenchProgram } from './tables.ts'

const MODES = ['simple', 'extended', 'prepared'] as const
const CLIENTS = [1, 8, 32] as const
const START_TIMEOUT_MS = 30_000
const WARM_SECONDS = 1
type Mode = (typeof MODES)[number]

export const points: Measure = {
  name: 'points', what: 'point reads by pgbench: throughput and CPU per query', tables: ['pgbench_accounts'], targets: null, roundsMax: Number.POSITIVE_INFINITY,
  async round(run) {
    const cases = run.effort.quick ? ([['simple', 32], ['prepared', 32]] as const) : CLIENTS.flatMap((clients) => MODES.map((mode) => [mode, clients] as const))
    for (const [mode, clients] of cases) {
      if (!nameOf(mode, clients).includes(run.effort.cases)) continue
      if (run.round === 0) await warm(run, mode, clients)
      for (const target of run.targets) await one(run, target, mode, clients)
    }
  },
}

/** The gateway's processes serve all its variants: what one of them made hot is hot for the others. */
async function warm(run: Run, mode: Mode, clients: number): Promise<void> {
  const target = run.targets.find(({ name }) => name === 'mask') ?? run.targets.find(({ name }) => !PEERS.includes(name))
  if (target === undefined) return
  try { await load(target, mode, clients, run.effort.quick ? 4 : 8) } catch (error) { run.failed(`points, warming ${mode}, ${target.name}`, error) }
}

const nameOf = (mode: Mode, clients: number): string => `${mode}, ${clients} ${clients === 1 ? 'client' : 'clients'}`

async function one(run: Run, target: Target, mode: Mode, clients: number): Promise<void> {
  const name = nameOf(mode, clients)
  try {
    const { transactions, seconds, cpu } = await load(target, mode, clients, run.effort.seconds)
    run.add({ case: name, target: target.name, values: { tps: transactions / seconds, ...(target.name === 'direct' ? {} : { cpuMicros: cpu / transactions }) } })
  } catch (error) { run.failed(`points, ${name}, ${target.name}`, error) }
}

interface Load { readonly transactions: number; readonly seconds: number; readonly cpu: number }
function load(target: Target, mode: Mode, clients: number, seconds: number): Promise<Load> {
  const parameters = ['-n', '-S', '-M', mode, '-c', String(clients), '-j', String(Math.min(2, clients)), '-T', '100000', '-P', '1', '-h', '127.0.0.1', '-p', String(target.port), '-U', target.user, target.database]
  const child = spawn(pgbenchProgram!, parameters, { env: { ...process.env, PGPASSWORD: target.password, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' }, stdio: ['ignore', 'ignore', 'pipe'] })
  return new Promise((done, failed) => {
    let said = '', line = 0, transactions = 0, cpu = 0, since = 0
    const timer = setTimeout(() => { child.kill('SIGKILL') }, START_TIMEOUT_MS + (seconds + WARM_SECONDS) * 1000)
    createInterface({ input: child.stderr! }).on('line', (text) => {
      const progress = /^progress: ([\d.]+) s, ([\d.]+) tps/.exec(text)
      if (progress === null) { said = `${said}${text}\n`.slice(-2_000); return }
      line++
      const now = Number(progress[1])
      if (line === WARM_SECONDS) { cpu = cpuMicros(target.pids()); since = now; transactions = 0 }
      // A line's rate is that of the time since the line before it.
      else if (line > WARM_SECONDS) transactions += Number(progress[2]) * (now - before)
      before = now
      if (line !== WARM_SECONDS + seconds) return
      const used = cpuMicros(target.pids()) - cpu
      child.kill('SIGTERM')
      if (used < 0) failed(new Error('a process of the target ended meanwhile'))
      if (transactions > 0) done({ transactions, seconds: now - since, cpu: used })
    })
    let before = 0
    child.once('error', failed)
    child.once('close', () => { clearTimeout(timer); failed(new Error(`pgbench gave no rate:\n${said}`)) })
  })
}
