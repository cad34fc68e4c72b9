// Who calls, and who may: every route names one access class, checked before anything of the request is read. Credentials are
// a bearer token (OIDC, or Sluice's own) or the page's cookie; a cookie changes nothing unless the request came from our own page.
import type { Context, MiddlewareHandler } from 'hono'
import { getConnInfo } from '@hono/node-server/conninfo'
import { getCookie } from 'hono/cookie'
import { NotAllowed, NotAuthenticated } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { partiesOf, partyOf } from '../store/review_rows.ts'
import { TOKEN_PREFIX } from '../store/tokens.ts'
import type { ApiPorts, Members } from './ports.ts'

/**
 * anyone: no credential needed. token: also one bound to a resource. person: any identity with a credential of its own.
 * admin, auditor: as configured; officer: either. scraper: an officer, and whoever is on this machine.
 */
export type Access = 'anyone' | 'token' | 'person' | 'admin' | 'auditor' | 'officer' | 'scraper'
export interface Caller {
  /** With the groups that the configuration gives. */
  readonly identity: Identity
  /** As the credential says; tokens are made of this. */
  readonly proved: Identity
  /** `issuer subject`. */
  readonly party: string
  readonly by: 'bearer' | 'cookie'
  readonly boundTo: string | null
  readonly admin: boolean
  readonly auditor: boolean
  /** Of the Sluice token used, if one was. */
  readonly tokenId: string | null
}
export type ApiEnvironment = { Variables: { caller: Caller } }
export type ApiContext = Context<ApiEnvironment>

const CREDENTIAL_CHARACTERS_MAX = 16_384
/** Sluice's own; no configured issuer has this name. */
const BREAK_GLASS_ISSUER = 'sluice'
const SAFE_METHODS = new Set(['GET', 'HEAD'])

/** Over plain HTTP (loopback only) a browser takes no `__Host-` name. */
export const cookieName = (secure: boolean, name: string): string => `${secure ? '__Host-' : ''}sluice-${name}`
export const isSecure = (c: Context): boolean => new URL(c.req.url).protocol === 'https:'

export function requires(ports: ApiPorts, access: Access): MiddlewareHandler<ApiEnvironment> {
  return async (c, next) => {
    if (access === 'anyone' || (access === 'scraper' && isLocal(c))) return next()
    const caller = await callerOf(ports, c)
    if (caller.by === 'cookie') refuseForeignOrigin(c)
    refuseUnless(mayCall(caller, access), access)
    c.set('caller', caller)
    await next()
  }
}

export function mayCall(caller: Caller, access: Access): boolean {
  switch (access) {
    case 'anyone':
    case 'token':
      return true
    case 'person':
      return caller.boundTo === null
    case 'admin':
      return caller.admin
    case 'auditor':
      return caller.auditor
    case 'officer':
    case 'scraper':
      return caller.admin || caller.auditor
  }
}

function refuseUnless(allowed: boolean, access: Access): void {
  if (allowed) return
  if (access === 'person') throw new NotAllowed('this token is for one resource only: use your own credential (`sluice login`)')
  const who = access === 'admin' ? 'admins' : access === 'auditor' ? 'auditors' : 'admins and auditors'
  throw new NotAllowed(`only ${who} of Sluice may do this`)
}

async function callerOf(ports: ApiPorts, c: ApiContext): Promise<Caller> {
  const header = c.req.header('authorization')
  const cookie = getCookie(c, cookieName(isSecure(c), 'session'))
  if (header === undefined && cookie === undefined) throw new NotAuthenticated('sign in first')
  const caller = header === undefined ? await byCookie(ports, cookie!) : await byBearer(ports, c, header)
  if (caller.identity.expiresAtMs <= ports.store.clock.nowMs()) throw new NotAuthenticated('the credential has expired: sign in again')
  const { issuerNames } = ports.facts()
  if (issuerNames !== undefined && !issuerNames.includes(caller.identity.issuer)) throw new NotAuthenticated('the issuer of this credential is not configured any more: sign in again')
  if (await ports.store.revocations.covering(caller.identity)) throw new NotAuthenticated('the credential was revoked')
  if (caller.boundTo === null) await ports.store.people.saw(caller.proved)
  return caller
}

async function byCookie(ports: ApiPorts, cookie: string): Promise<Caller> {
  const opened = await ports.store.tokens.open(cookie)
  if (opened.kind !== 'web') throw new NotAuthenticated('sign in first')
  return makeCaller(ports, opened.identity, 'cookie', null, opened.id)
}

async function byBearer(ports: ApiPorts, c: ApiContext, header: string): Promise<Caller> {
  const [, secret] = /^Bearer ([\x21-\x7e]+)$/i.exec(header) ?? []
  if (secret === undefined || secret.length > CREDENTIAL_CHARACTERS_MAX) throw new NotAuthenticated('the Authorization header must be `Bearer` and a token')
  const judged = <T>(work: () => Promise<T>): Promise<T> => ports.judged?.(addressOf(c), secret, work) ?? work()
  if (!secret.startsWith(TOKEN_PREFIX)) {
    const identity = await judged(() => ports.authenticate(secret))
    // An account of the configuration's own, not a provider's.
    if (identity.issuer === BREAK_GLASS_ISSUER) await shout(ports, c, `account ${identity.subject}`, identity)
    return makeCaller(ports, identity, 'bearer', null, null)
  }
  const opened = await judged(() => ports.store.tokens.open(secret))
  if (opened.kind === 'web') throw new NotAuthenticated('the token is not valid (any more)')
  if (opened.kind === 'emergency') await shout(ports, c, opened.id, opened.identity)
  return makeCaller(ports, opened.identity, 'bearer', opened.boundTo, opened.id)
}

/** Break-glass is loud: each use is in the Record before it is honoured. */
async function shout(ports: ApiPorts, c: ApiContext, tokenId: string, identity: Identity): Promise<void> {
  const what = `${c.req.method} ${c.req.path}`
  await ports.adminEvent({ actor: partyOf(identity), action: 'emergency.used', subject: tokenId, detail: { what } })
  await ports.store.emergency.used(tokenId, identity.subject, what)
}

function makeCaller(ports: ApiPorts, proved: Identity, by: Caller['by'], boundTo: string | null, tokenId: string | null): Caller {
  const facts = ports.facts()
  const identity = ports.declared?.(proved) ?? proved
  // An agent holds no office, and neither does a token made for one resource.
  const office = (members: Members) => !identity.agent && boundTo === null && isMember(members, identity)
  return { identity, proved, party: partyOf(identity), by, boundTo, tokenId, admin: office(facts.admins), auditor: office(facts.auditors) }
}

function isMember(members: Members, identity: Identity): boolean {
  return members.users.includes(identity.subject) || identity.groups.some((group) => members.groups.includes(group))
}

/** Whether a session is this identity's, or an agent's that acts for it. */
export function isOwn(caller: Caller, session: { issuer: string; subject: string; onBehalfOf: string | null }): boolean {
  return partiesOf(session).includes(caller.party)
}

/**
 * SameSite=Lax leaves same-site hosts, and other ports of this one: only our own origin may use the cookie, and a change must say
 * that it comes from there.
 */
function refuseForeignOrigin(c: ApiContext): void {
  const origin = c.req.header('origin')
  const site = c.req.header('sec-fetch-site')
  const ownOrigin = origin !== undefined && URL.canParse(origin) && new URL(origin).host === c.req.header('host')
  const ownSite = site === undefined || site === 'same-origin' || (site === 'none' && SAFE_METHODS.has(c.req.method))
  if (!ownSite || (!ownOrigin && (origin !== undefined || !SAFE_METHODS.has(c.req.method))))
    throw new NotAllowed('this request did not come from the page of this gateway')
}

/** A proxy on this machine speaks for others, and says so. */
function isLocal(c: Context): boolean {
  if (c.req.header('x-forwarded-for') !== undefined || c.req.header('forwarded') !== undefined) return false
  const address = addressOf(c)
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')
}
function addressOf(c: Context): string {
  try { return getConnInfo(c).remote.address ?? '' } catch { return '' }
}
