// The program `sluice`: finds the command and loads only that one. Every failure is one clear line on stderr and a status that is not 0.
import { readFileSync } from 'node:fs'
import { type Command, CommandFailed, readCommandLine } from './command.ts'

interface Entry { readonly what: string; load(): Promise<{ readonly command: Command }> }
const COMMANDS: Readonly<Record<string, Entry>> = {
  demo: { what: 'a gateway, a database and people to try it with', load: () => import('./demo.ts') },
  gateway: { what: 'the gateway', load: () => import('./gateway.ts') },
  login: { what: 'sign in by browser or device code', load: () => import('./login.ts') },
  logout: { what: 'forget the profile\'s credential', load: () => import('./logout.ts') },
  whoami: { what: 'who you are, as Sluice sees it', load: () => import('./whoami.ts') },
  resources: { what: 'what you may reach; register and test one', load: () => import('./resources.ts') },
  classify: { what: 'propose tags for the columns of a resource', load: () => import('./classify.ts') },
  token: { what: 'a short-lived credential for a standard client', load: () => import('./token.ts') },
  tokens: { what: 'list and revoke tokens', load: () => import('./tokens.ts') },
  connect: { what: 'a local socket or port that leads to a resource', load: () => import('./connect.ts') },
  exec: { what: 'run a client with its environment set', load: () => import('./exec.ts') },
  sql: { what: 'a small SQL client', load: () => import('./sql.ts') },
  reviews: { what: 'list, show, approve and deny', load: () => import('./reviews.ts') },
  sessions: { what: 'list, show, replay, tail, cancel, kill, export', load: () => import('./sessions.ts') },
  policy: { what: 'check, test, explain and replay', load: () => import('./policy.ts') },
  attack: { what: 'try the shipped attacks on a resource or any PostgreSQL gateway', load: () => import('./attack.ts') },
  audit: { what: 'verify the record', load: () => import('./audit.ts') },
  doctor: { what: 'what is wrong, and what to do', load: () => import('./doctor.ts') },
  emergency: { what: 'make a break-glass account', load: () => import('./emergency.ts') },
  ca: { what: 'the gateway\'s CA and its fingerprint', load: () => import('./ca.ts') },
}

// Whoever reads us may stop reading (`| head`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
process.exitCode = await main(process.argv.slice(2))

async function main([name, ...line]: readonly string[]): Promise<number> {
  if (name === '--version' || name === '-V') { process.stdout.write(`sluice ${version()}\n`); return 0 }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') { process.stdout.write(overview()); return name === undefined ? 2 : 0 }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  try {
    if (entry === undefined) throw new CommandFailed(`no command is named ${JSON.stringify(name)}: see \`sluice --help\``, 2)
    const { command } = await entry.load()
    const given = readCommandLine(command, line)
    if (given.help) { process.stdout.write(command.usage.split('\n').map((form) => `sluice ${form}\n`).join('')); return 0 }
    return await command.run(given) ?? 0
  } catch (error) {
    process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
    if (process.env.SLUICE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
    return error instanceof CommandFailed ? error.status : 1
  }
}

function version(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown'
}

function overview(): string {
  return `sluice: a gateway between every identity and the infrastructure it works on\n\n${Object.entries(COMMANDS).map(([name, { what }]) => `  ${name.padEnd(11)}${what}\n`).join('')}\n  --profile NAME and --json work everywhere; \`sluice COMMAND --help\` shows how it is used\n`
}
