// What a target's processes have used, as Linux counts it: CPU time of every thread, resident memory and its peak. A target is all
// of its processes, found anew each time, so that nothing of it goes uncounted.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

const PAGE_BYTES = 4096

/** The process and all its descendants, save those (and their own) whose name `leftOut` says. */
export function processTree(pid: number, leftOut: (name: string) => boolean = () => false): number[] {
  const children = new Map<number, { pid: number; name: string }[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = read(`/proc/${entry}/stat`)
    if (stat === null) continue
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), { pid: Number(entry), name }])
  }
  const found: number[] = []
  const queue = [pid]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    found.push(at)
    for (const child of children.get(at) ?? []) if (!leftOut(child.name)) queue.push(child.pid)
  }
  return found
}

/** Microseconds on a CPU since start, of all threads of these processes. */
export function cpuMicros(pids: readonly number[]): number {
  let nanoseconds = 0
  for (const pid of pids) {
    let tasks: string[] = []
    try { tasks = readdirSync(`/proc/${pid}/task`) } catch { continue }
    for (const task of tasks) nanoseconds += Number(read(`/proc/${pid}/task/${task}/schedstat`)?.split(' ')[0] ?? 0)
  }
  return nanoseconds / 1000
}

export function residentBytes(pids: readonly number[]): number {
  let pages = 0
  for (const pid of pids) pages += Number(read(`/proc/${pid}/statm`)?.split(' ')[1] ?? 0)
  return pages * PAGE_BYTES
}

/** Forgets the peaks so far. */
export function resetPeaks(pids: readonly number[]): void {
  for (const pid of pids) try { writeFileSync(`/proc/${pid}/clear_refs`, '5') } catch { /* ended meanwhile */ }
}
/** Sum of each process's own peak since the reset: at least the peak of the sum. */
export function peakBytes(pids: readonly number[]): number {
  let kibibytes = 0
  for (const pid of pids) kibibytes += Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0)
  return kibibytes * 1024
}

function read(path: string): string | null { try { return readFileSync(path, 'latin1') } catch { return null } }
