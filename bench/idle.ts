// Memory of a session that has run a statement and then does nothing: growth of what is resident over a thousand of them.
import { prepare, RawClient } from './client.ts'
import { residentBytes } from './processes.ts'
import type { Measure, Run } from './sample.ts'
import type { Target } from './stage.ts'

const SESSIONS = 1_000
const QUICK_SESSIONS = 300
/** Opened and closed first, so that code, caches and the heap have grown. */
const WARM_SESSIONS = 150
const AT_ONCE = 8
const SETTLE_MS = 1_500

export const idle: Measure = {
  name: 'idle', what: 'memory of an idle session', tables: ['pgbench_accounts'], targets: ['pgbouncer', 'relay', 'balanced', 'mask'], roundsMax: 2,
  async round(run) {
    for (const target of run.targets) for (const tls of target.name === 'balanced' || target.name === 'mask' ? [false, true] : [false]) await one(run, target, tls)
  },
}

async function one(run: Run, target: Target, tls: boolean): Promise<void> {
  const name = tls ? 'TLS' : 'plain'
  const count = run.effort.quick ? QUICK_SESSIONS : SESSIONS
  try {
    for (const client of await open(target, WARM_SESSIONS, tls)) client.close()
    await settled()
    const before = residentBytes(target.pids())
    const clients = await open(target, count, tls)
    await settled()
    run.add({ case: name, target: target.name, values: { kibibytesPerSession: (residentBytes(target.pids()) - before) / 1024 / count, sessions: count } })
    for (const client of clients) client.close()
    await settled()
  } catch (error) { run.failed(`idle, ${name}, ${target.name}`, error) }
}

async function open(target: Target, count: number, tls: boolean): Promise<RawClient[]> {
  const clients: RawClient[] = []
  let begun = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (begun++ < count) {
      const client = await RawClient.open(target, { tls, readBytes: 4_096 })
      clients.push(client)
      await client.request(prepare('P', 'SELECT abalance FROM pgbench_accounts WHERE aid = $1'))
      await client.query('SELECT abalance FROM pgbench_accounts WHERE aid = 1')
    }
  }))
  return clients
}
const settled = () => new Promise<void>((later) => { setTimeout(later, SETTLE_MS) })
