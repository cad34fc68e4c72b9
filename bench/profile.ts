// Where the time goes: the CPU profiles that the gateway's processes leave behind, summed by function, own time only.
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SAMPLE_MICROS = 200
const SHOWN = 45
interface Profile { readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[]; readonly samples: readonly number[]; readonly timeDeltas: readonly number[] }

export function profiling(): { folder: string; environment: Record<string, string> } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-profile-'))
  return { folder, environment: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder} --cpu-prof-interval=${SAMPLE_MICROS}` } }
}

/** Per process: microseconds of own time by function, idle left out. */
export function profileText(folder: string): string {
  return readdirSync(folder).filter((file) => file.endsWith('.cpuprofile')).sort().map((file) => one(file, JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile)).filter((text) => text !== '').join('\n\n')
}

function one(file: string, profile: Profile): string {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, `${callFrame.functionName || '(anonymous)'} ${place(callFrame.url)}${callFrame.url === '' ? '' : `:${callFrame.lineNumber + 1}`}`.trim()]))
  const own = new Map<string, number>()
  let busy = 0
  profile.samples.forEach((id, i) => {
    const name = names.get(id) ?? '?'
    if (name === '(idle)') return
    const micros = profile.timeDeltas[i] ?? 0
    busy += micros
    own.set(name, (own.get(name) ?? 0) + micros)
  })
  if (busy < 100_000) return ''
  const lines = [...own].sort((a, b) => b[1] - a[1]).slice(0, SHOWN).map(([name, micros]) => `  ${((100 * micros) / busy).toFixed(1).padStart(5)} %  ${(micros / 1000).toFixed(0).padStart(6)} ms  ${name}`)
  return `${file}: busy ${(busy / 1e6).toFixed(2)} s\n${lines.join('\n')}`
}
function place(url: string): string { return url.replace(/^file:\/\//, '').replace(/^.*\/(src|dist|node_modules)\//, '$1/') }
