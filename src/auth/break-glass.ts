// Accounts of sluice.yaml for the day on which the identity provider, and perhaps the store, is down: a name and the scrypt hash of a long
// secret. Each use is told aloud. Never more than one guess is computed at a time: scrypt is made to be expensive.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { credentialHashOf } from './oidc.ts'

/** What is presented: `break-glass:NAME:SECRET`. */
export const BREAK_GLASS_PREFIX = 'break-glass:'
/** A session so opened ends after this; the secret can be presented again. */
export const BREAK_GLASS_SESSION_MS = 3_600_000
/** Guesses that may wait for their turn; beyond, they are refused. */
export const GUESSES_WAITING_MAX = 8
const SECRET_CHARS_MAX = 1_024
const COST = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }
const HASH_BYTES = 32

export interface BreakGlassAccount {
  readonly name: string
  readonly groups: readonly string[]
  /** As `hashSecret` writes it. */
  readonly hash: string
}

/** `scrypt$SALT$HASH`, for the configuration. */
export async function hashSecret(secret: string): Promise<string> {
  const salt = randomBytes(16)
  return `scrypt$${salt.toString('base64url')}$${(await derive(secret, salt)).toString('base64url')}`
}
export const isSecretHash = (text: string): boolean => /^scrypt\$[A-Za-z0-9_-]{22}\$[A-Za-z0-9_-]{43}$/.test(text)

export class BreakGlass {
  readonly #accounts: () => readonly BreakGlassAccount[]
  #waiting = 0
  #turn: Promise<unknown> = Promise.resolve()
  constructor(accounts: () => readonly BreakGlassAccount[]) { this.#accounts = accounts }

  async open(presented: string, nowMs: number): Promise<Identity> {
    const [, name, secret] = /^break-glass:([^:]+):(.+)$/s.exec(presented) ?? []
    if (name === undefined || secret === undefined || secret.length > SECRET_CHARS_MAX) throw refused()
    const account = this.#accounts().find(one => one.name === name)
    const stored = account !== undefined && isSecretHash(account.hash) ? account.hash : NOBODY
    // An unknown name takes the same time as a wrong secret.
    if (!(await this.#inTurn(() => matches(secret, stored))) || account === undefined || stored === NOBODY) throw refused()
    return { subject: account.name, issuer: 'sluice', groups: account.groups, agent: false, onBehalfOf: null, credentialHash: credentialHashOf(presented), tokenId: null, expiresAtMs: nowMs + BREAK_GLASS_SESSION_MS }
  }

  async #inTurn(guess: () => Promise<boolean>): Promise<boolean> {
    if (this.#waiting >= GUESSES_WAITING_MAX) throw new NotAuthenticated('too many attempts at break-glass accounts at once: try again in some seconds')
    this.#waiting++
    const result = this.#turn.then(guess)
    this.#turn = result.catch(() => {})
    try { return await result } finally { this.#waiting-- }
  }
}

const NOBODY = `scrypt$${'A'.repeat(22)}$${'A'.repeat(43)}`
const refused = () => new NotAuthenticated('the break-glass account or its secret is wrong')

async function matches(secret: string, stored: string): Promise<boolean> {
  const [, salt, hash] = stored.split('$')
  return timingSafeEqual(await derive(secret, Buffer.from(salt!, 'base64url')), Buffer.from(hash!, 'base64url'))
}
const derive = (secret: string, salt: Buffer): Promise<Buffer> => new Promise((done, fail) => {
  scrypt(secret, salt, HASH_BYTES, COST, (error, key) => { if (error === null) done(key); else fail(error) })
})
