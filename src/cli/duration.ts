// Durations on the command line: as in sluice.yaml.
import { parseDurationMs } from '../core/units.ts'
import { CommandFailed } from './command.ts'

export function durationMs(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const parsed = parseDurationMs(text)
  if (parsed === null) throw new CommandFailed(`not a duration: ${JSON.stringify(text)}; such as 30s, 15m, 8h`, 2)
  return parsed
}
