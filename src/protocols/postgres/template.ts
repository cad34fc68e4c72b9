// A text judged once stands for all texts of its shape: the same tokens with other plain literals. Only for texts whose meaning, masks and
// record do not depend on a literal; the places of masks move with the literals before them.
import type { Shape } from '../../sql/shape.ts'
import type { Edit } from '../../sql/splice.ts'
import { mapper } from './judge.ts'
import type { Judged } from './reader.ts'

export interface Template { readonly judged: Judged; readonly edits: readonly Edit[]; /** Start, end, kind of each literal, from the text's first byte. */ readonly literals: readonly number[] }

/** Null: this text stands for itself alone. `shape` was taken of bytes that begin at `start`. */
export function templateOf(judged: Judged, shape: Shape, start: number): Template | null {
  const { edits } = judged
  if (edits === null) return null
  const literals = shape.literals.map((value, i) => (i % 3 === 2 ? value : value - start))
  for (const { at, length } of edits) for (let i = 0; i < literals.length; i += 3) if (literals[i]! < at + length && literals[i + 1]! > at) return null
  return { judged, edits, literals }
}

/** The same judgement for another text of the shape, lying at bytes[start, end). */
export function fill(template: Template, text: string, bytes: Buffer, start: number, end: number, shape: Shape): Judged {
  const { judged, edits, literals } = template
  const { statement } = judged
  if (edits.length === 0) return { ...judged, text, sent: text, statement: { ...statement, text, shown: text } }
  const moved: Edit[] = []
  let shift = 0, literal = 0
  for (const edit of edits) {
    while (literal < literals.length && literals[literal + 1]! <= edit.at) {
      shift += shape.literals[literal + 1]! - shape.literals[literal]! - (literals[literal + 1]! - literals[literal]!)
      literal += 3
    }
    moved.push({ at: edit.at + shift, length: edit.length, with: edit.with })
  }
  let sent = '', done = 0
  for (const edit of moved) { sent += bytes.toString('utf8', start + done, start + edit.at) + edit.with; done = edit.at + edit.length }
  sent += bytes.toString('utf8', start + done, end)
  const masking = statement.masking?.kind === 'rewritten' ? { ...statement.masking, text: sent, shown: sent } : statement.masking
  return { ...judged, text, sent, statement: { ...statement, text, shown: text, masking }, position: (at) => mapper(text, moved)(at) }
}
