/**
 * `nextboot`: decides what a system boots next, or with `default` what machines boot that no system has.
 *
 * Checked in 0.8's order: the system, then the profile. `default` comes into being with its first decision, after both
 * checks. Source: COMPATIBILITY 3.6, CONTRACT "Command line".
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { defaultSystem, nameFault } from '../domain/name.ts'
import { hintFor } from '../domain/nearest.ts'
import type { Transaction } from '../store/store.ts'
import type { Daemon } from './daemon.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { selectSystems } from './selection.ts'

export const nextboot = defineCommand({
  name: 'nextboot',
  summary: 'Decide what a system boots next',
  usage: 'pxemngr nextboot <system name> <boot name>',
  positionals: [
    { key: 'name', usage: '<system name>', required: true, complete: ['system'] },
    { key: 'profile', usage: '<boot name>', required: true, complete: ['profile'] },
  ],
  options: [],
  args: v.strictObject({ name: v.string(), profile: v.string() }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr nextboot web01 install', text: 'boots install.prof from now on, until told otherwise' },
    { line: "pxemngr nextboot 'rack2-[01-40]' memtest", text: 'forty machines in one record' },
    { line: 'pxemngr nextboot default local', text: 'machines that no system has boot from their disk' },
  ],
  async run({ actor, daemon }, { name, profile }) {
    if (name !== defaultSystem) selectSystems(daemon.store.queries, name)
    await checkProfile(daemon, profile)
    await daemon.store.commit(actor, (tx) => {
      for (const system of name === defaultSystem ? [defaultId(tx)] : selectSystems(tx, name).map(({ id }) => id)) {
        tx.emit({ type: 'boot.decided', decision: tx.nextId('decision'), system, profile })
      }
    })
    return {}
  },
})

/** `default` comes into being with its first decision. */
function defaultId(tx: Transaction): number {
  const found = tx.findSystem(defaultSystem)
  if (found) return found.id
  const system = tx.nextId('system')
  tx.emit({ type: 'system.added', system, name: defaultSystem })
  return system
}

/**
 * Refuses what may be no profile, what nobody registered, or whose file is gone; registers a file that appeared just now.
 */
async function checkProfile(daemon: Daemon, profile: string): Promise<void> {
  const undefinedProfile = new Refusal('not-found', `Boot name ${profile} not defined`, {
    hint: hintFor(profile, daemon.profiles.names(), 'pxemngr profiles'),
  })
  if (nameFault(profile)) throw undefinedProfile
  const refusal = daemon.profiles.refusal(profile)
  if (refusal) throw new Refusal('refused', refusal)
  const present = daemon.profiles.names().includes(profile)
  if (!daemon.store.queries.findProfile(profile)) {
    if (!present) throw undefinedProfile
    await daemon.profiles.sync()
  } else if (!present) {
    throw new Refusal(
      'refused',
      `Boot name ${profile} has no file ${profile}.prof any more: put it back, or choose another (pxemngr profiles)`,
    )
  }
}
