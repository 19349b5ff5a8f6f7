/**
 * The forms of the system page: each is one command, run with the same definition as on the command line.
 *
 * Whether the caller may change, and that the form comes from our own page, is settled before (`access.ts`, `app.ts`).
 * A change that is done leads back to the page (303, so that reloading does not do it again); one that is refused shows
 * the form again with what was typed. Source: WEB.md "Behaviour" (Changes, Errors), DESIGN "One definition, three
 * surfaces".
 */
import { cancel } from '../../commands/cancel.ts'
import type { Daemon } from '../../commands/daemon.ts'
import { delsystem } from '../../commands/delsystem.ts'
import { nextboot } from '../../commands/nextboot.ts'
import { nexttest } from '../../commands/nexttest.ts'
import { release } from '../../commands/release.ts'
import { renamesystem } from '../../commands/renamesystem.ts'
import { Refusal } from '../../domain/errors.ts'
import type { Actor } from '../../domain/event.ts'
import { runStates } from '../../domain/verdict.ts'
import type { SystemRow } from '../../store/store.ts'
import type { HttpContext } from '../env.ts'
import { readForm } from '../form.ts'

export const formNames = ['nextboot', 'rename', 'delete', 'nexttest', 'cancel', 'release'] as const
export type FormName = (typeof formNames)[number]

/** What a form was sent with and why it was refused, to be shown beside its field. */
export interface FormFault {
  readonly form: string
  readonly typed: string
  readonly text: string
}

/** The field each form is about. */
const fields: Readonly<Record<FormName, string>> = {
  nextboot: 'profile',
  rename: 'to',
  delete: 'name',
  nexttest: 'test',
  cancel: 'runs',
  release: 'name',
}

/** Runs that one click takes back: those of one request. */
const takenBackMax = 10_000

/** Where to go when it is done, or what was wrong and the HTTP status of that. */
export type Outcome = { readonly location: string } | { readonly fault: FormFault; readonly status: number }

export async function submitForm(
  c: HttpContext,
  daemon: Daemon,
  actor: Actor,
  system: SystemRow,
  form: FormName,
): Promise<Outcome> {
  const sent = await readForm(c)
  const typed = sent.get(fields[form]) ?? ''
  let runs: readonly number[]
  try {
    runs = await change({ actor, daemon }, system, form, typed, sent.get('version') ?? '')
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const text = [error.message, ...(error.hint === undefined ? [] : [error.hint])].join('; ')
    return { fault: { form, typed, text }, status: error.status }
  }
  if (form === 'delete') return { location: '/' }
  const about = runs.length === 0 ? '' : `&runs=${formatSpan({ first: Math.min(...runs), last: Math.max(...runs) })}`
  return { location: `/system/${system.id}/?done=${form}${about}` }
}

/** Numbers of the runs of one request, which follow each other: `17` or `17-28` in a URL. */
export interface RunSpan {
  readonly first: number
  readonly last: number
}

export function formatSpan({ first, last }: RunSpan): string {
  return first === last ? String(first) : `${first}-${last}`
}

/** undefined for what is none, or more than one request can be. */
export function parseSpan(text: string): RunSpan | undefined {
  const [, from = '', to = from] = /^([1-9]\d{0,14})(?:-([1-9]\d{0,14}))?$/.exec(text) ?? []
  const first = Number(from)
  const last = Number(to)
  return from !== '' && last >= first && last - first < takenBackMax ? { first, last } : undefined
}

/** The open runs of this system among them. */
function openRuns({ store }: Daemon, system: SystemRow, { first, last }: RunSpan): number[] {
  return store.queries
    .runsAfter(first - 1, last - first + 1)
    .filter((run) => run.id <= last && run.system.id === system.id && runStates[run.state].open)
    .map(({ id }) => id)
}

/** Resolves with the runs that it is about. */
async function change(
  context: { readonly actor: Actor; readonly daemon: Daemon },
  system: SystemRow,
  form: FormName,
  typed: string,
  version: string,
): Promise<readonly number[]> {
  const { name } = system
  switch (form) {
    case 'nextboot':
      await nextboot.run(context, { name, profile: typed })
      return []
    case 'rename':
      await renamesystem.run(context, { name, to: typed })
      return []
    case 'delete':
      if (typed !== name) throw new Refusal('invalid', `type the name ${name} to delete it; nothing was done`)
      await delsystem.run(context, { name })
      return []
    case 'nexttest': {
      if (typed === '') throw new Refusal('invalid', 'choose a test or a suite; nothing was asked for')
      const asked = { name, tests: [typed], ...(version === '' ? {} : { version }) }
      const made = await nexttest.run(context, asked)
      return 'timedOut' in made ? [] : made.runs.map(({ id }) => id)
    }
    case 'cancel': {
      const span = parseSpan(typed)
      if (span === undefined && typed !== '') throw new Refusal('invalid', `runs=${typed.slice(0, 40)} is no run`)
      const runs = span && openRuns(context.daemon, system, span)
      if (runs?.length === 0) throw new Refusal('refused', 'these runs are done: there is nothing to cancel')
      await cancel.run(context, runs ? { runs } : { name })
      return []
    }
    case 'release':
      await release.run(context, { name })
      return []
    default:
      return form satisfies never
  }
}
