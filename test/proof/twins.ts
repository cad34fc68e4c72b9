// Runs scripts on both twins through Sluice, and what names nothing masked on the bare server too, and compares every byte a client received.
import type { RawClient, Message } from '../postgres/client.ts'
import { fields } from '../postgres/client.ts'
import { random } from '../postgres/conversations.ts'
import { MemoryShelf, openBare, openTestSession, type TestSession } from '../postgres/session.ts'
import type { TestServer } from '../servers/postgres.ts'
import { marks, policies, STORED } from './schema.ts'
import { script, type Script, type Sent } from './scripts.ts'

export interface Finding { readonly kind: 'difference' | 'mark' | 'bare' | 'ended'; readonly seed: number; readonly script: Script; readonly at: string; readonly a: string; readonly b: string }
export interface Tally {
  statements: number
  /** Answered with rows or a tag. */
  ran: number
  failed: number
  refused: number
  /** Statements that name nothing masked and that the bare server runs, and how many of them Sluice refused. */
  benign: number
  benignRefused: number
  /** Rows in another order than the bare server's, where the statement asks for none, or than the other twin's, where lengths differ and the plans with them. */
  reordered: number
  readonly refusals: Map<string, number>
  readonly kinds: Map<string, number>
  readonly findings: Finding[]
}
export const newTally = (): Tally => ({ statements: 0, ran: 0, failed: 0, refused: 0, benign: 0, benignRefused: 0, reordered: 0, refusals: new Map(), kinds: new Map(), findings: [] })

/** Scripts sent in one write. */
const BATCH = 8
/** Batches after which the sessions begin anew, so that what one leaves does not last. */
const SESSION_BATCHES = 40
const PATIENCE_MS = 60_000
/** The time limit came first: how far an answer got by then is chance. */
const CUT_OFF = /^(57014|40P01|55P03)$/
const CLEAN = ['ROLLBACK', 'DISCARD ALL']

export interface Lane { readonly wide: boolean; a: TestSession; b: TestSession; bare: RawClient; close(): Promise<void> }
export async function openLane(server: TestServer, lane: number, wide: boolean, shelves: readonly [MemoryShelf, MemoryShelf], user: string): Promise<Lane> {
  const settings = { statement_timeout: '5s' }
  const [a, b, bare] = await Promise.all([
    openTestSession(server, { policies: policies(), database: `a${lane}`, user, shelf: shelves[0], settings }), openTestSession(server, { policies: policies(), database: `b${lane}`, user, shelf: shelves[1], settings }),
    openBare(server, { database: `c${lane}`, user, settings }),
  ])
  return { wide, a, b, bare, async close() { bare.stream.destroy(); await Promise.all([a.end(), b.end()]) } }
}

const marksOf = (wide: boolean) => [marks({ number: 0, wide }), marks({ number: 1, wide })]

interface Answer { readonly messages: readonly Message[]; readonly whole: boolean }
/** Sends all of it and splits what came back by ReadyForQuery: one answer per text. */
async function answers(client: RawClient, sent: readonly Sent[]): Promise<Answer[]> {
  const from = client.seen.length
  const total = sent.reduce((sum, each) => sum + each.readies, 0)
  const had = client.count('Z')
  client.send(...sent.map((each) => each.bytes))
  await client.ready(had + total, PATIENCE_MS)
  const found: Answer[] = []
  let at = from
  for (const each of sent) {
    const messages: Message[] = []
    let left = each.readies
    while (left > 0 && at < client.seen.length) { const one = client.seen[at++]!; messages.push(one); if (one.type === 'Z') left-- }
    found.push({ messages, whole: left === 0 })
  }
  client.seen.length = 0
  return found
}

/** Tables and types made while it runs have ids that differ between databases. */
let lastId = 0
export function sharedIds(last: number): void { lastId = last }
function line(one: Message): string {
  if (one.type !== 'T') return `${one.type}:${one.body.toString('latin1')}`
  const body = Buffer.from(one.body)
  for (let i = 0, at = 2; i < body.readUInt16BE(0); i++) {
    at = body.indexOf(0, at) + 1
    for (const id of [at, at + 6]) if (body.readUInt32BE(id) > lastId) body.writeUInt32BE(0, id)
    at += 18
  }
  return `T:${body.toString('latin1')}`
}
/** A refusal's run number is no answer of the server. */
const normal = (one: Message): string => (one.type === 'E' || one.type === 'N' ? line(one).replace(/\brun \d+/g, 'run N') : line(one))
const readable = (one: Message): string => `${one.type} ${one.type === 'E' || one.type === 'N' ? JSON.stringify(fields(one)) : one.body.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '·')}`
const refusalOf = (answer: Answer): string | null => {
  for (const one of answer.messages) if (one.type === 'E') { const f = fields(one); if (f.C === '42501' && (f.M ?? '').startsWith('refused by Sluice')) return `${f.M} | ${f.D ?? ''}` }
  return null
}
const failedOf = (answer: Answer): string | null => { for (const one of answer.messages) if (one.type === 'E') return fields(one).C ?? '?'; return null }
/** An answer as the bare server's is compared with it: of errors in data only that there was one (which row fails first is the plan's matter), and where Sluice withholds their words by their SQLSTATE. */
function quiet(answer: Answer, withheld: boolean): string[] {
  return answer.messages.filter((one) => one.type !== 'N').map((one) => { if (one.type !== 'E') return line(one); const f = fields(one); return withheld ? `E ${f.C?.replace(/^22.../, '22')}` : f.C?.startsWith('22') === true ? 'E 22' : `E ${f.C} ${f.M?.replace(/".*"/s, '…')} ${f.P ?? ''}` })
}
const withholds = (answer: Answer): boolean => answer.messages.some((one) => { if (one.type !== 'E') return false; const f = fields(one); return (f.H ?? '').includes('withheld') || (f.M ?? '').includes('violates') })

/** Where two answers part, with a little of what follows. */
const SHOWN = 6
function apart(a: Answer, b: Answer): [string, string] {
  const at = a.messages.findIndex((one, i) => b.messages[i] === undefined || normal(one) !== normal(b.messages[i]))
  const from = at < 0 ? a.messages.length : at
  return [a, b].map((each) => `${each.messages.length} messages, from ${from}: ${each.messages.slice(from, from + SHOWN).map(readable).join('\n')}`) as [string, string]
}

export interface Run { readonly lane: number; readonly wide: boolean; readonly seed: number; readonly until: (tally: Tally) => boolean; readonly user: string; readonly tally: Tally; readonly stopAfter?: number; readonly step?: number; batch?(tally: Tally): void }
export async function runTwins(server: TestServer, shelves: readonly [MemoryShelf, MemoryShelf], run: Run): Promise<void> {
  const { tally } = run
  const found = marksOf(run.wide)
  let number = run.lane
  while (!run.until(tally)) {
    // What was undone lies in the tables, more of it in some than in others: their sizes lead to the plans, and those to the order of rows.
    await Promise.all(['a', 'b', 'c'].map((name) => server.sql(`VACUUM (FULL, ANALYZE) ${STORED.join(', ')}`, `${name}${run.lane}`)))
    const lane = await openLane(server, run.lane, run.wide, shelves, run.user)
    try {
      for (let batch = 0; batch < SESSION_BATCHES && !run.until(tally); batch++) {
        const scripts: { seed: number; script: Script }[] = []
        for (let i = 0; i < BATCH; i++, number += run.step ?? 1) scripts.push({ seed: run.seed + number, script: script(random(run.seed + number)) })
        const alive = await runBatch(lane, scripts, tally, found)
        run.batch?.(tally)
        if (!alive) break
      }
    } finally { await lane.close() }
    if (tally.findings.length >= (run.stopAfter ?? 50)) return
  }
}

/** Scripts of a test's own: what they tell is told alike, and none of it is hidden. */
export async function runScripts(lane: Lane, scripts: readonly Script[]): Promise<Tally> {
  const tally = newTally()
  await runBatch(lane, scripts.map((each, seed) => ({ seed, script: each })), tally, marksOf(lane.wide))
  return tally
}
async function runBatch(lane: Lane, scripts: readonly { seed: number; script: Script }[], tally: Tally, found: readonly Buffer[][]): Promise<boolean> {
  const sent = [...scripts.flatMap(({ script: each }) => each.sent), ...CLEAN.map((text) => scriptless(text))]
  const benign = scripts.filter(({ script: each }) => each.benign)
  const bareSent = [...benign.flatMap(({ script: each }) => each.sent), ...CLEAN.map((text) => scriptless(text))]
  const [one, two, bare] = await Promise.all([answers(lane.a.client, sent), answers(lane.b.client, sent), answers(lane.bare, bareSent)])
  let at = 0, bareAt = 0
  for (const { seed, script: each } of scripts) {
    tally.kinds.set(each.kind, (tally.kinds.get(each.kind) ?? 0) + 1)
    let told = false
    const report = (kind: Finding['kind'], text: string, a: string, b: string) => { if (!told) tally.findings.push({ kind, seed, script: each, at: text, a, b }); told = true }
    let inStep = true, cut = false
    for (const statement of each.sent) {
      const a = one[at]!, b = two[at]!
      at++
      tally.statements++
      if (!a.whole || !b.whole) { report('ended', statement.text, a.messages.map(readable).join('\n'), [...b.messages.map(readable), ...lane.a.failures.map(String), ...lane.b.failures.map(String)].join('\n')); return false }
      const refusal = refusalOf(a)
      if (refusal !== null) { tally.refused++; const why = refusal.replace(/^refused by Sluice: rule /, '').replace(/\brun \d+/g, '').replace(/public\.\w+(\.\w+)?/g, '…').slice(0, 150); tally.refusals.set(why, (tally.refusals.get(why) ?? 0) + 1) } else if (failedOf(a) !== null) tally.failed++
      else tally.ran++
      if (CUT_OFF.test(failedOf(a) ?? '') || CUT_OFF.test(failedOf(b) ?? '')) cut = true
      if (cut) { if (each.benign) bareAt++; continue }
      const left = a.messages.map(normal), right = b.messages.map(normal)
      if (left.join() !== right.join() && lane.wide && [...left].sort().join() === [...right].sort().join()) tally.reordered++
      else if (left.join() !== right.join()) report('difference', statement.text, ...apart(a, b))
      for (const [twin, answer] of [[0, a], [1, b]] as const) {
        const bytes = Buffer.concat(answer.messages.map((message) => message.body))
        const mark = found[twin]!.find((m) => bytes.includes(m))
        if (mark !== undefined) report('mark', statement.text, `${mark}`, answer.messages.map(readable).join('\n'))
      }
      if (!each.benign) continue
      const c = bare[bareAt++]!
      if (failedOf(c) === null && inStep) {
        tally.benign++
        if (refusal !== null) { tally.benignRefused++; inStep = false; const why = `BENIGN: ${refusal.replace(/\brun \d+/g, '')}`; tally.refusals.set(why, (tally.refusals.get(why) ?? 0) + 1); continue }
      }
      if (!inStep || CUT_OFF.test(failedOf(c) ?? '')) continue
      if (refusal !== null) { inStep = false; continue }
      const withheld = withholds(a), should = quiet(c, withheld), is = quiet(a, withheld)
      if (should.join() !== is.join() && !/ LIMIT (?!ALL|NULL)/.test(statement.text) && [...should].sort().join() === [...is].sort().join()) { tally.reordered++; continue }
      if (should.length !== is.length || should.some((text, i) => text !== is[i])) { report('bare', statement.text, ...apart({ ...a, messages: a.messages.filter((one) => one.type !== 'N') }, c)); inStep = false }
    }
  }
  return true
}
function scriptless(text: string): Sent { return { text, bytes: Buffer.concat([Buffer.from('Q'), (() => { const b = Buffer.alloc(4); b.writeInt32BE(text.length + 5); return b })(), Buffer.from(`${text}\0`)]), readies: 1 } }
