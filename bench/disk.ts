// The disk's own time for what `sync` waits for: an append of a record's size and fdatasync, in the gateway's data folder.
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Measure, quantile } from './sample.ts'

const APPENDS = 300
const BYTES = 512

export const disk: Measure = {
  name: 'disk', what: 'the disk: append and fdatasync', tables: [], targets: ['sync'], roundsMax: Number.POSITIVE_INFINITY,
  round(run) {
    const path = join(run.stage.gateway?.data ?? tmpdir(), `sluice-bench-disk-${process.pid}`)
    const file = openSync(path, 'w')
    const bytes = Buffer.alloc(BYTES, 0x61)
    const times: number[] = []
    try {
      for (let i = 0; i < APPENDS; i++) {
        const began = process.hrtime.bigint()
        writeSync(file, bytes)
        fdatasyncSync(file)
        times.push(Number(process.hrtime.bigint() - began) / 1000)
      }
    } finally { closeSync(file); rmSync(path, { force: true }) }
    run.add({ case: 'fdatasync', target: 'disk', values: { p50Micros: quantile(times, 0.5), p99Micros: quantile(times, 0.99) } })
    return Promise.resolve()
  },
}
