/** What a gateway must know again after it was killed: who it is, and what it was given. Leases that it gives lie in files of their own. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import type { DhcpLease } from "../../stack/service/dhcp.js";
import type { Dhcp6Lease } from "../../stack/service/dhcpv6.js";

interface Known {
  /** Hexadecimal. */
  duid: string;
  /** Key of stable interface identifiers (RFC 7217). */
  secret: string;
  /** Hardware addresses by interface. */
  macs: Record<string, string>;
  /** This gateway's name to UPnP's clients. */
  uuid: string;
  /** Private keys of WireGuard by interface, base64. */
  wireguard: Record<string, string>;
  /** What servers outside have given us: IPv4 by interface. */
  leases: Record<string, DhcpLease | null>;
  lease6: Dhcp6Lease | null;
}

export class State {
  private readonly known: Known;
  private readonly file: string;

  /** Throws the file system's errors. */
  constructor(readonly folder: string) {
    mkdirSync(folder, { recursive: true });
    this.file = join(folder, "gateway.json");
    this.known = read(this.file);
    this.save();
  }

  get duid(): Uint8Array {
    return Buffer.from(this.known.duid, "hex");
  }

  get secret(): Uint8Array {
    return new Uint8Array(Buffer.from(this.known.secret, "hex"));
  }

  get uuid(): string {
    return this.known.uuid;
  }

  lease(name: string): DhcpLease | null {
    return this.known.leases[name] ?? null;
  }

  setLease(name: string, lease: DhcpLease | null): void {
    this.known.leases[name] = lease;
    this.save();
  }

  get lease6(): Dhcp6Lease | null {
    return this.known.lease6;
  }

  set lease6(lease: Dhcp6Lease | null) {
    this.known.lease6 = lease;
    this.save();
  }

  /** The hardware address of an interface, the same at each start. */
  mac(name: string): string {
    const { macs } = this.known;
    if (!macs[name]) {
      macs[name] = ["02", ...randomBytes(5).toString("hex").match(/../g)!].join(":");
      this.save();
    }
    return macs[name];
  }

  /** The private key of an interface, the same at each start: 32 bytes. */
  wireguardKey(name: string): Uint8Array {
    const keys = this.known.wireguard;
    if (!keys[name]) {
      keys[name] = randomBytes(32).toString("base64");
      this.save();
    }
    return new Uint8Array(Buffer.from(keys[name], "base64"));
  }

  /** A file is there as a whole or not at all: written beside, then renamed. */
  private save(): void {
    writeFileSync(this.file + ".new", JSON.stringify(this.known, null, 2) + "\n", { mode: 0o600 });
    renameSync(this.file + ".new", this.file);
  }
}

function read(file: string): Known {
  const fresh: Known = {
    // Type 4, a UUID (RFC 6355): the same whatever interfaces come and go.
    duid: "0004" + randomBytes(16).toString("hex"),
    secret: randomBytes(16).toString("hex"),
    macs: {},
    uuid: randomUUID(),
    wireguard: {},
    leases: {},
    lease6: null,
  };
  try {
    return { ...fresh, ...(JSON.parse(readFileSync(file, "utf8")) as Partial<Known>) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return fresh;
  }
}
