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

/**
 * Begins at most `most` tasks in each turn, the others in the turns that follow, in order: requests of people and programs
 * that come all at once must not be one long turn for machines that boot. What waits is a request on an open connection.
 */
export function createTurnLimit(most: number): (task: () => void) => void {
  const waiting: (() => void)[] = []
  let begun = 0
  const begin = (task: () => void) => {
    // Before the task: it may throw.
    if (begun === 0) setImmediate(next)
    begun += 1
    task()
  }
  const next = () => {
    begun = 0
    for (let task = waiting.shift(); task; task = begun < most ? waiting.shift() : undefined) begin(task)
  }
  return (task) => {
    if (waiting.length === 0 && begun < most) begin(task)
    else waiting.push(task)
  }
}
