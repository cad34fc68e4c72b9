// What a command is, and how its words are read. Strict: an option that a command does not know is an error, never ignored.
import { parseArgs, type ParseArgsConfig } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>
/** What was given on the command line. */
export interface Given {
  readonly words: readonly string[]
  /** What stands after `--`. */
  readonly rest: readonly string[]
  text(name: string): string | undefined
  flag(name: string): boolean
  readonly json: boolean
}
export interface Command {
  /** Without `sluice `; one line per form. */
  readonly usage: string
  readonly options?: Options
  /** The exit status; nothing is 0. */
  run(given: Given): Promise<number | void>
}

/** One clear line on stderr, and an exit status. */
export class CommandFailed extends Error {
  readonly status: number
  constructor(message: string, status = 1) { super(message); this.name = 'CommandFailed'; this.status = status }
}
const USAGE_STATUS = 2
const EVERYWHERE: Options = { json: { type: 'boolean' }, profile: { type: 'string' }, help: { type: 'boolean', short: 'h' } }

export function readCommandLine(command: Command, line: readonly string[]): Given & { readonly help: boolean } {
  const cut = line.indexOf('--')
  const [own, rest] = cut < 0 ? [line, []] : [line.slice(0, cut), line.slice(cut + 1)]
  try {
    const { values, positionals } = parseArgs({ args: [...own], options: { ...EVERYWHERE, ...command.options }, allowPositionals: true, strict: true })
    const given = values as Readonly<Record<string, unknown>>
    return {
      words: positionals, rest, json: given.json === true, help: given.help === true,
      text: (name) => typeof given[name] === 'string' ? given[name] : undefined,
      flag: (name) => given[name] === true,
    }
  } catch (error) {
    const [message = ''] = (error instanceof Error ? error.message : String(error)).split(/[.\n]/)
    throw new CommandFailed(`${message}. Usage: ${usageLine(command)}`, USAGE_STATUS)
  }
}

export function misused(command: Command): CommandFailed { return new CommandFailed(`usage: ${usageLine(command)}`, USAGE_STATUS) }
function usageLine(command: Command): string { return command.usage.split('\n').map((form) => `sluice ${form}`).join('  |  ') }
