/** A connection: one peer as the application has configured it, and the IKE SA with it when there is one. */
import { ECANCELED } from "../core/errors.js";
import type { Deferred } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { ChildSa } from "./child-sa.js";
import type { ConnectionOptions, Settings } from "./configuration.js";
import { Goodbye, rekeyChild, rekeyIke } from "./exchanges.js";
import type { Ike } from "./ike.js";
import { IkeSa } from "./ike-sa.js";
import { begin } from "./initiate.js";

/** What `onState` is told: it is there (again); it has ended, or could not be made: `code` says why; */
export const ESTABLISHED = "established";
export const CLOSED = "closed";
/** its gateway has sent it elsewhere (`ikeRedirect`): it goes on there; */
export const REDIRECTED = "redirected";
/** a child could not be made, the IKE SA is there. */
export const CHILD_FAILED = "child failed";

/** After a failure it is tried again after this many ms, twice as long each time. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60000;

class Event implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;

  constructor(
    private readonly connection: Connection,
    private readonly state: string,
    private readonly code: number,
    private readonly notification: number,
    private readonly child: ChildSa | null,
    private readonly up: boolean,
  ) {}

  run(): void {
    const options = this.connection.options;
    if (this.child) {
      if (options.onChild) options.onChild(this.connection, this.child, this.up);
    } else if (options.onState) {
      options.onState(this.connection, this.state, this.code, this.notification);
    }
  }
}

export class Connection {
  /** The IKE SA that is established, or being made; of a responder several may be, with several peers: see `Ike.sas`. */
  sa: IkeSa | null = null;
  /** The application has ended it. */
  closed = false;
  /** Where its gateway has sent it, and which gateway that was; `""`: nowhere. */
  gateway = "";
  from = "";
  /** When it was sent elsewhere. */
  readonly redirects: number[] = [];
  private pause = FIRST_PAUSE;
  private readonly timer: Timer;

  constructor(
    readonly ike: Ike,
    readonly options: ConnectionOptions,
    readonly settings: Settings,
  ) {
    this.timer = new Timer(again, this);
    if (settings.start) this.start();
  }

  /** True while an IKE SA is there. */
  established(): boolean {
    return this.sa !== null && this.sa.established;
  }

  /** Begins now, if nothing is under way. */
  start(): void {
    this.ike.stack.timers.clear(this.timer);
    if (this.closed || this.sa || !this.settings.remote) return;
    const sa = new IkeSa(this.ike, this, true);
    this.sa = sa;
    begin(sa);
  }

  /** Replaces the IKE SA now, or of its child SAs the one that is given; false: there is none. */
  rekey(child?: ChildSa): boolean {
    const sa = this.sa;
    if (!sa || !sa.established || (child && child.sa.connection !== this)) return false;
    if (child) rekeyChild(child);
    else rekeyIke(sa);
    return true;
  }

  /** Ends it: tells the peers, and does not begin again. Legal twice. */
  close(): void {
    if (this.closed) return;
    this.stop();
    this.ike.forget(this);
  }

  /** For `Ike.close`: does not begin again. */
  stop(): void {
    this.closed = true;
    this.ike.stack.timers.clear(this.timer);
  }

  /** Its gateway sends it elsewhere: where that is, `goTo` will say. The IKE SA ends. */
  redirected(sa: IkeSa): void {
    this.from = sa.remote;
    this.sa = null;
    this.tell(REDIRECTED, 0, 0);
    this.ike.stack.timers.set(this.timer, (this.ike.stack.now() + LONGEST_PAUSE) | 0);
    sa.tasks.splice(0, sa.tasks.length);
    if (sa.inbound) sa.request(new Goodbye(0));
    else sa.end(0, 0);
  }

  /** Goes on at `gateway`, unless it has begun anew meanwhile. */
  goTo(gateway: string): void {
    if (this.closed || this.sa) return;
    this.gateway = gateway;
    this.start();
  }

  /** An IKE SA of it is there. */
  up(sa: IkeSa, told: boolean): void {
    // A rekey of the one that it has left for another gateway.
    if (this.from && this.sa && this.sa !== sa && this.sa.successor !== sa) return;
    this.sa = sa;
    this.pause = FIRST_PAUSE;
    if (told) this.tell(ESTABLISHED, 0, 0);
  }

  /** The IKE SA `sa` is gone. */
  down(sa: IkeSa, code: number, notification: number): void {
    if (this.sa !== sa && sa.initiator) return;
    if (this.sa === sa) {
      this.sa = null;
      this.gateway = this.from = "";
    }
    this.tell(CLOSED, code, notification);
    if (this.closed || !this.settings.start || this.sa || code === ECANCELED) return;
    this.ike.stack.timers.set(this.timer, (this.ike.stack.now() + this.pause) | 0);
    this.pause = this.pause * 2 < LONGEST_PAUSE ? this.pause * 2 : LONGEST_PAUSE;
  }

  tell(state: string, code: number, notification: number): void {
    this.ike.stack.defer(new Event(this, state, code, notification, null, false));
  }

  tellChild(child: ChildSa, up: boolean): void {
    this.ike.stack.defer(new Event(this, "", 0, 0, child, up));
  }
}

function again(connection: Connection): void {
  connection.start();
}
