/**
 * Sends on a connected UDP socket without the layers of `Socket.send`, which weighs arguments, makes an object, a list and
 * a closure for each packet and enters a scope of async hooks: a tenth of what a DATA packet costs us, kernel included.
 *
 * It calls the handle below the socket as `node:dgram` itself does. That handle is no public interface of Node, so its
 * form is looked at first, and where it is another one the caller sends as ever. The runtime comes with the executable:
 * the form changes with a new runtime alone, and `tests/tftp/quick-sender.test.ts` then says so. Source: Node,
 * `lib/dgram.js` (`doSend`), `src/udp_wrap.cc` (`UDPWrap::DoSend`, `UDPWrap::Send`).
 */
import type { Socket } from 'node:dgram'

/** What stands for a send that has to wait in the socket; it then keeps the bytes alive. */
interface SendRequest {
  list?: readonly Uint8Array[]
}

interface Handle {
  /** Bytes sent and one; 0: it waits and has taken the request over; less: the negative errno, and the packet is lost. */
  send(request: SendRequest, list: readonly Uint8Array[], count: number, hasCallback: boolean): number
}

type SendRequestClass = new () => SendRequest

/** undefined until it is known; null where this runtime has another form. One for all sockets of a thread. */
let requestClass: SendRequestClass | null | undefined

export class QuickSender {
  readonly #handle: Handle
  readonly #Request: SendRequestClass
  readonly #list: Uint8Array[] = []
  /** Used again and again: a send that does not wait leaves it as it is. */
  #request: SendRequest

  private constructor(handle: Handle, Request: SendRequestClass) {
    this.#handle = handle
    this.#Request = Request
    this.#request = new Request()
  }

  /** For a socket that is bound and connected; undefined where it has to send by itself. */
  static of(socket: Socket): QuickSender | undefined {
    const handle = handleOf(socket)
    if (!handle) return undefined
    if (requestClass === undefined) requestClass = findRequestClass(socket, handle) ?? null
    return requestClass ? new QuickSender(handle, requestClass) : undefined
  }

  /** As `socket.send(packet)`: an error is a loss. Not after the socket was closed. */
  send(packet: Uint8Array): void {
    this.#list[0] = packet
    if (this.#handle.send(this.#request, this.#list, 1, false) !== 0) return
    this.#request.list = [packet]
    this.#request = new this.#Request()
  }
}

function handleOf(socket: Socket): Handle | undefined {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const state = key && (socket as unknown as Record<symbol, { handle?: Partial<Handle> | null } | undefined>)[key]
  const handle = state?.handle
  return typeof handle?.send === 'function' ? (handle as Handle) : undefined
}

/** The class of requests, from what the socket gives its handle; nothing is sent. */
function findRequestClass(socket: Socket, handle: Handle): SendRequestClass | undefined {
  let given: unknown[] = []
  const watch = (...args: unknown[]): number => {
    given = args
    return 1
  }
  Object.defineProperty(handle, 'send', { value: watch, configurable: true })
  try {
    socket.send(Buffer.alloc(0))
  } finally {
    Reflect.deleteProperty(handle, 'send')
  }
  const [request, list, count, hasCallback] = given
  if (given.length !== 4 || !Array.isArray(list) || count !== 1 || hasCallback !== false) return undefined
  const found: unknown = (request as object | undefined)?.constructor
  return typeof found === 'function' && found.name === 'SendWrap' ? (found as SendRequestClass) : undefined
}
