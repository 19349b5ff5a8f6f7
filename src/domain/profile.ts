/**
 * The PXELINUX language read into labels: what a `.prof` file says, independent of who will boot it.
 *
 * `parseProfile` never throws: what it does not understand it notes with its line, as PXELINUX prints a warning and goes
 * on. Files are never followed here (INCLUDE, CONFIG and UI are only noted), and no label is chosen (`selection.ts`).
 * Source: the syslinux wiki (SYSLINUX, PXELINUX directives), COMPATIBILITY 4.3.
 */

/** What a label boots; its kind follows from the keyword, for KERNEL from the file's extension. */
export interface Kernel {
  /** `linux`: a kernel; `module`: COM32 program; `nbp`: another loader; `config`: a configuration file; else `other`. */
  readonly kind: 'linux' | 'module' | 'nbp' | 'config' | 'other'
  readonly file: string
  /** Words after the file name on the same line. */
  readonly args: string
}

export interface Label {
  readonly name: string
  readonly line: number
  readonly kernel: Kernel | undefined
  /** Command line, `initrd=` still in it; the global one where the label has none; '' after `APPEND -`. */
  readonly append: string
  /** Files of the INITRD directive. */
  readonly initrds: readonly string[]
  /** Value of LOCALBOOT; undefined: no such directive. A value that is no number is 0. */
  readonly localboot: number | undefined
  /** Mask of SYSAPPEND or IPAPPEND; 0 if none. */
  readonly sysappend: number
  /** File of FDT, DEVICETREE. */
  readonly deviceTree: string | undefined
  /** MENU DEFAULT stands in it. */
  readonly menuDefault: boolean
}

export interface Note {
  /** 1 for the first line. */
  readonly line: number
  readonly text: string
}

export interface Profile {
  readonly labels: readonly Label[]
  /** DEFAULT as written: a label or a command line. */
  readonly defaultLine: string | undefined
  readonly onTimeout: string | undefined
  /** File of UI, such as `menu.c32`. */
  readonly ui: string | undefined
  readonly prompt: boolean
  /** Tenths of a second; 0 waits for ever. */
  readonly timeout: number
  /** Command line and mask for what no label has. */
  readonly append: string
  readonly sysappend: number
  readonly includes: readonly Note[]
  /** What was not understood, in the order of lines. */
  readonly faults: readonly Note[]
}

/** Directives that only steer the screen or the prompt, or that no other loader has. */
const ignored = new Set(
  (
    'SAY DISPLAY FONT KBDMAP SERIAL CONSOLE NOESCAPE NOCOMPLETE NOHALT IMPLICIT ALLOWOPTIONS TOTALTIMEOUT ONERROR ' +
    'PATH SENDCOOKIES F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 FDTDIR DEVICETREEDIR FDTOVERLAYS DEVICETREE-OVERLAY'
  ).split(' '),
)

const kernelKinds: Readonly<Record<string, Kernel['kind']>> = {
  LINUX: 'linux',
  COM32: 'module',
  CONFIG: 'config',
  PXE: 'nbp',
  BOOT: 'nbp',
  BSS: 'other',
  FDIMAGE: 'other',
  COMBOOT: 'other',
}

type Draft = { -readonly [K in keyof Label]: Label[K] } & { ownAppend: boolean; ownSysappend: boolean }

/** Reads a profile. Any text is accepted; `\n` ends a line, a `\r` before it is a blank. */
export function parseProfile(text: string): Profile {
  const labels: Draft[] = []
  const faults: Note[] = []
  const includes: Note[] = []
  let defaultLine: string | undefined
  let onTimeout: string | undefined
  let ui: string | undefined
  let prompt = false
  let timeout = 0
  let append = ''
  let sysappend = 0
  let current: Draft | undefined
  /** Line at which a TEXT block began. */
  let textBlock = 0

  const lines = text.replace(/^\ufeff/, '').split('\n')
  for (const [index, raw] of lines.entries()) {
    const line = index + 1
    const [word, value] = splitWord(raw)
    if (word === '') continue
    const keyword = word.toUpperCase()
    if (textBlock > 0) {
      if (keyword === 'ENDTEXT') textBlock = 0
      continue
    }
    if (keyword.startsWith('#')) continue
    const fault = (message: string) => faults.push({ line, text: message })
    switch (keyword) {
      case 'LABEL':
        if (value === '') fault('LABEL without a name')
        else if (labels.some((label) => label.name === value)) fault(`label ${value} is there twice: the first counts`)
        current = newLabel(value, line)
        labels.push(current)
        break
      case 'DEFAULT':
        if (value === '') fault('DEFAULT without a label')
        else defaultLine = value
        break
      case 'ONTIMEOUT':
        onTimeout = value === '' ? undefined : value
        break
      case 'UI':
        ui = value === '' ? undefined : value
        break
      case 'PROMPT':
        prompt = parseNumber(value, fault, keyword) !== 0
        break
      case 'TIMEOUT':
        timeout = Math.max(0, parseNumber(value, fault, keyword))
        break
      case 'KERNEL':
      case 'LINUX':
      case 'COM32':
      case 'CONFIG':
      case 'PXE':
      case 'BOOT':
      case 'BSS':
      case 'FDIMAGE':
      case 'COMBOOT':
        if (value === '') fault(`${keyword} without a file`)
        else if (current) current.kernel = parseKernel(value, kernelKinds[keyword])
        else if (keyword !== 'CONFIG') fault(`${keyword} before the first LABEL`)
        break
      case 'APPEND': {
        const args = value === '-' ? '' : value
        if (current) {
          current.append = args
          current.ownAppend = true
        } else append = args
        break
      }
      case 'INITRD':
        if (current) current.initrds = splitFiles(value)
        else fault('INITRD before the first LABEL')
        break
      case 'SYSAPPEND':
      case 'IPAPPEND': {
        const mask = parseNumber(value, fault, keyword)
        if (current) {
          current.sysappend = mask
          current.ownSysappend = true
        } else sysappend = mask
        break
      }
      case 'LOCALBOOT':
        if (current) current.localboot = parseNumber(value === '' ? '0' : value, fault, keyword)
        else fault('LOCALBOOT before the first LABEL')
        break
      case 'FDT':
      case 'DEVICETREE':
        if (current) current.deviceTree = value === '' ? undefined : value
        break
      case 'INCLUDE':
        includes.push({ line, text: value })
        break
      case 'MENU': {
        const [what, of] = splitWord(value)
        if (what.toUpperCase() === 'DEFAULT' && current) current.menuDefault = true
        else if (what.toUpperCase() === 'INCLUDE') includes.push({ line, text: of })
        break
      }
      case 'TEXT':
        if (/^help\b/i.test(value)) textBlock = line
        else fault(`TEXT ${value}: only TEXT HELP is known`)
        break
      default:
        if (!ignored.has(keyword)) fault(`unknown keyword ${word.slice(0, 40)}`)
    }
  }
  if (textBlock > 0) faults.push({ line: textBlock, text: 'TEXT without ENDTEXT: everything after it is help text' })
  for (const label of labels) {
    if (!label.ownAppend) label.append = append
    if (!label.ownSysappend) label.sysappend = sysappend
  }
  return { labels, defaultLine, onTimeout, ui, prompt, timeout, append, sysappend, includes, faults }
}

/** First word and the rest, blanks around both gone. As in PXELINUX, every character up to the blank is one. */
export function splitWord(text: string): [word: string, rest: string] {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) <= blank) start += 1
  while (end > start && text.charCodeAt(end - 1) <= blank) end -= 1
  let wordEnd = start
  while (wordEnd < end && text.charCodeAt(wordEnd) > blank) wordEnd += 1
  let rest = wordEnd
  while (rest < end && text.charCodeAt(rest) <= blank) rest += 1
  return [text.slice(start, wordEnd), text.slice(rest, end)]
}

const blank = 0x20

function newLabel(name: string, line: number): Draft {
  return {
    name,
    line,
    kernel: undefined,
    append: '',
    ownAppend: false,
    initrds: [],
    localboot: undefined,
    sysappend: 0,
    ownSysappend: false,
    deviceTree: undefined,
    menuDefault: false,
  }
}

/** `vmlinuz quiet` → file and words behind it; the kind from the extension unless the keyword said it. */
export function parseKernel(value: string, kind?: Kernel['kind']): Kernel {
  const [file, args] = splitWord(value)
  return { kind: kind ?? kindByExtension(file), file, args }
}

/** PXELINUX's rule for KERNEL: the extension says what kind of program it is. */
function kindByExtension(file: string): Kernel['kind'] {
  const extension = /\.([a-z0-9]+)$/i.exec(file.replace(/[?#].*$/, ''))?.[1]?.toLowerCase()
  switch (extension) {
    case 'c32':
      return 'module'
    case '0':
      return 'nbp'
    case 'bs':
    case 'bss':
    case 'com':
    case 'cbt':
    case 'img':
      return 'other'
    default:
      // `.bin` too: PXELINUX reads it as a boot sector on disks only, and kernels are called so in the field.
      return 'linux'
  }
}

/** `a,b` → the files, empty ones dropped. */
export function splitFiles(value: string): string[] {
  return value
    .split(',')
    .map((file) => file.trim())
    .filter((file) => file !== '')
}

/** Decimal, `0x` hex or leading minus, as C's strtol reads them; else 0 with a fault. */
function parseNumber(value: string, fault: (message: string) => void, keyword: string): number {
  const digits = /^(-?)(0x[0-9a-f]{1,8}|[0-9]{1,9})$/i.exec(value)
  if (!digits) {
    fault(`${keyword} takes a number, not ${JSON.stringify(value.slice(0, 40))}`)
    return 0
  }
  return (digits[1] === '-' ? -1 : 1) * Number(digits[2])
}
