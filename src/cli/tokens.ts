// `sluice tokens`: lists and revokes; one's own, or all by an admin.
import type { z } from 'zod'
import type { tokenSchema } from '../api/schema.ts'
import { openClient } from './api.ts'
import { type Command, misused } from './command.ts'
import { line, show, table, time } from './output.ts'

export const command: Command = {
  usage: 'tokens [list] [--all] [--json]\ntokens revoke ID',
  options: { all: { type: 'boolean' } },
  async run(given) {
    const [verb = 'list', id, ...more] = given.words
    if (more.length > 0 || (verb === 'list') !== (id === undefined)) throw misused(command)
    const client = await openClient(given)
    if (verb === 'revoke') {
      show(given, await client.send('DELETE', `/api/tokens/${encodeURIComponent(id!)}`), () => line(`revoked ${id}`))
      return
    }
    if (verb !== 'list') throw misused(command)
    show(given, await client.get<z.infer<typeof tokenSchema>[]>(`/api/tokens${given.flag('all') ? '?all=true' : ''}`), (tokens) => table(['ID', 'FOR', 'OF', 'ISSUED', 'EXPIRES'],
      tokens.map((token) => [token.id, token.resource ?? token.kind, token.subject, time(token.issuedAtMs), time(token.expiresAtMs)]), 'no tokens'))
  },
}
