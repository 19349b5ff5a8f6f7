/**
 * Everything that makes `status` degraded, and what it only mentions. Source: CONTRACT "Command line" (`status`).
 */
import type { ProfileFolder } from '../commands/daemon.ts'
import { localProfile } from '../domain/boot.ts'
import { waitingForFiles } from '../runs/waiting.ts'
import type { Store } from '../store/store.ts'

export interface Health {
  /** One line each; any of them makes `status` exit with 1. */
  readonly faults: string[]
  /** Worth knowing, nothing to mend. */
  readonly notices: string[]
}

export function collectDegradations(store: Store, profiles: ProfileFolder): Health {
  const found = store.degradations()
  const faults = found.filter(({ weight }) => weight === 'fault').map(({ text }) => text)
  const notices = found.filter(({ weight }) => weight === 'notice').map(({ text }) => text)
  const folderFault = profiles.folderFault()
  if (folderFault === undefined) addProfileFaults(store, profiles, faults)
  else faults.push(`${folderFault}: machines boot local`)
  notices.push(...waitingForFiles(store))
  return { faults, notices }
}

function addProfileFaults(store: Store, profiles: ProfileFolder, faults: string[]): void {
  const there = new Set(profiles.names())
  if (!there.has(localProfile)) faults.push('profile local is missing: the one inside the executable is served')
  for (const name of there) {
    const fault = profiles.fault(name)
    if (fault !== undefined) faults.push(fault)
  }
  const refused = profiles.refused()
  faults.push(...refused.map(({ why }) => why))
  for (const { profile, systems, first } of store.queries.nextBootProfiles()) {
    if (there.has(profile) || profile === localProfile) continue
    const more = systems > 1 ? ` and ${systems - 1} more` : ''
    const why = refused.some(({ name }) => name === profile) ? 'may not be served' : 'has no file'
    faults.push(`profile ${profile} ${why}: ${first}${more} boot local instead`)
  }
}
