// `sluice login`: learns how to trust the gateway, signs in at its identity provider by browser or device code, and keeps the
// credential in a profile. The provider's page is opened in the person's own browser; no password passes through here.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as oidc from 'openid-client'
import type { GatewayView } from '../api/schema.ts'
import { type Command, CommandFailed, misused } from './command.ts'
import { inert, line, note, show } from './output.ts'
import { findProfile, type Profile, profileName, saveProfile, type SignIn } from './profile.ts'
import { readSecret } from './secret-input.ts'
import { meetGateway } from './meet.ts'
import { credentialOf, provider } from './renew.ts'
import { readJson, send } from './api.ts'

const GATEWAY = 'https://127.0.0.1:8443'
const BROWSER_WAIT_MS = 300_000
const LOOPBACK = '127.0.0.1'

export const command: Command = {
  usage: 'login [--gateway URL] [--issuer NAME] [--device | --break-glass] [--ca FILE | --fingerprint SHA256] [--profile NAME] [--json]',
  options: { gateway: { type: 'string' }, issuer: { type: 'string' }, device: { type: 'boolean' }, 'break-glass': { type: 'boolean' }, ca: { type: 'string' }, fingerprint: { type: 'string' } },
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    const name = profileName(given)
    const before = findProfile(name)
    const address = gatewayAddress(given.text('gateway') ?? before?.gateway ?? GATEWAY)
    const pinned = before !== null && before.gateway === address ? before.ca : null
    const file = given.text('ca')
    const { view, ca } = await meetGateway(address, { ca: file === undefined ? pinned : readFileSync(file, 'utf8'), fingerprint: given.text('fingerprint') ?? null })
    const issuer = given.flag('break-glass') ? null : chooseIssuer(view, given.text('issuer'))
    const credential = await (issuer === null ? byBreakGlass(address, ca) : given.flag('device') || !canOpenBrowser() ? byDevice(issuer) : byBrowser(issuer))
    const profile: Profile = { gateway: address, ca, postgres: listenerOf(view, address), issuer, ...credential }
    const who = await readJson<{ subject: string }>(await send(profile, 'GET', '/api/whoami'), profile)
    saveProfile(name, profile)
    show(given, { subject: who.subject, profile: name, gateway: address, expiresAtMs: profile.expiresAtMs }, () => line(`signed in as ${inert(who.subject)}${name === 'default' ? '' : ` (profile ${name})`}`))
  },
}

function gatewayAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const local = url !== null && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && local))) throw new CommandFailed(`--gateway must be an https:// address, not ${JSON.stringify(text)}`, 2)
  return url.origin
}

function chooseIssuer(view: GatewayView, wanted: string | undefined): SignIn {
  const able = view.issuers.filter((issuer) => issuer.forPrograms)
  const chosen = wanted === undefined ? able[0] : able.find(({ name }) => name === wanted)
  const names = able.map(({ name }) => name).join(', ')
  if (chosen === undefined) throw new CommandFailed(names === '' ? 'the gateway names no identity provider where a program may sign in (an issuer with client_id and without client_secret)' : `no identity provider is named ${wanted}: ${names}`)
  if (wanted === undefined && able.length > 1) throw new CommandFailed(`say which identity provider with --issuer: ${names}`)
  return { name: chosen.name, issuer: chosen.issuer, clientId: chosen.clientId, scopes: [...new Set([...chosen.scopes, 'offline_access'])] }
}

/** For the day on which no provider answers. The secret is shown to the gateway once; what is kept is a token of an hour. */
async function byBreakGlass(gateway: string, ca: string | null): Promise<Pick<Profile, 'token' | 'refreshToken' | 'expiresAtMs'>> {
  const token = await readSecret('break-glass:NAME:SECRET')
  if (!/^break-glass:[^:]+:./.test(token)) throw new CommandFailed('not the secret of a break-glass account: it begins with break-glass:')
  const asked = { gateway, ca, token }
  const { secret, expiresAtMs } = await readJson<{ secret: string; expiresAtMs: number }>(await send(asked, 'POST', '/api/emergency'), asked)
  return { token: secret, refreshToken: null, expiresAtMs }
}
/** A gateway that listens everywhere is reached where its API is. */
export function listenerOf(view: GatewayView, address: string): Profile['postgres'] {
  if (view.postgres === null) return null
  const everywhere = ['0.0.0.0', '::', ''].includes(view.postgres.host)
  return { host: everywhere ? new URL(address).hostname.replace(/^\[|\]$/g, '') : view.postgres.host, port: view.postgres.port }
}

async function byDevice(signIn: SignIn): Promise<Pick<Profile, 'token' | 'refreshToken' | 'expiresAtMs'>> {
  const configuration = await provider(signIn)
  const started = await oidc.initiateDeviceAuthorization(configuration, { scope: signIn.scopes.join(' ') }).catch(failed)
  note(`Open ${started.verification_uri_complete ?? started.verification_uri} in a browser; the code is ${started.user_code}`)
  return credentialOf(await oidc.pollDeviceAuthorizationGrant(configuration, started).catch(failed), null)
}

/** RFC 8252: a listener on the loopback address for one answer, bound to this attempt by state and PKCE. */
async function byBrowser(signIn: SignIn): Promise<Pick<Profile, 'token' | 'refreshToken' | 'expiresAtMs'>> {
  const configuration = await provider(signIn)
  const [verifier, state, nonce] = [oidc.randomPKCECodeVerifier(), oidc.randomState(), oidc.randomNonce()]
  const landing = await listenForBrowser(state)
  try {
    const address = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: landing.redirect, scope: signIn.scopes.join(' '), state, nonce, code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    })
    note(`Opening your browser. If it does not open: ${address.href}`)
    openBrowser(address.href)
    const back = await landing.answered
    return credentialOf(await oidc.authorizationCodeGrant(configuration, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }).catch(failed), null)
  } finally { landing.close() }
}

interface Landing { readonly redirect: string; readonly answered: Promise<URL>; close(): void }
async function listenForBrowser(state: string): Promise<Landing> {
  const server = createServer()
  await new Promise<void>((done, fail) => { server.once('error', fail); server.listen(0, LOOPBACK, done) })
  const redirect = `http://${LOOPBACK}:${(server.address() as AddressInfo).port}/callback`
  const answered = new Promise<URL>((done, fail) => {
    const late = setTimeout(() => fail(new CommandFailed(`nobody signed in within ${BROWSER_WAIT_MS / 60_000} minutes`)), BROWSER_WAIT_MS)
    late.unref()
    server.on('request', (request, response) => {
      const url = new URL(request.url ?? '/', redirect)
      // Another page of the browser may call here too: only the answer to this attempt counts.
      const ours = url.pathname === '/callback' && url.searchParams.get('state') === state
      response.writeHead(ours ? 200 : 404, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(ours ? 'Done. You can close this page.\n' : 'There is nothing here.\n')
      if (ours) { clearTimeout(late); done(url) }
    })
  })
  answered.catch(() => {})
  return { redirect, answered, close: () => { server.close(); server.closeAllConnections() } }
}

function canOpenBrowser(): boolean { return process.platform === 'darwin' || process.env.BROWSER !== undefined || process.env.DISPLAY !== undefined || process.env.WAYLAND_DISPLAY !== undefined }

function openBrowser(address: string): void {
  const program = process.env.BROWSER ?? (process.platform === 'darwin' ? 'open' : 'xdg-open')
  const child = spawn(program, [address], { stdio: 'ignore', detached: true })
  child.on('error', () => {})
  child.unref()
}

function failed(error: unknown): never {
  const told = error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError ? error.error_description ?? error.error : error instanceof Error ? error.message : String(error)
  throw new CommandFailed(`the sign-in failed: ${told}`)
}

