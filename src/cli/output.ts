// What a person or a program reads: plain lines and tables on stdout, JSON with --json. Control characters of values never reach a
// terminal.
import type { Given } from './command.ts'

const CELL_CHARACTERS_MAX = 60

export function line(text = ''): void { process.stdout.write(`${text}\n`) }
export function note(text: string): void { process.stderr.write(`${text}\n`) }
export function json(value: unknown): void { process.stdout.write(`${JSON.stringify(value, null, 2)}\n`) }

/** The value itself with --json, else what `human` prints of it. */
export function show<T>(given: Given, value: T, human: (value: T) => void): void {
  if (given.json) json(value)
  else human(value)
}

/** Columns as wide as they must be; `empty` instead of a table without rows. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], empty: string): void {
  if (rows.length === 0) { line(empty); return }
  const cells = [head, ...rows].map((row) => row.map((cell) => clip(inert(cell))))
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  for (const row of cells) line(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
}

/** Text of others can't move the cursor or change the terminal; line ends stay. */
export function inert(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => character === '\n' || character === '\t' ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`)
}

function clip(text: string): string {
  const one = text.replaceAll(/\s+/g, ' ')
  // A terminal's line is narrow; a file or another program gets all of it.
  return process.stdout.isTTY && one.length > CELL_CHARACTERS_MAX ? `${one.slice(0, CELL_CHARACTERS_MAX - 1)}…` : one
}

export function time(atMs: number | null): string { return atMs === null ? '' : new Date(atMs).toISOString().replace('T', ' ').slice(0, 19) }
