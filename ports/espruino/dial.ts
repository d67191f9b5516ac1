/** Connecting to what a script calls a host: an address of either family, or a name. */
import type { HappyConnection, NameLookup } from "../../stack/service/happy.js";
import { happy } from "../../stack/service/happy.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { NOT_FOUND, espruinoCode, thrownCode } from "./codes.js";

/** Told once: either the connection, or one of Espruino's codes. Never called before `dial` returns. */
export interface DialHandlers {
  onConnect(socket: TcpSocket): void;
  onFail(code: number): void;
}

/** An attempt that is under way. */
export class Dial {
  socket: TcpSocket | null = null;
  names: HappyConnection | null = null;

  /** Gives up; nobody is told. Legal twice. */
  cancel(): void {
    if (this.socket) this.socket.abort();
    if (this.names) this.names.cancel();
    this.socket = this.names = null;
  }
}

/**
 * Connects to `host`, which may stand in brackets as in a URL.
 *
 * @param names finds addresses, or null: only addresses are understood
 * @returns the attempt, or one of Espruino's codes at once
 */
export function dial(
  tcp: Tcp,
  names: NameLookup | null,
  host: string,
  port: number,
  handlers: DialHandlers,
): Dial | number {
  const attempt = new Dial();
  const last = host.length - 1;
  if (host.charAt(0) === "[" && host.charAt(last) === "]") host = host.substring(1, last);
  const onFail = (code: number): void => handlers.onFail(espruinoCode(code));
  try {
    attempt.socket = tcp.connect({
      address: host,
      port,
      onConnect() {
        attempt.socket = null;
        handlers.onConnect(this);
      },
      onClose: onFail,
    });
    return attempt;
  } catch (error) {
    if ((error as { code?: string }).code !== "EAFNOSUPPORT" || host.indexOf(":") >= 0)
      return thrownCode(error);
  }
  if (!names) return NOT_FOUND;
  try {
    attempt.names = happy(tcp, names, {
      name: host,
      port,
      onConnect(socket) {
        attempt.names = null;
        handlers.onConnect(socket);
      },
      onError: onFail,
    });
    return attempt;
  } catch (error) {
    return thrownCode(error);
  }
}
