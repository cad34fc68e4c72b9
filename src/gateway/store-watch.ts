// Whether the control store answers, asked twice a second beside the path. While it does not, nobody new gets in, since what was revoked or
// changed is not heard; who is in goes on under the last policies for a named time, and is then ended.
import { log } from './log.ts'

const ASK_EVERY_MS = 500
/** No answer within this is no answer. */
const ANSWER_MS = 1_000
export const STORE_AWAY = 'the control store does not answer, so nobody new is let in: try again shortly, or tell whoever runs this gateway'

export interface StoreWatchParts {
  /** Null when it answers, else why not. */
  ask(): Promise<string | null>
  graceMs(): number
  /** It has been away for so long that what is open must end; told once each time. */
  over(): void
}

export class StoreWatch {
  readonly #p: StoreWatchParts
  #awaySinceMs: number | null = null
  #told = false
  #asking = false
  readonly #timer: NodeJS.Timeout
  constructor(parts: StoreWatchParts) {
    this.#p = parts
    this.#timer = setInterval(() => { void this.#look() }, ASK_EVERY_MS).unref()
  }
  get away(): boolean { return this.#awaySinceMs !== null }
  stop(): void { clearInterval(this.#timer) }

  async #look(): Promise<void> {
    if (!this.#asking) { this.#asking = true; void this.#ask().finally(() => { this.#asking = false }) }
    if (this.#awaySinceMs === null || this.#told || performance.now() - this.#awaySinceMs < this.#p.graceMs()) return
    this.#told = true
    log.error('the control store has been away for too long: sessions are ended')
    this.#p.over()
  }
  async #ask(): Promise<void> {
    const from = performance.now()
    const late = setTimeout(() => this.#found('it does not answer', from), ANSWER_MS)
    const failure = await this.#p.ask().catch((error: unknown) => String(error))
    clearTimeout(late)
    this.#found(failure, from)
  }
  #found(failure: string | null, fromMs: number): void {
    if (failure === null && this.#awaySinceMs !== null) { log.info('the control store answers again'); this.#awaySinceMs = null; this.#told = false }
    if (failure !== null && this.#awaySinceMs === null) { log.error({ why: failure }, 'the control store does not answer: no new session is opened'); this.#awaySinceMs = fromMs }
  }
}
