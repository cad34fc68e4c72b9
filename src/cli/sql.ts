// `sluice sql RESOURCE`: a small client for those without one. Prints aligned rows, or JSON for agents; notices (a review waits) go to
// stderr; values of others can't change the terminal.
import { createInterface } from 'node:readline/promises'
import pg from 'pg'
import { openClient, reason, trustOf } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { inert, json, line, note } from './output.ts'
import type { Profile } from './profile.ts'

const CONNECT_TIMEOUT_MS = 15_000
const CELL_CHARACTERS_MAX = 2_000

export const command: Command = {
  usage: 'sql RESOURCE [-c SQL] [--json]',
  options: { command: { type: 'string', short: 'c' } },
  async run(given) {
    const [resource, ...more] = given.words
    if (resource === undefined || more.length > 0) throw misused(command)
    const { profile } = await openClient(given)
    const client = await open(profile, resource)
    try {
      const text = given.text('command') ?? (process.stdin.isTTY ? null : await readAll())
      if (text !== null) return await run(client, text, given) ? 0 : 1
      await converse(client, given, resource)
      return 0
    } finally { await client.end().catch(() => {}) }
  },
}

async function open(profile: Profile, resource: string): Promise<pg.Client> {
  if (profile.postgres === null) throw new CommandFailed('the gateway has no PostgreSQL listener')
  const client = new pg.Client({
    ...profile.postgres, database: resource, user: 'sluice', password: profile.token, application_name: 'sluice sql', connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ssl: trustOf(profile), types: { getTypeParser: () => (value: string) => value },
  })
  client.on('error', () => {})
  client.on('notice', (notice) => note(`${notice.severity ?? 'NOTICE'}: ${inert(notice.message ?? '')}${notice.detail === undefined ? '' : `\n  ${inert(notice.detail)}`}${notice.hint === undefined ? '' : `\n  ${inert(notice.hint)}`}`))
  try { await client.connect() } catch (error) { throw new CommandFailed(told(error)) }
  return client
}

/** False when the server or Sluice refused it. */
async function run(client: pg.Client, text: string, given: Given): Promise<boolean> {
  const cancel = () => { void client.end() }
  process.once('SIGINT', cancel)
  try {
    const answer = await client.query({ text, rowMode: 'array' }) as unknown as pg.QueryArrayResult<(string | null)[]> | pg.QueryArrayResult<(string | null)[]>[]
    const results = Array.isArray(answer) ? answer : [answer]
    if (given.json) json(results.map(({ command: tag, rowCount, fields, rows }) => ({ command: tag, rowCount, columns: fields.map(({ name }) => name), rows })))
    else for (const result of results) print(result)
    return true
  } catch (error) {
    note(told(error))
    return false
  } finally { process.off('SIGINT', cancel) }
}

function print({ command: tag, rowCount, fields, rows }: pg.QueryArrayResult<(string | null)[]>): void {
  if (fields.length === 0) { line(`${tag ?? ''}${rowCount === null ? '' : ` ${rowCount}`}`.trim()); return }
  const cells = [fields.map(({ name }) => name), ...rows.map((row) => row.map((value) => value ?? ''))].map((row) => row.map((cell) => inert(cell).replaceAll('\n', '↵').slice(0, CELL_CHARACTERS_MAX)))
  const widths = fields.map((_, column) => cells.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0))
  cells.forEach((row, index) => {
    line(row.map((cell, column) => ` ${cell.padEnd(widths[column] ?? 0)} `).join('|').trimEnd())
    if (index === 0) line(widths.map((width) => '-'.repeat(width + 2)).join('+'))
  })
  line(`(${rows.length} row${rows.length === 1 ? '' : 's'})`)
}

/** Statements end with a semicolon at the end of a line, as in psql. */
async function converse(client: pg.Client, given: Given, resource: string): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: `${resource}=> ` })
  let text = ''
  lines.prompt()
  for await (const typed of lines) {
    if (text === '' && /^\s*(\\q|exit|quit)\s*;?\s*$/.test(typed)) break
    text += `${typed}\n`
    if (/;\s*$/.test(typed)) { await run(client, text, given); text = '' }
    lines.setPrompt(text.trim() === '' ? `${resource}=> ` : `${resource}-> `)
    lines.prompt()
  }
  lines.close()
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** An error of the server in its own words, with the detail and the hint that say what would be allowed. */
function told(error: unknown): string {
  if (!(error instanceof pg.DatabaseError)) return reason(error)
  const more = [error.detail === undefined ? '' : `\nDETAIL: ${error.detail}`, error.hint === undefined ? '' : `\nHINT: ${error.hint}`].join('')
  return inert(`${error.severity ?? 'ERROR'} ${error.code ?? ''}: ${error.message}${more}`)
}
