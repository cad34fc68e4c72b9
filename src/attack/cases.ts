// The corpus of attacks that ships with Sluice: what is sent, as data. A case is benign (it must work as without a gateway), usable (masked,
// but it must work), or an attack: no byte of its answer may hold a planted value, and where it has `otherwise`, both must be answered alike.
import { readFileSync } from 'node:fs'

/** Also in the cases' own texts. */
export const CASES_SCHEMA = 'sluice_attack'
export interface Case {
  readonly id: string
  readonly category: string
  readonly statements: readonly string[]
  /** Parameters, per statement. */
  readonly values?: readonly (readonly (string | null)[] | null)[]
  readonly protocol?: 'extended' | 'binary'
  /** The same question with a wrong guess: a difference tells whether the guess was right. */
  readonly otherwise?: readonly string[]
}
export const BENIGN = 'benign'
export const USABLE = 'masked but usable'

export function readCases(): readonly Case[] {
  return readFileSync(new URL('./cases.jsonl', import.meta.url), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as Case)
}
