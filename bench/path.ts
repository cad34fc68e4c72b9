// What the gateway's own code costs per point read, without sockets: sessions in this process between a client and a server that only
// hand ready-made bytes over. The real relay, codec, door and record; the answers are those that a real server gave once.
//   node bench/path.ts [--mode prepared|simple] [--mask] [--detect] [--record none|file] [--sessions N] [--rounds N] [--profile]
// Prints microseconds of CPU per query (of this process), bytes allocated per query and the share of garbage collection.
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Session as Inspector } from 'node:inspector/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PerformanceObserver } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { parseArgs } from 'node:util'
import { parseConfig } from '../src/config.ts'
import { compilePolicies } from '../src/core/compile.ts'
import type { Identity } from '../src/core/identity.ts'
import { LiveSession } from '../src/core/open.ts'
import type { SessionPorts } from '../src/core/ports.ts'
import type { SessionRecord } from '../src/core/record.ts'
import { hasher } from '../src/gateway/door.ts'
import { redactorFor, requestDetector } from '../src/gateway/detection.ts'
import { PostgresCodec } from '../src/protocols/postgres/codec.ts'
import { Guard } from '../src/protocols/postgres/guard.ts'
import { hidingOf } from '../src/protocols/postgres/hiding.ts'
import { connectUpstream } from '../src/protocols/postgres/login.ts'
import { type CatalogShelf, SessionReader, type SharedCatalog } from '../src/protocols/postgres/session-reader.ts'
import { codecOf } from '../src/protocols/postgres/token-cells.ts'
import type { Catalog } from '../src/sql/catalog.ts'
import { ready } from '../src/sql/grammar.ts'
import { openRecorder } from '../src/store/record/index.ts'
import { Tokens } from '../src/tokens/tokens.ts'
import { Relay } from '../src/wire/relay.ts'
import { startPostgres } from '../test/servers/postgres.ts'
import { execute, prepare, simpleQuery } from './client.ts'
import { ownTime } from './profile.ts'

const KEYS = 1_000
const WARM_ROUNDS = 3
const SAMPLE_MICROS = 100
const READY = 0x5a

const { values: wish } = parseArgs({ options: { mode: { type: 'string', default: 'prepared' }, mask: { type: 'boolean' }, detect: { type: 'boolean' }, record: { type: 'string', default: 'file' }, sessions: { type: 'string', default: '32' }, rounds: { type: 'string', default: '7' }, queries: { type: 'string', default: '40000' }, profile: { type: 'boolean' } } })
const SQL = 'SELECT abalance FROM pgbench_accounts WHERE aid = '
const mask = `${wish.mask === true ? ', mask: [{ fields: [public.pgbench_accounts.filler], with: redact }]' : ''}${wish.detect === true ? ', mask: [{ detect: [credit-card, us-ssn, email, api-key], with: redact }]' : ''}`

/** One end of a connection: what is written to it goes to `taken`, at once. */
class End extends EventEmitter {
  writableLength = 0
  writableNeedDrain = false
  destroyed = false
  taken: (bytes: Buffer) => void = () => {}
  write(bytes: Buffer): boolean { this.taken(bytes); return true }
  pause(): this { return this }
  resume(): this { return this }
  isPaused(): boolean { return false }
  end(): this { return this }
  destroy(): this { this.destroyed = true; return this }
}

class MemoryShelf implements CatalogShelf {
  current: SharedCatalog | null = null
  put(database: number, catalog: Catalog): void { this.current = { database, catalog } }
}

interface Player { readonly client: End; readonly server: End; readonly answers: Map<string, Buffer>; real: Socket | null; sent: Buffer | null; got: Buffer[] }

await ready()
const server = await startPostgres({ version: 15 })
await server.sql(`CREATE TABLE pgbench_accounts(aid int PRIMARY KEY, bid int, abalance int, filler char(84)); INSERT INTO pgbench_accounts SELECT g, 1, 0, 'x' FROM generate_series(1, ${KEYS}) g`)
const folder = mkdtempSync(join(tmpdir(), 'sluice-path-'))
const config = parseConfig(`identity: { issuers: [{ name: corp, issuer: "http://127.0.0.1:1", audience: sluice, subject: email, groups: groups }] }
resources: [{ name: r, protocol: postgres, address: "127.0.0.1:${server.port}", database: postgres, tls: disable, credential: { username: gwsuper } }]
policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [read]${mask} }]\n`, 'path.yaml', {})
const resource = config.resources[0]!
const identity: Identity = { subject: 'agent@example.com', issuer: 'corp', groups: ['team'], agent: false, onBehalfOf: null, credentialHash: '', tokenId: null, expiresAtMs: Infinity }
const grant = compilePolicies(config.policies, { detector: requestDetector }).grant(identity, resource)
const keyedHash = hasher('00'.repeat(32)), tokens = new Tokens(Buffer.alloc(32))
const ports = { keyedHash, now: Date.now, budgets: { lease: () => { throw new Error('no budget here') }, giveBack() {} }, rates: { lookup: () => true }, reviews: { hold: () => { throw new Error('no review here') }, redeem: async () => { throw new Error('no review here') } } } as unknown as SessionPorts
const recorder = openRecorder({ folder: join(folder, 'recordings'), writer: 'bench', onHead: () => {} })
const unrecorded: SessionRecord = { append() {}, ended() {}, answer() {}, durable: () => true, behind: false, caughtUp: async () => {}, close() {} }
const shelf = new MemoryShelf()

async function player(number: number): Promise<Player> {
  const upstream = await connectUpstream({ addresses: resource.addresses, tls: 'disable', ca: null, username: 'gwsuper', password: null, database: 'postgres', parameters: new Map([['client_encoding', 'UTF8']]) })
  const id = `session-${number}`
  const session = new LiveSession({ id, identity, resource, grant, ports, record: wish.record === 'none' ? unrecorded : recorder.session(id, 'r'), facts: { id, database: 'postgres', client: '127.0.0.1', startedAtMs: 0 }, state: () => '', redact: redactorFor(keyedHash)(grant) })
  const reader = new SessionReader({ shelf, grant: () => session.grant, functions: [], views: [], resource: 'r', keyedHash, tokens: codecOf(tokens) })
  for (const [name, value] of upstream.parameters) reader.reported(name, value)
  const codec = new PostgresCodec(reader, new Guard(hidingOf(() => session.grant, reader, keyedHash, tokens), null), { waiting() {}, computed() {}, kept() {} })
  const p: Player = { client: new End(), server: new End(), answers, real: upstream.socket, sent: null, got: [] }
  let unanswered: Buffer[] = []
  upstream.socket.on('data', (bytes: Buffer) => { unanswered.push(bytes); const all = Buffer.concat(unanswered); if (all.length >= 6 && all[all.length - 6] === READY && all.readUInt32BE(all.length - 5) === 5) { unanswered = []; if (waiting !== '') answers.set(waiting, all); waiting = ''; p.server.emit('data', all) } })
  let waiting = ''
  p.server.taken = (bytes) => {
    const key = bytes.toString('latin1')
    if (p.real === null) { p.sent = answers.get(key) ?? (() => { throw new Error(`nobody has answered ${JSON.stringify(key)}`) })(); return }
    waiting = key
    p.real.write(Buffer.from(bytes))
  }
  p.client.taken = (bytes) => { p.got.push(Buffer.from(bytes)) }
  const relay = new Relay({ client: p.client as unknown as Duplex, server: p.server as unknown as Duplex, codec, session, early: Buffer.alloc(0), statementMs: 1e9, idleMs: 1e9, cancel: async () => {}, failed: (error) => { console.error(error); process.exit(1) } })
  void relay.run().then((why) => { console.error(`a session ended: ${why}`); process.exit(1) })
  return p
}

/** Through the real server, for its answers. */
async function asked(p: Player, request: Buffer): Promise<Buffer> {
  p.got = []
  p.client.emit('data', request)
  for (const until = Date.now() + 5_000; Date.now() < until;) {
    const all = Buffer.concat(p.got)
    if (all.length >= 6 && all[all.length - 6] === READY) return all
    await new Promise((later) => setImmediate(later))
  }
  throw new Error('no answer')
}

const answers = new Map<string, Buffer>()
const prepared = wish.mode === 'prepared'
const requests = Array.from({ length: KEYS }, (_, i) => prepared ? execute('P_0', String(i + 1)) : simpleQuery(`${SQL}${i + 1};`))
const players: Player[] = []
try {
  for (let i = 0; i < Number(wish.sessions); i++) {
    const p = await player(i)
    if (prepared) await asked(p, prepare('P_0', `${SQL}$1;`)); else await asked(p, simpleQuery('SELECT 1'))
    players.push(p)
  }
  for (const request of requests) await asked(players[0]!, request)
  let done = 0
  for (const p of players) {
    p.real!.destroy()
    p.real = null
    p.client.taken = (bytes) => { if (bytes[bytes.length - 6] === READY) done++ }
  }
  const total = Number(wish.queries)
  let at = 0
  const round = async () => {
    done = 0
    while (done < total) {
      for (const p of players) p.client.emit('data', requests[at++ % KEYS]!)
      await new Promise((later) => setImmediate(later))
      for (const p of players) { const { sent } = p; if (sent !== null) { p.sent = null; p.server.emit('data', sent) } }
    }
    return done
  }
  for (let i = 0; i < WARM_ROUNDS; i++) await round()
  let gc = 0
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) gc += entry.duration }).observe({ entryTypes: ['gc'] })
  const inspector = new Inspector()
  if (wish.profile === true) { inspector.connect(); await inspector.post('Profiler.enable'); await inspector.post('Profiler.setSamplingInterval', { interval: SAMPLE_MICROS }); await inspector.post('Profiler.start') }
  const found: { micros: number; system: number; gc: number }[] = []
  for (let i = 0; i < Number(wish.rounds); i++) {
    gc = 0
    const before = process.cpuUsage()
    const count = await round()
    const used = process.cpuUsage(before)
    await new Promise((later) => setTimeout(later, 20))
    found.push({ micros: (used.user + used.system) / count, system: used.system / count, gc: (gc * 1000) / count })
  }
  found.sort((a, b) => a.micros - b.micros)
  const middle = found[found.length >> 1]!
  console.log(`${wish.mode}${wish.mask === true ? ', mask' : ''}${wish.detect === true ? ', detect' : ''}, record ${wish.record}: ${middle.micros.toFixed(2)} µs [${found[0]!.micros.toFixed(2)}–${found.at(-1)!.micros.toFixed(2)}] of CPU per query; system ${middle.system.toFixed(2)}, gc ${middle.gc.toFixed(2)}`)
  if (wish.profile === true) {
    const { profile } = await inspector.post('Profiler.stop')
    console.log(ownTime([profile as never], null, total * Number(wish.rounds)))
  }
} finally {
  await server.stop()
  await recorder.close()
  rmSync(folder, { recursive: true, force: true })
}
process.exit(0)
