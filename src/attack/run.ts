// Runs the cases against whatever speaks PostgreSQL, one connection for each, everything it does undone, and looks at every byte that came
// back. It knows nothing of what stands in between, so it tries Sluice, another gateway and a bare server alike.
import pg from 'pg'
import { BENIGN, type Case, CASES_SCHEMA, USABLE } from './cases.ts'
import { CLEAR, FIRST_VALUES, OTHER_VALUES, PLANT, PLANT_NEEDED, plantedForms } from './plant.ts'

export type Outcome = 'stopped' | 'leaked' | 'works' | 'refused' | 'changed' | 'not tried'
export interface Result { readonly id: string; readonly category: string; readonly outcome: Outcome; readonly why: string; readonly statements: readonly string[] }
export interface Target { connect(): Promise<pg.Client>; /** Out of band, as the owner: plants, clears, and says what a benign answer is. */ owner(): Promise<pg.Client> }
export class AttackFailed extends Error {}

const CASE_TIMEOUT_MS = 15_000
const REASON_CHARACTERS_MAX = 160

export async function attack(target: Target, cases: readonly Case[], tell: (result: Result) => void): Promise<readonly Result[]> {
  const owner = await target.owner()
  const results: Result[] = []
  try {
    const missing = await plant(owner)
    const forms = plantedForms()
    for (const one of cases) {
      const result = missing.some((name) => one.statements.some((text) => text.includes(name))) ? { ...about(one), outcome: 'not tried' as const, why: 'what it needs could not be made' } : await runCase(one, target, owner, forms)
      results.push(result)
      tell(result)
    }
    return results
  } finally {
    await owner.query('ROLLBACK').catch(() => {})
    await owner.query(CLEAR).catch(() => {})
    await owner.end().catch(() => {})
  }
}

/** Names of what could not be made. */
async function plant(owner: pg.Client): Promise<readonly string[]> {
  const missing: string[] = []
  await owner.query(CLEAR).catch(() => {})
  for (const [index, text] of PLANT.entries()) {
    try { await owner.query(text) } catch (error) {
      if (index < PLANT_NEEDED) throw new AttackFailed(`the schema ${CASES_SCHEMA} can't be made: ${wordsOf(error)}`)
      missing.push(/(?:VIEW|FUNCTION) \w+\.(\w+)/.exec(text)?.[1] ?? text)
    }
  }
  return missing
}

const about = ({ id, category, statements }: Case) => ({ id, category, statements })

async function runCase(one: Case, target: Target, owner: pg.Client, forms: readonly Buffer[]): Promise<Result> {
  const said = await conversation(one, one.statements, target)
  if (said.broken !== null && said.bytes.length === 0) return { ...about(one), outcome: 'not tried', why: said.broken }
  const leaked = forms.find((form) => said.bytes.includes(form))
  if (leaked !== undefined) return { ...about(one), outcome: 'leaked', why: `a planted value came back (${leaked.length} bytes of it)` }
  if (one.category === USABLE) return said.error === null ? { ...about(one), outcome: 'works', why: '' } : { ...about(one), outcome: 'refused', why: said.error }
  if (one.category === BENIGN) return judgeBenign(one, said, await asOwner(one, owner))
  if (one.otherwise !== undefined) {
    const other = await conversation(one, one.otherwise, target)
    if (said.seen.join('\n') !== other.seen.join('\n') && await dependsOnValues(one, said, target, owner)) return { ...about(one), outcome: 'leaked', why: 'a right and a wrong guess are answered differently' }
  }
  return { ...about(one), outcome: 'stopped', why: said.error ?? 'answered without it' }
}
/** A guess may also differ from another in how it compares with a mask. Then the answer stays the same when the values themselves change. */
async function dependsOnValues(one: Case, said: Conversation, target: Target, owner: pg.Client): Promise<boolean> {
  await owner.query(OTHER_VALUES)
  try { return (await conversation(one, one.statements, target)).seen.join('\n') !== said.seen.join('\n') } finally { await owner.query(FIRST_VALUES) }
}
function judgeBenign(one: Case, said: Conversation, expected: readonly string[]): Result {
  if (said.error !== null) return { ...about(one), outcome: 'refused', why: said.error }
  const same = said.seen.join('\n') === expected.join('\n')
  return { ...about(one), outcome: same ? 'works' : 'changed', why: same ? '' : 'the answer is not what the owner gets' }
}

interface Conversation { readonly bytes: Buffer; readonly seen: readonly string[]; readonly error: string | null; readonly broken: string | null }
async function conversation(one: Case, statements: readonly string[], target: Target): Promise<Conversation> {
  const chunks: Buffer[] = [], seen: string[] = []
  let error: string | null = null, broken: string | null = null
  let client: pg.Client | null = null
  const timer = setTimeout(() => { broken = `no answer within ${CASE_TIMEOUT_MS / 1_000} s`; void client?.end() }, CASE_TIMEOUT_MS)
  try {
    client = await target.connect()
    const { stream } = (client as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection
    await client.query(`SET search_path = ${CASES_SCHEMA}, public`)
    stream.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)))
    await client.query('BEGIN')
    for (const [index, text] of statements.entries()) {
      try { seen.push(...await ask(client, text, one.values?.[index] ?? null, one.protocol)) } catch (failed) {
        error ??= wordsOf(failed)
        // What a refusal is called may hold a number of its own.
        seen.push(`error ${(failed as { code?: string }).code ?? ''}`)
        if (broken !== null) break
      }
    }
    await client.query('ROLLBACK').catch(() => {})
  } catch (failed) { broken ??= wordsOf(failed) } finally {
    clearTimeout(timer)
    await client?.end().catch(() => {})
  }
  return { bytes: Buffer.concat(chunks), seen, error: error ?? broken, broken }
}
async function asOwner(one: Case, owner: pg.Client): Promise<readonly string[]> {
  const seen: string[] = []
  await owner.query('BEGIN')
  try {
    await owner.query(`SET LOCAL search_path = ${CASES_SCHEMA}, public`)
    for (const [index, text] of one.statements.entries()) seen.push(...await ask(owner, text, one.values?.[index] ?? null, one.protocol))
  } catch (error) { seen.push(`error ${(error as { code?: string }).code ?? ''}`) } finally { await owner.query('ROLLBACK').catch(() => {}) }
  return seen
}

async function ask(client: pg.Client, text: string, values: readonly (string | null)[] | null, protocol: Case['protocol']): Promise<string[]> {
  const config = { text, rowMode: 'array' as const, types: { getTypeParser: () => (value: string | Buffer) => (typeof value === 'string' ? value : value.toString('hex')) }, ...(values === null ? {} : { values: [...values] }), ...(protocol === undefined ? {} : { queryMode: 'extended' }), ...(protocol === 'binary' ? { binary: true } : {}) }
  const answer = await client.query(config as pg.QueryArrayConfig) as unknown as pg.QueryArrayResult | pg.QueryArrayResult[]
  return (Array.isArray(answer) ? answer : [answer]).map((result) => JSON.stringify([result.command, result.rowCount, result.fields?.map((field) => field.name), result.rows]))
}
function wordsOf(error: unknown): string {
  const { message, code, detail } = error as { message?: string; code?: string; detail?: string }
  return [code, message, detail].filter(Boolean).join(' ').slice(0, REASON_CHARACTERS_MAX)
}
