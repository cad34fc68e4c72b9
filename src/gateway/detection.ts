// Detectors where text leaves the data path: what clients send (rules like `no-data-out`) and what the record may hold.
import { compileDetectors, type Detector, Found } from '../detect/index.ts'
import type { DetectorRule } from '../core/policy.ts'

/** Sets of detectors kept per worker. */
const KEPT_MAX = 256

const single = new Map<string, Detector | null>()
const found = new Found()

/** Whether a built-in detector finds anything in the text; null for a name it does not know. */
export function requestDetector(name: string): ((text: string) => boolean) | null {
  if (!single.has(name)) { try { single.set(name, compileDetectors([{ detector: name, pattern: null, with: 'redact', rule: '' }])) } catch { single.set(name, null) } }
  const detector = single.get(name) ?? null
  if (detector === null) return null
  return (text) => {
    const bytes = Buffer.from(text)
    found.reset()
    detector.scan(bytes, 0, bytes.length, found)
    return found.count > 0
  }
}

const same = (text: string): string => text
const redactors = new Map<string, (text: string) => string>()

/** Text as the record may hold it: what a detector of the grant finds is named by its length and keyed hash. */
export function redactorFor(keyedHash: (bytes: Uint8Array) => string): (grant: { readonly maskKey: string; readonly detectors: readonly DetectorRule[] }) => (text: string) => string {
  return (grant) => {
    if (grant.detectors.length === 0) return same
    let redact = redactors.get(grant.maskKey)
    if (redact === undefined) {
      if (redactors.size >= KEPT_MAX) redactors.clear()
      redact = redactor(compileDetectors(grant.detectors), keyedHash)
      redactors.set(grant.maskKey, redact)
    }
    return redact
  }
}

function redactor(detector: Detector | null, keyedHash: (bytes: Uint8Array) => string): (text: string) => string {
  if (detector === null) return same
  return (text) => {
    const bytes = Buffer.from(text)
    found.reset()
    detector.scan(bytes, 0, bytes.length, found)
    if (found.count === 0) return text
    const parts: string[] = []
    let at = 0
    for (let i = 0; i < found.count; i++) {
      const from = found.from[i]!, to = found.to[i]!
      parts.push(bytes.toString('utf8', at, from), `[hidden ${to - from} bytes ${keyedHash(bytes.subarray(from, to)).slice(0, 16)}]`)
      at = to
    }
    parts.push(bytes.toString('utf8', at))
    return parts.join('')
  }
}
