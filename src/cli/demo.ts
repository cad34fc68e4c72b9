// `sluice demo`: everything on this machine, with people and data to try it with. Ctrl-C ends it; its data stay.
import { type Command, misused } from './command.ts'

export const command: Command = {
  usage: 'demo [--data ./data/demo]',
  options: { data: { type: 'string' } },
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    // The gateway's own log is for operators: set before anything of it is loaded.
    process.env.SLUICE_LOG ??= 'warn'
    const { runDemo } = await import('../demo/demo.ts')
    await runDemo({ data: given.text('data') ?? 'data/demo' })
    return 0
  },
}
