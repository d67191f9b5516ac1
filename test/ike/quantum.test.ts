/** What is to stand when key exchanges of today do not: preshared keys besides (RFC 8784). */
import { createHmac, generateKeyPairSync } from "node:crypto";
import test from "ava";
import fc from "fast-check";
import { rawKeyAuth } from "../../stack/ike/raw-key-auth.js";
import { SK_D } from "../../stack/ike/keys.js";
import { postquantumKey } from "../../stack/ike/postquantum-key.js";
import * as wire from "../../stack/wire/ike.js";
import { B, PSK, ends, same } from "./ends.js";
import type { Ends } from "./ends.js";

const KEY = "a secret of thirty-two bytes and more, from paper";

/** A notification's type is in one of the plain messages. */
function says({ sent }: Ends, end: number, type: number): boolean {
  return sent[end]!.some((packet) =>
    Buffer.from(packet).includes(Buffer.of(0, 0, 0, 8, 0, 0, type >> 8, type).subarray(2)),
  );
}

test("PPK: who has it, who wants it, and whether it is the same decide (RFC 8784 section 3)", (t) => {
  const choice = fc.constantFrom("none", "optional", "required");
  fc.assert(
    fc.property(choice, choice, fc.constantFrom("same", "key", "id"), fc.boolean(), (one, two, how, psk) => {
      const ppk = (what: string, id: string, key: string) =>
        what === "none" ? {} : { ppk: postquantumKey({ id, key, required: what === "required" }) };
      const site = ends(t);
      const [a, b] = [0, 1].map(() => {
        const { privateKey, publicKey } = generate();
        return { privateKey, publicKey };
      });
      const auth = (own: typeof a, peer: typeof a) =>
        psk ? {} : { psk: undefined, auth: rawKeyAuth({ key: own!.privateKey, peer: peer!.publicKey }) };
      site.connect(0, { remote: B, ...auth(a, b), ...ppk(one, "k", KEY) });
      site.connect(1, {
        ...auth(b, a),
        remoteIdentity: "10.0.0.1",
        ...ppk(two, how === "id" ? "l" : "k", how === "key" ? KEY + "!" : KEY),
      });
      site.run(500);
      const both = one !== "none" && two !== "none";
      const needed = one === "required" || two === "required";
      const used = both && how === "same";
      // The id says that it is the key: then another key is a wrong proof.
      const works = used || (both && how === "key" ? false : !needed);
      t.is(site.told[0]![0] === "established", works, `${one} ${two} ${how} ${psk} ${site.told[0]!.join()}`);
      t.is(site.told[1]![0] === "established", works);
      if (works) {
        same(t, site);
        site.vpn[1]!.sas.each((sa) => t.is(sa.mixed, used));
      } else t.is(site.vpn[1]!.counters.children, 0);
      t.is(says(site, 0, wire.USE_PPK), one !== "none");
      t.is(says(site, 1, wire.USE_PPK), both);
    }),
    { numRuns: 40 },
  );
});

test("PPK: it is in SK_d and with it in all children and rekeys, as HMAC of another says", (t) => {
  const keys: Uint8Array[] = [];
  const site = ends(t, { ike: () => ({}) });
  const ppk = postquantumKey({ id: "k", key: KEY });
  const mix = ppk.mix.bind(ppk);
  ppk.mix = (sa) => {
    keys.push(sa.keys!.get(SK_D).slice());
    const former = mix(sa);
    keys.push(sa.keys!.get(SK_D).slice());
    return former;
  };
  const peer = site.connect(0, { remote: B, ppk });
  site.connect(1, { ppk: postquantumKey({ id: "k", key: KEY }) });
  site.run(500);
  // prf+ (section 2.13 of RFC 7296) of 32 bytes is one HMAC.
  const expected = createHmac("sha256", KEY).update(keys[0]!).update(Uint8Array.of(1)).digest();
  t.deepEqual(Buffer.from(keys[1]!), expected);
  peer.rekey();
  site.run(500);
  peer.rekey(site.children[0]![0]);
  site.run(500);
  same(t, site);
  t.deepEqual(site.told, [["established"], ["established"]]);
});

test("PPK: misuse throws; forged notifications in IKE_SA_INIT change nothing but that it fails", (t) => {
  for (const options of [
    { id: "", key: KEY },
    { id: "k", key: "short" },
    { id: "k", key: new Uint8Array(31) },
    { id: "k".repeat(300), key: KEY },
  ]) {
    t.throws(() => postquantumKey(options), { code: "EINVAL" });
  }
  // Somebody between the two takes USE_PPK away: AUTH covers it.
  for (const end of [0, 1]) {
    const site = ends(t);
    const send = site.vpn[end]!.ports.send;
    site.vpn[end]!.ports.send = (local, port, remote, remotePort, packet) => {
      const at = Buffer.from(packet).indexOf(Buffer.of(wire.USE_PPK >> 8, wire.USE_PPK & 255));
      const changed = packet.slice();
      if (at >= 0) changed[at + 1] = 0xff;
      send(local, port, remote, remotePort, changed);
    };
    const ppk = () => postquantumKey({ id: "k", key: KEY, required: false });
    site.connect(0, { remote: B, psk: PSK, ppk: ppk() });
    site.connect(1, { ppk: ppk() });
    site.run(500);
    t.false(site.told[0]!.includes("established"));
    t.is(site.vpn[0]!.counters.children, 0);
  }
});

function generate(): { privateKey: Uint8Array; publicKey: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey: privateKey.export({ format: "der", type: "pkcs8" }),
    publicKey: publicKey.export({ format: "der", type: "spki" }),
  };
}
