// Fetches issuers' key sets: discovery, then the JWKS it names. Runs once, in the supervisor, so that a storm of tokens in all workers is
// at most one fetch per key set and 30 s. Asks no address but the configured issuer's and the one its discovery names. Fails closed:
// keys past their time are not used, however long the issuer is down.
import { NotAuthenticated } from '../core/errors.ts'
import { addressProblem } from './issuer.ts'
import { parseKeySet } from './key-set.ts'
import type { KeySet, VerifyKey } from './key-set.ts'
import { member, strictObject } from './strict-json.ts'

/** Between two fetches of one key set, successful or not. */
export const FETCH_INTERVAL_MS = 30_000
/** A key set is used so long without asking again: what the issuer says (max-age), within these. */
export const KEYS_FRESH_MS_MIN = 30_000
export const KEYS_FRESH_MS_MAX = 3_600_000
export const KEYS_FRESH_MS_DEFAULT = 300_000
/** Where the keys are is asked again after this. */
const DISCOVERY_FRESH_MS = 3_600_000
export const FETCH_MS_MAX = 5_000
export const DOCUMENT_BYTES_MAX = 512 * 1024
const DISCOVERY_PATH = '/.well-known/openid-configuration'

export interface FetcherOptions {
  /** Told when an issuer can't be asked, for the log: never a secret. */
  readonly failed?: (issuer: string, why: string) => void
  /** Milliseconds of a clock that never jumps. */
  readonly monotonicMs?: () => number
}

interface Known {
  keys: readonly VerifyKey[]
  freshUntilMs: number
  askedAtMs: number
  asking: Promise<void> | null
  why: string
  jwksUri: string | null
  discoveredAtMs: number
}

export class KeyFetcher {
  readonly #known = new Map<string, Known>()
  readonly #failed: (issuer: string, why: string) => void
  readonly #now: () => number
  constructor(options: FetcherOptions = {}) {
    this.#failed = options.failed ?? (() => {})
    this.#now = options.monotonicMs ?? (() => performance.now())
  }

  /** Keys of an issuer by its URL, which the caller took from the configuration. Throws NotAuthenticated when there are none in time. */
  async keys(issuer: string, refresh: boolean): Promise<KeySet> {
    const known = this.#of(issuer)
    const now = this.#now()
    const mayAsk = now - known.askedAtMs >= FETCH_INTERVAL_MS
    const fresh = now < known.freshUntilMs
    if (known.asking !== null && (!fresh || refresh)) await known.asking
    else if (mayAsk && (!fresh || refresh)) await this.#ask(issuer, known)
    // Half way to its end it is renewed beside the path, so that a short failure of the issuer is felt by no one.
    else if (mayAsk && known.asking === null && known.freshUntilMs - now < (known.freshUntilMs - known.askedAtMs) / 2) void this.#ask(issuer, known)
    const freshForMs = known.freshUntilMs - this.#now()
    if (freshForMs <= 0) throw new NotAuthenticated(`the issuer of the token gave no keys to check it with (${known.why}): try again in half a minute`)
    return { keys: known.keys, freshForMs }
  }

  /** What was learnt of issuers that are no longer configured is forgotten. */
  keep(issuers: readonly string[]): void { for (const issuer of this.#known.keys()) if (!issuers.includes(issuer)) this.#known.delete(issuer) }

  #of(issuer: string): Known {
    let known = this.#known.get(issuer)
    if (known === undefined) {
      known = { keys: [], freshUntilMs: -Infinity, askedAtMs: -Infinity, asking: null, why: 'not asked yet', jwksUri: null, discoveredAtMs: -Infinity }
      this.#known.set(issuer, known)
    }
    return known
  }

  #ask(issuer: string, known: Known): Promise<void> {
    known.askedAtMs = this.#now()
    known.asking = this.#fetch(issuer, known).catch((error: unknown) => {
      known.why = error instanceof FetchFailed ? error.message : 'an internal error'
      known.jwksUri = null
      this.#failed(issuer, known.why)
    }).finally(() => { known.asking = null })
    return known.asking
  }

  async #fetch(issuer: string, known: Known): Promise<void> {
    const until = AbortSignal.timeout(FETCH_MS_MAX)
    if (known.jwksUri === null || this.#now() - known.discoveredAtMs > DISCOVERY_FRESH_MS) {
      known.jwksUri = await discover(issuer, until)
      known.discoveredAtMs = this.#now()
    }
    const { document, maxAgeMs } = await fetchObject(known.jwksUri, until)
    const keys = parseKeySet(document)
    if (keys === null || keys.length === 0) throw new FetchFailed('its key set holds no usable key')
    known.keys = keys
    // Counted from the question, not from the answer: a slow answer is an old one.
    known.freshUntilMs = known.askedAtMs + Math.min(Math.max(maxAgeMs ?? KEYS_FRESH_MS_DEFAULT, KEYS_FRESH_MS_MIN), KEYS_FRESH_MS_MAX)
  }
}

/** Its message is safe to tell whoever presents a token. */
class FetchFailed extends Error {}

async function discover(issuer: string, until: AbortSignal): Promise<string> {
  const { document } = await fetchObject(issuer.replace(/\/$/, '') + DISCOVERY_PATH, until)
  if (member(document, 'issuer') !== issuer) throw new FetchFailed('its discovery document is of another issuer')
  const uri = member(document, 'jwks_uri')
  if (typeof uri !== 'string') throw new FetchFailed('its discovery document names no jwks_uri')
  if (issuer.startsWith('https:') && !uri.startsWith('https:')) throw new FetchFailed('its jwks_uri is not https://')
  return uri
}

async function fetchObject(address: string, until: AbortSignal): Promise<{ document: Record<string, unknown>; maxAgeMs: number | null }> {
  const problem = addressProblem(address)
  if (problem !== null) throw new FetchFailed(`its address can't be asked: ${problem}`)
  let response: Response
  try { response = await fetch(address, { redirect: 'error', signal: until, headers: { accept: 'application/json' }, credentials: 'omit' }) } catch { throw new FetchFailed('it does not answer') }
  const bytes = await limitedBody(response)
  if (response.status !== 200) throw new FetchFailed(`it answers with status ${response.status}`)
  const document = bytes === null ? null : strictObject(bytes)
  if (document === null) throw new FetchFailed(bytes === null ? `its answer is longer than ${DOCUMENT_BYTES_MAX} bytes` : 'its answer is no JSON object')
  return { document, maxAgeMs: maxAge(response.headers.get('cache-control')) }
}

/** The body up to the limit; null when it is longer, and then it is not read on. */
async function limitedBody(response: Response): Promise<Buffer | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length
      // Leaving the loop cancels the body and with it the connection.
      if (bytes > DOCUMENT_BYTES_MAX) return null
      chunks.push(chunk)
    }
  } catch { throw new FetchFailed('its answer breaks off') }
  return Buffer.concat(chunks)
}

function maxAge(header: string | null): number | null {
  if (header === null) return null
  if (/\bno-(store|cache)\b/i.test(header)) return 0
  const seconds = /(?:^|[,\s])max-age\s*=\s*"?(\d{1,9})/i.exec(header)?.[1]
  return seconds === undefined ? null : Number(seconds) * 1_000
}
