/**
 * A machine with real firmware (SeaBIOS or OVMF) in QEMU, without KVM, judged by its serial console.
 *
 * The network card comes first in the boot order, the disk second. With BIOS the card's own ROM boots; with UEFI the
 * card has no ROM, so that the firmware's own PXE client does. The guest asks this console to go on (`send`), so that a
 * test can do things between its steps without racing it.
 */
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Namespace } from './netns.ts'
import { dieWithParent, start, until } from './process.ts'

export type Firmware = 'bios' | 'uefi'

export interface MachineOptions {
  readonly space: Namespace
  /** Bridge in `space` that the machine's card is plugged into. */
  readonly bridge: string
  /** At most 15 characters: the tap interface's name. */
  readonly tap: string
  /** With letters in it, so that upper and lower case are told apart. */
  readonly mac: string
  readonly firmware: Firmware
  /** The disk as bytes; a copy is written into `dir`. */
  readonly disk: Uint8Array
  readonly dir: string
}

export interface Machine {
  /** All that the serial console has shown. */
  serial(): string
  /**
   * Waits until the console shows `pattern` in whole lines after what the previous call matched, so that calls follow the machine
   * through its boots. Throws with the console's tail if it does not in time or the machine ends.
   */
  expect(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  /** Types a line at the console. */
  send(line: string): void
  close(): Promise<void>
}

/** Megabytes: the kernel and a small initramfs; OVMF itself wants more. */
const memory = { bios: 320, uefi: 512 } as const
const firmwareDir = '/usr/share/OVMF'
/** Power-on to guest takes 12 s on a quiet machine (BIOS), 20 s (UEFI); several times that on a busy one. */
const stepTimeoutMs = 150_000

export function startMachine(options: MachineOptions): Machine {
  const { space, bridge, tap, mac, firmware, dir } = options
  space.must('ip', 'tuntap', 'add', 'dev', tap, 'mode', 'tap')
  space.must('ip', 'link', 'set', tap, 'master', bridge, 'up')
  const disk = join(dir, `${tap}.disk`)
  writeFileSync(disk, options.disk)
  const qemu = start([
    ...space.prefix,
    ...dieWithParent([
      'qemu-system-x86_64',
      ...['-accel', 'tcg', '-smp', '1', '-m', String(memory[firmware]), '-nodefaults', '-display', 'none'],
      ...(firmware === 'bios' ? ['-machine', 'pc,graphics=off', '-vga', 'none'] : uefi(dir, tap)),
      ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
      // vnet_hdr=off: real checksums, as a cable would carry them
      ...['-netdev', `tap,id=net,ifname=${tap},script=no,downscript=no,vnet_hdr=off`],
      ...['-device', `virtio-net-pci,netdev=net,mac=${mac},bootindex=0${firmware === 'uefi' ? ',romfile=' : ''}`],
      ...['-drive', `id=disk,if=none,format=raw,file=${disk}`, '-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
    ]),
  ])
  let seen = 0
  const tail = (): string => `${qemu.written.stdout.slice(-3000)}\n${qemu.written.stderr}`
  return {
    serial: () => qemu.written.stdout,
    async expect(pattern, timeoutMs = stepTimeoutMs) {
      const found = await until(
        () => {
          // whole lines only: bytes arrive one by one
          const shown = qemu.written.stdout.slice(seen)
          const match = pattern.exec(shown.slice(0, shown.lastIndexOf('\n') + 1))
          if (!match && !qemu.alive()) throw new Error(`${tap} ended before ${pattern}:\n${tail()}`)
          return match ?? undefined
        },
        timeoutMs,
        () => `${tap} (${mac}) did not show ${pattern} within ${timeoutMs} ms; the end of its console:\n${tail()}`,
      )
      seen += found.index + found[0].length
      return found
    },
    send: (line) => void qemu.child.stdin.write(`${line}\n`),
    async close() {
      if (qemu.alive()) await qemu.end('SIGKILL')
    },
  }
}

/** OVMF with variables of its own; no PXE over IPv6, which no loader here is offered on. */
function uefi(dir: string, name: string): string[] {
  const variables = join(dir, `${name}.vars`)
  copyFileSync(join(firmwareDir, 'OVMF_VARS_4M.fd'), variables)
  return [
    ...['-machine', 'pc', '-vga', 'none'],
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${join(firmwareDir, 'OVMF_CODE_4M.fd')}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
    ...['-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
  ]
}
