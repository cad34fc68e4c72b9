// Base32 (RFC 4648) in lower case, without padding: letters and digits that every mail system leaves alone.
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

export function base32(bytes: Buffer): string {
  let out = '', held = 0, size = 0
  for (const byte of bytes) {
    held = held << 8 | byte
    for (size += 8; size >= 5; size -= 5) out += ALPHABET[held >>> size - 5 & 31]
    held &= (1 << size) - 1
  }
  return size > 0 ? out + ALPHABET[held << 5 - size & 31] : out
}
/** Null for what `base32` does not write. */
export function fromBase32(text: string): Buffer | null {
  const out: number[] = []
  let held = 0, size = 0
  for (const letter of text) {
    const value = ALPHABET.indexOf(letter)
    if (value < 0) return null
    held = held << 5 | value
    size += 5
    if (size >= 8) { size -= 8; out.push(held >>> size & 255) }
    held &= (1 << size) - 1
  }
  const bytes = Buffer.from(out)
  return base32(bytes) === text ? bytes : null
}
