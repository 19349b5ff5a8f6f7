/**
 * What runs in a booted guest: an initramfs with busybox and one script, which does what a machine under test does.
 *
 * The script takes an address by DHCP, shows the token of its kernel command line (the proof of which profile booted),
 * asks what it boots, reports `/localboot/` until that succeeds, and reboots. Each line it shows begins with `guest:`.
 * With `gate` on the command line it waits for a line on the console before it reports and before it reboots. With
 * `tests` it then fetches the shipped loop and runs it once: one test, from this initramfs with nothing but busybox.
 * Archive format: cpio "newc", kernel Documentation/driver-api/early-userspace/buffer-format.
 */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import type { Kernel } from './kernel.ts'

/** The guest's whole program. busybox 1.35's `wget -T` crashes in Debian's build, so it is not used. */
const init = `#!/bin/busybox sh
b=/bin/busybox
say() { echo "guest: $*" >/dev/ttyS0; }
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
exec </dev/ttyS0 >/dev/ttyS0 2>&1
gate= tests=
for word in $($b cat /proc/cmdline); do
  case $word in
    token=*) token=\${word#token=} ;;
    server=*) server=\${word#server=} ;;
    BOOTIF=*) bootif=\${word#BOOTIF=} ;;
    gate) gate=yes ;;
    tests) tests=yes ;;
  esac
done
say "token=$token bootif=$bootif"
for module in $($b cat /modules/order); do $b insmod /modules/$module || say "insmod $module failed"; done
$b ip link set eth0 up
$b udhcpc -i eth0 -q -n -t 10 -T 1 -s /bin/lease >/dev/null 2>&1 || say "no lease"
say "profile=$($b wget -q -O - http://$server/profile/)"
if [ "$gate" ]; then say "may it report?"; read -r line; fi
tries=1
until answer=$($b wget -q -O - http://$server/localboot/); do
  say "report failed, try $tries"
  tries=$((tries + 1))
  $b sleep 1
done
say "report=$answer tries=$tries"
if [ "$tests" ]; then
  $b --install -s /bin
  $b wget -q -O - http://$server/script/run.sh | PATH=/bin $b sh -s -- --once --spool /spool http://$server
  say "loop=$? left=$($b ls /spool)"
fi
if [ "$gate" ]; then say "may it reboot?"; read -r line; fi
say "reboots"
$b reboot -f
`

/** udhcpc's script: takes the address it was given. */
const lease = `#!/bin/busybox sh
if [ "$1" = bound ]; then
  /bin/busybox ip address add $ip/$mask dev $interface
  [ -z "$router" ] || /bin/busybox ip route add default via \${router%% *}
fi
`

const directory = 0o040755
const program = 0o100755
const device = 0o020600

/** The initramfs, gzipped. `busybox` is the path of a static one. */
export function makeInitramfs(kernel: Kernel, busybox: string): Uint8Array {
  const text = (content: string): Uint8Array => new TextEncoder().encode(content)
  const entries = [
    ...['bin', 'dev', 'proc', 'sys', 'modules'].map((name) => cpioEntry(name, directory)),
    // the kernel opens it before the script has mounted anything
    cpioEntry('dev/console', device, new Uint8Array(), [5, 1]),
    cpioEntry('init', program, text(init)),
    cpioEntry('bin/busybox', program, readFileSync(busybox)),
    cpioEntry('bin/lease', program, text(lease)),
    cpioEntry('modules/order', program, text(kernel.modules.map(({ name }) => name).join('\n'))),
    ...kernel.modules.map(({ name, bytes }) => cpioEntry(`modules/${name}`, program, bytes)),
    cpioEntry('TRAILER!!!', 0),
  ]
  return gzipSync(Buffer.concat(entries))
}

/**
 * ```
 *  "070701" ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check   8 hex digits each
 *  name NUL, padded to 4 bytes · content, padded to 4 bytes
 * ```
 */
function cpioEntry(
  name: string,
  mode: number,
  content: Uint8Array = new Uint8Array(),
  [major, minor]: readonly [number, number] = [0, 0],
): Buffer {
  const fields = [0, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length + 1, 0]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`
  return Buffer.concat([padded(Buffer.from(header, 'latin1')), padded(content)])
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, new Uint8Array(-bytes.length & 3)])
}
