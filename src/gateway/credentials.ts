// Target credentials: resolved by the supervisor alone, for one session's login, and kept nowhere.
import { readFileSync } from 'node:fs'
import { SluiceError } from '../core/errors.ts'
import type { Credential, Resource, SecretSource } from '../core/resource.ts'
import type { Keyring, Secrets } from '../store/secrets.ts'

const SECRET_BYTES_MAX = 64 * 1024
export type CredentialClass = 'read' | 'write' | 'admin'
const CLASSES: readonly CredentialClass[] = ['read', 'write', 'admin']

/** The weakest credential that covers the class; null when the resource has none that does. */
export function credentialFor(resource: Resource, needs: CredentialClass): Credential | null {
  for (const at of CLASSES.slice(CLASSES.indexOf(needs))) { const found = resource.credentials[at]; if (found !== undefined) return found }
  return null
}

/** Throws a SluiceError that names the source and never its content. */
export async function resolveSecret(source: SecretSource, secrets: Secrets | null, keyring: Keyring | null): Promise<string | null> {
  switch (source.kind) {
    case 'none': return null
    case 'env': {
      const value = process.env[source.name]
      if (value === undefined) throw new SluiceError('NO_SECRET', `environment variable ${source.name} is not set`, { public: false })
      return value
    }
    case 'file':
      try {
        const bytes = readFileSync(source.path)
        if (bytes.length > SECRET_BYTES_MAX) throw new Error('too long')
        return bytes.toString('utf8').replace(/\r?\n$/, '')
      } catch (error) { throw new SluiceError('NO_SECRET', `the credential's file can't be read (${(error as NodeJS.ErrnoException).code ?? 'too long'})`, { public: false }) }
    case 'store':
      if (secrets === null || keyring === null) throw new SluiceError('NO_SECRET', 'the control store is not open', { public: false })
      return (await secrets.open(keyring, source.name)).toString('utf8')
  }
}

/** Environment for the processes that read hostile bytes: without what the supervisor reads credentials from. `undefined` and not absent, for cluster adds what is absent. */
export function environmentFor(resources: readonly Resource[], also: readonly SecretSource[]): NodeJS.ProcessEnv {
  const kept = { ...process.env }
  const drop = (source: SecretSource) => { if (source.kind === 'env') kept[source.name] = undefined }
  for (const resource of resources) for (const credential of Object.values(resource.credentials)) drop(credential.password)
  also.forEach(drop)
  return kept
}
