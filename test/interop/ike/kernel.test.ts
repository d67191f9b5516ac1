/**
 * strongSwan whose ESP is the Linux kernel's (user-mode-linux): ESP without UDP around it, extended sequence numbers, transport mode. Its
 * user-space ESP, which the other tests have, knows none of them.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { nodeHost } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import type { ChildSa } from "../../../stack/ike/child-sa.js";
import { ike } from "../../../stack/ike/ike.js";
import { ikeResponder } from "../../../stack/ike/ike-responder.js";
import { ipsecChildren } from "../../../stack/ike/ipsec-children.js";
import { esp } from "../../../stack/ipsec/esp.js";
import { ipsec } from "../../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../../stack/ipsec/nat-traversal.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { udp } from "../../../stack/udp/udp.js";
import { until } from "../../support/until.js";
import { startUml } from "../support/uml.js";
import { spi } from "./site.js";

/** What strongSwan wants of each child, and where it lies; the last has the two ends alone. */
const CHILDREN = [
  ["gcm", "aes256gcm16-esn", "10.9.1.0/24"],
  ["cbc", "aes256-sha256-esn", "10.9.2.0/24"],
  ["plain", "chacha20poly1305-noesn", "10.9.3.0/24"],
  ["transport", "aes128gcm16-esn", ""],
] as const;

/** charon in user-mode-linux: its files are read through hostfs, from a folder that is not hidden by a tmpfs there. */
async function startCharon(t: ExecutionContext) {
  const uml = await startUml(t, ["xfrm_user", "esp4", "tunnel4"]);
  const folder = mkdtempSync("/var/tmp/anystack-charon-");
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["x509", "x509ca", "private", "pubkey", "pkcs8", "rsa", "ecdsa", "conf.d"])
    mkdirSync(join(folder, name));
  // What the kernel loads by itself, ciphers above all, comes from its own tree.
  mkdirSync(join(folder, "lib"));
  symlinkSync("/usr/lib/uml/modules", join(folder, "lib/modules"));
  writeFileSync(join(folder, "modprobe"), `#!/bin/sh\nexec /sbin/modprobe -d ${folder} "$@"\n`, {
    mode: 0o755,
  });
  await uml.sh(`echo ${folder}/modprobe >/proc/sys/kernel/modprobe`);
  const children = CHILDREN.map(
    ([name, proposal, network]) =>
      `${name} { esp_proposals = ${proposal} \n replay_window = 128 \n ${
        network ? `local_ts = ${network} \n remote_ts = 10.8.0.0/16` : "mode = transport"
      } }`,
  );
  writeFileSync(
    join(folder, "swanctl.conf"),
    `connections { a {
      local_addrs = 10.77.0.1 \n remote_addrs = 10.77.0.2
      local { auth = psk } \n remote { auth = psk }
      children { ${children.join("\n")} }
    } }
    secrets { ike-a { secret = "secret" } }`,
  );
  const vici = "plugins { vici { socket = unix:///run/vici } }";
  writeFileSync(
    join(folder, "strongswan.conf"),
    `charon-systemd {
      load = random nonce openssl hmac kdf sha1 sha2 gcm chapoly curve25519 socket-default kernel-netlink vici
      ${vici}
      journal { default = -1 }
      filelog { stderr { default = 1 } }
    }
    swanctl { load = openssl random \n ${vici} }`,
  );
  const environment = `STRONGSWAN_CONF=${folder}/strongswan.conf SWANCTL_DIR=${folder}`;
  const swanctl = (line: string) =>
    uml.sh(`${environment} swanctl ${line} --uri unix:///run/vici 2>&1`, 60_000);
  await uml.sh("ip address add 10.77.0.1/24 dev vec0; ip link set vec0 up");
  for (const [, , network] of CHILDREN)
    if (network) await uml.sh(`ip address add ${network.replace("0/24", "1/24")} dev lo`);
  await uml.sh(`${environment} charon-systemd >/run/charon.log 2>&1 & sleep 0.1`);
  await until("charon", async () => (await swanctl("--stats || true")).includes("uptime"));
  await swanctl("--load-all --noprompt");
  t.teardown(async () => {
    if (!t.passed) t.log(await uml.sh("tail -c 8000 /run/charon.log"));
  });
  return { uml, swanctl };
}

test("the kernel's ESP: no UDP around it, extended sequence numbers, transport mode; either begins, both rekey, nothing is lost", async (t) => {
  const { uml, swanctl } = await startCharon(t);
  const host = nodeHost();
  const ip = ipv4();
  const security = ipsec({ otherwise: "discard" });
  const vpn = ike({ sink: ipsecChildren(security), responder: ikeResponder() });
  const stack = host.drive(
    createStack(host, [
      ethernet(),
      arp(),
      ip,
      fragments(),
      icmp(),
      udp(),
      security,
      esp(),
      natTraversal(),
      vpn,
    ]),
  );
  t.teardown(() => stack.close());
  const nif = stack.addInterface(uml.link);
  ip.addAddress(nif, "10.77.0.2/24");
  ip.addAddress(nif, "10.8.0.1/16");
  ip.addRoute("10.9.0.0/16", { gateway: "10.77.0.1" });
  const made: ChildSa[] = [];
  const options = {
    psk: "secret",
    children: CHILDREN.map(([, , network]) =>
      network ? { local: ["10.8.0.0/16"], remote: [network] } : { mode: "transport" as const },
    ),
    onChild: (_connection: unknown, child: ChildSa, up: boolean) => {
      if (up) made.push(child);
      else made.splice(made.indexOf(child), 1);
    },
  };
  /** How many of the first `count` echoes come back: with a deadline ping waits for them as long as a busy machine takes. */
  const ping = async (from: string, to: string, count: number, size = 56) => {
    const text = await uml.sh(
      `ping -n -c ${count} -i 0.02 -w 60 -s ${size} -I ${from} ${to} || true`,
      120_000,
    );
    const answered = [...text.matchAll(/ bytes from .* icmp_seq=(\d+) /g)].map(([, number]) =>
      Number(number),
    );
    return answered.filter((number) => number <= count).length;
  };
  /** Through each child there and back, in fragments too; what the kernel says of its states. */
  const judge = async (count = 3) => {
    await until("four children", () => made.length === 4);
    for (const [name, , network] of CHILDREN) {
      const [from, to] = network ? [network.replace("0/24", "1"), "10.8.0.1"] : ["10.77.0.1", "10.77.0.2"];
      for (const size of [56, 3000]) {
        t.is(await ping(from, to, count, size), count, `${name}, ${size} bytes`);
      }
    }
    const states = (await uml.sh("ip xfrm state")).split(/^(?=src)/m);
    for (const child of made) {
      t.is(child.localPort, 0);
      for (const own of [child.spiIn, child.spiOut]) {
        const state = states.find((text) => text.includes(`spi 0x${spi(own)} `))!;
        t.is(/flag [^\n]*esn/.test(state), child.esn, state);
        t.is(/mode (\w+)/.exec(state)![1], child.tunnel ? "tunnel" : "transport");
        t.notRegex(state, /encap type espinudp/);
      }
    }
    t.is(made.filter(({ esn }) => esn).length, 3);
    t.is(made.filter(({ tunnel }) => !tunnel).length, 1);
  };

  const ours = vpn.connect({ ...options, remote: "10.77.0.1" });
  await judge();
  const pings = ping("10.9.1.1", "10.8.0.1", 100);
  for (let i = 0; i < 2; i++) {
    const [old] = made;
    ours.rekey(old);
    await until("our rekey", () => made.length === 4 && !made.includes(old!));
    const sa = ours.sa;
    ours.rekey();
    await until("our IKE SA", () => ours.sa !== sa && sa!.dead && ours.established());
  }
  t.is(await pings, 100);
  ours.close();
  await until("gone", () => vpn.sas.size === 0);

  vpn.connect(options);
  for (const [name] of CHILDREN) await swanctl(`--initiate --child ${name}`);
  await judge();
  const before = made.slice();
  for (const [name] of CHILDREN) await swanctl(`--rekey --child ${name}`);
  await until("their rekeys", () => made.length === 4 && made.every((child) => !before.includes(child)));
  await judge(1);
  const { policy, replay, auth } = { ...stack.counters.ipsec!, ...stack.counters.esp! };
  t.deepEqual([policy ?? 0, replay ?? 0, auth ?? 0], [0, 0, 0]);
});
