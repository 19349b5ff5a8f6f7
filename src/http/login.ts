/**
 * `/login/` and `/logout/`: a token typed into a form becomes a session of its role. Source: CONTRACT "HTTP API".
 *
 * Works without script. The form is accepted from our own pages only (login CSRF), and leads back to a path of ours only.
 */
import { Refusal } from '../domain/errors.ts'
import { type Auth, isSameOrigin } from './auth.ts'
import type { HttpApp, HttpContext } from './env.ts'
import { readForm } from './form.ts'

/** Page with the form; `fault` is what was wrong with the last try. `next` is where a login leads. */
export type LoginPage = (next: string, fault: string | undefined) => string

export function mountLogin(app: HttpApp, auth: Auth, page: LoginPage = plainLoginPage): void {
  const show = (c: HttpContext, next: string, fault?: string): Response =>
    c.body(page(next, fault), fault === undefined ? 200 : 401, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
    })

  app.get('/login', (c) => show(c, ownPath(c.req.query('next'))))
  app.post('/login', async (c) => {
    checkOrigin(c)
    const form = await readForm(c)
    const next = ownPath(form.get('next') ?? undefined)
    try {
      auth.login(c, (form.get('token') ?? '').trim())
    } catch (error) {
      if (error instanceof Refusal) return show(c, next, error.message)
      throw error
    }
    return c.redirect(next, 303)
  })
  app.post('/logout', (c) => {
    checkOrigin(c)
    auth.logout(c)
    return c.redirect('/', 303)
  })
}

function checkOrigin(c: HttpContext): void {
  if (!isSameOrigin(c)) throw new Refusal('forbidden', 'the request comes from a page of another site')
}

/** `next` if it is a path of this server, else `/`; `//host` and `/\host` would lead elsewhere. */
function ownPath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])[\u0021-\u007e]*$/.test(next) ? next : '/'
}

function plainLoginPage(next: string, fault: string | undefined): string {
  const alert = fault === undefined ? '' : `<p role="alert">${escapeHtml(fault)}</p>`
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in · pxemngr</title></head>
<body>
<main>
<h1>Log in</h1>
${alert}
<form method="post" action="/login/">
<input type="hidden" name="next" value="${escapeHtml(next)}">
<label>Token <input type="password" name="token" required autofocus autocomplete="current-password"></label>
<button>Log in</button>
</form>
<p>A token is printed by <code>pxemngr token add NAME</code>, typed on the server.</p>
</main>
</body>
</html>
`
}

function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (char) => entities[char] ?? char)
}
