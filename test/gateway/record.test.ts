// What may be nowhere: the gateway's password, tokens, masked values. What becomes of recordings: they are sealed and retired.
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HeadKeeper, openSealKeys, recordOpener, RecordReader, sealSegments, verifyFolder } from '../../src/store/record/index.ts'
import { bind, execute, flush, messages, parse, sync } from '../postgres/client.ts'
import { CANARY, descendants, refusalOf, type Site, SSN, startSite, until } from './site.ts'

const commandOf = (pid: number) => { try { return readFileSync(`/proc/${pid}/cmdline`, 'latin1') } catch { return '' } }
const environOf = (pid: number) => { try { return readFileSync(`/proc/${pid}/environ`, 'latin1') } catch { return '' } }
const filesBelow = (folder: string): string[] => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name))
const verify = (site: Site) => verifyFolder(join(site.gateway.data, 'recordings'), join(site.data, 'heads'), createPublicKey(readFileSync(join(site.gateway.data, 'keys', 'record.pub.pem'))))
const readerOf = (site: Site) => new RecordReader(join(site.gateway.data, 'recordings'), recordOpener(join(site.gateway.data, 'keys')))
/** All texts that the record says were asked, from the files themselves. */
function askedTexts(site: Site): { texts: string; kinds: Set<string> } {
  const kinds = new Set<string>()
  let texts = ''
  for (const event of readerOf(site).events()) { kinds.add(event.kind); if (event.kind === 'asked') texts += `${JSON.stringify(event.body)}\n` }
  return { texts, kinds }
}

describe('what the record holds', () => {
  let site: Site
  before(async () => { site = await startSite({ storeBeside: true }) })
  after(async () => { await site.stop() })

  test('a password, tokens and masked values are in no log, record, error, answer of the API, argument or environment', async () => {
    const audit = await site.token('aud@example.com', 'audit,platform,leads')
    const token = await site.token('sec@example.com', 'agents')
    const client = await site.gateway.client({ database: 'orders', password: token })
    const seen: string[] = []
    client.on('notice', (notice) => seen.push(JSON.stringify(notice)))
    const attempt = async (text: string, values?: unknown[]) => { try { seen.push(JSON.stringify((await client.query(text, values)).rows)) } catch (error) { seen.push(JSON.stringify({ ...(error as object), message: (error as Error).message })) } }
    const known = SSN(17)
    await attempt('SELECT * FROM customers WHERE id BETWEEN 10 AND 20')
    await attempt('SELECT id FROM customers WHERE ssn = $1', [known])
    await attempt(`SELECT id FROM customers WHERE ssn = '${SSN(18)}'`)
    await attempt(`UPDATE customers SET ssn = '${SSN(19)}' WHERE id = 19`)
    await attempt('INSERT INTO customers (id, name, ssn) SELECT 19, name, ssn FROM customers WHERE id = 19')
    await attempt(`INSERT INTO customers (id, name, ssn) VALUES (19, 'x', '${SSN(20)}')`)
    await attempt('SELECT ssn::int FROM customers WHERE id = 21')
    await attempt("SELECT pg_read_file('pg_hba.conf')")
    await attempt('SELECT * FROM pg_authid')
    await attempt("ALTER ROLE gw PASSWORD 'x'")
    await attempt('DELETE FROM customers WHERE ssn = $1', [SSN(22)]).catch(() => {})
    await client.end()
    await refusalOf(site.gateway.client({ database: 'orders', password: `${token}x` }))
    await refusalOf(site.gateway.client({ database: 'orders', password: CANARY }))
    const answers: string[] = []
    for (const path of ['/api/sessions', '/api/reviews', '/api/resources', '/api/policies', '/api/tokens?all=true', '/api/whoami', '/api/gateway', '/metrics', '/api/audit/events', '/health', '/ready', '/api/openapi.json']) answers.push((await site.api(audit, 'GET', path)).text)
    for (const { session } of (await site.api(audit, 'GET', '/api/sessions?subject=sec@example.com')).json<{ session: string }[]>()) for (const kind of ['events', 'replay', 'export']) answers.push((await site.api(audit, 'GET', `/api/sessions/${session}/${kind}`)).text)
    await sleep(500)
    const { texts } = askedTexts(site)
    const pids = [site.gateway.child.pid!, ...descendants(site.gateway.child.pid!)]
    const records = filesBelow(join(site.gateway.data, 'recordings')).concat(filesBelow(join(site.data, 'heads'))).map((file) => readFileSync(file, 'latin1')).join('\n')
    const events = [...readerOf(site).events()].map((e) => Buffer.isBuffer(e.body) ? e.body.toString('latin1') : JSON.stringify(e.body)).join('\n')
    const places: Record<string, string> = {
      'the log': site.gateway.log(), 'the record': records, 'the events': events + texts, 'the API': answers.join('\n'), 'what the client got': seen.join('\n'),
      arguments: pids.map(commandOf).join('\n'), 'the environment of a child': pids.slice(1).map(environOf).join('\n'),
    }
    const signature = token.split('.')[2]!
    const hidden = Array.from({ length: 4_999 }, (_, i) => SSN(i + 1))
    for (const [place, text] of Object.entries(places)) {
      assert.ok(!text.includes(CANARY), `the password is in ${place}`)
      assert.ok(!text.includes(signature), `a token is in ${place}`)
      const found = (text.match(/\b5\d\d-\d\d-\d{4}\b/g) ?? []).filter((v) => hidden.includes(v))
      assert.deepEqual(found, [], `masked values are in ${place}: ${found.map((v) => text.slice(Math.max(0, text.indexOf(v) - 300), text.indexOf(v) + 60)).join('\n')}`)
    }
  })

  test('of a batch that fails in its midst the replay tells what ran, what failed and what was skipped, also of what came after the error', { timeout: 60_000 }, async () => {
    const token = await site.token('skip@example.com', 'agents')
    const client = await site.gateway.client({ database: 'orders', password: token })
    await assert.rejects(client.query('SELECT 1/0 AS alone'), { code: '22012' })
    const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection
    stream.removeAllListeners('data')
    let bytes: Buffer = Buffer.alloc(0)
    stream.on('data', (chunk: Buffer) => { bytes = Buffer.concat([bytes, chunk]) })
    const types = () => messages(bytes).found.map(({ type }) => type).join('')
    const one = (text: string) => [parse(text), bind(), execute()]
    stream.write(Buffer.concat([...one("INSERT INTO ledger (who, n) VALUES ('skip1', 1)"), ...one('SELECT 1/(id-id) AS fails2 FROM customers WHERE id = 1'), ...one('SELECT 3 AS skip3'), flush()]))
    await until('the error', () => types().includes('E'))
    stream.write(Buffer.concat(one("DELETE FROM ledger WHERE who = 'skip4'")))
    await sleep(50)
    stream.write(sync())
    await until('the end of the batch', () => types().endsWith('Z'))
    stream.destroy()
    const audit = await site.token('aud@example.com', 'audit')
    const events = await until('its session is over', async () => {
      const [found] = (await site.api(audit, 'GET', '/api/sessions?subject=skip@example.com&open=false')).json<{ session: string; statements: number }[]>()
      return found === undefined ? null : (await site.api(audit, 'GET', `/api/sessions/${found.session}/replay`)).text.trim().split('\n').map((line) => line.replace(/^data: ?/, '')).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { kind: string; body: Record<string, unknown> })
    })
    const told = (part: string) => {
      const asked = events.filter(({ kind, body }) => kind === 'asked' && String(body['text'] ?? '').includes(part)).map(({ body }) => body)
      const runs = events.filter(({ kind, body }) => kind === 'asked' && (asked.some(({ run }) => run === body['run']) || asked.some(({ run }) => run === body['of']))).map(({ body }) => body)
      return runs.map(({ run, phase, verdict }) => [phase, verdict, ...events.filter(({ kind, body }) => kind === 'ended' && body['run'] === run).map(({ body }) => body['outcome'])])
    }
    assert.deepEqual(told('alone'), [['run', 'allow', 'failed']])
    assert.deepEqual(told('skip1'), [['prepare', 'allow', 'executed'], ['run', 'allow', 'executed']])
    assert.deepEqual(told('fails2').flat().filter((word) => word === 'failed'), ['failed'])
    // What the gateway read after the error was not asked about; what it had read before is told by its outcome.
    assert.ok(told('skip3').every((run) => run.includes('skip') || run.at(-1) === 'skipped'), JSON.stringify(told('skip3')))
    assert.deepEqual(told('skip4').map(([, verdict]) => verdict), ['skip'])
    assert.ok(!readFileSync(site.server.log, 'utf8').includes('AS skip3'))
  })

  test('what is sealed is replayed to an auditor and proved without a key, and its words are in no file', { timeout: 60_000 }, async () => {
    const client = await site.connect('seal@example.com', 'agents')
    await client.query("SELECT 'a word of its own' AS said")
    await client.end()
    await site.gateway.stop()
    const keeper = await HeadKeeper.open({ data: site.gateway.data, second: join(site.data, 'heads') })
    const keys = join(site.gateway.data, 'keys')
    assert.ok(await sealSegments(keeper.folder, keeper, { signing: keeper.signing, sealing: openSealKeys(keys) }, 0) > 0)
    await keeper.close()
    await site.restart()
    const files = filesBelow(join(site.gateway.data, 'recordings')).map((file) => readFileSync(file, 'latin1')).join('')
    assert.ok(!files.includes('a word of its own'))
    const audit = await site.token('aud@example.com', 'audit')
    const [found] = (await site.api(audit, 'GET', '/api/sessions?subject=seal@example.com')).json<{ session: string }[]>()
    for (const kind of ['events', 'replay', 'export']) assert.match((await site.api(audit, 'GET', `/api/sessions/${found!.session}/${kind}`)).text, /a word of its own|YSB3b3JkIG9mIGl0cyBvd24/, kind)
    assert.match((await site.api(audit, 'GET', '/api/audit/events')).text, /session\.(read|replay|events|export)/)
    const verified = (await site.api(audit, 'GET', '/api/audit/verify')).json<{ ok: boolean; firstBad: unknown }>()
    assert.equal(verified.ok, true, JSON.stringify(verified.firstBad))
    const opened = verifyFolder(join(site.gateway.data, 'recordings'), join(site.data, 'heads'), createPublicKey(readFileSync(join(keys, 'record.pub.pem'))), recordOpener(keys))
    assert.deepEqual(opened.bad, [])
  })

  test('a record whose time is over is deleted, signed, and still verifies', { timeout: 60_000 }, async () => {
    const client = await site.connect('old@example.com', 'agents')
    await client.query('SELECT 1')
    await client.end()
    const before = filesBelow(join(site.gateway.data, 'recordings', 'orders')).length
    await site.restart()
    site.edit((text) => text.replace('    credential: { username: gw', '    retain: 5s\n    credential: { username: gw'))
    await until('segments go', () => filesBelow(join(site.gateway.data, 'recordings', 'orders')).length < before, 20_000)
    assert.match(readFileSync(join(site.gateway.data, 'recordings', 'heads.jsonl'), 'utf8'), /"kind":"retired"/)
    // Files go one by one: who verifies meanwhile may have read what is signed just before one went.
    let found = verify(site)
    for (let again = 0; again < 5 && !found.ok; again++) { await sleep(1_000); found = verify(site) }
    assert.equal(found.ok, true, JSON.stringify(found.bad.slice(0, 3)))
  })
})
