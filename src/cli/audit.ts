// `sluice audit verify`: whether the record is whole: at the gateway by an auditor, or from its files, with the heads kept elsewhere.
import { createPublicKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import type { adminEventSchema, Verification } from '../api/schema.ts'
import { loadConfig } from '../config.ts'
import { recordOpener, verifyFolder, type Verification as FolderVerification } from '../store/record/index.ts'
import { openClient } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { inert, line, show, table, time } from './output.ts'

export const command: Command = {
  usage: 'audit verify [--json]\naudit verify --config sluice.yaml\naudit verify DATA-FOLDER [--heads FOLDER] [--key record.pub.pem]\naudit events [--json]',
  options: { config: { type: 'string', short: 'c' }, heads: { type: 'string' }, key: { type: 'string' } },
  async run(given) {
    const [verb, folder, ...more] = given.words
    if (more.length > 0) throw misused(command)
    if (verb === 'verify' && (folder !== undefined || given.text('config') !== undefined)) return offline(given, folder)
    if (verb === 'verify') return atGateway(given)
    if (verb === 'events' && folder === undefined) return events(given)
    throw misused(command)
  },
}

async function atGateway(given: Given): Promise<number> {
  const client = await openClient(given)
  const verified = await client.get<Verification>('/api/audit/verify')
  show(given, verified, ({ ok, unsealed, events: count, bytes }) => {
    if (ok) line(`the record is whole: ${count} batches, ${bytes} bytes`)
    for (const one of unsealed) line(`not sealed yet: ${inert(one)}`)
  })
  const { firstBad } = verified
  if (!verified.ok) throw new CommandFailed(`the record is NOT WHOLE: ${inert(firstBad?.file ?? '')}${firstBad?.session == null ? '' : `, after event ${firstBad.sequence} of session ${firstBad.session}`}: ${inert(firstBad?.why ?? 'unknown')}`)
  return 0
}

/** The key that stands beside the record proves nothing against whoever could write both: --key takes one kept elsewhere. */
function offline(given: Given, folder: string | undefined): number {
  const file = given.text('config')
  const gateway = file === undefined ? null : loadConfig(file, process.env).gateway
  const data = folder ?? gateway?.data ?? ''
  const heads = given.text('heads') ?? gateway?.heads ?? null
  const key = given.text('key') ?? join(data, 'keys', 'record.pub.pem')
  const recordings = join(data, 'recordings')
  if (!existsSync(recordings)) throw new CommandFailed(`there is no record in ${data} (no folder ${recordings})`)
  if (!existsSync(key)) throw new CommandFailed(`the public key that signs the record is not at ${key}: say where with --key`)
  const verified = verifyFolder(recordings, heads, createPublicKey(readFileSync(key)), recordOpener(join(data, 'keys')))
  show(given, verified, print)
  if (!verified.ok) throw new CommandFailed(`the record is NOT WHOLE: ${placeOf(verified.bad[0])}${verified.bad.length > 1 ? ` (and ${verified.bad.length - 1} more)` : ''}`)
  return 0
}

function print(verified: FolderVerification): void {
  for (const bad of verified.bad) line(`NOT WHOLE: ${placeOf(bad)}`)
  for (const { log, why } of verified.unsealed) line(`not sealed: ${inert(log)}: ${why}`)
  line(`${verified.ok ? 'whole' : 'not whole'}: ${verified.sessions} sessions, ${verified.events} events, ${verified.bytes} bytes in ${verified.segments} files, ${verified.signedHeads} signed heads`)
}

function placeOf(bad: FolderVerification['bad'][number] | undefined): string {
  if (bad === undefined) return 'no place is known'
  const { log, segment, batch, after, why } = bad
  return `${inert(log)}${segment === null ? '' : ` segment ${segment}`}${batch === null ? '' : ` batch ${batch}`}${after === null ? '' : `, after event ${after.sequence} of session ${inert(after.session)}`}: ${why}`
}

async function events(given: Given): Promise<void> {
  const client = await openClient(given)
  show(given, await client.get<z.infer<typeof adminEventSchema>[]>('/api/audit/events'), (list) => table(['WHEN', 'WHO', 'WHAT', 'ON'], list.map((event) => [time(event.atMs), event.actor, event.action, event.subject]), 'no admin events'))
}
