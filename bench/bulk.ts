// A million rows as fast as one reader takes them: rows per second, and bytes given to the client per second of the target's CPU.
import { RawClient } from './client.ts'
import { cpuMicros } from './processes.ts'
import type { Measure } from './sample.ts'
import { PII_ROWS } from './tables.ts'

const READS = [['COPY', 'COPY (SELECT * FROM pii) TO STDOUT'], ['SELECT', 'SELECT * FROM pii']] as const
/** Counters of other threads (compression, the collector) lag behind the last byte. */
const SETTLE_MS = 150

export const bulk: Measure = {
  name: 'bulk', what: 'a million rows of people: rows/s and MB/s per core', tables: ['pii'], targets: ['direct', 'pgbouncer', 'relay', 'balanced', 'mask', 'detect'], roundsMax: 10,
  async round(run) {
    for (const [name, sql] of READS) for (const target of name.includes(run.effort.cases) ? run.targets : []) {
      try {
        const client = await RawClient.open(target)
        const cpu = cpuMicros(target.pids())
        const began = performance.now()
        const { rows, bytes } = await client.query(sql)
        const seconds = (performance.now() - began) / 1000
        await new Promise((later) => setTimeout(later, SETTLE_MS))
        const used = (cpuMicros(target.pids()) - cpu) / 1e6
        client.close()
        if (used <= 0) throw new Error('a process of the target ended meanwhile')
        if (rows !== PII_ROWS) throw new Error(`${rows} rows instead of ${PII_ROWS}`)
        run.add({ case: name, target: target.name, values: { rowsPerSecond: rows / seconds, megabytes: bytes / 1e6, ...(target.name === 'direct' ? {} : { megabytesPerCoreSecond: bytes / 1e6 / used, cpuMicrosPerRow: used * 1e6 / rows }) } })
      } catch (error) { run.failed(`bulk, ${name}, ${target.name}`, error) }
    }
  },
}
