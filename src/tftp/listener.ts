/**
 * The socket that requests come to: tftp2's `TFTPServer` with its message handler replaced, for both families.
 *
 * The stock constructor makes an IPv4 socket without options, so the socket is constructed with ours and then *is* a
 * TFTPServer by its prototype; the stock handler (one short datagram ends the process) is never reached.
 */
import { type RemoteInfo, Socket } from 'node:dgram'
import TFTPServer from 'tftp2/server/index.js'
import { bindSocket, socketOptions, widenBuffers } from './sockets.ts'

export type OnDatagram = (packet: Buffer, from: RemoteInfo) => void

export class Listener extends TFTPServer {
  declare onDatagram: OnDatagram

  override handleMessage(packet: Buffer, from: RemoteInfo): void {
    // Port 0 cannot be answered.
    if (from.port !== 0) this.onDatagram(packet, from)
  }
}

/** Opens a listening socket or throws the errno error of bind. `reuseAddr`: shares its port with our other addresses. */
export function openListener(address: string, port: number, reuseAddr: boolean, onDatagram: OnDatagram): Listener {
  const listener: Listener = Reflect.construct(Socket, [socketOptions(address, reuseAddr)], Listener)
  listener.onDatagram = onDatagram
  listener.on('message', (packet, from) => listener.handleMessage(packet, from))
  bindSocket(listener, address, port)
  widenBuffers(listener)
  return listener
}
