// The API of a gateway under test, called as a person would: over TLS, with a bearer token.
import { request } from 'node:https'

export interface Answer { readonly status: number; readonly text: string; json<T = Record<string, unknown>>(): T }

export function callApi(port: number, token: string, method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
  const text = body === undefined ? '' : JSON.stringify(body)
  return new Promise((done, fail) => {
    const call = request({
      host: '127.0.0.1', port, path, method, rejectUnauthorized: false, agent: false,
      headers: { ...(token === '' ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }) },
    }, (answer) => {
      let received = ''
      answer.setEncoding('utf8').on('data', (part: string) => { received += part })
      answer.on('end', () => done({ status: answer.statusCode ?? 0, text: received, json: <T>() => JSON.parse(received) as T }))
      answer.on('error', fail)
    })
    call.on('error', fail)
    call.end(text)
  })
}
