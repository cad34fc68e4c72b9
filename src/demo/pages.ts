// The pages of the demo's identity provider: choose a person, type a device's code. No script, nothing from elsewhere.
import { PEOPLE, type Person } from './people.ts'

export const PAGE_HEADERS = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'" } as const
const STYLE = ':root{color-scheme:light dark}body{font:16px system-ui;max-width:26rem;margin:4rem auto;padding:0 1rem}button,input{display:block;box-sizing:border-box;width:100%;margin:.6rem 0;padding:.8rem;text-align:left;font:inherit;border:1px solid #888;border-radius:8px;background:Field;color:FieldText}button{cursor:pointer}'

export function choosePage(uid: string): string {
  const button = ({ id, name, email, what }: Person) => `<button name="person" value="${id}"><b>${name}</b> ${email}<br><small>${what}</small></button>`
  return page('Who are you today?', `<p>The demo's identity provider believes everyone.</p><form method="post" action="/interaction/${encodeURIComponent(uid)}">${PEOPLE.map(button).join('')}</form>`)
}

/** What oidc-provider hands to a page: a context to answer on, and a form that carries its own hidden fields. */
interface Answer { type: string; body: string }

export function failurePage(context: Answer, out: Readonly<Record<string, unknown>>): void {
  render(context, 'This sign-in failed', `<p>${escaped(String(out.error_description ?? out.error ?? 'unknown error'))}</p>`)
}

export const deviceFlow = {
  enabled: true,
  userCodeInputSource(context: Answer, form: string, _: unknown, error: { readonly userCode?: string; readonly name?: string } | undefined): void {
    render(context, 'Sign in a device', `<p>${error === undefined ? 'Type the code that the device shows.' : 'That is not a code that a device is waiting for: try again.'}</p>${form}<button type="submit" form="op.deviceInputForm">Continue</button>`)
  },
  userCodeConfirmSource(context: Answer, form: string, _: unknown, __: unknown, code: string): void {
    render(context, 'Sign in a device', `<p>The device must show this code: <b>${escaped(code)}</b></p>${form}<button type="submit" form="op.deviceConfirmForm" autofocus>That is my device</button>`)
  },
  successSource(context: Answer): void { render(context, 'Signed in', '<p>Go back to the device.</p>') },
}

function render(context: Answer, title: string, content: string): void { context.type = 'html'; context.body = page(title, content) }
function page(title: string, content: string): string { return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style><h1>${title}</h1>${content}</html>` }
function escaped(text: string): string { return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`) }
