// The way back: an answer is read as what it is, masked, counted, recorded and given to the client. One that ends soon is looked at whole,
// and goes out byte for byte when nothing in it is hidden; a longer one goes out in pieces, each of them after its mask.
import type { IncomingMessage } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { Readable, Transform } from 'node:stream'
import { type Coding, codingsOf, decodedWhole, decoder, encodedWhole, encoder, heldToRatio } from '../../content/encoding.ts'
import { AddressRewrite } from '../../content/addresses.ts'
import { type BodyMask, ContentRefused, type Hider } from '../../content/hider.ts'
import { checkCharset, maskOf, type Reading, sniffed } from '../../content/kind.ts'
import { checkNames, isText, kindHere, maskWhole } from '../../content/whole.ts'
import { JsonMask } from '../../content/json.ts'
import type { Denied, Plan } from '../../core/session.ts'
import type { LiveSession } from '../../core/open.ts'
import { answerable, type Around } from '../../wire/http/headers.ts'
import type { Answer } from '../../wire/http/problem.ts'

/** An answer that ends within this is looked at whole. */
const WHOLE_BYTES_MAX = 1024 * 1024
const WHOLE_DECODED_BYTES_MAX = 8 * 1024 * 1024
/** One without a length that has not ended so long after its first bytes is a stream: what is here goes out. */
const WHOLE_MS = 100
/** Headers that speak of the exact bytes, and so of what was hidden. */
const OF_THE_BYTES = new Set(['content-length', 'etag', 'content-md5', 'digest', 'content-digest', 'repr-digest', 'accept-ranges', 'content-range', 'last-modified'])

export interface Back {
  readonly answer: Answer
  readonly session: LiveSession
  readonly plan: Plan
  readonly around: Around
  /** The resource here as an absolute address. */
  readonly here: string
  /** Null: no mask is in force and no limit counts; the body passes unread. */
  readonly reading: Reading | null
  /** Whether fields are masked by name: then what has no readable names is refused. */
  readonly byName: boolean
  /** The masks that `reading` was made of: once others are in force, nothing more goes out under these. */
  readonly maskKey: string
  waiting(url: string): void
}
export const MASKS_CHANGED = 'other masks are in force than when it was asked for: ask again'
/** A refusal in mid-answer: a limit that nobody raised. */
export class Cut extends Error { readonly denied: Denied; constructor(denied: Denied) { super(denied.message); this.denied = denied } }

type Pairs = (readonly [string, string])[]
const BODILESS = (method: string, status: number) => method === 'HEAD' || status === 204 || status === 304

/** Throws ContentRefused or Cut; whatever was sent by then is broken off by the caller. */
export async function giveBack(upstream: IncomingMessage, method: string, back: Back): Promise<void> {
  const { answer, session, plan } = back
  const status = upstream.statusCode ?? 502
  const passed = answerable(upstream.rawHeaders, back.around)
  if (passed === null) throw new ContentRefused('it sends the client to another address than this gateway\'s')
  const headers: Pairs = back.reading === null ? passed : passed.map(([name, value]) => [name, back.reading!.hider.words(value)] as const)
  const length = upstream.headers['content-length']
  if (BODILESS(method, status)) {
    upstream.resume()
    begin(answer, status, length === undefined || status !== 200 ? headers : [...headers, ['content-length', length]])
    gave(session, plan, Buffer.from(describe(status, headers)))
    answer.end()
    return
  }
  if (back.reading === null) return await pass(upstream, status, length === undefined ? headers : [...headers, ['content-length', length]], back)
  if (status === 206) throw new ContentRefused('a part of a body could split a value')
  const codings = codingsOf(upstream.headers['content-encoding'])
  const pieces: Buffer[] = []
  const whole = await collect(upstream, pieces)
  if (whole) await giveWhole(Buffer.concat(pieces), upstream, status, headers, codings, back)
  else await giveStream(pieces, upstream, status, headers, codings, back)
}

/** True when the answer ended; false when it goes on and `pieces` has what came. */
function collect(upstream: IncomingMessage, pieces: Buffer[]): Promise<boolean> {
  return new Promise((done, failed) => {
    let bytes = 0
    let quiet: NodeJS.Timeout | null = null
    const settle = (whole: boolean) => { if (quiet !== null) clearTimeout(quiet); upstream.off('data', onData).off('end', onEnd).off('error', onError).off('aborted', onAborted); upstream.pause(); done(whole) }
    const onData = (piece: Buffer) => {
      pieces.push(piece)
      bytes += piece.length
      if (bytes > WHOLE_BYTES_MAX) { settle(false); return }
      // With a length it says how much is to come; without, it may be one that never ends.
      if (upstream.headers['content-length'] === undefined) quiet ??= setTimeout(() => settle(false), WHOLE_MS)
    }
    const onEnd = () => settle(true)
    const onError = (error: Error) => { if (quiet !== null) clearTimeout(quiet); failed(error) }
    const onAborted = () => onError(new ContentRefused('it ended early'))
    if (upstream.headers['content-type']?.startsWith('text/event-stream') === true) quiet = setTimeout(() => settle(false), 0)
    upstream.on('data', onData).once('end', onEnd).once('error', onError).once('aborted', onAborted)
  })
}

async function giveWhole(raw: Buffer, upstream: IncomingMessage, status: number, headers: Pairs, codings: readonly Coding[], back: Back): Promise<void> {
  const { answer, session, plan } = back
  const reading = back.reading!
  const decoded = await decodedWhole(raw, codings, WHOLE_DECODED_BYTES_MAX)
  heldToRatio(raw.length, decoded.bytes.length)
  const before = reading.hider.hidden
  const masked = decoded.bytes.length === 0 ? { bytes: decoded.bytes, rows: 0 } : maskWhole(decoded.bytes, upstream.headers['content-type'], reading, back.byName)
  plan.rows += masked.rows
  plan.bytes += masked.bytes.length
  await within(back)
  const trailers = trailersOf(upstream, reading.hider)
  // Coded bytes may carry more than what they decode to: names in a gzip's head, what follows its end.
  masked.bytes = isText(kindHere(upstream.headers['content-type'], decoded.bytes)) ? new AddressRewrite(back.around.targets, back.here).whole(masked.bytes) : masked.bytes
  const same = reading.hider.hidden === before && masked.bytes === decoded.bytes && decoded.exact && (codings.length === 0 || reading.hider.find(raw) === null)
  const body = same ? raw : await encodedWhole(masked.bytes, codings)
  const kept: Pairs = same ? headers : headers.filter(([name]) => !OF_THE_BYTES.has(name))
  begin(answer, status, trailers.length > 0 ? kept : [...kept, ['content-length', String(body.length)]], trailers)
  gave(session, plan, Buffer.from(describe(status, kept)))
  gave(session, plan, masked.bytes)
  endWith(answer, body, trailers)
}

async function giveStream(pieces: Buffer[], upstream: IncomingMessage, status: number, headers: Pairs, codings: readonly Coding[], back: Back): Promise<void> {
  const { answer, session, plan } = back
  const reading = back.reading!
  const decoders = [...codings].reverse().map(decoder), encoders = codings.map(encoder)
  let coded = 0
  const source = chain(counted(pieces, upstream, (bytes) => { coded += bytes }), decoders)
  const sink = encoders.length === 0 ? null : chainOut(encoders, answer)
  let mask: BodyMask | null = null
  let decoded = 0
  const send = async (bytes: Buffer): Promise<void> => {
    if (bytes.length === 0) return
    gave(session, plan, bytes)
    const to = sink ?? (answer as ServerResponse)
    if (!to.write(bytes)) await drained(to, answer)
    const behind = session.behind()
    if (behind !== null) await behind
  }
  let addresses: AddressRewrite | null = null
  const take = async (piece: Buffer | null): Promise<void> => {
    const given: Buffer[] = []
    const rows = mask!.rows
    if (piece === null) mask!.end(given); else mask!.push(piece, given)
    const out = addresses === null ? given : given.map((bytes) => addresses!.push(bytes))
    if (piece === null && addresses !== null) out.push(addresses.end())
    plan.rows += mask!.rows - rows
    plan.bytes += out.reduce((sum, bytes) => sum + bytes.length, 0)
    await within(back)
    for (const bytes of out) await send(bytes)
  }
  try {
    for await (const piece of source as AsyncIterable<Buffer>) {
      decoded += piece.length
      heldToRatio(coded, decoded)
      if (mask === null) {
        const type = upstream.headers['content-type']
        const kind = kindHere(type, piece)
        if (kind !== 'media' && kind !== 'binary') checkCharset(type, piece)
        checkNames(kind, back.byName)
        if (isText(kind)) addresses = new AddressRewrite(back.around.targets, back.here)
        mask = kind === 'media' || kind === 'binary' ? new LookThrough(reading) : kind === 'text' && sniffed(piece) === 'json' ? new JsonMask(reading.hider) : maskOf(kind, piece, reading)
        begin(answer, status, headers.filter(([name]) => !OF_THE_BYTES.has(name)))
        ;(answer as ServerResponse).flushHeaders()
        gave(session, plan, Buffer.from(describe(status, headers)))
      }
      await take(piece)
    }
    if (mask === null) begin(answer, status, headers.filter(([name]) => !OF_THE_BYTES.has(name)))
    else await take(null)
  } finally { for (const each of [...decoders, ...encoders]) if (!each.writableEnded) each.destroy() }
  if (sink === null) answer.end(); else await new Promise<void>((done) => { answer.once('close', done); answer.once('finish', done); sink.end() })
}
/** Bytes without text: passed until something is found. A value over the seam of two pieces is found too. */
class LookThrough implements BodyMask {
  rows = 0
  readonly #reading: Reading
  #tail: Buffer = Buffer.alloc(0)
  constructor(reading: Reading) { this.#reading = reading }
  push(bytes: Buffer, out: Buffer[]): void {
    const seen = Buffer.concat([this.#tail, bytes])
    if (this.#reading.hider.find(seen) !== null) throw new ContentRefused('it holds values that can\'t be hidden in it')
    // The seam stays here: a value that ends in the next piece has not begun to leave.
    const keep = Math.min(seen.length, SEAM_BYTES)
    out.push(seen.subarray(0, seen.length - keep))
    this.#tail = seen.subarray(seen.length - keep)
  }
  end(out: Buffer[]): void { out.push(this.#tail) }
}
const SEAM_BYTES = 512

async function pass(upstream: IncomingMessage, status: number, headers: Pairs, back: Back): Promise<void> {
  const { answer, session, plan } = back
  begin(answer, status, headers)
  gave(session, plan, Buffer.from(describe(status, headers)))
  for await (const piece of upstream as AsyncIterable<Buffer>) {
    plan.bytes += piece.length
    await within(back)
    gave(session, plan, piece)
    if (!(answer as ServerResponse).write(piece)) await drained(answer as ServerResponse, answer)
    const behind = session.behind()
    if (behind !== null) await behind
  }
  answer.end()
}

/** Nothing beyond a limit leaves before it was raised. */
async function within({ session, plan, waiting, maskKey }: Back): Promise<void> {
  if (session.grant.maskKey !== maskKey) throw new ContentRefused(MASKS_CHANGED)
  while (plan.rows > plan.rowsMax || plan.bytes > plan.bytesMax) {
    const more = await session.more(plan, waiting)
    if (more !== true) throw new Cut(more)
  }
}

function begin(answer: Answer, status: number, headers: Pairs, trailers: Pairs = []): void {
  const write = answer as ServerResponse
  const grouped = new Map<string, string[]>()
  for (const [name, value] of headers) { const known = grouped.get(name); if (known === undefined) grouped.set(name, [value]); else known.push(value) }
  for (const [name, values] of grouped) write.setHeader(name, values.length === 1 ? values[0]! : values)
  if (trailers.length > 0) write.setHeader('trailer', trailers.map(([name]) => name).join(', '))
  write.statusCode = status
}
function endWith(answer: Answer, body: Buffer, trailers: Pairs): void {
  const write = answer as ServerResponse
  if (trailers.length > 0) { write.write(body); write.addTrailers(Object.fromEntries(trailers)); write.end() } else write.end(body)
}
function trailersOf(upstream: IncomingMessage, hider: Hider): Pairs {
  const kept: Pairs = []
  for (let i = 0; i < upstream.rawTrailers.length; i += 2) kept.push([upstream.rawTrailers[i]!.toLowerCase(), hider.words(upstream.rawTrailers[i + 1]!)])
  return kept.filter(([name]) => !['content-length', 'transfer-encoding', 'host', 'set-cookie', 'location', 'authorization', 'content-encoding', 'content-type'].includes(name))
}
const describe = (status: number, headers: Pairs): string => `${status}\n${headers.map(([name, value]) => `${name}: ${value}`).join('\n')}\n\n`
function gave(session: LiveSession, plan: Plan, bytes: Buffer): void { if (bytes.length > 0) session.gave(plan.run, bytes, 0, bytes.length) }

async function* counted(pieces: Buffer[], upstream: Readable, count: (bytes: number) => void): AsyncGenerator<Buffer> {
  for (const piece of pieces) { count(piece.length); yield piece }
  for await (const piece of upstream as AsyncIterable<Buffer>) { count(piece.length); yield piece }
}
/** The source through each of the steps, with back-pressure. */
function chain(source: AsyncIterable<Buffer>, steps: readonly Transform[]): AsyncIterable<Buffer> {
  return steps.reduce((from, step) => throughStep(from, step), source)
}
async function* throughStep(from: AsyncIterable<Buffer>, step: Transform): AsyncGenerator<Buffer> {
  let broken: Error | null = null
  const fed = (async () => {
    try {
      for await (const piece of from) if (!step.write(piece)) await new Promise<void>((on) => { step.once('drain', on); step.once('close', on) })
      step.end()
    } catch (error) { broken = error as Error; step.destroy(error as Error) }
  })()
  try { for await (const piece of step as AsyncIterable<Buffer>) yield piece } catch (error) { throw broken ?? new ContentRefused(`it can't be decoded (${(error as NodeJS.ErrnoException).code ?? 'broken'})`) }
  await fed
}
function chainOut(steps: readonly Transform[], answer: Answer): Transform {
  for (let i = 0; i + 1 < steps.length; i++) steps[i]!.pipe(steps[i + 1]!)
  steps.at(-1)!.pipe(answer as ServerResponse)
  return steps[0]!
}
function drained(to: Transform | ServerResponse, answer: Answer): Promise<void> {
  return new Promise((done, failed) => {
    const end = (step: () => void) => () => { to.off('drain', onDrain); answer.off('close', onClose); step() }
    const onDrain = end(done), onClose = end(() => failed(new Error('the client left')))
    to.once('drain', onDrain)
    answer.once('close', onClose)
  })
}
