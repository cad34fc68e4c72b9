// Where the figures come from: without it they mean nothing.
import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, hostname, loadavg, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

export interface Host {
  readonly name: string
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  readonly commit: string
  /** Over the last minute, before the bench began: above a few tenths others were at work. */
  readonly loadBefore: number
}
export function describeHost(): Host {
  return {
    name: hostname(), processor: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), memoryGiB: Math.round(totalmem() / 2 ** 30), kernel: release(), node: process.version, commit: commit(), loadBefore: loadavg()[0] ?? 0,
  }
}
function commit(): string {
  try { return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() } catch { return 'unknown' }
}
export const hostLine = (host: Host): string => `${host.name}: ${host.cores} × ${host.processor}, ${host.memoryGiB} GiB, Linux ${host.kernel}, Node ${host.node}, commit ${host.commit}, load before ${host.loadBefore.toFixed(2)}`
