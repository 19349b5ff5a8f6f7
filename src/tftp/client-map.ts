/**
 * What belongs to each client's port: a hash table whose places are used again and again.
 *
 * Not `Map`: with an entry that comes and goes for each transfer it makes itself a new table all the time, and each old one
 * points to the next. One of them that has become old garbage then keeps all that came after it, with every transfer
 * that was in them, until the whole heap is collected: two kilobytes for each small read. Open addressing with linear
 * probing; removal closes the gap. Source: Knuth, TAOCP 3, 6.4 (algorithms L and R).
 */
import { type ClientKey, hashOf } from './client.ts'

/** Slots, a power of two, of which at most half are in use. */
const slotsMin = 64

export class ClientMap<T> {
  #keys: (ClientKey | undefined)[] = emptySlots(slotsMin)
  #values: (T | undefined)[] = emptySlots(slotsMin)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: ClientKey): T | undefined {
    return this.#values[this.#slotOf(key)]
  }

  set(key: ClientKey, value: T): void {
    const slot = this.#slotOf(key)
    const isNew = this.#keys[slot] === undefined
    this.#keys[slot] = key
    this.#values[slot] = value
    if (isNew && ++this.#size * 2 > this.#keys.length) this.#resize(this.#keys.length * 2)
  }

  delete(key: ClientKey): void {
    const keys = this.#keys
    const values = this.#values
    const last = keys.length - 1
    let gap = this.#slotOf(key)
    if (keys[gap] === undefined) return
    for (let slot = (gap + 1) & last; ; slot = (slot + 1) & last) {
      const each = keys[slot]
      if (each === undefined) break
      // One whose search begins behind the gap is found without it.
      if (((slot - hashOf(each)) & last) < ((slot - gap) & last)) continue
      keys[gap] = each
      values[gap] = values[slot]
      gap = slot
    }
    keys[gap] = undefined
    values[gap] = undefined
    this.#size--
    // The room that a crowd of machines took is given back when the last of them is gone.
    if (this.#size === 0 && keys.length > slotsMin) this.#resize(slotsMin)
  }

  /** Where the key is, or where it would be. */
  #slotOf(key: ClientKey): number {
    const keys = this.#keys
    const last = keys.length - 1
    let slot = hashOf(key) & last
    for (let each = keys[slot]; each !== undefined && each !== key; each = keys[slot]) slot = (slot + 1) & last
    return slot
  }

  #resize(slots: number): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = emptySlots(slots)
    this.#values = emptySlots(slots)
    for (const [index, key] of keys.entries()) {
      if (key === undefined) continue
      const slot = this.#slotOf(key)
      this.#keys[slot] = key
      this.#values[slot] = values[index]
    }
  }
}

function emptySlots<T>(count: number): (T | undefined)[] {
  return new Array<T | undefined>(count).fill(undefined)
}
