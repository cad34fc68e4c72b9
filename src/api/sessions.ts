// /api/sessions: everyone sees and ends their own (and those of agents that act for them), admins end any, auditors list all and
// read records. Each reading of a record is itself an event in the Record.
import { z } from '@hono/zod-openapi'
import { stream, streamSSE } from 'hono/streaming'
import { NotAllowed } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { SessionFilter } from '../store/session_index.ts'
import { type ApiContext, type Caller, isOwn } from './access.ts'
import { act } from './act.ts'
import { NotFound } from './errors.ts'
import { type Api, body, json, other, route } from './route.ts'
import { doneSchema, idParameter, killedSchema, killInput, type LiveSession, renewedSchema, renewInput, sessionQuery, sessionSchema, type SessionView } from './schema.ts'

const LIST_DEFAULT = 100
/** A revoked or expired credential reads on for so long at most. */
const STREAM_CHECK_EVERY_MS = 4_000

export function sessions(api: Api): void {
  const { ports } = api
  const open = (live: LiveSession): SessionView => ({ ...live, endedAtMs: null, endedWhy: null, open: true })
  const find = async (id: string, allowed: (session: SessionView) => boolean): Promise<SessionView> => {
    const live = await ports.sessions.get(id)
    const ended = live === null ? await ports.store.sessions.get(id) : null
    const session = live !== null ? open(live) : ended !== null ? { ...ended, open: false } : null
    if (session === null || !allowed(session)) throw new NotFound('session')
    return session
  }
  const mayRead = (caller: Caller) => (session: SessionView) => caller.auditor || isOwn(caller, session)
  const mayEnd = (caller: Caller) => (session: SessionView) => caller.admin || isOwn(caller, session)

  route(
    api,
    'person',
    json(
      { method: 'get', path: '/api/sessions', request: { query: sessionQuery }, summary: 'Sessions, newest first: your own, or all for auditors' },
      z.array(sessionSchema),
    ),
    async (c) => {
      const caller = c.get('caller')
      const query = c.req.valid('query')
      const limit = Math.min(Number(query.limit ?? LIST_DEFAULT), 1_000)
      const filter: SessionFilter = {
        limit,
        ...(caller.auditor ? {} : { party: caller.party }),
        ...(query.resource === undefined ? {} : { resource: query.resource }),
        ...(query.subject === undefined ? {} : { subject: query.subject }),
        ...(query.column === undefined ? {} : { column: query.column }),
        ...(query.since === undefined ? {} : { sinceMs: Number(query.since) }),
        ...(query.before === undefined ? {} : { beforeMs: Number(query.before) }),
      }
      const live = (await ports.sessions.list()).filter((session) => mayRead(caller)(open(session)) && matches(session, filter)).map(({ columns: _, ...session }) => open(session))
      const known = new Set(live.map(({ session }) => session))
      const ended =
        query.open === 'true'
          ? []
          : (await ports.store.sessions.list(filter)).filter(({ session }) => !known.has(session)).map((session) => ({ ...session, open: false }))
      const all = query.open === 'false' ? ended : [...live, ...ended]
      return c.json(all.sort((a, b) => b.startedAtMs - a.startedAtMs).slice(0, limit), 200)
    },
  )

  route(
    api,
    'person',
    json({ method: 'get', path: '/api/sessions/{id}', request: { params: idParameter }, summary: 'One session' }, sessionSchema),
    async (c) => c.json(await find(c.req.valid('param').id, mayRead(c.get('caller'))), 200),
  )

  for (const what of ['kill', 'cancel'] as const) {
    route(
      api,
      'person',
      json(
        {
          method: 'post',
          path: `/api/sessions/{id}/${what}`,
          request: { params: idParameter },
          summary: what === 'kill' ? 'End a session' : 'Cancel what runs in a session',
        },
        doneSchema,
      ),
      async (c) => {
        const caller = c.get('caller')
        const { id } = c.req.valid('param')
        // Whose it is only the gateway knows that has it: an admin need not be the one whose it is.
        if (what === 'kill' && caller.admin && (await ports.sessions.get(id)) === null && (await ports.store.sessions.get(id)) === null) {
          if (!(await act(ports, caller, 'session.kill', id, {}, () => ports.sessions.killElsewhere(id, caller.party)))) throw new NotFound('open session')
          return c.json({ done: true as const }, 200)
        }
        const { session } = await find(id, mayEnd(caller))
        if (!(await act(ports, caller, `session.${what}`, session, {}, () => ports.sessions[what](session, caller.party)))) throw new NotFound('open session')
        return c.json({ done: true as const }, 200)
      },
    )
  }

  route(
    api,
    'person',
    json(
      {
        method: 'post',
        path: '/api/sessions/kill',
        request: { body: body(killInput) },
        summary: 'End all sessions of an identity and of the agents that act for it',
      },
      killedSchema,
    ),
    async (c) => {
      const caller = c.get('caller')
      const { issuer, subject } = c.req.valid('json')
      const party = `${issuer} ${subject}`
      if (!caller.admin && party !== caller.party) throw new NotAllowed('only admins of Sluice may end the sessions of others')
      return c.json({ ended: await act(ports, caller, 'identity.kill', party, {}, () => ports.sessions.killIdentity(party, caller.party)) }, 200)
    },
  )

  route(
    api,
    'person',
    json(
      {
        method: 'post',
        path: '/api/sessions/renew',
        request: { body: body(renewInput) },
        summary: 'Go on with the credential of this request in your sessions that an earlier one of yours opened',
      },
      renewedSchema,
    ),
    async (c) => {
      const { proved, by } = c.get('caller')
      if (by !== 'bearer') throw new NotAllowed('a session goes on with a credential that could have opened it')
      // Recorded in each of the sessions.
      return c.json({ renewed: await ports.sessions.renew(proved, c.req.valid('json').credential) }, 200)
    },
  )

  const read = async (c: ApiContext, id: string, action: string, allowed: (session: SessionView) => boolean): Promise<string> => {
    const { session } = await find(id, allowed)
    await act(ports, c.get('caller'), action, session, {}, async () => {})
    return session
  }

  route(
    api,
    'person',
    other(
      { method: 'get', path: '/api/sessions/{id}/events', request: { params: idParameter }, summary: 'What was asked and decided, one JSON per line' },
      'application/x-ndjson',
    ),
    async (c) => lines(c, ports.records.events(await read(c, c.req.valid('param').id, 'session.events', mayRead(c.get('caller'))), false)),
  )

  route(
    api,
    'auditor',
    other(
      { method: 'get', path: '/api/sessions/{id}/replay', request: { params: idParameter }, summary: 'The same with what the client was given' },
      'application/x-ndjson',
    ),
    async (c) => lines(c, ports.records.events(await read(c, c.req.valid('param').id, 'session.replay', () => true), true)),
  )

  route(
    api,
    'auditor',
    other(
      { method: 'get', path: '/api/sessions/{id}/export', request: { params: idParameter }, summary: 'The record, to be verified elsewhere' },
      'application/octet-stream',
    ),
    async (c) => {
      const session = await read(c, c.req.valid('param').id, 'session.export', () => true)
      c.header('content-type', 'application/octet-stream')
      c.header('content-disposition', `attachment; filename="${session}.sluice"`)
      return stream(
        c,
        async (to) => {
          for await (const bytes of ports.records.export(session)) {
            if (to.aborted) return
            await to.write(bytes)
          }
        },
        async (error) => ports.failed(error),
      )
    },
  )

  route(
    api,
    'person',
    other(
      {
        method: 'get',
        path: '/api/sessions/{id}/tail',
        request: { params: idParameter },
        summary: 'What is asked and decided, as it happens (server-sent events)',
      },
      'text/event-stream',
    ),
    async (c) => {
      const session = await read(c, c.req.valid('param').id, 'session.tail', mayRead(c.get('caller')))
      const { identity } = c.get('caller')
      return streamSSE(
        c,
        async (to) => {
          const stop = new AbortController()
          to.onAbort(() => stop.abort())
          const timer = setInterval(() => {
            stillAccepted(identity).then(
              (accepted) => {
                if (!accepted) stop.abort()
              },
              () => stop.abort(),
            )
          }, STREAM_CHECK_EVERY_MS)
          try {
            for await (const event of ports.records.follow(session, stop.signal)) {
              if (stop.signal.aborted) break
              await to.writeSSE({ id: String(event.sequence), event: event.kind, data: JSON.stringify(event) })
            }
          } finally {
            clearInterval(timer)
            stop.abort()
          }
        },
        async (error) => ports.failed(error),
      )
    },
  )

  const stillAccepted = async (identity: Identity) => identity.expiresAtMs > ports.store.clock.nowMs() && !(await ports.store.revocations.covering(identity))

  function lines(c: ApiContext, events: AsyncIterable<unknown>): Response {
    c.header('content-type', 'application/x-ndjson; charset=utf-8')
    return stream(
      c,
      async (to) => {
        for await (const event of events) {
          if (to.aborted) return
          await to.write(`${JSON.stringify(event)}\n`)
        }
      },
      async (error) => ports.failed(error),
    )
  }
}

function matches(session: LiveSession, filter: SessionFilter): boolean {
  return (
    (filter.resource === undefined || session.resource === filter.resource) &&
    (filter.subject === undefined || session.subject === filter.subject) &&
    (filter.column === undefined || session.columns?.some((column) => column === filter.column || column === '*') === true) &&
    (filter.sinceMs === undefined || session.startedAtMs >= filter.sinceMs) &&
    (filter.beforeMs === undefined || session.startedAtMs < filter.beforeMs)
  )
}
