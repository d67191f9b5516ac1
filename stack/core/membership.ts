/**
 * The groups that sockets of datagrams have joined, each with a filter of sources where it has one (RFC 3376 section 3.1). What
 * carries groups (`igmp`, `ipv6`) brings this with it: a stack that has no groups has none of it.
 */
import { EAFNOSUPPORT, ENOENT } from "./errors.js";
import type { Interface } from "./interface.js";
import type { GroupFilter, Network, Path } from "./network.js";
import type { Packet } from "./packet.js";

/** A group as it was asked for, and `text` as packets have it. */
export interface Joined {
  net: Network;
  group: string;
  text: string;
  nif: Interface | null;
  sources: GroupFilter | null;
}

/** A socket as far as groups are concerned. */
export interface Member {
  readonly paths: Path[];
  readonly joined: Joined[];
}

/** See `Stack.memberships`. */
export interface Memberships {
  joinGroup(socket: Member, group: string, nif: Interface | null, filter: GroupFilter | null): number;
  leaveGroup(socket: Member, group: string, nif: Interface | null): number;
  leaveAll(socket: Member): void;
  /** Does this very socket want what `packet` brings to a group, on its interface and of its source? */
  wantsGroup(socket: Member, packet: Packet): boolean;
}

export const memberships: Memberships = {
  joinGroup(socket, group, nif, filter) {
    let code = EAFNOSUPPORT;
    for (let i = 0; i < socket.paths.length && code === EAFNOSUPPORT; i++) {
      const net = socket.paths[i].net;
      if (!net.join) continue;
      const sources: GroupFilter | null = filter && {
        exclude: filter.exclude === true,
        sources: filter.sources.map((source) => plainText(net, source) || source),
      };
      code = net.join(group, nif, sources);
      if (code === 0) socket.joined.push({ net, group, text: plainText(net, group), nif, sources });
    }
    return code;
  },

  leaveGroup(socket, group, nif) {
    for (let i = 0; i < socket.joined.length; i++) {
      const entry = socket.joined[i];
      if (entry.text === plainText(entry.net, group) && entry.nif === nif) {
        socket.joined.splice(i, 1);
        return leave(entry);
      }
    }
    return ENOENT;
  },

  leaveAll(socket) {
    while (socket.joined.length > 0) leave(socket.joined.pop()!);
  },

  wantsGroup(socket, packet) {
    const net = packet.net as Network;
    if (socket.joined.length === 0) return false;
    const group = withoutZone(net.destinationText(packet));
    for (let i = 0; i < socket.joined.length; i++) {
      const entry = socket.joined[i];
      if (entry.text !== group || (entry.nif && entry.nif !== packet.nif)) continue;
      const filter = entry.sources;
      if (!filter || filter.sources.indexOf(net.sourceText(packet)) < 0 === filter.exclude) return true;
    }
    return false;
  },
};

function leave(entry: Joined): number {
  return entry.net.leave!(entry.group, entry.nif, entry.sources);
}

/** An address in the form that packets have it in (IPv6 has many texts for it), or `""` when it is none. */
function plainText(net: Network, text: string): string {
  const path = net.createPath();
  return net.setRemote(path, text) === 0 ? withoutZone(net.remoteText(path)) : "";
}

function withoutZone(text: string): string {
  const zone = text.indexOf("%");
  return zone < 0 ? text : text.substring(0, zone);
}
