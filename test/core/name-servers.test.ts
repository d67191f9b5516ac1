/** The place where all that say whom to ask for names meet the resolver. */
import test from "ava";
import { nameServers, NameServers } from "../../stack/core/name-servers.js";
import { pair } from "../support/network.js";

test("the user's servers come first, then each origin's in the order of their first word", (t) => {
  const { a } = pair(t);
  const names = new NameServers();
  let changes = 0;
  names.onChange.push(() => changes++);
  names.set("dhcp", a.nif, ["10.0.0.3", "10.0.0.4"], ["lan", "example.org"]);
  names.set("ra", a.nif, ["fe80::1%eth0"], ["lan"]);
  names.set("manual", null, ["192.0.2.1"], ["corp"]);
  t.deepEqual(names.list(), [
    { address: "192.0.2.1", interface: null, origin: "manual" },
    { address: "10.0.0.3", interface: a.nif, origin: "dhcp" },
    { address: "10.0.0.4", interface: a.nif, origin: "dhcp" },
    { address: "fe80::1%eth0", interface: a.nif, origin: "ra" },
  ]);
  t.deepEqual(names.search(), ["corp", "lan", "example.org"], "each domain once");
  names.set("dhcp", a.nif, ["10.0.0.9"], []);
  t.deepEqual(
    names.list().map((server) => server.address),
    ["192.0.2.1", "10.0.0.9", "fe80::1%eth0"],
    "a new word takes the place of the old",
  );
  names.set("dhcp", a.nif, [], []);
  names.set("manual", null, [], []);
  t.deepEqual(
    names.list().map((server) => server.origin),
    ["ra"],
  );
  t.is(changes, 6);
  names.set("dhcp", a.nif, [], []);
  t.is(changes, 6, "nothing was there, nothing changes");
});

test("lists are copied in and out; two interfaces of one origin are two", (t) => {
  const { a, b } = pair(t);
  const names = nameServers(a.stack);
  t.is(nameServers(a.stack), names);
  t.is(a.stack.nameServers, names);
  const servers = ["10.0.0.3"];
  names.set("dhcp", a.nif, servers, []);
  names.set("dhcp", b.nif, ["10.0.0.4"], []);
  servers.push("10.0.0.5");
  names.list()[0].address = "changed";
  t.deepEqual(
    names.list().map((server) => server.address),
    ["10.0.0.3", "10.0.0.4"],
  );
});
