// The demo's identity provider: a real one (oidc-provider), on loopback, whose sign-in page lets you choose who you are. It gives a
// token to whoever asks, and must never be used for anything but a demo.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import Provider from 'oidc-provider'
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js'
import { deviceFlow, PAGE_HEADERS, choosePage, failurePage } from './pages.ts'
import { AGENT, PEOPLE } from './people.ts'

export const CLIENT_ID = 'sluice'
/** An agent has no refresh token: its token lasts a working day. */
const AGENT_TOKEN_SECONDS = 12 * 3_600
const TOKEN_SECONDS = 3_600
const REFRESH_SECONDS = 30 * 86_400
const FORM_BYTES_MAX = 4_096
const SCOPES = 'openid profile email offline_access'

export interface DemoIssuer { readonly url: string; readonly agentSecret: string; stop(): Promise<void> }
export interface IssuerOptions { readonly data: string; readonly port: number; /** Where the page's sign-in comes back to. */ readonly webUrl: string }

export async function startIssuer({ data, port, webUrl }: IssuerOptions): Promise<DemoIssuer> {
  const url = `http://127.0.0.1:${port}`
  const agentSecret = randomBytes(24).toString('base64url')
  const provider = new Provider(url, configuration(agentSecret, signingKeys(join(data, 'issuer.keys.json'))))
  // A program on this machine listens where it finds a port (RFC 8252): any port of the loopback address is its own.
  Object.assign(provider.Client.prototype, { redirectUriAllowed(uri: string) { return uri === `${webUrl}/login/callback` || /^http:\/\/127\.0\.0\.1(:\d+)?\/callback$/.test(uri) } })
  const answer = provider.callback()
  const server = createServer((request, response) => {
    const work = request.url?.startsWith('/interaction/') === true ? interact(provider, request, response) : answer(request, response)
    work.catch(() => { if (!response.headersSent) response.writeHead(400, { 'content-type': 'text/plain' }); response.end('This sign-in is over or was never begun: start again.\n') })
  })
  await new Promise<void>((done, fail) => { server.once('error', fail); server.listen(port, '127.0.0.1', done) })
  return { url, agentSecret, stop: () => close(server) }
}

function configuration(agentSecret: string, keys: object): object {
  return {
    clients: [
      {
        client_id: CLIENT_ID, client_name: 'Sluice', token_endpoint_auth_method: 'none', redirect_uris: ['http://127.0.0.1/callback'],
        response_types: ['code'], grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      },
      { client_id: AGENT.id, client_secret: agentSecret, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
    ],
    jwks: keys,
    cookies: { keys: [randomBytes(24).toString('base64url')], long: { signed: true, sameSite: 'lax' }, short: { signed: true, sameSite: 'lax' } },
    scopes: SCOPES.split(' '), claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email', 'email_verified'] },
    // Sluice reads the ID token alone: the claims are in it.
    conformIdTokenClaims: false,
    findAccount: (_: unknown, id: string) => accountOf(id),
    interactions: { url: (_: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
    adapter: class extends MemoryAdapter {}, renderError: failurePage,
    features: {
      devInteractions: { enabled: false }, deviceFlow, clientCredentials: { enabled: true }, rpInitiatedLogout: { enabled: false },
      resourceIndicators: {
        enabled: true, defaultResource: (_: unknown, client: { clientId: string }) => client.clientId === AGENT.id ? 'urn:sluice' : undefined,
        getResourceServerInfo: () => ({ scope: '', audience: CLIENT_ID, accessTokenFormat: 'jwt', accessTokenTTL: AGENT_TOKEN_SECONDS }), useGrantedResource: () => true,
      },
    },
    // RFC 8693: the token is about the person, and `act` names who acts.
    extraTokenClaims: (_: unknown, token: { clientId: string }) => token.clientId === AGENT.id ? { email: AGENT.actsFor, email_verified: true, groups: AGENT.groups, act: { sub: AGENT.id } } : undefined,
    loadExistingGrant: grantAll, issueRefreshToken: () => true, rotateRefreshToken: false, expiresWithSession: () => false,
    pkce: { required: () => true },
    ttl: { IdToken: TOKEN_SECONDS, AccessToken: TOKEN_SECONDS, RefreshToken: REFRESH_SECONDS, Session: 60, Interaction: 600, Grant: REFRESH_SECONDS, DeviceCode: 600, ClientCredentials: AGENT_TOKEN_SECONDS },
  }
}

function accountOf(id: string): object | undefined {
  const person = PEOPLE.find((one) => one.id === id)
  return person === undefined ? undefined : { accountId: id, claims: () => ({ sub: id, name: person.name, email: person.email, email_verified: true, groups: person.groups }) }
}

interface GrantContext { readonly oidc: { readonly client: { readonly clientId: string }; readonly session: { readonly accountId: string }; readonly provider: { readonly Grant: new (of: object) => { addOIDCScope(scope: string): void; save(): Promise<unknown> } } } }
/** Nobody is asked for consent: the only client is Sluice. */
async function grantAll(context: GrantContext): Promise<object> {
  const { client, session, provider } = context.oidc
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
  grant.addOIDCScope(SCOPES)
  await grant.save()
  return grant
}

async function interact(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { uid } = await provider.interactionDetails(request, response)
  if (request.method === 'GET') { response.writeHead(200, PAGE_HEADERS).end(choosePage(uid)); return }
  const form = new URLSearchParams(await read(request))
  const person = PEOPLE.find(({ id }) => id === form.get('person'))
  if (person === undefined) throw new Error('nobody was chosen')
  await provider.interactionFinished(request, response, { login: { accountId: person.id, remember: false } }, { mergeWithLastSubmission: false })
}

async function read(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8')
    if (text.length > FORM_BYTES_MAX) throw new Error('too long')
  }
  return text
}

/** Kept, so that a token of the last start is still good after the next. */
function signingKeys(file: string): object {
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(file, JSON.stringify({ keys: [{ ...rsa.privateKey.export({ format: 'jwk' }), kid: 'demo-rsa', use: 'sig', alg: 'RS256' }, { ...privateKey.export({ format: 'jwk' }), kid: 'demo-ec', use: 'sig', alg: 'ES256' }] }), { mode: 0o600 })
  }
  return JSON.parse(readFileSync(file, 'utf8')) as object
}

function close(server: Server): Promise<void> { return new Promise((done) => { server.close(() => done()); server.closeAllConnections() }) }
