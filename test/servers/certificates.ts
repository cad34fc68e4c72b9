// Throw-away certificates for tests, made by the openssl program: a CA, and server certificates it signs.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificate { readonly cert: string; readonly key: string }
export interface Authority extends Certificate {
  /** A server certificate for these names, `DNS:…` or `IP:…`. */
  issue(names: readonly string[], digest?: string): Certificate
}

export function makeAuthority(name = 'Sluice test CA'): Authority {
  const ca = inFolder((folder) => {
    openssl(folder, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-keyout', 'key.pem', '-out', 'cert.pem', '-subj', `/CN=${name}`)
  })
  return {
    ...ca,
    issue: (names, digest = 'sha256') => inFolder((folder) => {
      writeFileSync(join(folder, 'ca.pem'), ca.cert)
      writeFileSync(join(folder, 'ca.key'), ca.key)
      writeFileSync(join(folder, 'names'), `subjectAltName=${names.join(',')}\n`)
      openssl(folder, 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'request.pem', '-subj', '/CN=test')
      openssl(folder, 'x509', '-req', '-in', 'request.pem', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', `-${digest}`, '-days', '2', '-extfile', 'names', '-out', 'cert.pem')
    }),
  }
}

function inFolder(make: (folder: string) => void): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-cert-'))
  try {
    make(folder)
    return { cert: readFileSync(join(folder, 'cert.pem'), 'utf8'), key: readFileSync(join(folder, 'key.pem'), 'utf8') }
  } finally { rmSync(folder, { recursive: true, force: true }) }
}
const openssl = (cwd: string, ...options: string[]) => { execFileSync('openssl', options, { cwd, stdio: 'pipe' }) }
