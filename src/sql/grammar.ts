// Text → parse tree by PostgreSQL's own grammar (libpg-query, WASM). Never guesses: a text is parsed whole, is a syntax error in the
// server's words, or is refused with a reason. An instance that failed in any other way may answer wrongly from then on, so it is
// thrown away; long texts run in a thread that can be ended.
import type { Node } from 'libpg-query'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

/** Parsed in this thread up to here (bytes): all known bombs of this size parse or fail cleanly. */
export const INLINE_BYTES_MAX = 16 * 1024
/** Longer texts are refused; `parse` takes another bound. */
export const STATEMENT_BYTES_MAX = 16 * 1024 * 1024
/** Objects in objects: deeper trees are refused, so that whoever walks one by recursion keeps within the stack. */
export const DEPTH_MAX = 1200
const WORKER_TIMEOUT_MS = 10_000
const WORKER_STACK_MB = 64
const WORKER_HEAP_MB = 2048
const WORKER_QUEUE_MAX = 256

/** One statement of a text. `start` and `length` are UTF-8 bytes and may cover leading comments, not the semicolon. */
export interface Parsed { readonly node: Node; readonly start: number; readonly length: number }
export interface Tree { readonly kind: 'tree'; readonly text: string; readonly statements: readonly Parsed[] }
/** What the server would answer: `position` counts characters from 1 as its field P does, 0 when it has none. */
export interface SyntaxFailure { readonly kind: 'syntax'; readonly message: string; readonly code: string; readonly position: number }
/** Not judged, so not forwarded; `reason` is safe for the client. */
export interface Refused { readonly kind: 'refused'; readonly reason: string }
export type Outcome = Tree | SyntaxFailure | Refused
/** One token of the grammar's own scanner; places are UTF-8 bytes. */
export interface Token { readonly start: number; readonly end: number; readonly text: string; readonly tokenType: number; readonly tokenName: string; readonly keywordName: string }

interface Instance {
  _malloc(bytes: number): number
  _free(pointer: number): void
  _wasm_parse_query_raw(text: number): number
  _wasm_free_parse_result(result: number): void
  _wasm_scan(text: number): number
  _wasm_free_string(text: number): void
  UTF8ToString(pointer: number): string
  stringToUTF8(text: string, pointer: number, bytesMax: number): void
  readonly HEAPU32: Uint32Array
}
const makeInstance = createRequire(import.meta.url)('libpg-query/wasm/libpg-query.js') as () => Promise<Instance>

let instance: Instance | null = null
let loading: Promise<void> | null = null
/** Resolves when `parse` can answer short texts without waiting. */
export function ready(): Promise<void> {
  if (instance !== null) return Promise.resolve()
  loading ??= makeInstance().then((made) => { instance = made; loading = null })
  return loading
}
void ready()

/** Parses a whole text: at once when it is short, by a promise when it is long. */
export function parse(text: string, bytesMax = STATEMENT_BYTES_MAX): Outcome | Promise<Outcome> {
  if (text.includes('\0')) return { kind: 'refused', reason: 'the text holds a NUL character' }
  if (!text.isWellFormed()) return { kind: 'refused', reason: 'the text is not valid UTF-8' }
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) return { kind: 'refused', reason: `the statement is longer than ${bytesMax} bytes` }
  if (bytes > INLINE_BYTES_MAX) return parseAside(text)
  return instance === null ? ready().then(() => parseInline(text)) : parseInline(text)
}

/** For short texts where waiting is impossible, such as function bodies inside a statement: null when they are too long or no instance is there. */
export function parseShort(text: string): Outcome | null {
  if (instance === null || text.includes('\0') || !text.isWellFormed() || Buffer.byteLength(text) > INLINE_BYTES_MAX) return null
  return parseInline(text)
}

function parseInline(text: string): Outcome {
  const mine = instance
  if (mine === null) return { kind: 'refused', reason: 'the parser is starting again' }
  try {
    return parseWith(mine, text)
  } catch {
    // Its stack pointer is not restored after a trap: every later answer would be in doubt.
    instance = null
    void ready()
    return { kind: 'refused', reason: 'the statement is too deeply nested to be read' }
  }
}

/** Throws on anything but a tree or a syntax error: the instance must not be used again then. Used by the worker thread too. */
export function parseWith(library: Instance, text: string): Outcome {
  if (text === '') return { kind: 'tree', text, statements: [] }
  const bytes = Buffer.byteLength(text)
  const input = library._malloc(bytes + 1)
  library.stringToUTF8(text, input, bytes + 1)
  const result = library._wasm_parse_query_raw(input)
  library._free(input)
  if (result === 0) throw new Error('no result')
  const words = library.HEAPU32
  const tree = words[result >> 2] ?? 0
  const failure = words[(result >> 2) + 2] ?? 0
  let outcome: Outcome
  if (failure !== 0) {
    const message = library.UTF8ToString(words[failure >> 2] ?? 0)
    outcome = failureOf(message, library.UTF8ToString(words[(failure >> 2) + 1] ?? 0), words[(failure >> 2) + 4] ?? 0)
  } else {
    outcome = treeOf(text, bytes, library.UTF8ToString(tree))
  }
  library._wasm_free_parse_result(result)
  return outcome
}

function treeOf(text: string, bytes: number, json: string): Outcome {
  const raw = JSON.parse(json) as { stmts?: readonly { stmt?: Node; stmt_location?: number; stmt_len?: number }[] }
  if (deeperThan(raw, DEPTH_MAX)) return { kind: 'refused', reason: 'the statement is too deeply nested to be read' }
  const statements: Parsed[] = []
  for (const { stmt, stmt_location: start = 0, stmt_len: length = bytes - start } of raw.stmts ?? []) {
    if (stmt !== undefined) statements.push({ node: stmt, start, length })
  }
  return { kind: 'tree', text, statements }
}

/** Without recursion: trees come from strangers. */
function deeperThan(root: object, depthMax: number): boolean {
  let level: object[] = [root]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > depthMax) return true
    const next: object[] = []
    for (const parent of level) {
      for (const child of Object.values(parent) as unknown[]) {
        if (Array.isArray(child)) { for (const item of child as unknown[]) if (typeof item === 'object' && item !== null) next.push(item) }
        else if (typeof child === 'object' && child !== null) next.push(child)
      }
    }
    level = next
  }
  return false
}

/** Messages of the server's lexer and grammar that carry another SQLSTATE than syntax_error. */
const CODES: readonly (readonly [RegExp, string])[] = [
  [/stack depth limit|memory exhausted|too many nested/, '54001'],
  [/^invalid byte sequence/, '22021'],
  [/^invalid Unicode escape$/, '22025'],
  [/^unsafe use of \\'/, '22P06'],
  [/not (yet )?(supported|implemented)|is not supported/, '0A000'],
  [/^out of memory/, '53200'],
]
function failureOf(message: string, routine: string, position: number): Outcome {
  // The same words in U&'' are a plain syntax error.
  const code = routine === 'str_udeescape' ? '42601' : CODES.find(([pattern]) => pattern.test(message))?.[1] ?? '42601'
  if (code === '54001' || code === '53200') return { kind: 'refused', reason: 'the statement is too deeply nested to be read' }
  return { kind: 'syntax', message, code, position }
}

/** The grammar's own scanner, for tests and splicing. Null when it can't scan the text or the text is too long for this thread. */
export function tokens(text: string): readonly Token[] | null {
  if (text === '') return []
  if (instance === null || text.includes('\0') || !text.isWellFormed() || Buffer.byteLength(text) > INLINE_BYTES_MAX) return null
  const library = instance
  try {
    const bytes = Buffer.byteLength(text)
    const input = library._malloc(bytes + 1)
    library.stringToUTF8(text, input, bytes + 1)
    const result = library._wasm_scan(input)
    library._free(input)
    const json = library.UTF8ToString(result)
    library._wasm_free_string(result)
    return json.startsWith('{') ? (JSON.parse(json) as { tokens?: Token[] }).tokens ?? [] : null
  } catch {
    instance = null
    void ready()
    return null
  }
}

// ——— long texts: one thread, one text at a time, ended on anything unexpected ———

interface Waiting { readonly text: string; readonly done: (outcome: Outcome) => void }
let thread: Worker | null = null
const queue: Waiting[] = []
let current: Waiting | null = null
let timer: NodeJS.Timeout | null = null

function parseAside(text: string): Promise<Outcome> {
  if (queue.length >= WORKER_QUEUE_MAX) return Promise.resolve({ kind: 'refused', reason: 'too many long statements are being read at once' })
  return new Promise((done) => { queue.push({ text, done }); nextAside() })
}

function nextAside(): void {
  if (current !== null) return
  current = queue.shift() ?? null
  if (current === null) { thread?.unref(); return }
  thread ??= startThread()
  thread.ref()
  timer = setTimeout(() => endThread('the statement takes too long to be read'), WORKER_TIMEOUT_MS)
  thread.postMessage(current.text)
}

function startThread(): Worker {
  // Compiled code lies beside as .js, source as .ts.
  const made = new Worker(fileURLToPath(new URL(`./grammar.worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)), {
    resourceLimits: { stackSizeMb: WORKER_STACK_MB, maxOldGenerationSizeMb: WORKER_HEAP_MB },
  })
  made.on('message', (outcome: Outcome | null) => { if (outcome === null) endThread('the statement is too deeply nested to be read'); else finish(outcome) })
  made.on('error', () => { if (thread === made) endThread('the statement could not be read') })
  made.on('exit', () => { if (thread === made) endThread('the statement could not be read') })
  return made
}

function finish(outcome: Outcome): void {
  if (timer !== null) clearTimeout(timer)
  const waiting = current
  current = null
  waiting?.done(outcome)
  nextAside()
}

function endThread(reason: string): void {
  const ended = thread
  thread = null
  void ended?.terminate()
  finish({ kind: 'refused', reason })
}
