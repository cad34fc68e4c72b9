// What the record needs while the gateway runs: segments that ended are compressed and sealed, what a resource's time is over for goes, and a
// log whose worker died is signed as it was left. It never touches a log that somebody writes.
import { fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Resource } from '../core/resource.ts'
import type { StoreAddress } from '../store/database.ts'
import { type HeadKeeper, openSealKeys, recoverRecordings, type Recovered, retire, sealSegments } from '../store/record/index.ts'
import { log } from './log.ts'

const ROUND_MS_MAX = 5 * 60_000
const LOOK_MS = 1_000
/** A round may be late by this part of the shortest time that a record is kept. */
const ROUND_PART = 0.1
/** Refused logins belong to no resource: they are kept as long as the longest of them. */
const LOGINS = '_logins'
const BOOTED_AT_MS = Date.now()

export interface UpkeepParts {
  readonly data: string
  readonly heads: HeadKeeper
  resources(): readonly Resource[]
}

/** Rounds until the returned stop; one after the other, never two at once. A reload that keeps less is heeded at once. */
export function startUpkeep(parts: UpkeepParts): () => void {
  let running = false
  let lastMs = Date.now()
  const timer = setInterval(() => {
    const everyMs = Math.min(ROUND_MS_MAX, ...parts.resources().map(({ retainMs }) => retainMs * ROUND_PART))
    if (running || Date.now() - lastMs < everyMs) return
    running = true
    void round().finally(() => { running = false; lastMs = Date.now() })
  }, LOOK_MS).unref()
  const round = async () => {
    const folder = join(parts.data, 'recordings')
    const resources = parts.resources()
    const nowMs = Date.now()
    try {
      await sealSegments(folder, parts.heads, { signing: parts.heads.signing, sealing: openSealKeys(join(parts.data, 'keys')) })
      const kept = [...resources.map(({ name, retainMs }) => ({ name, retainMs })), ...(resources.length === 0 ? [] : [{ name: LOGINS, retainMs: Math.max(...resources.map(({ retainMs }) => retainMs)) }])]
      for (const { name, retainMs } of kept) {
        const gone = await retire(folder, name, nowMs - retainMs, parts.heads)
        if (gone > 0) log.info({ resource: name, segments: gone }, 'the record of a resource was retired: its time was over')
      }
    } catch (error) { log.error({ error: error instanceof Error ? error.message : String(error) }, 'the record could not be sealed or retired') }
  }
  return () => clearInterval(timer)
}

/** For the writers of an earlier start, or of one worker that is dead: who lives writes other logs. */
export async function recover(data: string, heads: HeadKeeper, isGone: (writer: string) => boolean, goesOn: () => boolean): Promise<Recovered[]> {
  const found = await recoverRecordings(data, heads, isGone, goesOn)
  for (const { log: name, cutBytes, why } of found) log[why === 'crash' ? 'warn' : 'error']({ log: name, cutBytes, why }, why === 'crash' ? 'a log that nobody closed was signed as it was left' : 'a log is not what was signed: `sluice audit verify` tells where')
  return found
}

/** Makes the index of sessions again from the record, in a process of its own: it may take minutes and holds up nothing. */
export function reindex(data: string, store: StoreAddress): () => void {
  const child = fork(fileURLToPath(new URL('./reindex' + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url)), [], { serialization: 'advanced', env: { PATH: process.env.PATH ?? '' } })
  child.once('exit', (code) => { if (code !== 0 && code !== null) log.warn({ code }, 'the index of sessions could not be made again') })
  child.once('error', (error) => log.warn({ error: error.message }, 'the index of sessions could not be made again'))
  child.send({ store, recordings: join(data, 'recordings'), keys: openSealKeys(join(data, 'keys')), bootedAtMs: BOOTED_AT_MS })
  return () => { child.kill('SIGKILL') }
}
