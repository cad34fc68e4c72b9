// psycopg 3 and SQLAlchemy: the checks themselves are Python, beside this file.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { environment, run, type Stage, startStage } from './stage.ts'

const python = process.env.SLUICE_PYTHON
const skip = python === undefined ? 'the Python packages are not installed' : false
let stage: Stage | undefined
before(async () => { if (!skip) stage = await startStage() })
after(async () => { await stage?.stop() })

for (const [client, checks] of [['psycopg', 9], ['sqlalchemy', 4]] as const) {
  test(`${client} works through the gateway`, { skip }, async () => {
    for (const shop of stage!.shops) {
      const { status, out, err } = await run(python!, [fileURLToPath(new URL(`${client}_matrix.py`, import.meta.url))], { env: environment(stage!, shop, 'agents') })
      assert.equal(status, 0, `${client} on ${shop.name}\n${out}${err}`)
      assert.equal(out.split('\n').filter((line) => line.startsWith('ok ')).length, checks)
    }
  })
}
