/**
 * `/boots/<id>`: one boot, request by request on a line of time, what it was given and why, how it ended and what to look
 * at; the machine's other boots beside it. Source: WEB.md, DESIGN "State" (trace).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { Refusal } from '../../domain/errors.ts'
import { createBootMachines, namingCommand, reasonOfBoot } from './boot-machine.ts'
import { type BootView, bootAddresses, dueInMs, readBoots } from './boots.ts'
import type { Frame } from './render.ts'
import { formatBytes, formatDuration, plural } from './words.ts'

/** Boots of the same machine that are linked: all that are kept of one. */
const othersShown = 20

/** The boot of that id; refuses (`not-found`) one that is not kept, (`unavailable`) where the trace gives no answer. */
export async function getBoot(daemon: Daemon, text: string, nowMs: number): Promise<BootView> {
  const id = /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined
  const boots = id === undefined ? [] : await readBoots(daemon, { id, limit: 1 }, nowMs)
  if (!boots) throw traceSilent()
  const [boot] = boots
  if (!boot) {
    throw new Refusal('not-found', `no boot has the id ${text.slice(0, 40)}: of each machine the last 20 are kept`)
  }
  return boot
}

/** For whoever asked for boots and cannot be shown anything else. */
export function traceSilent(): Refusal {
  return new Refusal('unavailable', 'the record of boots does not answer just now')
}

/** Data of the template and what the layout needs; its other boots are left out where the trace does not answer. */
export async function viewBoot(
  daemon: Daemon,
  boot: BootView,
  nowMs: number,
): Promise<{ data: object; frame: Omit<Frame, 'access'> }> {
  const machine = createBootMachines(daemon)(boot)
  const others = await readBoots(daemon, { ...sameMachine(boot, machine.id), limit: othersShown + 1 }, nowMs)
  const href = machine.id === undefined ? undefined : `/system/${machine.id}/`
  const requests = boot.steps.length
  const data = {
    boot,
    machine: { name: machine.name, href },
    command: machine.id === undefined ? namingCommand(boot) : undefined,
    why: reasonOfBoot(daemon, boot, nowMs),
    took: formatDuration(boot.tookMs),
    sent: formatBytes(boot.sentBytes),
    requests: plural(requests, 'request'),
    others: (others ?? [])
      .filter(({ id }) => id !== boot.id)
      .slice(0, othersShown)
      .map(({ id, when, verdict, glyph, outcome, profile }) => ({
        href: `/boots/${id}`,
        ...{ when, verdict, glyph, outcome, profile },
      })),
  }
  return {
    data,
    frame: {
      title: `${boot.glyph} ${machine.name} · ${boot.outcome}`,
      state: boot.verdict === 'fail' ? 'fail' : 'ok',
      place: 'boots',
      crumbs: [{ text: 'Boots', href: '/boots' }, { text: machine.name }],
      seq: daemon.store.seq,
      boots: {
        dueMs: dueInMs([boot], nowMs),
        of: [...(machine.id === undefined ? [] : [machine.id]), ...[boot, ...(others ?? [])].flatMap(bootAddresses)],
      },
    },
  }
}

/** Which boots are of the same machine: of its MAC, else of its system, else only this one. */
function sameMachine(
  { id, mac }: BootView,
  system: number | undefined,
): { mac?: string; system?: number; id?: number } {
  if (mac !== undefined) return { mac }
  return system === undefined ? { id } : { system }
}
