// A secret typed or piped: never an argument, for others on the machine read those, and never echoed.
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { CommandFailed } from './command.ts'

const SECRET_BYTES_MAX = 64 * 1024

/** From stdin whole, or asked for at a terminal; one line end behind it is not part of it. */
export async function readSecret(what: string): Promise<string> {
  const secret = (process.stdin.isTTY ? await ask(what) : await readAll()).replace(/\r?\n$/, '')
  if (secret === '') throw new CommandFailed(`${what}: nothing was given on stdin`)
  return secret
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > SECRET_BYTES_MAX) throw new CommandFailed(`a secret has at most ${SECRET_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function ask(what: string): Promise<string> {
  process.stderr.write(`${what}: `)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 })
  return new Promise((done, fail) => {
    lines.once('line', (typed) => { done(typed); lines.close(); process.stderr.write('\n') })
    lines.once('SIGINT', () => { fail(new CommandFailed('nothing was changed', 130)); lines.close(); process.stderr.write('\n') })
    lines.once('close', () => fail(new CommandFailed(`${what}: nothing was given`)))
  })
}
