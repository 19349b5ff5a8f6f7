/**
 * One timer for all transfers of a thread: a wheel of 50 ms slots, each a doubly linked list through the entries themselves.
 *
 * Moving a wake-up later, what every ACK does, costs nothing: the entry stays where it is and is looked at when its slot
 * comes up. A wake-up is therefore up to one slot late, never early. It knows nothing of packets.
 */

/** A repeat is due after 400 ms at least, so 50 ms late is no harm. */
const SLOT_MS = 50
/** 6.4 s: longer than any wait but granted timeouts, which just go round again. */
const SLOTS = 128

/** What can be put on the wheel, on one wheel at a time. `wakeMs` may change at any time; Infinity means never. */
export abstract class WheelEntry {
  /** Slot number since the start of time, -1 while off the wheel. Of the wheel, as the two below. */
  slot = -1
  before: WheelEntry | undefined
  after: WheelEntry | undefined
  abstract readonly wakeMs: number
  /** Called at `wakeMs` or a little later; the entry is off the wheel then. */
  abstract wake(nowMs: number): void
}

export class TimerWheel {
  readonly #heads: (WheelEntry | undefined)[] = new Array(SLOTS).fill(undefined)
  readonly #now: () => number
  #count = 0
  /** Last slot that was worked off. */
  #current = 0
  #timer: NodeJS.Timeout | undefined

  /** `now`: ms of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Entries on the wheel. */
  get count(): number {
    return this.#count
  }

  /** Puts an entry on the wheel, or forward if it is to wake sooner than planned. Nothing at all in the usual case. */
  arm(entry: WheelEntry): void {
    const due = Math.ceil(entry.wakeMs / SLOT_MS)
    if (entry.slot >= 0) {
      if (entry.slot <= due) return
      this.disarm(entry)
    }
    if (this.#count === 0) this.#start()
    const slot = Math.min(Math.max(due, this.#current + 1), this.#current + SLOTS - 1)
    const head = this.#heads[slot % SLOTS]
    entry.slot = slot
    entry.before = undefined
    entry.after = head
    if (head) head.before = entry
    this.#heads[slot % SLOTS] = entry
    this.#count++
  }

  disarm(entry: WheelEntry): void {
    if (entry.slot < 0) return
    if (entry.before) entry.before.after = entry.after
    else this.#heads[entry.slot % SLOTS] = entry.after
    if (entry.after) entry.after.before = entry.before
    entry.slot = -1
    entry.before = undefined
    entry.after = undefined
    this.#count--
    if (this.#count === 0) this.#stop()
  }

  #start(): void {
    this.#current = Math.floor(this.#now() / SLOT_MS)
    this.#timer = setInterval(() => this.#turn(), SLOT_MS)
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #turn(): void {
    const now = this.#now()
    const target = Math.floor(now / SLOT_MS)
    // After a standstill of more than a round every slot is due, each once.
    this.#current = Math.max(this.#current, target - SLOTS)
    while (this.#current < target && this.#count > 0) {
      this.#current++
      this.#workOff(this.#current % SLOTS, now)
    }
  }

  #workOff(index: number, now: number): void {
    // A whole list is taken off first: what is armed meanwhile belongs to later slots.
    let entry = this.#heads[index]
    const due: WheelEntry[] = []
    for (; entry; entry = entry.after) due.push(entry)
    for (const each of due) {
      // Woken neighbours may have taken it off, or put it elsewhere.
      if (each.slot < 0 || each.slot % SLOTS !== index || each.slot > this.#current) continue
      if (each.wakeMs <= now) {
        this.disarm(each)
        each.wake(now)
      } else if (each.wakeMs < Number.POSITIVE_INFINITY) {
        this.disarm(each)
        this.arm(each)
      } else this.disarm(each)
    }
  }
}
