// `npm test`: installs what the tests need, checks types and lint, runs every test file on Node's own runner, and ends with the plain
// line `N passed, N failed`. With CI=true a skipped test is a failure unless test/left-out.json names it with a reason.
// Arguments narrow it: `npm test -- sql/` runs the files whose path contains one of them; `--fuzz` runs test/fuzz only.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { run } from 'node:test'
import { fileURLToPath } from 'node:url'
import { installNeeds } from './test-needs.mjs'

const TEST_TIMEOUT_MS = 10 * 60_000
/** CI ends a job that runs longer: what has not finished by then is named and counted as failed. */
const RUN_TIMEOUT_MS = 38 * 60_000
/** How much of a crashed file's last words is shown. */
const STDERR_CHARS_MAX = 4_000
/** Where this run's tests put their files: short, for sockets lie below it; gone at the end, with whatever process still uses it. */
const scratch = mkdtempSync(join(tmpdir(), 'st-'))
chmodSync(scratch, 0o755)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const strict = process.env.CI === 'true'
const wanted = process.argv.slice(2).filter(argument => !argument.startsWith('--'))
const fuzz = process.argv.includes('--fuzz')
const leftOut = existsSync(join(root, 'test', 'left-out.json')) ? JSON.parse(readFileSync(join(root, 'test', 'left-out.json'), 'utf8')) : {}
const tally = { passed: 0, failed: 0, skipped: [] }

const say = text => process.stdout.write(`${text}\n`)
const needs = await installNeeds(root, say)
Object.assign(process.env, needs.environment, { TMPDIR: scratch })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => { endLeftovers(); process.exit(130) })
for (const name of needs.missing) say(`not here: ${name} (suites that need it are left out)`)

if (wanted.length === 0 && !fuzz) {
  step('build', join('scripts', 'bootstrap.mjs'), ['build'])
  step('types', join('node_modules', 'typescript', 'bin', 'tsc'), ['-p', 'tsconfig.test.json'])
  step('lint', join('node_modules', '@biomejs', 'biome', 'bin', 'biome'), ['lint', '--error-on-warnings', '--max-diagnostics=50', '--colors=off'])
}
await runFiles(testFiles())
endLeftovers()
report()

function step(name, program, parameters) {
  const done = spawnSync(process.execPath, [join(root, program), ...parameters], { cwd: root, encoding: 'utf8' })
  if (done.status === 0) { tally.passed++; say(`ok   ${name}`); return }
  tally.failed++
  say(`FAIL ${name}\n${done.stdout}${done.stderr}`)
}

function testFiles() {
  const patterns = fuzz ? ['test/fuzz/**/*.ts'] : ['src/**/*.test.ts', 'test/**/*.test.ts']
  return globSync(patterns, { cwd: root }).filter(file => wanted.length === 0 || wanted.some(part => file.includes(part))).sort().map(file => join(root, file))
}

async function runFiles(files) {
  if (files.length === 0) { tally.failed++; say('FAIL no test file matches'); return }
  const perFile = new Map(files.map(file => [file, { passed: 0, failed: 0, skipped: 0, stderr: '' }]))
  const unfinished = new Set(files)
  const ending = new AbortController()
  const timer = strict ? setTimeout(() => ending.abort(), RUN_TIMEOUT_MS - performance.now()) : undefined
  const stream = run({ files, signal: ending.signal, concurrency: Math.max(2, availableParallelism()), timeout: fuzz ? Infinity : TEST_TIMEOUT_MS, execArgv: ['--disable-warning=ExperimentalWarning'] })
  stream.on('test:pass', event => count(perFile, event, true))
  stream.on('test:fail', event => count(perFile, event, false))
  if (fuzz) stream.on('test:diagnostic', event => { if (event.file !== undefined) say(event.message) })
  stream.on('test:stderr', event => { const entry = perFile.get(event.file); if (entry !== undefined) entry.stderr = (entry.stderr + event.message).slice(-STDERR_CHARS_MAX) })
  stream.on('test:summary', event => { if (event.file !== undefined) { unfinished.delete(event.file); finished(perFile.get(event.file), event) } })
  for await (const _ of stream) { /* events are handled above */ }
  clearTimeout(timer)
  if (ending.signal.aborted) for (const file of unfinished) { tally.failed++; say(`FAIL ${relative(root, file)} (not finished after ${RUN_TIMEOUT_MS / 60_000} minutes)`) }
}

/** Suites are not counted: their tests are. */
function count(perFile, event, passed) {
  if (event.details.type === 'suite' && passed) return
  const entry = perFile.get(event.file) ?? { passed: 0, failed: 0, skipped: 0, stderr: '' }
  if (event.skip !== undefined || event.todo !== undefined) {
    const why = event.skip ?? event.todo
    tally.skipped.push({ name: event.name, why: typeof why === 'string' ? why : 'no reason given' })
    entry.skipped++
    return
  }
  if (passed) { tally.passed++; entry.passed++; return }
  if (event.details.type === 'suite' && event.details.error?.failureType === 'subtestsFailed') return
  if (event.details.error?.failureType === 'subtestsFailed') return
  tally.failed++
  entry.failed++
  say(`\nFAIL ${relative(root, event.file ?? '')}:${event.line ?? 0} › ${relative(root, event.file ?? '') === relative(root, event.name) ? 'all of it' : event.name}\n${indent(event.name === event.file ? `the file itself failed:\n${entry.stderr}` : explain(event.details.error))}\n`)
}

function explain(error) {
  const cause = error?.cause ?? error
  if (!(cause instanceof Error) && typeof cause?.stack !== 'string') return String(cause)
  return `${cause.stack ?? cause.message}${cause.cause === undefined ? '' : `\ncaused by ${explain(cause.cause)}`}`
}

function finished(entry, event) {
  const name = relative(root, event.file)
  const skipped = entry?.skipped ? `, ${entry.skipped} left out` : ''
  say(`${event.success ? 'ok  ' : 'FAIL'} ${name} (${event.counts.passed} tests${skipped}, ${(event.duration_ms / 1000).toFixed(1)} s)`)
}

function report() {
  for (const { name, why } of tally.skipped) {
    const excused = typeof leftOut[name] === 'string'
    if (strict && !excused) tally.failed++
    say(`${strict && !excused ? 'FAIL ' : ''}left out: ${name} (${excused ? leftOut[name] : why})`)
  }
  say(`${tally.passed} passed, ${tally.failed} failed`)
  process.exit(tally.failed === 0 ? 0 : 1)
}

/** Servers and gateways whose test was killed, or ended without them: they carry this run's folder in their environment or arguments. */
function endLeftovers() {
  const others = existsSync('/proc/self/environ') ? readdirSync('/proc').filter(name => /^\d+$/.test(name) && Number(name) !== process.pid) : []
  for (const pid of others) {
    try {
      const what = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').join(' ')
      if (!what.includes(`${scratch}/`) && !readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`TMPDIR=${scratch}`)) continue
      process.kill(Number(pid), 'SIGKILL')
      say(`ended what a test left running: ${what.slice(0, 200)}`)
    } catch { /* gone already, or not ours */ }
  }
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
}

function indent(text) { return text.split('\n').map(line => `  ${line}`).join('\n') }
