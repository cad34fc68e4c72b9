// What `sluice login` keeps: a gateway, how it is trusted, and the credential, in one 0600 file per profile. A credential is never
// printed from here, and never sent to another gateway than its own.
import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { CommandFailed, type Given } from './command.ts'

const signInSchema = z.object({ name: z.string(), issuer: z.string(), clientId: z.string(), scopes: z.array(z.string()) })
const profileSchema = z.object({
  /** `https://host:port` of its API. */
  gateway: z.string(),
  /** PEM of the CA pinned at login; null: a public one. */
  ca: z.string().nullable(),
  /** Where clients of the wire protocols connect. */
  postgres: z.object({ host: z.string(), port: z.number() }).nullable(),
  issuer: signInSchema.nullable(),
  token: z.string(),
  refreshToken: z.string().nullable(),
  expiresAtMs: z.number(),
  /** The folder of the demo that made it; a person's own profile has none. */
  demo: z.string().optional(),
})
export type Profile = z.infer<typeof profileSchema>
export type SignIn = z.infer<typeof signInSchema>

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

export function profileName(given: Given): string {
  const name = given.text('profile') ?? process.env.SLUICE_PROFILE ?? 'default'
  if (!NAME.test(name)) throw new CommandFailed(`not a name for a profile: ${JSON.stringify(name)}`, 2)
  return name
}

/** Throws when there is none: the sentence says what to do. */
export function loadProfile(name: string): Profile {
  const profile = findProfile(name)
  if (profile === null) throw new CommandFailed(`not signed in${name === 'default' ? '' : ` as profile ${name}`}: run \`sluice login${name === 'default' ? '' : ` --profile ${name}`} --gateway URL\``)
  return profile
}

export function findProfile(name: string): Profile | null {
  let text: string
  try { text = readFileSync(fileOf(name), 'utf8') } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new CommandFailed(`profile ${name} can't be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`)
  }
  try { return profileSchema.parse(JSON.parse(text)) } catch { throw new CommandFailed(`profile ${name} is damaged: sign in again with \`sluice login --profile ${name}\``) }
}

/** Whole or not at all: a reader beside us never sees half a file. */
export function saveProfile(name: string, profile: Profile): void {
  mkdirSync(folder(), { recursive: true, mode: 0o700 })
  const file = fileOf(name)
  const part = `${file}.${process.pid}.part`
  writeFileSync(part, `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600 })
  chmodSync(part, 0o600)
  renameSync(part, file)
}

export function removeProfile(name: string): void { rmSync(fileOf(name), { force: true }) }

export function profileNames(): string[] {
  try { return readdirSync(folder()).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -5)).sort() } catch { return [] }
}

function folder(): string { return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'sluice', 'profiles') }
function fileOf(name: string): string { return join(folder(), `${name}.json`) }
