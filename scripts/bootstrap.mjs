// Everything `npm run build|test|demo|bench|fuzz` needs, on a fresh clone with Node ≥ 20 and nothing else: brings its own Node,
// installs what package-lock.json names, builds src/ to dist/, then runs the task. Never runs a package's install script, never
// writes outside the clone (save npm's own cache), and holds a lock so that two invocations don't meet.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants as system, homedir } from 'node:os'
import { basename, delimiter, dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_VERSION = '24.21.0'
const LOCK_WAIT_MS = 20 * 60_000
const TASKS = {
  build: null,
  test: ['scripts/test.mjs'],
  demo: ['--disable-warning=ExperimentalWarning', 'dist/cli/index.js', 'demo'],
  bench: ['--disable-warning=ExperimentalWarning', 'bench/index.ts'],
  fuzz: ['scripts/test.mjs', '--fuzz'],
}

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tools = join(root, '.tools')
const nodeName = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const nodeHome = join(tools, 'node_modules', nodeName)
const [task = 'build', ...given] = process.argv.slice(2)
/** An image brings its own Node and packages. */
const ownRuntime = given.includes('--with-this-node')
const rest = given.filter(argument => argument !== '--with-this-node')
const node = ownRuntime ? process.execPath : join(nodeHome, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
if (!(task in TASKS)) fail(`no task is named ${task}: ${Object.keys(TASKS).join(', ')}`)
// The tests build as one of their steps, so that a build that fails is counted like any other failure.
await withLock(() => {
  if (!ownRuntime) { installNode(); installPackages() }
  if (task !== 'test' && task !== 'fuzz') build()
})
if (TASKS[task] !== null) await run(TASKS[task])

function installNode() {
  if (versionOf(join(nodeHome, 'package.json')) === NODE_VERSION && existsSync(node)) return
  say(`installing Node ${NODE_VERSION} into .tools (about 10 s)`)
  npm(process.execPath, ['install', '--prefix', tools, '--ignore-scripts', '--no-save', `${nodeName}@${NODE_VERSION}`], `Node ${NODE_VERSION} for ${process.platform} ${process.arch} can't be installed`)
}

/** The stamp is written last: an interrupted installation is done again. */
function installPackages() {
  const stamp = join(root, 'node_modules', '.sluice-installed')
  const wanted = digest([`${NODE_VERSION} ${process.platform} ${process.arch}`, readFileSync(join(root, 'package-lock.json'))])
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  say('installing packages (about 30 s the first time)')
  npm(node, ['ci', '--ignore-scripts', '--include=dev', '--include=optional'], 'the packages of package-lock.json can\'t be installed')
  writeFileSync(stamp, wanted)
}

/** Into a folder beside dist/, then swapped: a gateway that is running never sees half a build. */
function build() {
  const sources = filesBelow(join(root, 'src'))
  const stamp = digest([NODE_VERSION, ...[...sources, join(root, 'tsconfig.json')].flatMap(file => [file.slice(root.length), readFileSync(file)])])
  const dist = join(root, 'dist')
  if (existsSync(join(dist, '.stamp')) && readFileSync(join(dist, '.stamp'), 'utf8') === stamp) return
  say('building')
  const next = join(root, 'dist.next')
  rmSync(next, { recursive: true, force: true })
  const built = spawnSync(node, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'tsconfig.json'), '--outDir', next], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], env: environment() })
  if (built.status !== 0) { process.stderr.write(built.stdout ?? ''); fail('the build failed') }
  for (const file of sources) if (!['.ts', '.tsx'].includes(extname(file)) && basename(file) !== 'README.md') cpSync(file, join(next, file.slice(join(root, 'src').length)))
  writeFileSync(join(next, '.stamp'), stamp)
  const old = join(root, 'dist.old')
  rmSync(old, { recursive: true, force: true })
  if (existsSync(dist)) renameSync(dist, old)
  renameSync(next, dist)
  rmSync(old, { recursive: true, force: true })
}

/** Ctrl-C reaches the whole process group, so it only has to be survived here; other signals are passed on. */
async function run(parts) {
  const [first, ...others] = parts.map(part => /^(scripts|dist|bench)\//.test(part) ? join(root, part) : part)
  const child = spawn(node, [first, ...others, ...rest], { cwd: root, stdio: 'inherit', env: environment() })
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const [code, signal] = await new Promise(done => { child.once('exit', (...end) => done(end)); child.once('error', error => fail(error.message)) })
  process.exit(code ?? 128 + (system.signals[signal] ?? 1))
}

/** npm as it was called, or the one beside node, or the one on PATH; its own warnings are about nothing a user can act on. */
function npm(runtime, parameters, failure) {
  const called = process.env.npm_execpath
  const beside = join(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js')
  const script = called !== undefined && basename(called) === 'npm-cli.js' ? called : existsSync(beside) ? beside : null
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  const done = script === null
    ? spawnSync('npm', [...parameters, ...quiet], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], env: environment(runtime) })
    : spawnSync(runtime, [script, ...parameters, ...quiet], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], env: environment(runtime) })
  if (done.error?.code === 'ENOENT') fail('npm is needed once, to install: it comes with Node')
  if (done.status !== 0) { process.stderr.write(done.stderr ?? ''); fail(failure) }
}

/** Without what `npm run` adds about this package; with a cache that can be written, whatever HOME is. */
function environment(runtime = node) {
  const kept = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^npm_(package|lifecycle|command|config_(local_prefix|global_prefix|prefix))/.test(key)))
  const cache = process.env.npm_config_cache === undefined && !isWritable(homedir()) ? { npm_config_cache: join(tools, 'npm-cache') } : {}
  return { ...kept, ...cache, npm_config_nodedir: nodeHome, PATH: `${dirname(runtime)}${delimiter}${process.env.PATH ?? ''}` }
}

function isWritable(path) { try { accessSync(path, constants.W_OK); return true } catch { return false } }

/** A folder is made by exactly one; it names its maker, so that one who was killed does not block the next. */
async function withLock(work) {
  const lock = join(tools, 'lock')
  mkdirSync(tools, { recursive: true })
  let told = false
  for (const deadline = Date.now() + LOCK_WAIT_MS; ;) {
    try { mkdirSync(lock); writeFileSync(join(lock, 'pid'), String(process.pid)); break } catch (error) { if (error.code !== 'EEXIST') throw error }
    if (isStale(lock)) { rmSync(lock, { recursive: true, force: true }); continue }
    if (Date.now() > deadline) fail(`another invocation holds ${lock}`)
    if (!told) say('waiting for another invocation that installs or builds')
    told = true
    await new Promise(done => { setTimeout(done, 200) })
  }
  const release = () => rmSync(lock, { recursive: true, force: true })
  process.once('exit', release)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, interrupted)
  try { await work() } finally { release(); process.removeListener('exit', release); for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, interrupted) }
}

function interrupted() { process.exit(130) }

function isStale(lock) {
  try {
    const pid = Number(readFileSync(join(lock, 'pid'), 'utf8'))
    if (pid > 0) { process.kill(pid, 0); return false }
  } catch (error) {
    if (error.code === 'EPERM') return false
    if (error.code === 'ESRCH') return true
  }
  try { return Date.now() - statSync(lock).mtimeMs > 10_000 } catch { return false }
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => join(entry.parentPath ?? entry.path, entry.name)).filter(file => !file.endsWith('.test.ts')).sort()
}

function digest(parts) { const hash = createHash('sha256'); for (const part of parts) hash.update(part).update('\0'); return hash.digest('hex') }
function versionOf(file) { try { return JSON.parse(readFileSync(file, 'utf8')).version } catch { return null } }
function say(text) { process.stderr.write(`sluice: ${text}\n`) }
function fail(text) { process.stderr.write(`sluice: ${text}\n`); process.exit(1) }
