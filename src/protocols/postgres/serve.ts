// One PostgreSQL client from its first byte to its last: greet, the gateway's one authorization flow, login at the target, then the relay.
import type { Socket } from 'node:net'
import { SluiceError } from '../../core/errors.ts'
import type { Classified } from '../../core/classified.ts'
import type { Resource } from '../../core/resource.ts'
import { readable } from '../../wire/reader.ts'
import { Relay } from '../../wire/relay.ts'
import type { Gate, Opened, Protocol } from '../protocol.ts'
import { attributionOf, OwnName, startingWith } from './attribution.ts'
import { lookAgain, Shelf, shelfOf } from './catalogs.ts'
import { PostgresCodec } from './codec.ts'
import { greet, type Greeting } from './greet.ts'
import { limitMessages } from './frames.ts'
import { Guard } from './guard.ts'
import { hidingOf } from './hiding.ts'
import { limitStatements } from './judge.ts'
import { cancelUpstream, connectUpstream, type Upstream } from './login.ts'
import { classify } from './classify.ts'
import { backendKeyData, fatalOf, message, parameterStatus, readyForQuery } from './messages.ts'
import { detectPooler } from './pooler.ts'
import { OwnConnection } from './query.ts'
import { SessionReader } from './session-reader.ts'
import { codecOf } from './token-cells.ts'

/** Bytes of the secret in the cancel keys we hand out: 4 in protocol 3.0, and in 3.2 as the server does. */
const CANCEL_SECRET_BYTES = { 0: 4, 2: 32 } as const
const OWN_APPLICATION = 'sluice catalog'

export const postgres: Protocol = {
  name: 'postgres', serve, test, classify: classified, limit: ({ messageBytesMax, statementBytesMax }) => { limitMessages(messageBytesMax); limitStatements(statementBytesMax) },
  moved: ({ resource }) => lookAgain(resource),
}

async function serve(client: Socket, gate: Gate): Promise<void> {
  const leave = gate.enter()
  if (leave === null) { client.destroy(); return }
  const greeting = await greet(client, { tls: gate.secure, deadlineMs: gate.loginMs })
  leave()
  switch (greeting.kind) {
    case 'cancel':
      gate.cancel(greeting.key.pid, greeting.key.secret)
      greeting.socket.end()
      return
    case 'ended':
      gate.refused('LOGIN_ENDED', { why: greeting.why, resource: greeting.wishes?.resource ?? null, user: greeting.wishes?.user ?? null, client: greeting.channel.remoteAddress })
      return
    case 'login': return await login(greeting, gate)
  }
}

async function login(greeted: Extract<Greeting, { kind: 'login' }>, gate: Gate): Promise<void> {
  const socket = readable(greeted.socket)
  socket.on('error', () => {})
  const greeting = { ...greeted, socket }
  const application = greeting.settings.get('application_name') ?? ''
  let opened: Opened
  try {
    opened = await gate.open({ resource: greeting.resource, database: greeting.database, secret: greeting.secret, user: greeting.user, application }, { address: greeting.channel.remoteAddress, encrypted: greeting.channel.tls !== null })
  } catch (error) { socket.end(fatalOf(error)); return }
  let why = 'the client left'
  try { why = await run(greeting, opened) } catch (error) {
    opened.failed(error)
    why = error instanceof SluiceError && error.public ? error.message : 'an internal error'
    if (!socket.destroyed) socket.end(fatalOf(error))
  } finally { gate.closed(opened, why) }
}

async function run(greeting: Extract<Greeting, { kind: 'login' }>, opened: Opened): Promise<string> {
  const { socket } = greeting
  const { session, resource, database } = opened
  const application = greeting.settings.get('application_name') ?? ''
  const attribution = attributionOf(resource, session.identity)
  const settings = startingWith(attribution, greeting.settings)
  const shelf = shelfOf([resource.name, database, session.grant.needs].join('\0'), () => new Shelf(async () => {
    const connect = async () => dial(resource, database, await opened.credential(), new Map([['application_name', OWN_APPLICATION], ['client_encoding', 'UTF8']]))
    const first = await connect()
    const own = new OwnConnection(first.socket, first.early)
    try { await detectPooler(own, first.backendKey.pid, async () => { const second = await connect(); return new OwnConnection(second.socket, second.early) }) } catch (error) { own.end(); throw error }
    return own
  }, () => opened.moved()))
  const unused = shelf.use()
  try {
    await shelf.checked()
    const upstream = await dial(resource, database, await opened.credential(), settings)
    if (socket.destroyed) { upstream.socket.destroy(); return 'the client left' }
    const reader = new SessionReader({ shelf, grant: () => session.grant, functions: resource.functions, views: resource.views ?? [], resource: `${resource.name}\0${database}`, keyedHash: opened.keyedHash, attribution, tokens: codecOf(opened.tokens) })
    const own = attribution?.by === 'application_name' ? new OwnName(attribution.who, application) : null
    const guard = new Guard(hidingOf(() => session.grant, reader, opened.keyedHash, opened.tokens, (run, kinds) => session.note('found', { run, kinds })), own)
    let relay: Relay | null = null
    const told = new Set<string>()
    const codec = new PostgresCodec(reader, guard, {
      waiting: (url) => relay?.tell(`this statement waits for a review: ${url}`, 'it runs when someone approves it, and is refused otherwise'),
      computed: (columns) => {
        const fresh = columns.filter((column) => !told.has(column))
        for (const column of fresh) told.add(column)
        if (fresh.length > 0) relay?.tell(`masked here: ${fresh.join(', ')}; conditions and functions see the mask, not the value`, 'compare it with one given value, where policy allows look-ups, or use other columns')
      },
      kept: (columns) => relay?.tell(`left as they were: ${columns.join(', ')}; this writes back what a mask shows`, 'give real values for what is to change'),
    })
    opened.state = () => `${reader.state?.role ?? ''}\0${reader.state?.searchPath.join('\0') ?? ''}`
    relay = new Relay({
      client: socket, server: upstream.socket, codec, session, early: upstream.early, statementMs: resource.limits.statementMs, idleMs: resource.limits.idleMs,
      cancel: () => cancelUpstream(upstream), failed: (error) => opened.failed(error),
    })
    const key = opened.cancelKey(CANCEL_SECRET_BYTES[greeting.protocolMinor], () => relay.cancelled())
    guard.process = { server: upstream.backendKey.pid >>> 0, told: key.id }
    welcome(socket, upstream, reader, guard, { pid: key.id, secret: key.secret })
    if (own !== null) own.kept = true
    opened.onTick((nowMs) => relay.tick(nowMs))
    return await relay.run()
  } finally { unused() }
}

function welcome(socket: Socket, upstream: Upstream, reader: SessionReader, guard: Guard, key: { pid: number; secret: Buffer }): void {
  const parts = [message('R', 0)]
  for (const [name, value] of upstream.parameters) {
    reader.reported(name, value)
    const told = guard.parameter(name, value)
    if (told !== null) parts.push(parameterStatus(name, told))
  }
  parts.push(backendKeyData(key), readyForQuery())
  socket.write(Buffer.concat(parts))
}

function dial(resource: Resource, database: string, credential: { username: string; password: string | null }, settings: ReadonlyMap<string, string>): Promise<Upstream> {
  return connectUpstream({ addresses: resource.addresses, tls: resource.tls, ca: resource.ca, username: credential.username, password: credential.password, database, parameters: settings })
}

async function classified(resource: Resource, credential: { readonly username: string; readonly password: string | null }): Promise<Classified> {
  const upstream = await dial(resource, resource.database ?? resource.name, credential, new Map([['application_name', 'sluice classify'], ['client_encoding', 'UTF8']]))
  const own = new OwnConnection(upstream.socket, upstream.early)
  try { return await classify(resource, own) } finally { own.end() }
}

async function test(resource: Resource, credential: { readonly username: string; readonly password: string | null }): Promise<{ ok: boolean; message: string }> {
  try {
    const upstream = await dial(resource, resource.database ?? resource.name, credential, new Map([['application_name', 'sluice test'], ['client_encoding', 'UTF8']]))
    const own = new OwnConnection(upstream.socket, upstream.early)
    const [rows] = await own.query('SELECT pg_catalog.version()')
    own.end()
    return { ok: true, message: rows?.[0]?.[0] ?? 'connected' }
  } catch (error) { return { ok: false, message: error instanceof SluiceError && error.public ? error.message : 'an internal error' } }
}
