// A WebSocket between client and target: whole messages, each of the client's through the door, each of the target's through the mask.
// Pings are answered here: a payload that nobody reads crosses to nobody.
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Ask, Plan, Verdict } from '../../core/session.ts'
import type { LiveSession } from '../../core/open.ts'
import type { Reading } from '../../content/kind.ts'
import { masked } from '../../content/lines.ts'
import type { Statement } from '../../core/statement.ts'
import { MASKS_CHANGED } from './answer.ts'
import { BINARY, CLOSE, closeFrame, frame, FrameError, Frames, type Message, PING, PONG, TEXT } from '../../wire/http/websocket.ts'

const POLICY = 1008, GOING_AWAY = 1001, BROKEN = 1011
export interface Sockets {
  readonly client: Duplex
  readonly target: Duplex
  readonly session: LiveSession
  /** Of the handshake: what the target sends counts in it. */
  readonly plan: Plan
  readonly reading: Reading | null
  readonly byName: boolean
  /** The masks that `reading` was made of. */
  readonly maskKey: string
  statement(bytes: Buffer): Statement
  ask(ask: Ask): Promise<Verdict>
}
class Ended extends Error { readonly code: number; constructor(code: number, message: string) { super(message); this.code = code } }

/** Until either side leaves, a rule ends it, or the session does. Returns why. */
export async function relaySocket(sockets: Sockets, early: { readonly client: Buffer; readonly target: Buffer }): Promise<string> {
  const { client, target, session } = sockets
  const over = new Promise<never>((_, failed) => {
    const end = () => { failed(new Ended(GOING_AWAY, session.signal.reason instanceof Error ? session.signal.reason.message : 'the session ended')) }
    if (session.signal.aborted) end(); else session.signal.addEventListener('abort', end, { once: true })
  })
  over.catch(() => {})
  for (const side of [client, target]) side.on('error', () => {})
  try {
    await Promise.race([upward(sockets, early.client), downward(sockets, early.target), over])
    return 'it was closed'
  } catch (error) {
    const known = error instanceof Ended || error instanceof FrameError
    const [code, why] = known ? [error.code, error.message] : [BROKEN, 'the connection broke off']
    if (client.writable) client.write(closeFrame(code, why, false))
    if (target.writable) target.write(closeFrame(GOING_AWAY, '', true))
    return why
  } finally { client.end(); target.end(); setTimeout(() => { client.destroy(); target.destroy() }, 1_000).unref() }
}

async function* messages(from: Duplex, frames: Frames, early: Buffer): AsyncGenerator<Message> {
  if (early.length > 0) yield* frames.push(early)
  // It has last words to say after this.
  for await (const bytes of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) yield* frames.push(bytes)
}
async function write(to: Duplex, bytes: Buffer): Promise<void> { if (to.writable && !to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')]) }

async function upward({ client, target, session, statement, ask }: Sockets, early: Buffer): Promise<void> {
  for await (const { kind, bytes } of messages(client, new Frames(true), early)) {
    if (kind === PING) { await write(client, frame(PONG, bytes, false)); continue }
    if (kind === PONG) continue
    if (kind === CLOSE) { await write(target, closeFrame(bytes.length < 2 ? 1000 : bytes.readUInt16BE(0), '', true)); await write(client, closeFrame(1000, '', false)); return }
    const verdict = await ask({ statement: statement(bytes), parameters: null, phase: 'run', prepared: 0, within: null, binding: () => ['message', bytes], waiting: () => {} })
    if (verdict.kind === 'deny') throw new Ended(POLICY, `refused by Sluice: rule ${verdict.rule}: ${verdict.message}`)
    await session.durable()
    await write(target, frame(kind, bytes, true))
    session.saw(verdict.plan, { kind: 'executed', tag: 'sent' })
  }
}

async function downward({ client, target, session, plan, reading, byName, maskKey }: Sockets, early: Buffer): Promise<void> {
  for await (const { kind, bytes } of messages(target, new Frames(false), early)) {
    if (kind === PING) { await write(target, frame(PONG, bytes, true)); continue }
    if (kind === PONG) continue
    if (kind === CLOSE) {
      const reason = bytes.toString('utf8', 2)
      await write(client, closeFrame(bytes.length < 2 ? 1000 : bytes.readUInt16BE(0), reading === null ? reason : reading.hider.words(reason), false))
      await write(target, closeFrame(1000, '', true))
      return
    }
    if (session.grant.maskKey !== maskKey) throw new Ended(POLICY, MASKS_CHANGED)
    let shown = bytes
    if (reading !== null && kind === TEXT) shown = Buffer.from(masked(reading.hider, bytes.toString('utf8')) ?? bytes)
    if (reading !== null && kind === BINARY && (byName || reading.hider.find(bytes) !== null)) throw new Ended(POLICY, 'a message of the target can\'t be looked into')
    plan.rows++
    plan.bytes += shown.length
    while (plan.rows > plan.rowsMax || plan.bytes > plan.bytesMax) {
      const more = await session.more(plan, () => {})
      if (more !== true) throw new Ended(POLICY, `refused by Sluice: rule ${more.rule}: ${more.message}`)
    }
    session.gave(plan.run, shown, 0, shown.length)
    await write(client, frame(kind, shown, false))
    const behind = session.behind()
    if (behind !== null) await behind
  }
}
