// The API as commands use it: the gateway is trusted by the CA pinned at login, the credential is renewed in time, and an error of
// the gateway becomes one line. Follows no redirect: a credential goes to its own gateway only.
import { request as plainRequest, type IncomingMessage } from 'node:http'
import { request as tlsRequest } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import { CommandFailed, type Given } from './command.ts'
import { loadProfile, type Profile, profileName } from './profile.ts'
import { renewed } from './renew.ts'

const REQUEST_TIMEOUT_MS = 30_000
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

export interface Client {
  readonly name: string
  readonly profile: Profile
  get<T>(path: string): Promise<T>
  send<T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T>
  /** For long and endless answers. */
  stream(path: string): Promise<IncomingMessage>
}

export async function openClient(given: Given): Promise<Client> {
  const name = profileName(given)
  const profile = await renewed(name, loadProfile(name))
  const call = async <T>(method: string, path: string, body?: unknown) => readJson<T>(await send(profile, method, path, body), profile)
  return {
    name, profile, get: (path) => call('GET', path), send: (method, path, body) => call(method, path, body),
    stream: async (path) => {
      const answer = await send(profile, 'GET', path)
      if ((answer.statusCode ?? 500) >= 400) await readJson(answer, profile)
      return answer
    },
  }
}

/** A CA of a gateway's own signs nothing but that gateway: the chain is what counts then, not the name it is reached by. */
export function trustOf(profile: Pick<Profile, 'ca'>): SecureContextOptions & { checkServerIdentity?: () => undefined } {
  return profile.ca === null ? {} : { ca: profile.ca, checkServerIdentity: () => undefined }
}

export function send(profile: Pick<Profile, 'gateway' | 'ca' | 'token'>, method: string, path: string, body?: unknown): Promise<IncomingMessage> {
  const address = new URL(path, profile.gateway)
  const text = body === undefined ? null : JSON.stringify(body)
  const headers = { accept: 'application/json', ...(profile.token === '' ? {} : { authorization: `Bearer ${profile.token}` }), ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }) }
  return new Promise((done, fail) => {
    const secure = address.protocol === 'https:'
    const request = (secure ? tlsRequest : plainRequest)(address, { method, headers, timeout: REQUEST_TIMEOUT_MS, agent: false, ...(secure ? trustOf(profile) : {}) }, done)
    request.once('timeout', () => request.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS / 1000} s`)))
    request.once('error', (error) => fail(new CommandFailed(`the gateway at ${profile.gateway} can't be reached: ${reason(error)}`)))
    request.end(text ?? undefined)
  })
}

export async function readJson<T>(answer: IncomingMessage, profile: Pick<Profile, 'gateway'>): Promise<T> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new CommandFailed(`the gateway's answer is longer than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  let value: unknown
  try { value = JSON.parse(Buffer.concat(chunks).toString('utf8')) } catch { throw new CommandFailed(`${profile.gateway} did not answer as a Sluice gateway does (status ${answer.statusCode ?? 0})`) }
  if ((answer.statusCode ?? 500) >= 400) throw new CommandFailed(refusal(value) ?? `the gateway answered with status ${answer.statusCode ?? 0}`)
  return value as T
}

function refusal(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || !('error' in value)) return null
  const { error } = value
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string' ? error.message : null
}

export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'nothing listens there'
  if (code === 'ENOTFOUND') return 'no such host'
  if (code !== undefined && /CERT|SELF_SIGNED|ISSUER/.test(code)) return 'its certificate is not signed by the CA that was pinned: if it was reinstalled, sign in again'
  return message || code || 'unknown error'
}
