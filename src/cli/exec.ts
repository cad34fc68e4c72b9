// `sluice exec RESOURCE -- psql …`: runs a client whose environment leads it to the resource. The credential is not in its environment
// or arguments: it stays with this process, which ends with the client.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { type Command, CommandFailed, misused } from './command.ts'
import { openEntrance, portOf } from './connect.ts'

export const command: Command = {
  usage: 'exec RESOURCE [--port N] -- COMMAND [ARGUMENT…]',
  options: { port: { type: 'string', short: 'p' } },
  async run(given) {
    const [resource, ...more] = given.words
    const [program, ...parameters] = given.rest
    if (resource === undefined || more.length > 0 || program === undefined) throw misused(command)
    const entrance = await openEntrance(given, resource, portOf(given.text('port')))
    try { return await run(program, parameters, { ...inherited(), ...entrance.environment }) } finally { await entrance.close() }
  },
}

/** Other settings of libpq would lead the client elsewhere. */
function inherited(): NodeJS.ProcessEnv { return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^PG(HOST|HOSTADDR|PORT|USER|DATABASE|PASSWORD|PASSFILE|SERVICE|SERVICEFILE|SSL.*|REQUIRE.*|CHANNELBINDING)$/.test(name))) }

/** Ctrl-C reaches the client itself: it decides what it means. */
async function run(program: string, parameters: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(program, parameters, { stdio: 'inherit', env })
  process.on('SIGINT', () => {})
  process.on('SIGQUIT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  return new Promise((done, fail) => {
    child.once('error', (error: NodeJS.ErrnoException) => fail(new CommandFailed(error.code === 'ENOENT' ? `no program ${program} on PATH` : `${program} can't be run: ${error.code ?? 'unknown'}`, 127)))
    child.once('exit', (code, signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
}
