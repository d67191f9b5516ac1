/** Two stacks of ours with IKE on one cable, in virtual time. */
import type { ExecutionContext } from "ava";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import type { WireOptions } from "../../ports/sim/index.js";
import type { DatagramInfo } from "../../stack/core/datagrams.js";
import { ike } from "../../stack/ike/ike.js";
import type { ChildSa, ConnectionOptions, Ike, IkeOptions } from "../../stack/ike/ike.js";
import { ikeResponder } from "../../stack/ike/ike-responder.js";
import type { RespondOptions } from "../../stack/ike/ike-responder.js";
import { pair } from "../support/network.js";
import type { Node } from "../support/network.js";

export const PSK = "secret";
export const A = "10.0.0.1";
export const B = "10.0.0.2";

export interface Ends {
  vpn: Ike[];
  told: string[][];
  children: ChildSa[][];
  /** Datagrams that each has sent. */
  sent: Uint8Array[][];
  readonly nodes: Node[];
  run(time: number): void;
  connect(end: number, options?: ConnectionOptions): ReturnType<Ike["connect"]>;
  /** Gives `data` to an end as from an address. */
  give(end: number, data: Uint8Array, address?: string, port?: number): void;
}

export interface EndsOptions {
  ike?: () => IkeOptions;
  responder?: RespondOptions;
  wire?: WireOptions;
  crypto?: CryptoHypercalls;
  seed?: number;
}

export function ends(t: ExecutionContext, options: EndsOptions = {}): Ends {
  const vpn: Ike[] = [];
  const { world, a, b } = pair(t, {
    ...options.wire,
    worldOptions: { seed: options.seed ?? 1 },
    crypto: options.crypto ?? nodeCrypto(),
    components: () => {
      const made = ike({ responder: ikeResponder(options.responder), ...options.ike?.() });
      vpn.push(made);
      return [made];
    },
  });
  const told: string[][] = [[], []];
  const children: ChildSa[][] = [[], []];
  const sent: Uint8Array[][] = [[], []];
  vpn.forEach((each, end) => {
    const send = each.ports.send.bind(each.ports);
    each.ports.send = (local, port, remote, remotePort, packet) => {
      sent[end]!.push(packet.slice());
      send(local, port, remote, remotePort, packet);
    };
  });
  return {
    nodes: [a, b],
    vpn,
    told,
    children,
    sent,
    run: (time) => world.run(time),
    connect: (end, more = {}) =>
      vpn[end]!.connect({
        psk: PSK,
        onState: (_c, state, code, n) => told[end]!.push(code || n ? `${state} ${code} ${n}` : state),
        onChild: (_c, child, up) => {
          if (up) children[end]!.push(child);
          else children[end]!.splice(children[end]!.indexOf(child), 1);
        },
        ...more,
      }),
    give: (end, data, address = "10.0.0.9", port = 500) => {
      const info: DatagramInfo = {
        address,
        port,
        length: data.length,
        truncated: false,
        localAddress: end ? B : A,
        interface: null,
      };
      (vpn[end] as unknown as { input(d: Uint8Array, i: DatagramInfo, p: number): void }).input(
        data.slice(),
        info,
        500,
      );
    },
  };
}

/** Both have the same child SAs, with the same keys crosswise. */
export function same(t: ExecutionContext, { children }: Ends, count = 1): void {
  t.is(children[0]!.length, count);
  t.is(children[1]!.length, count);
  for (const one of children[0]!) {
    const other = children[1]!.find(({ spiIn }) => spiIn === one.spiOut);
    t.truthy(other);
    t.is(other!.spiOut, one.spiIn);
    t.deepEqual(other!.inbound, one.outbound);
    t.deepEqual(other!.outbound, one.inbound);
    t.deepEqual(other!.localSelectors, one.remoteSelectors);
  }
}
