// Which headers cross, in each direction. What belongs to one hop, says who the client is, or leads around the gateway stays here.

type Pair = readonly [string, string]
const HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect', 'content-length', 'host', 'sec-websocket-key', 'sec-websocket-version', 'sec-websocket-extensions', 'sec-websocket-accept'])
/** Headers in which a proxy tells an upstream who asks, from where, or for what path: believed, so never a client's to send. */
const IDENTITY = new Set(['forwarded', 'via', 'x-real-ip', 'x-client-ip', 'true-client-ip', 'cf-connecting-ip', 'fastly-client-ip', 'x-cluster-client-ip', 'client-ip', 'remote-user', 'remote-addr', 'remote-groups', 'remote-email', 'remote-name',
  'x-user', 'x-user-id', 'x-userid', 'x-username', 'x-user-name', 'x-user-email', 'x-email', 'x-groups', 'x-roles', 'x-userinfo', 'x-webauth-user', 'x-authenticated-user', 'x-authenticated-userid', 'x-authenticated-groups', 'x-access-token', 'x-id-token',
  'x-original-url', 'x-original-uri', 'x-rewrite-url', 'x-original-host', 'x-host', 'x-http-host-override', 'x-original-method', 'x-original-forwarded-for', 'x-custom-ip-authorization', 'x-originating-ip', 'x-remote-ip', 'x-remote-addr', 'x-client-cert', 'x-client-verify', 'x-client-dn', 'x-ssl-cert', 'x-tenant-id'])
const IDENTITY_PREFIXES = ['x-forwarded', 'x-auth-request-', 'x-remote-', 'x-sluice-', 'impersonate-', 'x-goog-authenticated-', 'x-goog-iap-', 'x-amzn-oidc-', 'x-ms-client-principal', 'x-ssl-client-', 'ssl-client-', 'x-envoy-', 'x-webauth-', 'x-pomerium-', 'cf-access-', 'x-vouch-', 'x-authentik-', 'x-consumer-', 'x-credential-', 'proxy-']
/** Of answers: they would speak for every resource behind this address, or lead around it. */
const ANSWER_DROPPED = new Set(['alt-svc', 'strict-transport-security', 'public-key-pins', 'public-key-pins-report-only', 'clear-site-data', 'service-worker-allowed', 'expect-ct', 'nel', 'report-to', 'reporting-endpoints', 'trailer', 'date'])
const ADDRESSES = new Set(['location', 'content-location', 'refresh', 'link', 'uri'])
const COOKIE_NAME = /^(__(?:host|secure)-)?sluice/i

/** A `_` is a `-` to servers that make variables of headers. */
const plain = (name: string): string => name.replaceAll('_', '-')
export const isIdentityHeader = (name: string): boolean => IDENTITY.has(plain(name)) || IDENTITY_PREFIXES.some((prefix) => plain(name).startsWith(prefix))

/** What of the client's headers goes up: not its credential, not the gateway's cookies. */
export function forwardable(headers: readonly Pair[], also: (name: string) => boolean): Pair[] {
  const kept: Pair[] = []
  for (const [name, value] of headers) {
    if (HOP.has(plain(name)) || plain(name) === 'authorization' || isIdentityHeader(name) || also(name)) continue
    if (name !== 'cookie') { kept.push([name, value]); continue }
    const cookies = value.split(';').map((cookie) => cookie.trim()).filter((cookie) => cookie !== '' && !COOKIE_NAME.test(cookie))
    if (cookies.length > 0) kept.push([name, cookies.join('; ')])
  }
  return kept
}

export interface Around {
  /** Authorities (host or host:port) of the target. */
  readonly targets: ReadonlySet<string>
  /** The path prefix of this resource here. */
  readonly base: string
}
/** What of an answer's headers goes down. Null: it leads the client around the gateway. */
export function answerable(raw: readonly string[], around: Around): Pair[] | null {
  const kept: Pair[] = []
  const named = new Set((valueOf(raw, 'connection') ?? '').toLowerCase().split(',').map((name) => name.trim()))
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase(), value = raw[i + 1]!
    if (HOP.has(name) || named.has(name) || ANSWER_DROPPED.has(name)) continue
    if (name === 'set-cookie') { kept.push([name, ownCookie(value, around.base)]); continue }
    if (!ADDRESSES.has(name)) { if (![...around.targets].some((target) => target.includes(':') && value.includes(target))) kept.push([name, value]); continue }
    const address = name === 'location' || name === 'content-location' || name === 'uri' ? ownAddress(value.trim(), around) : ownAddressesIn(value, around)
    if (address === null) { if (name === 'location' || name === 'refresh') return null; continue }
    kept.push([name, address])
  }
  return kept
}
function valueOf(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i < raw.length; i += 2) if (raw[i]!.toLowerCase() === name) return raw[i + 1]
  return undefined
}
/** An address of the target as it is reached here; null for any other host's. */
function ownAddress(value: string, { targets, base }: Around): string | null {
  if (/[\\\0-\x1f\x7f]/.test(value)) return null
  const absolute = /^(?:[A-Za-z][A-Za-z0-9+.-]*:)?\/\/([^/?#]*)(.*)$/.exec(value)
  if (absolute !== null) return targets.has(absolute[1]!.toLowerCase()) ? `${base}${absolute[2]!.startsWith('/') ? '' : '/'}${absolute[2]}` : null
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(value)) return null
  return value.startsWith('/') ? `${base}${value}` : value
}
/** `Link: <…>` and `Refresh: 5; url=…`: null when any of them is another host's. */
function ownAddressesIn(value: string, around: Around): string | null {
  let foreign = false
  const shown = value.replace(/<([^>]*)>|(url=)("?)([^"]*)("?)/gi, (_, linked: string | undefined, key: string | undefined, open: string, refreshed: string, close: string) => {
    const own = ownAddress((linked ?? refreshed).trim(), around)
    if (own === null) { foreign = true; return '' }
    return linked === undefined ? `${key}${open}${own}${close}` : `<${own}>`
  })
  return foreign ? null : shown
}
/** A cookie of one resource never reaches another behind this address. */
function ownCookie(value: string, base: string): string {
  const parts = value.split(';').map((part) => part.trim()).filter((part) => !/^(domain|path)\s*=/i.test(part) && !/^domain$/i.test(part))
  const path = /(?:^|;)\s*path\s*=\s*([^;]*)/i.exec(value)?.[1]?.trim() ?? ''
  // __Host- wants the path `/`: it could then be sent to every resource, so the browser is left to drop it.
  return [...parts, `Path=${base}${path.startsWith('/') && path !== '/' ? path : ''}`].join('; ')
}
