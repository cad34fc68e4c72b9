// Edits of a text at the byte positions that the server's own grammar gives, on the grammar's own tokens. An edit that can't be placed
// for certain throws Unplaced: the statement is then refused, never sent half edited.
import type { Token } from './grammar.ts'

/** Bytes [at, at + length) of the text asked for are `with` in the text sent. */
export interface Edit { readonly at: number; readonly length: number; readonly with: string }
export class Unplaced extends Error {}

export class Splice {
  readonly bytes: Buffer
  readonly tokens: readonly Token[]
  readonly edits: Edit[] = []
  readonly #starts = new Map<number, number>()

  /** `tokens` of exactly this text. */
  constructor(text: string, tokens: readonly Token[]) {
    this.bytes = Buffer.from(text)
    this.tokens = tokens.filter((token) => token.tokenName !== 'SQL_COMMENT' && token.tokenName !== 'C_COMMENT')
    this.tokens.forEach((token, index) => this.#starts.set(token.start, index))
  }
  /** The token that begins at a node's location. */
  at(location: number): number {
    const index = this.#starts.get(location)
    if (index === undefined) throw new Unplaced('no token begins where the grammar says')
    return index
  }
  word(index: number): string { return this.tokens[index]?.text.toLowerCase() ?? '' }
  /** Index after an identifier, its UESCAPE included. */
  afterName(index: number): number { return this.word(index + 1) === 'uescape' ? index + 3 : index + 1 }
  /** Index after `a.b.c` of that many parts. */
  afterPath(index: number, parts: number): number {
    let at = this.afterName(index)
    for (let part = 1; part < parts; part += 1) {
      if (this.word(at) !== '.') throw new Unplaced('a dot was expected')
      at = this.afterName(at + 1)
    }
    return at
  }
  /** Index after the parenthesis that closes the one at `index`. */
  afterParenthesis(index: number): number {
    if (this.word(index) !== '(') throw new Unplaced('a parenthesis was expected')
    let depth = 0
    for (let at = index; at < this.tokens.length; at += 1) {
      if (this.word(at) === '(') depth += 1
      else if (this.word(at) === ')' && --depth === 0) return at + 1
    }
    throw new Unplaced('a parenthesis is not closed')
  }
  /** The text from the first token to before the end token, as the client wrote it. */
  source(first: number, end: number): string { return this.bytes.toString('utf8', this.tokens[first]!.start, this.tokens[end - 1]!.end) }
  replace(first: number, end: number, text: string): void {
    const from = this.tokens[first], to = this.tokens[end - 1]
    if (from === undefined || to === undefined || end <= first) throw new Unplaced('nothing to replace')
    this.edits.push({ at: from.start, length: to.end - from.start, with: text })
  }
  insertAfter(end: number, text: string): void {
    const token = this.tokens[end - 1]
    if (token === undefined) throw new Unplaced('nothing to insert after')
    this.edits.push({ at: token.end, length: 0, with: text })
  }
  finish(): { text: string; edits: readonly Edit[] } {
    // An insertion at the end of a replaced part comes after it.
    const edits = this.edits.toSorted((a, b) => a.at + a.length - b.at - b.length || b.length - a.length)
    const parts: string[] = []
    let done = 0
    for (const edit of edits) {
      if (edit.at < done) throw new Unplaced('two edits overlap')
      parts.push(this.bytes.toString('utf8', done, edit.at), edit.with)
      done = edit.at + edit.length
    }
    parts.push(this.bytes.toString('utf8', done))
    return { text: parts.join(''), edits }
  }
}

/** Where a place of the text sent lies in the text asked for, in UTF-8 bytes: inside our own text it is the start of what that replaced. */
export function originalByte(edits: readonly Edit[], byte: number): number {
  let shift = 0
  for (const edit of edits) {
    const start = edit.at + shift
    const size = Buffer.byteLength(edit.with)
    if (byte < start) break
    if (byte < start + size) return edit.at
    shift += size - edit.length
  }
  return byte - shift
}

/** The same for field P of errors and notices, which counts characters (code points) from 1. */
export function originalPosition(edits: readonly Edit[], asked: string, sent: string, position: number): number {
  const before = [...sent].slice(0, position - 1).join('')
  const byte = originalByte(edits, Buffer.byteLength(before))
  return [...Buffer.from(asked).subarray(0, byte).toString()].length + 1
}
