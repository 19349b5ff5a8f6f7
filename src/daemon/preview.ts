/**
 * What a machine would get if it asked now, without anything being changed or noted: by the same decision and the same
 * bytes as the real answer.
 */
import type { FoundFile, Preview } from '../commands/daemon.ts'
import type { BootQuestion } from '../domain/boot.ts'
import { createFileReader, type FileReader } from '../http/file-read.ts'
import { createAnswerBoot } from '../profiles/answer.ts'
import type { Profiles } from '../profiles/registry.ts'
import type { Queries } from '../store/store.ts'
import { cleanPath } from '../tftp/tree.ts'

export interface PreviewOptions {
  readonly queries: Queries
  readonly profiles: Profiles
  /** Base URL of this server as machines reach it, no slash at its end. */
  readonly url: () => string
  readonly places: () => { readonly root: string; readonly linkTargets: readonly string[] }
  /** Bytes of an embedded loader by its upstream name. */
  readonly findLoader: (name: string) => Uint8Array | undefined
}

/** Calls of libuv's pool at once, beside those of the downloads: a dead mount takes these and no more. */
const callsMax = 2
/** Until a look at a file is given up. */
const hangsMs = 5000
const hangs: FoundFile = { found: false, why: 'cannot be looked at: its disk or mount hangs' }
/** Looks at once: more than a profile names, and less than the reader's queue takes. */
const looksMax = 256

/** `lookMs`: until a look is given up, for tests. */
export function createPreviews(
  options: PreviewOptions & { readonly lookMs?: number; readonly reader?: Pick<FileReader, 'openInside' | 'close'> },
): {
  preview(question: BootQuestion, machine: { readonly mac: string; readonly ip: string }): Preview
  findFile(path: string): Promise<FoundFile>
} {
  const answerBoot = createAnswerBoot(options.queries, { open: (name) => options.profiles.preview(name) })
  const { lookMs = hangsMs, reader = createFileReader(callsMax) } = options
  /** Looks that were given up and have not ended: as many as there are calls leave none for another. */
  let givenUp = 0
  let underWay = 0
  const waiting: (() => void)[] = []
  return {
    preview(question, { mac, ip }) {
      const url = options.url()
      return { ...answerBoot(question, { mac: () => mac, ip, url: () => url }), url }
    },
    async findFile(path) {
      while (underWay >= looksMax) await new Promise<void>((resolve) => waiting.push(resolve))
      if (givenUp >= callsMax)
        return { found: false, why: 'cannot be looked at: a disk or mount below the TFTP root hangs' }
      underWay += 1
      try {
        return await inTime(look(path))
      } finally {
        underWay -= 1
        waiting.shift()?.()
      }
    },
  }

  async function look(path: string): Promise<FoundFile> {
    const name = cleanPath(path)
    if (name === undefined) return { found: false, why: 'the name leads out of the TFTP root' }
    const { root, linkTargets } = options.places()
    const opened = await reader.openInside(root, linkTargets, name)
    if ('fd' in opened) {
      await reader.close(opened.fd)
      return { found: true, sizeBytes: opened.sizeBytes }
    }
    const loader = opened.why === 'missing' ? options.findLoader(name) : undefined
    if (loader) return { found: true, sizeBytes: loader.length }
    return { found: false, why: opened.why === 'missing' ? `is not there: put it below ${root}` : opened.detail }
  }

  /** A disk that hangs is said to; the look itself goes on until the kernel lets it go. */
  async function inTime(looking: Promise<FoundFile>): Promise<FoundFile> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<FoundFile>((resolve) => {
      timer = setTimeout(() => {
        givenUp += 1
        const over = () => {
          givenUp -= 1
        }
        looking.then(over, over)
        resolve(hangs)
      }, lookMs)
    })
    try {
      return await Promise.race([looking, late])
    } finally {
      clearTimeout(timer)
    }
  }
}
