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
  /** The IKE SA that is to take the place of `sa`, which both prove anew for. */
  private next: IkeSa | null = null;
  private pause = FIRST_PAUSE;
  private readonly timer: Timer;
  /** When who we are is to be proven anew (RFC 4478). */
  private readonly proof: Timer;

  constructor(
    readonly ike: Ike,
    readonly options: ConnectionOptions,
    readonly settings: Settings,
  ) {
    this.timer = new Timer(again, this);
    this.proof = new Timer(prove, this);
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

  /**
   * Both prove anew who they are, which a rekey does not ask for: a new IKE SA with its children is made, then the old one ends. False:
   * there is none that we have begun, or it is under way. Where that fails the old one stays.
   */
  reauthenticate(): boolean {
    const sa = this.sa;
    if (this.closed || !sa || !sa.established || !sa.initiator || (this.next && !this.next.dead))
      return false;
    this.next = new IkeSa(this.ike, this, true);
    begin(this.next);
    return true;
  }

  /** The peer wants that within so many seconds: it is begun a tenth to a fifth earlier. */
  proveWithin(seconds: number): void {
    // Whoever asks for it all the time does not keep us busy.
    const period = seconds < 4 ? 4000 : seconds > 1000000 ? 1000000000 : seconds * 1000;
    this.ike.stack.timers.set(this.proof, this.ike.soon((period * 0.9) | 0));
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
    this.ike.stack.timers.clear(this.proof);
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
    if (this.from && this.sa && this.sa !== sa && this.sa.successor !== sa && sa !== this.next) return;
    const old = this.sa;
    this.sa = sa;
    this.pause = FIRST_PAUSE;
    if (sa !== this.next) {
      if (told) this.tell(ESTABLISHED, 0, 0);
      return;
    }
    this.next = null;
    if (old && old !== sa && !old.dead) old.request(new Goodbye(0));
  }

  /** Does the peer keep others of it? */
  renews(sa: IkeSa): boolean {
    return sa === this.next;
  }

  /** The IKE SA `sa` is gone. */
  down(sa: IkeSa, code: number, notification: number): void {
    if (this.sa !== sa && sa.initiator) return;
    if (this.sa === sa) {
      this.ike.stack.timers.clear(this.proof);
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

function prove(connection: Connection): void {
  connection.reauthenticate();
}
