/**
 * What a profile's file boots when nobody touches the keyboard, in words, and what in it was not understood, by line.
 *
 * As PXELINUX and the iPXE script read it (`domain/selection.ts`). A template is read as it stands, without its program,
 * since what it renders to is another for each machine. Source: the syslinux wiki, STYLE "Flows" (one decision, shown as it is made).
 */
import { filesNeeded, type NeededFile } from '../../domain/boot-files.ts'
import { isIpxeScript } from '../../domain/loaders/ipxe.ts'
import { type Note, parseProfile } from '../../domain/profile.ts'
import { selectLabel } from '../../domain/selection.ts'

export interface ProfileBoot {
  /** `its own disk`, `linux vmlinuz`, `menu.c32`; undefined where there is nothing that boots by itself. */
  readonly what: string | undefined
  /** Facts of the chosen entry: name and value. */
  readonly facts: readonly { readonly name: string; readonly value: string }[]
  /** Lines of the chosen entry, from 1, both included; undefined: none was chosen, or it stands in no line of its own. */
  readonly lines: { readonly first: number; readonly last: number } | undefined
  /** Files that it makes the machine fetch; `path` undefined also where it is another for each machine. */
  readonly files: readonly NeededFile[]
  readonly remarks: readonly string[]
  /** What was not understood, or is not followed, with its line. */
  readonly notes: readonly Note[]
}

/** The program of a template, which writes nothing itself, and what puts a value in (`<%= … %>`), one word of a line. */
const program = /<%(?![=~])[\s\S]*?(?:%>|$)/g
const value = /<%[=~][^\n]*?%>/g
/** This server's own URL, as it stands in a template without blanks. */
const ownUrl = '<%=url%>'

export function readProfileBoot(text: string): ProfileBoot {
  // Its lines are iPXE's, and which of them are come to is known to that alone.
  if (isIpxeScript(text.replace(program, ''))) {
    const remarks = ['an iPXE script, which other loaders cannot read']
    return { what: 'what its iPXE script says', facts: [], lines: undefined, files: [], remarks, notes: [] }
  }
  // Lines keep their numbers.
  const bare = text.replace(program, (part) => part.replace(/[^\n]/g, ' '))
  const profile = parseProfile(bare.replace(value, (part) => part.replace(/\s/g, '')))
  const notes = [
    ...profile.faults,
    ...profile.includes.map(({ line, text: file }) => ({ line, text: `INCLUDE ${file} is not looked into here` })),
  ].sort((a, b) => a.line - b.line)
  const selection = selectLabel(profile)
  const files = filesNeeded(profile, selection?.label, ownUrl).map(({ name, path }) => ({
    name,
    path: path?.includes('<%') ? undefined : path,
  }))
  if (!selection) return { what: undefined, facts: [], lines: undefined, files, remarks: [], notes }
  const { label, remarks } = selection
  const { kernel } = label
  const what =
    label.localboot !== undefined
      ? 'its own disk'
      : kernel
        ? kernel.kind === 'linux'
          ? `the kernel ${kernel.file}`
          : kernel.file
        : undefined
  const facts = [
    { name: 'Entry', value: label.name },
    { name: 'Kernel', value: [kernel?.file, kernel?.args].filter(Boolean).join(' ') },
    { name: 'Command line', value: label.append },
    { name: 'Initrd', value: label.initrds.join(' ') },
    { name: 'Device tree', value: label.deviceTree ?? '' },
  ].filter(({ value }) => value !== '')
  const next = profile.labels.find(({ line }) => line > label.line)
  const last = next ? next.line - 1 : lengthOf(text)
  const lines = label.line > 0 ? { first: label.line, last: Math.max(label.line, last) } : undefined
  return { what, facts, lines, files, remarks, notes }
}

/** Lines of a text; one feed at its end begins no other. */
function lengthOf(text: string): number {
  return text.replace(/\n$/, '').split('\n').length
}
