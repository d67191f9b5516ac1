/** Files of the gateway that something is wrong with, where, and what is said about it. */

/** Keys of WireGuard. */
export const KEYS = [1, 2].map((byte) => Buffer.alloc(32, byte).toString("base64"));
export const LAN = `{ "name": "lan", "link": { "tap": "lan0" }, "address": "192.168.7.1/24" }`;
export const file = (more: string, lan = LAN, wan = `{ "link": { "tap": "wan0" } }`) =>
  `{\n"state": "s",\n"wan": ${wan},\n"lan": [${lan}]${more && ",\n" + more}\n}`;

export const MISTAKES: readonly [text: string, line: number, reason: RegExp][] = [
  ["", 1, /a value expected, not the end/],
  ["{\n\n  'state': 1 }", 3, /a name in quotes expected/],
  ['{ "state": "s", "state": "t" }', 1, /"state" is there twice/],
  ['{ "state": "s"\n "wan": 1 }', 2, /, expected/],
  ["[]", 1, /the file must be an object|must be an object/],
  ['// nothing\n{ "state": "s" }', 2, /lacks "wan"/],
  [file(`"flows": 1`), 5, /flows must be a whole number from 16/],
  [file(`"flow": 100`), 5, /knows no "flow", but wan, lan/],
  [file(`"privateNames": [\n"a b"]`), 6, /privateNames\[0\] must be a domain/],
  [file(`"domain": "a b"`), 5, /domain must be a domain/],
  [
    file(`"forward": [{ "protocol": "sctp", "port": 1, "to": "192.168.7.2" }]`),
    5,
    /forward\[0\]\.protocol must be "tcp" or "udp"/,
  ],
  [
    file(
      `"forward": [\n{ "protocol": "tcp", "port": 1, "to": "192.168.7.2" },\n{ "protocol": "tcp", "port": 1, "to": "192.168.7.3" }]`,
    ),
    7,
    /tcp port 1 is forwarded twice/,
  ],
  [file(`"rules": [\n{ "action": "let" }]`), 6, /rules\[0\]: .*action/],
  [file(`"rules": [{ "action": "accept",\n"ports": 22 }]`), 6, /rules\[0\] knows no "ports"/],
  [
    file(`"rules": [{ "action": "accept",\n"from": "lam" }]`),
    6,
    /rules\[0\]\.from must be a zone: "wan", .*"lan"/,
  ],
  [
    file("", `\n{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1" }`),
    5,
    /lan\[0\]\.address must be an IPv4 address of a host with its prefix length/,
  ],
  [file("", `\n{ "name": "wan", "link": { "tap": "x" }, "address": "192.168.7.1/24" }`), 5, /another name/],
  [
    file(
      "",
      `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24", "pool": "192.168.8.1-192.168.8.2" }`,
    ),
    4,
    /a range within 192\.168\.7\.1\/24/,
  ],
  [
    file(
      "",
      `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24", "reservations": [\n{ "mac": "02:00:00:00:00:07", "address": "10.0.0.1" }] }`,
    ),
    5,
    /does not lie in/,
  ],
  [
    file(
      "",
      `${LAN},\n{ "name": "two", "link": { "vlan": 7, "on": "three" }, "subnet": 1, "address": "192.168.8.1/24" }`,
    ),
    5,
    /no network "three" before/,
  ],
  [
    file("", `${LAN},\n{ "name": "two", "link": { "tap": "y" }, "address": "192.168.8.1/24" }`),
    5,
    /subnet 0 is another network's/,
  ],
  [
    file("", `\n{ "name": "lan", "link": { "uplink": {} }, "address": "192.168.7.1/24" }`),
    5,
    /can be the WAN alone/,
  ],
  [file("", LAN, `{ "link": { "tap": "w", "udp": {} } }`), 3, /wan\.link must be one of/],
  [file("", LAN, `{ "link": { "tap": "w" }, "ipv4": "pppoe" }`), 3, /wan\.ipv4 must be "dhcp", "off" or/],
  ["[".repeat(100), 1, /nested too deeply/],
  [file("", LAN, "[]"), 3, /one to eight ways out/],
  [
    file("", LAN, `[{ "link": { "tap": "a" } },\n{ "link": { "tap": "b" }, "ipv6": "auto" }]`),
    4,
    /IPv6.*first one's/,
  ],
  [
    file("", LAN, `[{ "link": { "tap": "a" } },\n{ "name": "wan", "link": { "tap": "b" } }]`),
    4,
    /another name/,
  ],
  [file("", LAN, `{ "link": { "vlan": 7, "on": "lan" } }`), 3, /"vlan" beside it/],
  [
    file("", LAN, `{ "link": { "tap": "a" }, "vlan": 5000 }`),
    3,
    /wan\.vlan must be a whole number from 0 to 4094/,
  ],
  [file("", LAN, `{ "link": { "tap": "a" }, "probe": "x" }`), 3, /wan\.probe must be an IPv4 address/],
  [file(`"uplinks": "both"`), 5, /"failover", "balance"/],
  [file(`"nat64": "64:ff9b::/95"`), 5, /nat64 must be a prefix/],
  [file(`"queue": "cake"`), 5, /"fq-codel", "drr", "fifo"/],
  [
    file(`"portMapping": {\n"upnp": true,\n"on": ["guests"] }`),
    7,
    /portMapping\.on\[0\] must be a network: "lan", not "guests"/,
  ],
  [file(`"portMapping": {\n"ports": [9, 1] }`), 6, /\[FIRST, LAST\]/],
  [file(`"rip": { "on": ["wan"] }`), 5, /a network or a tunnel: "lan", not "wan"/],
  [file(`"babel": { "on": ["lan"],\n"interval": 0 }`), 6, /babel\.interval/],
  [file(`"multicast": ["wan"]`), 5, /a network: "lan"/],
  [file(`"proxy": [{ "on": "lan", "for": "fd00::/64" }]`), 5, /a network of IPv4 or an address of IPv6/],
  [file(`"routes": [\n{ "to": "10.8.0.0/16", "via": "fd00::1" }]`), 6, /of one family/],
  [file(`"routes": [{ "to": "10.8.0.0", "via": "192.168.7.2" }]`), 5, /a network with its prefix length/],
  [
    file(`"tunnels": [\n{ "name": "t", "kind": "l2tp", "remote": "192.0.2.9" }]`),
    6,
    /"ip", "gre", "vxlan", "slip"/,
  ],
  [file(`"tunnels": [\n{ "name": "lan", "kind": "ip", "remote": "192.0.2.9" }]`), 6, /another name/],
  [
    file(`"tunnels": [\n{ "name": "t", "kind": "vxlan", "remote": "192.0.2.9" }]`),
    6,
    /its network identifier/,
  ],
  [
    file(`"tunnels": [\n{ "name": "t", "kind": "ip", "remote": "192.0.2.9",\n"key": 4 }]`),
    7,
    /IP in IP has none/,
  ],
  [
    file(
      "",
      `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24",\n"vrrp": { "id": 51, "addresses": ["10.0.0.1"] } }`,
    ),
    5,
    /addresses\[0\] must be an address in 192\.168\.7\.1\/24/,
  ],
  [
    file(`"wireguard": [\n{ "name": "wg", "privateKey": "short" }]`),
    6,
    /privateKey must be a key of 32 bytes/,
  ],
  [file(`"wireguard": [{ "name": "wg" },\n{ "name": "wg2" }]`), 6, /port 51820 is another interface's/],
  [file(`"wireguard": [\n{ "name": "lan" }]`), 6, /another name/],
  [
    file(
      `"wireguard": [{ "name": "wg", "peers": [\n{ "publicKey": "${KEYS[0]}", "allowedIps": ["10.9.0.2"] }] }]`,
    ),
    6,
    /peers\[0\]\.allowedIps\[0\] must be a network/,
  ],
  [
    file(
      `"wireguard": [{ "name": "wg", "peers": [{ "publicKey": "${KEYS[0]}", "allowedIps": [],\n"endpoint": "a_b.example:1" }] }]`,
    ),
    6,
    /endpoint must be an address or a name with its port/,
  ],
  [
    file(
      `"wireguard": [{ "name": "wg", "peers": [{ "publicKey": "${KEYS[0]}", "allowedIps": [] },\n{ "publicKey": "${KEYS[0]}", "allowedIps": [] }] }]`,
    ),
    6,
    /peers\[1\]\.publicKey must be its own/,
  ],
  [
    file(
      `"wireguard": [{ "name": "wg", "peers": [{ "publicKey": "${KEYS[0]}", "allowedIps": ["10.9.0.0/24"] },\n{ "publicKey": "${KEYS[1]}", "allowedIps": ["10.9.0.7/24"] }] }]`,
    ),
    6,
    /allowedIps\[0\] must be of one peer alone/,
  ],
  [file(`"rip": { "on": ["lan"],\n"password": "seventeen letters" }`), 6, /rip\.password must be 1 to 16/],
  [file(`"rip": {\n"on": [], "password": "a", "key": { "secret": "b" } }`), 5, /with a key or a password/],
  [file(`"rip": { "on": [], "key": {\n"secret": "" } }`), 6, /rip\.key\.secret must be a secret of 1 to 32/],
  [
    file(`"babel": { "on": [], "keys": [\n{ "secret": "hex:0" }] }`),
    6,
    /keys\[0\]\.secret must be a secret of 1 to 64/,
  ],
  [
    file(`"babel": { "on": [], "keys": [\n{ "secret": "x", "algorithm": "md5" }] }`),
    6,
    /"hmac-sha256", "blake2s", not "md5"/,
  ],
  [file(`"babel": { "on": [],\n"permissive": true }`), 6, /permissive must be beside keys/],
  [
    file("", `{ "name": "lan", "address": "192.168.7.1/24", "link": { "bridge": [],\n"priority": 4096 } }`),
    4,
    /link\.bridge must be 1 to 64 ports/,
  ],
  [
    file(
      "",
      `{ "name": "lan", "address": "192.168.7.1/24", "link": { "bridge": [{ "tap": "a" }],\n"priority": 1 } }`,
    ),
    5,
    /priority must be a multiple of 4096/,
  ],
  [
    file(
      "",
      `{ "name": "lan", "address": "192.168.7.1/24", "link": { "bridge": [\n{ "vlan": 7, "on": "lan" }] } }`,
    ),
    5,
    /bridge\[0\] must be one of \{ "tap"/,
  ],
  [file("", LAN, `{ "link": { "bridge": [{ "tap": "a" }] } }`), 3, /a link of its own/],
  [file(`"tunnels": [{ "name": "t", "kind": "slip",\n"remote": "ttyS0" }]`), 6, /a UNIX socket.*or a port/],
  [
    file(`"tunnels": [{ "name": "t", "kind": "slip",\n"remote": "127.0.0.1:65536" }]`),
    6,
    /a UNIX socket.*or a port/,
  ],
  [
    file(`"tunnels": [\n{ "name": "t", "kind": "slip", "remote": "/run/line", "address6": "fd00:9::1/64" }]`),
    6,
    /"mtu" of 1280 at least/,
  ],
  [
    file(`"tunnels": [\n{ "name": "t", "kind": "slip", "remote": "/run/line", "key": 1 }]`),
    6,
    /without "key" and "local"/,
  ],
  [file(`"routes": [\n{ "to": "10.8.0.0/16" }]`), 6, /with "via" or "on", or 1 to 16 "hops"/],
  [
    file(`"routes": [\n{ "to": "10.8.0.0/16", "type": "blackhole", "on": "lan" }]`),
    6,
    /without next hops: it is of type "blackhole"/,
  ],
  [file(`"routes": [{ "to": "::/0",\n"type": "nowhere" }]`), 6, /"unreachable", "prohibit", not "nowhere"/],
  [file(`"routes": [\n{ "to": "10.8.0.0/16", "hops": [{ "weight": 2 }] }]`), 6, /in each of "hops"/],
  [file(`"routes": [\n{ "to": "::/0", "via": "fe80::1" }]`), 6, /its next hop is link-local/],
  [file(`"routes": [{ "to": "::/0",\n"on": "lam" }]`), 6, /an interface: "wan", "lan", not "lam"/],
  [file(`"policy": [\n{ "from": "10.0.0.0/8" }]`), 6, /lacks "table"/],
  [file(`"policy": [\n{ "mask": 1, "table": 7 }]`), 6, /a "mark" for its mask/],
  [file(`"policy": [{ "table": 7,\n"suppress": 129 }]`), 6, /suppress must be a whole number from 0 to 128/],
  [file(`"marks": [\n{ "mark": 1, "protocol": "icmp", "port": 7 }]`), 6, /marks\[0\]: .*has no ports/],
  [file(`"marks": [{ "mark": 1,\n"prot": "tcp" }]`), 6, /knows no "prot"/],
  [file(`"vrf": [{\n"table": 254, "on": [] }]`), 6, /another than the main one/],
  [
    file(`"vrf": [{ "table": 9, "on": ["lan"] },\n{ "table": 8, "on": ["lan"] }]`),
    6,
    /lan has a table already/,
  ],
  [file(`"nptv6": [\n{ "inside": "fd00::/48" }]`), 6, /with "outside", or with "subnet"/],
  [
    file(`"nptv6": [\n{ "inside": "fd00::/48", "outside": "2001:db8::/56" }]`),
    6,
    /two prefixes of one length/,
  ],
  [file(`"nptv6": [{\n"inside": "fd00::/96", "subnet": 1 }]`), 6, /1 to 64 bits long/],
  [file(`"clat":\n{}`), 6, /"ipv4" of the WANs "off"/],
  [
    file(
      `"clat":\n{ "prefix": "64:ff9b::/96" }`,
      LAN,
      `{ "link": { "tap": "w" }, "ipv4": "off", "ipv6": { "address": "fd00::2/64", "gateway": "fd00::1" } }`,
    ),
    6,
    /with "prefix" and "address"/,
  ],
  [file(`"clat": {\n"prefix": "64::/95" }`), 6, /"auto" or a prefix/],
  [
    file(
      "",
      `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24", "pool": "192.168.7.2-192.168.7.9",\n"relay": { "servers": ["192.0.2.53"] } }`,
    ),
    5,
    /without pool and reservations/,
  ],
  [
    file(
      "",
      `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24",\n"relay": { "servers": ["fe80::1"] } }`,
    ),
    5,
    /servers\[0\] must be a server's address/,
  ],
  [
    file(
      "",
      `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24",\n"relay": { "servers": [] } }`,
    ),
    5,
    /1 to 8 addresses/,
  ],
  ...["192.168.7.0/24", "192.168.7.255/24", "192.168.7.1/33", "224.0.0.1/24", "127.0.0.1/8"].map(
    (address): [string, number, RegExp] => [
      file("", `{ "name": "lan", "link": { "tap": "x" },\n"address": "${address}" }`),
      5,
      /lan\[0\]\.address must be an IPv4 address of a host/,
    ],
  ),
  ...["fd00::/64", "ff02::1/64", "::1/64", "fd00::1/129", "fd00::1/48"].map(
    (address): [string, number, RegExp] => [
      file(
        "",
        `{ "name": "lan", "link": { "tap": "x" }, "address": "10.0.0.1/24",\n"address6": "${address}" }`,
      ),
      5,
      /lan\[0\]\.address6 must be (an IPv6 address of a host|of a \/64)/,
    ],
  ),
  [
    file(
      "",
      `${LAN}, { "name": "a", "subnet": 1, "link": { "vlan": 5, "on": "lan" }, "address": "10.0.0.1/24" },
      { "name": "b", "subnet": 2, "link": { "vlan": 5, "on": "lan" }, "address": "10.0.1.1/24" }`,
    ),
    5,
    /VLAN 5 on "lan" is another network's already/,
  ],
  [
    file(
      "",
      LAN,
      `{ "link": { "tap": "w" }, "ipv4": { "address": "192.0.2.9/28",\n"gateway": "192.0.2.99" } }`,
    ),
    4,
    /gateway must be another address in 192\.0\.2\.9\/28/,
  ],
  [file("", LAN, `{ "link": { "tap": "lan0" } }`), 4, /TAP lan0 is there twice/],
  [
    file("", `${LAN},\n{ "name": "b", "subnet": 1, "link": { "tap": "b" }, "address": "192.168.7.129/25" }`),
    5,
    /192\.168\.7\.129\/25 and the network of lan overlap/,
  ],
  [
    file(
      "",
      LAN,
      `{ "link": { "tap": "w" }, "ipv4": { "address": "192.168.7.9/28", "gateway": "192.168.7.10" } }`,
    ),
    3,
    /192\.168\.7\.9\/28 and the network of lan overlap/,
  ],
];
