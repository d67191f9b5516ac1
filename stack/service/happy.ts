/**
 * Connecting by name, over whichever family is the first to answer: Happy Eyeballs version 2 (RFC 8305).
 *
 * AAAA and A are asked for at once; addresses are tried in turn, families alternating, each a quarter of a second after the one
 * before unless that one has failed; the first connection wins, the others are given up.
 */
import { ENOENT, ETIMEDOUT } from "../core/errors.js";
import { Timer } from "../core/timers.js";
import type { TcpSocket } from "../tcp/socket.js";
import type { Tcp, TcpConnectOptions } from "../tcp/tcp.js";

/** RFC 8305 section 8, ms. */
const RESOLUTION_DELAY = 50;
const ATTEMPT_DELAY = 250;
/** Addresses that are tried. */
const ADDRESS_LIMIT = 16;

/** What finds the addresses of a name: `dns()` does. */
export interface NameLookup {
  lookup(
    name: string,
    options: { family?: number },
    callback: (code: number, addresses: string[]) => void,
  ): { cancel(): void };
}

export interface HappyOptions {
  name: string;
  /** 1..65535 */
  port: number;
  /** Puts addresses into the order to try: `selection.sort` of ipv6/select.ts. Default: as the resolver gave them. */
  sort?(addresses: string[]): string[];
  /** Options of each attempt: `noDelay`, `userTimeout`, ... */
  connect?: Partial<TcpConnectOptions>;
  /** The connection that won. Set its callbacks with `socket.handle`. */
  onConnect(socket: TcpSocket): void;
  /** No address was found, or none answered: the code of the last failure. */
  onError(code: number): void;
}

/** An attempt to connect by name. */
export class HappyConnection {
  private readonly requests: { cancel(): void }[] = [];
  private readonly attempts: TcpSocket[] = [];
  /** Addresses not tried yet, by family; IPv6 first. */
  private readonly found: string[][] = [[], []];
  private readonly answered = [false, false];
  private readonly timer: Timer;
  private turn = 0;
  private tried = 0;
  private started = false;
  private done = false;
  private code = ENOENT;

  constructor(
    private readonly tcp: Tcp,
    names: NameLookup,
    private readonly options: HappyOptions,
  ) {
    this.timer = new Timer(next, this);
    for (let i = 0; i < 2 && !this.done; i++) {
      if (!tcp.stack.network(i === 0 ? 6 : 4)) {
        this.answered[i] = true;
        continue;
      }
      this.requests.push(
        names.lookup(options.name, { family: i === 0 ? 6 : 4 }, (code, addresses) =>
          this.answer(i, code, addresses),
        ),
      );
    }
  }

  /** Gives up: no callback comes after it. Legal twice, and after the end. */
  cancel(): void {
    this.finish(null);
  }

  private answer(index: number, code: number, addresses: string[]): void {
    if (this.done) return;
    this.answered[index] = true;
    if (code < 0) this.code = code;
    const sorted = this.options.sort ? this.options.sort(addresses) : addresses;
    for (let i = 0; i < sorted.length && i < ADDRESS_LIMIT; i++) this.found[index].push(sorted[i]);
    if (this.started) {
      if (this.attempts.length === 0 || this.timer.slot < 0) this.step();
    } else if (index === 0 || this.answered[0]) this.begin();
    // IPv4 has answered first: IPv6 gets a moment more (section 3).
    else this.arm(RESOLUTION_DELAY);
  }

  private begin(): void {
    const sort = this.options.sort;
    const first = [this.found[0][0], this.found[1][0]];
    // The family of the best of all goes first (section 4): IPv4 where IPv6 has no source that fits.
    if (sort && first[0] && first[1] && sort(first)[0] === first[1]) this.turn = 1;
    this.step();
  }

  /** Tries the next address; ends when there is none and nothing is under way. */
  step(): void {
    if (this.done) return;
    this.started = true;
    let list = this.found[this.turn];
    if (list.length === 0) list = this.found[1 - this.turn];
    if (list.length === 0 || this.tried >= ADDRESS_LIMIT) {
      if (this.attempts.length === 0 && this.answered[0] && this.answered[1]) this.fail();
      return;
    }
    this.turn = list === this.found[0] ? 1 : 0;
    const address = list.shift() as string;
    this.tried++;
    const settings = this.options.connect || {};
    let socket: TcpSocket;
    try {
      socket = this.tcp.connect({
        address,
        port: this.options.port,
        localAddress: settings.localAddress,
        interface: settings.interface,
        noDelay: settings.noDelay,
        keepAlive: settings.keepAlive,
        userTimeout: settings.userTimeout,
        ttl: settings.ttl,
        tos: settings.tos,
        onConnect: () => this.finish(socket),
        onClose: (code) => this.lost(socket, code),
      });
    } catch (error) {
      // An address that cannot be tried here; a port that is none is the caller's mistake.
      if ((error as { code?: string }).code === "EINVAL") throw error;
      this.step();
      return;
    }
    this.attempts.push(socket);
    this.arm(ATTEMPT_DELAY);
  }

  private lost(socket: TcpSocket, code: number): void {
    if (this.done) return;
    this.code = code || ETIMEDOUT;
    socket.close();
    const at = this.attempts.indexOf(socket);
    if (at >= 0) this.attempts.splice(at, 1);
    this.step();
  }

  private fail(): void {
    const code = this.code;
    this.finish(null);
    this.options.onError(code);
  }

  /** `winner` has connected (or null: nobody): all else is given up. */
  private finish(winner: TcpSocket | null): void {
    if (this.done) return;
    this.done = true;
    this.tcp.stack.timers.clear(this.timer);
    for (let i = 0; i < this.requests.length; i++) this.requests[i].cancel();
    for (let i = 0; i < this.attempts.length; i++) {
      if (this.attempts[i] !== winner) this.attempts[i].abort();
    }
    if (!winner) return;
    winner.handle({});
    this.options.onConnect(winner);
  }

  private arm(delay: number): void {
    const stack = this.tcp.stack;
    stack.timers.set(this.timer, (stack.now() + delay) | 0);
  }
}

function next(connection: HappyConnection): void {
  connection.step();
}

/**
 * Connects to `options.name`: `happy(tcp, names, { name: "example.org", port: 443, onConnect, onError })`.
 * Thrown: `EINVAL` port. Codes of `onError`: those of the resolver, and of `TcpHandlers.onClose`.
 */
export function happy(tcp: Tcp, names: NameLookup, options: HappyOptions): HappyConnection {
  return new HappyConnection(tcp, names, options);
}
