// Detectors that a policy defines by a pattern. RE2 semantics: linear in the value's length whatever the pattern. Slow beside the built-in
// ones, so a literal prefix is looked for first, and a value above a limit counts as found whole.
import { RE2JS } from 're2js'
import { Found } from './found.ts'

/** A value longer than this is not searched by patterns: it is hidden whole. */
export const PATTERN_VALUE_BYTES_MAX = 1024 * 1024

export interface Pattern { readonly expression: RE2JS; readonly prefix: Buffer | null; readonly rule: number }

export function compilePattern(text: string, rule: number): Pattern {
  const expression = RE2JS.compile(text)
  const { prefix } = expression.re2Input as { prefix?: unknown }
  return { expression, prefix: typeof prefix === 'string' && prefix.length > 0 ? Buffer.from(prefix) : null, rule }
}

export function findPattern(pattern: Pattern, bytes: Uint8Array, start: number, end: number, found: Found): void {
  if (end - start > PATTERN_VALUE_BYTES_MAX) { found.add(start, end, pattern.rule); return }
  const value = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  if (pattern.prefix !== null && value.indexOf(pattern.prefix) < 0) return
  const matcher = pattern.expression.matcher(value)
  while (matcher.find()) if (matcher.end() > matcher.start()) found.add(start + matcher.start(), start + matcher.end(), pattern.rule)
}
