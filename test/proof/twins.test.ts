// Non-interference: two databases that differ in masked non-null values alone give a client the same bytes, whatever it says. Statements are
// generated; what names nothing masked must be answered as the bare server does. `SLUICE_STATEMENTS=1000000 SLUICE_SEED=7` for a long run.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryShelf } from '../postgres/session.ts'
import { startPostgres, SUITE_VERSIONS } from '../servers/postgres.ts'
import { makeTwins } from './schema.ts'
import { newTally, runTwins, sharedIds, type Tally } from './twins.ts'

/** The same statements in every run, so that a red build is a change of ours. */
const SEED = Number(process.env.SLUICE_SEED ?? 1)
const STATEMENTS = Number(process.env.SLUICE_STATEMENTS ?? 20_000)
/** Conversations side by side; each takes every third script. */
const LANES = [{ wide: false }, { wide: true }, { wide: false }]
const FINDINGS_MAX = 20
/** A long run says how it goes after so many statements. */
const PROGRESS = 10_000
/** Of benign statements that the bare server runs, how many of a hundred may be refused. It falls as more is understood, and never rises. */
const REFUSED_PERCENT_MAX = 3

for (const version of SUITE_VERSIONS) {
  test(`nothing that a client receives from PostgreSQL ${version} depends on a masked value (seed ${SEED})`, { timeout: 24 * 3_600_000 }, async (t) => {
    const server = await startPostgres({ version })
    const tally = newTally(), started = Date.now()
    let told = 0
    const progress = (now: Tally) => { if (process.env.SLUICE_STATEMENTS !== undefined && now.statements - told >= PROGRESS) { told = now.statements; console.log(`${now.statements} statements, ${now.findings.length} findings, ${Math.round((Date.now() - started) / 1000)} s${now.findings.length > 0 ? `, last at seed ${now.findings.at(-1)!.seed}` : ''}`) } }
    const enough = Math.ceil(STATEMENTS / SUITE_VERSIONS.length)
    try {
      sharedIds(await makeTwins(server, LANES))
      const until = (now: Tally) => now.statements >= enough || now.findings.length >= FINDINGS_MAX
      await Promise.all(LANES.map(({ wide }, lane) => runTwins(server, [new MemoryShelf(), new MemoryShelf()], { wide, seed: SEED * 1_000_003 + version * 10_000_019, lane, step: LANES.length, until, user: 'app', tally, batch: progress })))
    } finally { await server.stop() }
    const { findings, refusals, kinds, ...counts } = tally
    const seconds = Math.round((Date.now() - started) / 1000)
    console.log(JSON.stringify({ test: 'twins', version, seed: SEED, ...counts, findings: findings.length, seconds, reordered: tally.reordered }))
    for (const [why, count] of [...refusals].filter(([w]) => w.startsWith('BENIGN')).sort((a, b) => b[1] - a[1]).slice(0, 9)) t.diagnostic(`${count} × ${why}`)
    assert.deepEqual(findings.map((f) => `${f.kind} at seed ${f.seed} (${f.script.kind}): ${f.at}\n  one: ${f.a.slice(0, 600)}\n  other: ${f.b.slice(0, 600)}\n  all of it:\n    ${f.script.sent.map((s) => s.text).join('\n    ')}`).join('\n\n'), '')
    assert.ok(tally.ran > tally.statements / 2, 'most generated statements run')
    assert.ok(tally.benignRefused <= tally.benign * REFUSED_PERCENT_MAX / 100, `${tally.benignRefused} of ${tally.benign} benign statements were refused`)
  })
}
