// Installs what the tests use beside npm's packages: real clients and a pooler. What can't be installed is left out by name: the
// suites that need it skip themselves, and with CI=true a skip is a failure. Never changes a system that already has them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { delimiter, join } from 'node:path'

/** A program → the Debian package that has it. */
const PROGRAMS = { psql: 'postgresql-client', pg_dump: 'postgresql-client', pgbench: 'postgresql', pgbouncer: 'pgbouncer', chromium: 'chromium', javac: 'default-jdk-headless', python3: 'python3-venv' }
const PYTHON_PACKAGES = ['psycopg[binary]==3.3.9', 'sqlalchemy==2.1.9']
const PGJDBC = { version: '42.7.14', sha256: '73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c' }
const DOWNLOAD_TIMEOUT_MS = 120_000

/** Returns the environment that the tests run with, and what is missing, by name. */
export async function installNeeds(root, say) {
  const path = [process.env.PATH ?? '', '/usr/sbin', '/usr/lib/postgresql/15/bin'].join(delimiter)
  const missing = debianPackages(path, say)
  const tools = join(root, '.tools')
  const python = pythonPackages(join(tools, 'python'), path, say)
  const pgjdbc = await download(join(tools, 'java'), say)
  if (python === null) missing.push('python packages (psycopg, sqlalchemy)')
  if (pgjdbc === null) missing.push('pgjdbc')
  return { environment: { PATH: path, ...(python === null ? {} : { SLUICE_PYTHON: python }), ...(pgjdbc === null ? {} : { SLUICE_PGJDBC: pgjdbc }) }, missing }
}

function debianPackages(path, say) {
  const absent = () => Object.keys(PROGRAMS).filter(name => !has(name, path))
  const wanted = [...new Set(absent().map(name => PROGRAMS[name]))]
  if (wanted.length > 0 && process.getuid?.() === 0 && has('apt-get', path)) {
    say(`installing ${wanted.join(', ')} from Debian`)
    const run = parameters => spawnSync('apt-get', parameters, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    const install = ['install', '-y', '-q', '--no-install-recommends', ...wanted]
    if (run(install).status !== 0) { run(['update', '-q']); run(install) }
  }
  return absent()
}

function pythonPackages(home, path, say) {
  const python = join(home, 'bin', 'python3')
  const stamp = join(home, `.with-${createHash('sha256').update(PYTHON_PACKAGES.join()).digest('hex').slice(0, 12)}`)
  if (existsSync(stamp)) return python
  if (!has('python3', path)) return null
  say('installing psycopg and SQLAlchemy into .tools/python')
  const run = (program, parameters) => spawnSync(program, parameters, { stdio: 'ignore', env: { ...process.env, PATH: path } }).status === 0
  if (!run('python3', ['-m', 'venv', home]) || !run(python, ['-m', 'pip', 'install', '-q', ...PYTHON_PACKAGES])) return null
  writeFileSync(stamp, '')
  return python
}

async function download(folder, say) {
  const name = `postgresql-${PGJDBC.version}.jar`
  const file = join(folder, name)
  if (existsSync(file)) return file
  say('downloading pgjdbc')
  try {
    const answer = await fetch(`https://repo1.maven.org/maven2/org/postgresql/postgresql/${PGJDBC.version}/${name}`, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) })
    const bytes = Buffer.from(await answer.arrayBuffer())
    if (!answer.ok || createHash('sha256').update(bytes).digest('hex') !== PGJDBC.sha256) return null
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${file}.part`, bytes)
    renameSync(`${file}.part`, file)
    return file
  } catch { return null }
}

function has(program, path) { return path.split(delimiter).some(folder => folder !== '' && existsSync(join(folder, program))) }
