/** SSDP (UPnP Device Architecture 1.0, section 1): a gateway says that it is there, and answers those on the link who look for it. */
import type { Interface } from "../core/interface.js";
import { format4, parse4 } from "../core/text4.js";
import type { UdpSocket } from "../udp/udp.js";
import { TARGETS, target, uniqueName } from "./upnp-description.js";
import { bytesOf, headEnd } from "./upnp-http.js";
import type { UpnpIgd } from "./upnp-igd.js";

export const SSDP_PORT = 1900;
const GROUP = "239.255.255.250";
const QUEUE = 8192;
/** Seconds for which an announcement is good. */
const MAX_AGE = 1800;
export const SERVER = "anystack/1 UPnP/1.0 anystack/1";

/** A link whose hosts we serve. */
export class SsdpLink {
  readonly socket: UdpSocket;

  constructor(
    readonly igd: UpnpIgd,
    readonly nif: Interface,
  ) {
    this.socket = igd.udp.open({
      port: SSDP_PORT,
      family: 4,
      interface: nif,
      reuse: true,
      multicastTtl: 2,
      multicastLoop: false,
      receiveBuffer: QUEUE,
      onReadable: () => this.readable(),
    });
    if (this.socket.join(GROUP, nif) < 0) igd.counters.joinFailed++;
  }

  /** Says that we are there, or are no more. */
  announce(alive: boolean): void {
    const igd = this.igd;
    const at = this.location(0);
    if (at === "") return;
    for (let i = 0; i < TARGETS; i++) {
      this.send(
        GROUP,
        SSDP_PORT,
        "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n" +
          (alive
            ? "CACHE-CONTROL: max-age=" + MAX_AGE + "\r\nLOCATION: " + at + "\r\nSERVER: " + SERVER + "\r\n"
            : "") +
          "NTS: " +
          (alive ? "ssdp:alive" : "ssdp:byebye") +
          "\r\nNT: " +
          target(i, igd.udns) +
          "\r\nUSN: " +
          uniqueName(i, igd.udns) +
          "\r\n\r\n",
      );
    }
  }

  /** Where the description is to be had, for who is at `remote`; `""`: we have no address there. */
  private location(remote: number): string {
    const own = this.igd.ip.sourceFor(this.nif, remote);
    return own === 0 ? "" : "http://" + format4(own) + ":" + this.igd.port + "/igd.xml";
  }

  private readable(): void {
    const igd = this.igd;
    const counters = igd.counters;
    const head = igd.head;
    const info = igd.info;
    while (!this.socket.closed && this.socket.receive(igd.data, info) >= 0) {
      const from = parse4(info.address);
      const end = info.truncated ? -1 : headEnd(igd.data, 0, info.length);
      counters.datagrams++;
      if (from === null || !igd.ip.isOnLink(this.nif, from)) counters.strangers++;
      else if (end < 0 || !head.parse(igd.data, end)) counters.malformed++;
      else if (
        head.words[0] !== "M-SEARCH" ||
        head.words[1] !== "*" ||
        head.find("man") !== '"ssdp:discover"'
      )
        counters.ignored++;
      else if (!igd.limit.take(igd.now())) counters.limited++;
      else {
        counters.searches++;
        this.answer(head.find("st"), from);
      }
    }
  }

  private answer(wanted: string, to: number): void {
    const udns = this.igd.udns;
    const at = this.location(to);
    for (let i = 0; i < TARGETS && at !== ""; i++) {
      const found = target(i, udns);
      if (wanted !== found && wanted !== "ssdp:all") continue;
      this.send(
        this.igd.info.address,
        this.igd.info.port,
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=" +
          MAX_AGE +
          "\r\nEXT:\r\nLOCATION: " +
          at +
          "\r\nSERVER: " +
          SERVER +
          "\r\nST: " +
          found +
          "\r\nUSN: " +
          uniqueName(i, udns) +
          "\r\n\r\n",
      );
    }
  }

  private send(address: string, port: number, text: string): void {
    if (this.socket.sendTo(address, port, bytesOf(text)) < 0) this.igd.counters.sendFailed++;
    else this.igd.counters.sent++;
  }
}
