/** What the plots show: throughput and round-trip times of a device, sampled twice a second. */
import type { Interface } from "../../stack/core/interface.js";
import { inspectSockets } from "../../stack/inspect.js";
import type { Ping, PingSocket } from "../../stack/raw/ping.js";
import type { Tcp } from "../../stack/tcp/tcp.js";

export interface Sample {
  /** Milliseconds since 1970. */
  time: number;
  /** Mbit/s that came in and went out since the last sample, headers included. */
  in: number;
  out: number;
  /** Round-trip time that TCP has measured, ms, the longest of its connections; null: it has none. */
  tcp: number | null;
  /** Round-trip time of an echo, ms; null: none was sent, or it was lost. */
  ping: number | null;
}

/** Milliseconds between two samples, and how many are kept. */
const INTERVAL = 500;
const SAMPLES = 240;

export class History {
  private readonly samples: Sample[] = [];
  private readonly timer: NodeJS.Timeout;
  private last = performance.now();
  private rxBytes = 0;
  private txBytes = 0;
  private echo: number | null = null;
  private socket: PingSocket | null = null;

  constructor(
    private readonly nif: Interface,
    private readonly tcp: Tcp,
    private readonly ping: Ping,
  ) {
    this.timer = setInterval(() => this.sample(), INTERVAL).unref();
  }

  /** Sends an echo to `address` with each sample. */
  watch(address: string): void {
    const onReply = ({ rtt }: { rtt: number }) => (this.echo = rtt);
    this.socket = this.ping.open({ address, onReply });
  }

  /** The samples after `time`. */
  since(time: number): Sample[] {
    return this.samples.filter((sample) => sample.time > time);
  }

  close(): void {
    clearInterval(this.timer);
    this.socket?.close();
    this.socket = null;
  }

  private sample(): void {
    const { rxBytes, txBytes } = this.nif.counters;
    const now = performance.now();
    const perMegabit = (now - this.last) * 125;
    const times = inspectSockets(this.tcp).map((socket) => socket.roundTrip);
    const longest = Math.max(0, ...times);
    this.samples.push({
      time: Date.now(),
      in: round((rxBytes - this.rxBytes) / perMegabit),
      out: round((txBytes - this.txBytes) / perMegabit),
      tcp: longest > 0 ? longest : null,
      ping: this.echo,
    });
    if (this.samples.length > SAMPLES) this.samples.shift();
    this.last = now;
    this.rxBytes = rxBytes;
    this.txBytes = txBytes;
    this.echo = null;
    this.socket?.send();
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
