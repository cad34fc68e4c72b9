// `sluice token RESOURCE`: a short-lived credential for a standard client. Prints the secret alone, so that it fits into $(…).
import type { z } from 'zod'
import type { mintedSchema } from '../api/schema.ts'
import { openClient } from './api.ts'
import { type Command, CommandFailed, misused } from './command.ts'
import { durationMs } from './duration.ts'
import { line, show } from './output.ts'

const TTL_MS = 15 * 60_000

export const command: Command = {
  usage: 'token RESOURCE [--ttl 15m] [--json]',
  options: { ttl: { type: 'string' } },
  async run(given) {
    const [resource, ...more] = given.words
    if (resource === undefined || more.length > 0) throw misused(command)
    const ttlMs = durationMs(given.text('ttl'), TTL_MS)
    if (ttlMs < 1_000) throw new CommandFailed('--ttl is at least 1s', 2)
    const client = await openClient(given)
    show(given, await client.send<z.infer<typeof mintedSchema>>('POST', '/api/tokens', { resource, ttlSeconds: Math.floor(ttlMs / 1_000) }), (token) => line(token.secret))
  },
}
