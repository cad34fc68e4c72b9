// `sluice sessions`: what is open and was, its record read, followed, replayed and exported, and its end.
import { createWriteStream } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { AnswerReader, shown } from './answers.ts'
import type { RecordEvent, SessionView } from '../api/schema.ts'
import { type Client, openClient, reason } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { durationMs } from './duration.ts'
import { inert, line, show, table, time } from './output.ts'

const INDENT = ' '.repeat(21)

export const command: Command = {
  usage: 'sessions [list] [--open] [--resource NAME] [--subject WHO] [--column SCHEMA.TABLE.COLUMN] [--since 24h] [--json]\nsessions show|replay|tail|cancel|kill ID\nsessions kill --identity WHO [--issuer NAME]\nsessions export ID [--output FILE]',
  options: { open: { type: 'boolean' }, resource: { type: 'string' }, subject: { type: 'string' }, column: { type: 'string' }, since: { type: 'string' }, identity: { type: 'string' }, issuer: { type: 'string' }, output: { type: 'string', short: 'o' } },
  async run(given) {
    const [verb = 'list', id, ...more] = given.words
    const byIdentity = verb === 'kill' && given.text('identity') !== undefined
    if (more.length > 0 || (verb === 'list' || byIdentity) !== (id === undefined)) throw misused(command)
    const client = await openClient(given)
    const path = `/api/sessions/${encodeURIComponent(id ?? '')}`
    switch (verb) {
      case 'list': return list(client, given)
      case 'show': return showOne(client, given, path)
      case 'replay': return replay(client, given, path)
      case 'tail': return tail(client, given, path)
      case 'export': return save(client, given, path, given.text('output') ?? `${id}.sluice`)
      case 'cancel': { show(given, await client.send('POST', `${path}/cancel`), () => line(`cancelled what ${id} was running`)); return }
      case 'kill': return byIdentity ? killIdentity(client, given) : show(given, await client.send('POST', `${path}/kill`), () => line(`ended ${id}`))
      default: throw misused(command)
    }
  },
}

async function list(client: Client, given: Given): Promise<void> {
  const since = given.text('since')
  const query = new URLSearchParams({
    ...(given.flag('open') ? { open: 'true' } : {}), ...(since === undefined ? {} : { since: String(Date.now() - durationMs(since, 0)) }),
    ...Object.fromEntries(['resource', 'subject', 'column'].flatMap((name) => { const value = given.text(name); return value === undefined ? [] : [[name, value]] })),
  })
  show(given, await client.get<SessionView[]>(`/api/sessions?${query}`), (sessions) => table(['ID', 'RESOURCE', 'WHO', 'FROM', 'STARTED', 'ENDED', 'ASKED', 'REFUSED', 'ROWS'],
    sessions.map((session) => [session.session, session.resource, whoOf(session), session.client, time(session.startedAtMs), session.open ? 'open' : time(session.endedAtMs), String(session.statements), String(session.denied), String(session.rows)]), 'no sessions'))
}

async function showOne(client: Client, given: Given, path: string): Promise<void> {
  const session = await client.get<SessionView>(path)
  const events: RecordEvent[] = []
  for await (const event of eventsOf(client, `${path}/events`)) events.push(event)
  show(given, { ...session, events }, () => {
    line(`${session.session}: ${whoOf(session)} on ${session.resource} (${session.database}) from ${session.client}`)
    line(`${time(session.startedAtMs)} to ${session.open ? 'now' : `${time(session.endedAtMs)}: ${inert(session.endedWhy ?? '')}`}`)
    for (const event of events) printEvent(event)
  })
}

async function replay(client: Client, given: Given, path: string): Promise<void> {
  const { protocol } = await client.get<SessionView>(path)
  const readers = new Map<number, AnswerReader>()
  for await (const event of eventsOf(client, `${path}/replay`)) {
    if (given.json) line(JSON.stringify(event))
    else if (event.answer === undefined) printEvent(event)
    else {
      const bytes = Buffer.from(event.answer, 'base64')
      const lines = protocol === 'postgres' ? readerOf(readers, runOf(event)).lines(bytes) : [shown(bytes)]
      line(`${stamp(event)}  answer  of run ${runOf(event)}, ${bytes.length} bytes`)
      for (const text of lines) line(`${INDENT}${text}`)
    }
  }
}

function readerOf(readers: Map<number, AnswerReader>, run: number): AnswerReader {
  const known = readers.get(run)
  if (known !== undefined) return known
  const made = new AnswerReader()
  readers.set(run, made)
  return made
}
function runOf({ body }: RecordEvent): number { return typeof body === 'object' && body !== null && 'run' in body && typeof body.run === 'number' ? body.run : 0 }

/** Until the session closes, or Ctrl-C. */
async function tail(client: Client, given: Given, path: string): Promise<void> {
  const stream = await client.stream(`${path}/tail`)
  let stopped = false
  process.once('SIGINT', () => { stopped = true; stream.destroy() })
  stream.setTimeout(0)
  try {
    for await (const text of linesOf(stream)) {
      if (!text.startsWith('data:')) continue
      const event = JSON.parse(text.slice(5)) as RecordEvent
      if (given.json) line(JSON.stringify(event))
      else printEvent(event)
    }
  } catch (error) { if (!stopped) throw error }
}

async function save(client: Client, given: Given, path: string, file: string): Promise<void> {
  await pipeline(await client.stream(`${path}/export`), createWriteStream(file, { mode: 0o600 }))
  show(given, { file }, () => line(file))
}

async function killIdentity(client: Client, given: Given): Promise<void> {
  const subject = given.text('identity') ?? ''
  const issuer = given.text('issuer') ?? client.profile.issuer?.name
  if (issuer === undefined) throw new CommandFailed('say whose identity it is with --issuer NAME', 2)
  const { ended } = await client.send<{ ended: number }>('POST', '/api/sessions/kill', { issuer, subject })
  show(given, { ended }, () => line(`ended ${ended} sessions of ${subject}`))
}

export async function* eventsOf(client: Client, path: string): AsyncIterable<RecordEvent> {
  for await (const text of linesOf(await client.stream(path))) if (text !== '') yield JSON.parse(text) as RecordEvent
}

/** Throws when the answer ends before its end: what is shown is never a part that looks whole. */
async function* linesOf(stream: IncomingMessage): AsyncIterable<string> {
  stream.setEncoding('utf8')
  let rest = ''
  try {
    for await (const part of stream as AsyncIterable<string>) {
      const lines = (rest + part).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  } catch (error) { throw new CommandFailed(`the gateway's answer was cut short: ${reason(error)}`) }
  if (rest !== '') yield rest
}

function printEvent(event: RecordEvent): void { line(`${stamp(event)}  ${event.kind.padEnd(7)} ${inert(JSON.stringify(event.body))}`) }
function stamp(event: RecordEvent): string { return `${String(event.sequence).padStart(5)}  ${new Date(event.atMs).toISOString().slice(11, 23)}` }
function whoOf({ subject, onBehalfOf }: SessionView): string { return onBehalfOf === null ? subject : `${subject} for ${onBehalfOf}` }
