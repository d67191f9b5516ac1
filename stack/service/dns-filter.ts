/**
 * Against "DNS rebinding": addresses of this host and of private networks are no answers of the outside.
 *
 * Whoever has a name can point it to 127.0.0.1 or 192.168.1.1, and so lead a program that takes names from strangers (a proxy, a
 * fetcher of web pages) to what only insiders may reach. Such a program passes `dns({ filter: publicOnly() })`.
 */
import { parse4 } from "../core/text4.js";
import type { DnsRecord } from "./dns-answer.js";

/**
 * A filter that lets A and AAAA records through only when their addresses are of the global Internet (RFC 6890), and all others.
 *
 * @param inside domains that may point anywhere: `["home.arpa", "corp.example"]`
 */
export function publicOnly(inside: string[] = []): (record: DnsRecord) => boolean {
  const domains: string[] = [];
  for (let i = 0; i < inside.length; i++) domains.push("." + inside[i].toLowerCase());
  return (record) => {
    const name = "." + record.name;
    for (let i = 0; i < domains.length; i++) {
      if (name.slice(-domains[i].length) === domains[i]) return true;
    }
    if (record.type === "A") return isPublic4(parse4(record.data as string) || 0);
    return record.type !== "AAAA" || isPublic6(record.data as string);
  };
}

function isPublic4(address: number): boolean {
  const first = address >>> 24;
  const two = address >>> 16;
  return !(
    first === 0 ||
    first === 10 ||
    first === 127 ||
    first >= 224 ||
    // 100.64/10, 169.254/16, 172.16/12, 192.0.0/24, 192.168/16, 198.18/15
    address >>> 22 === 0x191 ||
    two === 0xa9fe ||
    address >>> 20 === 0xac1 ||
    address >>> 8 === 0xc00000 ||
    two === 0xc0a8 ||
    address >>> 17 === 0x6309
  );
}

/** 2000::/3 without 6to4, which has an IPv4 address in it. Everything else is local, mapped, or not given to anybody. */
function isPublic6(text: string): boolean {
  const first = parseInt(text, 16);
  return first >= 0x2000 && first < 0x4000 && first !== 0x2002;
}
