/** ESP and AH between two hosts: every mode, family and algorithm; fragments, MTU, NAT, routes; and nothing in the clear. */
import test from "ava";
import { info, textOf } from "../udp/support.js";
import { transfer } from "../support/transfer.js";
import { build, join, SUITES } from "./support.js";
import type { Built, End } from "./support.js";

const SECRET = "the words that nobody on the wire may read";
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const text = (data: Uint8Array): string => String.fromCharCode(...data);

/** Sends a datagram there and an answer back; what came back. The first may be lost to address resolution and be sent again. */
function talk(net: Built, from: End, to: End, address: string, message: string): string | undefined {
  const server = to.udp.open({
    port: 7,
    onReadable() {
      const sender = info();
      const heard = textOf(server, sender);
      if (heard !== undefined) server.sendTo(sender.address, sender.port, bytes(heard));
    },
  });
  const client = from.udp.open();
  let back: string | undefined;
  for (let i = 0; i < 3 && back === undefined; i++) {
    client.sendTo(address, 7, bytes(message));
    net.run(500);
    back = textOf(client);
  }
  server.close();
  client.close();
  return back;
}

for (const mode of ["transport", "tunnel", "beet"] as const) {
  for (const family of [4, 6] as const) {
    test(`${mode} over IPv${family}: every algorithm, small, fragmented, TCP`, (t) => {
      for (const [index, suite] of SUITES.entries()) {
        if (mode === "beet" && suite.options.protocol === "ah") continue;
        for (const esn of mode === "transport" ? [false, true] : [index % 2 === 0]) {
          const net = build(null, { delay: 1 });
          const { a, b } = net;
          const across = mode !== "transport";
          // The inner addresses are of the other family: tunnels and BEET mix them.
          const inner: [string, string] | undefined = across
            ? family === 4
              ? ["fd01::1", "fd01::2"]
              : ["10.1.0.1", "10.1.0.2"]
            : undefined;
          if (inner) {
            for (const [i, end] of [a, b].entries()) {
              const prefix = family === 4 ? "/64" : "/24";
              if (family === 4) end.ip6.addAddress(end.nif, inner[i] + prefix);
              else end.ip.addAddress(end.nif, inner[i] + prefix);
            }
          }
          const target = inner ? inner[1] : family === 4 ? b.address : b.address6;
          join(net, suite, { family, mode, esn, inner });
          const label = `${suite.name} esn ${esn}`;
          net.run(2000);
          t.is(talk(net, a, b, target, SECRET), SECRET, label);
          const many = "0123456789".repeat(300);
          // AH over IPv4 is not cut.
          if (suite.options.protocol !== "ah" || family === 6) {
            t.true(talk(net, a, b, target, many) === many, label + " 3000 bytes");
          }
          const { near, far } = transfer(a.tcp, b.tcp, target, { forth: 15000, back: 15000 });
          net.run(3000);
          t.deepEqual([near.received, near.wrong, far.received, far.wrong], [15000, -1, 15000, -1], label);
          if (!suite.name.startsWith("ah") && !/null|gmac/.test(suite.name)) {
            t.false(
              net.sent.flat().some((frame) => text(frame).includes("nobody on the wire")),
              label,
            );
          }
          const protocol = suite.options.protocol === "ah" ? 51 : 50;
          const carried = net.sent[0].filter(
            (frame) => frame[family === 4 ? 23 : 20] === protocol || frame[20] === 44,
          );
          t.true(carried.length > 10, label);
          a.stack.close();
          b.stack.close();
        }
      }
    });
  }
}
