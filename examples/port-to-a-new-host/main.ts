/**
 * Steps 3 and 4 of the porting guide: the conformance kit, then the first ping. Run it: `npx tsx examples/port-to-a-new-host/main.ts`.
 *
 * Two hosts of the new kind stand in one process with a serial line between them; nothing here knows Node but the clock, the
 * entropy and `console.log`.
 */
import { checkHost } from "../../hypercall/conformance.js";
import { createStack } from "../../stack/index.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ipLink } from "../../stack/link/ip.js";
import { ping } from "../../stack/raw/ping.js";
import { serialCable } from "./cable.js";
import { LoopHost } from "./host.js";
import { SlipLink } from "./slip.js";

const clock = () => performance.now();
const entropy = (target: Uint8Array) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>);
const host = () => new LoopHost(clock, entropy, (line) => console.log(line));

/** Goes round until `done`, `ms` at most; sleeps a moment each time, so that the machine can do other things. */
async function loop(hosts: LoopHost[], done: () => boolean, ms: number): Promise<void> {
  for (const end = clock() + ms; clock() < end && !done();) {
    for (const each of hosts) each.turn();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Step 3: what is wrong with the port? */
async function conform(): Promise<number> {
  const links = serialCable(clock).map((pipe) => new SlipLink(pipe));
  const tried = host();
  const check = checkHost(tried, (code, message) => console.log(`${code}: ${message}`), links);
  tried.drive(check, ...links);
  await loop([tried], () => check.finished, 10_000);
  await loop([tried], () => false, 100);
  return check.finish();
}

/** Step 4: two stacks, a ping each second. */
async function hello(): Promise<number> {
  const pipes = serialCable(clock);
  const hosts: LoopHost[] = [];
  const asker = ping();
  pipes.forEach((pipe, index) => {
    const link = new SlipLink(pipe);
    const own = host();
    const ip = ipv4();
    const stack = createStack(own, [ipLink(), ip, icmp(), ...(index === 0 ? [asker] : [])]);
    ip.addAddress(stack.addInterface(link), `10.0.0.${index + 1}/24`);
    hosts.push(own);
    own.drive(stack, link);
  });
  let replies = 0;
  const socket = asker.open({
    address: "10.0.0.2",
    onReply: ({ address, sequence, rtt, ttl, data }) => {
      replies++;
      console.log(`${data.length} bytes from ${address}: seq=${sequence} ttl=${ttl} time=${rtt} ms`);
    },
  });
  for (let i = 1; i <= 3; i++) {
    socket.send(new Uint8Array(56));
    await loop(hosts, () => replies === i, 1000);
  }
  return replies;
}

const findings = await conform();
console.log(findings === 0 ? "the port conforms" : `${findings} findings`);
const replies = await hello();
console.log(`${replies} of 3 pings answered`);
process.exitCode = findings === 0 && replies === 3 ? 0 : 1;
