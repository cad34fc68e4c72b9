// The head of a request, read strictly: what two parsers could read in two ways is refused. Pure functions; node's own parser (or nghttp2)
// has framed it before, with its lenient modes off.

/** Headers of one request. */
export const HEADERS_MAX = 200
/** All of a head. */
export const HEAD_BYTES_MAX = 64 * 1024
/** A method beyond these is a protocol of its own (CONNECT) or an echo of what must not be seen (TRACE). */
const REFUSED_METHODS = new Set(['CONNECT', 'TRACE', 'TRACK'])
const METHOD = /^[A-Z][A-Z-]{0,31}$/
const OVERRIDES = new Set(['x-http-method-override', 'x-http-method', 'x-method-override'])
const CONNECTION_TOKENS = new Set(['close', 'keep-alive', 'upgrade', 'te', 'http2-settings'])
const ONCE = new Set(['host', 'content-length', 'transfer-encoding', 'content-type', 'content-encoding', 'authorization', 'range', 'if-range', 'upgrade', 'expect', 'cookie2', 'origin', 'content-location', 'te'])
const PATH_CHARACTERS = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/
const QUERY_CHARACTERS = /^[\x21\x24-\x3b\x3d\x3f-\x5a\x5b\x5d-\x5f\x61-\x7e%{|}`"<>^\\]*$/

export interface RawHead {
  readonly method: string
  readonly target: string
  /** Names and values in turn, as they came. */
  readonly headers: readonly string[]
  /** Of HTTP/2. */
  readonly authority: string | null
  /** The name TLS was asked for, if any. */
  readonly serverName: string | null
  readonly version: 1 | 2
}
export interface Head {
  readonly method: string
  readonly host: string
  /** As sent, without the query. */
  readonly rawPath: string
  /** Each segment decoded once. */
  readonly segments: readonly string[]
  /** As sent, with its `?`, or empty. */
  readonly query: string
  /** Names in lower case, in order. */
  readonly headers: readonly (readonly [string, string])[]
  get(name: string): string | undefined
}
/** Why it is refused; `status` of HTTP. */
export class HeadRefused extends Error {
  readonly status: number
  constructor(status: number, message: string) { super(message); this.name = 'HeadRefused'; this.status = status }
}
const refuse = (message: string, status = 400): never => { throw new HeadRefused(status, message) }

export function readHead(raw: RawHead): Head {
  if (REFUSED_METHODS.has(raw.method)) refuse(`${raw.method} is not served here`, 405)
  if (!METHOD.test(raw.method)) refuse('a method that is none')
  const headers = pairsOf(raw)
  const values = new Map<string, string[]>()
  for (const [name, value] of headers) { const known = values.get(name); if (known === undefined) values.set(name, [value]); else known.push(value) }
  for (const [name, list] of values) if (list.length > 1 && ONCE.has(name)) refuse(`${name} stands there twice`)
  const get = (name: string) => values.get(name)?.join(', ')
  checkFraming(get, raw)
  for (const name of OVERRIDES) if (values.has(name)) refuse(`${name}: a method is asked for by itself, not by a header`)
  for (const token of (get('connection') ?? '').split(',')) if (token.trim() !== '' && !CONNECTION_TOKENS.has(token.trim().toLowerCase())) refuse('Connection names a header that is not the connection\'s own')
  const upgrade = get('upgrade')
  if (upgrade !== undefined && upgrade.toLowerCase() !== 'websocket') refuse('an upgrade to another protocol is not served here', 501)
  if ((get('expect') ?? '100-continue').toLowerCase() !== '100-continue') refuse('an expectation that can\'t be met', 417)
  const host = hostOf(raw, get('host'))
  const { path, query } = targetOf(raw.target, host)
  if (/(^|[?&])_method=/i.test(query)) refuse('_method: a method is asked for by itself, not by a parameter')
  return { method: raw.method, host, rawPath: path, segments: segmentsOf(path), query, headers, get }
}

function pairsOf(raw: RawHead): [string, string][] {
  if (raw.headers.length > HEADERS_MAX * 2) refuse(`more than ${HEADERS_MAX} headers`, 431)
  const pairs: [string, string][] = []
  for (let i = 0; i < raw.headers.length; i += 2) {
    const name = raw.headers[i]!, value = raw.headers[i + 1]!
    if (name.startsWith(':')) continue
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) refuse('a header\'s name is none')
    if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) refuse('a control character in a header')
    pairs.push([name.toLowerCase(), value])
  }
  return pairs
}

function checkFraming(get: (name: string) => string | undefined, { version }: RawHead): void {
  const length = get('content-length'), coding = get('transfer-encoding')
  if (length !== undefined && coding !== undefined) refuse('Content-Length and Transfer-Encoding together')
  if (length !== undefined && !/^(0|[1-9][0-9]{0,14})$/.test(length)) refuse('a Content-Length that is no number')
  if (coding !== undefined && (version === 2 || coding !== 'chunked')) refuse('a Transfer-Encoding other than chunked')
  if (version === 2 && get('connection') !== undefined) refuse('Connection in HTTP/2')
}

/** Host and :authority must be one, and the name TLS was asked for. */
function hostOf(raw: RawHead, header: string | undefined): string {
  const host = raw.authority ?? header
  if (host === undefined || host === '') return refuse('no Host')
  if (raw.authority !== null && header !== undefined && header.toLowerCase() !== raw.authority.toLowerCase()) refuse('Host and :authority differ')
  if (!/^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$/.test(host)) refuse('a Host that is none')
  const name = hostName(host)
  if (raw.serverName !== null && raw.serverName.toLowerCase() !== name) refuse('Host is not the name that TLS was asked for', 421)
  return host.toLowerCase()
}
/** Without its port, in lower case. */
export const hostName = (host: string): string => host.replace(/:[0-9]+$/, '').toLowerCase()

function targetOf(target: string, host: string): { path: string; query: string } {
  let rest = target
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/is.exec(target)
  if (absolute !== null) {
    if (absolute[1]!.toLowerCase() !== host) refuse('the target names another host', 421)
    rest = absolute[2]! === '' ? '/' : absolute[2]!
  }
  if (!rest.startsWith('/')) refuse('a target that is no path')
  if (rest.includes('#')) refuse('a fragment in the target')
  const mark = rest.indexOf('?')
  const path = mark < 0 ? rest : rest.slice(0, mark), query = mark < 0 ? '' : rest.slice(mark)
  if (!PATH_CHARACTERS.test(path)) refuse('a character in the path that belongs escaped')
  if (query !== '' && !QUERY_CHARACTERS.test(query.slice(1))) refuse('a character in the query that belongs escaped')
  return { path, query }
}

/** Each segment decoded once. What a server could take for another path is refused: dots, empty segments, escaped slashes, escapes of escapes. */
export function segmentsOf(path: string): string[] {
  const parts = path.slice(1).split('/')
  return parts.map((part, index) => {
    if (part === '' && index < parts.length - 1) refuse('an empty segment in the path')
    let text: string
    try { text = decodeURIComponent(part) } catch { return refuse('an escape in the path that is none') }
    if (/[/\\\0-\x1f\x7f]/.test(text)) refuse('a slash or control character, escaped, in the path')
    if (/%[0-9A-Fa-f]{2}/.test(text)) refuse('an escape of an escape in the path')
    const plain = text.replace(/;.*$/, '')
    if (plain === '.' || plain === '..') refuse('a path that climbs')
    return text
  })
}
