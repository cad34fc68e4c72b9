// `sluice attack`: tries the shipped corpus of attacks on a resource, or on anything that speaks PostgreSQL, with planted values in a schema of
// its own, and prints what was stopped. Never prints a value that leaked.
import pg from 'pg'
import { BENIGN, CASES_SCHEMA, readCases, USABLE } from '../attack/cases.ts'
import { HIDDEN_FIELDS } from '../attack/plant.ts'
import { attack, AttackFailed, type Outcome, type Result } from '../attack/run.ts'
import { openClient, reason, trustOf } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { inert, json, line, note } from './output.ts'

const CONNECT_TIMEOUT_MS = 15_000
const LEAKED_STATUS = 1
const NOTHING_TRIED_STATUS = 3
const SHOWN_MAX = 40

export const command: Command = {
  usage: 'attack RESOURCE [--setup postgres://…] [--only TEXT] [--json]\nattack --url postgres://… [--setup postgres://…] [--only TEXT] [--json]',
  options: { url: { type: 'string' }, setup: { type: 'string' }, only: { type: 'string' } },
  async run(given) {
    const [resource, ...more] = given.words
    const url = given.text('url'), setup = given.text('setup'), only = given.text('only')
    if (more.length > 0 || (resource === undefined) === (url === undefined)) throw misused(command)
    const connect = url !== undefined ? () => open({ connectionString: url }) : await throughGateway(given, resource!)
    const cases = readCases().filter(({ id, category }) => only === undefined || id.includes(only) || category.includes(only))
    if (cases.length === 0) throw new CommandFailed(`no case is called ${JSON.stringify(only)}`)
    note(`the policy under test must mask ${HIDDEN_FIELDS.join(', ')}; everything is planted in the schema ${CASES_SCHEMA} and removed again`)
    let results: readonly Result[]
    try {
      results = await attack({ connect, owner: setup === undefined ? connect : () => open({ connectionString: setup }) }, cases, (result) => { if (!given.json && result.outcome === 'leaked') note(`leaked: ${result.id}: ${result.why}`) })
    } catch (error) { throw new CommandFailed(error instanceof AttackFailed ? `${error.message}; give --setup the address of an owner of the database` : reason(error)) }
    const score = scorecard(results)
    if (given.json) json({ score, results })
    else print(score, results)
    if (results.some((result) => result.outcome === 'leaked')) return LEAKED_STATUS
    return score.some((row) => row.stopped + row.works > 0) ? 0 : NOTHING_TRIED_STATUS
  },
}

async function throughGateway(given: Given, resource: string): Promise<() => Promise<pg.Client>> {
  const { profile } = await openClient(given)
  if (profile.postgres === null) throw new CommandFailed('the gateway has no PostgreSQL listener')
  return () => open({ ...profile.postgres, database: resource, user: 'sluice', password: profile.token, ssl: trustOf(profile) })
}
async function open(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({ application_name: 'sluice attack', connectionTimeoutMillis: CONNECT_TIMEOUT_MS, ...config })
  client.on('error', () => {})
  await client.connect()
  return client
}

interface Score { readonly category: string; readonly cases: number; readonly stopped: number; readonly leaked: number; readonly works: number; readonly refused: number; readonly changed: number; readonly notTried: number }
function scorecard(results: readonly Result[]): readonly Score[] {
  return [...new Set(results.map((result) => result.category))].map((category) => {
    const mine = results.filter((result) => result.category === category)
    const count = (outcome: Outcome) => mine.filter((result) => result.outcome === outcome).length
    return { category, cases: mine.length, stopped: count('stopped'), leaked: count('leaked'), works: count('works'), refused: count('refused'), changed: count('changed'), notTried: count('not tried') }
  })
}
function print(score: readonly Score[], results: readonly Result[]): void {
  line(`${'category'.padEnd(20)} cases  stopped  leaked  works  refused  changed  not tried`)
  const row = (s: Score) => line(`${s.category.padEnd(20)} ${[[s.cases, 5], [s.stopped, 8], [s.leaked, 7], [s.works, 6], [s.refused, 8], [s.changed, 8], [s.notTried, 10]].map(([value, width]) => String(value).padStart(width!)).join(' ')}`)
  for (const each of score) row(each)
  const wrong = results.filter((result) => result.outcome === 'leaked' || result.outcome === 'changed' || (result.outcome === 'refused' && (result.category === BENIGN || result.category === USABLE)))
  for (const each of wrong.slice(0, SHOWN_MAX)) line(`${each.outcome}  ${each.id}  ${inert(each.statements.join('; ')).slice(0, 120)}${each.outcome === 'leaked' ? '' : `\n         ${inert(each.why)}`}`)
  if (wrong.length > SHOWN_MAX) line(`… and ${wrong.length - SHOWN_MAX} more: --json shows all`)
}
