// `tls: auto`: a CA of this installation and one leaf certificate, made at the first start and kept in `<data>/keys`. People pin the
// CA's fingerprint; the leaf is renewed before it ends.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { webcrypto, X509Certificate } from 'node:crypto'

const CA_DAYS = 3650
const LEAF_DAYS = 397
const RENEW_DAYS = 30
const DAY_MS = 86_400_000
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export interface Certificates { readonly cert: string; readonly key: string; readonly ca: string; /** SHA-256 of the CA, colon-separated. */ readonly fingerprint: string }

export async function certificates(keys: string, tls: 'auto' | { readonly cert: string; readonly key: string }): Promise<Certificates> {
  if (tls !== 'auto') {
    const cert = readFileSync(tls.cert, 'utf8')
    return { cert, key: readFileSync(tls.key, 'utf8'), ca: cert, fingerprint: new X509Certificate(cert).fingerprint256 }
  }
  mkdirSync(keys, { recursive: true, mode: 0o700 })
  x509.cryptoProvider.set(webcrypto as never)
  const path = (name: string) => join(keys, name)
  if (!existsSync(path('ca.pem')) || !existsSync(path('ca.key'))) await makeCa(path)
  const ca = readFileSync(path('ca.pem'), 'utf8')
  if (!current(path('tls.pem'), ca)) await makeLeaf(path)
  const leaf = readFileSync(path('tls.pem'), 'utf8')
  return { cert: leaf + ca, key: readFileSync(path('tls.key'), 'utf8'), ca, fingerprint: new X509Certificate(ca).fingerprint256 }
}

function current(file: string, ca: string): boolean {
  if (!existsSync(file)) return false
  const leaf = new X509Certificate(readFileSync(file))
  return leaf.verify(new X509Certificate(ca).publicKey) && Date.parse(leaf.validTo) - Date.now() > RENEW_DAYS * DAY_MS && leaf.checkHost(hostname()) !== undefined
}

async function makeCa(path: (name: string) => string): Promise<void> {
  const pair = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=Sluice CA (${hostname().replaceAll(/[^\w.-]/g, '')})`, notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + CA_DAYS * DAY_MS), keys: pair as webcrypto.CryptoKeyPair, signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true), await x509.SubjectKeyIdentifierExtension.create(pair.publicKey as webcrypto.CryptoKey)],
  })
  await writeKey(path('ca.key'), pair.privateKey as webcrypto.CryptoKey)
  writeFileSync(path('ca.pem'), `${certificate.toString('pem')}\n`, { mode: 0o644 })
}

async function makeLeaf(path: (name: string) => string): Promise<void> {
  const ca = new x509.X509Certificate(readFileSync(path('ca.pem'), 'utf8'))
  const signer = await webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decode(readFileSync(path('ca.key'), 'utf8'))[0]!, ALGORITHM, false, ['sign'])
  const pair = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const names = [...new Set(['localhost', hostname()])].map((value) => ({ type: 'dns' as const, value }))
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=sluice', issuer: ca.subject, notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + LEAF_DAYS * DAY_MS), signingKey: signer as webcrypto.CryptoKey, publicKey: pair.publicKey as webcrypto.CryptoKey, signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(false, undefined, true), new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1']), new x509.SubjectAlternativeNameExtension([...names, { type: 'ip', value: '127.0.0.1' }, { type: 'ip', value: '::1' }]),
      await x509.AuthorityKeyIdentifierExtension.create(ca)],
  })
  await writeKey(path('tls.key'), pair.privateKey as webcrypto.CryptoKey)
  writeFileSync(path('tls.pem'), `${certificate.toString('pem')}\n`, { mode: 0o644 })
}

async function writeKey(file: string, key: webcrypto.CryptoKey): Promise<void> {
  writeFileSync(file, `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`, { mode: 0o600 })
}
