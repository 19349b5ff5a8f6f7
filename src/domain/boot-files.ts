/**
 * Which files a profile makes a machine fetch when nobody touches the keyboard: the menu program, the kernel or module of
 * the entry that boots, its initrds, what it includes.
 *
 * Names stay as the profile spells them; whether they are there is for whoever has a disk. Source: the syslinux wiki
 * (KERNEL, INITRD, UI; PXELINUX, "server::file"), `selection.ts` for which entry it is.
 */
import { type Label, type Profile, splitFiles, splitWord } from './profile.ts'
import { menuProgram } from './selection.ts'

export interface NeededFile {
  /** As the profile spells it. */
  readonly name: string
  /** Path below the TFTP root, or name of a loader; undefined: another server has it. */
  readonly path: string | undefined
}

/** Words of a command line, at blanks and control characters as PXELINUX parts them. */
export function splitArguments(text: string): string[] {
  return text.split(/[\0- ]+/).filter((word) => word !== '')
}

/** As PXELINUX: the last `initrd=` of the command line counts, and it comes before INITRD. */
export function initrdsOf(label: Label): readonly string[] {
  const words = splitArguments(`${label.kernel?.args ?? ''} ${label.append}`)
  const given = words.findLast((word) => word.startsWith('initrd='))
  return given === undefined ? label.initrds : splitFiles(given.slice('initrd='.length))
}

/** `label`: the entry that boots, if there is one. `url`: base URL of this server. Each name once, in the order of use. */
export function filesNeeded(profile: Profile, label: Label | undefined, url: string): NeededFile[] {
  const [menu] = splitWord(profile.ui ?? '')
  const [first] = splitWord(profile.defaultLine ?? '')
  const names = [
    menu,
    menuProgram.test(first) ? first : '',
    ...profile.includes.map(({ text }) => splitWord(text)[0]),
    ...(label?.localboot === undefined && label?.kernel
      ? [label.kernel.file, ...initrdsOf(label), label.deviceTree ?? '']
      : []),
  ]
  return [...new Set(names)].filter((name) => name !== '').map((name) => ({ name, path: pathOf(name, url) }))
}

function pathOf(name: string, url: string): string | undefined {
  const own = `${url}/boot/`
  if (name.startsWith(own)) return decode(name.slice(own.length).replace(/[?#].*$/s, ''))
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name) || /^[^:/]+::/.test(name)) return undefined
  return name.replace(/^::/, '')
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
