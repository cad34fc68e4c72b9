// A YAML file given on the command line; `-` is standard input.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { CommandFailed } from './command.ts'

export function readYaml(file: string): unknown {
  try { return parse(readFileSync(file === '-' ? 0 : file, 'utf8')) } catch (error) { throw new CommandFailed(`${file}: ${error instanceof Error ? error.message.split('\n')[0] : 'can\'t be read'}`) }
}
