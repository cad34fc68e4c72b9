// `sluice ca`: the CA that clients must trust, and its fingerprint: from the profile, or at the gateway from its own files.
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../config.ts'
import { type Command, CommandFailed, misused } from './command.ts'
import { line, show } from './output.ts'
import { loadProfile, profileName } from './profile.ts'

export const command: Command = {
  usage: 'ca [--profile NAME] [--json]\nca --config sluice.yaml',
  options: { config: { type: 'string', short: 'c' } },
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    const file = given.text('config')
    const pem = file === undefined ? loadProfile(profileName(given)).ca : ofGateway(file)
    if (pem === null) throw new CommandFailed('the gateway is trusted by a public CA: clients need no other')
    const { fingerprint256: fingerprint, validTo } = new X509Certificate(pem)
    show(given, { pem, fingerprint, validTo }, () => { line(pem.trimEnd()); line(`# SHA-256 ${fingerprint}`) })
  },
}

function ofGateway(file: string): string | null {
  const { gateway } = loadConfig(file, process.env)
  const path = join(gateway.data, 'keys', 'ca.pem')
  if (gateway.tls.kind === 'files') return null
  if (!existsSync(path)) throw new CommandFailed(`${path} is not there yet: start the gateway once`)
  return readFileSync(path, 'utf8')
}
