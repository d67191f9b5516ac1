/**
 * The user-mode uplink with a Linux kernel behind it: a user-mode-linux guest on an L2TPv3 cable, run by a user without privileges,
 * reaches servers on this machine's loopback; and this machine a server of the guest's.
 */
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { openUdpFrame, openUplink } from "../../../ports/node/index.js";
import { scratch } from "../support/site.js";
import { run, start } from "../support/process.js";

const SIZE = 8 << 20;
/** Somebody without privileges. */
const NOBODY = 65534;

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** Pages of this machine's loopback: `/N` has N bytes; what is sent to it is answered by its hash. */
async function serveHost(t: ExecutionContext): Promise<number> {
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      response.end(Buffer.alloc(Number(request.url!.slice(1)), "uplink "));
      return;
    }
    const hash = createHash("sha256");
    request.on("data", (bytes: Buffer) => hash.update(bytes));
    request.on("end", () => response.end(hash.digest("hex") + "\n"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("a guest without root fetches and sends, resolves, is refused, pings, and serves", async (t) => {
  const folder = scratch(t);
  chmodSync(folder, 0o777);
  const [port, guestPort] = [await serveHost(t), await freePort()];
  const link = await openUdpFrame({
    remote: { port: guestPort },
    l2tpv3: { receiveSession: 1, transmitSession: 2 },
  });
  const far = openUplink({ link, loopback: "10.0.2.2" });
  t.teardown(() => far.close());
  const door = await far.uplink.forward({ protocol: "tcp", port: 0, to: "10.0.2.15", toPort: 8080 });
  const script = join(folder, "init.sh");
  const curl = "curl -s -m 30";
  writeFileSync(
    script,
    `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /mnt
ip link set lo up; ip link set vec0 up
ip address add 10.0.2.15/24 dev vec0; ip route add default via 10.0.2.2
echo 0 65535 >/proc/sys/net/ipv4/ping_group_range
yes somewhat | head -c ${SIZE} >/mnt/body
cd /mnt
echo "down $(${curl} http://10.0.2.2:${port}/${SIZE} | sha256sum)"
echo "up $(${curl} -T body http://10.0.2.2:${port}/) $(sha256sum <body)"
echo "four $(for i in 1 2 3 4; do ${curl} http://10.0.2.2:${port}/100000 | sha256sum & done; wait)" | tr '\\n' ' '; echo
${curl} http://10.0.2.2:1/; echo "refused $?"
ping -n -c 2 -i 0.2 -W 2 10.0.2.2
echo "through the door" >index.html
python3 -m http.server --bind 10.0.2.15 8080 >/dev/null 2>&1 &
while ! ss -Htln | grep -q :8080; do sleep 0.1; done
echo serving
while [ ! -e ${folder}/done ]; do sleep 0.1; done
busybox poweroff -f
`,
    { mode: 0o755 },
  );
  // A guest is many processes, in the group that `timeout` makes: it ends them all when it is told to end, or late.
  const guest = start("timeout", [
    ...["-k", "1", "120", "setpriv"],
    ...[
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      "--clear-groups",
      "env",
      `HOME=${folder}`,
      `TMPDIR=${folder}`,
    ],
    ...[
      "linux.uml",
      "mem=192M",
      "root=/dev/root",
      "rootfstype=hostfs",
      "rootflags=/",
      "ro",
      `init=${script}`,
    ],
    ...["con=null", "con0=null,fd:1", `uml_dir=${folder}`],
    `vec0:transport=l2tpv3,src=127.0.0.1,dst=127.0.0.1,udp=1,srcport=${guestPort},dstport=${link.localPort},` +
      "rx_session=0x2,tx_session=0x1,mac=02:00:0a:00:02:0f",
  ]);
  t.teardown(() => guest.stop());
  await guest.until(/serving/, 100_000);
  const expected = createHash("sha256").update(Buffer.alloc(SIZE, "uplink ")).digest("hex");
  const small = createHash("sha256").update(Buffer.alloc(100_000, "uplink ")).digest("hex");
  const text = guest.output;
  t.is(/^down (\w+)/m.exec(text)?.[1], expected);
  const up = /^up (\w+) (\w+)/m.exec(text);
  t.true(up !== null && up[1] === up[2], text);
  t.is(text.split(small).length - 1, 4);
  t.regex(text, /^refused 7/m);
  t.regex(text, /2 received/);
  const { stdout } = await run("curl", ["-s", "-m", "60", `http://127.0.0.1:${door.port}/`]);
  t.is(stdout, "through the door\n");
  writeFileSync(join(folder, "done"), "");
  await guest.ended();
  const { counters } = far.uplink;
  t.is(counters.badsum + counters.malformed + counters.full + counters.denied, 0);
  t.is(counters.refused, 1);
});
