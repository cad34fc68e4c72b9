// A worker: it accepts clients on the shared ports and runs their sessions. It holds no credential and no signing key; what it needs of
// those it asks the supervisor for, one login at a time.
import { randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { Authenticator } from '../auth/authenticate.ts'
import { Leases } from './leases.ts'
import { issuersOf } from './issuers.ts'
import { LoginBlocks } from '../auth/throttle.ts'
import { KeyCache } from '../auth/key-cache.ts'
import { type Config, parseConfig } from '../config.ts'
import { withStored } from './stored.ts'
import { compilePolicies } from '../core/compile.ts'
import { Unreachable } from '../core/errors.ts'
import type { PolicySet } from '../core/policy.ts'
import type { ReviewOutcome, SessionPorts } from '../core/ports.ts'
import { requestDetector, redactorFor } from './detection.ts'
import { httpProtocols, protocols } from '../protocols/index.ts'
import { type Clock, steadyClock } from '../store/clock.ts'
import { openRecorder } from '../store/record/recorder.ts'
import { ready as grammarReady } from '../sql/grammar.ts'
import { Tokens } from '../tokens/tokens.ts'
import { Bus } from './bus.ts'
import { Door, hasher, type WorkerBus } from './door.ts'
import { log } from './log.ts'
import { Proxy } from './proxy.ts'
import type { Boot, WorkerAnswers, WorkerAsks, WorkerHears, WorkerTells } from './messages.ts'

const BACKLOG = 4_096
/** Of one HTTP request. */
const BODY_BYTES_MAX = 16 * 1024 * 1024

async function main(): Promise<void> {
  let door: Door | null = null
  const clock = steadyClock()
  const servers: Server[] = []
  const waits = new Map<string, (outcome: ReviewOutcome) => void>()
  let boot: Boot | null = null
  let config: Config
  const policiesOf = (from: Config): PolicySet => compilePolicies(from.policies, { detector: requestDetector })
  const bus: WorkerBus = new Bus<WorkerAsks, WorkerTells, WorkerAnswers, WorkerHears>(process, {
    renew: ({ identity, credentialHash }) => door?.renew(identity, credentialHash) ?? 0,
    test: async ({ name }) => {
      const resource = config.resources.find((r) => r.name === name)
      const protocol = [...protocols, ...httpProtocols].find((p) => p.name === resource?.protocol)
      if (resource === undefined || protocol === undefined) return { ok: false, message: `no resource "${name}" of a protocol that is built` }
      return protocol.test(resource, await bus.ask('credential', { session: 'test', resource: name, class: 'read' }))
    },
    classify: async ({ name }) => {
      const resource = config.resources.find((r) => r.name === name)
      const protocol = protocols.find((p) => p.name === resource?.protocol)
      if (resource === undefined || protocol === undefined) throw new Unreachable(`no resource "${name}" of a protocol that is built`)
      return protocol.classify(resource, await bus.ask('credential', { session: 'classify', resource: name, class: 'read' }))
    },
  }, {
    outcome: ({ wait, outcome }) => { waits.get(wait)?.(outcome); waits.delete(wait) },
    reload: ({ text, stored }) => { config = withStored(parseConfig(text, boot!.file, process.env), stored).config; door?.reload(config, policiesOf(config)) },
    revoked: (revoked) => door?.revoke(revoked),
    revocations: (all) => door?.revokeAll(all),
    kill: ({ id, why }) => door?.kill(id, why),
    interrupt: ({ id }) => door?.interrupt(id),
    cancel: ({ id, secret }) => door?.cancelHere(id, Buffer.from(secret, 'hex')),
    catalog: (moved) => { for (const protocol of protocols) protocol.moved?.(moved) },
    block: (block) => blocks.add(block),
    drain: ({ withinMs }) => { void drain(withinMs) },
  })
  const blocks = new LoginBlocks((address, claim) => bus.tell('failedLogin', { address, claim }))
  boot = await bus.ask('boot', null)
  await grammarReady()
  config = withStored(parseConfig(boot.text, boot.file, process.env), boot.stored).config
  const keyedHash = hasher(boot.hashKey)
  const recorder = openRecorder({
    folder: join(boot.dataFolder, 'recordings'), writer: `${boot.bootId}-${boot.number}-${randomBytes(3).toString('hex')}`, onHead: (head) => bus.tell('head', head),
    onFailure: (why) => log[why === null ? 'info' : 'error']({ why }, why === null ? 'the record is well again' : 'nothing runs: the record fails'),
  })
  const keys = new KeyCache((issuer, { refresh }) => bus.ask('keys', { issuer, refresh }))
  const authenticator = new Authenticator({
    issuers: () => issuersOf(config), keys, breakGlass: () => config.gateway.emergency.map((a) => ({ name: a.name, groups: a.groups, hash: a.passwordHash })),
    findToken: (_hash, secret) => bus.ask('token', { secret }), revoked: () => false, loud: (identity, kind) => bus.ask('loud', { identity, kind }), nowMs: clock.nowMs,
  })
  const redactor = redactorFor(keyedHash)
  door = new Door({
    number: boot.number, bus, recorder, clock, ports: portsOf(bus, waits, keyedHash, clock), redactor, authenticate: (secret, address) => blocks.judge(address, secret, () => authenticator.authenticate(secret)),
    secure: boot.tls === null ? null : createSecureContext({ cert: boot.tls.cert, key: boot.tls.key }),
    moved: (moved) => bus.tell('catalog', moved), tokens: new Tokens(Buffer.from(boot.tokenKey, 'hex')),
  }, config, policiesOf(config), boot.revocations)
  for (const protocol of protocols) {
    protocol.limit(config.gateway.limits)
    const listen = (config.gateway.listen as Record<string, { host: string; port: number } | undefined>)[protocol.name]
    if (listen === undefined) continue
    const server = createServer({ noDelay: true, pauseOnConnect: false }, (client) => { serve(protocol, client, door!) })
    servers.push(server)
    await new Promise<void>((ready, failed) => { server.once('error', failed); server.listen({ host: listen.host, port: listen.port, backlog: BACKLOG }, ready) })
  }
  const address = config.gateway.listen.proxy
  const proxy = address === undefined ? null : new Proxy(door, httpProtocols, { host: address.host, port: address.port, tls: boot.tls, bodyBytesMax: BODY_BYTES_MAX, names: () => namesOf(config) })
  await proxy?.listen(BACKLOG)
  async function drain(withinMs: number): Promise<void> {
    for (const server of servers) server.close()
    proxy?.drain()
    await door!.drain(withinMs)
    await recorder.close()
    process.exit(0)
  }
  process.on('disconnect', () => process.exit(1)) // the supervisor is gone: nothing may run unsupervised
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {}) // the supervisor decides when
  bus.tell('ready', { number: boot.number })
}

/** Names under which this gateway is reached. */
const namesOf = ({ gateway }: Config): string[] => (gateway.url === null || gateway.url === undefined ? [] : [new URL(gateway.url).hostname.toLowerCase()])

function serve(protocol: (typeof protocols)[number], client: Socket, door: Door): void {
  client.on('error', () => {})
  protocol.serve(client, door).catch((error: unknown) => {
    log.error({ protocol: protocol.name, error: error instanceof Error ? error.stack : String(error) }, 'a connection failed')
    client.destroy()
  })
}

function portsOf(bus: WorkerBus, waits: Map<string, (outcome: ReviewOutcome) => void>, keyedHash: SessionPorts['keyedHash'], clock: Clock): SessionPorts {
  return {
    keyedHash, now: clock.nowMs,
    reviews: {
      hold(request, opened) {
        const wait = randomBytes(9).toString('base64url')
        const outcome = new Promise<ReviewOutcome>((done) => waits.set(wait, done))
        bus.ask('hold', { wait, request }).then(({ id, url }) => { if (id !== '') opened(id, url) }, (error: unknown) => {
          waits.get(wait)?.({ kind: 'failed', why: error instanceof Error ? error.message : 'the supervisor does not answer' })
          waits.delete(wait)
        })
        return { outcome, cancel: (why) => bus.tell('endWait', { wait, why }) }
      },
      redeem: (request) => bus.ask('redeem', request),
    },
    budgets: new Leases(bus),
    rates: { lookup: (identity, lookup) => bus.ask('lookup', { key: `${identity}|${lookup.rule}|${lookup.column}`, lookup }).catch(() => false) },
  }
}

process.on('uncaughtException', (error) => { log.error({ error: error.stack }, 'an uncaught error in a worker'); })
main().catch((error: unknown) => { log.error({ error: error instanceof Error ? error.stack : String(error) }, 'a worker could not start'); process.exit(1) })
