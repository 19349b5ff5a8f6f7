/**
 * Random sequences of commands for property tests: every event there is, valid where it stands, also bulk and refused.
 */
import fc from 'fast-check'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import type { Store, Transaction } from '../../src/store/store.ts'
import { addSystem, decide, operator } from './store-folder.ts'

export interface RandomCommand {
  readonly kind: (typeof kinds)[number]
  /** Chooses among what is there, and names. */
  readonly pick: number
}

const kinds = [
  'add',
  'add',
  'decide',
  'decide',
  'rename',
  'remove',
  'removeAddress',
  'remember',
  'bootAddress',
  'profile',
  'profileGone',
  'token',
  'revoke',
  'refused',
  'nothing',
] as const

export const randomCommands = (maxLength: number): fc.Arbitrary<RandomCommand[]> =>
  fc.array(fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat({ max: 40 }) }), { maxLength })

function macOf(pick: number): Mac {
  return `52:54:00:00:00:${(pick % 7).toString(16).padStart(2, '0')}` as Mac
}

/** Runs one; a refusal of it is an ordinary end. */
export async function runCommand(store: Store, command: RandomCommand): Promise<void> {
  try {
    await store.commit(operator, (tx) => perform(tx, command))
  } catch (error) {
    if (!(error instanceof Refusal) || error.kind !== 'refused') throw error
  }
}

function perform(tx: Transaction, { kind, pick }: RandomCommand): void {
  const systems = tx.listSystems()
  const system = systems[pick % Math.max(1, systems.length)]
  const name = `c${pick} é"\\`
  switch (kind) {
    case 'add':
      if (tx.findSystem(name)) throw new Refusal('refused', 'exists')
      addSystem(tx, name, macOf(pick), `10.0.0.${pick}`, '10.34')
      return
    case 'decide':
      if (system) decide(tx, system.id, pick % 2 === 0 ? 'local' : 'install')
      return
    case 'rename':
      if (!system || tx.findSystem(name)) throw new Refusal('refused', 'exists')
      tx.emit({ type: 'system.renamed', system: system.id, name, was: system.name })
      return
    case 'remove':
      if (system) tx.emit({ type: 'system.removed', system: system.id, name: system.name })
      return
    case 'removeAddress': {
      const [address] = system ? tx.addressesOf(system.id) : []
      if (system && address) tx.emit({ type: 'address.removed', system: system.id, address })
      return
    }
    case 'remember':
      tx.emit({
        type: 'report.remembered',
        mac: pick % 3 === 0 ? null : macOf(pick),
        ip: `10.34.0.${pick}` as Ip4,
        system: system?.id ?? null,
        profile: 'local',
      })
      return
    case 'bootAddress':
      tx.emit({ type: 'boot.address', ip: `10.0.0.${pick % 5}`, mac: macOf(pick) })
      return
    case 'profile':
      if (tx.findProfile(name)) throw new Refusal('refused', 'exists')
      tx.emit({ type: 'profile.registered', profile: tx.nextId('profile'), name })
      return
    case 'profileGone': {
      const profile = tx.listProfiles()[pick % Math.max(1, tx.listProfiles().length)]
      if (profile) tx.emit({ type: profile.available ? 'profile.missing' : 'profile.returned', profile: profile.id })
      return
    }
    case 'token': {
      const token = tx.nextId('token')
      const hash = token.toString(16).padStart(64, '0')
      tx.emit({ type: 'token.added', token, name, role: 'operator', hash, expires: null })
      return
    }
    case 'revoke': {
      const [token] = tx.listTokens()
      if (token) tx.emit({ type: 'token.revoked', token: token.id })
      return
    }
    case 'refused':
      addSystem(tx, `ghost ${pick}`)
      throw new Refusal('refused', 'after it had named events')
    case 'nothing':
      return
    default:
      kind satisfies never
  }
}
