// Questions and news between the supervisor and its processes, over Node's IPC channel. Both ends are ours; bodies are typed by
// messages.ts. A question without an answer fails after a named time, so that nothing waits for ever on a process that died.
import { NotAuthenticated, SluiceError } from '../core/errors.ts'
import type { ChildProcess } from 'node:child_process'
import type { Worker } from 'node:cluster'

/** Questions a process may have open at once. */
const OPEN_MAX = 20_000
/** Default wait for an answer; questions that wait for people have none. */
const ANSWER_MS = 30_000

type Frame = { readonly bus: 'ask'; readonly id: number; readonly kind: string; readonly body: unknown } | { readonly bus: 'answer'; readonly id: number; readonly body?: unknown; readonly error?: { readonly code: string; readonly message: string } } | { readonly bus: 'tell'; readonly kind: string; readonly body: unknown }
type Endpoint = Pick<ChildProcess, 'send' | 'on'> | Worker | NodeJS.Process

export type Answering<Q extends object> = { [K in keyof Q]?: Q[K] extends (body: infer B) => infer R ? (body: B) => R | Promise<R> : never }
export type Hearing<T extends object> = { [K in keyof T]?: (body: T[K]) => void }

/** `Asks`/`Tells`: what this end sends. `answers`/`hears`: what it takes. */
export class Bus<Asks extends object, Tells extends object, Answers extends object, Hears extends object> {
  readonly #end: Endpoint
  readonly #open = new Map<number, { done: (body: unknown) => void; fail: (error: Error) => void; timer: NodeJS.Timeout | null }>()
  #next = 1
  constructor(end: Endpoint, answers: Answering<Answers>, hears: Hearing<Hears>) {
    this.#end = end
    ;(end as NodeJS.Process).on('message', (message: unknown) => {
      const frame = message as Frame
      if (frame === null || typeof frame !== 'object' || !('bus' in frame)) return
      if (frame.bus === 'tell') (hears as Record<string, ((body: unknown) => void) | undefined>)[frame.kind]?.(frame.body)
      else if (frame.bus === 'answer') this.#answered(frame)
      else void this.#answer(frame, answers as Record<string, ((body: unknown) => unknown) | undefined>)
    })
    ;(end as NodeJS.Process).on('disconnect', () => this.#lost())
  }

  tell<K extends keyof Tells & string>(kind: K, body: Tells[K]): void { this.#send({ bus: 'tell', kind, body }) }
  ask<K extends keyof Asks & string>(kind: K, body: Asks[K] extends (b: infer B) => unknown ? B : never, waitMs: number = ANSWER_MS): Promise<Asks[K] extends (b: never) => infer R ? R : never> {
    return new Promise((done, fail) => {
      if (this.#open.size >= OPEN_MAX) { fail(new Error('too many open questions')); return }
      const id = this.#next++
      const timer = Number.isFinite(waitMs) ? setTimeout(() => { this.#open.delete(id); fail(new Error(`no answer to ${kind} within ${waitMs} ms`)) }, waitMs) : null
      timer?.unref()
      this.#open.set(id, { done: done as (body: unknown) => void, fail, timer })
      this.#send({ bus: 'ask', id, kind, body })
    })
  }

  async #answer(frame: Extract<Frame, { bus: 'ask' }>, answers: Record<string, ((body: unknown) => unknown) | undefined>): Promise<void> {
    try {
      const handler = answers[frame.kind]
      if (handler === undefined) throw new Error(`nobody answers ${frame.kind}`)
      this.#send({ bus: 'answer', id: frame.id, body: await handler(frame.body) })
    } catch (error) { this.#send({ bus: 'answer', id: frame.id, error: error instanceof SluiceError && error.public ? { code: error.code, message: error.message } : { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) } }) }
  }
  #answered(frame: Extract<Frame, { bus: 'answer' }>): void {
    const open = this.#open.get(frame.id)
    if (open === undefined) return
    this.#open.delete(frame.id)
    if (open.timer !== null) clearTimeout(open.timer)
    if (frame.error !== undefined) open.fail(frame.error.code === 'NOT_AUTHENTICATED' ? new NotAuthenticated(frame.error.message) : new SluiceError(frame.error.code, frame.error.message, { public: frame.error.code !== 'INTERNAL' }))
    else open.done(frame.body)
  }
  #send(frame: Frame): void {
    const end = this.#end as { connected?: boolean; isConnected?: () => boolean; send(message: unknown, done?: (error: Error | null) => void): boolean }
    if (end.isConnected !== undefined ? !end.isConnected() : end.connected === false) return
    try { end.send(frame, () => {}) } catch { /* the other end is gone: `disconnect` tells */ }
  }
  #lost(): void {
    for (const open of this.#open.values()) { if (open.timer !== null) clearTimeout(open.timer); open.fail(new Error('the other process ended')) }
    this.#open.clear()
  }
}
