/**
 * A browser for tests: Debian's chromium, driven by playwright-core, which brings none of its own.
 */
import { type Browser, chromium } from 'playwright-core'
import { findProgram } from './debian.mjs'

const executablePath = findProgram('chromium')

/** Why browser tests cannot run here, or false. */
export const noBrowser: string | false = executablePath ? false : 'needs chromium (Debian package chromium)'

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function launchBrowser(): Promise<Browser> {
  if (!executablePath) throw new Error('there is no chromium')
  return chromium.launch({ executablePath, args: flags })
}
