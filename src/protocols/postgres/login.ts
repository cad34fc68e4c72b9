// Logs in at a target server with the resource's credential, for one session. The password goes nowhere but into a proof of it, or in the
// clear into TLS whose certificate was verified; a server that asks for less protection than that is left. What fails is worded
// without addresses, users and secrets: clients read it.
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { Unreachable } from '../../core/errors.ts'
import type { Address, TlsMode } from '../../core/resource.ts'
import { u32 } from './frames.ts'
import { dial, nextBytes, sendCancel, type Dialled, type Target } from './login-dial.ts'
import { startScram, type Scram } from './login-scram.ts'
import { message, parseStrings, parseWords, startUp, VERSION_3_0, type CancelKey, VERSION_3_2, CANCEL_SECRET_BYTES_MAX } from './messages.ts'

/** For one address, from the first packet to ReadyForQuery; several addresses share it, but each gets as much as the second number. */
export const CONNECT_MS = 15_000
const CONNECT_MS_MIN = 3_000
const MESSAGE_BYTES_MAX = 64 * 1024
const MESSAGES_MAX = 1_000

export interface UpstreamOptions {
  /** Tried in order; a server in recovery only when no other answers. */
  readonly addresses: readonly Address[]
  readonly tls: TlsMode
  readonly ca: string | null
  readonly username: string
  readonly password: string | null
  readonly database: string
  /** Settings for the start-up packet. */
  readonly parameters: ReadonlyMap<string, string>
  readonly connectMs?: number
}
export interface Upstream {
  /** Idle after ReadyForQuery, with no listener but one for errors; not flowing until someone listens for data. */
  readonly socket: Socket
  readonly parameters: ReadonlyMap<string, string>
  readonly backendKey: CancelKey
  /** Bytes that came behind ReadyForQuery. */
  readonly early: Buffer
  /** Transaction status byte of ReadyForQuery. */
  readonly status: number
  readonly serverVersion: string
  readonly target: Target
  readonly encrypted: boolean
}

export async function connectUpstream(options: UpstreamOptions): Promise<Upstream> {
  const connectMs = options.connectMs ?? CONNECT_MS
  const eachMs = Math.min(connectMs, Math.max(CONNECT_MS_MIN, connectMs / options.addresses.length))
  let failure: unknown = new Unreachable('the resource has no address')
  let standby: Target | null = null
  for (const address of options.addresses) {
    const target = { address, tls: options.tls, ca: options.ca }
    try {
      const upstream = await logIn(target, options, eachMs)
      if (options.addresses.length === 1 || upstream.parameters.get('in_hot_standby') !== 'on') return upstream
      upstream.socket.destroy()
      standby ??= target
    } catch (error) { failure = error }
  }
  if (standby !== null) return await logIn(standby, options, eachMs)
  throw failure
}

/** Ends what the session's backend does, over a connection of its own as protected as the first. Never rejects. */
export async function cancelUpstream(upstream: Pick<Upstream, 'target' | 'backendKey'>): Promise<void> {
  try { await sendCancel(upstream.target, upstream.backendKey) } catch { /* The server is gone or takes no connection: its backend's end is seen on the session's own. */ }
}

async function logIn(target: Target, options: UpstreamOptions, withinMs: number): Promise<Upstream> {
  const signal = AbortSignal.timeout(withinMs)
  const place = JSON.stringify(target.address)
  if (!knowsOldOnly.has(place)) {
    try { return await attempt(target, options, signal, VERSION_3_2) } catch (error) {
      if (!(error instanceof NewerRefused)) throw error
    }
  }
  const upstream = await attempt(target, options, signal, VERSION_3_0)
  if (knowsOldOnly.size < OLD_KEPT_MAX) knowsOldOnly.add(place)
  return upstream
}
async function attempt(target: Target, options: UpstreamOptions, signal: AbortSignal, version: number): Promise<Upstream> {
  const dialled = await dial(target, signal)
  try { return await new Login(dialled, target, options, signal, version).run() } catch (error) { dialled.socket.destroy(); throw error }
}
/** Every PostgreSQL that is supported negotiates; what stands in front of one may not, and is asked again by the protocol it knows. */
class NewerRefused extends Error {}
const knowsOldOnly = new Set<string>()
const OLD_KEPT_MAX = 1_024
/** feature_not_supported and protocol_violation, before any other answer. */
const REFUSES_NEWER = new Set(['0A000', '08P01'])

class Login {
  readonly #dialled: Dialled
  readonly #target: Target
  readonly #options: UpstreamOptions
  readonly #signal: AbortSignal
  readonly #version: number
  /** The server said something other than no. */
  #spoke = false
  readonly #parameters = new Map<string, string>()
  #bytes: Buffer = Buffer.alloc(0)
  #key: CancelKey | null = null
  #scram: Scram | null = null
  /** `begun`: the server owes its proof; nothing but that may end the exchange. */
  #proof: 'none' | 'begun' | 'answered' | 'given' = 'none'
  #authenticated = false

  constructor(dialled: Dialled, target: Target, options: UpstreamOptions, signal: AbortSignal, version: number) {
    this.#version = version
    this.#dialled = dialled
    this.#target = target
    this.#options = options
    this.#signal = signal
  }

  async run(): Promise<Upstream> {
    const { username, database, parameters } = this.#options
    const { socket } = this.#dialled
    socket.write(startUp(this.#version, [['user', username], ['database', database], ...parameters]))
    for (let messages = 0; messages < MESSAGES_MAX; messages++) {
      const { type, body } = await this.#message()
      if (type === 'Z' && this.#authenticated) return this.#ready(body[0] ?? 0)
      await this.#take(type, body)
    }
    throw new Unreachable('the target does not come to an end of its login')
  }

  #ready(status: number): Upstream {
    return {
      socket: this.#dialled.socket, parameters: this.#parameters, backendKey: this.#key ?? { pid: 0, secret: Buffer.alloc(4) }, early: this.#bytes, status,
      serverVersion: this.#parameters.get('server_version') ?? '', target: this.#target, encrypted: this.#dialled.encrypted !== null,
    }
  }

  async #message(): Promise<{ type: string; body: Buffer }> {
    for (;;) {
      if (this.#bytes.length >= 5) {
        const length = u32(this.#bytes, 1)
        if (length < 4 || length > MESSAGE_BYTES_MAX) throw new Unreachable('the target does not speak PostgreSQL\'s protocol')
        if (this.#bytes.length > length) {
          const found = { type: String.fromCharCode(this.#bytes[0]!), body: this.#bytes.subarray(5, 1 + length) }
          this.#bytes = this.#bytes.subarray(1 + length)
          return found
        }
      }
      this.#bytes = Buffer.concat([this.#bytes, await this.#next()])
    }
  }

  async #next(): Promise<Buffer> {
    try { return await nextBytes(this.#dialled.socket, this.#signal) } catch (error) {
      // Closed without a word.
      if (!this.#spoke && this.#bytes.length === 0 && this.#version !== VERSION_3_0 && !this.#signal.aborted) throw new NewerRefused()
      throw error
    }
  }

  async #take(type: string, body: Buffer): Promise<void> {
    if (type === 'E') {
      const fields = parseWords(body)
      if (!this.#spoke && this.#version !== VERSION_3_0 && REFUSES_NEWER.has(fields.get('C') ?? '')) throw new NewerRefused()
      throw refusal(fields)
    }
    this.#spoke = true
    if (type === 'N') return
    if (!this.#authenticated) {
      if (type === 'R' && body.length >= 4) return this.#authenticate(u32(body, 0), body.subarray(4))
      // An older minor version, and no option of ours is unknown to it: none was sent.
      if (type !== 'v' || body.length < 8 || u32(body, 0) > this.#version || u32(body, 0) < VERSION_3_0 || u32(body, 4) !== 0) throw new Unreachable('the target does not speak PostgreSQL\'s protocol')
    } else if (type === 'S') {
      const [name, value] = parseStrings(body, 0) ?? []
      if (name !== undefined && value !== undefined) this.#parameters.set(name, value)
    } else if (type === 'K' && body.length >= 8 && body.length <= 4 + CANCEL_SECRET_BYTES_MAX) this.#key = { pid: body.readInt32BE(0), secret: Buffer.from(body.subarray(4)) }
    else throw new Unreachable('the target does not speak PostgreSQL\'s protocol')
  }

  async #authenticate(method: number, data: Buffer): Promise<void> {
    if (this.#proof !== 'none' && method !== 11 && method !== 12 && method !== 0) throw new Unreachable('the target changed its login method midway')
    switch (method) {
      case 0:
        if (this.#proof === 'begun' || this.#proof === 'answered') throw new Unreachable('the target did not prove that it knows the password: it may not be the server it should be')
        this.#authenticated = true
        return
      case 3:
        // Asked by a server whose certificate nobody vouched for, this would hand the password to whoever stands between.
        if (!this.#dialled.verified) throw new Unreachable('the target asks for the password in the clear, which is given only inside verified TLS: use tls: verify-full, or SCRAM on the server')
        return this.#send(`${this.#password()}\0`)
      case 5: return this.#send(`${md5Proof(this.#options.username, this.#password(), data.subarray(0, 4))}\0`)
      case 10: return this.#beginScram(parseStrings(data, 0) ?? [])
      case 11: {
        if (this.#proof !== 'begun') throw new Unreachable('the target\'s login is out of order')
        const answer = await this.#scram!.answer(data.toString('latin1'))
        this.#proof = 'answered'
        return this.#send(answer)
      }
      case 12:
        if (this.#proof !== 'answered') throw new Unreachable('the target\'s login is out of order')
        this.#scram!.finish(data.toString('latin1'))
        this.#proof = 'given'
        return
      default: throw new Unreachable(`the target asks for a login method that is not known here (${method}): use SCRAM on the server`)
    }
  }

  #beginScram(mechanisms: readonly string[]): void {
    const certificate = this.#dialled.encrypted?.getPeerX509Certificate()?.raw ?? null
    const scram = startScram(mechanisms, this.#password(), certificate)
    this.#scram = scram
    this.#proof = 'begun'
    const first = Buffer.from(scram.first)
    this.#dialled.socket.write(message('p', scram.mechanism, first.length, first))
  }

  #send(text: string): void { this.#dialled.socket.write(message('p', Buffer.from(text))) }
  #password(): string {
    if (this.#options.password === null) throw new Unreachable('the target asks for a password, and the resource has none')
    return this.#options.password
  }
}

function md5Proof(username: string, password: string, salt: Buffer): string {
  const md5 = (...parts: (string | Buffer)[]) => { const hash = createHash('md5'); for (const part of parts) hash.update(part); return hash.digest('hex') }
  return `md5${md5(md5(password, username), salt)}`
}

/** The server's own words only where they are about what the client itself has set; its name and ours stay out of them. */
function refusal(fields: ReadonlyMap<string, string>): Unreachable {
  const code = fields.get('C') ?? '', text = fields.get('M') ?? ''
  const cause = new Error(text)
  if (code.startsWith('22') || code === '42704') return new Unreachable(`the target does not take a start-up setting: ${text}`, cause)
  return new Unreachable(`${REFUSALS[code] ?? (code.startsWith('28') ? 'the target refused Sluice\'s login' : 'the target refused the connection')} (${code})`, cause)
}
const REFUSALS: Readonly<Record<string, string>> = {
  '3D000': 'the target has no such database', '53300': 'the target has no connection left', '57P03': 'the target is starting up, shutting down or recovering', '57P01': 'the target is shutting down',
}
