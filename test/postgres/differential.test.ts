// The same conversation with the bare server and through a session of Sluice's: what the client sees is the same, whatever was cut where.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import { type RawClient, shown } from './client.ts'
import { ending, random, SCHEMA, segments, type Step, steps } from './conversations.ts'
import { openBare, openTestSession, type TestSession } from './session.ts'

/** The same conversations in every run, so that a red build is a change of ours; SLUICE_SEED=random looks for new ones. */
const SEED = 8
const CONVERSATIONS = 50
const seed = process.env.SLUICE_SEED === 'random' ? Math.floor(Math.random() * 1e9) : Number(process.env.SLUICE_SEED ?? SEED)
const SECONDS = Number(process.env.SLUICE_FUZZ_SECONDS ?? 7)
const servers = new Map<number, TestServer>()
before(async () => {
  for (const version of SUITE_VERSIONS) {
    const server = await startPostgres({ version })
    servers.set(version, server)
    await server.sql('CREATE DATABASE bare')
    await server.sql(SCHEMA, 'bare')
    await server.sql('CREATE DATABASE gated TEMPLATE bare')
  }
})
after(async () => { await Promise.all([...servers.values()].map((server) => server.stop())) })

/** Where the server fails a text anyway, Sluice may have refused it in words of its own. */
function stricter(found: string[], expected: string[]): string[] {
  return found.map((line, i) => (/^E ERROR (42501 refused by Sluice|34000|26000)/.test(line) && expected[i]?.startsWith('E ERROR') === true ? expected[i] : line))
}

export async function talk(client: RawClient, list: readonly Step[], marker: string, r: (below: number) => number): Promise<string[]> {
  const from = client.seen.length
  for (const segment of segments(Buffer.concat(list.map((step) => step.bytes)), r)) {
    client.send(segment)
    if (r(6) === 0) await new Promise((later) => setTimeout(later, r(3)))
    else if (r(3) === 0) await new Promise((later) => setImmediate(later))
  }
  await client.until((seen) => client.ended || (seen.at(-1)?.type === 'Z' && seen.at(-3)?.type === 'D' && seen.at(-3)!.body.includes(marker)))
  return client.seen.slice(from).map(shown)
}

for (const version of SUITE_VERSIONS) {
  test(`random conversations look the same as with a bare PostgreSQL ${version} (seed ${seed})`, async (t) => {
    const server = servers.get(version)!
    let bare = await openBare(server, { database: 'bare' })
    let gated: TestSession = await openTestSession(server, { database: 'gated' })
    const until = Date.now() + SECONDS * 1_000
    let done = 0
    for (let number = 0; process.env.SLUICE_SEED === undefined ? number < CONVERSATIONS : Date.now() < until; number++) {
      const marker = `end of ${seed} ${number}`
      const list = [...steps(random(seed + number), 3 + (number % 25)), ...ending(marker)]
      const [expected, found] = await Promise.all([talk(bare, list, marker, random(number)), talk(gated.client, list, marker, random(number + 7)).catch((e) => { throw new Error(`seed ${seed} conversation ${number}: ${list.map((x) => x.name).join(' / ')}\n${(e as Error).message.split('\n').slice(-12).join('\n')}`, { cause: e }) })])
      assert.deepEqual(stricter(found, expected), expected, `seed ${seed} conversation ${number}:\n${list.map((s) => s.name).join('\n')}\n${gated.failures.map((f) => (f as Error).stack).join('\n')}`)
      done++
      if (done % 40 === 0) {
        bare.stream.destroy()
        await gated.end()
        bare = await openBare(server, { database: 'bare' })
        gated = await openTestSession(server, { database: 'gated' })
      }
    }
    t.diagnostic(`${done} conversations, seed ${seed}`)
    bare.stream.destroy()
    await gated.end()
  })
}
