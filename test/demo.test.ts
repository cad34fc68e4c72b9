// The demo as a newcomer meets it: started, its lines pasted as they are printed, ended, started again.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const READY_MS = 60_000
const END_MS = 10_000
const root = fileURLToPath(new URL('..', import.meta.url))

interface Demo { readonly child: ChildProcess; readonly lines: readonly string[]; text(): string; end(signal: NodeJS.Signals): Promise<number | null> }
interface Ran { readonly status: number; readonly out: string; readonly error: string }

describe('the demo', () => {
  let folder: string
  let demo: Demo
  const environment = () => ({ ...process.env, XDG_CONFIG_HOME: join(folder, 'config'), BROWSER: '/bin/false' })
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-demo-'))
    chmodSync(folder, 0o755)
    demo = await start()
  })
  after(async () => { await demo.end('SIGTERM'); rmSync(folder, { recursive: true, force: true }) })

  async function start(): Promise<Demo> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(root, 'src/cli/index.ts'), 'demo', '--data', join(folder, 'data')], { cwd: root, env: environment(), stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => { text += bytes })
    const ended = new Promise<number | null>((done) => child.once('exit', (code) => done(code)))
    const deadline = Date.now() + READY_MS
    while (!text.includes('Ctrl-C ends the demo')) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the demo did not start:\n${text}`)
      await new Promise((later) => { setTimeout(later, 20) })
    }
    return {
      child, text: () => text, lines: text.split('\n').filter((line) => line.startsWith('  ')).map((line) => line.trim()),
      end: (signal) => { if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal); return ended },
    }
  }

  /** As a shell would take it, with the program of this tree in the place of the built one. */
  function paste(line: string): Promise<Ran> {
    const program = `"${process.execPath}" --disable-warning=ExperimentalWarning "${join(root, 'src/cli/index.ts')}"`
    return new Promise((done) => {
      execFile('/bin/sh', ['-c', line.replaceAll(/(?<![\w/])(?:[\w./-]*\/)?bin\/sluice\b/g, program)], { cwd: root, env: environment() }, (error, out, stderr) => done({ status: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, out, error: stderr }))
    })
  }
  const find = (part: string) => demo.lines.find((line) => line.includes(part)) ?? assert.fail(`no line with ${part}:\n${demo.text()}`)

  test('a support engineer reads customers, and sees no SSN, card or address, in columns or in notes', async () => {
    const { status, out, error } = await paste(find('SELECT'))
    assert.equal(status, 0, error)
    assert.match(out, /Maria Eriksen/)
    assert.match(out, /SSN \[hidden\]/)
    assert.match(out, /card on file \[hidden\]/)
    assert.doesNotMatch(out, /\d{3}-\d{2}-\d{4}|\d{4} \d{4} \d{4}|[a-z]{2,}@example/)
  })

  test('a change of the schema is refused, with the rule and what to do', async () => {
    const { status, out, error } = await paste(find('DROP TABLE'))
    assert.notEqual(status, 0)
    assert.match(out + error, /no-ddl/)
    assert.match(out + error, /migrations/)
  })

  test('a write waits until another person has approved what they read', async () => {
    const waiting = paste(find('UPDATE'))
    const approve = find('reviews approve')
    let listed: Ran
    do { listed = await paste(find('reviews list')) } while (listed.out.includes('no reviews'))
    assert.match(listed.out, /UPDATE orders/)
    const { status, out, error } = await paste(approve)
    assert.equal(status, 0, error)
    assert.match(out, /approved by sam@example\.com/)
    const written = await waiting
    assert.equal(written.status, 0, written.error)
    assert.match(written.out, /UPDATE 1/)
    assert.match(written.error, /waits for a review/)
  })

  test('nobody approves their own', async () => {
    const waiting = paste(find('UPDATE'))
    const sluice = find('reviews list').split(' reviews')[0]!
    while ((await paste(`${sluice} reviews list --profile kim`)).out.includes('no reviews')) { /* not yet filed */ }
    const { status, error } = await paste(`${sluice} reviews approve --profile kim`)
    assert.notEqual(status, 0)
    assert.match(error, /no review waits for you/)
    assert.equal((await paste(`${sluice} reviews deny --profile sam --comment no`)).status, 0)
    assert.notEqual((await waiting).status, 0)
  })

  test('the same works without psql, and for an agent that acts for a person', async () => {
    const sluice = find('reviews list').split(' reviews')[0]!
    const rows = await paste(`${sluice} sql orders --profile support-bot --json -c "SELECT ssn FROM customers WHERE id = 26"`)
    assert.equal(rows.status, 0, rows.error)
    assert.deepEqual(JSON.parse(rows.out), [{ command: 'SELECT', rowCount: 1, columns: ['ssn'], rows: [['[hidden]']] }])
    const who = JSON.parse((await paste(`${sluice} whoami --profile support-bot --json`)).out) as { agent: boolean; onBehalfOf: string }
    assert.deepEqual([who.agent, who.onBehalfOf], [true, 'kim@example.com'])
  })

  test('a client run by exec reaches the resource, and its environment holds no credential', async () => {
    const sluice = find('reviews list').split(' reviews')[0]!
    const { status, out, error } = await paste(`${sluice} exec orders --profile kim -- sh -c 'env; ls -l $PGHOST/.s.PGSQL.5432'`)
    assert.equal(status, 0, error)
    assert.match(out, /PGDATABASE=orders/)
    assert.match(out, /^srw-------/m)
    const { token } = JSON.parse(readFileSync(join(folder, 'config/sluice/profiles/kim.json'), 'utf8')) as { token: string }
    assert.ok(!out.includes(token) && !out.includes('PGPASSWORD'))
  })

  test('a port of connect wants the password that was made for it', { skip: hasProgram('psql') ? false : 'psql is not installed' }, async () => {
    const sluice = find('reviews list').split(' reviews')[0]!
    const { out, error } = await paste(`${sluice} exec orders --profile kim --port 0 -- sh -c 'psql -tAc "SELECT 41 + 1"; PGPASSWORD=guess psql -tAc "SELECT 6 * 9"'`)
    assert.match(out, /^42$/m)
    assert.doesNotMatch(out, /54/)
    assert.match(error, /not the one that `sluice connect` printed/)
  })

  test('profiles can be read by their owner alone', () => {
    for (const name of ['ana', 'sam', 'kim', 'support-bot']) assert.equal(statSync(join(folder, 'config/sluice/profiles', `${name}.json`)).mode & 0o777, 0o600)
  })

  test('signing in by device code works at a real provider, and the gateway is trusted by its own CA', async () => {
    const sluice = find('reviews list').split(' reviews')[0]!
    const [address] = /https:\/\/127\.0\.0\.1:\d+/.exec(demo.text()) ?? []
    const signedIn = await signInByDevice(`${sluice} login --gateway ${address} --profile device --device`)
    assert.equal(signedIn.status, 0, signedIn.error)
    assert.match(signedIn.out, /signed in as ana@example\.com/)
    assert.match((await paste(`${sluice} resources --profile device`)).out, /orders/)
  })

  /** Reads the address it prints, and walks the provider's pages as ana. */
  async function signInByDevice(line: string): Promise<Ran> {
    const program = `"${process.execPath}" --disable-warning=ExperimentalWarning "${join(root, 'src/cli/index.ts')}"`
    const child = spawn('/bin/sh', ['-c', line.replaceAll(/(?<![\w/])(?:[\w./-]*\/)?bin\/sluice\b/g, program)], { cwd: root, env: environment() })
    let [out, error] = ['', '']
    child.stdout.on('data', (bytes: Buffer) => { out += bytes })
    child.stderr.on('data', (bytes: Buffer) => { error += bytes })
    const ended = new Promise<number>((done) => child.once('exit', (code) => done(code ?? 1)))
    while (!/Open (\S+)/.test(error) && child.exitCode === null) await new Promise((later) => { setTimeout(later, 20) })
    const [, page] = /Open (\S+)/.exec(error) ?? []
    if (page !== undefined) await walkDevice(new URL(page))
    return { status: await ended, out, error }
  }

  test('Ctrl-C ends every process it started, and the next start has the same data and the same keys', async () => {
    const before = readFileSync(join(folder, 'data/gateway/keys/ca.pem'), 'utf8')
    const startedAt = Date.now()
    assert.equal(await demo.end('SIGINT'), 0)
    assert.ok(Date.now() - startedAt < END_MS)
    assert.deepEqual(processesWith(join(folder, 'data')), [])
    demo = await start()
    assert.equal(readFileSync(join(folder, 'data/gateway/keys/ca.pem'), 'utf8'), before)
    assert.match((await paste(find('SELECT'))).out, /Maria Eriksen/)
  })
})

/** A browser in small: cookies, redirects, hidden fields; chooses ana where people are to choose. */
async function walkDevice(start: URL): Promise<void> {
  const cookies = new Map<string, string>()
  let at = start
  let body: URLSearchParams | null = null
  for (let step = 0; step < 12; step++) {
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') }, ...(body === null ? {} : { method: 'POST', body }) })
    for (const cookie of answer.headers.getSetCookie()) { const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []; cookies.set(name, value) }
    const next = answer.headers.get('location')
    const page = await answer.text()
    body = null
    if (next !== null) { at = new URL(next, at); continue }
    const [, action] = /<form[^>]*action="([^"]+)"/.exec(page) ?? []
    if (action === undefined || page.includes('Go back to the device')) return
    at = new URL(action, at)
    body = new URLSearchParams([...page.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)].map(([, name = '', value = '']): [string, string] => [name, value]))
    if (page.includes('name="person"')) body.set('person', 'ana')
    else body.set('confirm', 'yes')
  }
}

function hasProgram(name: string): boolean { return (process.env.PATH ?? '').split(':').some((folder) => folder !== '' && existsSync(join(folder, name))) }

function processesWith(path: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return []
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).flatMap((pid) => {
    try { const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '); return line.includes(path) ? [line] : [] } catch { return [] }
  })
}
