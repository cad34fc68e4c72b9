// Whether a pooler in transaction mode stands before the server. There, one session's settings, prepared names and temporary tables are
// another's, so that neither a verdict nor an identity would hold: such a target is refused.
import { Unreachable } from '../../core/errors.ts'

/** A connection with which rows can be asked for: a result per statement, its rows, their cells. */
export interface Asking {
  query(text: string): Promise<readonly (readonly (readonly (string | null)[])[])[]>
  end(): void
}

/** Throws Unreachable when connections share their backends. `pid` is what the server gave `first` for cancelling; `open` makes a second connection. */
export async function detectPooler(first: Asking, pid: number, open: () => Promise<Asking>): Promise<void> {
  const own = await backend(first, PID)
  // A server names its own process. A pooler, of whatever mode, invents the number.
  if (own === String(pid)) return
  const second = await open()
  try {
    const other = await backend(second, `BEGIN; ${PID}`)
    // The first is still connected: its backend can serve another only if they are shared; or it gets another one meanwhile.
    if (other === own || (await backend(first, PID)) !== own) throw pooled()
    await second.query('ROLLBACK')
  } finally { second.end() }
}

const PID = 'SELECT pg_catalog.pg_backend_pid()'
const backend = async (connection: Asking, text: string) => (await connection.query(text)).at(-1)?.[0]?.[0] ?? null
/** Sessions would share their state. */
export class Pooled extends Unreachable {}
const pooled = () => new Pooled('the target is a connection pooler in transaction mode, where sessions share their state: name the server itself, or a pool in session mode')
