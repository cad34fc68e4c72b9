// JSON (RFC 8259) as bytes, in pieces of any size: every token is looked at once, where it stands, and what need not change goes out as it
// came: number precision, key order and spaces stay. What is no JSON, or names a key twice in one object, is refused: clients differ in what they make of it.
import { isUtf8 } from 'node:buffer'
import type { MaskKind } from '../core/mask.ts'
import { type BodyMask, ContentRefused, type Hider } from './hider.ts'

/** Objects and arrays in one another. */
export const JSON_DEPTH_MAX = 512
/** One string or number. */
export const JSON_TOKEN_BYTES_MAX = 4 * 1024 * 1024
/** Keys of one object. */
export const JSON_KEYS_MAX = 100_000
/** JSON in a string in JSON. */
const NESTED_MAX = 4

const VALUE = 0, FIRST_VALUE = 1, FIRST_KEY = 2, KEY = 3, COLON = 4, NEXT = 5, DONE = 6
const OBJECT = 1
const EMPTY = Buffer.alloc(0)
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/
const LITERALS = new Set(['true', 'false', 'null'])
const HIDDEN_JSON = Buffer.from('"[hidden]"'), NULL_JSON = Buffer.from('null')
const refused = (what: string): ContentRefused => new ContentRefused(`not JSON: ${what}`, true)

/**
 * The keys of the last object at one depth: the next one mostly has the same in the same order, and then they need no decoding, no mask
 * looked up, and can't be twice.
 */
class Keys {
  readonly bytes: Buffer[] = []
  readonly names: string[] = []
  readonly masks: (MaskKind | null)[] = []
  parent = ''
  grandparent = ''
  at = 0
  /** Null while this object's keys are the last one's. */
  seen: Set<string> | null = null

  begin(parent: string, grandparent: string): void {
    if (parent !== this.parent || grandparent !== this.grandparent) { this.#cut(0); this.parent = parent; this.grandparent = grandparent }
    this.at = 0
    this.seen = null
  }
  /** Whether the key at input[at, to) is the one that came here last time. */
  follows(input: Buffer, at: number, to: number): boolean {
    const known = this.bytes[this.at]
    if (this.seen !== null || known === undefined || known.length !== to - at) return false
    for (let i = known.length - 1; i >= 0; i--) if (known[i] !== input[at + i]) return false
    return true
  }
  add(bytes: Buffer, name: string, mask: MaskKind | null): void {
    if (this.seen === null) { this.seen = new Set(this.names.slice(0, this.at)); this.#cut(this.at) }
    if (this.seen.has(name)) throw new ContentRefused('an object of it names a key twice')
    if (this.seen.size >= JSON_KEYS_MAX) throw new ContentRefused(`an object of it has more than ${JSON_KEYS_MAX} keys`)
    this.seen.add(name)
    if (this.at === KEYS_KEPT) return
    this.bytes.push(Buffer.from(bytes)); this.names.push(name); this.masks.push(mask)
    this.at++
  }
  #cut(length: number): void { this.bytes.length = length; this.names.length = length; this.masks.length = length }
}
/** Keys of one object that the next is compared with. */
const KEYS_KEPT = 256

export class JsonMask implements BodyMask {
  rows = 0
  readonly #hider: Hider
  readonly #nested: number
  #held: Buffer = Buffer.alloc(0)
  #state = VALUE
  /** Of each open container: 1 for an object. */
  readonly #kinds: number[] = []
  /** The key that the value at this depth belongs to. */
  readonly #keys: string[] = ['']
  /** The mask of that value. */
  readonly #masks: (MaskKind | null)[] = [null]
  readonly #objects: Keys[] = []
  /** Depth of the masked container whose content is dropped; 0 = none. */
  #dropping = 0
  constructor(hider: Hider, nested = 0) { this.#hider = hider; this.#nested = nested }

  push(bytes: Buffer, out: Buffer[]): void { this.#take(bytes, false, out) }
  end(out: Buffer[]): void {
    this.#take(Buffer.alloc(0), true, out)
    if (this.#state !== DONE) throw refused('it ends early')
  }

  #take(more: Buffer, last: boolean, out: Buffer[]): void {
    const input = this.#held.length === 0 ? more : Buffer.concat([this.#held, more])
    const end = input.length
    let at = 0, from = 0
    /** What stood unchanged before `at`, then `instead` in place of [at, to). */
    const replace = (start: number, to: number, instead: Buffer | null) => {
      if (this.#dropping === 0) { if (start > from) out.push(input.subarray(from, start)); if (instead !== null) out.push(instead) }
      from = to
    }
    for (;;) {
      while (at < end && (input[at] === 0x20 || input[at] === 0x0a || input[at] === 0x0d || input[at] === 0x09)) at++
      if (at >= end) break
      const byte = input[at]!
      switch (this.#state) {
        case DONE: throw refused('something follows its end')
        case COLON: if (byte !== 0x3a) throw refused('a colon is missing'); this.#state = VALUE; at++; continue
        case NEXT:
          if (byte === 0x2c) { this.#state = this.#kinds.at(-1) === OBJECT ? KEY : VALUE; at++; continue }
          if (byte !== (this.#kinds.at(-1) === OBJECT ? 0x7d : 0x5d)) throw refused('a comma is missing')
          at++
          this.#close(() => { from = at })
          continue
        case FIRST_KEY: if (byte === 0x7d) { at++; this.#close(() => { from = at }); continue } break
        case FIRST_VALUE: if (byte === 0x5d) { at++; this.#close(() => { from = at }); continue } break
        default:
      }
      const isKey = this.#state === KEY || this.#state === FIRST_KEY
      if (isKey && byte !== 0x22) throw refused('a key is missing')
      if (!isKey && (byte === 0x7b || byte === 0x5b)) {
        this.#item()
        const mask = this.#dropping === 0 ? this.#masks[this.#kinds.length]! : null
        if (mask !== null) { this.#hider.hidden++; replace(at, at, mask === 'null' ? NULL_JSON : HIDDEN_JSON) }
        this.#open(byte === 0x7b)
        if (mask !== null) this.#dropping = this.#kinds.length
        at++
        continue
      }
      const to = byte === 0x22 ? stringEnd(input, at, end) : scalarEnd(input, at, end)
      // A number may go on in the next piece.
      if (to < 0 || (byte !== 0x22 && to === end && !last)) { if (last) throw refused('it ends early'); break }
      if (isKey) this.#key(input, at, to, replace)
      else { this.#item(); this.#scalar(input, at, to, replace); this.#state = this.#kinds.length === 0 ? DONE : NEXT }
      at = to
    }
    if (this.#dropping === 0 && at > from) out.push(input.subarray(from, at))
    if (end - at > JSON_TOKEN_BYTES_MAX) throw new ContentRefused(`a value of it is longer than ${JSON_TOKEN_BYTES_MAX} bytes`)
    this.#held = input.subarray(at)
  }

  #open(isObject: boolean): void {
    if (this.#kinds.length >= JSON_DEPTH_MAX) throw new ContentRefused(`it is nested deeper than ${JSON_DEPTH_MAX}`)
    this.#kinds.push(isObject ? OBJECT : 0)
    const depth = this.#kinds.length
    if (isObject) {
      const keys = this.#objects[depth] ??= new Keys(), own = this.#owner(depth - 1)
      keys.begin(this.#keys[depth - 1]!, this.#keys[own - 1] ?? '')
    }
    // What stands in an array belongs to the array's own key.
    this.#keys[depth] = isObject ? '' : this.#keys[depth - 1]!
    this.#masks[depth] = isObject ? null : this.#masks[depth - 1]!
    this.#state = isObject ? FIRST_KEY : FIRST_VALUE
  }
  #close(dropped: () => void): void {
    if (this.#dropping === this.#kinds.length) { this.#dropping = 0; dropped() }
    this.#kinds.pop()
    this.#state = this.#kinds.length === 0 ? DONE : NEXT
  }
  /** A value begins: does it count as a row? Items of the outermost array, or of arrays that are members of the outermost object. */
  #item(): void {
    const depth = this.#kinds.length
    if ((depth === 1 && this.#kinds[0] !== OBJECT) || (depth === 2 && this.#kinds[0] === OBJECT && this.#kinds[1] !== OBJECT)) this.rows++
  }
  /** The depth of the object whose key the value at this depth has: arrays in between have their own array's. */
  #owner(depth: number): number {
    while (depth > 0 && this.#kinds[depth - 1] !== OBJECT) depth--
    return depth
  }

  #key(input: Buffer, at: number, to: number, replace: (start: number, to: number, instead: Buffer) => void): void {
    const depth = this.#kinds.length, keys = this.#objects[depth]!
    this.#state = COLON
    if (keys.follows(input, at, to)) {
      this.#keys[depth] = keys.names[keys.at]!
      this.#masks[depth] = keys.masks[keys.at++]!
      return
    }
    const name = decoded(input, at, to), bytes = Buffer.from(name)
    const mask = this.#dropping !== 0 || name === '' ? null : this.#hider.field(keys.grandparent, keys.parent, name)
    const shown = this.#dropping !== 0 ? null : this.#hider.text(bytes, 0, bytes.length)
    // One that is itself hidden is looked at each time it comes.
    keys.add(shown === null && this.#dropping === 0 ? input.subarray(at, to) : EMPTY, name, mask)
    this.#keys[depth] = name
    this.#masks[depth] = mask
    if (shown !== null) replace(at, to, Buffer.from(JSON.stringify(shown)))
  }

  #scalar(input: Buffer, at: number, to: number, replace: (start: number, to: number, instead: Buffer) => void): void {
    if (input[at] !== 0x22) {
      const text = input.toString('latin1', at, to)
      if (!LITERALS.has(text) && !NUMBER.test(text)) throw refused('a value is none')
      // NULL stays NULL; a number's type stays what it is.
      if (this.#dropping === 0 && text !== 'null' && this.#masks[this.#kinds.length] !== null) { this.#hider.hidden++; replace(at, to, NULL_JSON) }
      return
    }
    if (this.#dropping !== 0) return
    const mask = this.#masks[this.#kinds.length]!
    if (!sawEscape && sawWide && !isUtf8(input.subarray(at, to))) throw refused('not UTF-8')
    if (mask === 'redact') { this.#hider.hidden++; replace(at, to, HIDDEN_JSON); return }
    const bytes = sawEscape ? Buffer.from(decoded(input, at, to)) : input
    const start = bytes === input ? at + 1 : 0, end = bytes === input ? to - 1 : bytes.length
    if (mask !== null) {
      const shown = this.#hider.value(mask, bytes, start, end)
      replace(at, to, shown === null ? NULL_JSON : Buffer.from(JSON.stringify(shown)))
      return
    }
    const shown = (mayBeJson(bytes[start]) ? this.#inner(bytes.subarray(start, end)) : null) ?? this.#hider.text(bytes, start, end)
    if (shown !== null) replace(at, to, Buffer.from(JSON.stringify(shown)))
  }

  /** A string that is itself JSON, masked; null when it is none or nothing changed. */
  #inner(text: Buffer): string | null {
    if (this.#nested >= NESTED_MAX) return null
    const before = this.#hider.hidden
    const out: Buffer[] = []
    try {
      const inner = new JsonMask(this.#hider, this.#nested + 1)
      inner.push(text, out)
      inner.end(out)
    } catch (error) {
      if (error instanceof ContentRefused && error.syntax) { this.#hider.hidden = before; return null }
      throw error
    }
    return this.#hider.hidden === before ? null : Buffer.concat(out).toString('utf8')
  }
}

const mayBeJson = (first: number | undefined): boolean => first === 0x7b || first === 0x5b || first === 0x20 || first === 0x0a || first === 0x22
/** What the last string that `stringEnd` walked over holds: escapes, bytes beyond ASCII. */
let sawEscape = false, sawWide = false
/** The end of the string that begins at `at`, behind its quote; -1 when it isn't all here. */
function stringEnd(input: Buffer, at: number, end: number): number {
  let all = 0
  sawEscape = false
  for (let i = at + 1; i < end; i++) {
    const byte = input[i]!
    if (byte === 0x22) { sawWide = all >= 0x80; return i + 1 }
    all |= byte
    if (byte === 0x5c) { i++; sawEscape = true } else if (byte < 0x20) throw refused('a control character in a string')
  }
  return -1
}
function scalarEnd(input: Buffer, at: number, end: number): number {
  let i = at
  while (i < end) {
    const byte = input[i]!
    if (byte === 0x2c || byte === 0x7d || byte === 0x5d || byte <= 0x20 || byte === 0x3a || byte === 0x22 || byte === 0x7b || byte === 0x5b) break
    i++
  }
  if (i === at) throw refused('a value is missing')
  return i
}
/** The string just walked over. */
function decoded(input: Buffer, at: number, to: number): string {
  if (!sawEscape && !sawWide) return input.toString('latin1', at + 1, to - 1)
  if (!isUtf8(input.subarray(at, to))) throw refused('not UTF-8')
  try { return JSON.parse(input.toString('utf8', at, to)) as string } catch { throw refused('a string is none') }
}
