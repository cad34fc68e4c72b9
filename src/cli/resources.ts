// `sluice resources`: what one may reach, how, and what is hidden or reviewed there; admins register and test.
import type { Grant } from '../api/schema.ts'
import { type Client, openClient } from './api.ts'
import { readSecret } from './secret-input.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { inert, line, show, table } from './output.ts'
import { readYaml } from './yaml-file.ts'

export const command: Command = {
  usage: 'resources [list] [--json]\nresources show NAME\nresources add FILE [--secret NAME] (one resource as in sluice.yaml; the secret comes from stdin or is asked for, and is sealed)\nresources test NAME\nresources remove NAME',
  options: { secret: { type: 'string' } },
  async run(given) {
    const [verb = 'list', name, ...more] = given.words
    if (more.length > 0 || (verb === 'list') !== (name === undefined)) throw misused(command)
    const client = await openClient(given)
    switch (verb) {
      case 'list': return list(client, given)
      case 'show': return showOne(client, given, name!)
      case 'add': return add(client, given, name!)
      case 'test': return test(client, given, name!)
      case 'remove': { show(given, await client.send('DELETE', `/api/resources/${encodeURIComponent(name!)}`), () => line(`removed ${name}`)); return }
      default: throw misused(command)
    }
  },
}

async function list(client: Client, given: Given): Promise<void> {
  show(given, await client.get<Grant[]>('/api/resources'), (grants) => table(['NAME', 'PROTOCOL', 'ALLOWED', 'MASKED', 'REVIEWED'],
    grants.map((grant) => [grant.name, grant.protocol, grant.allows.join(' '), grant.masked.map(({ fields }) => fields).join(' '), grant.reviewed.join('; ')]), 'nothing: no policy lets you reach a resource'))
}

async function showOne(client: Client, given: Given, name: string): Promise<void> {
  const grant = (await client.get<Grant[]>('/api/resources')).find((one) => one.name === name)
  if (grant === undefined) throw new CommandFailed(`no resource ${name}, or none you may reach`)
  show(given, grant, () => {
    line(`${grant.name} (${grant.protocol}${grant.database === null ? '' : `, database ${grant.database}`})`)
    line(`allowed: ${grant.allows.join(', ')}`)
    for (const denied of grant.denied) line(`denied: ${denied}`)
    for (const mask of grant.masked) line(`masked: ${mask.fields} with ${mask.with} (${mask.rule})`)
    for (const review of grant.reviewed) line(`reviewed: ${review}`)
    for (const how of grant.connect) line(`connect: ${how}`)
  })
}

/** The same text that would stand under `resources:`; a password in it is refused by the gateway, which takes sources only. */
async function add(client: Client, given: Given, file: string): Promise<number> {
  if (file === '-' && given.text('secret') !== undefined && !process.stdin.isTTY) throw new CommandFailed('stdin can\'t be both the resource and its secret: put the resource into a file', 2)
  const declared = readYaml(file)
  const { name } = (declared ?? {}) as { name?: unknown }
  if (typeof name !== 'string') throw new CommandFailed(`${file}: one resource with its name, as in sluice.yaml`)
  const path = `/api/resources/${encodeURIComponent(name)}`
  const version = await client.get<{ version: number }>(path).then((stored) => stored.version, () => 0)
  const { name: _, ...body } = declared as Record<string, unknown>
  const secret = given.text('secret')
  const value = secret === undefined ? null : await readSecret(`Secret ${secret}`)
  await client.send('PUT', path, { body, version })
  if (secret !== undefined) await client.send('PUT', `/api/secrets/${encodeURIComponent(secret)}`, { value })
  return test(client, given, name)
}

async function test(client: Client, given: Given, name: string): Promise<number> {
  const tested = await client.send<{ ok: boolean; message: string }>('POST', `/api/resources/${encodeURIComponent(name)}/test`)
  if (tested.ok || given.json) show(given, tested, () => line(`${name}: ${inert(tested.message)}`))
  if (!tested.ok) throw new CommandFailed(`${name}: ${inert(tested.message)}`)
  return 0
}
