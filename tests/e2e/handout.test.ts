/**
 * Hand-out under stress, through the built executable: hundreds of machines at once, broken connections, aliases, restarts.
 * Sources: CONTRACT "What machines ask over HTTP" (`/nexttest/`, who may name a MAC), RUNS "Life of a run".
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ask, call } from '../harness/api.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { until } from '../harness/process.ts'
import { boundary, formOf } from '../harness/upload-client.ts'

const machines = 500
/** A busy machine does each of these in well under this. */
const patienceMs = 60_000

const macOf = (n: number): string =>
  `52:54:00:01:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`

let daemon: RunningDaemon
before(async () => {
  daemon = await serve()
  writeFileSync(join(daemon.dataDir, 'tests', 'who.test'), 'for <%= system %> <%= mac %> run <%= log.id %>\n')
  await daemon.must('synctestnames')
  const systems = Array.from({ length: machines }, (_, n) => ({ name: `m${n}`, addresses: [macOf(n)] }))
  assert.equal((await call(daemon.ready.socket, 'addsystem', { systems })).status, 200)
})
after(() => daemon.close())

interface Given {
  readonly run: number
  readonly system: string
  readonly mac: string
}

/** What an answer says: undefined for `wait`. */
function givenBy(text: string): Given | undefined {
  const found = /^for (\S+) (\S+) run (\d+)\n$/.exec(text)
  if (!found) assert.match(text, /sleep/)
  return found ? { system: found[1] ?? '', mac: found[2] ?? '', run: Number(found[3]) } : undefined
}

async function requestRuns(name: string, count: number): Promise<number[]> {
  const tests = Array.from({ length: count }, () => 'who')
  const { json, text } = await call(daemon.ready.socket, 'nexttest', { name, tests })
  assert.ok(json, text)
  return (json as { runs: { id: number }[] }).runs.map(({ id }) => id)
}

async function stateOf(run: number): Promise<string> {
  return ((await call(daemon.ready.socket, 'show', { run })).json as { state: string }).state
}

/** System of each run that waits. */
async function waiting(): Promise<Map<number, string>> {
  const { json } = await call(daemon.ready.socket, 'results', { state: ['requested'], limit: 100_000 })
  return new Map((json as { runs: { id: number; system: string }[] }).runs.map(({ id, system }) => [id, system]))
}

async function untilSent(runs: readonly number[]): Promise<void> {
  await until(
    async () => {
      const still = await waiting()
      return runs.some((run) => still.has(run)) ? undefined : true
    },
    patienceMs,
    () => 'not all are recorded as sent',
    200,
  )
}

const nextTest = async (n: number): Promise<Given | undefined> => {
  const { status, text } = await ask({ url: daemon.url }, `/nexttest/${macOf(n)}/`, {
    headers: { connection: 'close' },
  })
  assert.equal(status, 200, text)
  return givenBy(text)
}

/** Asks and resets the connection at the first bytes of the answer, or before them. */
function nextTestReset(n: number, isEarly: boolean): Promise<void> {
  const { hostname, port } = new URL(daemon.url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`GET /nexttest/${macOf(n)}/ HTTP/1.1\r\nHost: x\r\n\r\n`, () => {
        if (!isEarly) return
        socket.resetAndDestroy()
        resolve()
      })
    })
    socket.on('error', () => resolve())
    socket.once('data', () => {
      socket.resetAndDestroy()
      resolve()
    })
  })
}

test('500 machines at once: every run goes to its own system, none twice, none is lost', async () => {
  await requestRuns('m*', 2)
  const asked = await waiting()
  assert.equal(asked.size, 2 * machines)
  const given: Given[] = []
  const take = async (n: number): Promise<boolean> => {
    const found = await nextTest(n)
    if (!found) return false
    assert.deepEqual([found.system, found.mac], [`m${n}`, macOf(n)])
    given.push(found)
    return true
  }
  const everybody = Array.from({ length: machines }, (_, n) => n)
  assert.ok((await Promise.all(everybody.map(take))).every(Boolean), 'each machine has two runs waiting')
  assert.ok((await Promise.all(everybody.map(take))).every(Boolean), 'each machine has a second run')
  assert.ok(!(await Promise.all(everybody.map(take))).some(Boolean), 'there is no third')
  for (const { run, system } of given) assert.equal(asked.get(run), system)
  assert.equal(new Set(given.map(({ run }) => run)).size, asked.size)
  assert.equal(given.length, asked.size, 'no run was given twice')
  await untilSent([...asked.keys()])
})

test('a third of 300 machines breaks its connection: those get the same run again, nobody else does', async () => {
  const some = Array.from({ length: 300 }, (_, n) => n)
  await requestRuns('m*', 1)
  const first = new Map([...(await waiting())].map(([run, system]) => [Number(system.slice(1)), run]))
  const given = new Map<number, Given>()
  await Promise.all(
    some.map(async (n) => {
      if (n % 3 === 0) await nextTestReset(n, n % 2 === 0)
      await until(
        async () => {
          const found = given.get(n) ?? (await nextTest(n))
          if (found) given.set(n, found)
          return found
        },
        patienceMs,
        () => `machine ${n} does not get its run again`,
      )
    }),
  )
  for (const n of some) assert.equal(given.get(n)?.run, first.get(n))
  await untilSent(some.map((n) => first.get(n) ?? 0))
  assert.ok((await Promise.all(some.map(nextTest))).every((found) => found === undefined))
})

test('on kept connections the next request says that the answer arrived: three runs, in order, each once', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 100 })
  const get = (n: number): Promise<Given | undefined> =>
    new Promise((resolve, reject) => {
      httpRequest(`${daemon.url}/nexttest/${macOf(n)}/`, { agent }, (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (part: string) => {
          text += part
        })
        answer.on('end', () => resolve(givenBy(text)))
        answer.on('error', reject)
      })
        .on('error', reject)
        .end()
    })
  const some = Array.from({ length: 100 }, (_, n) => n)
  const runs = new Map<number, number[]>()
  for (const n of some) runs.set(n, await requestRuns(`m${n}`, 3))
  const got = await Promise.all(
    some.map(async (n) => {
      const own: number[] = []
      for (let time = 0; time < 3; time++) own.push((await get(n))?.run ?? 0)
      return own
    }),
  )
  assert.deepEqual(
    got,
    some.map((n) => runs.get(n)),
  )
  agent.destroy()
  await untilSent([...runs.values()].flat())
})

test('on a kept connection any next request says that the answer arrived, whatever it is about', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      httpRequest(`${daemon.url}${path}`, { agent }, (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (part: string) => {
          text += part
        })
        answer.on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    })
  for (const path of [`/profile/${macOf(8)}/`, '/boot/no-such-file', '/healthz']) {
    const [run = 0] = await requestRuns('m8', 1)
    assert.equal(givenBy(await get(`/nexttest/${macOf(8)}/`))?.run, run)
    await get(path)
    const begun = performance.now()
    await until(
      async () => ((await stateOf(run)) === 'sent' ? true : undefined),
      patienceMs,
      () => `run ${run} is not sent`,
    )
    // Not because 10 s later it was found to be acknowledged.
    assert.ok(performance.now() - begun < 8000, path)
  }
  agent.destroy()
})

test('a result on the connection of its hand-out: sent and uploaded, in this order; a refused one leaves it sent', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const exchange = (path: string, body?: Buffer): Promise<{ status: number; upload: string }> =>
    new Promise((resolve, reject) => {
      const headers = {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'content-length': body?.length ?? 0,
      }
      const asked = httpRequest(
        `${daemon.url}${path}`,
        { agent, method: body ? 'POST' : 'GET', ...(body ? { headers } : {}) },
        (answer) => {
          answer.resume()
          const upload = String(answer.headers['x-pxemngr-upload'] ?? '')
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, upload: upload.replace(daemon.url, '') }))
        },
      )
      asked.on('error', reject)
      asked.end(body)
    })
  const runs = await requestRuns('m7', 3)
  const mac = macOf(7)
  for (const [at, body, status] of [
    [0, formOf('I: at once\n'), 200],
    [1, Buffer.from('no form'), 400],
    // Its first byte alone would be small; this is more than is held in memory.
    [2, formOf('I: large\n'.repeat(10_000)), 200],
  ] as const) {
    const { upload } = await exchange(`/nexttest/${mac}/`)
    assert.match(upload, new RegExp(`^/upload/${runs[at]}/`))
    assert.equal((await exchange(upload, body)).status, status)
    await until(
      async () => ((await stateOf(runs[at] ?? 0)) === (status === 200 ? 'done' : 'sent') ? true : undefined),
      patienceMs,
      () => `run ${runs[at]}`,
    )
    const { json } = await call(daemon.ready.socket, 'show', { run: runs[at] })
    assert.ok((json as { sent: string | null }).sent, 'when it was sent is known')
    const { json: told } = await call(daemon.ready.socket, 'history', { name: 'm7' })
    const changes = JSON.stringify(told)
    const own = [...changes.matchAll(new RegExp(`[^"]*run ${runs[at]}\\b[^"]*`, 'g'))].map(([text]) => text)
    assert.equal(own.filter((text) => /sent/.test(text)).length, 1, own.join('; '))
    const [sent, uploaded] = [
      own.findIndex((text) => /sent/.test(text)),
      own.findIndex((text) => /upload|pass/.test(text)),
    ]
    assert.equal(uploaded > sent, status === 200, own.join('; '))
  }
  agent.destroy()
})

test('one machine of two names, sixty askers at once: the runs of both, each once, the rest waits', async () => {
  const address = '52:54:00:02:00:01'
  await daemon.must('addsystem', 'twin-a', address)
  await daemon.must('addsystem', 'twin-b', address)
  const runs = [...(await requestRuns('twin-a', 20)), ...(await requestRuns('twin-b', 20))]
  const answers = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const { text } = await ask({ url: daemon.url }, `/nexttest/${address}/`, { headers: { connection: 'close' } })
      return givenBy(text)
    }),
  )
  const given = answers.flatMap((found) => (found ? [found] : []))
  assert.deepEqual(
    given.map(({ run }) => run).sort((a, b) => a - b),
    runs,
  )
  for (const { run, system } of given) assert.equal(system, runs.indexOf(run) < 20 ? 'twin-a' : 'twin-b')
})

test('two hundred runs that cannot be handed out do not stand in the way of one that can', async () => {
  writeFileSync(join(daemon.dataDir, 'tests', 'bad.test'), 'echo\n')
  await daemon.must('synctestnames')
  await daemon.must('addsystem', 'behind', '52:54:00:02:00:02')
  const tests = Array.from({ length: 250 }, () => 'bad')
  assert.equal((await call(daemon.ready.socket, 'nexttest', { name: 'behind', tests })).status, 200)
  const [run] = await requestRuns('behind', 1)
  writeFileSync(join(daemon.dataDir, 'tests', 'bad.test'), '<%= nosuch.thing %>\n')
  const { text } = await ask({ url: daemon.url }, '/nexttest/52:54:00:02:00:02/', { headers: { connection: 'close' } })
  assert.equal(givenBy(text)?.run, run)
  writeFileSync(join(daemon.dataDir, 'tests', 'bad.test'), 'echo\n')
})

test('kill -9 while machines ask: after the restart every run is sent once more at most, and to its own system', async () => {
  const some = Array.from({ length: 100 }, (_, n) => n)
  const runs = new Map<number, number>()
  for (const n of some) runs.set(n, (await requestRuns(`m${n}`, 1))[0] ?? 0)
  const before = await Promise.all([
    ...some.map((n) => nextTest(n).catch(() => undefined)),
    new Promise<undefined>((resolve) => setTimeout(() => void daemon.kill().then(() => resolve(undefined)), 30)),
  ])
  daemon = await serve({ dataDir: daemon.dataDir })
  const sent = new Set<number>()
  for (const run of runs.values()) if ((await stateOf(run)) !== 'requested') sent.add(run)
  const again = await Promise.all(some.map(nextTest))
  for (const n of some) {
    const run = runs.get(n) ?? 0
    const found = again[n]
    if (sent.has(run)) assert.equal(found, undefined, `run ${run} is sent already`)
    else assert.deepEqual([found?.run, found?.system], [run, `m${n}`])
    const earlier = before[n]
    if (earlier) assert.equal(earlier.run, run)
  }
})
