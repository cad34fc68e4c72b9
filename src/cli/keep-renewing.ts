// What is open through `connect` and `exec` does not end with the credential that opened it: shortly before that ends it is renewed, and the
// gateway is told that its sessions go on with the fresh one. The gateway judges anew; here is only the clock.
import { createHash } from 'node:crypto'
import { reason } from './api.ts'
import type { Profile } from './profile.ts'
import { RENEW_BEFORE_MS } from './renew.ts'

const RETRY_MS = 10_000
const LOOK_AGAIN_MS_MAX = 3_600_000
/** `renewed` renews what ends within its time: just after that has begun. */
const JUST_AFTER_MS = 200

export interface Renewing {
  /** A credential opens a session; the returned is called when it is over. */
  opened(token: string): () => void
  stop(): void
}
export interface RenewingParts {
  profile(): Promise<Profile>
  send(fresh: Profile, path: string, body: unknown): Promise<unknown>
  warn(text: string): void
}

export function keepRenewing({ profile, send, warn }: RenewingParts): Renewing {
  /** By the hash of the credential that the gateway has for them. */
  const open = new Map<object, string>()
  let timer: NodeJS.Timeout | null = null
  let stopped = false
  const after = (waitMs: number) => { if (!stopped) { if (timer !== null) clearTimeout(timer); timer = setTimeout(() => { void round() }, Math.min(waitMs, LOOK_AGAIN_MS_MAX)).unref() } }
  const round = async () => {
    if (open.size === 0) { timer = null; return }
    try {
      const fresh = await profile()
      const hash = hashOf(fresh.token)
      for (const former of new Set([...open.values()].filter((one) => one !== hash))) {
        await send(fresh, '/api/sessions/renew', { credential: former })
        for (const [session, credential] of open) if (credential === former) open.set(session, hash)
      }
      after(dueInMs(fresh))
    } catch (error) {
      warn(`the credential could not be renewed: ${reason(error)}`)
      after(RETRY_MS)
    }
  }
  return {
    opened(token) {
      const session = {}
      open.set(session, hashOf(token))
      if (timer === null) void profile().then((now) => { if (timer === null) after(dueInMs(now)) }, () => after(RETRY_MS))
      return () => { open.delete(session) }
    },
    stop() { stopped = true; if (timer !== null) clearTimeout(timer) },
  }
}

/** As soon as it may be renewed; one that lives shorter than that, at half of what is left. */
function dueInMs({ expiresAtMs }: Profile): number {
  const leftMs = expiresAtMs - Date.now()
  return leftMs > RENEW_BEFORE_MS ? leftMs - RENEW_BEFORE_MS + JUST_AFTER_MS : Math.max(500, leftMs / 2)
}
const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')
