// The control plane's database, opened: one noun per part. Every gateway process may open it; only the supervisor migrates,
// begins an instance and sweeps.
import { Emergency } from './emergency.ts'
import { AdminEvents } from './admin_events.ts'
import { type Bell, openBell } from './bell.ts'
import { Budgets } from './budgets.ts'
import { type Clock, steadyClock } from './clock.ts'
import { openDatabase, type StoreAddress, storeFailed } from './database.ts'
import { beginInstance, endDeadInstances, type Instance } from './instances.ts'
import { migrate } from './migrate.ts'
import { Objects } from './objects.ts'
import { People } from './people.ts'
import { Reviews } from './reviews.ts'
import type { StoredReview } from './review_rows.ts'
import { type ReviewWaits, waitForReviews } from './review_waits.ts'
import { Revocations } from './revocations.ts'
import { Secrets } from './secrets.ts'
import { SessionIndex } from './session_index.ts'
import { Tokens } from './tokens.ts'

const SWEEP_EVERY_MS = 1_000
/** Ended tokens stay listed for investigations. */
const TOKENS_FORGET_AFTER_MS = 90 * 86_400_000
/** A session may outlive its credential by as much as its resource allows. */
const CREDENTIALS_FORGET_AFTER_MS = 86_400_000

export interface StoreOptions { readonly migrate?: boolean; readonly clock?: Clock }
export interface Store {
  readonly clock: Clock
  readonly bell: Bell
  readonly tokens: Tokens
  readonly revocations: Revocations
  readonly people: People
  readonly reviews: Reviews
  readonly waits: ReviewWaits
  readonly objects: Objects
  readonly secrets: Secrets
  readonly budgets: Budgets
  readonly admin: AdminEvents
  readonly sessions: SessionIndex
  readonly emergency: Emergency
  /** Registers this gateway; its held reviews end when it does. */
  begin(): Promise<Instance>
  /** Ends what ran out, every second; `ended` gets each review that a sweep ended, once over all gateways, to be recorded. Returns the stop. */
  sweeping(ended: (review: StoredReview) => void, failed?: (error: unknown) => void): () => void
  /** Null when the store answers, else why not. */
  health(): Promise<string | null>
  close(): Promise<void>
}

export async function openStore(address: StoreAddress, options: StoreOptions = {}): Promise<Store> {
  if (options.migrate !== false) await migrate(address)
  const clock = options.clock ?? steadyClock()
  const database = openDatabase(address)
  const bell = await openBell(database).catch(async (error: unknown) => { await database.close(); throw storeFailed(error) })
  const reviews = new Reviews(database, clock)
  const revocations = new Revocations(database, clock, bell)
  const tokens = new Tokens(database, clock, revocations)
  const budgets = new Budgets(database, clock)
  const people = new People(database, clock)
  const waits = waitForReviews(reviews, bell)
  const sweep = async (ended: (review: StoredReview) => void) => {
    await endDeadInstances(database)
    for (const review of await reviews.sweep()) ended(review)
    await tokens.sweep(TOKENS_FORGET_AFTER_MS)
    await budgets.sweep()
    await people.sweep(CREDENTIALS_FORGET_AFTER_MS)
  }
  return {
    clock, bell, tokens, revocations, reviews, waits, budgets, people,
    objects: new Objects(database, clock, bell), secrets: new Secrets(database, clock, bell),
    admin: new AdminEvents(database, clock), sessions: new SessionIndex(database), emergency: new Emergency(database, clock, tokens),
    begin: () => beginInstance(database),
    sweeping: (ended, failed = () => {}) => everySecond(() => sweep(ended), failed),
    health: () => database.query('SELECT 1').then(() => null, (error: unknown) => (error as Error).message),
    async close() { waits.close(); await bell.close(); await database.close() },
  }
}

/** One round after the other, never two at once. */
function everySecond(round: () => Promise<void>, failed: (error: unknown) => void): () => void {
  let running = false
  const timer = setInterval(() => {
    if (running) return
    running = true
    round().catch(failed).finally(() => { running = false })
  }, SWEEP_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
