// The client's side of SCRAM-SHA-256 (RFC 5802, 7677), with channel binding where the server's certificate allows it (RFC 5929,
// tls-server-end-point). Pure but for randomness. The server must prove that it knows the password too.
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto'
import { Unreachable } from '../../core/errors.ts'

/** The server's default is 4,096; a hostile one could ask for hours. */
export const ITERATIONS_MAX = 1_000_000
const PLAIN = 'SCRAM-SHA-256', BOUND = 'SCRAM-SHA-256-PLUS'

export interface Scram {
  readonly mechanism: typeof PLAIN | typeof BOUND
  readonly first: string
  /** The answer to the server's challenge. */
  answer(challenge: string): Promise<string>
  /** Throws when the server has not proved itself. */
  finish(proof: string): void
}

/** `certificate`: the server's, in DER; null when not encrypted. */
export function startScram(mechanisms: readonly string[], password: string, certificate: Buffer | null, nonce = randomBytes(18).toString('base64')): Scram {
  const binding = certificate === null ? null : endPoint(certificate)
  const bound = binding !== null && mechanisms.includes(BOUND)
  if (!bound && !mechanisms.includes(PLAIN)) throw refused('asks for a login method that is not known here')
  // `y`: we could bind and the server did not offer it. If it did, someone between us took the offer away, and it will notice.
  const header = bound ? 'p=tls-server-end-point,,' : binding !== null ? 'y,,' : 'n,,'
  const bare = `n=,r=${nonce}`
  let expected: Buffer | null = null
  return {
    mechanism: bound ? BOUND : PLAIN,
    first: header + bare,
    async answer(challenge) {
      const [, serverNonce, salt, count] = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d{0,7})$/.exec(challenge) ?? []
      const iterations = Number(count)
      if (serverNonce === undefined || salt === undefined || !(iterations <= ITERATIONS_MAX)) throw refused('sent a challenge that can\'t be read')
      if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length) throw refused('answered another login\'s challenge')
      const salted = await derive(prepared(password), Buffer.from(salt, 'base64'), iterations)
      const clientKey = hmac(salted, 'Client Key')
      const c = Buffer.concat([Buffer.from(header), bound ? binding : Buffer.alloc(0)]).toString('base64')
      const final = `c=${c},r=${serverNonce}`
      const signed = `${bare},${challenge},${final}`
      const signature = hmac(createHash('sha256').update(clientKey).digest(), signed)
      expected = hmac(hmac(salted, 'Server Key'), signed)
      return `${final},p=${Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!)).toString('base64')}`
    },
    finish(proof) {
      const given = Buffer.from(/^v=([A-Za-z0-9+/]+={0,2})$/.exec(proof)?.[1] ?? '', 'base64')
      if (expected === null || given.length !== expected.length || !timingSafeEqual(given, expected)) throw refused('could not prove that it knows the password: it may not be the server it should be')
    },
  }
}
const refused = (what: string) => new Unreachable(`the target ${what}`)
const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const derive = (password: string, salt: Buffer, iterations: number) => new Promise<Buffer>((done, fail) => {
  // Off the event loop: other sessions go on.
  pbkdf2(password, salt, iterations, 32, 'sha256', (error, key) => { if (error === null) done(key); else fail(error) })
})

/** SASLprep (RFC 4013) as far as it changes anything; like the server, what it forbids is taken as it is. */
export function prepared(password: string): string {
  if (/^[\x20-\x7e]*$/.test(password)) return password
  const mapped = password.replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ').replace(/[\u00ad\u034f\u1806\u180b-\u180d\u200c\u200d\u2060\ufe00-\ufe0f\ufeff]/g, '').normalize('NFKC')
  return mapped === '' || /\p{Cc}|\p{Co}|\p{Cs}/u.test(mapped) ? password : mapped
}

/** Hash of the certificate by its own signature's hash; MD5 and SHA-1 count as SHA-256. Null where none is defined (Ed25519, PSS). */
function endPoint(certificate: Buffer): Buffer | null {
  const digest = DIGESTS[signatureOf(certificate)]
  return digest === undefined ? null : createHash(digest).update(certificate).digest()
}
const signatureOf = (certificate: Buffer): string => new X509Certificate(certificate).signatureAlgorithmOid
const DIGESTS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256', '1.2.840.113549.1.1.5': 'sha256', '1.2.840.113549.1.1.11': 'sha256', '1.2.840.113549.1.1.12': 'sha384', '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.1': 'sha256', '1.2.840.10045.4.3.2': 'sha256', '1.2.840.10045.4.3.3': 'sha384', '1.2.840.10045.4.3.4': 'sha512',
}
