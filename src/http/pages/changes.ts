/**
 * The forms of the system page: each is one command, run with the same definition as on the command line.
 *
 * Whether the caller may change, and that the form comes from our own page, is settled before (`access.ts`, `app.ts`).
 * A change that is done leads back to the page (303, so that reloading does not do it again); one that is refused shows
 * the form again with what was typed. Source: WEB.md "Behaviour" (Changes, Errors), DESIGN "One definition, three
 * surfaces".
 */
import type { Daemon } from '../../commands/daemon.ts'
import { delsystem } from '../../commands/delsystem.ts'
import { nextboot } from '../../commands/nextboot.ts'
import { renamesystem } from '../../commands/renamesystem.ts'
import { Refusal } from '../../domain/errors.ts'
import type { Actor } from '../../domain/event.ts'
import type { SystemRow } from '../../store/store.ts'
import type { HttpContext } from '../env.ts'
import { readBody } from '../json.ts'
import type { FormFault } from './system.ts'

export const formNames = ['nextboot', 'rename', 'delete'] as const
export type FormName = (typeof formNames)[number]

/** A name of 255 bytes, percent-encoded, and the fields around it. */
const formMaxBytes = 16 * 1024

/** The field each form is about. */
const fields: Readonly<Record<FormName, string>> = { nextboot: 'profile', rename: 'to', delete: 'name' }

/** Where to go when it is done, or what was wrong and the HTTP status of that. */
export type Outcome = { readonly location: string } | { readonly fault: FormFault; readonly status: number }

export async function submitForm(
  c: HttpContext,
  daemon: Daemon,
  actor: Actor,
  system: SystemRow,
  form: FormName,
): Promise<Outcome> {
  const typed = (await readForm(c)).get(fields[form]) ?? ''
  try {
    await change({ actor, daemon }, system, form, typed)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { fault: { form, typed, text: error.message }, status: error.status }
  }
  if (form === 'delete') return { location: '/' }
  return { location: `/system/${system.id}/?done=${form}` }
}

async function change(
  context: { readonly actor: Actor; readonly daemon: Daemon },
  { name }: SystemRow,
  form: FormName,
  typed: string,
): Promise<void> {
  switch (form) {
    case 'nextboot':
      await nextboot.run(context, { name, profile: typed })
      return
    case 'rename':
      await renamesystem.run(context, { name, to: typed })
      return
    case 'delete':
      if (typed !== name) throw new Refusal('invalid', `type the name ${name} to delete it; nothing was done`)
      await delsystem.run(context, { name })
      return
    default:
      form satisfies never
  }
}

/** Fields of a form; refuses another type, and what is too large for one. */
export async function readForm(c: HttpContext): Promise<URLSearchParams> {
  if (!/^application\/x-www-form-urlencoded *(;|$)/i.test(c.req.header('content-type') ?? '')) {
    throw new Refusal('usage', 'the body has to be a form: application/x-www-form-urlencoded')
  }
  return new URLSearchParams(new TextDecoder().decode(await readBody(c.req.raw.body, formMaxBytes)))
}
