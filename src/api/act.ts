// The one way in which the API changes anything: the event is in the Record before the action happens; when it can't be recorded,
// nothing is done. Then the action, then the event's entry in the list of admin events.
import { SluiceError } from '../core/errors.ts'
import type { AdminEvent } from '../store/admin_events.ts'
import type { Caller } from './access.ts'
import type { ApiPorts } from './ports.ts'

export async function act<T>(ports: ApiPorts, caller: Caller, action: string, subject: string, detail: AdminEvent['detail'], work: () => Promise<T>): Promise<T> {
  const event = { actor: caller.party, action, subject, detail: caller.identity.onBehalfOf === null ? detail : { ...detail, onBehalfOf: caller.identity.onBehalfOf } }
  await ports.adminEvent(event)
  try {
    const result = await work()
    await ports.store.admin.add(event)
    return result
  } catch (error) {
    const why = error instanceof SluiceError ? error.code : 'INTERNAL'
    await ports.adminEvent({ ...event, action: `${action}.failed`, detail: { ...event.detail, why } }).catch(ports.failed)
    throw error
  }
}
