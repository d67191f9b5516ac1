/** The firmware images on QEMU's boards: an address by DHCP, ping, a page served, a page fetched by name. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { BOARDS, buildImage } from "../../../examples/firmware-image/build.js";
import { createBoard, pattern, servePage, SERVER } from "./board.js";
import { until } from "../../support/until.js";

for (const [machine, { about }] of Object.entries(BOARDS)) {
  for (const script of machine === "mps2-an385"
    ? (["bytecode", "source"] as const)
    : (["bytecode"] as const)) {
    test(`${machine} (${about}), ${script}: DHCP, ping, HTTP both ways, names`, async (t) => {
      t.timeout(240_000);
      const image = await buildImage(machine, { script });
      const board = await createBoard(t, {
        machine,
        image,
        options: { fetch: `http://${SERVER}:8000/page`, every: 3, hostname: "lamp" },
      });
      const address = await board.address();
      t.regex(address, /^10\.77\.0\.1\d\d$/);
      t.regex(
        readFileSync(join(board.folder, "leases"), "utf8"),
        new RegExp(`02:00:0a:4d:00:02 ${address} lamp `),
      );

      const { stdout } = await board.ns.run("ping", ["-c", "5", "-w", "60", "-s", "1400", address]);
      t.regex(stdout, / ([5-9]|\d\d+) received/);

      t.regex(await board.curl("/"), /<h1>A TCP\/IP stack on bare metal<\/h1>/);
      t.regex(
        await board.curl("/none", "--no-fail", "--retry", "0", "-o", "/dev/null", "-w", "%{http_code}"),
        /^404$/,
      );
      await board.curl("/bytes/100000", "-o", join(board.folder, "body"));
      t.deepEqual(readFileSync(join(board.folder, "body")), pattern(100_000));

      // Nobody has served the page until now.
      const crc = await servePage(board, 50_000);
      await until("a fetch", async () => (await board.state()).fetches.succeeded > 0);
      const { fetches, counters } = await board.state();
      t.like(fetches.last, { code: 0, address: "10.77.0.1", status: 200, bytes: 50_000, crc });
      t.is(counters.host!.random, 0);
      t.is(counters.host!.callback, 0);
    });
  }
}
