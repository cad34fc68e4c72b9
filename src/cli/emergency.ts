// `sluice emergency NAME`: makes a break-glass account: a long secret for the safe, shown once, and the entry for sluice.yaml, which holds its
// hash alone. Keeps nothing.
import { randomBytes } from 'node:crypto'
import { type Command, CommandFailed, misused } from './command.ts'
import { line, note, show } from './output.ts'

const SECRET_BYTES = 32

export const command: Command = {
  usage: 'emergency NAME [--groups a,b] [--json]',
  options: { groups: { type: 'string' } },
  async run(given) {
    const [name, ...more] = given.words
    if (name === undefined || more.length > 0) throw misused(command)
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) throw new CommandFailed(`not a name for an account: ${JSON.stringify(name)}`, 2)
    const { hashSecret } = await import('../main.ts')
    const secret = randomBytes(SECRET_BYTES).toString('base64url')
    const groups = (given.text('groups') ?? '').split(',').filter(Boolean)
    const account = { name, ...(groups.length === 0 ? {} : { groups }), password_hash: await hashSecret(secret) }
    const password = `break-glass:${name}:${secret}`
    show(given, { account, password }, () => {
      note('For the safe; it is not shown again. It is the password of a database client, the Bearer token of the API, and what `sluice login --break-glass` asks for:')
      note(password)
      note('For sluice.yaml, under gateway:')
      line(`emergency:\n  - { name: ${name}, ${groups.length === 0 ? '' : `groups: [${groups.join(', ')}], `}password_hash: "${account.password_hash}" }`)
    })
  },
}
