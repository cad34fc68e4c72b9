// Turns text (YAML or JSON) or a plain object into what a zod schema describes, and every mistake into `file:line:column: what`.
// Never stops at the first mistake, and never quotes a value: it may be a secret.
import { LineCounter, isMap, isNode, isPair, isScalar, parseDocument } from 'yaml'
import type { Document, Node } from 'yaml'
import type { ZodType } from 'zod'
import { ConfigErrors, ConfigInvalid } from './errors.ts'

/** Longest text taken as configuration or as policies. */
export const DOCUMENT_CHARS_MAX = 4 * 1024 * 1024
/** Mistakes listed at once. */
export const MISTAKES_MAX = 100
const ALIASES_MAX = 100

export type Path = readonly PropertyKey[]
/** Says where in the text the value at a path stands: `sluice.yaml:12:5`, or `policies[0].allow` for an object. */
export type Locate = (path: Path) => string
export interface Source {
  readonly value: unknown
  readonly locate: Locate
  readonly locateKey: (path: Path, key: string) => string
}
/** The part of zod's issues that is used here. */
interface Issue {
  readonly code?: string | undefined
  readonly path: Path
  readonly message: string
  readonly keys?: readonly string[]
  readonly errors?: readonly (readonly Issue[])[]
  readonly expected?: unknown
  readonly values?: readonly unknown[]
}

/** Reads YAML (JSON is YAML). Throws ConfigErrors when it is not even that. */
export function readDocument(text: string, file: string): Source {
  if (text.length > DOCUMENT_CHARS_MAX) throw new ConfigErrors([new ConfigInvalid(`longer than ${DOCUMENT_CHARS_MAX} characters`, `${file}:1:1`)])
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, stringKeys: true, version: '1.2', strict: true })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  }
  const mistakes = [...document.errors, ...document.warnings].map(error => new ConfigInvalid(firstLine(error.message), at(error.pos[0])))
  if (mistakes.length > 0) throw new ConfigErrors(mistakes.slice(0, MISTAKES_MAX))
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch {
    throw new ConfigErrors([new ConfigInvalid('too many aliases, or an alias of itself', `${file}:1:1`)])
  }
  return {
    value,
    locate: path => at(offsetOf(document, path)),
    locateKey: (path, key) => at(keyOffset(document, path, key) ?? offsetOf(document, path)),
  }
}

/** A value that has no text, as the API gets it: places are named by path. */
export function sourceOf(value: unknown, name: string): Source {
  const locate: Locate = path =>
    path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`), name)
  return { value, locate, locateKey: (path, key) => locate([...path, key]) }
}

/** The value as its schema describes it; else every mistake is added to `mistakes` and the answer is null. */
export function parseWith<T>(schema: ZodType<T>, source: Source, mistakes: ConfigInvalid[], under: Path = [], value: unknown = source.value): T | null {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  for (const issue of result.error.issues) report(issue as Issue, under, source, mistakes)
  return null
}

function report(issue: Issue, under: Path, source: Source, mistakes: ConfigInvalid[]): void {
  if (mistakes.length >= MISTAKES_MAX) return
  const path = [...under, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys ?? [])
      mistakes.push(new ConfigInvalid(`unknown key \`${clean(key)}\`${path.length > 0 ? ` in \`${clean(lastName(path))}\`` : ''}`, source.locateKey(path, key)))
    return
  }
  const branch = issue.code === 'invalid_union' ? closest(issue.errors ?? []) : null
  if (branch !== null) {
    for (const inner of branch) report(inner, path, source, mistakes)
    return
  }
  const last = path.at(-1)
  const inKey = issue.code === 'invalid_key' && typeof last === 'string'
  mistakes.push(
    new ConfigInvalid(
      `${path.length > 0 ? `\`${clean(lastName(path))}\`: ` : ''}${wording(issue)}`,
      inKey ? source.locateKey(path.slice(0, -1), last) : source.locate(path),
    ),
  )
}

/** Of a union's branches the one that the writer meant: of the right kind, with the fewest unknown keys. Null when none is of the right kind. */
function closest(branches: readonly (readonly Issue[])[]): readonly Issue[] | null {
  let best: readonly Issue[] | null = null
  let fewest = Infinity
  for (const issues of branches) {
    if (issues.length === 0 || issues.some(issue => issue.path.length === 0 && WRONG_KIND.has(issue.code ?? ''))) continue
    const unknown = issues.reduce((sum, issue) => sum + (issue.path.length === 0 ? (issue.keys?.length ?? 0) : 0), 0)
    if (unknown < fewest) {
      best = issues
      fewest = unknown
    }
  }
  return best
}
const WRONG_KIND: ReadonlySet<string> = new Set(['invalid_type', 'invalid_value', 'invalid_union'])

function wording(issue: Issue): string {
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) return `missing (expected ${String(issue.expected)})`
  if (issue.code === 'invalid_type') return issue.message.replace('Invalid input: ', '')
  if (issue.code === 'invalid_value') return `must be ${(issue.values ?? []).map(String).join(', ')}`.replace(/, ([^,]*)$/, ' or $1')
  if (issue.code === 'invalid_union')
    return [...new Set((issue.errors ?? []).flatMap(branch => branch.slice(0, 1).map(wording)))].join(', or ') || 'not of a form known here'
  return issue.message
}

const firstLine = (text: string) => text.split('\n', 1)[0]?.replace(/ at line .*$/, '') ?? text
/** Keys are the writer's own text: shown short and without control characters. */
const clean = (text: string) => text.slice(0, 60).replace(/[^\x20-\x7e]/g, '?')
const lastName = (path: Path): string => String(path.findLast(part => typeof part === 'string') ?? path.at(-1))

function offsetOf(document: Document.Parsed, path: Path): number {
  let node: unknown = document.contents
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
  for (const part of path) {
    const next: unknown = isNode(node) && 'get' in node ? (node as unknown as { get(key: unknown, keep: true): unknown }).get(part, true) : undefined
    if (!isNode(next)) return offset
    node = next
    offset = (next as Node).range?.[0] ?? offset
  }
  return offset
}

function keyOffset(document: Document.Parsed, path: Path, key: string): number | null {
  const parent: unknown = path.length === 0 ? document.contents : document.getIn(path, true)
  if (!isMap(parent)) return null
  for (const pair of parent.items) if (isPair(pair) && isScalar(pair.key) && String(pair.key.value) === key) return pair.key.range?.[0] ?? null
  return null
}
