// A body that is here whole: what it is, and what of it may be shown. Answers and what the record keeps of requests are read alike.
import { ContentRefused } from './hider.ts'
import { checkCharset, type Kind, kindOf, maskOf, type Reading, sniffed } from './kind.ts'

/** What a body is here; one that says nothing, or only that it is bytes, is what it begins like. */
export function kindHere(type: string | undefined, beginning: Buffer): Kind {
  const said = kindOf(type)
  return said === null || /^application\/octet-stream/i.test(type ?? '') ? sniffed(beginning) : said
}
export const isText = (kind: Kind): boolean => kind !== 'media' && kind !== 'binary' && kind !== 'ranges'

/** `byName`: fields are masked by name. The same buffer where nothing is hidden. Throws ContentRefused. */
export function maskWhole(bytes: Buffer, type: string | undefined, reading: Reading, byName: boolean): { bytes: Buffer; rows: number } {
  const before = reading.hider.hidden
  const kind = kindHere(type, bytes)
  checkNames(kind, byName)
  if (kind === 'media' || kind === 'binary') {
    if (reading.hider.find(bytes) !== null) throw new ContentRefused('it holds values that can\'t be hidden in it')
    return { bytes, rows: 0 }
  }
  checkCharset(type, bytes)
  // What says it is text is believed to be JSON by clients that look.
  for (const as of kind === 'text' && sniffed(bytes) !== 'text' ? [sniffed(bytes), kind] : [kind]) {
    try {
      const out: Buffer[] = []
      const mask = maskOf(as, bytes, reading)
      mask.push(bytes, out)
      mask.end(out)
      return { bytes: reading.hider.hidden === before ? bytes : Buffer.concat(out), rows: mask.rows }
    } catch (error) {
      if (as === kind || !(error instanceof ContentRefused) || !error.syntax) throw error
      reading.hider.hidden = before
    }
  }
  return { bytes, rows: 0 }
}

/** Where fields are hidden by name, what names things in a way that can't be read is refused. */
export function checkNames(kind: Kind, byName: boolean): void {
  if (byName && (kind === 'binary' || kind === 'code')) throw new ContentRefused('what it names can\'t be read, and fields are hidden here by name')
}
