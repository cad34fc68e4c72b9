// JSON as a security border reads it: valid UTF-8, an object at the top, no member twice, bounded depth and size. A name that stands
// twice means different things to different readers, so it means nothing here.
export const JSON_DEPTH_MAX = 16
export const JSON_MEMBERS_MAX = 4_000

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Null when it is not such an object. The caller has limited the bytes. */
export function strictObject(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const text = utf8.decode(bytes)
    // JSON.parse is iterative on arrays and objects, yet what is too deep is turned away before anything is built.
    if (!isPlain(text)) return null
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch { return null }
}

export const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
/** A member of its own, never an inherited one. */
export const member = (object: Record<string, unknown>, name: string): unknown => Object.hasOwn(object, name) ? object[name] : undefined

/** Depth, number of members, and no name twice in one object. What is no JSON at all is left to JSON.parse. */
function isPlain(text: string): boolean {
  const open: (Set<string> | null)[] = []
  let members = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '{' || char === '[') { if (open.push(char === '{' ? new Set() : null) > JSON_DEPTH_MAX) return false }
    else if (char === '}' || char === ']') open.pop()
    else if (char === ',') { if (++members > JSON_MEMBERS_MAX) return false }
    else if (char === '"') {
      const end = stringEnd(text, at)
      if (end < 0) return false
      const names = open[open.length - 1]
      // In JSON a string before a colon is a name, and nothing else is.
      if (names != null && /^[ \t\r\n]*:/.test(text.slice(end, end + 8))) {
        const name: unknown = JSON.parse(text.slice(at, end))
        if (typeof name !== 'string' || names.has(name)) return false
        names.add(name)
      } else if (names != null && /^[ \t\r\n]{8}/.test(text.slice(end, end + 8))) return false
      at = end - 1
    }
  }
  return true
}

/** Position behind the closing quote of the string that opens at `at`. */
function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i + 1
  }
  return -1
}
