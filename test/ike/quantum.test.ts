/** What is to stand when key exchanges of today do not: preshared keys besides (RFC 8784), additional key exchanges (RFC 9370). */
import { createHmac, generateKeyPairSync } from "node:crypto";
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { nobleCrypto } from "../../ports/noble/index.js";
import { additionalKeyExchanges } from "../../stack/ike/additional-key-exchanges.js";
import { ikeFragmentation } from "../../stack/ike/ike-fragmentation.js";
import type { ConnectionOptions } from "../../stack/ike/ike.js";
import { rawKeyAuth } from "../../stack/ike/raw-key-auth.js";
import { SK_D, SK_PI, SK_PR } from "../../stack/ike/keys.js";
import { Writer } from "../../stack/ike/message.js";
import { postquantumKey } from "../../stack/ike/postquantum-key.js";
import * as wire from "../../stack/wire/ike.js";
import { A, B, PSK, ends, same } from "./ends.js";
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

const HYBRID = "aes256gcm16-prfsha256-x25519-ke1_mlkem768";
const kems = () => ({ keyExchanges: additionalKeyExchanges() });
/** A provider, and one over it that writes down what responders' exchanges came to: public values, the peer's first, and secrets. */
function watchedCrypto() {
  const crypto = nobleCrypto();
  const secrets: Buffer[] = [];
  const shares: Uint8Array[] = [];
  const respond: typeof crypto.respond = (group, peer, done) =>
    crypto.respond(group, peer, (own, secret) => {
      if (secret) secrets.push(Buffer.from(secret));
      if (own) shares.push(peer.slice(), own.slice());
      done(own, secret);
    });
  return { crypto, watched: { ...crypto, respond }, secrets, shares };
}

/** Two ends that have each other, over a network that loses, doubles and mixes up; what they say is said often enough. */
function overBadNetwork(t: ExecutionContext, connection: ConnectionOptions, seed: number) {
  const bad = { loss: 0.1, duplicate: 0.1, reorder: 0.1, reorderDelay: 20, delay: 5 };
  const other = ends(t, { ike: kems, crypto: nobleCrypto(), wire: { a: bad, b: bad }, seed });
  const more = { ...connection, retransmit: 100, attempts: 14 };
  const one = other.connect(0, { remote: B, ...more });
  const two = other.connect(1, more);
  other.run(8000);
  return { other, one, two };
}

/** The exchanges of an end's requests, whatever fragments they came in. */
const exchanges = ({ sent }: Ends, end: number) =>
  sent[end]!.filter((packet, i) => packet[23] !== sent[end]![i - 1]?.[23]).map((packet) => packet[18]);

test("9370: one, two, or none by common consent; nobody is talked out of what it asks for; rekeys work on", (t) => {
  const cases = [
    [HYBRID, HYBRID, 1],
    [HYBRID, HYBRID + "-ke1_none", 1],
    [HYBRID + "-ke1_none", "aes256gcm16-x25519", 0],
    ["aes256gcm16-x25519", HYBRID + "-ke1_none", 0],
    [HYBRID, "aes256gcm16-x25519", -1],
    ["aes256gcm16-x25519", HYBRID, -1],
    [HYBRID, "aes256gcm16-prfsha256-x25519-ke1_mlkem512", -1],
    [HYBRID + "-ke1_mlkem1024-ke3_ecp256", "aes256gcm16-prfsha256-x25519-ke1_mlkem1024-ke3_ecp256", 2],
    // The same twice adds nothing.
    ["aes256gcm16-x25519-ke1_x25519", "aes256gcm16-x25519-ke1_x25519", -1],
  ] as const;
  for (const [one, two, count] of cases) {
    // A key of ML-KEM-1024 is larger than a packet.
    const site = ends(t, {
      ike: () => ({ ...kems(), fragmentation: ikeFragmentation() }),
      crypto: nobleCrypto(),
    });
    const peer = site.connect(0, { remote: B, proposals: [one] });
    site.connect(1, { proposals: [two] });
    site.run(500);
    t.is(site.told[0]![0], count < 0 ? "closed -71 14" : "established", `${one} ${two}`);
    if (count < 0) continue;
    const steps = Array.from({ length: count }, () => wire.IKE_INTERMEDIATE);
    t.deepEqual(exchanges(site, 0), [wire.IKE_SA_INIT, ...steps, wire.IKE_AUTH]);
    same(t, site);
    peer.rekey();
    site.run(500);
    peer.rekey(site.children[0]![0]);
    site.run(500);
    same(t, site);
    t.deepEqual(site.told, [["established"], ["established"]]);
  }
});

test("9370: with loss, copies and reordering, in fragments, with a PPK: both have the same keys", (t) => {
  fc.assert(
    fc.property(fc.nat(10000), fc.boolean(), (seed, fragments) => {
      const bad = { loss: 0.15, duplicate: 0.2, reorder: 0.2, reorderDelay: 30, delay: 5 };
      const site = ends(t, {
        ike: () => ({ ...kems(), ...(fragments ? { fragmentation: ikeFragmentation({ size: 576 }) } : {}) }),
        crypto: nobleCrypto(),
        wire: { a: bad, b: bad },
        seed,
      });
      const ppk = () => ({ ppk: postquantumKey({ id: "k", key: KEY }) });
      const more = { proposals: [HYBRID], retransmit: 100, attempts: 14, ...ppk() };
      site.connect(0, { remote: B, ...more });
      site.connect(1, { proposals: [HYBRID], ...ppk() });
      site.run(20000);
      t.is(site.told[0]!.at(-1), "established");
      same(t, site);
    }),
    { numRuns: 8 },
  );
});

test("9370: keys and IntAuth as HMAC of another makes them (RFC 9370 section 2.2.2, RFC 9242 section 3.3.2)", (t) => {
  const { watched, secrets, shares } = watchedCrypto();
  const site = ends(t, { ike: kems, crypto: watched });
  let octets: Uint8Array | null = null;
  let keys: Uint8Array[] = [];
  const more = site.vpn[1]!.options.keyExchanges!;
  const cover = more.octets.bind(more);
  more.octets = (sa) => {
    keys = sa.keys!.pieces.map((piece) => piece.slice());
    return (octets = cover(sa).slice());
  };
  site.connect(0, { remote: B, proposals: [HYBRID] });
  site.connect(1, { proposals: [HYBRID] });
  site.run(500);
  const hmac = (key: Uint8Array, ...parts: Uint8Array[]) => {
    const mac = createHmac("sha256", key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  };
  const plus = (key: Uint8Array, seed: Uint8Array, length: number) => {
    let last = Buffer.alloc(0);
    const all: Buffer[] = [];
    for (let i = 1; all.length * 32 < length; i++) all.push((last = hmac(key, last, seed, Uint8Array.of(i))));
    return Buffer.concat(all).subarray(0, length);
  };
  const [request, response] = [site.sent[0]![0]!, site.sent[1]![0]!];
  const nonce = (packet: Uint8Array) => {
    let at = 28;
    for (let type = packet[16]!; type !== wire.PAYLOAD_NONCE;) {
      type = packet[at]!;
      at += (packet[at + 2]! << 8) | packet[at + 3]!;
    }
    return packet.subarray(at + 4, at + ((packet[at + 2]! << 8) | packet[at + 3]!));
  };
  const nonces = Buffer.concat([nonce(request), nonce(response)]);
  const spis = response.subarray(0, 16);
  const seed = Buffer.concat([nonces, spis]);
  // SK_d, SK_ei and SK_er with salts, SK_pi, SK_pr: AES-256-GCM has no SK_a.
  const first = plus(hmac(nonces, secrets[0]!), seed, 32 + 36 + 36 + 32 + 32);
  const second = plus(hmac(first.subarray(0, 32), secrets[1]!, nonces), seed, 32 + 36 + 36 + 32 + 32);
  t.deepEqual(Buffer.from(keys[SK_D]!), second.subarray(0, 32));
  t.deepEqual(Buffer.from(keys[SK_PI]!), second.subarray(104, 136));
  t.deepEqual(Buffer.from(keys[SK_PR]!), second.subarray(136, 168));
  // Both messages, as though they were not encrypted: a KE payload each.
  const message = (flags: number, share: Uint8Array) => {
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 36, 0, 0]), share]);
    body.writeUInt16BE(body.length, 2);
    const head = Buffer.concat([
      spis,
      Buffer.from([46, 0x20, 43, flags, 0, 0, 0, 1, 0, 0, 0, 0, 34, 0, 0, 0]),
    ]);
    head.writeUInt32BE(32 + body.length, 24);
    head.writeUInt16BE(4 + body.length, 30);
    return Buffer.concat([head, body]);
  };
  const i = hmac(first.subarray(104, 136), message(0x08, shares[2]!));
  const r = hmac(first.subarray(136, 168), message(0x20, shares[3]!));
  t.deepEqual(Buffer.from(octets!), Buffer.concat([i, r, Buffer.from([0, 0, 0, 2])]));
});

test("9370: a rekey of the IKE SA has them again (IKE_FOLLOWUP_KE): keys as HMAC of another makes them; collisions, loss, wrong links", (t) => {
  const { crypto, watched, secrets } = watchedCrypto();
  const proposals = [HYBRID + "-ke2_ecp256"];
  const site = ends(t, { ike: kems, crypto: watched });
  const peer = site.connect(0, { remote: B, proposals });
  site.connect(1, { proposals });
  site.run(500);
  const old = Buffer.from(peer.sa!.keys!.get(SK_D));
  secrets.splice(0);
  const before = exchanges(site, 0).length;
  peer.rekey();
  site.run(500);
  const made = peer.sa!;
  t.deepEqual(exchanges(site, 0).slice(before), [
    ...[wire.CREATE_CHILD_SA, wire.IKE_FOLLOWUP_KE, wire.IKE_FOLLOWUP_KE, wire.INFORMATIONAL],
  ]);
  same(t, site);
  t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [1, 1]);
  t.is(secrets.length, 3);
  const hmac = (key: Uint8Array, ...parts: Uint8Array[]) =>
    createHmac("sha256", key).update(Buffer.concat(parts)).digest();
  const nonces = Buffer.concat([made.nonceI, made.nonceR]);
  const seed = hmac(old, secrets[0]!, nonces, secrets[1]!, secrets[2]!);
  t.deepEqual(Buffer.from(made.keys!.get(SK_D)), hmac(seed, nonces, made.spiI, made.spiR, Uint8Array.of(1)));
  // What comes of it serves: the other end rekeys it in turn, and a child.
  site.vpn[1]!.connections[0]!.rekey();
  site.run(500);
  t.not(peer.sa, made);
  peer.rekey(site.children[0]![0]);
  site.run(500);
  same(t, site);

  // A request that follows nothing, from one who is authentic: it is told so, and all stays.
  const { sa } = peer;
  const asked: number[] = [];
  const follow = (...parts: ((out: Writer) => Writer)[]) => {
    sa!.request({
      start: () =>
        sa!.send(
          wire.IKE_FOLLOWUP_KE,
          parts.reduce((out, part) => part(out), new Writer()),
        ),
      answer: (_sa, message) => {
        asked.push(message.error());
        sa!.next();
      },
    });
    site.run(100);
  };
  follow();
  follow((out) => out.notify(wire.ADDITIONAL_KEY_EXCHANGE, new Uint8Array(16)));
  follow((out) => out.notify(wire.ADDITIONAL_KEY_EXCHANGE));
  t.deepEqual(asked, [wire.STATE_NOT_FOUND, wire.STATE_NOT_FOUND, wire.STATE_NOT_FOUND]);
  same(t, site);
  t.deepEqual(site.told, [["established"], ["established"]]);

  // Both at once, over a bad network: one IKE SA in the end. (Who says goodbye to the old one may have lost the answer.)
  for (let round = 0; round < 6; round++) {
    const { other, one, two } = overBadNetwork(t, { proposals }, 100 + round);
    t.is(other.told[0]!.at(-1), "established");
    const first = one.sa!;
    one.rekey();
    other.run(round);
    two.rekey();
    other.run(30_000);
    t.true(one.established() && two.established());
    t.not(one.sa, first);
    t.deepEqual(one.sa!.spiI, two.sa!.spiI);
    same(t, other);
    t.deepEqual(other.told, [["established"], ["established"]]);
  }

  // An end that knows IKE_INTERMEDIATE alone, as ours once did, rekeys by the first key exchange: what it had is in SK_d.
  const mixed = ends(t, { ike: kems, crypto });
  const knows = mixed.vpn[0]!.options.keyExchanges!;
  const methods = knows.methods.bind(knows);
  const plain = mixed.connect(0, { remote: B, proposals });
  mixed.connect(1, { proposals });
  mixed.run(500);
  knows.methods = () => [];
  plain.rekey();
  mixed.run(500);
  knows.methods = methods;
  t.true(plain.established());
  t.deepEqual([mixed.vpn[0]!.sas.size, mixed.vpn[1]!.sas.size], [1, 1]);
  same(t, mixed);
});

test("9370: a child's rekey has them (IKE_FOLLOWUP_KE): keys as HMAC of another makes them; collisions, loss; refused where a method is twice", (t) => {
  const { crypto, watched, secrets } = watchedCrypto();
  const text = "aes256gcm16-noesn-x25519-ke1_mlkem768-ke2_ecp256";
  const children = [{ proposals: [text] }];
  const site = ends(t, { ike: kems, crypto: watched });
  const nonces: Buffer[] = [];
  for (const each of site.vpn) {
    const random = each.random.bind(each);
    each.random = (size) => {
      const bytes = random(size);
      if (size === 32) nonces.push(Buffer.from(bytes!));
      return bytes;
    };
  }
  const peer = site.connect(0, { remote: B, children });
  site.connect(1, { children });
  site.run(500);
  same(t, site);
  t.is(secrets.length, 1, "IKE_AUTH has none for the first child");
  const rekey = (end: 0 | 1): void => {
    const before = exchanges(site, end).length;
    const was = site.children[end]![0]!;
    secrets.splice(0);
    nonces.splice(0);
    site.vpn[end]!.connections[0]!.rekey(was);
    site.run(500);
    t.deepEqual(exchanges(site, end).slice(before), [
      ...[wire.CREATE_CHILD_SA, wire.IKE_FOLLOWUP_KE, wire.IKE_FOLLOWUP_KE, wire.INFORMATIONAL],
    ]);
    same(t, site);
    const made = site.children[end]![0]!;
    t.not(made, was);
    t.deepEqual([secrets.length, nonces.length], [3, 2]);
    const prf = (...parts: Uint8Array[]) =>
      createHmac("sha256", peer.sa!.keys!.get(SK_D)).update(Buffer.concat(parts)).digest();
    const seed = [secrets[0]!, nonces[0]!, nonces[1]!, secrets[1]!, secrets[2]!];
    const one = prf(...seed, Uint8Array.of(1));
    const two = prf(one, ...seed, Uint8Array.of(2));
    const keys = Buffer.concat([one, two, prf(two, ...seed, Uint8Array.of(3))]);
    t.deepEqual(Buffer.from(made.outbound!.encryption), keys.subarray(0, 36));
    t.deepEqual(Buffer.from(made.inbound!.encryption), keys.subarray(36, 72));
  };
  rekey(0);
  rekey(1);
  // Over an IKE SA that was itself replaced.
  peer.rekey();
  site.run(500);
  rekey(1);
  t.deepEqual(site.told, [["established"], ["established"]]);

  // Both at once, over a bad network, the IKE SA meanwhile too: one child in the end.
  for (let round = 0; round < 8; round++) {
    const { other, one, two } = overBadNetwork(t, { children }, 200 + round);
    const first = other.children[0]![0]!;
    t.truthy(first);
    one.rekey(first);
    other.run(round * 4);
    two.rekey(other.children[1]![0]);
    if (round & 1) two.rekey();
    other.run(60_000);
    same(t, other);
    t.not(other.children[0]![0], first);
    t.deepEqual(other.told, [["established"], ["established"]]);
    t.is(one.sa!.pending, null);
    t.is(two.sa!.pending, null);
  }

  // What is no method is none, what is one twice is refused, and what does not follow is not waited for.
  for (const how of ["twice", "share", "left"]) {
    const other = ends(t, { ike: kems, crypto });
    const own = how === "twice" ? [{ proposals: ["aes256gcm16-x25519-ke1_x25519"] }] : children;
    const one = other.connect(0, { remote: B, children: own });
    const two = other.connect(1, { children: own });
    other.run(500);
    const first = other.children[0]![0]!;
    const exchange = other.vpn[0]!.crypto.exchange!;
    let asked = 0;
    if (how === "share") {
      other.vpn[0]!.crypto.exchange = (group, done) =>
        exchange(group, (made) =>
          done(
            made && ++asked > 1
              ? { ...made, share: made.share.subarray(1), finish: made.finish, close: made.close }
              : made,
          ),
        );
    } else if (how === "left")
      other.vpn[0]!.crypto.exchange = (group, done) => (++asked > 1 ? done(null) : exchange(group, done));
    one.rekey(first);
    other.run(1000);
    other.vpn[0]!.crypto.exchange = exchange;
    if (how === "left") {
      // Our host had no key for it: our end gives up the IKE SA, and begins anew.
      other.run(100_000);
      same(t, other);
      continue;
    }
    same(t, other);
    t.is(other.children[0]![0], first);
    t.is(two.sa!.pending, null);
    t.deepEqual(other.told, [["established"], ["established"]]);
    if (how === "twice") continue;
    other.run(60_000);
    t.not(other.children[0]![0], first, "it is tried again");
    same(t, other);
  }
});

test("9370 IKE-04: steps left out, shares that are none, another method; a half-open SA ends, and no more", (t) => {
  // IKE_AUTH at once; IKE_INTERMEDIATE with a share of another method, of another length, with none; INFORMATIONAL is no step.
  for (const how of ["skip", "method", "length", "none"]) {
    const site = ends(t, { ike: kems, crypto: nobleCrypto() });
    site.connect(0, { remote: B, proposals: [HYBRID], attempts: 1 });
    site.connect(1, { proposals: [HYBRID] });
    const more = site.vpn[0]!.options.keyExchanges!;
    if (how === "skip") more.begin = () => {};
    else {
      const begin = more.begin.bind(more);
      more.begin = (sa) => {
        begin(sa);
        const send = sa.send.bind(sa);
        sa.send = (exchange, chain) => {
          if (how === "none") chain = new Writer();
          else if (how === "method") chain.data[5] = 35;
          else chain = new Writer().begin(wire.PAYLOAD_KE).put16(36).put16(0).bytes(new Uint8Array(1183));
          send(exchange, chain);
        };
      };
    }
    site.run(900);
    t.not(site.told[0]![0], "established", how);
    t.is(site.vpn[1]!.counters.established, 0);
    t.is(site.vpn[1]!.sas.size, 0, how);
    const { malformed, failed } = site.vpn[1]!.counters;
    t.deepEqual([malformed, failed], how === "skip" ? [0, 1] : [1, 0]);
  }
  // A responder's share that is cut.
  const crypto = nobleCrypto();
  const site = ends(t, {
    ike: kems,
    crypto: {
      ...crypto,
      respond: (group, peer, done) =>
        crypto.respond(group, peer, (own, secret) => done(group === "x25519" ? own : own!.slice(1), secret)),
    },
  });
  site.connect(0, { remote: B, proposals: [HYBRID] });
  site.connect(1, { proposals: [HYBRID] });
  site.run(300);
  t.is(site.told[0]![0], "closed -71 17");
  t.is(site.vpn[0]!.sas.size, 0);
});

test("9370 IKE-01 authentic nonsense in IKE_INTERMEDIATE and IKE_AUTH: nothing throws, nobody is let in, nothing stays", (t) => {
  const types = fc.constantFrom(33, 34, 35, 36, 39, 40, 41, 42, 43, 44, 45, 47, 200);
  const notify = fc
    .tuple(
      fc.constantFrom(wire.PPK_IDENTITY, wire.NO_PPK_AUTH, wire.USE_PPK),
      fc.uint8Array({ maxLength: 40 }),
    )
    .map(([type, data]) => [41, Uint8Array.of(0, 0, type >> 8, type & 255, ...data)] as const);
  const payload = fc.oneof(fc.tuple(types, fc.uint8Array({ maxLength: 60 })), notify);
  fc.assert(
    fc.property(
      fc.array(payload, { maxLength: 6 }),
      fc.constantFrom(wire.IKE_INTERMEDIATE, wire.IKE_AUTH),
      (payloads, where) => {
        const ppk = () => ({ ppk: postquantumKey({ id: "k", key: KEY, required: false }) });
        const site = ends(t, { ike: kems, crypto: nobleCrypto() });
        const proposals = ["aes256gcm16-x25519-ke1_ecp256"];
        const peer = site.connect(0, { remote: B, proposals, attempts: 1, ...ppk() });
        site.connect(1, { proposals, ...ppk() });
        const sa = peer.sa!;
        const send = sa.send.bind(sa);
        sa.send = (exchange, chain) => {
          if (exchange !== where) send(exchange, chain);
          else {
            const out = new Writer();
            for (const [type, body] of payloads) out.payload(type, body);
            send(exchange, out);
          }
        };
        site.run(900);
        t.is(site.vpn[1]!.counters.established, 0);
        t.is(site.vpn[1]!.counters.host, 0);
        peer.close();
        site.run(25000);
        t.is(site.told[1]!.length, 0);
        t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [0, 0]);
      },
    ),
    { numRuns: 60 },
  );
});

test("9370: a connection that asks for it is not had by another's suite; who has no import says so", (t) => {
  const site = ends(t, { ike: kems, crypto: nobleCrypto() });
  site.connect(1, { proposals: ["aes256gcm16-x25519"], remoteIdentity: "b.example", psk: "other" });
  site.connect(1, { proposals: [HYBRID], remoteIdentity: A });
  site.connect(0, { remote: B, proposals: ["aes256gcm16-x25519"] });
  site.run(500);
  t.is(site.told[0]![0], "closed -13 24");
  const plain = ends(t, { crypto: nobleCrypto() });
  const error = t.throws(() => plain.connect(0, { remote: B, proposals: [HYBRID] }), { code: "EOPNOTSUPP" });
  t.regex(error.message, /ke1_mlkem768/);
  const children = (text: string) => ({ remote: B, children: [{ proposals: [text] }] });
  t.throws(() => plain.connect(0, children("aes256gcm16-x25519-ke1_mlkem768")), { code: "EOPNOTSUPP" });
  // Beside no other there is none.
  t.throws(() => site.connect(0, children("aes256gcm16-ke1_mlkem768")), { code: "EINVAL" });
});

function generate(): { privateKey: Uint8Array; publicKey: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey: privateKey.export({ format: "der", type: "pkcs8" }),
    publicKey: publicKey.export({ format: "der", type: "spki" }),
  };
}
