// What stands for a value, by the type of its column, and back. The same value gives the same token wherever its type is alike, so that joins
// and groups hold; a type's own form, length and precision are kept. Null: this value has no token, and is hidden whole.
import { createHmac, hkdfSync } from 'node:crypto'
import { base32, fromBase32 } from './base32.ts'
import { Opaque } from './opaque.ts'
import { DIGITS_MIN, DIGITS_MOST, Shapes } from './shapes.ts'

export type TokenType =
  | { readonly kind: 'text'; /** In characters; null: any. */ readonly length: number | null }
  | { readonly kind: 'int4' | 'int8' | 'uuid' | 'date' | 'timestamp' }
  | { readonly kind: 'numeric'; readonly precision: number | null; readonly scale: number }
/** `certain`: nothing but a token of this key looks so. Else a value of its own could, and who stores it must ask whether `value` is there. */
export interface Turned { readonly value: string; readonly certain: boolean }

/** A longer text has no token. */
export const TOKEN_TEXT_BYTES_MAX = 2_048
const PREFIX = 'tok_'
const MAIL_END = 'token.invalid'
const CHUNK = 60
const KEPT_MAX = 4_096
const MAIL = /^[^\s@]{1,200}@[^\s@]{1,200}$/
const UUID = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i
const NUMBERISH = /^\+?[(]?\d[\d ().\/-]*$/
/** Numerics without a precision are taken as so many digits. */
const FREE_DIGITS = 15
const DAYS_MIN = 366, DAYS_MORE = 3_285

export class Tokens {
  readonly #opaque: Opaque
  readonly #shapes: Shapes
  readonly #label: string
  readonly #days: number
  readonly #kept = new Map<string, string | null>()
  /** `label`: values of one have no token in common with those of another. */
  constructor(key: Buffer, label = '') {
    this.#opaque = new Opaque(key)
    this.#shapes = new Shapes(key, label)
    this.#label = label
    const drawn = createHmac('sha256', Buffer.from(hkdfSync('sha256', key, '', 'sluice tokens: days', 32))).update(label).digest().readUInt32BE()
    this.#days = (DAYS_MIN + (drawn >>> 1) % DAYS_MORE) * (drawn & 1 ? 1 : -1)
  }
  /** Dates and times move by this many days. */
  get days(): number { return this.#days }

  /** `text`: the value as the server writes it. */
  hide(type: TokenType, text: string): string | null {
    const key = `${type.kind}${type.kind === 'text' ? type.length ?? '' : type.kind === 'numeric' ? `${type.precision}.${type.scale}` : ''}:${text}`
    let token = this.#kept.get(key)
    if (token === undefined) {
      token = this.#hide(type, text)
      if (this.#kept.size >= KEPT_MAX) this.#kept.clear()
      this.#kept.set(key, token)
    }
    return token
  }
  #hide(type: TokenType, text: string): string | null {
    switch (type.kind) {
      case 'text': { const token = this.#text(text); return token === null || (type.length !== null && [...token].length > type.length) ? null : token }
      case 'numeric': return this.#numeric(type, text, false)
      case 'date': case 'timestamp': return shifted(text, this.#days)
      default: return this.#shaped(type.kind, text, false)
    }
  }

  /** Null: not a token, by its form or its check. */
  back(type: TokenType, text: string): Turned | null {
    switch (type.kind) {
      case 'text': return this.#textBack(text)
      case 'numeric': return uncertain(this.#numeric(type, text, true))
      case 'date': case 'timestamp': return uncertain(shifted(text, -this.#days))
      case 'uuid': { const value = this.#shaped('uuid', text, true); return value === null ? null : { value, certain: Shapes.isUuidToken(text.toLowerCase().replaceAll('-', '')) } }
      default: return uncertain(this.#shaped(type.kind, text, true))
    }
  }

  // ——— text ———

  #text(text: string): string | null {
    if (Buffer.byteLength(text) > TOKEN_TEXT_BYTES_MAX) return null
    const shaped = UUID.test(text) ? this.#shaped('uuid', text, false) : this.#numberish(text, false)
    if (shaped !== null) return shaped
    if (!MAIL.test(text)) return PREFIX + this.#opaque.seal(`${this.#label}\0text`, text).toString('base64url')
    const sealed = base32(this.#opaque.seal(`${this.#label}\0mail`, text))
    const parts = sealed.match(new RegExp(`.{1,${CHUNK}}`, 'g'))!
    return `${parts[0]}@${[...parts.slice(1), MAIL_END].join('.')}`
  }
  #textBack(text: string): Turned | null {
    if (text.startsWith(PREFIX)) {
      const bytes = /^[\w-]+$/.test(text) ? Buffer.from(text.slice(PREFIX.length), 'base64url') : null
      // Base64 of the same bytes can be written in several ways: a token is the one that we write.
      const value = bytes === null || PREFIX + bytes.toString('base64url') !== text ? null : this.#opaque.open(`${this.#label}\0text`, bytes)
      return value === null ? null : { value, certain: true }
    }
    const mail = /^([a-z2-7]+)@((?:[a-z2-7]+\.)*)token\.invalid$/.exec(text.toLowerCase())
    if (mail !== null) {
      const sealed = fromBase32(mail[1]! + mail[2]!.replaceAll('.', ''))
      const value = sealed === null ? null : this.#opaque.open(`${this.#label}\0mail`, sealed)
      return value === null ? null : { value, certain: true }
    }
    if (UUID.test(text)) return this.back({ kind: 'uuid' }, text)
    const value = this.#numberish(text, true)
    return value === null ? null : { value, certain: Shapes.isCardToken(text.replaceAll(/\D/g, '')) }
  }
  /** Card, SSN, phone, account: digits and what stands between them. Behind a + the first digit stays. */
  #numberish(text: string, back: boolean): string | null {
    if (!NUMBERISH.test(text)) return null
    const digits = text.replaceAll(/\D/g, '')
    const kept = text.startsWith('+') ? 1 : 0
    if (digits.length - kept < DIGITS_MIN || digits.length > DIGITS_MOST) return null
    const made = digits.slice(0, kept) + this.#shapes.digits(digits.slice(kept), back)
    let at = 0
    return text.replaceAll(/\d/g, () => made[at++]!)
  }

  // ——— other types ———

  #shaped(kind: 'int4' | 'int8' | 'uuid', text: string, back: boolean): string | null {
    if (kind === 'uuid') {
      const parts = UUID.exec(text)
      return parts === null ? null : this.#shapes.uuid(parts.slice(1).join('').toLowerCase(), back).replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    }
    if (!/^-?\d{1,19}$/.test(text)) return null
    const value = BigInt(text)
    const size = kind === 'int4' ? 32 : 64
    return BigInt.asIntN(size, value) === value ? String(this.#shapes.whole(value, size, back)) : null
  }
  #numeric({ precision, scale }: Extract<TokenType, { kind: 'numeric' }>, text: string, back: boolean): string | null {
    const parts = /^(-?)(\d{1,60})(?:\.(\d{0,60}))?$/.exec(text)
    if (parts === null) return null
    const fraction = precision === null ? parts[3] ?? '' : (parts[3] ?? '').padEnd(Math.max(0, scale), '0')
    const digits = (parts[2]! + fraction).replace(/^0+/, '')
    const size = precision ?? FREE_DIGITS
    if (scale < 0 || size < DIGITS_MIN || size > DIGITS_MOST || digits.length > size || (precision !== null && fraction.length > scale) || fraction.length > size) return null
    const made = this.#shapes.decimal(digits.padStart(size, '0'), back)
    const whole = made.slice(0, size - fraction.length).replace(/^0+(?=\d)/, '') || '0'
    return `${parts[1]}${whole}${fraction.length > 0 ? `.${made.slice(size - fraction.length)}` : ''}`
  }
}
const uncertain = (value: string | null): Turned | null => value === null ? null : { value, certain: false }

/** `2024-02-29` and `2024-02-29 10:00:00+01`, moved by whole days; null for what is written otherwise, BC and infinity. */
function shifted(text: string, days: number): string | null {
  const parts = /^(\d{4})-(\d{2})-(\d{2})((?:[ T]\d{2}:\d{2}.*)?)$/.exec(text)
  if (parts === null || text.endsWith('BC')) return null
  const at = new Date(Date.UTC(2000, Number(parts[2]) - 1, Number(parts[3])))
  at.setUTCFullYear(Number(parts[1]))
  if (at.getUTCDate() !== Number(parts[3]) || at.getUTCMonth() !== Number(parts[2]) - 1) return null
  at.setUTCDate(at.getUTCDate() + days)
  const year = at.getUTCFullYear()
  return year < 1 || year > 9999 ? null : `${String(year).padStart(4, '0')}-${String(at.getUTCMonth() + 1).padStart(2, '0')}-${String(at.getUTCDate()).padStart(2, '0')}${parts[4]}`
}
