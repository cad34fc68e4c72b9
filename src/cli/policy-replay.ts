// `sluice policy replay FILE`: which verdicts of recorded sessions would be others under the policies of that file. Reads the record as an
// auditor does, and changes nothing.
import type { SessionView } from '../api/schema.ts'
import { loadConfig } from '../config.ts'
import { openClient } from './api.ts'
import type { Given } from './command.ts'
import { durationMs } from './duration.ts'
import { inert, json, line } from './output.ts'
import { eventsOf } from './sessions.ts'

const SINCE_MS = 86_400_000
const SESSIONS_MAX = 1_000
const TEXT_CHARACTERS_MAX = 100

export async function replayPolicies(given: Given, file: string, ids: readonly string[]): Promise<number> {
  const { replayOffline, readsFilters } = await import('../main.ts')
  const config = loadConfig(file, process.env, await readsFilters())
  const client = await openClient(given)
  const resource = given.text('resource')
  const query = new URLSearchParams({ since: String(Date.now() - durationMs(given.text('since'), SINCE_MS)), limit: String(SESSIONS_MAX), ...(resource === undefined ? {} : { resource }) })
  const sessions = ids.length > 0 ? ids : (await client.get<SessionView[]>(`/api/sessions?${query}`)).map(({ session }) => session)
  const found: { session: string; run: number; text: string; was: string; wasRule: string; now: string; nowRule: string }[] = []
  let [statements, unread] = [0, 0]
  for (const session of sessions) {
    const replayed = await replayOffline(config, session, eventsOf(client, `/api/sessions/${encodeURIComponent(session)}/events`))
    statements += replayed.statements
    unread += replayed.unread
    for (const one of replayed.changed) found.push({ session, ...one })
  }
  if (given.json) json({ sessions: sessions.length, statements, unread, changed: found })
  else {
    for (const { session, run, text, was, wasRule, now, nowRule } of found) line(`${session} run ${run}: ${was} by ${inert(wasRule)} → ${now} by ${inert(nowRule)}: ${inert(text).replaceAll(/\s+/g, ' ').slice(0, TEXT_CHARACTERS_MAX)}`)
    line(`${found.length} of ${statements} verdicts in ${sessions.length} sessions would be others${unread === 0 ? '' : `; ${unread} could not be read`}`)
  }
  return 0
}
