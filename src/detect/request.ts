// For rules that refuse a request because of a value in it: whether a text holds anything that a built-in detector knows.
import { compileDetectors, DETECTORS } from './detector.ts'
import { Found } from './found.ts'

/** Null for a name that no detector has. */
export function requestDetector(name: string): ((text: string) => boolean) | null {
  if (!(DETECTORS as readonly string[]).includes(name)) return null
  const detector = compileDetectors([{ detector: name, pattern: null, with: 'redact', rule: name }])!
  const found = new Found()
  return (text) => { const bytes = Buffer.from(text); return detector.scan(bytes, 0, bytes.length, found) }
}
