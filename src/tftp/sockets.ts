/**
 * UDP sockets as the server opens them: numeric addresses only, no name look-up for a packet, large buffers, and ports
 * from a range where a firewall wants one.
 *
 * Errors of one packet (ENETUNREACH, EMSGSIZE, ECONNREFUSED) count as a loss and are swallowed here; errors of binding are
 * thrown. Who may share a port with whom is said by `transfer-port.ts` and `listeners.ts`.
 */
import { createSocket, type Socket, type SocketOptions } from 'node:dgram'
import { isIp6 } from './client.ts'

/** Room for a burst of a few thousand requests; the kernel gives what it allows (net.core.rmem_max). */
const RECEIVE_BUFFER = 4 * 1024 * 1024
/** Room for a window of the largest blocks. */
const SEND_BUFFER = 1024 * 1024

export interface PortRange {
  readonly from: number
  readonly to: number
}

/** All addresses are numeric: dgram would otherwise ask the resolver, a tick later, for each packet of an unconnected socket. */
const lookup: SocketOptions['lookup'] = (address, _options, callback) => {
  callback(null, address, isIp6(address) ? 6 : 4)
}

/** Options of a socket for the family of `address`. An IPv6 socket never takes IPv4. */
export function socketOptions(address: string, reuseAddr: boolean): SocketOptions {
  const type = isIp6(address) ? 'udp6' : 'udp4'
  return { type, reuseAddr, ipv6Only: type === 'udp6', lookup }
}

/** A socket bound at once; throws the errno error of bind. `port` 0: any free one. */
export function openSocket(address: string, port: number, reuseAddr: boolean): Socket {
  const socket = createSocket(socketOptions(address, reuseAddr))
  return bindSocket(socket, address, port)
}

/** Binds or throws, with the socket closed. */
export function bindSocket<T extends Socket>(socket: T, address: string, port: number): T {
  socket.on('error', ignore)
  try {
    socket.bindSync({ address, port })
  } catch (error) {
    socket.close()
    throw error
  }
  return socket
}

/** Large buffers, as far as the kernel allows. */
export function widenBuffers(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER)
    socket.setSendBufferSize(SEND_BUFFER)
  } catch {
    // A kernel that refuses leaves its default, which works.
  }
}

/**
 * Finds a port nobody has: any, or one of the range, looking from `hint` on. undefined if all of the range are in use;
 * throws where no port can be had at all (no descriptors left, address gone).
 */
export function bindFreePort(address: string, range: PortRange | undefined, hint: number): Socket | undefined {
  if (!range) return openSocket(address, 0, false)
  const size = range.to - range.from + 1
  for (let i = 0; i < size; i++) {
    try {
      return openSocket(address, range.from + ((hint + i) % size), false)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
  return undefined
}

/** An ICMP error of one packet: that packet is lost, as on any link. */
function ignore(): void {}
