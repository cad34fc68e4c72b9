// pgjdbc: the checks themselves are Java, beside this file; Java compiles and runs them from their source.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { environment, run, type Stage, startStage } from './stage.ts'

const jar = process.env.SLUICE_PGJDBC
const skip = jar === undefined ? 'pgjdbc is not installed' : false
const CHECKS = 10
let stage: Stage | undefined
before(async () => { if (!skip) stage = await startStage() })
after(async () => { await stage?.stop() })

test('pgjdbc works through the gateway', { skip }, async () => {
  for (const shop of stage!.shops) {
    const { status, out, err } = await run('java', ['-cp', jar!, '-XX:TieredStopAtLevel=1', fileURLToPath(new URL('PgjdbcMatrix.java', import.meta.url))], { env: environment(stage!, shop, 'agents') })
    assert.equal(status, 0, `pgjdbc on ${shop.name}\n${out}${err}`)
    assert.equal(out.split('\n').filter((line) => line.startsWith('ok ')).length, CHECKS)
  }
})
