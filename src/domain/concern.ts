/**
 * Which systems an event is about: for the history of one. Source: CONTRACT "Command line" (`history [system]`).
 */
import type { Event } from './event.ts'

/** The system that the event, or its run, is about. */
export function concernOf(event: Event, systemOfRun: (run: number) => number | undefined): number | undefined {
  if ('system' in event) return event.system ?? undefined
  return 'run' in event ? systemOfRun(event.run) : undefined
}

/** Whether one of the events is about one of the systems, or about a run of theirs. */
export function concernsSystems(
  events: readonly Event[],
  systems: readonly number[],
  systemOfRun: (run: number) => number | undefined,
): boolean {
  return events.some((event) => {
    const system = concernOf(event, systemOfRun)
    return system !== undefined && systems.includes(system)
  })
}
