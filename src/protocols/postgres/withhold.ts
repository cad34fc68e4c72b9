// Requests that were allowed and could not be recorded: they have not left yet, and are refused in their place after all. Answers owed
// for them stay owed, so the server's order, transactions and skip-until-Sync hold as for any refusal.
import type { Denied } from '../../core/session.ts'
import type { Scratch } from '../../wire/bytes.ts'
import { type Conversation, PARSE, type Refusal } from './conversation.ts'
import * as frames from './frames.ts'
import { nothing } from './requests.ts'

/** Messages that the server answers one by one. */
const ANSWERED = new Set([frames.Q, frames.P, frames.B, frames.D, frames.E, frames.C, frames.S])

/** Each message in `out` that an answer is owed for stands for one of the newest that are owed. */
export function withhold(c: Conversation, out: Scratch, why: Denied): void {
  const bytes = out.taken()
  out.reset()
  const refused: Refusal = { kind: 'denied', why }
  const name = nothing(why.run)
  let back = 0
  for (let at = 0; at < bytes.length; at += 1 + frames.u32(bytes, at + 1)) if (ANSWERED.has(bytes[at]!)) back++
  let copying = false
  for (let at = 0; at < bytes.length;) {
    const type = bytes[at]!, to = at + 1 + frames.u32(bytes, at + 1)
    const owed = ANSWERED.has(type) ? c.owed.newest(--back) : null
    if (type === frames.COPY_DATA || type === frames.COPY_DONE) {
      if (!copying) failCopy(c, out, refused, name)
      copying = true
    } else if (owed === null || owed.ours || owed.refused !== null || (owed.judged === null && owed.kind === PARSE) || type === frames.S || type === frames.C) out.copy(bytes, at, to)
    else {
      owed.refused = refused
      if (type === frames.Q) frames.writeQuery(out, name)
      else if (type === frames.P) frames.writeParse(out, owed.touched, name, [])
      else if (type === frames.B) frames.writeBindOfNothing(out, name)
      else if (type === frames.E) frames.writeExecuteOfNothing(out, name)
      else frames.writeDescribe(out, 'S', name)
    }
    at = to
  }
}
/** The server ends the copy with an error; what the client still sends of it is forgotten, as by the server. */
function failCopy(c: Conversation, out: Scratch, refused: Refusal, name: string): void {
  const owed = c.owed.first()
  if (owed !== undefined) { owed.refused = refused; owed.begun = true }
  c.copyIn = null
  frames.writeCopyFail(out, name)
}
