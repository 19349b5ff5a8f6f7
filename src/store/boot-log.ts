/**
 * Which steps of machines make up one boot: the boot timeline while it happens, in memory, before it goes to its tables.
 *
 * A *boot* is one start of a machine as the server saw it. A step begins a new one when
 *   - the machine was silent for `pauseMs`,
 *   - it asks for a loader or a configuration after it had got a kernel or had reported: it has restarted,
 *   - it asks for a loader again that this boot had asked for before its configuration: it booted from disk and is back.
 * A step that only joins goes to the boot that is under way, or nowhere. Parts of one file that follow each other over HTTP
 * (a loader that reads an image block by block) are one step.
 * Size probes and chains of loaders (ROM → iPXE, shim → GRUB) stay in one boot. A machine is known by MAC, before that by
 * IP address. Not durable and not owed to anybody: `trace.ts`. Source: DESIGN "State" (trace), terms in "Boot".
 */
import { partDetail, type Stage, stageOf } from '../domain/stage.ts'
import type { BootState, BootTables } from './boot-tables.ts'
import type { Boot, BootQuery, TraceStep } from './boot-timeline.ts'

/** A loader that waits longer between two requests sits at a menu; that is another boot for whoever reads it. */
export const pauseMs = 10 * 60_000
export const stepsPerBoot = 100
/** Steps in memory before they are written: a tenth of a second of writing. */
const unsavedMax = 16_384
/** Machines whose latest boot is at hand; beyond it all are looked up again. */
const machinesMax = 32_768

export interface BootLog {
  add(steps: readonly TraceStep[]): void
  /** Writes what has been added to the tables. */
  save(): void
  /** Newest first. */
  boots(query: BootQuery): Boot[]
}

/** A machine's latest boot. */
interface Latest extends BootState {
  /** Names of loaders that it asked for. */
  readonly loaders: string[]
  /** Kept steps that are not in the tables yet. */
  unsaved: TraceStep[]
  changed: boolean
}

export function createBootLog(tables: BootTables): BootLog {
  let { nextId } = tables
  let unsaved = 0
  const byMac = new Map<string, Latest | undefined>()
  const byIp = new Map<string, Latest | undefined>()
  const byId = new Map<number, Latest>()
  const changed: Latest[] = []
  /** Boots that made their machine have one boot more. */
  const grown: Latest[] = []
  /** Addresses that a boot has left and that are not looked up yet: which boot is the latest there, only tables can say. */
  const left = new Set<string>()

  const adopt = (state: BootState | undefined): Latest | undefined => {
    if (!state) return undefined
    const known = byId.get(state.id)
    if (known) return known
    const loaders = tables.namesOf(state.id).filter((name) => stageOf(name) === 'loader')
    const latest: Latest = { ...state, loaders, unsaved: [], changed: false }
    byId.set(state.id, latest)
    return latest
  }
  const ofMac = (mac: string): Latest | undefined => {
    if (!byMac.has(mac)) byMac.set(mac, adopt(tables.latestOfMac(mac)))
    return byMac.get(mac)
  }
  const ofIp = (ip: string): Latest | undefined => {
    if (!byIp.has(ip)) {
      if (left.has(ip)) save()
      byIp.set(ip, adopt(tables.latestOfIp(ip)))
    }
    return byIp.get(ip)
  }
  const latestFor = ({ mac, ip }: TraceStep): Latest | undefined => {
    const own = mac === undefined ? undefined : ofMac(mac)
    const here = ofIp(ip)
    // Begun before its MAC was known: the later one of both, if it is nobody else's.
    return here && (mac === undefined || here.mac === null || here.mac === mac) && here.id > (own?.id ?? 0) ? here : own
  }
  const touch = (boot: Latest): void => {
    if (boot.changed) return
    boot.changed = true
    changed.push(boot)
  }
  const begin = ({ mac, ip, at }: TraceStep): Latest => {
    const began = Math.round(at)
    const boot: Latest = {
      ...{
        id: nextId++,
        mac: mac ?? null,
        ip,
        system: null,
        profile: null,
        decision: null,
        startedMs: began,
        endedMs: began,
        steps: 0,
        more: 0,
      },
      ...{ configured: false, kernel: false, loaders: [], unsaved: [], changed: false },
    }
    byId.set(boot.id, boot)
    byIp.set(ip, boot)
    if (mac !== undefined) byMac.set(mac, boot)
    grown.push(boot)
    return boot
  }
  const move = (boot: Latest, ip: string): void => {
    if (byIp.get(boot.ip) === boot) byIp.delete(boot.ip)
    if (!byIp.has(boot.ip)) left.add(boot.ip)
    boot.ip = ip
    const there = byIp.get(ip)
    if (!there || there.id < boot.id) byIp.set(ip, boot)
  }
  const become = (boot: Latest, mac: string): void => {
    boot.mac = mac
    byMac.set(mac, boot)
    grown.push(boot)
  }
  const addOne = (step: TraceStep): void => {
    const stage = stageOf(step.name)
    let boot = latestFor(step)
    if (step.joins) {
      if (!boot || step.at - boot.endedMs > pauseMs) return
    } else if (!boot || beginsNew(boot, step, stage)) boot = begin(step)
    touch(boot)
    if (boot.mac === null && step.mac !== undefined) become(boot, step.mac)
    if (boot.ip !== step.ip) move(boot, step.ip)
    if (step.systemId !== undefined) boot.system = step.systemId
    if (step.profile !== undefined) boot.profile = step.profile
    if (step.decision !== undefined) boot.decision = step.decision
    boot.endedMs = Math.max(boot.endedMs, Math.round(step.at + step.durationMs))
    boot.kernel ||= stage === 'report' || (stage === 'file' && boot.configured && step.outcome === 'done')
    boot.configured ||= stage === 'configuration'
    if (goesOn(boot, step)) return
    if (boot.steps >= stepsPerBoot) {
      boot.more++
      return
    }
    boot.steps++
    boot.unsaved.push(step)
    unsaved++
    if (stage === 'loader' && !boot.loaders.includes(step.name)) boot.loaders.push(step.name)
  }
  const forget = (id: number): void => {
    const boot = byId.get(id)
    if (!boot) return
    byId.delete(id)
    if (byIp.get(boot.ip) === boot) byIp.delete(boot.ip)
    if (boot.mac !== null && byMac.get(boot.mac) === boot) byMac.delete(boot.mac)
  }
  const save = (): void => {
    tables.save(changed)
    for (const boot of changed.splice(0)) {
      boot.unsaved = []
      boot.changed = false
    }
    unsaved = 0
    left.clear()
    for (const id of tables.forgetOldest(grown.splice(0))) forget(id)
    if (byMac.size + byIp.size <= machinesMax) return
    for (const map of [byMac, byIp, byId]) map.clear()
  }
  return {
    add(steps) {
      for (const step of steps) {
        addOne(step)
        if (unsaved >= unsavedMax || byMac.size + byIp.size > machinesMax) save()
      }
    },
    save,
    boots(query) {
      save()
      return tables.boots(query)
    },
  }
}

/** Whether the step is the next part of the file that the boot's last one got a part of; it is then added to that one. */
function goesOn({ unsaved }: Latest, step: TraceStep): boolean {
  const last = unsaved.at(-1)
  if (!last || last.name !== step.name || !isPart(last) || !isPart(step)) return false
  const durationMs = step.at + step.durationMs - last.at
  unsaved[unsaved.length - 1] = { ...last, sentBytes: last.sentBytes + step.sentBytes, durationMs }
  return true
}

function isPart({ kind, outcome, detail }: TraceStep): boolean {
  return kind === 'http' && outcome === 'done' && detail === partDetail
}

function beginsNew(boot: Latest, step: TraceStep, stage: Stage): boolean {
  if (step.at - boot.endedMs > pauseMs) return true
  if (stage !== 'loader' && stage !== 'configuration') return false
  return boot.kernel || (stage === 'loader' && boot.configured && boot.loaders.includes(step.name))
}
