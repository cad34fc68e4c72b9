// Prometheus text of what the supervisor knows. Names follow the field's habit: unit last, `_total` for counters. Labels are names of
// the configuration and codes of ours, never what a client sent.
import type { LiveSessions } from './live.ts'

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

export class Metrics {
  readonly #opened = new Map<string, number>()
  readonly #refused = new Map<string, number>()
  readonly #throttled = new Map<string, number>()
  #emergencies = 0
  #workersEnded = 0

  opened(resource: string): void { this.#opened.set(resource, (this.#opened.get(resource) ?? 0) + 1) }
  refused(counts: Readonly<Record<string, number>>): void { for (const [code, count] of Object.entries(counts)) this.#refused.set(code, (this.#refused.get(code) ?? 0) + count) }
  emergency(): void { this.#emergencies++ }
  throttled(kind: string): void { this.#throttled.set(kind, (this.#throttled.get(kind) ?? 0) + 1) }
  workerEnded(): void { this.#workersEnded++ }

  text(live: LiveSessions, workers: number, waiting: number): string {
    const open = new Map<string, number>()
    for (const { resource } of live.list()) open.set(resource, (open.get(resource) ?? 0) + 1)
    const { totals } = live
    return [
      family('sluice_workers', 'gauge', 'Processes that run sessions.', [[{}, workers]]),
      family('sluice_workers_ended_total', 'counter', 'Workers that ended unasked and were replaced.', [[{}, this.#workersEnded]]),
      family('sluice_sessions_open', 'gauge', 'Open sessions by resource.', by('resource', open)),
      family('sluice_sessions_opened_total', 'counter', 'Sessions opened by resource.', by('resource', this.#opened)),
      family('sluice_logins_refused_total', 'counter', 'Logins refused by reason.', by('reason', this.#refused)),
      family('sluice_login_throttles_total', 'counter', 'Times that failed logins passed a limit, by what was limited.', by('kind', this.#throttled)),
      family('sluice_emergency_uses_total', 'counter', 'Uses of emergency accounts.', [[{}, this.#emergencies]]),
      family('sluice_statements_total', 'counter', 'Statements decided.', [[{}, totals.statements]]),
      family('sluice_statements_denied_total', 'counter', 'Statements refused.', [[{}, totals.denied]]),
      family('sluice_rows_total', 'counter', 'Rows released to clients.', [[{}, totals.rows]]),
      family('sluice_bytes_total', 'counter', 'Bytes of answers released to clients.', [[{}, totals.bytes]]),
      family('sluice_reviews_held', 'gauge', 'Statements and answers that wait for a person in an open session.', [[{}, waiting]]),
      family('process_resident_memory_bytes', 'gauge', 'Memory of the supervisor.', [[{}, process.memoryUsage.rss()]]),
    ].join('')
  }
}

const by = (label: string, counts: ReadonlyMap<string, number>): Sample[] => [...counts].map(([name, count]) => [{ [label]: name }, count])
function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => {
    const inside = Object.entries(labels).map(([key, text]) => `${key}="${text.replaceAll(/["\\\n]/g, '_')}"`).join(',')
    return `${name}${inside === '' ? '' : `{${inside}}`} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}
