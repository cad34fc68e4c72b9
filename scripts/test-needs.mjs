// Installs what the tests use beside npm's packages: real clients and a pooler. What can't be installed is left out by name: the
// suites that need it skip themselves, and with CI=true a skip is a failure. Never changes a system that already has them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { delimiter, join } from 'node:path'

/** A program → the Debian package that has it. Debian's `pgbench` is a wrapper that is there without the program. */
const PROGRAMS = { psql: 'postgresql-client', pg_dump: 'postgresql-client', pgbench: 'postgresql', pgbouncer: 'pgbouncer', chromium: 'chromium', javac: 'default-jdk-headless', python3: 'python3', script: 'bsdutils' }
const PYTHON_PACKAGES = ['psycopg[binary]==3.3.9', 'sqlalchemy==2.1.9']
const PGJDBC = { version: '42.7.14', sha256: '73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c' }
const DOWNLOAD_TIMEOUT_MS = 120_000
const START_TIMEOUT_MS = 30_000
const DOWNLOAD_ATTEMPTS_MAX = 3
const INSTALL_TIMEOUT_MS = 8 * 60_000
/** dpkg's lock may be held by the machine's own first minutes. */
const APT = ['-q', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=120']

/** Returns the environment that the tests run with, and what is missing, by name. */
export async function installNeeds(root, say) {
  const tools = join(root, '.tools')
  const home = join(tools, 'python')
  const system = [process.env.PATH ?? '', '/usr/sbin'].join(delimiter)
  const missing = debianPackages(system, say)
  const python = pythonPackages(home, system, say)
  const path = python === null ? system : [join(home, 'bin'), system].join(delimiter)
  const pgjdbc = await download(join(tools, 'java'), say)
  if (python === null) missing.push('python packages (psycopg, sqlalchemy)')
  if (pgjdbc === null) missing.push('pgjdbc')
  return { environment: { PATH: path, ...(python === null ? {} : { SLUICE_PYTHON: python }), ...(pgjdbc === null ? {} : { SLUICE_PGJDBC: pgjdbc }) }, missing }
}

function debianPackages(path, say) {
  const absent = () => Object.keys(PROGRAMS).filter(name => !works(name, path))
  const wanted = () => [...new Set(absent().map(name => PROGRAMS[name]))]
  if (wanted().length === 0 || !aptInstall(wanted(), path, say)) return absent()
  // One package that a release does not have must not keep the others away.
  for (const name of wanted()) aptInstall([name], path, say)
  return absent()
}

/** Whether it could be tried at all: only root installs, and only where apt-get is. */
function aptInstall(packages, path, say) {
  if (process.getuid?.() !== 0 || !has('apt-get', path)) return false
  say(`installing ${packages.join(', ')} from Debian`)
  const apt = parameters => spawnSync('apt-get', [...APT, ...parameters], { stdio: 'ignore', timeout: INSTALL_TIMEOUT_MS, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).status === 0
  const install = () => apt(['install', '-y', '--no-install-recommends', ...packages])
  if (!install()) { apt(['update']); install() }
  return true
}

/** The first Python that can make an environment: one that a version manager put on PATH may not work without its home. */
function pythonPackages(home, path, say) {
  const python = join(home, 'bin', 'python3')
  const stamp = join(home, `.with-${createHash('sha256').update(PYTHON_PACKAGES.join()).digest('hex').slice(0, 12)}`)
  if (existsSync(stamp)) return python
  say('installing psycopg and SQLAlchemy into .tools/python')
  const run = (program, parameters) => spawnSync(program, parameters, { stdio: 'ignore', timeout: INSTALL_TIMEOUT_MS, env: { ...process.env, PATH: path } }).status === 0
  const make = () => ['python3', '/usr/bin/python3'].some(program => run(program, ['-m', 'venv', '--clear', home]))
  const fill = () => run(python, ['-m', 'pip', 'install', '-q', '--no-cache-dir', '--retries', '5', ...PYTHON_PACKAGES])
  if (!make() && !(aptInstall(['python3-venv'], path, say) && make())) return null
  if (!fill() && !fill()) return null
  writeFileSync(stamp, '')
  return python
}

async function download(folder, say) {
  const name = `postgresql-${PGJDBC.version}.jar`
  const file = join(folder, name)
  if (existsSync(file)) return file
  say('downloading pgjdbc')
  for (let attempt = 1; attempt <= DOWNLOAD_ATTEMPTS_MAX; attempt++) {
    try {
      const answer = await fetch(`https://repo1.maven.org/maven2/org/postgresql/postgresql/${PGJDBC.version}/${name}`, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) })
      const bytes = Buffer.from(await answer.arrayBuffer())
      if (!answer.ok || createHash('sha256').update(bytes).digest('hex') !== PGJDBC.sha256) continue
      mkdirSync(folder, { recursive: true })
      writeFileSync(`${file}.part`, bytes)
      renameSync(`${file}.part`, file)
      return file
    } catch { /* the next attempt, or none */ }
  }
  return null
}

function works(program, path) {
  return has(program, path) && spawnSync(program, ['--version'], { stdio: 'ignore', timeout: START_TIMEOUT_MS, env: { ...process.env, PATH: path } }).status === 0
}

function has(program, path) { return path.split(delimiter).some(folder => folder !== '' && existsSync(join(folder, program))) }
