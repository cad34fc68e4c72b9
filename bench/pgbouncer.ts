// pgbouncer in session mode, the peer that speed is compared with: it asks its clients for nothing and logs in upstream as they would.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../test/servers/postgres.ts'

const PROGRAM = '/usr/sbin/pgbouncer'
const START_MS = 10_000

export interface Peer { readonly port: number; readonly pid: number; readonly version: string; stop(): void }

/** Null where it isn't installed. */
export async function startPgbouncer(upstream: { port: number; user: string; password: string }): Promise<Peer | null> {
  if (!existsSync(PROGRAM)) return null
  const version = /PgBouncer ([\d.]+)/.exec(execFileSync(PROGRAM, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pgbouncer-'))
  const port = await freePort()
  const owner = unprivileged()
  writeFileSync(join(folder, 'users.txt'), `"${upstream.user}" "${upstream.password}"\n`)
  writeFileSync(join(folder, 'pgbouncer.ini'), `[databases]
* = host=127.0.0.1 port=${upstream.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
listen_backlog = 4096
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = session
max_client_conn = 12000
default_pool_size = 3000
server_reset_query =
logfile = ${join(folder, 'log')}
log_connections = 0
log_disconnections = 0
`)
  if (owner !== null) chownSync(folder, owner.uid, owner.gid)
  const child = spawn(PROGRAM, ['-q', join(folder, 'pgbouncer.ini')], { ...owner, stdio: 'ignore' })
  await listening(child, port, join(folder, 'log'))
  return { port, pid: child.pid!, version, stop: () => { child.kill('SIGKILL'); rmSync(folder, { recursive: true, force: true }) } }
}

/** It refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null
  const line = readFileSync('/etc/passwd', 'utf8').split('\n').find((one) => one.startsWith('postgres:') || one.startsWith('nobody:'))
  const [, , uid, gid] = line?.split(':') ?? []
  return { uid: Number(uid), gid: Number(gid) }
}

async function listening(child: ChildProcess, port: number, log: string): Promise<void> {
  for (const deadline = Date.now() + START_MS; Date.now() < deadline && child.exitCode === null;) {
    const open = await new Promise<boolean>((done) => { const probe = connect({ host: '127.0.0.1', port }, () => { probe.destroy(); done(true) }).once('error', () => done(false)) })
    if (open) return
    await new Promise((later) => setTimeout(later, 20))
  }
  throw new Error(`pgbouncer did not start:\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`)
}
