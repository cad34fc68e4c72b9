// `sluice gateway`: runs until SIGTERM or Ctrl-C, drains, and ends every process it started.
import { startGateway } from '../main.ts'
import { type Command, misused } from './command.ts'
import { note } from './output.ts'

export const command: Command = {
  usage: 'gateway [--config sluice.yaml]',
  options: { config: { type: 'string', short: 'c' } },
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    const gateway = await startGateway(given.text('config') ?? 'sluice.yaml')
    if (gateway.fingerprint !== null) note(`CA fingerprint (SHA-256): ${gateway.fingerprint}`)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => { void gateway.stop() })
    await gateway.stopped
    return 0
  },
}
