// Where the time goes: the CPU profiles that the gateway's processes leave behind, cut to the time in which they were measured and
// summed over the processes by file and by function, own time only. What is native is named with its caller, which says what it was for.
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SAMPLE_MICROS = 250
const FILES_SHOWN = 25
const FUNCTIONS_SHOWN = 50
interface ProfileNode { readonly id: number; readonly children?: readonly number[]; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }
export interface Profile { readonly startTime: number; readonly nodes: readonly ProfileNode[]; readonly samples: readonly number[]; readonly timeDeltas: readonly number[] }
interface Window { readonly fromMicros: number; readonly toMicros: number }
interface Place { readonly file: string; readonly name: string }

export function profiling(): { folder: string; environment: Record<string, string> } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-profile-'))
  return { folder, environment: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder} --cpu-prof-interval=${SAMPLE_MICROS}` } }
}
/** On the clock that profiles are stamped with. */
export const nowMicros = (): number => Number(process.hrtime.bigint() / 1000n)

export function profileText(folder: string, window: Window): string {
  return ownTime(readdirSync(folder).filter((one) => one.endsWith('.cpuprofile')).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile), window, null)
}
/** Own time by file and by function; per query where their number is given. */
export function ownTime(profiles: readonly Profile[], window: Window | null, queries: number | null): string {
  const files = new Map<string, number>(), functions = new Map<string, number>()
  let busy = 0, idle = 0
  for (const profile of profiles) {
    const places = placesOf(profile)
    let at = profile.startTime
    profile.samples.forEach((id, i) => {
      const micros = profile.timeDeltas[i] ?? 0
      at += micros
      if (window !== null && (at < window.fromMicros || at > window.toMicros)) return
      const place = places.get(id)!
      if (place.name === '(idle)') { idle += micros; return }
      busy += micros
      files.set(place.file, (files.get(place.file) ?? 0) + micros)
      functions.set(place.name, (functions.get(place.name) ?? 0) + micros)
    })
  }
  const time = (micros: number) => queries === null ? `${(micros / 1000).toFixed(0).padStart(6)} ms` : `${(micros / queries).toFixed(2).padStart(6)} µs`
  const lines = (all: Map<string, number>, shown: number) => [...all].sort((a, b) => b[1] - a[1]).slice(0, shown).map(([name, micros]) => `  ${((100 * micros) / busy).toFixed(1).padStart(5)} %  ${time(micros)}  ${name}`).join('\n')
  return `busy ${(busy / 1e6).toFixed(2)} s, idle ${(idle / 1e6).toFixed(2)} s\nby file\n${lines(files, FILES_SHOWN)}\nby function\n${lines(functions, FUNCTIONS_SHOWN)}`
}

function placesOf(profile: Profile): Map<number, Place> {
  const parents = new Map<number, ProfileNode>()
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node)
  return new Map([...nodes].map(([id, node]) => [id, placeOf(node, parents)]))
}
function placeOf(node: ProfileNode, parents: ReadonlyMap<number, ProfileNode>): Place {
  const { functionName, url, lineNumber } = node.callFrame
  const name = functionName || '(anonymous)'
  if (url !== '') { const file = shortened(url); return { file, name: `${name} ${file}:${lineNumber + 1}` } }
  const parent = parents.get(node.id)
  const caller = name.startsWith('(') || parent === undefined ? '' : parent.callFrame.functionName
  return caller === '' ? { file: name, name } : { file: `native: ${name} for ${caller}`, name: `native: ${name} for ${caller}` }
}
const shortened = (url: string): string => url.replace(/^file:\/\//, '').replace(/^.*\/(src|dist|node_modules)\//, '$1/')
