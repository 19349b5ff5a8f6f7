/**
 * Sizes in words, as pages and commands put them.
 */

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `512 B`, `26.4 KiB`: binary units, one decimal below 100. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < sizes.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${sizes[unit]}`
}
