// zod schemas of the small values that files and API bodies are made of.
import { z } from 'zod'
import { parseAddress, parseBytes, parseDurationMs, parseRate } from './units.ts'

const transformed = <T>(parse: (text: string) => T | null, message: string) =>
  z.string().transform((text, context): T => {
    const value = parse(text)
    if (value !== null) return value
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })

export const NAME_CHARS_MAX = 63
/** Names of resources, policies, rules, issuers: they stand in paths, database names and messages. */
export const name = z
  .string()
  .max(NAME_CHARS_MAX)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dots, hyphens and underscores, beginning with a letter or digit')
export const label = z
  .string()
  .max(NAME_CHARS_MAX)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'letters, digits, dots, slashes, hyphens and underscores')
export const durationMs = transformed(parseDurationMs, 'a duration such as 500ms, 30s, 15m, 24h, 90d')
export const bytes = z.union([z.number().int().min(0).max(Number.MAX_SAFE_INTEGER), transformed(parseBytes, 'a size such as 60000, 64KiB, 10MB')])
export const count = z.number().int('a whole number').min(0, 'not less than 0').max(Number.MAX_SAFE_INTEGER)
export const rate = transformed(parseRate, 'a rate such as 10/1m')
export const address = transformed(text => parseAddress(text), 'host:port, [IPv6]:port or unix:/path')
export const listenAddress = transformed(text => {
  const parsed = parseAddress(text, 0)
  return parsed !== null && 'host' in parsed ? parsed : null
}, 'host:port to listen on, such as 0.0.0.0:8443')

/** Either schema, as the value's own keys say: a union would report the mistakes of whichever branch came further, not of the one meant. */
export const either = <A, B>(isFirst: (value: unknown) => boolean, first: z.ZodType<A>, second: z.ZodType<B>) =>
  z.unknown().transform((value, context): A | B => {
    const result = isFirst(value) ? first.safeParse(value) : second.safeParse(value)
    if (result.success) return result.data
    for (const issue of result.error.issues) context.issues.push({ ...issue, input: value } as (typeof context.issues)[number])
    return z.NEVER
  })
