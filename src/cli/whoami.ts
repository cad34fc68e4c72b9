// `sluice whoami`: who the gateway says one is.
import type { z } from 'zod'
import type { whoamiSchema } from '../api/schema.ts'
import { openClient } from './api.ts'
import { type Command, misused } from './command.ts'
import { line, show, time } from './output.ts'

export const command: Command = {
  usage: 'whoami [--profile NAME] [--json]',
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    const client = await openClient(given)
    show(given, await client.get<z.infer<typeof whoamiSchema>>('/api/whoami'), (who) => {
      line(`${who.subject}${who.onBehalfOf === null ? '' : ` for ${who.onBehalfOf}`} (${who.issuer})`)
      if (who.groups.length > 0) line(`groups: ${who.groups.join(', ')}`)
      const offices = [...(who.admin ? ['admin'] : []), ...(who.auditor ? ['auditor'] : []), ...(who.agent ? ['agent'] : [])]
      if (offices.length > 0) line(`in Sluice: ${offices.join(', ')}`)
      line(`gateway: ${client.profile.gateway}`)
      line(`signed in until ${time(who.expiresAtMs)} UTC${client.profile.refreshToken === null ? '' : ', renewed by itself'}`)
    })
  },
}
