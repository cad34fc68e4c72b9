// `sluice demo`: everything on this machine, with people and data to try it with. Ctrl-C ends it; its data stay.
import { runDemo } from '../demo/demo.ts'
import { type Command, misused } from './command.ts'

export const command: Command = {
  usage: 'demo [--data ./data/demo]',
  options: { data: { type: 'string' } },
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    await runDemo({ data: given.text('data') ?? 'data/demo' })
    return 0
  },
}
