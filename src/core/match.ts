// Whether a policy is about this identity on this resource, whether a rule's name covers an operation, whether a field pattern covers a column.
// Pure functions of data: nothing here decides.
import type { Identity } from './identity.ts'
import type { Resource } from './resource.ts'
import type { Access } from './statement.ts'
import type { Named, Scope, Who } from './policy-rules.ts'

const isNamed = (entry: Named, name: string, issuer: string) => entry.name === name && (entry.issuer === null || entry.issuer === issuer)

/** Matches if any of its keys does. */
export function matchesWho(who: Who, identity: Identity): boolean {
  return (
    who.any ||
    who.users.some(user => isNamed(user, identity.subject, identity.issuer)) ||
    who.groups.some(group => identity.groups.some(name => isNamed(group, name, identity.issuer))) ||
    (identity.agent && (who.agents === 'any' || who.agents.some(agent => isNamed(agent, identity.subject, identity.issuer)))) ||
    who.issuers.includes(identity.issuer)
  )
}

/** Every key must match; within a list, any. */
export function matchesScope(on: Scope, resource: Resource): boolean {
  return (
    (on.resources === null || on.resources.includes(resource.name)) &&
    (on.protocols === null || on.protocols.includes(resource.protocol)) &&
    Object.entries(on.labels).every(([key, values]) => Object.hasOwn(resource.labels, key) && values.includes(resource.labels[key] ?? ''))
  )
}

/** `sql.drop` covers `sql.drop` and `sql.drop.table`, not `sql.dropped`; a class covers all that is of it. */
export function coversOperation(rule: string, operation: string, access: Access): boolean {
  return rule === access || rule === operation || (operation.length > rule.length && operation.charCodeAt(rule.length) === 46 && operation.startsWith(rule))
}

const SEGMENTS_MAX = 10
/** One segment of a field pattern: exact name (and its folded form when written without quotes), or a pattern with `*`. */
type Segment = (name: string) => boolean
export interface FieldPattern {
  readonly text: string
  /** Names as the catalog has them. */
  covers(schema: string, table: string, column: string): boolean
  /** The same for names joined by dots, as effects carry them; in doubt true. */
  coversJoined(path: string): boolean
}

/** The dotted parts of a field as written, or null when it is none. */
export function partsOf(text: string): string[] | null {
  const parts = text.match(/"(?:[^"]|"")+"|[^".\s]+|\./g)
  if (parts === null || parts.join('') !== text || parts.length % 2 === 0) return null
  return parts.some((part, index) => (part === '.') !== (index % 2 === 1)) ? null : parts.filter((_, index) => index % 2 === 0)
}

/** Reads `schema.table.column`, `table.column`, `*.column`, `schema.table.*`; segments may be "quoted" and hold `*`. Null when it is none of these. */
export function parseFieldPattern(text: string): FieldPattern | null {
  const names = partsOf(text)
  if (names === null || names.length < 2 || names.length > SEGMENTS_MAX || names.some(name => !name.startsWith('"') && name.split(/\*+/).length > 3)) return null
  const segments = names.map(segmentOf)
  const joined = joinedPattern(names)
  return {
    text,
    // Segments are compared from the right, so that what is left out on the left means any; more segments than names match nothing.
    covers(schema, table, column) {
      if (segments.length > 3) return false
      const path = [schema, table, column]
      return segments.every((segment, index) => segment(path[path.length - segments.length + index] ?? ''))
    },
    coversJoined: path => joined.test(path),
  }
}

const unquote = (segment: string) =>
  segment.startsWith('"') ? { name: segment.slice(1, -1).replaceAll('""', '"'), quoted: true } : { name: segment, quoted: false }
const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

function segmentOf(text: string): Segment {
  const { name, quoted } = unquote(text)
  if (quoted) return value => value === name
  if (name === '*') return () => true
  const folded = name.toLowerCase()
  if (!name.includes('*')) return value => value === name || value === folded
  const pattern = new RegExp(`^${wildcard(name)}$`, 'su')
  const foldedPattern = new RegExp(`^${wildcard(folded)}$`, 'su')
  return value => pattern.test(value) || foldedPattern.test(value)
}

// At most two stars in a segment (parseFieldPattern), so that matching a short name can't take long.
const wildcard = (name: string) => name.split(/\*+/).map(escape).join('[^]*')

/** A name may itself contain a dot, so a joined path has several readings: this matches if any reading does. */
function joinedPattern(names: readonly string[]): RegExp {
  // Leading stars say only that something stands before.
  const first = Math.min(names.findIndex(text => !/^\*+$/.test(text)) >>> 0, names.length - 1)
  const forms = (fold: boolean) =>
    names
      .slice(first)
      .map(text => {
        const { name, quoted } = unquote(text)
        return quoted ? escape(name) : wildcard(fold ? name.toLowerCase() : name)
      })
      .join('\\.')
  return new RegExp(`${first > 0 ? '\\.' : '(?:^|\\.)'}(?:${forms(false)}|${forms(true)})$`, 'su')
}
