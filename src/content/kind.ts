// What a body is, by what it says and by how it begins: a client may believe either. Decides how it is read, or that it can't be.
import type { Detector, KeyedHash } from '../detect/index.ts'
import { type BodyMask, ContentRefused, type Hider } from './hider.ts'
import { JsonMask } from './json.ts'
import { CsvMask, EventsMask, NdjsonMask } from './lines.ts'
import { MarkupMask } from './markup.ts'
import { FormMask, TextMask } from './text.ts'

/** `code`: text that names values in a way that is not read here (YAML, JavaScript). */
export type Kind = 'json' | 'ndjson' | 'events' | 'csv' | 'form' | 'markup' | 'text' | 'code' | 'media' | 'binary' | 'ranges'
/** Encodings in which ASCII stands as itself. */
const PLAIN = new Set(['', 'utf-8', 'utf8', 'us-ascii', 'ascii', 'iso-8859-1', 'latin1', 'iso-8859-15', 'windows-1252'])
const BOMS = [Buffer.from([0xff, 0xfe]), Buffer.from([0xfe, 0xff])]
const UTF8_BOM = Buffer.from([0xef, 0xbb, 0xbf])

/** By the Content-Type's essence; null for none. */
export function kindOf(type: string | undefined): Kind | null {
  const essence = (type ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (essence === '') return null
  if (/^(application|text)\/(x-)?(ndjson|jsonl|jsonlines|json-lines)$/.test(essence) || essence === 'application/json-seq') return 'ndjson'
  if (/^(application|text)\/([\w.-]+\+)?json$/.test(essence)) return 'json'
  if (essence === 'text/event-stream') return 'events'
  if (essence === 'text/csv' || essence === 'text/tab-separated-values') return 'csv'
  if (essence === 'application/x-www-form-urlencoded') return 'form'
  if (/^(application|text|image)\/([\w.-]+\+)?(xml|html)$/.test(essence) || essence === 'text/html') return 'markup'
  if (/^(application|text)\/(x-|vnd\.)?([\w.-]+\+)?(javascript|ecmascript|yaml|toml|sql)$/.test(essence)) return 'code'
  if (essence.startsWith('text/') || essence === 'application/graphql') return 'text'
  if (essence === 'multipart/byteranges') return 'ranges'
  if (/^(image|audio|video|font)\//.test(essence) || essence === 'application/wasm') return 'media'
  return 'binary'
}

/** Throws when the text is in an encoding in which nothing can be found. */
export function checkCharset(type: string | undefined, beginning: Buffer): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type ?? '')?.[1]?.toLowerCase() ?? ''
  if (!PLAIN.has(charset)) throw new ContentRefused(`its encoding ${charset.slice(0, 40)} can't be looked into`)
  if (BOMS.some((bom) => beginning.subarray(0, 2).equals(bom))) throw new ContentRefused('it is UTF-16')
}

export interface Reading { readonly hider: Hider; readonly detector: Detector | null; readonly hash: KeyedHash }
/** The mask of a body of this kind. `beginning` is what of it is here. Throws ContentRefused for what can't be looked into. */
export function maskOf(kind: Kind, beginning: Buffer, { hider, detector, hash }: Reading): BodyMask {
  switch (kind) {
    case 'json': return new JsonMask(hider)
    case 'ndjson': return new NdjsonMask(hider)
    case 'events': return new EventsMask(hider)
    case 'csv': return new CsvMask(hider)
    case 'form': return new FormMask(hider)
    case 'markup': return new MarkupMask(hider)
    case 'text': case 'code': return new TextMask(hider, detector, hash)
    case 'media': case 'binary': case 'ranges': throw new ContentRefused(kind === 'ranges' ? 'it is in parts that could split a value' : `what it is${beginning.length > 0 ? '' : ' (nothing)'} can't be looked into`)
  }
}
/** How a body that says nothing, or only that it is text, begins. */
export function sniffed(beginning: Buffer): Kind {
  const at = beginning.subarray(0, 3).equals(UTF8_BOM) ? 3 : 0
  const first = /^\s*([\s\S])/.exec(beginning.toString('latin1', at, 512))?.[1]
  if (first === '{' || first === '[') return 'json'
  if (first === '<') return 'markup'
  return beginning.includes(0) ? 'binary' : 'text'
}
