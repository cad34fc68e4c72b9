// Memory of a session that has run a statement and then does nothing: growth of what is resident over a thousand of them. Once per run
// and target, and the plain ones stay open while those with TLS are opened: memory that was given back would hide what is taken.
import { prepare, RawClient } from './client.ts'
import { residentBytes } from './processes.ts'
import type { Measure, Run } from './sample.ts'
import type { Target } from './stage.ts'

const SESSIONS = 1_000
const QUICK_SESSIONS = 300
/** Opened and closed first, so that code, caches and the heap have grown. */
const WARM_SESSIONS = 150
const AT_ONCE = 8
const SETTLE_MS = 3_000

export const idle: Measure = {
  name: 'idle', what: 'memory of an idle session', tables: ['pgbench_accounts'], targets: ['pgbouncer', 'relay', 'balanced'], roundsMax: 1,
  async round(run) { for (const target of run.targets) await one(run, target, target.name === 'balanced' ? ['plain', 'TLS'] : ['plain']) },
}

async function one(run: Run, target: Target, kinds: readonly ('plain' | 'TLS')[]): Promise<void> {
  const count = run.effort.quick ? QUICK_SESSIONS : SESSIONS
  const clients: RawClient[] = []
  try {
    for (const kind of kinds) for (const client of await open(target, WARM_SESSIONS, kind === 'TLS')) client.close()
    for (const kind of kinds) {
      await settled()
      const before = residentBytes(target.pids())
      clients.push(...await open(target, count, kind === 'TLS'))
      await settled()
      run.add({ case: kind, target: target.name, values: { kibibytesPerSession: (residentBytes(target.pids()) - before) / 1024 / count, sessions: count } })
    }
  } catch (error) { run.failed(`idle, ${target.name}`, error) } finally { for (const client of clients) client.close() }
  await settled()
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
