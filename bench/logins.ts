// Logging in: how long it takes one client after another, how many a second when eight do it at once, and what happens to both beside
// thousands of connections that never finish their start-up.
import { connect, type Socket } from 'node:net'
import { RawClient } from './client.ts'
import { cpuMicros } from './processes.ts'
import { type Measure, quantile } from './sample.ts'
import type { Target } from './stage.ts'

const AT_ONCE = 8
const BURST = 5
const STUCK = 5_000
const STUCK_AT_ONCE = 200
const STUCK_LOGINS = 30
/** Start-up packet's length and version, and then nothing more. */
const BEGINNING = Buffer.from([0, 0, 0, 80, 0, 3, 0, 0, 0x75, 0x73])

async function login(target: Target): Promise<number> {
  const began = performance.now()
  const client = await RawClient.open(target, { readBytes: 4_096 })
  const took = performance.now() - began
  client.close()
  return took
}

export const logins: Measure = {
  name: 'logins', what: 'a login: time added, and logins a second', tables: [], targets: ['direct', 'pgbouncer', 'relay', 'balanced', 'sync', 'mask'], roundsMax: Number.POSITIVE_INFINITY,
  async round(run) {
    const times = new Map<Target, number[]>()
    const failed = new Set<Target>()
    for (let burst = 0; burst < (run.effort.quick ? 8 : 20); burst++) for (const target of run.targets) {
      if (failed.has(target)) continue
      const own = times.get(target) ?? []
      times.set(target, own)
      try { for (let i = 0; i < BURST; i++) { const took = await login(target); if (burst > 0) own.push(took) } } catch (error) { run.failed(`logins, ${target.name}`, error); failed.add(target) }
    }
    const direct = [...times].find(([target]) => target.name === 'direct')?.[1]
    for (const [target, own] of times) {
      if (failed.has(target)) continue
      const added = direct === undefined || target.name === 'direct' ? {} : { addedP50Millis: quantile(own, 0.5) - quantile(direct, 0.5), addedP99Millis: quantile(own, 0.99) - quantile(direct, 0.99) }
      run.add({ case: 'one by one', target: target.name, values: { p50Millis: quantile(own, 0.5), p99Millis: quantile(own, 0.99), ...added } })
      try { run.add({ case: `${AT_ONCE} at once`, target: target.name, values: await rate(target, run.effort.quick ? 1 : run.effort.seconds) }) } catch (error) { run.failed(`logins at once, ${target.name}`, error) }
    }
  },
}

async function rate(target: Target, seconds: number): Promise<Record<string, number>> {
  const cpu = cpuMicros(target.pids())
  const began = performance.now()
  let done = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (performance.now() - began < seconds * 1000) { await login(target); done++ } }))
  const perSecond = done / ((performance.now() - began) / 1000)
  return { perSecond, ...(target.name === 'direct' ? {} : { cpuMillis: (cpuMicros(target.pids()) - cpu) / 1000 / done }) }
}

export const stuck: Measure = {
  name: 'stuck', what: `a login beside ${STUCK} connections that never finish start-up`, tables: [], targets: ['balanced'], roundsMax: 2,
  async round(run) {
    for (const target of run.targets) {
      const sockets: Socket[] = []
      try {
        const before = await several(target)
        while (sockets.length < STUCK) await Promise.all(Array.from({ length: STUCK_AT_ONCE }, () => idler(target, sockets)))
        const beside = await several(target)
        const open = sockets.filter((socket) => !socket.destroyed && socket.readyState === 'open').length
        run.add({ case: 'login', target: target.name, values: { p50BeforeMillis: quantile(before, 0.5), p50Millis: quantile(beside, 0.5), maxMillis: Math.max(...beside), stuck: open } })
      } catch (error) { run.failed(`stuck, ${target.name}`, error) } finally { for (const socket of sockets) socket.destroy() }
    }
  },
}

async function several(target: Target): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < STUCK_LOGINS; i++) times.push(await login(target))
  return times
}

/** Every second one begins its start-up packet; the others say nothing. */
function idler(target: Target, sockets: Socket[]): Promise<void> {
  return new Promise((done, failed) => {
    const socket = connect({ host: '127.0.0.1', port: target.port }, () => { if (sockets.length % 2 === 0) socket.write(BEGINNING); done() })
    sockets.push(socket)
    socket.once('error', failed)
    socket.on('error', () => {})
    socket.resume()
  })
}
