/** The interfaces that a routing protocol speaks on: which one it is, and whether it has come or gone. */
import type { Interface } from "../core/interface.js";

export interface ProtocolPort {
  readonly nif: Interface;
  /** As the protocol has it: behind what the interface says until `turned` has been asked. */
  up: boolean;
}

export function portOf<P extends ProtocolPort>(ports: readonly P[], nif: Interface): P | null {
  for (let i = 0; i < ports.length; i++) if (ports[i].nif === nif) return ports[i];
  return null;
}

/** The port of `nif` if that has gone up or down since: `up` says which. Null: nothing has happened to a port. */
export function turned<P extends ProtocolPort>(ports: readonly P[], nif: Interface): P | null {
  const port = portOf(ports, nif);
  if (!port || port.up === nif.up()) return null;
  port.up = nif.up();
  return port;
}
