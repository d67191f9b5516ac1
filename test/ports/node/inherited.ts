/** Started through tap-launcher.pl by fd.test.ts: a responder on the inherited device, until its standard input ends. */
import { openInheritedTap } from "../../../ports/node/index.js";
import { Responder } from "./responder.js";

const [mode, offloads, fd] = process.argv.slice(2);
const link = openInheritedTap({ mode: mode as "tap" | "tun", offloads: offloads === "true", fd: Number(fd) });
const responder = new Responder(link, [10, 99, 0, 2]);
console.log(JSON.stringify({ name: link.name, mtu: link.mtu, carriers: responder.carriers }));
const watch = setInterval(() => {
  if (!link.failure) return;
  clearInterval(watch);
  console.log(JSON.stringify({ failure: link.failure.code }));
}, 5);
process.stdin.resume().on("end", () => {
  const { echoes, carriers } = responder;
  console.log(JSON.stringify({ echoes, carriers, errors: link.transmitErrors }));
  clearInterval(watch);
  link.close();
});
