// A client that reads a million rows more slowly than the server gives them: what the gateway holds meanwhile.
import { RawClient } from './client.ts'
import { peakBytes, residentBytes, resetPeaks } from './processes.ts'
import type { Measure } from './sample.ts'
import type { Target } from './stage.ts'

/** After the first statement the grammar is compiled behind the path for a while, in hundreds of MiB that have nothing to do with a reader. */
const SETTLE_MS = 4_000
const SLICE_MS = 50
const BYTES_PER_SLICE = 512 * 1024

export const slowReader: Measure = {
  name: 'slow', what: 'peak memory added by a slow reader of a million rows (10 MB/s)', tables: ['pii'], targets: ['pgbouncer', 'relay', 'balanced', 'mask', 'detect'], roundsMax: 3,
  async round(run) {
    for (const target of run.targets) {
      try {
        if (run.round === 0) { await read(target, 0.3); await new Promise((later) => setTimeout(later, SETTLE_MS)) }
        run.add({ case: 'SELECT', target: target.name, values: { peakMebibytes: await read(target, run.effort.quick ? 3 : 12) } })
      } catch (error) { run.failed(`slow, ${target.name}`, error) }
    }
  },
}

async function read(target: Target, seconds: number): Promise<number> {
  const client = await RawClient.open(target, { readBytes: 64 * 1024 })
  const pids = target.pids()
  const before = residentBytes(pids)
  resetPeaks(pids)
  let left = BYTES_PER_SLICE
  client.onRead = (bytes) => { left -= bytes; if (left <= 0) client.socket.pause() }
  const failed = client.query('SELECT * FROM pii').then(() => null, (error: Error) => error)
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline;) {
    const ended = await Promise.race([failed, new Promise<undefined>((later) => { setTimeout(() => later(undefined), SLICE_MS) })])
    if (ended instanceof Error) throw ended
    left = BYTES_PER_SLICE
    client.socket.resume()
  }
  const peak = peakBytes(target.pids()) - before
  client.close()
  return peak / 1024 / 1024
}
