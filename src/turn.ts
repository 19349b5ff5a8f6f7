/**
 * One turn of the event loop: what all requests that were there when it began may share.
 *
 * libuv asks the kernel once a turn which sockets have something, and then serves them all. A request of this turn was
 * sent before that, so what is looked at once during the turn is as new as each of them may expect; and answers that go
 * out together at its end wake a waiting client once, where one by one they would wake it for each. A turn ends with
 * its check phase (`setImmediate`). Source: libuv "The I/O loop"; Node, "The event loop".
 */

/** A number that is another one in every turn. */
export function createTurn(): () => number {
  let number = 0
  let begun = false
  const end = () => {
    number += 1
    begun = false
  }
  return () => {
    if (!begun) {
      begun = true
      setImmediate(end)
    }
    return number
  }
}

/** Keeps tasks until the turn ends, then does them in order. A task must not throw. */
export function createTurnEnd(): (task: () => void) => void {
  let tasks: (() => void)[] = []
  const run = () => {
    const due = tasks
    tasks = []
    for (const task of due) task()
  }
  return (task) => {
    if (tasks.push(task) === 1) setImmediate(run)
  }
}
