/** WireGuard's interfaces and their peers: a reload ends and makes those that have changed, and the sessions of others go on. */
import { isIP } from "node:net";
import { parse4 } from "../../../stack/core/text4.js";
import { parse6 } from "../../../stack/core/text6.js";
import type { Device, Peer } from "../../../stack/wireguard/wireguard.js";
import type { WireguardConfig, WireguardPeerConfig } from "../config/wireguard.js";
import type { State } from "../state.js";
import { Made } from "./made.js";
import type { Policies } from "./policies.js";
import type { Parts } from "./stack.js";
import { networkOf, networkOf6 } from "./text.js";

type DeviceConfig = Omit<WireguardConfig, "peers">;

/** How often a name is asked for, ms, and how old the last handshake must be for that: no session lasts longer. */
const ASK = 5000;
const STALE = 180_000;

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

export class Wireguards {
  /** By interface. */
  readonly devices = new Map<string, Device>();
  /** By interface, and by the peer's public key. */
  readonly peers = new Map<string, Peer>();
  private readonly made = new Made<DeviceConfig>((config) => this.open(config));
  private readonly known = new Made<[DeviceConfig, WireguardPeerConfig]>(([{ name }, peer]) =>
    this.add(name, peer),
  );

  constructor(
    private readonly parts: Parts,
    private readonly state: State,
    private readonly policies: Policies,
    private readonly log: (line: string) => void,
  ) {}

  apply(list: WireguardConfig[]): void {
    const split = list.map(({ peers, ...device }) => ({ device, peers }));
    this.made.apply(split.map(({ device }) => device));
    // A peer is of its interface: it goes with it, and is there anew when that is.
    this.known.apply(
      split.flatMap(({ device, peers }) =>
        peers.map((peer): [DeviceConfig, WireguardPeerConfig] => [device, peer]),
      ),
    );
  }

  private open({ name, privateKey, port, address, address6, mtu }: DeviceConfig): () => void {
    const { stack, wg, wall, four, six, router, router6 } = this.parts;
    const secret = privateKey ? bytesOf(privateKey) : this.state.wireguardKey(name);
    const device = wg.create({ privateKey: secret, port, mtu });
    secret.fill(0);
    let nif;
    try {
      nif = stack.addInterface(device, name);
    } catch (error) {
      device.close();
      throw error;
    }
    wall.assign(nif, name);
    router.configure(nif, { mss: "mtu" });
    router6.configure(nif, { mss: "mtu" });
    if (address) four.addAddress(nif, address);
    if (address6) six.addAddress(nif, address6);
    this.devices.set(name, device);
    this.log(`${name}: public key ${Buffer.from(device.publicKey()).toString("base64")}`);
    return () => {
      this.devices.delete(name);
      stack.removeInterface(nif);
    };
  }

  private add(name: string, config: WireguardPeerConfig): () => void {
    const { stack, four, six } = this.parts;
    const device = this.devices.get(name)!;
    const nif = stack.findInterface(name)!;
    const { presharedKey, endpoint, allowedIps, keepalive } = config;
    const named = endpoint !== null && isIP(endpoint.address) === 0;
    const peer = device.addPeer({
      ...{ publicKey: bytesOf(config.publicKey), allowedIps, keepalive },
      ...(presharedKey && { presharedKey: bytesOf(presharedKey) }),
      ...(endpoint && !named && { endpoint }),
    });
    const follow = endpoint && named ? this.follow(device, peer, endpoint) : undefined;
    const key = `${name} ${config.publicKey}`;
    this.peers.set(key, peer);
    const all = allowedIps
      .filter((prefix) => prefix.endsWith("/0"))
      .map((prefix) => this.policies.everythingBy(nif, prefix.includes(":")));
    const routes = allowedIps
      .filter((prefix) => !prefix.endsWith("/0"))
      .map((prefix) =>
        prefix.includes(":")
          ? six.addRoute(networkOf6(prefix), { interface: nif })
          : four.addRoute(networkOf(prefix), { interface: nif }),
      );
    return () => {
      follow?.();
      for (const end of all) end();
      this.peers.delete(key);
      device.removePeer(peer);
      four.fib.remove((each) => routes.includes(each));
      six.fib.remove((each) => routes.includes(each));
      stack.changed();
    };
  }

  /** Asks for the address of a peer's name while it is not heard of there. */
  private follow(
    device: Device,
    peer: Peer,
    { address: name, port }: { address: string; port: number },
  ): () => void {
    const { names, four, six } = this.parts;
    const reachable = (one: string) =>
      isIP(one) === 4 ? four.fib.lookup(parse4(one)!, null) : six.fib.lookup(parse6(one)!, 0, null, null);
    let request: { cancel(): void } | null = null;
    const look = () => {
      const { endpoint, lastHandshake } = device.status(peer);
      if (request || (lastHandshake && Date.now() - lastHandshake < STALE)) return;
      request = names.lookup(name, {}, (_code, addresses) => {
        request = null;
        const found = addresses.find(reachable) ?? addresses[0];
        if (!found || found === endpoint?.address) return;
        device.setEndpoint(peer, { address: found, port });
        this.log(`${name} is ${found}`);
      });
    };
    const timer = setInterval(look, ASK).unref();
    look();
    return () => {
      clearInterval(timer);
      request?.cancel();
    };
  }
}
