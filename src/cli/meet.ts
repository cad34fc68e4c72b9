// The first meeting with a gateway: whether it is trusted by a public CA, by one that was given, or by its own, pinned from now on.
// Nothing secret is sent before that is decided.
import { X509Certificate } from 'node:crypto'
import { connect, type PeerCertificate } from 'node:tls'
import type { GatewayView } from '../api/schema.ts'
import { readJson, reason, send } from './api.ts'
import { CommandFailed } from './command.ts'
import { note } from './output.ts'

const MEET_TIMEOUT_MS = 10_000

export interface Met { readonly view: GatewayView; /** PEM to pin; null: a public CA. */ readonly ca: string | null }
export interface Trust { readonly ca: string | null; readonly fingerprint: string | null }

export async function meetGateway(address: string, trust: Trust): Promise<Met> {
  if (new URL(address).protocol === 'http:') return { view: await look(address, null), ca: null }
  if (trust.ca !== null) return { view: await look(address, trust.ca), ca: trust.ca }
  const root = await presentedRoot(new URL(address))
  if (root === null) return { view: await look(address, null), ca: null }
  const { fingerprint256 } = root
  if (trust.fingerprint !== null && !sameFingerprint(trust.fingerprint, fingerprint256)) throw new CommandFailed(`the gateway's CA has another fingerprint than the one given: ${fingerprint256}`)
  if (trust.fingerprint === null) note(`Trusting the gateway's CA from now on: SHA-256 ${fingerprint256} (compare it with \`sluice ca\` at the gateway)`)
  const ca = root.toString()
  return { view: await look(address, ca), ca }
}

async function look(gateway: string, ca: string | null): Promise<GatewayView> {
  const profile = { gateway, ca, token: '' }
  return readJson<GatewayView>(await send(profile, 'GET', '/api/gateway'), profile)
}

/** The self-signed certificate at the end of the chain the gateway shows; null when a public CA vouches for it. */
function presentedRoot(address: URL): Promise<X509Certificate | null> {
  const host = address.hostname.replace(/^\[|\]$/g, '')
  return new Promise((done, fail) => {
    const socket = connect({ host, port: Number(address.port || 443), rejectUnauthorized: false, timeout: MEET_TIMEOUT_MS, ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) })
    const end = (error: Error) => { socket.destroy(); fail(new CommandFailed(`the gateway at ${address.origin} can't be reached: ${reason(error)}`)) }
    socket.once('timeout', () => end(new Error(`no answer within ${MEET_TIMEOUT_MS / 1000} s`)))
    socket.once('error', end)
    socket.once('secureConnect', () => {
      const chain = socket.authorized ? null : lastOf(socket.getPeerCertificate(true))
      socket.destroy()
      if (chain === null) { done(null); return }
      const root = new X509Certificate(chain.raw)
      if (!root.ca || !root.verify(root.publicKey)) fail(new CommandFailed('the gateway shows a certificate that nobody known vouches for, and not its CA: give it with --ca FILE'))
      else done(root)
    })
  })
}

function lastOf(certificate: PeerCertificate): PeerCertificate {
  let last = certificate
  for (let next = (last as PeerCertificate & { issuerCertificate?: PeerCertificate }).issuerCertificate; next !== undefined && next !== last; next = (next as PeerCertificate & { issuerCertificate?: PeerCertificate }).issuerCertificate) last = next
  return last
}

function sameFingerprint(a: string, b: string): boolean { return a.replaceAll(/[^0-9a-f]/gi, '').toLowerCase() === b.replaceAll(/[^0-9a-f]/gi, '').toLowerCase() }
