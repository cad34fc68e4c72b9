// The mask of a result column by its PostgreSQL type and format: hidden whole, or searched by detectors where its type can hold text.
// Types, typmods and the structure around a value never change; what has no safe replacement becomes NULL.
import { type CellMask, HIDDEN, type MaskKind, NULLED, REPLACED, UNCHANGED } from '../../core/mask.ts'
import { count, type Detector, Found, HASH_CHARS, type KeyedHash, partial, writeHidden } from '../../detect/index.ts'
import { textArrayMask } from './arrays.ts'
import { binaryArrayMask, binaryHstoreMask, binaryRecordMask, isBinaryArray, isBinaryHstore, isBinaryRecord } from './composites.ts'
import { binaryJsonbMask, jsonMask } from './json.ts'
import { give, take } from './spare.ts'

export interface CellType {
  /** Type OID as RowDescription gives it: a domain's is its base type's. */
  readonly type: number
  /** -1 when there is none. */
  readonly typmod: number
  /** 0 text, 1 binary. */
  readonly format: number
  /** From pg_type.typname, for types of extensions; null when not known. */
  readonly name: string | null
}

const TEXT = 25, VARCHAR = 1043, BPCHAR = 1042
const JSON_TYPE = 114, JSONB = 3802
/** Types whose text and binary form is the text itself. */
const TEXTS = new Set([TEXT, VARCHAR, BPCHAR, 19 /* name */, 18 /* "char" */, 142 /* xml */, 705 /* unknown */, 2275 /* cstring */, 1790 /* refcursor */])
const TEXT_NAMES = new Set(['citext', 'text', 'varchar', 'bpchar', 'name', 'xml'])
/** Arrays of the above, and of json, jsonb and records. */
const ARRAYS: ReadonlyMap<number, number> = new Map([[1009, TEXT], [1015, VARCHAR], [1014, BPCHAR], [1003, 19], [1002, 18], [143, 142], [1263, 2275], [2201, 1790], [199, JSON_TYPE], [3807, JSONB], [2287, 2249], [4073, 4072], [3643, 3614]])
const RECORD = 2249
/** Numbers, times, bytes, bits, shapes, network addresses, and ranges and arrays of these: they hold no text. Every type that is not named is searched. */
const NO_TEXT = new Set([
  16, 17, 20, 21, 22, 23, 24, 26, 27, 28, 29, 30, 600, 601, 602, 603, 604, 628, 650, 700, 701, 718, 774, 790, 829, 869, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2278, 2950, 3220, 5069,
  3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532, 4533, 4534, 4535, 4536,
  271, 629, 651, 719, 775, 791, 1000, 1001, 1005, 1006, 1007, 1008, 1010, 1011, 1012, 1013, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028, 1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1270,
  1561, 1563, 2951, 3221, 3905, 3907, 3909, 3911, 3913, 3927, 6150, 6151, 6152, 6153, 6155, 6157,
])

/** OIDs below this are the server's own and mean the same everywhere. */
const OWN_TYPES_FROM = 16_384

/** Null: nothing of this column can change. A mask of the column beats detectors. */
export function cellMask(type: CellType, column: MaskKind | null, detector: Detector | null, hash: KeyedHash): CellMask | null {
  if (column !== null) return wholeMask(type, column, hash)
  return detector === null ? null : detectorMask(type, detector, hash)
}

// ---- whole values

const nulled: CellMask = () => NULLED
/** redact shows a word for text, varchar and char, cut to their length; every other type becomes NULL. */
export function wholeMask(type: CellType, kind: MaskKind, hash: KeyedHash): CellMask {
  if (kind === 'null' || (type.type !== TEXT && type.type !== VARCHAR && type.type !== BPCHAR)) return nulled
  const length = type.type === TEXT || type.typmod < 5 ? null : type.typmod - 4
  const fitted = (text: string) => fit(text, length, type.type === BPCHAR)
  if (kind === 'hash') return (input, start, end, out) => { out.text(fitted(hash(input.subarray(start, end)).slice(0, HASH_CHARS))); return REPLACED }
  if (kind === 'partial') return (input, start, end, out) => { out.text(fitted(partial(input.toString('utf8', start, end)))); return REPLACED }
  const hidden = Buffer.from(fitted(HIDDEN))
  return (_input, _start, _end, out) => { out.copy(hidden, 0, hidden.length); return REPLACED }
}
/** Cut to a type's length in characters; char(n) is filled with blanks. */
function fit(text: string, length: number | null, padded: boolean): string {
  if (length === null) return text
  const characters = [...text]
  return characters.length > length ? characters.slice(0, length).join('') : padded ? text + ' '.repeat(length - characters.length) : text
}

// ---- detectors

const made = new WeakMap<Detector, { readonly hash: KeyedHash; readonly masks: Masks }>()
/** Masks of one detector are shared by all columns: they run to their end one after the other, and keep nothing of a value. */
export function detectorMask(type: CellType, detector: Detector, hash: KeyedHash): CellMask | null {
  let known = made.get(detector)
  if (known === undefined || known.hash !== hash) { known = { hash, masks: new Masks(detector, hash) }; made.set(detector, known) }
  return known.masks.of(type)
}

/** The detector masks of all types, made as they are needed: a record may hold any of them. */
class Masks {
  readonly #text: CellMask
  readonly #json: CellMask
  readonly #detector: Detector
  readonly #hash: KeyedHash
  readonly #binary = new Map<number, CellMask | null>()
  constructor(detector: Detector, hash: KeyedHash) {
    this.#detector = detector
    this.#hash = hash
    this.#text = textMask(detector, hash)
    this.#json = jsonMask(detector, hash)
  }

  of(type: CellType): CellMask | null {
    const mask = type.format === 1 ? this.#binaryOf(type.type, type.name) : this.#textOf(type.type, type.name)
    if (mask !== this.#text || (type.type !== VARCHAR && type.type !== BPCHAR) || type.typmod < 5) return mask
    return fittedMask(this.#detector, this.#hash, type.typmod - 4, type.type === BPCHAR)
  }

  #textOf(type: number, name: string | null): CellMask | null {
    if (TEXTS.has(type)) return this.#text
    if (type === JSON_TYPE || type === JSONB) return this.#json
    const element = ARRAYS.get(type)
    if (element !== undefined) { const mask = this.#textOf(element, null); return mask === null ? null : textArrayMask(mask) }
    if (NO_TEXT.has(type)) return null
    return name !== null && name.startsWith('_') ? textArrayMask(this.#text) : this.#text
  }

  #binaryOf(type: number, name: string | null): CellMask | null {
    const known = this.#binary.get(type)
    if (known !== undefined && (name === null || type < OWN_TYPES_FROM)) return known
    const mask = this.#makeBinary(type, name)
    if (name === null || type < OWN_TYPES_FROM) this.#binary.set(type, mask)
    return mask
  }
  #makeBinary(type: number, name: string | null): CellMask | null {
    const maskOf = (part: number) => this.#binaryOf(part, null)
    if (TEXTS.has(type)) return this.#text
    if (type === JSON_TYPE) return this.#json
    if (type === JSONB) return binaryJsonbMask(this.#json)
    if (ARRAYS.has(type)) return binaryArrayMask(maskOf)
    if (type === RECORD) return binaryRecordMask(maskOf)
    if (NO_TEXT.has(type)) return null
    return name !== null && TEXT_NAMES.has(name) ? this.#text : this.#unknownBinary(maskOf)
  }

  /** A type of an extension or user in binary: by the structure it has; a value found in one without structure makes it NULL. */
  #unknownBinary(maskOf: (type: number) => CellMask | null): CellMask {
    const array = binaryArrayMask(maskOf), record = binaryRecordMask(maskOf), hstore = binaryHstoreMask(this.#text), bare = this.#foundIsNull()
    return (input, start, end, out) => {
      if (isBinaryArray(input, start, end)) return array(input, start, end, out)
      if (isBinaryRecord(input, start, end)) return record(input, start, end, out)
      return isBinaryHstore(input, start, end) ? hstore(input, start, end, out) : bare(input, start, end, out)
    }
  }
  #foundIsNull(): CellMask {
    const found = new Found(), detector = this.#detector
    return (input, start, end) => {
      if (!detector.scan(input, start, end, found)) return UNCHANGED
      count(detector, found)
      return NULLED
    }
  }
}

export function textMask(detector: Detector, hash: KeyedHash): CellMask {
  const found = new Found()
  return (input, start, end, out) => {
    if (!detector.scan(input, start, end, found)) return UNCHANGED
    writeHidden(detector, found, input, start, end, hash, out)
    return REPLACED
  }
}
/** The same for varchar(n) and char(n): what is shown has their length. */
function fittedMask(detector: Detector, hash: KeyedHash, length: number, padded: boolean): CellMask {
  const mask = textMask(detector, hash)
  return (input, start, end, out) => {
    const hidden = take()
    const verdict = mask(input, start, end, hidden)
    if (verdict === REPLACED) out.text(fit(hidden.bytes.toString('utf8', 0, hidden.length), length, padded))
    give(hidden)
    return verdict
  }
}
