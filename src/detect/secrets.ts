// JWTs, and private keys in PEM.
import { BODY, DASHED } from './keys.ts'
import { isAlphanumeric } from './digits.ts'

const SEGMENT_BYTES_MIN = 8
/** Up to where no JWT begins: what was read once in vain is not read again. */
let vain = 0
export const forgetVain = (): void => { vain = 0 }
/** End of the JWT whose `eyJ` begins at `from`, -1 when there is none. */
export function jwtEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  if (from < vain || from < start || (from > start && isAlphanumeric(bytes[from - 1]!) && bytes[from - 2] !== 0x5c)) return -1
  let p = from, segments = 0, last = from
  for (; segments < 5; segments++) {
    const first = p
    while (p < end && (BODY[bytes[p]!]! & DASHED) !== 0) p++
    if (segments < 2 && p - first < SEGMENT_BYTES_MIN) break
    last = p
    if (p >= end || bytes[p] !== 0x2e) { segments++; break }
    p++
  }
  if (segments >= 2) return last
  vain = last
  return -1
}

const BEGIN = '-----BEGIN '
const LABEL_BYTES_MAX = 64
/** End of the PEM private key that begins at `at`: its last line, or the end of the value when that is missing. -1 when none begins. */
export function privateKeyEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let i = 1; i < BEGIN.length; i++) if (at + i >= end || bytes[at + i] !== BEGIN.charCodeAt(i)) return -1
  let p = at + BEGIN.length
  let label = ''
  while (p < end && bytes[p] !== 0x2d && label.length < LABEL_BYTES_MAX) label += String.fromCharCode(bytes[p++]!)
  if (!label.includes('PRIVATE KEY')) return -1
  for (; p + 8 < end; p++) {
    if (bytes[p] !== 0x2d || bytes[p + 4] !== 0x2d || bytes[p + 5] !== 0x45 || bytes[p + 6] !== 0x4e || bytes[p + 7] !== 0x44) continue
    p += 8
    for (const label = Math.min(end, p + LABEL_BYTES_MAX); p < label && bytes[p] !== 0x2d; p++);
    while (p < end && bytes[p] === 0x2d) p++
    return p
  }
  return end
}
