// One HTTP request as a Statement: what rules, reviewers and the record read. The text is everything that the client sends, with what its
// codings and escapes hide undone, so that a rule on values sees them whatever they are wrapped in.
import { isUtf8 } from 'node:buffer'
import type { Access, Statement } from '../../core/statement.ts'
import { codingsOf, decodedWhole } from '../../content/encoding.ts'
import { ContentRefused } from '../../content/hider.ts'
import { kindOf, sniffed } from '../../content/kind.ts'
import { formDecoded } from '../../content/text.ts'
import type { Head } from '../../wire/http/head.ts'

/** A request's body, once its codings are undone. */
export const DECODED_BYTES_MAX = 64 * 1024 * 1024
const READS = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])
const WRITES = new Set(['POST', 'PUT', 'PATCH'])
/** By its name alone. Anything else, DELETE among them, is admin. */
export const accessOf = (method: string): Access => (READS.has(method) ? 'read' : WRITES.has(method) ? 'write' : 'admin')

export interface Wanted { readonly head: Head; /** Path behind the resource's base, as sent and decoded. */ readonly rawPath: string; readonly segments: readonly string[]; readonly body: Buffer }
export interface Read { readonly statement: Statement; /** Names given to fields by a GraphQL query, by alias. */ readonly aliases: ReadonlyMap<string, string>; /** It asks for a query that it does not show. */ readonly unseen: boolean }

/** How the record may show what a client sends. */
export interface Showing {
  /** The text with masked fields and found values replaced; null when that can't be done in it. */
  hide(text: string, type: string | undefined): string | null
  /** Whether it holds a value that a detector finds. */
  found(text: string): boolean
}

/** Throws ContentRefused for a body that can't be read. */
export async function readRequest({ head, rawPath, segments, body }: Wanted, showing: Showing): Promise<Read> {
  const path = `/${segments.join('/')}`
  const bare = `/${segments.map((segment) => segment.replace(/;.*$/, '')).join('/')}`
  const type = head.get('content-type')
  const decoded = body.length === 0 ? body : (await decodedWhole(body, codingsOf(head.get('content-encoding')), DECODED_BYTES_MAX)).bytes
  const text = textOf(decoded, type)
  // The credential is the gateway's to know; everything else may go up.
  const headers = head.headers.filter(([name]) => name !== 'authorization' && name !== 'host').map(([name, value]) => `${name}: ${value}`)
  const said = kindOf(type) === 'json' && text !== null ? graphqlOf(text) : type?.startsWith('application/graphql') === true && text !== null ? { queries: [text], unseen: false } : graphqlOfQuery(head.query)
  const shownPath = rawPath.includes('%') && showing.found(path) ? '/[hidden]' : rawPath
  const shownQuery = head.query === '' ? '' : `?${shownText(head.query.slice(1), FORM, showing) ?? '[hidden]'}`
  return {
    aliases: aliasesOf(said.queries), unseen: said.unseen,
    statement: {
      text: [`${head.method} ${rawPath}${head.query}`, path, queryText(head.query), ...headers, ...formsOf(decoded, text, type)].join('\n'),
      shown: `${head.method} ${shownPath}${shownQuery}${body.length === 0 ? '' : `\n\n${shownBody(body, text, type, showing)}`}`,
      effects: [{ operation: `http.${head.method}`, access: accessOf(head.method), objects: bare === path ? [path] : [path, bare], columns: [], bounded: false }],
      masking: null, rowsMax: Infinity, guarded: false, single: false, exempt: false,
    },
  }
}

/** A message that the client sends over a WebSocket: what it does there nobody can tell, so it is a write. */
export function readMessage(segments: readonly string[], bytes: Buffer, showing: Showing): Statement {
  const path = `/${segments.join('/')}`
  const text = textOf(bytes, undefined)
  return {
    text: [`message ${path}`, ...formsOf(bytes, text, undefined)].join('\n'), shown: `message ${path}\n\n${shownBody(bytes, text, undefined, showing)}`,
    effects: [{ operation: 'http.message', access: 'write', objects: [path], columns: [], bounded: false }], masking: null, rowsMax: Infinity, guarded: false, single: false, exempt: false,
  }
}

const FORM = 'application/x-www-form-urlencoded'
/** All that a rule on values looks into. */
const formsOf = (bytes: Buffer, text: string | null, type: string | undefined): string[] => (text === null ? [bytes.toString('latin1')] : [text, ...unwrapped(text, type)])
const shownBody = (bytes: Buffer, text: string | null, type: string | undefined, showing: Showing): string => (text === null ? null : shownText(text, type, showing)) ?? `[${bytes.length} bytes of ${(type ?? 'no type').slice(0, 80)}]`
/** Null: a value stands there in a form in which it can't be replaced. */
function shownText(text: string, type: string | undefined, showing: Showing): string | null {
  const shown = showing.hide(text, type)
  return shown === null || unwrapped(shown, type).some((form) => showing.found(form)) ? null : shown
}

/** Text in the encoding it says, or UTF-8; null for what is none. */
function textOf(bytes: Buffer, type: string | undefined): string | null {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type ?? '')?.[1]
  const bom = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : null
  if (charset !== undefined || bom !== null) {
    try { return new TextDecoder(bom ?? charset, { fatal: true }).decode(bytes) } catch { throw new ContentRefused(`a body that is not in the encoding it says (${(bom ?? charset ?? '').slice(0, 40)})`) }
  }
  return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString('utf8') : null
}

/** The same text with escapes undone: JSON's, a form's, markup's. */
function unwrapped(text: string, type: string | undefined): string[] {
  const kind = kindOf(type) ?? sniffed(Buffer.from(text.slice(0, 512)))
  if (kind === 'form') {
    if (/(^|&)_method=/i.test(text)) throw new ContentRefused('_method: a method is asked for by itself, not by a parameter')
    return [text.split('&').map((pair) => pair.split('=').map(formDecoded).join('=')).join('\n')]
  }
  const plain: string[] = []
  if (/\\[u"\\/bfnrt]/.test(text)) {
    // Twice: JSON in a string in JSON.
    let once = text
    for (let turn = 0; turn < 2; turn++) { once = once.replace(/\\u([0-9A-Fa-f]{4})|\\(["\\/])|\\[bfnrt]/g, (_, code: string | undefined, character: string | undefined) => (code !== undefined ? String.fromCharCode(Number.parseInt(code, 16)) : character ?? ' ')); plain.push(once) }
  }
  if (/&(#|[a-z])/i.test(text)) plain.push(text.replace(/&#(x?)([0-9A-Fa-f]{1,6});?/g, (_, hex: string, code: string) => { const point = Number.parseInt(code, hex === '' ? 10 : 16); return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : ' ' }).replace(/<[^>]*>/g, ''))
  if (/%[0-9A-Fa-f]{2}/.test(text)) plain.push(text.replace(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))))
  return plain
}
function queryText(query: string): string {
  const undone = (text: string) => text.replaceAll('+', ' ').replace(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
  return query === '' ? '' : `${undone(query)}\n${undone(undone(query))}`
}

// ---- GraphQL: a query may call a field by another name

interface Said { readonly queries: readonly string[]; readonly unseen: boolean }
function graphqlOf(text: string): Said {
  let value: unknown
  try { value = JSON.parse(text) } catch { throw new ContentRefused('a body that is not the JSON it says') }
  const queries: string[] = []
  let unseen = false
  for (const one of Array.isArray(value) ? value : [value]) {
    if (typeof one !== 'object' || one === null) continue
    const { query, extensions, documentId, id } = one as Record<string, unknown>
    if (typeof query === 'string') queries.push(query)
    else if ((typeof extensions === 'object' && extensions !== null && 'persistedQuery' in extensions) || (typeof documentId === 'string' && id === undefined)) unseen = true
  }
  return { queries, unseen }
}
function graphqlOfQuery(query: string): Said {
  const parameters = new URLSearchParams(query)
  const asked = parameters.get('query')
  return { queries: asked === null ? [] : [asked], unseen: asked === null && (parameters.get('extensions') ?? '').includes('persistedQuery') }
}
function aliasesOf(queries: readonly string[]): Map<string, string> {
  const aliases = new Map<string, string>()
  for (const query of queries) {
    const bare = query.replace(/"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"/g, '""').replace(/#[^\n]*/g, '')
    for (const match of bare.matchAll(/([_A-Za-z][_0-9A-Za-z]*)[\s,]*:[\s,]*([_A-Za-z][_0-9A-Za-z]*)/g)) aliases.set(match[1]!, match[2]!)
  }
  return aliases
}
