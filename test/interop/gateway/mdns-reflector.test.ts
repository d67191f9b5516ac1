/** The multicast DNS reflector between two links, each with an avahi of its own: each finds what the other offers. */
import test from "ava";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { mdnsReflector } from "../../../stack/service/mdns-reflector.js";
import { startAvahi } from "../support/avahi.js";
import { createGateway } from "../support/gateway.js";

test("a name and a service of one link are found on the other, over both families", async (t) => {
  const reflector = mdnsReflector();
  const { lan, wan, lanNif, wanNif } = await createGateway(t, { components: [igmp(), mld(), reflector] });
  reflector.add(lanNif);
  reflector.add(wanNif);
  t.throws(() => reflector.add(lanNif), { code: "EBUSY" });
  const near = await startAvahi(t, { ns: lan, device: "lan0" }, { name: "near", four: true, six: true });
  const far = await startAvahi(t, { ns: wan, device: "wan0" }, { name: "far", four: true, six: true });
  const offer = far.start("avahi-publish", "-s", "printer in the cellar", "_ipp._tcp", "631");
  await offer.until(/Established/);
  const found = await near.run("avahi-browse", "-p", "-r", "-t", "_ipp._tcp");
  t.regex(found.stdout, /=;lan0;IPv4;printer\\032in\\032the\\032cellar;.*;far\.local;10\.2\.0\.2;631/);
  const back = await far.run("avahi-resolve", "-4", "-n", "near.local");
  t.regex(back.stdout, /near\.local\s+10\.1\.0\.2/);
  const six = await far.run("avahi-resolve", "-6", "-n", "near.local");
  t.regex(six.stdout, /near\.local\s+fd01::2/);
  await offer.stop();
  t.like(reflector.counters, { malformed: 0, circles: 0, joinFailed: 0 });
  t.true(reflector.counters.reflected > 0);
  reflector.remove(lanNif);
  const gone = await far.run("avahi-resolve", "-4", "-n", "other.local");
  t.notRegex(gone.stdout, /10\.1/);
});
