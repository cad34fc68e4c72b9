// The Record against what the server says it ran: whole gateways are killed at random instants under load (plain and prepared statements,
// transactions, pipelines, COPY both ways, reviews pending and just approved), and every statement in the server's log is in the Record.
// `SLUICE_KILLS=500` for the long run, which ends after SLUICE_KILL_MINUTES (34) whatever it has reached; `SLUICE_SEED` repeats one.
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import postgres from 'postgres'
import { RecordReader, recordOpener, verifyFolder } from '../../src/store/record/index.ts'
import { alive, descendants, type Site, startSite, until } from './site.ts'

const KILLS = Number(process.env['SLUICE_KILLS'] ?? 8)
const MINUTES = Number(process.env['SLUICE_KILL_MINUTES'] ?? 34)
const SEED = Number(process.env['SLUICE_SEED'] ?? Date.now() % 2 ** 31)
const ROLLBACK_MS_MAX = 2_000
const COPIED_ROWS = 200
const commandOf = (pid: number) => { try { return readFileSync(`/proc/${pid}/cmdline`, 'latin1') } catch { return '' } }

let site: Site
before(async () => { site = await startSite({ storeBeside: true }) })
after(async () => { await site.stop() })

test(`after ${KILLS} kills at random instants under load, no statement of the server's log is missing from the record, and what was open is over`, { timeout: 60 * 60_000 }, async () => {
  let state = SEED, marks = 0, run = 0
  const random = () => { state = (state * 1103515245 + 12345) % 2 ** 31; return state / 2 ** 31 }
  /** A name that is nowhere else; the letter says what it stands for. */
  const mark = (kind: string) => `m${++marks}${kind}`
  const tried = { plain: 0, pipeline: 0, copyIn: 0, copyOut: 0, transaction: 0, review: 0, approved: 0 }
  /** What the client itself ended: only that may be committed. */
  const ended = new Set<string>()

  async function plain(client: pg.Client, stop: () => boolean): Promise<void> {
    for (let n = 0; !stop(); n++) {
      tried.plain++
      switch (n % 4) {
        case 0: await client.query(`INSERT INTO ledger (who, n) VALUES ('${mark('i')}', ${n})`); break
        case 1: await client.query({ text: `SELECT $1::int AS ${mark('x')}`, values: [n] }); break
        case 2: { const name = mark('i'); await client.query(`BEGIN; SELECT 1 AS ${mark('x')}; INSERT INTO ledger (who, n) VALUES ('${name}', 0); COMMIT`); break }
        default: { const name = mark('x'); await client.query({ name, text: `SELECT id AS ${name} FROM customers WHERE id = $1`, values: [n % 100 + 1] }) }
      }
    }
  }
  async function transactions(client: pg.Client, stop: () => boolean): Promise<void> {
    while (!stop()) {
      const name = mark('t')
      tried.transaction++
      await client.query('BEGIN')
      await client.query(`INSERT INTO ledger (who, n) VALUES ('${name}', 1)`)
      await sleep(random() * 120)
      ended.add(name)
      await client.query('COMMIT')
    }
  }
  async function pipelines(sql: postgres.Sql, stop: () => boolean): Promise<void> {
    while (!stop()) {
      tried.pipeline++
      await Promise.all(Array.from({ length: 6 }, (_, i) => { const name = mark(i % 2 === 0 ? 'x' : 'i'); return i % 2 === 0 ? sql.unsafe(`SELECT ${i} AS ${name}`, []) : sql.unsafe(`INSERT INTO ledger (who, n) VALUES ('${name}', $1)`, [i]) }))
    }
  }
  async function copies(sql: postgres.Sql, stop: () => boolean): Promise<void> {
    while (!stop()) {
      const name = mark('c')
      tried.copyIn++
      const into = await sql.unsafe(`COPY ledger (who, n) FROM STDIN /* ${name} */`).writable()
      into.on('error', () => {})
      for (let row = 0; row < COPIED_ROWS; row++) { into.write(`${name}\t${row}\n`); if (row % 50 === 49) await sleep(random() * 40) }
      if (stop()) return
      ended.add(name)
      await new Promise<void>((done, fail) => { into.once('finish', done); into.once('error', fail); into.once('close', done); into.end() })
      tried.copyOut++
      for await (const chunk of await sql.unsafe(`COPY (SELECT id AS ${mark('x')} FROM customers) TO STDOUT`).readable()) if (stop() && chunk === null) break
    }
  }
  async function reviews(client: pg.Client, stop: () => boolean): Promise<void> {
    for (let n = 0; !stop(); n++) { tried.review++; await client.query(`DELETE FROM customers WHERE id = ${100_000 + n} AND name <> '${mark('r')}'`) }
  }
  /** Someone who agrees to every second thing that waits. */
  async function approves(token: string, stop: () => boolean): Promise<void> {
    while (!stop()) {
      const { reviews: waiting } = (await site.api(token, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string }[] }>()
      for (const { id } of waiting) if (random() < 0.5) { await site.api(token, 'POST', `/api/reviews/${id}/approve`, {}); tried.approved++ }
      await sleep(50)
    }
  }

  const verify = () => verifyFolder(join(site.gateway.data, 'recordings'), join(site.data, 'heads'), createPublicKey(readFileSync(join(site.gateway.data, 'keys', 'record.pub.pem'))))
  const startedAtMs = Date.now()
  let slowestMs = 0, unsealed = 0
  while (run < KILLS && Date.now() - startedAtMs < MINUTES * 60_000) {
    run++
    const [token, lead] = await Promise.all([site.token(`load${run}@example.com`, 'agents', '&ttl=3600'), site.token('lea@example.com', 'leads', '&ttl=3600')])
    const clients = await Promise.all(Array.from({ length: 5 }, () => site.gateway.client({ database: 'orders', password: token })))
    const streams = Array.from({ length: 2 }, () => postgres({ host: '127.0.0.1', port: site.gateway.port, database: 'orders', username: 'someone', password: token, max: 1, connect_timeout: 5, fetch_types: false, onnotice: () => {} }))
    let over = false
    const stop = () => over
    const work = [plain(clients[0]!, stop), plain(clients[1]!, stop), plain(clients[2]!, stop), transactions(clients[3]!, stop), reviews(clients[4]!, stop), pipelines(streams[0]!, stop), copies(streams[1]!, stop), approves(lead, stop)].map((one) => one.catch(() => {}))
    await sleep(50 + random() * 800)
    // Every fourth time the whole gateway, else all of its workers, which the supervisor replaces.
    const whole = run % 4 === 0
    const workers = descendants(site.gateway.child.pid!).filter((pid) => /gateway\/worker\.(ts|js)/.test(commandOf(pid)))
    const group = whole ? [site.gateway.child.pid!, ...descendants(site.gateway.child.pid!).filter((pid) => !/bin\/postgres|postgres:/.test(commandOf(pid)))] : workers
    for (const pid of run % 8 < 4 ? group : group.reverse()) try { process.kill(pid, 'SIGKILL') } catch { /* gone */ }
    const killedAtMs = Date.now()
    over = true
    for (const client of clients) (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
    await until('all are gone', () => group.every((pid) => !alive(pid)))
    await until('nothing of it is left at the server', async () => Number((await site.server.sql("SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'gw'")).rows[0].n) === 0)
    slowestMs = Math.max(slowestMs, Date.now() - killedAtMs)
    await Promise.all([Promise.race([Promise.all(work), sleep(3_000)]), ...streams.map((sql) => sql.end({ timeout: 0 }).catch(() => {}))])
    const found = verify()
    assert.deepEqual(found.bad, [], `seed ${SEED}, run ${run}`)
    unsealed += found.unsealed.length
    if (whole) await site.restart('kill')
    else await until('it serves again', async () => { try { await (await site.connect('again@example.com', 'agents')).end(); return true } catch { return false } }, 60_000)
  }

  // The store is in the same server, under another account: only what the gateway's own account ran counts.
  const log = readFileSync(site.server.log, 'latin1').split('\n').filter((line) => / gw (LOG|STATEMENT|DETAIL):/.test(line)).join('\n')
  const ran = new Set([...log.matchAll(/\bm\d+[ixtcr]\b/g)].map(([name]) => name))
  const asked = new Set<string>(), allowed = new Set<string>()
  for (const event of new RecordReader(join(site.gateway.data, 'recordings'), recordOpener(join(site.gateway.data, 'keys'))).events()) {
    if (event.kind !== 'asked') continue
    const body = event.body as { text?: string; verdict?: string; review?: unknown }
    for (const [name] of (body.text ?? '').matchAll(/m\d+[ixtcr]\b/g)) { asked.add(name); if (body.verdict !== 'deny' && body.review !== undefined) allowed.add(name) }
  }
  const missing = [...ran].filter((name) => !asked.has(name))
  const rows = (await site.server.sql("SELECT who, count(*)::int AS n FROM ledger WHERE who ~ '^m[0-9]+[itc]$' GROUP BY who", 'orders')).rows as { who: string; n: number }[]
  const twice = rows.filter(({ who, n }) => n !== (who.endsWith('c') ? COPIED_ROWS : 1))
  const halves = rows.filter(({ who }) => /[tc]$/.test(who) && !ended.has(who))
  const unapproved = [...ran].filter((name) => name.endsWith('r') && !allowed.has(name))
  console.log(JSON.stringify({ test: 'kill', n: run, seed: SEED, bar: 0, measured: missing.length, statements: ran.size, recorded: asked.size, tried, twice: twice.length, halves: halves.length, unapproved: unapproved.length, unsealed, serverFreeMs: slowestMs, minutes: Math.round((Date.now() - startedAtMs) / 60_000), pass: missing.length === 0 }))
  assert.ok(ran.size > run, `${ran.size} statements ran`)
  assert.deepEqual(missing, [], `seed ${SEED}`)
  assert.deepEqual([twice, halves, unapproved], [[], [], []], `seed ${SEED}`)
  assert.ok(slowestMs < ROLLBACK_MS_MAX * 2, `transactions were over after ${slowestMs} ms`)
  assert.equal(verify().ok, true)

  // What waited for a person when its gateway died is over, with a reason, and nobody can let it run any more.
  const lead = await site.token('lea@example.com', 'leads')
  const left = async () => (await site.api(lead, 'GET', '/api/reviews?state=waiting')).json<{ reviews: { id: string }[] }>().reviews.length
  await until('no review waits', async () => (await left()) === 0, 10_000)
  const states = (await site.server.sql("SELECT state, count(*)::int AS n, count(*) FILTER (WHERE ended_why IS NULL)::int AS silent FROM sluice.reviews WHERE wait = 'hold' GROUP BY state", 'sluice')).rows as { state: string; n: number; silent: number }[]
  assert.deepEqual(states.filter(({ state: s }) => s === 'approved' || s === 'waiting'), [], JSON.stringify(states))
  assert.deepEqual(states.filter(({ state: s, silent }) => s === 'cancelled' && silent > 0), [], JSON.stringify(states))
  const told = new Set<string>()
  for (const event of new RecordReader(join(site.gateway.data, 'recordings'), recordOpener(join(site.gateway.data, 'keys'))).events()) {
    const body = event.body as { action?: string; subject?: string; state?: string; id?: string }
    if (event.kind === 'admin' && body.action?.startsWith('review.') === true) told.add(body.subject!)
    if (event.kind === 'review' && body.state !== 'waiting' && body.id !== undefined) told.add(body.id)
  }
  const over = (await site.server.sql("SELECT id FROM sluice.reviews WHERE wait = 'hold' AND state = 'cancelled'", 'sluice')).rows as { id: string }[]
  const untold = over.filter(({ id }) => !told.has(id))
  console.log(JSON.stringify({ test: 'kill, reviews', states, untold: untold.length }))
  assert.deepEqual(untold, [], 'each that was cancelled is on record')
})
