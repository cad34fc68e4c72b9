// Conditions of rules: CEL over identity, resource, statement and session. Checked and typed when the policy is read, bounded when it runs.
// Never evaluates a backtracking pattern (`matches` is refused, `rmatches` is linear), never answers when in doubt: it throws, and
// the rule decides that way which is closed.
import { Environment } from '@marcbachmann/cel-js'
import type { ASTNode } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import { CLASS_NAMES, operationProblem } from './operations.ts'
import type { Identity } from './identity.ts'
import type { Resource } from './resource.ts'
import type { Effect, Statement } from './statement.ts'
import type { SessionFacts } from './policy.ts'

export const CONDITION_CHARS_MAX = 4_000
export const CONDITION_NODES_MAX = 500
export const CONDITION_DEPTH_MAX = 40
/** A statement's text longer than this is not shown to conditions that ask for it: they fail, and failing is closed. */
export const CONDITION_TEXT_CHARS_MAX = 256 * 1024
/** The same for the lists of objects, columns and groups. */
export const CONDITION_LIST_MAX = 1_000
/** And where one comprehension stands inside another. */
export const CONDITION_NESTED_LIST_MAX = 100
const PATTERN_CHARS_MAX = 1_000
/** States of a pattern times characters of a text: what one search may take, about a quarter of a second at worst. */
export const SEARCH_STEPS_MAX = 20_000_000
const COMPREHENSIONS = new Set(['all', 'exists', 'exists_one', 'map', 'filter'])

const patterns = new Map<string, RE2JS>()
const environment = new Environment({ unlistedVariablesAreDyn: false, limits: { maxAstNodes: CONDITION_NODES_MAX, maxDepth: CONDITION_DEPTH_MAX } })
  .registerVariable('identity', { schema: { subject: 'string', issuer: 'string', groups: 'list<string>', agent: 'bool', onBehalfOf: 'string' } })
  .registerVariable('resource', { schema: { name: 'string', protocol: 'string', database: 'string', labels: 'map<string, string>' } })
  .registerVariable('statement', {
    schema: { text: 'string', operation: 'string', access: 'string', objects: 'list<string>', columns: 'list<string>', bounded: 'bool', language: 'string' },
  })
  .registerVariable('session', { schema: { id: 'string', database: 'string', client: 'string', startedAtMs: 'int' } })
  .registerFunction('string.rmatches(string): bool', (text: string, pattern: string) => {
    const compiled = patterns.get(pattern)
    if (compiled === undefined) throw new Error('a pattern must be a literal')
    return search(compiled, text)
  })

/** What one judgement is about; made once per statement, and once per effect for `statement`. */
export interface Facts {
  readonly identity: object
  readonly resource: object
  readonly statement: object
  readonly session: object
}

export interface Condition {
  readonly text: string
  /** Whether its answer can differ between two statements of the same shape or between sessions. */
  readonly volatile: boolean
  /** Whether it asks `statement.bounded`: the refusal can then say what would help. */
  readonly asksBounded: boolean
  /** Throws when it can't be answered. */
  holds(facts: Facts): boolean
}

/** Throws Error with a sentence for the writer of the policy. */
export function compileCondition(text: string): Condition {
  if (text.length > CONDITION_CHARS_MAX) throw new Error(`a condition is at most ${CONDITION_CHARS_MAX} characters`)
  const parsed = parseCondition(text)
  const seen = { volatile: false, asksBounded: false, nested: false, asks: false }
  walk(parsed.ast, 0, seen)
  if (!seen.asks) throw new Error('a condition asks something of identity, resource, statement or session: this one is always the same')
  const checked = parsed.check()
  if (!checked.valid) throw new Error(sentence(checked.error))
  if (checked.type !== 'bool') throw new Error(`a condition must be true or false, this one is ${checked.type ?? 'something else'}`)
  const listMax = seen.nested ? CONDITION_NESTED_LIST_MAX : CONDITION_LIST_MAX
  return {
    text,
    volatile: seen.volatile,
    asksBounded: seen.asksBounded,
    holds(facts) {
      if (seen.nested && longest(facts) > listMax) throw new Error(`a list is longer than ${listMax}`)
      const answer: unknown = parsed(facts as unknown as Record<string, unknown>)
      if (typeof answer !== 'boolean') throw new Error('neither true nor false')
      return answer
    },
  }
}

/** A pattern in RE2 syntax, or an Error whose message says what is wrong with it. */
export function compilePattern(pattern: string): RE2JS {
  if (pattern.length > PATTERN_CHARS_MAX) throw new Error(`a pattern is at most ${PATTERN_CHARS_MAX} characters`)
  try {
    return RE2JS.compile(pattern)
  } catch (error) {
    throw new Error(`not a pattern in RE2 syntax: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Whether the pattern is found; throws where finding out could take too long. */
export function search(pattern: RE2JS, text: string): boolean {
  if (text.length * pattern.programSize() > SEARCH_STEPS_MAX) throw new Error('the text is too long for this pattern')
  return pattern.matcher(text).find()
}

export const identityFacts = (identity: Identity) => ({
  subject: identity.subject,
  issuer: identity.issuer,
  agent: identity.agent,
  onBehalfOf: identity.onBehalfOf ?? '',
  ...(identity.groups.length <= CONDITION_LIST_MAX ? { groups: identity.groups } : {}),
})
export const resourceFacts = (resource: Resource) => ({
  name: resource.name,
  protocol: resource.protocol,
  database: resource.database ?? '',
  labels: { ...resource.labels },
})
export const sessionFacts = (session: SessionFacts) => ({
  id: session.id,
  database: session.database,
  client: session.client,
  startedAtMs: BigInt(Math.trunc(session.startedAtMs)),
})

/** What is not known, or too long, is left out: asking for it is an error, and an error is closed. */
export function statementFacts(statement: Statement, effect: Effect): object {
  return {
    operation: effect.operation,
    access: effect.access,
    bounded: effect.bounded,
    language: effect.language ?? '',
    ...(statement.text.length <= CONDITION_TEXT_CHARS_MAX ? { text: statement.text } : {}),
    ...(effect.objects !== 'unknown' && effect.objects.length <= CONDITION_LIST_MAX ? { objects: effect.objects } : {}),
    ...(effect.columns.length <= CONDITION_LIST_MAX ? { columns: effect.columns } : {}),
  }
}

function longest(facts: Facts): number {
  const length = (value: unknown) => (Array.isArray(value) ? value.length : 0)
  const statement = facts.statement as { objects?: unknown; columns?: unknown }
  return Math.max(length(statement.objects), length(statement.columns), length((facts.identity as { groups?: unknown }).groups))
}

function parseCondition(text: string) {
  try {
    return environment.parse(text)
  } catch (error) {
    throw new Error(sentence(error))
  }
}

/** The library's own text goes on with a drawing of the place: its first line is enough. */
const sentence = (error: unknown) =>
  (error instanceof Error ? ('summary' in error && typeof error.summary === 'string' ? error.summary : error.message) : String(error)).split('\n', 1)[0] ?? ''

function walk(node: ASTNode, depth: number, seen: { volatile: boolean; asksBounded: boolean; nested: boolean; asks: boolean }): void {
  if (node.op === 'id' && node.args === 'session') seen.volatile = true
  if (node.op === 'id') seen.asks = true
  refuseUnknownName(node)
  if (node.op === 'id' && node.args === 'cel') throw new Error('`cel.bind` is not available')
  if (node.op === '.' || node.op === '.?') {
    if (node.args[1] === 'text') seen.volatile = true
    if (node.args[1] === 'bounded') seen.asksBounded = true
  }
  // statement['text'] and the statement as a whole can hold its text as well.
  if (node.op === '[]' || node.op === '[?]') seen.volatile = true
  let inner = depth
  if (node.op === 'call' || node.op === 'rcall') {
    const name = node.args[0]
    if (name === 'matches') throw new Error('`matches` can take exponential time: use `rmatches`, whose patterns are linear (RE2 syntax)')
    if (name === 'rmatches') remember(node)
    if (node.op === 'rcall' && COMPREHENSIONS.has(name)) {
      // What it goes over is computed once, so it is as deep as its surroundings.
      walk(node.args[1], depth, seen)
      inner++
      if (inner > 2) throw new Error('comprehensions stand at most two deep')
      if (inner === 2) seen.nested = true
      const before = seen.nested
      seen.nested = inner === 2
      for (const argument of node.args[2]) walk(argument, inner, seen)
      if (seen.nested && !isPlain(node.args[1])) throw new Error('where comprehensions are nested, each goes over a list of `statement` or `identity` itself')
      seen.nested = seen.nested || before
      return
    }
  }
  for (const child of children(node)) walk(child, inner, seen)
}

/** An operation or a class that is compared with a name which none has would never match, and nobody would be told. */
function refuseUnknownName(node: ASTNode): void {
  if (node.op !== '==' && node.op !== '!=' && node.op !== 'in') return
  const [left, right] = node.args
  const asked = [left, right].map(askedOf).find(name => name === 'operation' || name === 'access')
  if (asked === undefined) return
  const literals = [left, right].flatMap(side => (side.op === 'list' ? side.args : [side])).flatMap(item => (item.op === 'value' && typeof item.args === 'string' ? [item.args] : []))
  for (const name of literals) {
    if (asked === 'access' && !CLASS_NAMES.includes(name)) throw new Error(`\`statement.access\` is ${CLASS_NAMES.join(', ')}, never ${JSON.stringify(name.slice(0, 60))}`)
    const problem = asked === 'operation' && !CLASS_NAMES.includes(name) ? operationProblem(name) : null
    if (problem !== null) throw new Error(problem)
    if (asked === 'operation' && (CLASS_NAMES.includes(name) || ['sql', 'sql.create', 'sql.alter', 'sql.drop', 'sql.copy'].includes(name)))
      throw new Error(`no statement's operation is ${JSON.stringify(name)} alone: list it under \`operations\`, or use startsWith(${JSON.stringify(`${name}.`)})`)
  }
}
/** `operation` of `statement.operation`. */
const askedOf = (node: ASTNode): string | null => (node.op === '.' && node.args[0].op === 'id' && node.args[0].args === 'statement' ? node.args[1] : null)

/** `statement.objects`, `identity.groups`: a list whose length is known to be small. */
const isPlain = (node: ASTNode) => node.op === '.' && node.args[0].op === 'id' && (node.args[0].args === 'statement' || node.args[0].args === 'identity')

function remember(node: ASTNode & { op: 'call' | 'rcall' }): void {
  const pattern = node.op === 'rcall' ? node.args[2][0] : undefined
  if (pattern?.op !== 'value' || typeof pattern.args !== 'string') throw new Error('`rmatches` takes one literal pattern: text.rmatches("…")')
  if (!patterns.has(pattern.args)) patterns.set(pattern.args, compilePattern(pattern.args))
}

function children(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = []
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) collect(item)
    else if (typeof value === 'object' && value !== null && 'op' in value && 'args' in value) found.push(value as ASTNode)
  }
  if (node.op !== 'value') collect(node.args)
  return found
}
