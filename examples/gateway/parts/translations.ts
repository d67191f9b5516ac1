/** Addresses that are others outside: NPTv6's prefixes, and IPv4 over a WAN of IPv6 alone (CLAT). What is delegated changes them. */
import { parse6, format6 } from "../../../stack/core/text6.js";
import { subnet } from "../../../stack/service/dhcpv6.js";
import type { GatewayConfig } from "../config.js";
import type { ClatConfig, NptConfig } from "../config/translation.js";
import type { State } from "../state.js";
import { Made } from "./made.js";
import type { Parts } from "./stack.js";
import { bare } from "./text.js";

/** Of the CLAT's address in its /64. */
const IDENTIFIER = 0x464;

interface Both {
  prefix: string;
  address: string;
}

export class Translations {
  /** What stands for our IPv4 outside, by which provider's prefix; null: IPv4 has no such way. */
  clat: Both | null = null;
  private config: GatewayConfig | null = null;
  private readonly prefixes = new Made<[inside: string, outside: string, on: string]>(
    ([inside, outside, on]) => this.translate(inside, outside, on),
  );
  private readonly xlat = new Made<Both>((both) => this.open(both));

  constructor(
    private readonly parts: Parts,
    private readonly state: State,
    private readonly log: (line: string) => void,
    /** Told when `clat` is another. */
    private readonly changed: () => void,
  ) {}

  apply(config: GatewayConfig): void {
    this.config = config;
    this.renew();
  }

  /** Looks again at what is delegated, and at what routers tell. */
  renew(): void {
    const { config } = this;
    if (!config) return;
    this.prefixes.apply(
      config.nptv6.flatMap((one): [string, string, string][] => {
        const outside = this.outsideOf(one);
        return outside ? [[one.inside, outside, one.on]] : [];
      }),
    );
    const both = config.clat && this.bothOf(config.clat, config.wan[0].name);
    this.xlat.apply(both ? [both] : []);
  }

  /** The outer prefix of a translation, or `""` while nothing is delegated that it could have. */
  outsideOf({ inside, outside, subnet: number }: NptConfig): string {
    return outside || this.delegated(number, Number(inside.split("/")[1]));
  }

  private bothOf({ prefix, address, subnet: number }: ClatConfig, wan: string): Both | null {
    const { autoconf, stack } = this.parts;
    const known = prefix === "auto" ? autoconf.inspect(stack.findInterface(wan)!).nat64 : prefix;
    const own = address || this.oneOf(number);
    return known && own ? { prefix: known, address: own } : null;
  }

  private oneOf(number: number): string {
    const given = this.given();
    if (!given) return "";
    const bits = 64 - Number(given.split("/")[1]);
    const last = bits > 0 ? 2 ** (bits - 1) - 1 : 0;
    const network = this.delegated(number < 0 ? Math.min(last, 0xffff) : number, 64);
    const bytes = network && parse6(bare(network));
    if (!bytes) return "";
    bytes[14] = IDENTIFIER >> 8;
    bytes[15] = IDENTIFIER & 255;
    return format6(bytes, 0);
  }

  private given(): string {
    return this.state.lease6?.prefixes[0]?.prefix ?? "";
  }

  private delegated(number: number, length: number): string {
    const given = this.given();
    try {
      return given && subnet(given, number, length);
    } catch {
      return "";
    }
  }

  private translate(inside: string, outside: string, on: string): () => void {
    const { npt, stack } = this.parts;
    const nif = stack.findInterface(on)!;
    try {
      npt.add({ inside, outside, interface: nif });
    } catch (error) {
      this.log(`${inside} is not ${outside} outside: ${(error as Error).message}`);
      return () => {};
    }
    this.log(`${inside} is ${outside} on ${on}`);
    return () => void npt.remove(outside);
  }

  private open(both: Both): () => void {
    const { xlat4, wall } = this.parts;
    // Its packets of IPv4 leave by one address, as a WAN's do.
    wall.assign(xlat4.open(both), "wan");
    this.clat = both;
    this.changed();
    this.log(`IPv4 by ${both.prefix}, as ${both.address}`);
    return () => {
      xlat4.close();
      this.clat = null;
      this.changed();
      this.log("IPv4 has no way out");
    };
  }
}
