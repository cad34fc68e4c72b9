// Prometheus text of what the supervisor knows. Names follow the field's habit: unit last, `_total` for counters.
import type { LiveSessions } from './live.ts'

export function metrics(live: LiveSessions, workers: number): string {
  const open = live.list()
  const per = new Map<string, number>()
  for (const { resource } of open) per.set(resource, (per.get(resource) ?? 0) + 1)
  const lines = ['# HELP sluice_workers Processes that run sessions.', '# TYPE sluice_workers gauge', `sluice_workers ${workers}`, '# HELP sluice_sessions_open Open sessions by resource.', '# TYPE sluice_sessions_open gauge']
  for (const [resource, count] of per) lines.push(`sluice_sessions_open{resource="${resource.replaceAll(/["\\\n]/g, '_')}"} ${count}`)
  lines.push('# HELP process_resident_memory_bytes Memory of the supervisor.', '# TYPE process_resident_memory_bytes gauge', `process_resident_memory_bytes ${process.memoryUsage.rss()}`)
  return `${lines.join('\n')}\n`
}
