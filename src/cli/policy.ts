// `sluice policy`: check a sluice.yaml without a gateway, run a file of examples against it, ask why a statement would be judged so.
import { loadConfig } from '../config.ts'
import { ConfigErrors } from '../core/errors.ts'
import { openClient } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { json, line, show } from './output.ts'

export const command: Command = {
  usage: 'policy check [FILE] [--json]\npolicy test EXAMPLES [--config sluice.yaml] [--json]\npolicy explain RESOURCE SQL [--config FILE --subject WHO --groups a,b [--issuer NAME] [--agent]] [--json]\npolicy replay FILE [SESSION…] [--since 24h] [--resource NAME] [--json]',
  options: { config: { type: 'string', short: 'c' }, subject: { type: 'string' }, groups: { type: 'string' }, issuer: { type: 'string' }, agent: { type: 'boolean' }, since: { type: 'string' }, resource: { type: 'string' } },
  async run(given) {
    const [verb, ...words] = given.words
    if (verb === 'check' && words.length <= 1) return check(given, words[0] ?? given.text('config') ?? 'sluice.yaml')
    if (verb === 'test' && words.length === 1) return (await import('./policy-examples.ts')).runExamples(given, given.text('config') ?? 'sluice.yaml', words[0]!)
    if (verb === 'explain' && words.length === 2) return explain(given, words[0]!, words[1]!)
    if (verb === 'replay' && words.length >= 1) return (await import('./policy-replay.ts')).replayPolicies(given, words[0]!, words.slice(1))
    throw misused(command)
  },
}

/** All mistakes at once, each with its line; warnings do not fail it. */
async function check(given: Given, file: string): Promise<number> {
  const mistakes: { level: string; message: string }[] = []
  try {
    const { readsFilters } = await import('../main.ts')
    const config = loadConfig(file, process.env, await readsFilters())
    for (const { where, message } of config.warnings) mistakes.push({ level: 'warning', message: `${where}: ${message}` })
  } catch (error) {
    if (!(error instanceof ConfigErrors)) throw error
    for (const { message } of error.list) mistakes.push({ level: 'error', message })
  }
  const errors = mistakes.filter(({ level }) => level === 'error').length
  if (given.json) json({ ok: errors === 0, findings: mistakes })
  else {
    for (const { level, message } of mistakes) (level === 'error' ? process.stderr : process.stdout).write(`${level}: ${message}\n`)
    if (errors === 0) line(`${file} is good`)
  }
  return errors === 0 ? 0 : 1
}

/** With --config from the file, for anyone; else at the gateway, for oneself or as an admin for others. */
async function explain(given: Given, resource: string, statement: string): Promise<void> {
  const [file, subject, issuer] = [given.text('config'), given.text('subject'), given.text('issuer')]
  const groups = (given.text('groups') ?? '').split(',').filter(Boolean)
  const as = subject === undefined ? undefined : { subject, groups, issuer: issuer ?? 'any', agent: given.flag('agent') }
  if (file !== undefined) {
    if (as === undefined) throw new CommandFailed('say for whom: --subject WHO --groups a,b', 2)
    const { explainOffline } = await import('../main.ts')
    show<Explained>(given, await explainOffline(loadConfig(file, process.env), as, resource, statement), print)
    return
  }
  const client = await openClient(given)
  const foreign = as === undefined ? undefined : { ...as, issuer: issuer ?? client.profile.issuer?.name ?? '' }
  show(given, await client.send<Explained>('POST', '/api/policies/explain', { resource, statement, ...(foreign === undefined ? {} : { as: foreign }) }), print)
}

export interface Explained {
  readonly opens: boolean
  readonly judgement: { readonly kind: string; readonly rule?: string; readonly message?: string | null } | null
  readonly policies: readonly { readonly policy: string; readonly at: string; readonly matches: boolean; readonly why: string; readonly rules: readonly { readonly rule: string; readonly kind: string; readonly applies: boolean; readonly why: string }[] }[]
}
function print(explained: Explained): void {
  const { judgement } = explained
  line(judgement === null ? (explained.opens ? 'may be opened' : 'no policy lets it be opened') : `${judgement.kind}${judgement.rule === undefined ? '' : ` by ${judgement.rule}`}${judgement.message == null ? '' : `: ${judgement.message}`}`)
  for (const policy of explained.policies) {
    line(`${policy.matches ? '+' : '-'} ${policy.policy} (${policy.at}): ${policy.why}`)
    for (const rule of policy.rules) line(`    ${rule.applies ? '+' : '-'} ${rule.kind} ${rule.rule}: ${rule.why}`)
  }
}
