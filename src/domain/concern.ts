/**
 * Which systems an event is about: for the history of one. Source: CONTRACT "Command line" (`history [system]`).
 */
import type { Event } from './event.ts'

/** Whether one of the events is about one of the systems, or about a run of theirs. */
export function concernsSystems(
  events: readonly Event[],
  systems: readonly number[],
  systemOfRun: (run: number) => number | undefined,
): boolean {
  return events.some((event) => {
    if ('system' in event) return event.system !== null && systems.includes(event.system)
    const system = 'run' in event ? systemOfRun(event.run) : undefined
    return system !== undefined && systems.includes(system)
  })
}
