/** Happy Eyeballs (RFC 8305): the first family that answers wins, and a broken one costs a quarter of a second. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { createWorld, wire } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { ECONNREFUSED, ENOENT } from "../../stack/core/errors.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { happy } from "../../stack/service/happy.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { closeAll } from "../support/leaks.js";

interface Answers {
  /** Addresses and the delay of their answer, ms; an empty list: no such records. */
  v6?: [string[], number];
  v4?: [string[], number];
  sort?(addresses: string[]): string[];
}

function world2(t: ExecutionContext, answers: Answers) {
  const world = createWorld({ seed: 3, scribble: true });
  const links = wire(world, { delay: 5 });
  const ends = links.map((link, i) => {
    const ip4 = ipv4();
    const ip6 = ipv6();
    const sockets = tcp({ timeWait: 100 });
    const host = world.host();
    const stack = host.drive(
      createStack(host, [ethernet(), arp(), ip4, icmp(), ip6, icmpv6(), nd(), sockets]),
    );
    const nif = stack.addInterface(link);
    ip4.addAddress(nif, `10.0.0.${i + 1}/24`);
    ip6.addAddress(nif, `2001:db8::${i + 1}/64`);
    return { stack, sockets };
  });
  const log: string[] = [];
  const names = {
    cancelled: 0,
    lookup(_name: string, options: { family?: number }, callback: (code: number, list: string[]) => void) {
      const answer = options.family === 6 ? answers.v6 : answers.v4;
      let live = true;
      if (answer) {
        world.at(answer[1], () => live && callback(answer[0].length > 0 ? 0 : ENOENT, answer[0]));
      }
      return { cancel: () => void ((live = false), names.cancelled++) };
    },
  };
  let socket: TcpSocket | null = null;
  const start = world.time;
  const attempt = happy(ends[0].sockets, names, {
    name: "device.example",
    port: 80,
    sort: answers.sort,
    onConnect(won) {
      socket = won;
      log.push(`${won.remoteAddress()} after ${Math.round(world.time - start)}`);
    },
    onError: (code) => log.push("error " + code),
  });
  t.teardown(() => {
    const stacks = ends.map((end) => end.stack);
    const leaks = closeAll(world, stacks);
    if (leaks.length > 0) throw new Error(leaks.join("\n"));
  });
  return {
    world,
    log,
    attempt,
    names,
    server: ends[1].sockets,
    client: ends[0].sockets,
    socket: () => socket,
  };
}

test("IPv6 wins where both answer", (t) => {
  const { world, log, server, client } = world2(t, { v6: [["2001:db8::2"], 30], v4: [["10.0.0.2"], 10] });
  server.listen({ port: 80 });
  world.run(1000);
  t.is(log.length, 1);
  t.regex(log[0], /^2001:db8::2 after [456]\d$/);
  t.is(client.connections.size, 1);
});

test("an AAAA answer that is late does not hold IPv4 up for more than 50 ms", (t) => {
  const { world, log, server, names } = world2(t, { v6: [["2001:db8::2"], 5000], v4: [["10.0.0.2"], 10] });
  server.listen({ port: 80 });
  world.run(1000);
  t.regex(log[0], /^10\.0\.0\.2 after [78]\d$/);
  world.run(10_000);
  t.is(log.length, 1);
  t.true(names.cancelled > 0);
});

test("an IPv6 address where nobody is costs 250 ms", (t) => {
  const { world, log, server, client } = world2(t, { v6: [["2001:db8::77"], 10], v4: [["10.0.0.2"], 10] });
  server.listen({ port: 80 });
  world.run(2000);
  t.regex(log[0], /^10\.0\.0\.2 after 2[78]\d$/);
  t.is(client.connections.size, 1);
});

test("a refused address is passed over at once; families alternate", (t) => {
  const { world, log, server } = world2(t, { v6: [["2001:db8::2"], 10], v4: [["10.0.0.2"], 10] });
  server.listen({ port: 80, family: 4 });
  world.run(1000);
  t.regex(log[0], /^10\.0\.0\.2 after \d\d$/);
});

test("of several addresses: families in turn, each a quarter of a second after the one before", (t) => {
  const v6 = ["2001:db8::71", "2001:db8::72", "2001:db8::73"];
  const v4 = ["10.0.0.71", "10.0.0.72"];
  const { world, client, attempt } = world2(t, { v6: [v6, 10], v4: [v4, 10] });
  const start = world.time;
  const tried: [string, number][] = [];
  const connect = client.connect.bind(client);
  client.connect = (options) => {
    tried.push([options.address, Math.round((world.time - start - 10) / 250)]);
    return connect(options);
  };
  world.run(1200);
  t.deepEqual(
    tried.map(([address]) => address),
    [v6[0], v4[0], v6[1], v4[1], v6[2]],
  );
  t.deepEqual(
    tried.map(([, quarter]) => quarter),
    [0, 1, 2, 3, 4],
  );
  attempt.cancel();
  t.is(client.connections.size, 0);
});

test("the family that the order prefers goes first, whichever has answered first", (t) => {
  const prefers4 = (addresses: string[]) =>
    addresses.slice().sort((a, b) => +a.includes(":") - +b.includes(":"));
  const answers: Answers = { v6: [["2001:db8::2"], 20], v4: [["10.0.0.2"], 10], sort: prefers4 };
  const four = world2(t, answers);
  four.server.listen({ port: 80 });
  four.world.run(1000);
  t.regex(four.log[0], /^10\.0\.0\.2 after [34]\d$/);
  const six = world2(t, { ...answers, sort: (addresses) => addresses });
  six.server.listen({ port: 80 });
  six.world.run(1000);
  t.regex(six.log[0], /^2001:db8::2 after [34]\d$/);
});

test("nobody answers: the last code; no name: the resolver's", (t) => {
  const refused = world2(t, { v6: [["2001:db8::2"], 10], v4: [["10.0.0.2"], 20] });
  refused.world.run(5000);
  t.deepEqual(refused.log, ["error " + ECONNREFUSED]);
  const unknown = world2(t, { v6: [[], 10], v4: [[], 20] });
  unknown.world.run(5000);
  t.deepEqual(unknown.log, ["error " + ENOENT]);
});

test("cancelled, it says nothing more", (t) => {
  const { world, log, server, attempt, client } = world2(t, { v6: [["2001:db8::2"], 10], v4: [[], 10] });
  server.listen({ port: 80 });
  world.run(12);
  attempt.cancel();
  attempt.cancel();
  world.run(5000);
  t.deepEqual(log, []);
  t.is(client.connections.size, 0);
});
