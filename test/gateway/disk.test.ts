// The record's disk is full, fails or hangs under a whole gateway: what can't be recorded does not run, the client is told so in its own
// protocol, and the same open sessions go on when the disk is well again.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import postgres from 'postgres'
import { RecordReader, recordOpener, verifyFolder } from '../../src/store/record/index.ts'
import { refusalOf, type Site, startSite, until } from './site.ts'

const MIB = 1024 * 1024
const ran = (site: Site, text: string) => readFileSync(site.server.log, 'utf8').split('\n').some((line) => / gw /.test(line) && line.includes(text))
const eventsOf = (site: Site) => [...new RecordReader(join(site.gateway.data, 'recordings'), recordOpener(join(site.gateway.data, 'keys'))).events()]
const verify = (site: Site) => verifyFolder(join(site.gateway.data, 'recordings'), join(site.data, 'heads'), createPublicKey(readFileSync(join(site.gateway.data, 'keys', 'record.pub.pem'))))
const works = async (client: pg.Client) => { try { return (await client.query('SELECT 1 AS one')).rows[0].one === 1 } catch { return false } }

describe('a disk that is full', () => {
  const folder = '/tmp/sluice-full-disk'
  let mounted = false
  before(() => {
    try { mkdirSync(folder, { recursive: true }); execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=640m', 'tmpfs', folder], { stdio: 'ignore' }); mounted = true } catch { rmSync(folder, { recursive: true, force: true }) }
  })
  after(() => { if (mounted) execFileSync('umount', [folder]); rmSync(folder, { recursive: true, force: true }) })

  test('a full disk means refusal with a clear error, and recovery by itself', { timeout: 90_000 }, async (t) => {
    if (!mounted) { t.skip('a file system of its own needs root'); return }
    const site = await startSite({ recordings: folder, storeBeside: true })
    try {
      const client = await site.connect('full@example.com', 'agents')
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
      // Below the low-water mark: nobody new, who is in goes on.
      writeFileSync(join(folder, 'ballast'), Buffer.alloc(300 * MIB))
      const login = await until('a login is refused', async () => { try { await (await site.connect('new@example.com', 'agents')).end(); return null } catch (error) { return error as { code: string; message: string } } })
      assert.equal(login.code, '58030')
      assert.match(login.message, /disk/)
      assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
      // Full to the last byte: nothing runs that is not recorded.
      assert.throws(() => { for (let i = 0; ; i++) writeFileSync(join(folder, `full-${i}`), Buffer.alloc(16 * MIB)) }, /ENOSPC/)
      const mark = `never_${Date.now()}`
      const refused = await until('a statement is refused', async () => { try { await client.query(`SELECT '${'x'.repeat(4_000)}' AS filler`); return null } catch (error) { return error as { code: string; message: string; detail?: string } } })
      assert.equal(refused.code, '58030')
      assert.match(`${refused.message} ${refused.detail}`, /record|disk|space/)
      await assert.rejects(client.query(`SELECT 1 AS ${mark}`))
      assert.ok(!readFileSync(site.server.log, 'utf8').includes(`1 AS ${mark}`), 'it was not forwarded')
      for (const name of readdirSync(folder).filter((n) => /^(ballast|full-)/.test(n))) rmSync(join(folder, name))
      await until('the same session goes on by itself', () => works(client))
      await until('others do too', async () => { try { const other = await site.connect('new@example.com', 'agents'); try { return await works(other) } finally { await other.end() } } catch { return false } })
      await client.end()
    } finally { await site.stop() }
  })
})

/** A library that makes the record's files fail, compiled here. */
function faults(folder: string): string | null {
  const library = join(folder, 'faults.so')
  try { execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, fileURLToPath(new URL('./faults.c', import.meta.url)), '-ldl'], { stdio: 'ignore' }) } catch { return null }
  return library
}

describe('a disk that fails', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-faults-'))
  const library = process.platform === 'linux' ? faults(folder) : null
  const order = join(folder, 'order')
  const skip = library === null ? 'a C compiler is needed' : false
  let site: Site
  before(async () => { if (library !== null) site = await startSite({ storeBeside: true, workers: 1, env: { LD_PRELOAD: library, SLUICE_FAULT: order, SLUICE_FAULT_PATH: '/recordings/orders/' } }) })
  after(async () => { rmSync(order, { force: true }); await site?.stop(); rmSync(folder, { recursive: true, force: true }) })
  afterEach(() => { rmSync(order, { force: true }) })
  const fail = (how: 'write' | 'sync' | 'stall' | null) => { if (how === null) rmSync(order, { force: true }); else writeFileSync(order, how) }
  const well = (client: pg.Client) => until('the same session goes on', () => works(client), 20_000)

  test('a write that fails (EIO): the statement is refused in its place, nothing of it runs, and the session goes on', { skip, timeout: 60_000 }, async () => {
    const client = await site.connect('eio@example.com', 'agents')
    await client.query('SELECT 1')
    fail('write')
    for (const text of ["INSERT INTO ledger (who, n) VALUES ('eio1', 1)", 'SELECT 2 AS eio2', 'SELECT 3 AS eio3']) {
      const refused = await refusalOf(client.query(text))
      assert.equal(refused.code, '58030', refused.message)
      assert.match(`${refused.message} ${refused.detail}`, /rule "record".*can't be written/)
    }
    assert.equal((await refusalOf(client.query({ name: 'p', text: 'SELECT $1::int AS eio4', values: [1] }))).code, '58030')
    fail(null)
    await well(client)
    assert.equal((await client.query({ name: 'p', text: 'SELECT $1::int AS eio5', values: [7] })).rows[0].eio5, 7)
    for (const n of [1, 2, 3, 4]) assert.equal(ran(site, `eio${n}`), false, `eio${n}`)
    await client.end()
  })

  test('in a transaction, a pipeline and a COPY the server itself fails what was refused', { skip, timeout: 60_000 }, async () => {
    const token = await site.token('mid@example.com', 'agents')
    const client = await site.gateway.client({ database: 'orders', password: token })
    const sql = postgres({ host: '127.0.0.1', port: site.gateway.port, database: 'orders', username: 'someone', password: token, max: 1, fetch_types: false, onnotice: () => {} })
    await client.query('BEGIN')
    await client.query("INSERT INTO ledger (who, n) VALUES ('mid1', 1)")
    await sql.unsafe('SELECT 1')
    const into = await sql.unsafe('COPY ledger (who, n) FROM STDIN').writable()
    const copied = new Promise<unknown>((done) => { into.once('error', done); into.once('finish', () => done(null)); into.once('close', () => done(null)) })
    into.write('mid2\t1\n')
    fail('write')
    assert.equal((await refusalOf(client.query("INSERT INTO ledger (who, n) VALUES ('mid3', 1)"))).code, '58030')
    const state = await refusalOf(client.query('SELECT 1'))
    assert.match(state.code, /58030|25P02/)
    into.end('mid2\t2\n')
    // Its statement was recorded before the disk failed: either what was on its way ends it, or the server fails it in its place.
    const ended = await copied as { code: string } | null
    assert.ok(ended === null || ended.code === '58030', `the copy ended with ${ended?.code}`)
    const pipeline = await Promise.allSettled(['mid4', 'mid5', 'mid6'].map((who) => sql.unsafe('INSERT INTO ledger (who, n) VALUES ($1, 1)', [who])))
    assert.deepEqual(pipeline.map((r) => r.status === 'rejected' ? (r.reason as { code: string }).code : 'ran'), ['58030', '58030', '58030'])
    fail(null)
    await until('the transaction may be ended', async () => { try { await client.query('COMMIT'); return true } catch { return false } }, 20_000)
    await well(client)
    const rows = (await site.server.sql("SELECT who FROM ledger WHERE who LIKE 'mid%' ORDER BY who", 'orders')).rows.map(({ who }: { who: string }) => who)
    assert.deepEqual(rows, ended === null ? ['mid2', 'mid2'] : [], 'the transaction was rolled back, the copy ran whole or not at all, and nothing else ran')
    assert.equal((await sql.unsafe('SELECT 1 AS one'))[0]!['one'], 1)
    await sql.end()
    await client.end()
  })

  test('a sync that fails: what waits for the disk is refused, and a new segment begins', { skip, timeout: 60_000 }, async () => {
    const client = await site.connect('syn@example.com', 'agents')
    await client.query('SELECT 1')
    fail('sync')
    const refused = await refusalOf(client.query("INSERT INTO ledger (who, n) VALUES ('syn1', 1)"))
    assert.equal(refused.code, '58030')
    fail(null)
    await well(client)
    await client.query("INSERT INTO ledger (who, n) VALUES ('syn2', 1)")
    assert.equal(ran(site, "'syn1'"), false)
    await client.end()
    const writer = readdirSync(join(site.gateway.data, 'recordings', 'orders'))[0]!
    assert.ok(readdirSync(join(site.gateway.data, 'recordings', 'orders', writer)).length > 1)
  })

  test('a disk that hangs: a write is refused within its time, reads too then, and it goes on when the disk answers', { skip, timeout: 90_000 }, async () => {
    const client = await site.connect('stl@example.com', 'agents')
    await client.query('SELECT 1')
    fail('stall')
    const started = Date.now()
    const refused = await refusalOf(client.query("INSERT INTO ledger (who, n) VALUES ('stl1', 1)"))
    assert.equal(refused.code, '58030')
    assert.match(`${refused.message} ${refused.detail}`, /does not answer/)
    assert.ok(Date.now() - started < 14_000, `after ${Date.now() - started} ms`)
    assert.equal((await refusalOf(client.query('SELECT 2 AS stl2'))).code, '58030')
    fail(null)
    await well(client)
    assert.equal(ran(site, "'stl1'") || ran(site, 'stl2'), false)
    await client.end()
  })

  test('the record says what became of it: nothing ran that was refused, and it is whole', { skip, timeout: 60_000 }, async () => {
    await until('the last outcome is on disk', () => eventsOf(site).some(({ body }) => JSON.stringify(body).includes('stl1')))
    const events = eventsOf(site)
    const asked = new Map<string, string>()
    for (const { session, kind, body } of events) if (kind === 'asked') { const { run, text } = body as { run: number; text?: string }; if (text !== undefined) asked.set(`${session} ${run}`, text) }
    const outcomes = events.filter(({ kind }) => kind === 'ended').map(({ session, body }) => { const { run, outcome } = body as { run: number; outcome: string }; return [asked.get(`${session} ${run}`) ?? '', outcome] as const })
    const of = (part: string) => outcomes.filter(([text]) => text.includes(part)).map(([, outcome]) => outcome)
    assert.deepEqual([of("'eio1'"), of("'syn1'"), of("'stl1'")], [['skipped'], ['skipped'], ['skipped']])
    assert.match(of('COPY ledger').join(), /^(ended|executed)$/)
    assert.ok(events.some(({ kind, body }) => kind === 'note' && (body as { what: string }).what === 'gap'))
    const found = verify(site)
    assert.deepEqual(found.bad, [])
    assert.equal(existsSync(order), false)
  })
})
