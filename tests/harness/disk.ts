/**
 * A disk that says on the serial console that it was booted: by BIOS its boot sector does, by UEFI a program on its
 * EFI system partition. Both show `disk: <marker>` and stop.
 *
 * The smallest that real firmware accepts: a partition table with one FAT12 partition that holds `EFI/BOOT/BOOTX64.EFI`.
 * Sources: Microsoft "FAT: General Overview of On-Disk Format" 1.03, Microsoft PE/COFF specification, UEFI 2.10 §13.3.
 */

const sectorSize = 512
const partitionStart = 64
const partitionSectors = 1024
const sectorsPerFat = 4
const rootEntries = 64
const rootSectors = (rootEntries * 32) / sectorSize
const dataStart = 1 + 2 * sectorsPerFat + rootSectors

/** The whole disk image; `marker` is printable ASCII, at most 64 characters. */
export function makeDisk(marker: string): Uint8Array {
  if (!/^[ -~]{1,64}$/.test(marker)) throw new Error(`${marker} is no marker`)
  const disk = new Uint8Array((partitionStart + partitionSectors) * sectorSize)
  const text = `\r\ndisk: ${marker}\r\n\0`
  disk.set(bootSector(text))
  disk.set(fatPartition(efiProgram(text)), partitionStart * sectorSize)
  return disk
}

/** Serial port COM1: its data register and its line status, whose bit 5 says that a byte may be written. */
const portData = [0xba, 0xf8, 0x03] as const // mov dx, 0x3f8
const portStatus = [0xba, 0xfd, 0x03] as const // mov dx, 0x3fd
/** wait: in al,dx · test al,0x20 · jz wait */
const waitWritable = [0xec, 0xa8, 0x20, 0x74, 0xfb] as const

/**
 * ```
 *    0  code, then the text      446  partition table, first entry: type 0xEF (EFI system)      510  55 AA
 * ```
 */
function bootSector(text: string): Uint8Array {
  const textAt = 0x40
  const code = [
    ...[0xfa, 0xfc, 0x31, 0xc0, 0x8e, 0xd8], // cli · cld · xor ax,ax · mov ds,ax
    ...[0xbe, textAt, 0x7c], // mov si, 0x7c00 + textAt
    ...[0xac, 0x84, 0xc0, 0x74, 0x12], // next: lodsb · test al,al · jz halt
    ...[0x88, 0xc3, ...portStatus, ...waitWritable], // mov bl,al · wait
    ...[...portData, 0x88, 0xd8, 0xee], // mov dx · mov al,bl · out dx,al
    ...[0xeb, 0xe9], // jmp next
    ...[0xf4, 0xeb, 0xfd], // halt: hlt · jmp halt
  ]
  const sector = new Uint8Array(sectorSize)
  sector.set(code)
  sector.set(ascii(text), textAt)
  const view = new DataView(sector.buffer)
  sector.set([0x80, 0xfe, 0xff, 0xff, 0xef, 0xfe, 0xff, 0xff], 446)
  view.setUint32(454, partitionStart, true)
  view.setUint32(458, partitionSectors, true)
  view.setUint16(510, 0xaa55, true)
  return sector
}

/** A PE32+ program of one section: code and text. It needs no relocation, so it runs wherever it is loaded. */
function efiProgram(text: string): Uint8Array {
  const textAt = 0x40
  const code = [
    ...[0xfa, 0x48, 0x8d, 0x35, textAt - 8, 0, 0, 0], // cli · lea rsi,[rip + distance]
    ...[0xac, 0x84, 0xc0, 0x74, 0x16], // next: lodsb · test al,al · jz halt
    ...[0x88, 0xc3, ...portStatus, 0, 0, ...waitWritable], // mov bl,al · wait (edx: 32-bit immediates)
    ...[...portData, 0, 0, 0x88, 0xd8, 0xee], // mov edx · mov al,bl · out dx,al
    ...[0xeb, 0xe5], // jmp next
    ...[0xf4, 0xeb, 0xfd], // halt: hlt · jmp halt
  ]
  const headerSize = 0x200
  const file = new Uint8Array(headerSize + sectorSize)
  const view = new DataView(file.buffer)
  const coff = 0x44
  const optional = coff + 20
  const section = optional + 240
  file.set(ascii('MZ'))
  view.setUint32(0x3c, 0x40, true) // where "PE\0\0" is
  file.set(ascii('PE'), 0x40)
  view.setUint16(coff, 0x8664, true) // x86-64
  view.setUint16(coff + 2, 1, true) // sections
  view.setUint16(coff + 16, 240, true) // size of the optional header
  view.setUint16(coff + 18, 0x22, true) // executable, large addresses; not "relocations stripped"
  view.setUint16(optional, 0x20b, true) // PE32+
  view.setUint32(optional + 4, sectorSize, true) // size of code
  view.setUint32(optional + 16, 0x1000, true) // entry point
  view.setUint32(optional + 20, 0x1000, true) // base of code
  view.setUint32(optional + 32, 0x1000, true) // alignment in memory
  view.setUint32(optional + 36, sectorSize, true) // alignment in the file
  view.setUint32(optional + 56, 0x2000, true) // size of the image
  view.setUint32(optional + 60, headerSize, true)
  view.setUint16(optional + 68, 10, true) // EFI application
  view.setUint32(optional + 108, 16, true) // data directories, all empty
  file.set(ascii('.text'), section)
  view.setUint32(section + 8, sectorSize, true) // size in memory
  view.setUint32(section + 12, 0x1000, true) // address
  view.setUint32(section + 16, sectorSize, true) // size in the file
  view.setUint32(section + 20, headerSize, true) // place in the file
  view.setUint32(section + 36, 0x60000020, true) // code, execute, read
  file.set(code, headerSize)
  file.set(ascii(text), headerSize + textAt)
  return file
}

/** FAT12, one sector a cluster: cluster 2 is EFI/, 3 is EFI/BOOT/, the program follows from 4. */
function fatPartition(program: Uint8Array): Uint8Array {
  const partition = new Uint8Array(partitionSectors * sectorSize)
  const view = new DataView(partition.buffer)
  partition.set([0xeb, 0x3c, 0x90])
  partition.set(ascii('PXEMNGR '), 3)
  view.setUint16(11, sectorSize, true)
  view.setUint8(13, 1) // sectors a cluster
  view.setUint16(14, 1, true) // sectors before the FATs
  view.setUint8(16, 2) // FATs
  view.setUint16(17, rootEntries, true)
  view.setUint16(19, partitionSectors, true)
  view.setUint8(21, 0xf8) // fixed disk
  view.setUint16(22, sectorsPerFat, true)
  view.setUint16(24, 32, true)
  view.setUint16(26, 2, true)
  view.setUint32(28, partitionStart, true)
  view.setUint8(36, 0x80)
  view.setUint8(38, 0x29) // label and type follow
  partition.set(ascii('BOOT       FAT12   '), 43)
  view.setUint16(510, 0xaa55, true)

  const programClusters = program.length / sectorSize
  const chain = [0xff8, 0xfff, 0xfff, 0xfff]
  for (let n = 1; n <= programClusters; n++) chain.push(n === programClusters ? 0xfff : 4 + n)
  for (const fat of [1, 1 + sectorsPerFat]) partition.set(packFat12(chain), fat * sectorSize)

  const cluster = (n: number): number => (dataStart + n - 2) * sectorSize
  partition.set(directoryEntry('EFI        ', 0x10, 2, 0), (1 + 2 * sectorsPerFat) * sectorSize)
  partition.set(directoryEntry('.          ', 0x10, 2, 0), cluster(2))
  partition.set(directoryEntry('..         ', 0x10, 0, 0), cluster(2) + 32)
  partition.set(directoryEntry('BOOT       ', 0x10, 3, 0), cluster(2) + 64)
  partition.set(directoryEntry('.          ', 0x10, 3, 0), cluster(3))
  partition.set(directoryEntry('..         ', 0x10, 2, 0), cluster(3) + 32)
  partition.set(directoryEntry('BOOTX64 EFI', 0x20, 4, program.length), cluster(3) + 64)
  partition.set(program, cluster(4))
  return partition
}

/** Two 12-bit entries in three bytes, low bits first. */
function packFat12(entries: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(sectorsPerFat * sectorSize)
  entries.forEach((value, n) => {
    const at = Math.floor((n * 3) / 2)
    const bits = n % 2 === 0 ? value : value << 4
    bytes[at] = (bytes[at] ?? 0) | (bits & 0xff)
    bytes[at + 1] = (bytes[at + 1] ?? 0) | ((bits >> 8) & 0xff)
  })
  return bytes
}

/** `name` is the 8.3 name padded with blanks; `attributes` 0x10 a folder, 0x20 a file. */
function directoryEntry(name: string, attributes: number, cluster: number, size: number): Uint8Array {
  const entry = new Uint8Array(32)
  const view = new DataView(entry.buffer)
  entry.set(ascii(name))
  view.setUint8(11, attributes)
  view.setUint16(24, 0x5a21, true) // 1 January 2025: a date that is one
  view.setUint16(26, cluster, true)
  view.setUint32(28, size, true)
  return entry
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
