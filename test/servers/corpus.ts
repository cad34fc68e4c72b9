// What the corpus needs to run against a real gateway: a server seeded as tools/setup_pg.sh does it, the corpus' own configuration on
// free ports, and its Python runners. Changes nothing in test/corpus.
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeAuthority } from './certificates.ts'
import { startPostgres, type TestServer, type Version } from './postgres.ts'

export const CORPUS = fileURLToPath(new URL('../corpus/', import.meta.url))

/** Roles gw_app and gw_super, and the template gwtpl, as the corpus' runner expects them. */
export async function startCorpusServer(version: Version): Promise<TestServer> {
  const server = await startPostgres({ version, settings: { authentication_timeout: '5s', log_statement: 'none' } })
  const { cert, key } = makeAuthority().issue(['DNS:localhost', 'IP:127.0.0.1'])
  const { uid, gid } = statSync(server.data)
  for (const [name, text] of [['server.crt', cert], ['server.key', key]] as const) {
    const path = join(server.data, name)
    writeFileSync(path, text)
    chownSync(path, uid, gid)
    chmodSync(path, 0o600)
  }
  for (const text of ['ALTER SYSTEM SET ssl = on', 'SELECT pg_reload_conf()', 'CREATE ROLE gw_app LOGIN', 'CREATE ROLE gw_super LOGIN SUPERUSER', 'CREATE DATABASE gwtpl']) await server.sql(text)
  await server.sql(readFileSync(join(CORPUS, 'pg_seed.sql'), 'utf8'), 'gwtpl')
  return server
}

/** The corpus' configuration without its gateway section, its addresses replaced. */
export function corpusYaml(file: string, replace: Readonly<Record<string, string>>): string {
  let text = readFileSync(join(CORPUS, file), 'utf8')
  text = text.slice(text.indexOf('identity:'))
  for (const [from, to] of Object.entries(replace)) text = text.replaceAll(from, to)
  return text
}

export interface CorpusResult { readonly id: string; readonly expect: string; readonly ok?: boolean; readonly got?: unknown; readonly problems?: readonly string[]; readonly skipped?: string }
/** Runs one of the corpus' runners and reads its report. */
export async function runCorpus(tool: string, options: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ results: CorpusResult[]; output: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-report-'))
  const report = join(folder, 'report.json')
  const child = spawn('python3', [join(CORPUS, 'tools', tool), ...options, '--report', report], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env, PYTHONDONTWRITEBYTECODE: '1' } })
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => { output += bytes })
  child.stderr.on('data', (bytes: Buffer) => { output += bytes })
  const status = await new Promise<number | null>((done) => child.once('close', done))
  try {
    if (status !== 0) throw new Error(`${tool} ended with ${status}:\n${output}`)
    return { results: JSON.parse(readFileSync(report, 'utf8')) as CorpusResult[], output }
  } finally { rmSync(folder, { recursive: true, force: true }) }
}
