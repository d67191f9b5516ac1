/** Two hosts with IPsec on a wire, and SAs between them by hand. */
import type { ExecutionContext } from "ava";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { WireOptions, World } from "../../ports/sim/index.js";
import { accelerator } from "../../ports/wasm/accelerator.js";
import { createStack } from "../../stack/core/stack.js";
import { ah } from "../../stack/ipsec/ah.js";
import { cipherQueue } from "../../stack/ipsec/cipher-queue.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import type { IpsecOptions, Policy, PolicyOptions, Sa, SaOptions } from "../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../stack/ipsec/nat-traversal.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { ipLink } from "../../stack/link/ip.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import { closeAll } from "../support/leaks.js";

/** Bytes that are a key to nobody. */
export function key(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31) & 255);
}

export interface Suite {
  name: string;
  options: Pick<SaOptions, "protocol" | "encryption" | "key" | "integrity" | "integrityKey">;
}

const hmac = (bits: 256 | 384 | 512) => ({
  integrity: `hmac-sha2-${bits}-${bits / 2}`,
  integrityKey: key(bits / 8, 3),
});

/** Every algorithm that ESP and AH have. */
export const SUITES: readonly Suite[] = [
  { name: "aes-gcm-128", options: { encryption: "aes-gcm-16", key: key(20) } },
  { name: "aes-gcm-256", options: { encryption: "aes-gcm-16", key: key(36) } },
  { name: "chacha20-poly1305", options: { encryption: "chacha20-poly1305", key: key(36) } },
  { name: "aes-cbc-128 hmac-sha2-256", options: { encryption: "aes-cbc", key: key(16), ...hmac(256) } },
  { name: "aes-cbc-256 hmac-sha2-512", options: { encryption: "aes-cbc", key: key(32), ...hmac(512) } },
  { name: "aes-gmac-128", options: { encryption: "aes-gmac", key: key(20) } },
  { name: "null hmac-sha2-256", options: { encryption: "null", ...hmac(256) } },
  { name: "ah hmac-sha2-256", options: { protocol: "ah", ...hmac(256) } },
  { name: "ah hmac-sha2-384", options: { protocol: "ah", ...hmac(384) } },
  { name: "ah hmac-sha2-512", options: { protocol: "ah", ...hmac(512) } },
];

export function build(
  t: ExecutionContext | null,
  options: IpsecOptions &
    WireOptions & {
      accelerate?: boolean;
      /** Ciphers of each host. Default: Node's. */
      crypto?: (world: World) => CryptoHypercalls;
      /** Packets that wait for such as answer later. */
      waiting?: number;
    } = {},
) {
  const world = createWorld({ seed: 1, scribble: true });
  const links = wire(world, options);
  const node = (index: 0 | 1) => {
    const host = world.host();
    host.crypto = options.crypto ? options.crypto(world) : nodeCrypto();
    if (options.accelerate) Object.assign(host, accelerator(true));
    const own = {
      host,
      link: links[index],
      ip: ipv4(),
      ip6: ipv6(),
      udp: udp(),
      tcp: tcp(),
      security: ipsec(
        options.waiting ? { ...options, queue: cipherQueue({ packets: options.waiting }) } : options,
      ),
      esp: esp(),
      ah: ah(),
      natt: natTraversal(),
      address: index ? "10.0.0.2" : "10.0.0.1",
      address6: index ? "fd00::2" : "fd00::1",
    };
    const stack = host.drive(
      createStack(host, [
        ethernet(),
        ipLink(),
        arp(),
        own.ip,
        icmp(),
        fragments(),
        pmtu(),
        own.ip6,
        icmpv6(),
        nd(),
        fragments6(),
        own.udp,
        own.tcp,
        own.security,
        own.esp,
        own.ah,
        own.natt,
      ]),
    );
    const nif = stack.addInterface(own.link);
    own.ip.addAddress(nif, own.address + "/24");
    own.ip6.addAddress(nif, own.address6 + "/64");
    return { ...own, stack, nif };
  };
  const a = node(0);
  const b = node(1);
  t?.teardown(() => {
    const leaks = closeAll(world, [a.stack, b.stack]);
    if (leaks.length > 0 && t.passed) throw new Error("leaks: " + leaks.join("; "));
  });
  /** Frames as they were sent, by end. */
  const sent: [Uint8Array[], Uint8Array[]] = [[], []];
  for (const i of [0, 1] as const) {
    const link = links[i];
    const transmit = link.transmit.bind(link);
    link.transmit = (frame, start, end, offload) => {
      sent[i].push(frame.slice(start, end));
      return transmit(frame, start, end, offload);
    };
  }
  return { world, links, a, b, sent, run: (ms: number) => world.run(ms) };
}

export type Built = ReturnType<typeof build>;
export type End = Built["a"];

export interface Joined {
  policies: [Policy, Policy];
  /** a's outbound and inbound, b's outbound and inbound. */
  sas: [Sa, Sa, Sa, Sa];
}

/** Gives both ends a policy, and the two SAs between them. */
export function join(
  { a, b }: Built,
  suite: Suite,
  options: Omit<Partial<SaOptions>, "policy"> & {
    family?: 4 | 6;
    inner?: [string, string];
    policy?: Partial<PolicyOptions>;
  } = {},
): Joined {
  const { family = 4, inner, policy: narrowed, ...more } = options;
  const outer = family === 4 ? [a.address, b.address] : [a.address6, b.address6];
  const ends = inner ?? outer;
  const add = (end: End, local: number): { policy: Policy; out: Sa; in: Sa } => {
    const own = end.security.addPolicy({
      action: "protect",
      local: ends[local]!,
      remote: ends[1 - local]!,
      ...narrowed,
    });
    const common = {
      local: outer[local]!,
      remote: outer[1 - local]!,
      policy: own,
      ...suite.options,
      ...more,
      innerLocal: inner?.[local],
      innerRemote: inner?.[1 - local],
    };
    const into = end.security.addSa({ ...common, direction: "in", spi: 0x1000 + local });
    const out = end.security.addSa({ ...common, direction: "out", spi: 0x1000 + 1 - local });
    return { policy: own, out, in: into };
  };
  const left = add(a, 0);
  const right = add(b, 1);
  return {
    policies: [left.policy, right.policy],
    sas: [left.out, left.in, right.out, right.in],
  };
}
