/**
 * What a `.test` file says of itself in its leading comments: `# pxemngr: timeout=30m grace=2m boot=20m retries=1 tags=a,b`.
 *
 * Leading are the lines that begin with `#`, the first (`#!`) included, up to the first other line; several may be
 * settings. An unknown key or a bad value quarantines the test. Source: RUNS "Times".
 */
import { quote } from './address.ts'
import { durationAllowed, parseDuration } from './duration.ts'

/** null: as the configuration says. Times in ms. */
export interface TestSettings {
  readonly timeoutMs: number | null
  readonly graceMs: number | null
  readonly bootMs: number | null
  readonly retries: number
  readonly tags: readonly string[]
}

export interface SettingsFault {
  /** From 1. */
  readonly line: number
  readonly text: string
}

export const retriesMax = 10
const tagsMax = 50
const settingsLine = /^#\s*pxemngr:(.*)$/
const tagText = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const allowed = 'timeout, grace, boot, retries, tags'

export function parseTestSettings(text: string): TestSettings | SettingsFault {
  const found = { timeoutMs: null as number | null, graceMs: null as number | null, bootMs: null as number | null }
  let retries = 0
  const tags: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (!line.startsWith('#')) break
    const words = settingsLine.exec(line.trimEnd())?.[1]?.trim()
    if (words === undefined) continue
    for (const word of words.split(/\s+/).filter((each) => each !== '')) {
      const fault = (why: string): SettingsFault => ({ line: index + 1, text: why })
      const at = word.indexOf('=')
      const key = at < 0 ? word : word.slice(0, at)
      const value = at < 0 ? '' : word.slice(at + 1)
      switch (key) {
        case 'timeout':
        case 'grace':
        case 'boot': {
          const ms = parseDuration(value)
          if (ms === undefined) return fault(`${key}=${quote(value)} is not allowed: ${durationAllowed}`)
          if (ms === 0 && key !== 'grace') return fault(`${key}=${quote(value)} is not allowed: more than 0`)
          found[`${key}Ms`] = ms
          break
        }
        case 'retries':
          if (!/^\d{1,2}$/.test(value) || Number(value) > retriesMax) {
            return fault(`retries=${quote(value)} is not allowed: a number from 0 to ${retriesMax}`)
          }
          retries = Number(value)
          break
        case 'tags':
          for (const tag of value.split(',')) {
            if (!tagText.test(tag)) return fault(`the tag ${quote(tag)} is not allowed: letters, digits, . _ and -`)
            if (!tags.includes(tag)) tags.push(tag)
          }
          if (tags.length > tagsMax) return fault(`there are more than ${tagsMax} tags`)
          break
        default:
          return fault(`there is no key ${quote(key)}: ${allowed}`)
      }
    }
  }
  return { ...found, retries, tags }
}
