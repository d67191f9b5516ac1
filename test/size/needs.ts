/** For the byte ledger: the smallest list of components that each component works with. */

export interface Need {
  /** The components beneath it. */
  readonly on: readonly string[];
  /** How it is made, when not by its factory without arguments. */
  readonly as?: string;
  /** For a part that is handed to another component: that component, which `as` makes with the part in it. */
  readonly into?: string;
}

const IPV4 = ["ethernet", "arp", "ipv4"];

/** `null`: not a component of its own, its bytes belong to those that use it. */
export const NEEDS: Readonly<Record<string, Need | null>> = {
  ethernet: { on: [] },
  arp: { on: ["ethernet", "ipv4"] },
  ipv4: { on: ["ethernet"] },
  icmp: { on: IPV4 },
  udp: { on: IPV4 },
  "name-servers": null,
};
