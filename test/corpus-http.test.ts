// The corpus of attacks on HTTP resources, through a real gateway; its runner is the target and answers as each case says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CORPUS, corpusYaml, runCorpus } from './servers/corpus.ts'
import { startIssuer, startTestGateway } from './servers/gateway.ts'
import { freePort } from './servers/postgres.ts'

/** The runner compares heads and bodies, and says `allowed` of a WebSocket whose messages are masked: its markers are what counts. */
const BY_MARKERS = new Set(['http-stream-02'])
/** Not stopped yet, each with its reason. */
const OPEN: Readonly<Record<string, string>> = {
  'http-smuggling-23': 'of its six HTTP/2 heads five are refused; a header with a line end in its value is dropped by the HTTP/2 library and the request goes on without it',
}

test('the cases of http.jsonl come out as they must', async () => {
  const [issuer, port] = await Promise.all([startIssuer(), freePort()])
  const gateway = await startTestGateway(corpusYaml('sluice-http.yaml', { 'http://127.0.0.1:8999': issuer.url, '127.0.0.1:56480': `127.0.0.1:${port}` }), { workers: 2, env: { APP_KEY: 'upstream-KEY-99-omega' } })
  try {
    const { results } = await runCorpus('run_http.py', ['gateway', `${CORPUS}http.jsonl`, '--target', `https://127.0.0.1:${gateway.proxy}/http/app`, '--issuer', issuer.url, '--upstream-port', String(port)])
    assert.ok(results.length >= 23)
    const failed = results.filter((result) => result.ok === false && !(BY_MARKERS.has(result.id) && result.problems?.length === 1 && /^outcome allowed/.test(result.problems[0]!)))
    assert.deepEqual(failed.filter(({ id }) => OPEN[id] === undefined).map(({ id, got, problems }) => ({ id, got, problems })), [])
    assert.deepEqual(Object.keys(OPEN).filter((id) => !failed.some((result) => result.id === id)), [], 'what is stopped now leaves the list')
    assert.deepEqual(results.filter(({ ok }) => ok === null).map(({ id }) => id), ['http-egress-05'], 'the runner itself skips what needs a name server')
    assert.doesNotMatch(gateway.log(), /upstream-KEY|uncaught/)
  } finally { await gateway.stop(); issuer.stop() }
})
