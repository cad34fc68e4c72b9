// A whole gateway for tests: a real process with workers and an embedded store, on free ports, with its own data folder.
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { freePort } from './postgres.ts'

const START_MS = 60_000
export interface TestGateway {
  readonly port: number
  readonly web: number
  readonly proxy: number
  readonly data: string
  readonly config: string
  readonly child: ChildProcess
  /** All it wrote to stderr and stdout so far. */
  log(): string
  client(options: { database: string; password: string; user?: string }): Promise<pg.Client>
  /** SIGTERM, and waits. */
  stop(): Promise<void>
  kill(): Promise<void>
}
export interface TestIssuer { readonly url: string; token(sub: string, groups: string, extra?: string): Promise<string>; stop(): void }

export async function startIssuer(): Promise<TestIssuer> {
  const port = await freePort()
  const child = spawn(process.execPath, [fileURLToPath(new URL('../corpus/tools/issuer.mjs', import.meta.url)), String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((ready) => child.stdout!.once('data', () => ready()))
  const url = `http://127.0.0.1:${port}`
  return { url, stop: () => { child.kill('SIGKILL') }, async token(sub, groups, extra = '') { return (await fetch(`${url}/token?sub=${encodeURIComponent(sub)}&groups=${groups}${extra}`)).text() } }
}

/** What was compiled for one test is there for the next: a process starts in half the time. */
export const compiled = (): string => process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), `sluice-compiled-${process.getuid?.() ?? 0}`)

/** `yaml` without its gateway section; `{issuer}` stands for the issuer's address. */
export async function startTestGateway(yaml: string, options: { gateway?: string; data?: string; env?: Record<string, string>; workers?: number } = {}): Promise<TestGateway> {
  const base = options.data ?? mkdtempSync(join(tmpdir(), 'sluice-gw-'))
  chmodSync(base, 0o755)
  const port = await freePort(), web = await freePort(), proxy = await freePort()
  const config = join(base, 'sluice.yaml')
  writeFileSync(config, `gateway:\n  data: ./data\n  workers: ${options.workers ?? 2}\n  heads: ./heads\n  listen: { web: 127.0.0.1:${web}, proxy: 127.0.0.1:${proxy}, postgres: 127.0.0.1:${port} }\n${options.gateway ?? ''}${yaml}`)
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../src/cli/index.ts', import.meta.url)), 'gateway', '--config', config], { env: { ...process.env, NODE_COMPILE_CACHE: compiled(), ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  child.stdout!.on('data', (bytes: Buffer) => { text += bytes })
  child.stderr!.on('data', (bytes: Buffer) => { text += bytes })
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  const deadline = Date.now() + START_MS
  while (!text.includes('"msg":"serving"')) {
    if (child.exitCode !== null || Date.now() > deadline) { child.kill('SIGKILL'); throw new Error(`the gateway did not start:\n${text}`) }
    await new Promise((later) => setTimeout(later, 20))
  }
  const end = async (signal: NodeJS.Signals) => { if (child.exitCode === null && child.signalCode === null) { child.kill(signal); await exited } if (options.data === undefined) rmSync(base, { recursive: true, force: true }) }
  return {
    port, web, proxy, data: join(base, 'data'), config, child, log: () => text,
    async client({ database, password, user = 'someone' }) {
      const client = new pg.Client({ host: '127.0.0.1', port, database, user, password })
      client.on('error', () => {})
      await client.connect()
      return client
    },
    stop: () => end('SIGTERM'), kill: () => end('SIGKILL'),
  }
}
