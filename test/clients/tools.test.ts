// pgbench in its three modes, and pg_dump: whole where a policy gives read and lock, masked where it masks, refused where it does not.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { environment, type Group, type Ran, run, SSN, type Shop, type Stage, startStage } from './stage.ts'

let stage: Stage
let dumps = 0
let folder: string
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-tools-'))
  stage = await startStage()
  dumps = Number(/ (\d+)/.exec((await run('pg_dump', ['--version'])).out)![1])
  for (const shop of stage.shops) assert.equal((await run('pgbench', ['-i', '-q', '-s', '1'], { env: direct(shop) })).status, 0)
})
after(async () => { rmSync(folder, { recursive: true, force: true }); await stage?.stop() })

const direct = (shop: Shop) => ({ PGHOST: '127.0.0.1', PGPORT: String(shop.server.port), PGUSER: 'app', PGDATABASE: 'postgres', PGSSLMODE: 'disable' })
const client = (program: string, shop: Shop, group: Group, ...parameters: string[]): Promise<Ran> => run(program, parameters, { env: environment(stage, shop, group) })

for (const mode of ['simple', 'extended', 'prepared']) {
  test(`pgbench runs ${mode}, reading and writing, with masks in force and without`, async () => {
    for (const shop of stage.shops) {
      for (const [group, extra] of [['agents', ['-S']], ['agents', []], ['builders', []]] as const) {
        const { status, out, err } = await client('pgbench', shop, group, '-n', '-M', mode, '-c', '4', '-j', '2', '-t', '10', ...extra)
        assert.equal(status, 0, err)
        assert.match(out, /actually processed: 40\/40[\s\S]*failed transactions: 0 /)
      }
    }
  })
}

test('pgbench\'s own scripts: pipelines, \\gset, and a refusal that ends one client', async () => {
  const shop = stage.shops[0]!
  const script = (text: string) => { writeFileSync(join(folder, 'script'), text); return client('pgbench', shop, 'agents', '-n', '-M', 'prepared', '-t', '5', '-f', join(folder, 'script')) }
  const piped = await script('\\set id random(1, 3)\n\\startpipeline\nSELECT ssn FROM customers WHERE id = :id;\nSELECT ssn FROM customers WHERE id = :id;\n\\endpipeline\nSELECT id AS found FROM customers WHERE id = :id \\gset\nSELECT :found + 1;\n')
  assert.match(piped.out, /failed transactions: 0 /, piped.err)
  const refused = await script('DROP TABLE orders;\n')
  assert.match(refused.err, /refused by Sluice: rule "agents\/no-ddl"/)
  assert.match((await client('pgbench', shop, 'agents', '-t', '1')).err, /sql\.vacuum/)
})

/** A newer server's dump needs a newer pg_dump, which says so itself. */
const dumpable = (): readonly Shop[] => stage.shops.filter(({ version }) => version <= dumps)
/** Its \restrict keys are random. */
const keyless = (dump: string): string => dump.replaceAll(/^\\(un)?restrict .*\n/gm, '')

test('pg_dump through the gateway is the dump without it', async () => {
  assert.ok(dumpable().length > 0)
  for (const shop of dumpable()) {
    const whole = await client('pg_dump', shop, 'dumpers')
    assert.equal(whole.status, 0, whole.err)
    assert.ok(whole.out.includes(SSN))
    assert.ok(keyless(whole.out) === keyless((await run('pg_dump', [], { env: direct(shop) })).out), 'the dumps differ')
    for (const flags of [['--schema-only'], ['--data-only', '--inserts', '-t', 'customers'], ['-Fc', '-f', join(folder, `${shop.name}.dump`)], ['--serializable-deferrable', '-t', 'jottings']]) assert.equal((await client('pg_dump', shop, 'dumpers', ...flags)).status, 0, flags.join(' '))
  }
})

test('pg_dump under masks has masked values in it, and none beside', async () => {
  for (const shop of dumpable()) {
    for (const flags of [[], ['--inserts'], ['--column-inserts', '--rows-per-insert=2']]) {
      const { status, out, err } = await client('pg_dump', shop, 'agents', ...flags)
      assert.equal(status, 0, err)
      assert.doesNotMatch(out, /123-45-6789|987-65-4320|4539148803436467|5425233430109903|078-05-1120/)
      assert.match(out, /Alice.*\[hidden\]/)
    }
  }
})

test('pg_dump is refused in one line where it may not lock, and a newer server is its own refusal', async () => {
  for (const shop of dumpable()) {
    const refused = await client('pg_dump', shop, 'readers')
    assert.equal(refused.status, 1)
    assert.match(refused.err, /refused by Sluice[\s\S]*sql\.lock/)
    assert.equal(refused.out.includes('COPY'), false)
  }
  for (const shop of stage.shops.filter((one) => !dumpable().includes(one))) assert.match((await client('pg_dump', shop, 'dumpers')).err, /server version mismatch/)
})
