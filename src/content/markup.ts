// XML and HTML: what a reader sees of it is read as one text, tags left out and entities resolved, and each found value is hidden where its
// letters stand. Attributes and comments are read as they are. Held whole, to a limit.
import { CollectedMask } from './collected.ts'
import { ContentRefused, type Hider } from './hider.ts'

export const MARKUP_BYTES_MAX = 8 * 1024 * 1024
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', hyphen: '-', dash: '-', commat: '@', period: '.', num: '#', lowbar: '_', ndash: '–', mdash: '—', shy: '\u00ad' }
const HIDDEN = '[hidden]'
/** Which tags part words. */
const EVERY = /^/, NONE = /^$/, BLOCK = /^(?!(?:a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr)$)/i
/** One alternative always matches to its end: the whole is linear, whatever is left open. */
const TOKEN = /<!--[\s\S]*?(?:-->|$)|<!\[CDATA\[([\s\S]*?)(?:\]\]>|$)|<[!?][^>]*(?:>|$)|<(\/?)([A-Za-z_][^\s/>]*)((?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^>"'])*)(?:>|$)|&(#x?[0-9A-Fa-f]+|[A-Za-z]+);?|[^<&]+|[<&]/g

/** Letters of the text with where each stands: its source [from, to) in UTF-16 units. */
interface Seen { text: string; from: number[]; to: number[]; forced: { from: number; to: number; with: string }[] }

export class MarkupMask extends CollectedMask {
  readonly #hider: Hider
  constructor(hider: Hider) { super(MARKUP_BYTES_MAX); this.#hider = hider }
  protected masked(bytes: Buffer): Buffer {
    const source = bytes.toString('utf8')
    if (/<!ENTITY/i.test(source)) throw new ContentRefused('it declares entities')
    const before = this.#hider.hidden
    // Words that every tag parts, that only some part, and that run across all.
    const shown = this.#tags([EVERY, BLOCK, NONE].reduce((text, parting) => this.#visible(text, parting), source))
    // What is still found when every entity is resolved stood in attributes or across tags in a way that can't be hidden in place.
    const left = this.#hider.hidden
    if (this.#hider.find(Buffer.from(resolved(shown))) !== null) throw new ContentRefused('it holds values that can\'t be hidden in place')
    this.#hider.hidden = left
    return this.#hider.hidden === before ? bytes : Buffer.from(shown)
  }

  /** Hides in the text between tags. */
  #visible(source: string, parting: RegExp): string {
    const seen = this.#read(source, parting)
    const bytes = Buffer.from(seen.text)
    const found = this.#hider.find(bytes)
    const spans = [...seen.forced]
    if (found !== null) {
      // Positions in UTF-8 back to letters: the text is ASCII in nearly every case.
      const unitAt = bytes.length === seen.text.length ? null : unitsOf(seen.text)
      for (let i = 0; i < found.count; i++) {
        const from = unitAt === null ? found.from[i]! : unitAt[found.from[i]!]!, to = unitAt === null ? found.to[i]! : unitAt[found.to[i]!]!
        this.#hider.hidden++
        let first = true
        for (let letter = from; letter < to; letter++) { if (seen.from[letter] === seen.to[letter]) continue; spans.push({ from: seen.from[letter]!, to: seen.to[letter]!, with: first ? HIDDEN : '' }); first = false }
      }
    }
    if (spans.length === 0) return source
    spans.sort((a, b) => a.from - b.from)
    const parts: string[] = []
    let at = 0
    for (const span of spans) { if (span.from < at) continue; parts.push(source.slice(at, span.from), span.with); at = span.to }
    return parts.join('') + source.slice(at)
  }

  #read(source: string, parting: RegExp): Seen {
    const seen: Seen = { text: '', from: [], to: [], forced: [] }
    const parts: string[] = []
    const open: { name: string; masked: boolean }[] = []
    const letter = (text: string, from: number, each: boolean, to: number) => {
      for (let i = 0; i < text.length; i++) { seen.from.push(each ? from + i : from); seen.to.push(each ? from + i + 1 : to) }
      parts.push(text)
    }
    TOKEN.lastIndex = 0
    for (let match = TOKEN.exec(source); match !== null; match = TOKEN.exec(source)) {
      const at = match.index, end = at + match[0].length
      const [whole, cdata, closing, name, attributes, entity] = match
      const under = open.at(-1)?.masked === true
      if (name !== undefined) {
        if (parting.test(name)) letter(' ', at, false, at)
        const local = name.replace(/^.*:/, '')
        if (closing === '/') { const opened = open.findLastIndex((element) => element.name === local); if (opened >= 0) open.length = opened }
        else if (!/\/$/.test(attributes ?? '')) open.push({ name: local, masked: under || this.#hider.field('', open.at(-1)?.name ?? '', local) !== null })
        continue
      }
      const text = cdata ?? (entity === undefined ? (whole.startsWith('<') ? null : whole) : entityOf(entity))
      if (text === null) continue
      if (under && text.trim() !== '' && text !== HIDDEN) { this.#hider.hidden++; seen.forced.push({ from: at, to: end, with: HIDDEN }); continue }
      letter(text, cdata === undefined ? at : at + '<![CDATA['.length, entity === undefined, end)
    }
    seen.text = parts.join('')
    return seen
  }

  /** Hides in what is left inside tags and comments, and in the attributes of masked names. */
  #tags(source: string): string {
    return source.replace(TOKEN, (whole: string, cdata: string | undefined, _closing, name: string | undefined) => {
      if (cdata !== undefined || !whole.startsWith('<')) return whole
      const named = name === undefined ? whole : whole.replace(/([A-Za-z_][\w:.-]*)(\s*=\s*)("[^"]*"|'[^']*')/g, (attribute: string, key: string, equals: string, value: string) => {
        if (this.#hider.field('', name.replace(/^.*:/, ''), key.replace(/^.*:/, '')) === null) return attribute
        this.#hider.hidden++
        return `${key}${equals}${value[0]}${HIDDEN}${value[0]}`
      })
      return this.#hider.words(named)
    })
  }
}

function entityOf(entity: string): string {
  if (!entity.startsWith('#')) return NAMED[entity] ?? ' '
  const code = /^#x/i.test(entity) ? Number.parseInt(entity.slice(2), 16) : Number.parseInt(entity.slice(1), 10)
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : ' '
}
const resolved = (source: string): string => source.replace(/&(#x?[0-9A-Fa-f]+|[A-Za-z]+);?/g, (_, entity: string) => entityOf(entity))
/** UTF-16 unit of every UTF-8 byte position, the end included. */
function unitsOf(text: string): Int32Array {
  const units = new Int32Array(Buffer.byteLength(text) + 1)
  let byte = 0
  for (let unit = 0; unit < text.length; unit++) {
    const code = text.charCodeAt(unit)
    const width = code < 0x80 ? 1 : code < 0x800 ? 2 : code >= 0xd800 && code < 0xdc00 ? 4 : code >= 0xdc00 && code < 0xe000 ? 0 : 3
    for (let i = 0; i < width; i++) units[byte++] = unit
  }
  units[byte] = text.length
  return units
}
