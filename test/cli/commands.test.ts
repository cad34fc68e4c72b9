// Every command of `sluice` that talks to a gateway, run as a process against a real one: what it prints, for people and with --json, its
// exit status, and the one line it fails with.
import assert from 'node:assert/strict'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { chromium } from 'playwright-core'
import { hasProgram, laidOpen, PASSWORD, POLICIES, type Ran, SEALED, type Running, type Stage, startStage } from './stage.ts'

const CHROMIUM = process.env.SLUICE_CHROMIUM ?? '/usr/bin/chromium'
const CHROMIUM_ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const NO_PSQL = hasProgram('psql') ? false : 'psql is not installed'

interface SessionView { session: string; resource: string; subject: string; open: boolean; endedWhy: string | null }

describe('the command line', () => {
  let stage: Stage
  before(async () => { stage = await startStage() })
  after(async () => { await stage?.stop() })

  const as = (who: string, ...line: string[]) => stage.sluice([...line, '--profile', who])
  const jsonAs = <T>(who: string, ...line: string[]) => stage.json<T>([...line, '--profile', who])
  /** Nothing on stdout, one line on stderr, and a status that is not 0. */
  function refused(ran: Ran, pattern: RegExp, status = 1): void {
    assert.equal(ran.status, status, ran.out + ran.error)
    assert.match(ran.error, pattern)
    assert.equal(ran.error.trimEnd().split('\n').length, 1, ran.error)
    assert.equal(ran.out, '')
  }
  function good(ran: Ran): string { assert.equal(ran.status, 0, ran.error); return ran.out }
  /** A session whose statement waits for a lock until its process, or the lock, is ended. */
  async function openSession(who: string): Promise<{ running: Running; id: string }> {
    const known = new Set((await jsonAs<SessionView[]>(who, 'sessions', 'list', '--open')).map(({ session }) => session))
    const running = stage.begin(['sql', 'orders', '-c', 'SELECT name AS followed FROM customers', '--profile', who])
    for (;;) {
      const fresh = (await jsonAs<SessionView[]>(who, 'sessions', 'list', '--open')).find(({ session }) => !known.has(session))
      if (fresh !== undefined) return { running, id: fresh.session }
      assert.equal(running.error(), '')
    }
  }
  const waiting = async () => Number((await stage.server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rows[0]?.count)

  test('who does not know how a command is used is told on one line, with status 2', async () => {
    const misused: readonly (readonly [Promise<Ran>, RegExp, number])[] = [
      [stage.sluice(['nothing']), /no command is named "nothing"/, 2],
      [as('ana', 'resources', 'test'), /usage: sluice resources/, 2],
      [as('ana', 'tokens', 'revoke'), /usage/, 2],
      [as('ana', 'sessions', 'kill'), /usage/, 2],
      [as('ana', 'ca', '--what'), /Unknown option '--what'/, 2],
      [as('nobody-here', 'whoami'), /not signed in as profile nobody-here/, 1],
      [as('../../etc', 'whoami'), /not a name for a profile/, 2],
    ]
    for (const [ran, pattern, status] of misused) refused(await ran, pattern, status)
  })

  test('ca prints the CA and its fingerprint, from the profile and at the gateway', async () => {
    const pem = readFileSync(join(stage.gateway.data, 'keys/ca.pem'), 'utf8')
    const out = good(await as('kim', 'ca'))
    assert.ok(out.startsWith(pem.trimEnd()))
    const [, fingerprint] = /# SHA-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})/.exec(out) ?? assert.fail(out)
    assert.equal((await jsonAs<{ fingerprint: string }>('kim', 'ca')).fingerprint, fingerprint)
    assert.equal((await stage.json<{ fingerprint: string }>(['ca', '--config', stage.gateway.config])).fingerprint, fingerprint)
    refused(await stage.sluice(['ca', '--config', 'absent.yaml']), /absent\.yaml.*can't be read/)
  })

  test('tokens are short, listed without their secret, and end when they are revoked', async () => {
    const secret = good(await as('kim', 'token', 'orders', '--ttl', '5m')).trimEnd()
    assert.match(secret, /^[\x21-\x7e]{20,64}$/)
    const [token] = await jsonAs<{ id: string; resource: string; subject: string }[]>('kim', 'tokens', 'list')
    assert.equal(token?.resource, 'orders')
    const listed = good(await as('kim', 'tokens'))
    assert.match(listed, /^ID +FOR +OF +ISSUED +EXPIRES\n/)
    assert.ok(listed.includes(token.id) && !listed.includes(secret))
    assert.equal(good(await as('sam', 'tokens')), 'no tokens\n')
    assert.match(good(await as('ana', 'tokens', '--all')), /kim@example\.com/)
    const client = await stage.gateway.client({ database: 'orders', password: secret })
    refused(await as('sam', 'tokens', 'revoke', token.id), /no such token/)
    assert.equal(good(await as('kim', 'tokens', 'revoke', token.id)), `revoked ${token.id}\n`)
    await assert.rejects(async () => { for (let asked = 0; asked < 100; asked++) { await client.query('SELECT 1'); await new Promise((later) => { setTimeout(later, 50) }) } })
    await assert.rejects(stage.gateway.client({ database: 'orders', password: secret }))
    refused(await as('kim', 'tokens', 'revoke', token.id), /no such token/)
    refused(await as('kim', 'token', 'elsewhere'), /no such resource/)
    refused(await as('kim', 'token', 'orders', '--ttl', 'soon'), /not a duration/, 2)
    const minted = await jsonAs<{ id: string; secret: string }>('kim', 'token', 'orders')
    assert.deepEqual(await jsonAs('ana', 'tokens', 'revoke', minted.id), { done: true })
  })

  test('a resource is registered with a secret from stdin, tested, used and removed', async () => {
    const file = join(stage.folder, 'added.yaml')
    const declare = (user: string) => writeFileSync(file, `name: added\nprotocol: postgres\naddress: 127.0.0.1:${stage.server.port}\ndatabase: orders\ncredential: { username: ${user}, password: { store: added-password } }\n`)
    declare('sealed')
    refused(await stage.sluice(['resources', 'add', file, '--secret', 'added-password', '--profile', 'kim'], SEALED), /only admins/)
    refused(await stage.sluice(['resources', 'add', file, '--secret', 'added-password', '--profile', 'ana'], ''), /nothing was given on stdin/)
    refused(await stage.sluice(['resources', 'add', '-', '--secret', 'added-password', '--profile', 'ana'], SEALED), /stdin can't be both/, 2)
    const wrong = await stage.sluice(['resources', 'add', file, '--secret', 'added-password', '--profile', 'ana'], 'not-the-password')
    refused(wrong, /^sluice: added: .*refused Sluice's login/)
    const added = good(await stage.sluice(['resources', 'add', file, '--secret', 'added-password', '--profile', 'ana'], `${SEALED}\n`))
    assert.match(added, /^added: /)
    assert.match(good(await as('ana', 'resources', 'test', 'added')), /^added: /)
    assert.equal((await jsonAs<{ ok: boolean }>('ana', 'resources', 'test', 'added')).ok, true)
    assert.match(good(await as('ana', 'resources')), /^added +postgres/m)
    assert.doesNotMatch(good(await as('kim', 'resources')), /added/)
    assert.match(good(await as('ana', 'sql', 'added', '-c', 'SELECT current_user::text')), /sealed/)
    assert.ok(!(await stage.gateway.log()).includes(SEALED))
    refused(await as('ana', 'resources', 'remove', 'orders'), /declared in the gateway's file/)
    refused(await as('ana', 'resources', 'test', 'absent'), /no such resource/)
    writeFileSync(file, 'name: bad\nprotocol: postgres\naddress: 127.0.0.1:1\ndatabase: d\ncredential: { username: u, password: hunter2 }\n')
    const literal = await as('ana', 'resources', 'add', file)
    refused(literal, /a secret is not written here/)
    assert.doesNotMatch(literal.error, /hunter2/)
    refused(await as('ana', 'resources', 'add', 'absent.yaml'), /absent\.yaml/)
    refused(await as('kim', 'classify', 'added'), /only admins/)
    refused(await as('ana', 'classify', 'absent'), /no such resource/)
    const proposed = good(await as('ana', 'classify', 'added'))
    assert.match(proposed, /^# Proposed for resource added/)
    assert.deepEqual(Object.keys((await jsonAs<object>('ana', 'classify', 'added', '--new'))), ['columns', 'unread', 'tables'])
    assert.equal(good(await as('ana', 'resources', 'remove', 'added')), 'removed added\n')
    refused(await as('ana', 'resources', 'remove', 'added'), /no such registered resource/)
    refused(await as('ana', 'sql', 'added', '-c', 'SELECT 1'), /no resource "added"/)
  })

  test('what exec runs has no secret among its arguments or in its environment', { skip: existsSync('/proc/self/environ') ? false : 'needs /proc' }, async () => {
    const exec = stage.begin(['exec', 'orders', '--profile', 'kim', '--', 'sleep', '20'])
    for (let tries = 0; tries < 400 && !laidOpen(exec.pid).includes('PGDATABASE=orders'); tries++) await new Promise((later) => { setTimeout(later, 25) })
    const seen = laidOpen(exec.pid)
    assert.match(seen, /PGDATABASE=orders/)
    for (const secret of [stage.profile('kim').token, stage.profile('kim').refreshToken!, PASSWORD, SEALED]) assert.ok(!seen.includes(secret))
    assert.doesNotMatch(seen, /PGPASSWORD/)
    exec.signal('SIGTERM')
    assert.equal((await exec.ended).status, 143)
  })

  test('sql --json gives an agent rows, and a refusal on stderr with its code, rule and reason', async () => {
    assert.deepEqual(await jsonAs('support-bot', 'sql', 'orders', '-c', 'SELECT id, name, ssn FROM customers WHERE id <> 2 ORDER BY id'), [
      { command: 'SELECT', rowCount: 2, columns: ['id', 'name', 'ssn'], rows: [['1', 'Maria Eriksen', '[hidden]'], ['3', null, null]] },
    ])
    const piped = await stage.sluice(['sql', 'orders', '--json', '--profile', 'support-bot'], 'SELECT 1 AS a; SELECT 2 AS b')
    assert.deepEqual((JSON.parse(good(piped)) as { rows: string[][] }[]).map(({ rows }) => rows), [[['1']], [['2']]])
    const denied = await stage.sluice(['sql', 'orders', '--json', '-c', 'DROP TABLE customers', '--profile', 'support-bot'])
    assert.equal(denied.status, 1)
    assert.equal(denied.out, '')
    assert.match(denied.error, /42501.*no-ddl/)
    refused(await as('support-bot', 'sql', 'nowhere', '-c', 'SELECT 1'), /no resource "nowhere"/)
    assert.match(good(await as('kim', 'sql', 'orders', '-c', 'SELECT name FROM customers WHERE id = 2')), /red \\u\{1b\}\[31m↵alert/)
  })

  test('a session is listed, shown, replayed with its rows, and exported', async () => {
    good(await as('kim', 'sql', 'orders', '-c', "SELECT id, name, ssn, 'for the replay' AS mark FROM customers ORDER BY id"))
    await as('kim', 'sql', 'orders', '-c', 'DROP TABLE customers')
    const sessions = await jsonAs<SessionView[]>('sam', 'sessions', 'list', '--subject', 'kim@example.com', '--resource', 'orders')
    assert.match(good(await as('sam', 'sessions', '--subject', 'kim@example.com')), /^ID +RESOURCE +WHO/)
    assert.equal(good(await as('sam', 'sessions', '--subject', 'nobody')), 'no sessions\n')
    const named = await jsonAs<SessionView[]>('sam', 'sessions', 'list', '--column', 'public.customers.ssn', '--subject', 'kim@example.com')
    assert.ok(named.some(({ session }) => session === sessions[1]!.session) && !named.some(({ session }) => session === sessions[0]!.session))
    assert.equal(good(await as('sam', 'sessions', '--column', 'public.customers.nothing')), 'no sessions\n')
    refused(await as('sam', 'sessions', '--since', 'x'), /not a duration/, 2)
    const [dropped, read] = sessions
    assert.ok(dropped !== undefined && read !== undefined)
    const shown = good(await as('kim', 'sessions', 'show', dropped.session))
    assert.match(shown, /kim@example\.com on orders \(orders\)/)
    assert.match(shown, /DROP TABLE customers/)
    assert.match(shown, /no-ddl/)
    const whole = await jsonAs<SessionView & { events: { kind: string }[] }>('kim', 'sessions', 'show', dropped.session)
    assert.ok(whole.events.some(({ kind }) => kind === 'asked'))

    const replayed = good(await as('sam', 'sessions', 'replay', read.session))
    assert.match(replayed, /^ +id \| name \| ssn \| mark$/m)
    assert.match(replayed, /^ +1 \| Maria Eriksen \| \[hidden\] \| for the replay$/m)
    assert.match(replayed, /^ +2 \| red \\u\{1b\}\[31m↵alert \| \[hidden\] \| for the replay$/m)
    assert.match(replayed, /^ +3 \| NULL \| NULL \| for the replay$/m)
    assert.match(replayed, /^ +SELECT 3$/m)
    assert.doesNotMatch(replayed, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
    const lines = good(await stage.sluice(['sessions', 'replay', read.session, '--json', '--profile', 'sam'])).trimEnd().split('\n').map((text) => JSON.parse(text) as { kind: string; answer?: string })
    assert.ok(lines.some(({ answer }) => answer !== undefined && Buffer.from(answer, 'base64').includes('for the replay')))
    refused(await as('kim', 'sessions', 'replay', read.session), /only auditors/)
    refused(await as('sam', 'sessions', 'replay', 'sunknown'), /no such session/)
    refused(await as('ana', 'sessions', 'show', read.session), /no such session/)

    const file = join(stage.folder, 'kept.sluice')
    assert.equal(good(await as('sam', 'sessions', 'export', read.session, '--output', file)), `${file}\n`)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.match(readFileSync(file, 'utf8'), /for the replay/)
    assert.deepEqual(await jsonAs('sam', 'sessions', 'export', read.session, '--output', file), { file })
    refused(await as('sam', 'sessions', 'export', read.session, '--output', join(stage.folder, 'absent/x')), /no such file|ENOENT/)
    refused(await as('kim', 'sessions', 'export', read.session), /only auditors/)
    assert.match(good(await as('sam', 'audit', 'verify')), /the record is whole/)
  })

  test('a record that is not whole, and a bad finding of doctor, are said in one line on stderr', async () => {
    const copy = join(stage.folder, 'copy')
    cpSync(join(stage.gateway.data, 'recordings'), join(copy, 'recordings'), { recursive: true })
    const segment = readdirSync(join(copy, 'recordings'), { recursive: true, encoding: 'utf8' }).map((file) => join(copy, 'recordings', file)).filter((file) => statSync(file).isFile()).sort((a, b) => statSync(b).size - statSync(a).size)[0]!
    const bytes = readFileSync(segment)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(segment, bytes)
    const verify = ['audit', 'verify', copy, '--heads', join(stage.folder, 'none'), '--key', join(stage.gateway.data, 'keys/record.pub.pem')]
    const [human, machine, doctor] = await Promise.all([stage.sluice(verify), stage.sluice([...verify, '--json']), as('nobody-here', 'doctor')])
    for (const ran of [human, machine]) {
      assert.equal(ran.status, 1)
      assert.match(ran.error, /^sluice: the record is NOT WHOLE: .+\n$/)
    }
    assert.match(human.out, /^NOT WHOLE: /m)
    assert.equal((JSON.parse(machine.out) as { ok: boolean }).ok, false)
    assert.equal(doctor.status, 1)
    assert.match(doctor.out, /^BAD {2}sign-in: /m)
    assert.match(doctor.error, /^sluice: 1 of \d+ checks are bad: sign-in\n$/)
  })

  test('a statement is cancelled and its session goes on; a session is followed, and ended', async (context) => {
    const locker = await stage.server.client('orders')
    context.after(() => locker.end())
    await locker.query('BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE')
    const { running, id } = await openSession('kim')
    const tail = stage.begin(['sessions', 'tail', id, '--json', '--profile', 'kim'])
    const human = stage.begin(['sessions', 'tail', id, '--profile', 'sam'])
    await tail.seen(/AS followed/)
    await human.seen(/asked .*AS followed/)
    human.signal('SIGINT')
    assert.equal((await human.ended).status, 0)
    while (await waiting() < 1) { /* not yet at the server */ }
    refused(await as('sam', 'sessions', 'cancel', id), /no such session/)
    assert.equal(good(await as('kim', 'sessions', 'cancel', id)), `cancelled what ${id} was running\n`)
    const ended = await running.ended
    assert.equal(ended.status, 1)
    assert.match(ended.error, /57014/)
    await tail.seen(/"kind":"closed"/)
    for (const line of tail.out().trimEnd().split('\n')) assert.equal(typeof (JSON.parse(line) as { kind: string }).kind, 'string')
    assert.equal((await tail.ended).status, 0)

    const killed = await openSession('kim')
    refused(await as('support-bot', 'sessions', 'kill', killed.id), /no such session/)
    assert.equal(good(await as('ana', 'sessions', 'kill', killed.id)), `ended ${killed.id}\n`)
    const gone = await killed.running.ended
    assert.equal(gone.status, 1)
    assert.match(gone.error, /57P01|ended by demo ana@example\.com/)
    refused(await as('kim', 'sessions', 'cancel', killed.id), /no such open session/)

    const [first, second] = [await openSession('kim'), await openSession('support-bot')]
    refused(await as('sam', 'sessions', 'kill', '--identity', 'kim@example.com'), /only admins/)
    assert.deepEqual(await jsonAs('ana', 'sessions', 'kill', '--identity', 'kim@example.com'), { ended: 2 })
    for (const { running: one } of [first, second]) assert.equal((await one.ended).status, 1)
    assert.equal(good(await as('kim', 'sessions', 'kill', '--identity', 'kim@example.com')), 'ended 0 sessions of kim@example.com\n')
  })

  test('policy explains and tests a statement, at the gateway and from the file alone', async () => {
    const offline = ['policy', 'explain', 'orders', 'DELETE FROM customers', '--config', stage.gateway.config]
    const [drop, judged, foreign, byAdmin, alone, nobody, absent] = await Promise.all([
      as('kim', 'policy', 'explain', 'orders', 'DROP TABLE customers'),
      jsonAs<{ opens: boolean; judgement: { kind: string } }>('kim', 'policy', 'explain', 'orders', 'SELECT 1'),
      as('kim', 'policy', 'explain', 'orders', 'SELECT 1', '--subject', 'x@example.com', '--groups', 'support'),
      as('ana', 'policy', 'explain', 'orders', 'DELETE FROM customers', '--subject', 'x@example.com', '--groups', 'support'),
      stage.sluice([...offline, '--subject', 'x', '--groups', 'support']),
      stage.sluice(offline),
      stage.sluice(['policy', 'explain', 'absent', 'SELECT 1', '--config', stage.gateway.config, '--subject', 'x']),
    ])
    assert.match(good(drop), /^deny by support\/no-ddl: .*migrations/)
    assert.match(good(drop), /^- administrators /m)
    assert.deepEqual([judged.opens, judged.judgement.kind], [true, 'allow'])
    refused(foreign, /only admins and auditors/)
    for (const asked of [byAdmin, alone]) assert.match(good(asked), /^review by support\/deletes/)
    refused(nobody, /say for whom/, 2)
    refused(absent, /no resource is named absent/)

    const examples = join(stage.folder, 'examples.yaml')
    writeFileSync(examples, `- { as: { subject: a, groups: [support] }, on: orders, sql: DROP TABLE customers, expect: deny, rule: no-ddl }
- { as: { subject: a, groups: [support] }, on: orders, sql: DELETE FROM customers, expect: review, rule: support/deletes }
- { as: { subject: a, groups: [support] }, on: orders, sql: SELECT 1, expect: allow }
- { as: { subject: a, groups: [strangers] }, on: orders, sql: SELECT 1, expect: deny }
`)
    const tested = ['policy', 'test', examples, '--config', stage.gateway.config]
    const [human, machine] = await Promise.all([stage.sluice(tested), stage.json<{ passed: number }>(tested)])
    assert.deepEqual([good(human), machine.passed], ['4 passed, 0 failed\n', 4])
    writeFileSync(examples, '- { name: wrong, as: { subject: a, groups: [support] }, on: orders, sql: SELECT 1, expect: deny }\n')
    const failed = await stage.sluice(tested)
    assert.equal(failed.status, 1)
    assert.match(failed.out, /^FAIL wrong: allow.*wanted deny$/m)
    assert.match(failed.error, /^sluice: 1 of 1 examples came out otherwise\n$/)
    writeFileSync(examples, '- { as: { subject: a }, on: orders, sql: SELECT 1, expect: perhaps }\n')
    refused(await stage.sluice(tested), /examples\.yaml.*expect/)
    const bad = join(stage.folder, 'bad.yaml')
    writeFileSync(bad, POLICIES.replace('allow: [read, write]', 'alow: [read]'))
    const checked = await stage.sluice(['policy', 'check', bad])
    assert.equal(checked.status, 1)
    assert.match(checked.error, /bad\.yaml:5:\d+: unknown key `alow`/)
  })

  test('psql works through connect, by its socket and by its port', { skip: NO_PSQL }, async () => {
    const socket = stage.begin(['connect', 'orders', '--profile', 'kim'])
    await socket.seen(/# open until Ctrl-C/)
    const exported = (text: string) => Object.fromEntries([...text.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]))
    assert.doesNotMatch(socket.out(), /PGPASSWORD/)
    const folder = exported(socket.out()).PGHOST!
    assert.equal(statSync(join(folder, '.s.PGSQL.5432')).mode & 0o777, 0o600)
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    assert.equal(good(await psql(exported(socket.out()), 'SELECT name, ssn FROM customers WHERE id = 1')), 'Maria Eriksen|[hidden]\n')
    socket.signal('SIGINT')
    assert.equal((await socket.ended).status, 0)
    assert.ok(!existsSync(folder))

    const port = stage.begin(['connect', 'orders', '--port', '0', '--profile', 'kim', '--json'])
    await port.seen(/\}\n/)
    const environment = JSON.parse(port.out()) as Record<string, string>
    assert.equal(environment.PGHOST, '127.0.0.1')
    assert.equal(good(await psql(environment, 'SELECT 6 * 7')), '42\n')
    const guessed = await psql({ ...environment, PGPASSWORD: 'guess' }, 'SELECT 6 * 7')
    assert.notEqual(guessed.status, 0)
    assert.match(guessed.error, /not the one that `sluice connect` printed/)
    port.signal('SIGTERM')
    assert.equal((await port.ended).status, 0)
    refused(await as('kim', 'connect', 'nowhere'), /no resource nowhere/)
    refused(await as('kim', 'connect', 'orders', '--port', 'x'), /port/, 2)
  })

  function psql(environment: Readonly<Record<string, string>>, sql: string): Promise<Ran> {
    return new Promise((done) => { execFile('psql', ['-XtAc', sql], { env: { PATH: process.env.PATH, ...environment }, timeout: 20_000 }, (error, out, stderr) => done({ status: error === null ? 0 : 1, out, error: stderr })) })
  }

  test('a credential is renewed shortly before it ends; what can\'t be renewed says what to do', async () => {
    const before_ = stage.profile('sam')
    stage.editProfile('sam', { expiresAtMs: Date.now() + 20_000 })
    good(await as('sam', 'whoami'))
    const renewed = stage.profile('sam')
    assert.notEqual(renewed.token, before_.token)
    assert.ok(renewed.expiresAtMs > Date.now() + 600_000)
    stage.editProfile('sam', { expiresAtMs: Date.now() - 1, refreshToken: 'not-a-token' })
    refused(await as('sam', 'whoami'), /the sign-in has expired: run `sluice login --profile sam`/)
    stage.editProfile('sam', { expiresAtMs: Date.now() - 1, refreshToken: null })
    refused(await as('sam', 'whoami'), /the sign-in has expired/)
    stage.editProfile('sam', { expiresAtMs: renewed.expiresAtMs, refreshToken: renewed.refreshToken, token: 'forged' })
    refused(await as('sam', 'whoami'), /token/)
    stage.editProfile('sam', { token: renewed.token })
    good(await as('sam', 'whoami'))
    stage.editProfile('sam', { gateway: 'https://127.0.0.1:1' })
    refused(await as('sam', 'whoami'), /can't be reached: nothing listens there/)
    stage.editProfile('sam', { gateway: stage.address })
  })

  test('signing in by browser: redirect to the loopback address, PKCE, and a stranger\'s answer is not taken', { skip: existsSync(CHROMIUM) ? false : 'needs chromium' }, async () => {
    const opener = join(stage.folder, 'browser')
    const opened = join(stage.folder, 'opened')
    writeFileSync(opener, `#!/bin/sh\nprintf '%s' "$1" > '${opened}.part' && mv '${opened}.part' '${opened}'\n`)
    chmodSync(opener, 0o755)
    const login = stage.begin(['login', '--gateway', stage.address, '--profile', 'browser', '--json'], { BROWSER: opener })
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGUMENTS })
    try {
      while (!existsSync(opened)) await new Promise((later) => { setTimeout(later, 20) })
      const address = new URL(readFileSync(opened, 'utf8'))
      assert.equal(address.searchParams.get('code_challenge_method'), 'S256')
      const redirect = address.searchParams.get('redirect_uri') ?? ''
      assert.match(redirect, /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
      assert.equal((await fetch(`${redirect}?code=stolen&state=guessed`)).status, 404)
      const page = await browser.newPage()
      page.setDefaultTimeout(10_000)
      await page.goto(address.href)
      await page.click('button[value=kim]')
      await page.waitForFunction('document.body.innerText.includes("Done. You can close this page.")')
    } finally { await browser.close() }
    const ended = await login.ended
    assert.equal((JSON.parse(good(ended)) as { subject: string }).subject, 'kim@example.com')
    assert.match(ended.error, /Trusting the gateway's CA from now on: SHA-256/)
    assert.equal(statSync(join(stage.folder, 'config/sluice/profiles/browser.json')).mode & 0o777, 0o600)
    assert.match(good(await as('browser', 'whoami')), /^kim@example\.com/)

    assert.match(good(await as('browser', 'logout')), /^signed out\n$/)
    assert.ok(!existsSync(join(stage.folder, 'config/sluice/profiles/browser.json')))
    refused(await as('browser', 'whoami'), /not signed in as profile browser/)
    assert.deepEqual(await jsonAs('browser', 'logout'), { profile: 'browser', wasSignedIn: false })
  })

  test('signing in fails on one line where the gateway is another, absent or not to be trusted', async () => {
    const login = (...line: string[]) => stage.sluice(['login', '--profile', 'x', '--gateway', ...line])
    const failing: readonly (readonly [Promise<Ran>, RegExp, number])[] = [
      [login('http://example.com'), /must be an https:/, 2],
      [login('https://127.0.0.1:1'), /nothing listens there/, 1],
      [login(stage.address, '--fingerprint', '00:11'), /another fingerprint/, 1],
      [login(stage.address, '--issuer', 'absent', '--ca', join(stage.gateway.data, 'keys/ca.pem')), /no identity provider is named absent/, 1],
      [login(stage.address, '--ca', 'absent.pem'), /absent\.pem/, 1],
    ]
    for (const [ran, pattern, status] of failing) refused(await ran, pattern, status)
    mkdirSync(join(stage.folder, 'config/sluice/profiles'), { recursive: true })
    writeFileSync(join(stage.folder, 'config/sluice/profiles/broken.json'), '{')
    refused(await as('broken', 'whoami'), /profile broken is damaged/)
  })
})
