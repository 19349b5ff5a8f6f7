/**
 * Which entry of a profile boots when nobody touches the keyboard, as PXELINUX chooses it.
 *
 * Order: ONTIMEOUT where a prompt or menu waits for a time; DEFAULT (a label, with further words as extra arguments, or
 * a command line); MENU DEFAULT where a menu program would be shown; the first label. Source: the syslinux wiki
 * (DEFAULT, UI, ONTIMEOUT, MENU DEFAULT).
 */
import { type Label, type Profile, parseKernel, splitWord } from './profile.ts'

export interface Selection {
  readonly label: Label
  /** What a person should know of the choice; empty in ordinary cases. */
  readonly remarks: readonly string[]
}

/** The programs that show a menu. */
export const menuProgram = /(^|\/)(vesa)?menu\.c32$/i

/** The label that boots unattended; undefined if the profile has none (`remarks` of the caller say so). */
export function selectLabel(profile: Profile): Selection | undefined {
  const defaultIsMenu = menuProgram.test(splitWord(profile.defaultLine ?? '')[0])
  const menu = profile.ui !== undefined || defaultIsMenu
  const remarks = menu ? ['the menu is not shown: this is what it boots by itself'] : []
  if (profile.onTimeout !== undefined && profile.timeout > 0 && (menu || profile.prompt)) {
    return { label: byCommand(profile.onTimeout, profile), remarks }
  }
  if (menu) {
    const marked = profile.labels.find((label) => label.menuDefault)
    if (marked) return { label: marked, remarks }
  }
  if (profile.defaultLine !== undefined && !defaultIsMenu) {
    return { label: byCommand(profile.defaultLine, profile), remarks }
  }
  const [first] = profile.labels
  if (!first) return undefined
  if (menu) return { label: first, remarks }
  return { label: first, remarks: ['no DEFAULT: the first label'] }
}

/** `label`, `label further arguments`, or `kernel arguments`: label names are matched exactly. */
function byCommand(command: string, profile: Profile): Label {
  const whole = profile.labels.find((label) => label.name === command)
  if (whole) return whole
  const kernel = parseKernel(command)
  const named = profile.labels.find((label) => label.name === kernel.file)
  if (named) return { ...named, append: join(named.append, kernel.args) }
  return {
    name: kernel.file,
    line: 0,
    kernel: { ...kernel, args: '' },
    append: join(profile.append, kernel.args),
    initrds: [],
    localboot: undefined,
    sysappend: profile.sysappend,
    deviceTree: undefined,
    menuDefault: false,
  }
}

function join(...parts: string[]): string {
  return parts.filter((part) => part !== '').join(' ')
}
