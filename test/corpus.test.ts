// The corpus of attacks and of benign statements, whole, through a real gateway in front of a real server. A case that is not yet
// stopped stands in corpus-open.json with its reason, and only cases of categories that may wait may stand there.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { CORPUS, type CorpusResult, corpusYaml, runCorpus, startCorpusServer } from './servers/corpus.ts'
import { startIssuer, startTestGateway } from './servers/gateway.ts'
import type { Version } from './servers/postgres.ts'

interface Case { readonly file: string; readonly id: string; readonly category: string; readonly expect: string; readonly accept: readonly string[] }
const FILES = ['pg.jsonl', 'attack.jsonl', 'protocol.jsonl']
const cases = FILES.flatMap((file) => readFileSync(`${CORPUS}${file}`, 'utf8').trim().split('\n').map((line): Case => ({ ...JSON.parse(line) as Omit<Case, 'file'>, file })))
const OPEN = JSON.parse(readFileSync(new URL('./corpus-open.json', import.meta.url), 'utf8')) as Readonly<Record<string, string>>
/** Categories whose cases may be open for now, each with a reason. */
const MAY_BE_OPEN = new Set(['aggregate', 'lineage', 'encoding', 'derived-storage', 'sql-in-string', 'catalog', 'cursor', 'saml'])
/** The first file is run on every version; the others on 15, and of the newest what depends on the server's own ways. `SLUICE_CORPUS=15` is 15 alone, `all` all of them on all. */
const VERSIONS: readonly Version[] = process.env.SLUICE_CORPUS === '15' ? [15] : [14, 15, 16, 17, 18]
const OWN_WAYS = /benign|extended|copy|framing/
const runsOn = (version: Version, { file, category }: Case) => file === 'pg.jsonl' || version === 15 || process.env.SLUICE_CORPUS === 'all' || (version === 18 && file === 'protocol.jsonl' && OWN_WAYS.test(category))
/** psql's questions to a server of 15 name a catalog that 14 does not have. */
const NOT_ON: Readonly<Record<number, ReadonlySet<string>>> = { 14: new Set(['pg-benign-02']) }
/** Servers side by side: most of the time is waiting, to see that an answer is held. */
const SHARDS = 3
/** Silence after which the runner counts a statement as held. */
const PATIENT_SECONDS = 10
const HOLD_SECONDS = Number(process.env.SLUICE_HOLD ?? 3)
/** The runner calls these `allowed` whatever a gateway does, for the client is gone before any answer: their effect is what counts. */
const BY_EFFECT = new Set(['pg-framing-30'])
const only = process.env.SLUICE_ONLY === undefined ? null : new RegExp(process.env.SLUICE_ONLY)

async function shard(version: Version, list: readonly Case[], holdSeconds = HOLD_SECONDS): Promise<CorpusResult[]> {
  if (list.length === 0) return []
  const [server, issuer] = await Promise.all([startCorpusServer(version), startIssuer()])
  try {
    const gateway = await startTestGateway(corpusYaml('sluice.yaml', { 'http://127.0.0.1:8999': issuer.url, '127.0.0.1:55991': `127.0.0.1:${server.port}` }), { workers: 2 })
    try {
      const results: CorpusResult[] = []
      for (const file of FILES) {
        const ids = list.filter((c) => c.file === file).map((c) => c.id)
        if (ids.length === 0) continue
        const done = await runCorpus('run_pg.py', ['gateway', `${CORPUS}${file}`, '--target', `127.0.0.1:${gateway.port}`, '--issuer', issuer.url, '--hold', String(holdSeconds), '--only', `^(${ids.join('|')})$`], { PGPORT: String(server.port) })
        results.push(...done.results)
      }
      assert.doesNotMatch(gateway.log(), /uncaught|a session failed|INTERNAL/, 'the gateway had errors of its own')
      return results
    } catch (error) { throw new Error(`${error instanceof Error ? error.message : String(error)}\nthe gateway's log ends:\n${gateway.log().slice(-3_000)}`) } finally { await gateway.stop() }
  } finally { issuer.stop(); await server.stop() }
}
async function runAll(version: Version, list: readonly Case[]): Promise<CorpusResult[]> {
  const parts = Array.from({ length: SHARDS }, (_, part) => list.filter((_, index) => index % SHARDS === part))
  return (await Promise.allSettled(parts.map((part) => shard(version, part)))).flatMap((done) => { if (done.status === 'rejected') throw done.reason; return done.value })
}

test('only cases of categories that may wait are open, each with a reason', () => {
  const wrong = Object.entries(OPEN).filter(([id, reason]) => { const found = cases.find((c) => c.id === id); return found === undefined || !MAY_BE_OPEN.has(found.category) || reason.length < 10 })
  assert.deepEqual(wrong, [])
})

describe('the corpus through a gateway', () => {
  for (const version of VERSIONS) {
    const list = cases.filter((c) => NOT_ON[version]?.has(c.id) !== true && (only === null || only.test(c.id)) && runsOn(version, c))
    if (list.length === 0) continue
    test(`${list.length} cases come out as they must on PostgreSQL ${version}`, async () => {
      const started = Date.now()
      const first = await runAll(version, list)
      // What a busy machine held up looks like a review to the runner: asked again alone, with more patience.
      const slow = new Set(first.filter((r) => r.ok !== true && r.got === 'approval').map((r) => r.id))
      const again = await shard(version, list.filter((c) => slow.has(c.id)), PATIENT_SECONDS)
      const results = first.map((r) => again.find((a) => a.id === r.id) ?? r)
      console.log(JSON.stringify({ test: 'corpus', version, n: results.length, passed: results.filter((r) => r.ok).length, seconds: Math.round((Date.now() - started) / 1000) }))
      assert.equal(results.length, list.length)
      const failed = results.filter((r) => r.ok !== true && OPEN[r.id] === undefined && !(BY_EFFECT.has(r.id) && (r.problems ?? []).every((p) => p.startsWith('outcome allowed')))).map((r) => `${r.id}: expected ${r.expect}, got ${String(r.got)}: ${(r.problems ?? []).join('; ')}`)
      assert.deepEqual(failed, [])
    })
  }
})
