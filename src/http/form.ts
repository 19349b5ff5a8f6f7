/**
 * The body of a form of our pages. Who may send it, and from where, is settled before. Source: HTML Standard §4.10.21
 * (application/x-www-form-urlencoded).
 */
import { Refusal } from '../domain/errors.ts'
import type { HttpContext } from './env.ts'
import { readBody } from './json.ts'

/** A name of 255 bytes, percent-encoded, and the fields around it. */
const formMaxBytes = 16 * 1024

/** Fields of a form; refuses another type, and what is too large for one. */
export async function readForm(c: HttpContext): Promise<URLSearchParams> {
  if (!/^application\/x-www-form-urlencoded *(;|$)/i.test(c.req.header('content-type') ?? '')) {
    throw new Refusal('usage', 'the body has to be a form: application/x-www-form-urlencoded')
  }
  return new URLSearchParams(new TextDecoder().decode(await readBody(c.req.raw.body, formMaxBytes)))
}
