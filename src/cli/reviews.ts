// `sluice reviews`: what waits for a person, shown whole, and the decision. `approve` and `deny` without an id decide the one that
// waits for you; what was read is what is decided: another text under the same id is refused.
import type { z } from 'zod'
import type { reviewDetailSchema, reviewListSchema, ReviewView } from '../api/schema.ts'
import { type Client, openClient } from './api.ts'
import { type Command, CommandFailed, type Given, misused } from './command.ts'
import { inert, line, show, table, time } from './output.ts'

export const command: Command = {
  usage: 'reviews [list] [--all] [--json]\nreviews show ID\nreviews approve [ID] [--comment TEXT]\nreviews deny [ID] [--comment TEXT]',
  options: { all: { type: 'boolean' }, comment: { type: 'string', short: 'm' } },
  async run(given) {
    const [verb = 'list', id, ...more] = given.words
    if (more.length > 0) throw misused(command)
    const client = await openClient(given)
    if (verb === 'list' && id === undefined) return list(client, given)
    if (verb === 'show' && id !== undefined) { show(given, await read(client, id), describe); return }
    if (verb === 'approve' || verb === 'deny') return decide(client, given, verb, id)
    throw misused(command)
  },
}

async function list(client: Client, given: Given): Promise<void> {
  show(given, await client.get<z.infer<typeof reviewListSchema>>(`/api/reviews${given.flag('all') ? '' : '?state=waiting'}`), ({ reviews }) => table(['ID', 'STATE', 'OF', 'ON', 'TEXT', 'UNTIL', 'YOU'],
    reviews.map((review) => [review.id, review.state, review.requester, review.resource, review.summary, time(review.expiresAtMs), review.mine ? 'asked' : review.mayNotDecide === null ? 'may decide' : '']), 'no reviews'))
}

async function decide(client: Client, given: Given, verb: 'approve' | 'deny', id: string | undefined): Promise<void> {
  const review = await read(client, id ?? await onlyOne(client))
  if (!given.json) describe(review)
  const comment = given.text('comment')
  const decided = await client.send<ReviewView>('POST', `/api/reviews/${review.id}/${verb}`, { binding: review.binding, ...(comment === undefined ? {} : { comment }) })
  show(given, decided, () => line(`${decided.state} by ${decided.decidedBy ?? 'you'}`))
}

async function onlyOne(client: Client): Promise<string> {
  const { reviews } = await client.get<z.infer<typeof reviewListSchema>>('/api/reviews?state=waiting')
  const [first, ...others] = reviews.filter((review) => review.mayNotDecide === null)
  if (first === undefined) throw new CommandFailed('no review waits for you')
  if (others.length > 0) throw new CommandFailed(`${others.length + 1} reviews wait for you: say which (${[first, ...others].map(({ id }) => id).join(', ')})`)
  return first.id
}

function read(client: Client, id: string): Promise<z.infer<typeof reviewDetailSchema>> { return client.get(`/api/reviews/${encodeURIComponent(id)}`) }

function describe(review: z.infer<typeof reviewDetailSchema>): void {
  line(`${review.id}  ${review.state}`)
  line(`asked by ${inert(review.requester)}${review.onBehalfOf === null ? '' : ` for ${inert(review.onBehalfOf)}`} on ${review.resource} (${inert(review.database)}), until ${time(review.expiresAtMs)} UTC`)
  line(`rule ${review.rule}: ${inert(review.reason)}`)
  line()
  for (const text of inert(review.text).split('\n')) line(`    ${text}`)
  review.parameters.forEach((parameter, index) => line(`    $${index + 1} = ${inert(parameter)}`))
  line()
  for (const step of review.steps) line(`${time(step.atMs)}  ${step.state}  ${inert(step.actor)}${step.note === null ? '' : `  ${inert(step.note)}`}`)
}
