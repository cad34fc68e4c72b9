// `sluice policy test`: a file of examples, each a person, a resource, a statement and what must come of it, judged as a gateway would.
import { z } from 'zod'
import { loadConfig } from '../config.ts'
import { explainOffline } from '../main.ts'
import { CommandFailed, type Given } from './command.ts'
import { json, line } from './output.ts'
import { readYaml } from './yaml-file.ts'

const example = z.strictObject({
  name: z.string().optional(),
  as: z.strictObject({ subject: z.string(), groups: z.array(z.string()).default([]), issuer: z.string().default('any'), agent: z.boolean().default(false) }),
  on: z.string(),
  sql: z.string(),
  expect: z.enum(['allow', 'deny', 'review']),
  /** Of the rule that decides: its name, or `policy/name`. */
  rule: z.string().optional(),
})
const EXAMPLES_MAX = 10_000

export async function runExamples(given: Given, configFile: string, file: string): Promise<number> {
  const read = z.array(example).max(EXAMPLES_MAX).safeParse(readYaml(file))
  if (!read.success) throw new CommandFailed(`${file}: ${read.error.issues.map(({ path, message }) => `${path.join('.') || 'a list of examples'}: ${message}`).join('; ')}`)
  const config = loadConfig(configFile, process.env)
  const results: { name: string; ok: boolean; got: string; rule: string | null; wanted: string }[] = []
  for (const one of read.data) {
    const explained = await explainOffline(config, one.as, one.on, one.sql)
    const { judgement } = explained
    const got = judgement === null || !explained.opens ? 'deny' : judgement.kind
    const rule = judgement?.rule ?? null
    results.push({ name: one.name ?? `${one.as.subject}: ${one.sql.slice(0, 60)}`, ok: got === one.expect && (one.rule === undefined || isCalled(rule, one.rule)), got, rule, wanted: `${one.expect}${one.rule === undefined ? '' : ` by ${one.rule}`}` })
  }
  const failed = results.filter(({ ok }) => !ok)
  if (given.json) json({ passed: results.length - failed.length, failed: failed.length, results })
  else {
    for (const { name, got, rule, wanted } of failed) line(`FAIL ${name}: ${got}${rule === null ? '' : ` by ${rule}`}, wanted ${wanted}`)
    line(`${results.length - failed.length} passed, ${failed.length} failed`)
  }
  if (failed.length > 0) throw new CommandFailed(`${failed.length} of ${results.length} examples came out otherwise`)
  return 0
}

function isCalled(rule: string | null, name: string): boolean { return rule === name || rule?.endsWith(`/${name}`) === true }
