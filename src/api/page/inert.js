// Shows text as what it is: every character in the order it is in, what is invisible or moves others made visible, what looks
// like ASCII and isn't underlined. Makes text nodes only; nothing in the text can act.

/** Controls, formats (bidi, zero width, tags), unassigned, private, lone surrogates, separators, fillers, variation selectors, every space that is not the plain one. */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]|(?! )\p{Zs}/u
const COMBINING = /\p{M}/u
const NAMES = {
  0: 'NUL',
  7: 'BEL',
  8: 'BS',
  9: 'TAB',
  13: 'CR',
  27: 'ESC',
  127: 'DEL',
  0xa0: 'NBSP',
  0xad: 'SHY',
  0x200b: 'ZWSP',
  0x200c: 'ZWNJ',
  0x200d: 'ZWJ',
  0x200e: 'LRM',
  0x200f: 'RLM',
  0x202a: 'LRE',
  0x202b: 'RLE',
  0x202c: 'PDF',
  0x202d: 'LRO',
  0x202e: 'RLO',
  0x2060: 'WJ',
  0x2066: 'LRI',
  0x2067: 'RLI',
  0x2068: 'FSI',
  0x2069: 'PDI',
  0xfeff: 'BOM',
}

const codeOf = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`

function signOf(character) {
  const sign = document.createElement('span')
  const name = NAMES[character.codePointAt(0)]
  sign.className = 'sign'
  sign.textContent = name ?? codeOf(character)
  sign.title = name === undefined ? codeOf(character) : `${codeOf(character)} ${name}`
  return sign
}

/** What `inert` made visible: how many unseen characters and how many beyond ASCII. */
export function census(text) {
  let unseen = 0
  let foreign = 0
  for (const character of text) {
    if (character === '\n' || character === '\t') continue
    if (UNSEEN.test(character)) unseen++
    else if (character > '\u007e') foreign++
  }
  return { unseen, foreign }
}

/** The same as plain text, for a text with so many signs that elements of their own would stall the page. Brackets of the text's own become signs too. */
export function inertPlain(text) {
  let made = ''
  for (const character of text)
    made +=
      character === '\t'
        ? '\t'
        : UNSEEN.test(character) || COMBINING.test(character) || character === '⟨' || character === '⟩'
          ? `⟨${codeOf(character)}⟩`
          : character
  return document.createTextNode(made)
}

/** One line, or a short field: also its line breaks become visible. */
export function inert(text) {
  const made = document.createDocumentFragment()
  let plain = ''
  let foreign = ''
  const flush = () => {
    if (plain !== '') made.append(plain)
    if (foreign !== '') {
      const mark = document.createElement('span')
      mark.className = 'foreign'
      mark.title = [...foreign].slice(0, 8).map(codeOf).join(' ')
      mark.textContent = foreign
      made.append(mark)
    }
    plain = foreign = ''
  }
  for (const character of text) {
    if (character === '\t') {
      flush()
      made.append(signOf(character), '\t')
    } else if (UNSEEN.test(character) || COMBINING.test(character)) {
      flush()
      made.append(signOf(character))
    } else if (character > '\u007e') {
      if (plain !== '') flush()
      foreign += character
    } else {
      if (foreign !== '') flush()
      plain += character
    }
  }
  flush()
  return made
}
