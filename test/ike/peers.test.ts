/**
 * Who a peer is, and where: certificates that name it or another, gateways that send clients elsewhere (RFC 5685), clients that move
 * (RFC 4555).
 */
import { GeneralName, KeyUsageFlags } from "@peculiar/asn1-x509";
import test from "ava";
import fc from "fast-check";
import { withCertificates } from "../../ports/x509/index.js";
import { nobleCrypto } from "../../ports/noble/index.js";
import { certificateAuth } from "../../stack/ike/certificate-auth.js";
import { mobike } from "../../stack/ike/mobike.js";
import { ikeRedirect } from "../../stack/ike/ike-redirect.js";
import type { IkeRedirectOptions } from "../../stack/ike/ike-redirect.js";
import type { Ike } from "../../stack/ike/ike.js";
import { Writer, emitPlain } from "../../stack/ike/message.js";
import * as wire from "../../stack/wire/ike.js";
import { issue, makeKey } from "../ports/issue.js";
import type { Key, Shape } from "../ports/issue.js";
import { A, B, PSK, ends, same } from "./ends.js";

const C = "10.0.0.3";
const root = makeKey();
const keys = [makeKey("p256"), makeKey()] as const;
const anchor = issue({
  ...{ subject: "root", issuer: "root", key: root, by: root },
  ...{ authority: true, usage: KeyUsageFlags.keyCertSign },
});

function pkcs8({ privateKey }: Key): Uint8Array {
  return new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" }));
}

/** A certificate of one end's key, by the root. */
function named(end: 0 | 1, names: GeneralName[], shape: Partial<Shape> = {}): Uint8Array {
  return issue({ subject: `end ${end}`, issuer: "root", key: keys[end], by: root, names, ...shape });
}

const dns = (dNSName: string) => new GeneralName({ dNSName });
const ip = (iPAddress: string) => new GeneralName({ iPAddress });

test("IKE-09 certificates: who is named is let in, by either reader; others, strangers and those without the key are not", (t) => {
  const device = named(0, [dns("device.example")]);
  const gateway = named(1, [dns("gateway.example"), ip("2001:db8::1"), ip(B)]);
  const stranger = makeKey();
  const other = issue({
    ...{ subject: "other", issuer: "other", key: stranger, by: stranger },
    ...{ authority: true, usage: KeyUsageFlags.keyCertSign },
  });
  const attempt = (
    crypto: "node" | "noble",
    options: {
      chain?: Uint8Array;
      key?: Key;
      anchors?: Uint8Array[];
      wants?: string;
      is?: string;
    },
  ): string => {
    const site = ends(t, crypto === "noble" ? { crypto: withCertificates(nobleCrypto()) } : {});
    const { chain = gateway, key = keys[1], anchors = [anchor], wants = "gateway.example" } = options;
    const ours = certificateAuth({ chain: [device], key: pkcs8(keys[0]), anchors });
    const theirs = certificateAuth({ chain: [chain], key: pkcs8(key), anchors: [anchor] });
    site.connect(0, { psk: undefined, remote: B, auth: ours, remoteIdentity: wants });
    site.connect(1, {
      ...{ psk: undefined, auth: theirs, remoteIdentity: "device.example" },
      ...(options.is === undefined ? {} : { identity: options.is }),
    });
    site.run(900);
    if (site.told[0]![0] === "established") same(t, site);
    return site.told[0]![0]!;
  };
  for (const crypto of ["node", "noble"] as const) {
    t.is(attempt(crypto, {}), "established");
    t.is(attempt(crypto, { wants: B, is: B }), "established");
    t.is(attempt(crypto, { wants: "2001:db8::1", is: "2001:db8::1" }), "established");
    const refused = "closed -13 24";
    // Another name than is wanted; one that the certificate does not have; one that it has as another kind.
    t.is(attempt(crypto, { wants: "gateway2.example" }), refused);
    t.is(attempt(crypto, { wants: "other.example", is: "other.example" }), refused);
    t.is(attempt(crypto, { chain: named(1, [dns(B)]), wants: B, is: B }), refused);
    // Whose key it is not; whom nobody knows; what has run out; what it is not for.
    t.is(attempt(crypto, { key: makeKey() }), refused);
    t.is(attempt(crypto, { anchors: [other] }), refused);
    const names = [dns("gateway.example")];
    t.is(attempt(crypto, { chain: named(1, names, { notAfter: new Date("2021-01-01") }) }), refused);
    t.is(attempt(crypto, { chain: named(1, names, { usage: KeyUsageFlags.keyEncipherment }) }), refused);
  }
  for (const lists of [[anchor], [new Uint8Array(0)]]) {
    const given = { chain: [device], key: pkcs8(keys[0]), anchors: [anchor] };
    const options = { remote: B, remoteIdentity: "x", auth: certificateAuth({ ...given, lists }) };
    t.throws(() => ends(t).connect(0, { psk: undefined, ...options }), { code: "EINVAL", message: /lists/ });
    const later = certificateAuth(given);
    ends(t).connect(1, { psk: undefined, remoteIdentity: "x", auth: later });
    t.throws(() => later.renew(lists), { code: "EINVAL" });
  }
  t.throws(
    () => certificateAuth({ chain: [device], key: device, anchors: [anchor], lists: Array(65) as never }),
    {
      code: "EINVAL",
    },
  );
  const auth = (chain: Uint8Array[], key: Uint8Array) => certificateAuth({ chain, key, anchors: [anchor] });
  const [vpn] = ends(t).vpn as [Ike];
  for (const [chain, key] of [
    [[anchor.subarray(1)], pkcs8(keys[0])],
    [[device], new Uint8Array(5)],
  ] as const) {
    const options = { remote: B, remoteIdentity: "x", auth: auth([...chain], key) };
    t.throws(() => vpn.connect(options), { code: "EINVAL" });
  }
});

/** A client that may be sent anywhere, and a gateway with two addresses. */
function gateways(options: IkeRedirectOptions, client: IkeRedirectOptions = {}) {
  let made = 0;
  const features = [ikeRedirect(client), ikeRedirect(options)] as const;
  return (t: Parameters<typeof ends>[0]) => {
    const site = ends(t, { ike: () => ({ redirection: features[made++]! }) });
    const { ip: addresses, nif } = site.nodes[1]!;
    addresses.addAddress(nif, `${C}/24`);
    return { ...site, gateway: features[1] };
  };
}

test("redirect at IKE_SA_INIT: to an address, by name; the nonce must be ours", (t) => {
  const asked: string[] = [];
  const site = gateways({
    choose: (address, identity, from) => {
      asked.push(`${address} ${identity ? "known" : "unknown"} ${from}`);
      return from === "" ? C : "";
    },
  })(t);
  const peer = site.connect(0, { remote: B });
  site.connect(1);
  site.run(900);
  t.deepEqual(site.told, [["redirected", "established"], ["established"]]);
  t.is(peer.sa!.remote, C);
  // The first was sent away before anything was kept of it; the other was asked about again when it was known.
  t.deepEqual(asked, [`${A} unknown `, `${A} unknown ${B}`, `${A} known ${B}`]);
  t.is(site.vpn[1]!.counters.redirected, 1);
  t.is(site.vpn[1]!.sas.size, 1);
  t.true(site.sent[1]![0]!.length <= site.sent[0]![0]!.length);
  same(t, site);
  // The gateway goes away: the client begins again where it was told to in the first place.
  peer.sa!.end(-110, 0);
  t.is(peer.gateway, "");

  const named = gateways(
    { choose: (_address, _identity, from) => (from === "" ? "vpn2.example" : "") },
    { follow: (_connection, gateway, go) => go(gateway === "vpn2.example" ? C : "") },
  )(t);
  named.connect(0, { remote: B });
  named.connect(1);
  named.run(900);
  t.deepEqual(named.told[0], ["redirected", "established"]);

  // Nobody looks the name up: after a minute it is tried again where it began.
  const lost = gateways({ choose: () => "vpn2.example" })(t);
  const waiting = lost.connect(0, { remote: B });
  lost.connect(1);
  lost.run(900);
  t.deepEqual([lost.told[0], waiting.sa], [["redirected"], null]);
  lost.run(60_000);
  t.deepEqual(lost.told[0], ["redirected", "redirected"]);
});

test("redirect at IKE_SA_INIT: what is forged is not believed", (t) => {
  const redirection = ikeRedirect();
  const site = ends(t, { ike: () => ({ redirection }) });
  const peer = site.connect(0, { remote: "10.0.0.77" });
  site.run(10);
  const sa = peer.sa!;
  const forge = (data: Uint8Array) => {
    const out = new Writer().notify(wire.REDIRECT, data);
    site.give(
      0,
      emitPlain(sa.spiI, new Uint8Array(8), wire.IKE_SA_INIT, wire.FLAG_RESPONSE, 0, out),
      "10.0.0.77",
    );
  };
  const nonce = sa.nonceI;
  const bad = [
    Uint8Array.of(1, 4, 10, 0, 0, 2),
    Uint8Array.of(1, 4, 10, 0, 0, 2, ...nonce.subarray(1)),
    Uint8Array.of(1, 4, 10, 0, 0, 2, ...nonce.map((byte) => byte ^ 1)),
    Uint8Array.of(1, 3, 10, 0, 0, ...nonce),
    Uint8Array.of(2, 4, 10, 0, 0, 2, ...nonce),
    Uint8Array.of(3, 2, 10, 65, ...nonce),
    Uint8Array.of(3, 0, ...nonce),
    Uint8Array.of(3, 255, 65, 66),
    Uint8Array.of(9, 1, 65, ...nonce),
    new Uint8Array(0),
  ];
  bad.forEach(forge);
  t.is(site.vpn[0]!.counters.malformed, bad.length);
  t.is(peer.sa, sa);
  t.deepEqual(site.told[0], []);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      forge(data);
      t.is(peer.sa, sa);
    }),
    { numRuns: 200 },
  );
  // By certificate, from anywhere the anchor reaches: the address alone is no name.
  const auth = certificateAuth({ chain: [named(0, [dns("d")])], key: pkcs8(keys[0]), anchors: [anchor] });
  const careful = gateways({ choose: (_address, _identity, from) => (from === "" ? C : "") })(t);
  careful.connect(0, { psk: undefined, remote: B, auth });
  careful.connect(1);
  careful.run(900);
  t.deepEqual(careful.told[0], [`closed -13 ${wire.REDIRECT}`]);
  forge(Uint8Array.of(1, 4, 10, 0, 0, 2, ...nonce));
  site.connect(1);
  site.run(900);
  t.deepEqual(site.told[0], ["redirected", "established"]);
});

test("redirect in IKE_AUTH, and of an IKE SA that is there: the client goes, says goodbye, and comes back when it is gone", (t) => {
  const site = gateways({ choose: (_address, identity, from) => (identity && from === "" ? C : "") })(t);
  const peer = site.connect(0, { remote: B });
  site.connect(1);
  site.run(900);
  t.deepEqual(site.told, [["redirected", "established"], ["established"]]);
  t.is(peer.sa!.remote, C);
  t.is(site.vpn[1]!.sas.size, 1);
  same(t, site);
  const [theirs] = [...site.children[1]!];
  t.true(site.gateway.send(theirs!.sa, B));
  site.run(900);
  t.deepEqual(site.told[0], ["redirected", "established", "redirected", "established"]);
  t.is(peer.sa!.remote, B);
  t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [1, 1]);
  same(t, site);
  // Rekeyed, it still knows how to go; who began it is not sent anywhere.
  peer.rekey();
  site.run(900);
  t.false(site.gateway.send(peer.sa!, C));
  t.true(site.gateway.send(site.children[1]![0]!.sa, C));
  site.run(900);
  t.is(peer.sa!.remote, C);
  t.throws(() => site.gateway.send(site.children[1]![0]!.sa, ""), { code: "EINVAL" });

  // A client that does not know of redirects is let in, and stays.
  const plain = gateways({ choose: () => C })(t);
  plain.vpn[0]!.options.redirection = undefined;
  plain.connect(0, { remote: B });
  plain.connect(1);
  plain.run(900);
  t.deepEqual(plain.told[0], ["established"]);
  t.false(plain.gateway.send(plain.children[1]![0]!.sa, C));
});

test("redirect: two gateways that send a client to each other do not keep it busy", (t) => {
  const site = gateways({ choose: (_address, _identity, from) => (from === B ? B : C) })(t);
  site.connect(0, { remote: B });
  site.connect(1);
  site.run(5000);
  t.is(site.told[0]!.filter((line) => line === "redirected").length, 5);
  t.is(site.told[0]![5], `closed -40 ${wire.REDIRECT}`);
  site.run(280_000);
  t.is(site.told[0]!.filter((line) => line === "redirected").length, 5);
  site.run(90_000);
  t.true(site.told[0]!.filter((line) => line === "redirected").length > 5);
  for (const options of [{ limit: -1 }, { limit: 101 }, { period: 5 }])
    t.throws(() => ikeRedirect(options), { code: "EINVAL" });
});

test("redirect: a client that does not go is ended after half a minute, and comes back", (t) => {
  const site = gateways({}, { limit: 0 })(t);
  site.connect(0, { remote: B });
  site.connect(1);
  site.run(900);
  t.true(site.gateway.send(site.children[1]![0]!.sa, C));
  site.run(29_000);
  t.deepEqual(site.told[0], ["established"]);
  site.run(5000);
  t.deepEqual(site.told[0], ["established", "closed -104 0", "established"]);
  t.is(PSK, "secret");
});

test("MOBIKE: children follow a peer that answers where it says it is, and no other; who answers wrong is ended", (t) => {
  const mobility = mobike();
  for (const how of ["there", "elsewhere", "wrong"] as const) {
    const site = ends(t, { ike: () => ({ mobility }) });
    const [a] = site.nodes;
    const peer = site.connect(0, { remote: B });
    site.connect(1);
    site.run(900);
    t.deepEqual(site.told, [["established"], ["established"]]);
    a!.ip.addAddress(a!.nif, `${C}/24`);
    const [ours, theirs] = [site.children[0]![0]!, site.children[1]![0]!];
    const ports = site.vpn[1]!.ports;
    const send = ports.send.bind(ports);
    let lost = 0;
    // All that is sent there is lost, but the answer to the update itself: somebody between has given it another source.
    ports.send = (local, port, remote, remotePort, packet) => {
      if (how === "elsewhere" && remote === C && !(packet[19]! & wire.FLAG_RESPONSE)) lost++;
      else send(local, port, remote, remotePort, packet);
    };
    if (how === "wrong") {
      // Our own end gives back what it was not asked for.
      const { input } = mobility;
      const wrong: Pick<typeof mobility, "input"> = {
        input: (sa, message, out, info) => {
          if (message.notify(wire.COOKIE2) >= 0 && out) out.notify(wire.COOKIE2, new Uint8Array(16));
          else input.call(mobility, sa, message, out, info);
        },
      };
      site.vpn[0]!.options.mobility = Object.assign(Object.create(mobility) as typeof mobility, wrong);
    }
    mobility.move(peer, C);
    site.run(3000);
    t.is(ours.local, C);
    if (how === "there") {
      t.is(theirs.remote, C);
      t.is(site.vpn[1]!.counters.unexpected, 0);
    } else if (how === "elsewhere") {
      t.true(lost > 0);
      t.is(theirs.remote, A);
      t.deepEqual(site.told[1], ["established"]);
    } else {
      t.is(theirs.remote, A);
      t.is(site.told[1]![1], "closed -71 0");
    }
  }
});

test("MOBIKE: other addresses are named and learned; a silent way is left for one that answers, and the children with it", (t) => {
  const [D, E] = ["10.0.0.4", "10.0.0.5"];
  const sides = [mobike({ addresses: [A, D] }), mobike({ addresses: [C] })];
  let made = 0;
  const site = ends(t, { ike: () => ({ mobility: sides[made++ & 1]! }) });
  const [a, b] = site.nodes;
  for (const address of [D, E]) a!.ip.addAddress(a!.nif, `${address}/24`);
  b!.ip.addAddress(b!.nif, `${C}/24`);
  const peer = site.connect(0, { remote: B, dpd: 10 });
  const gateway = site.connect(1);
  site.run(900);
  t.deepEqual([peer.sa!.others, gateway.sa!.others], [[C], [D]]);
  const [ours, theirs] = [site.children[0]![0]!, site.children[1]![0]!];
  // What is sent to or from these addresses is lost.
  const dead: string[] = [];
  const to: string[] = [];
  for (const [end, { ports }] of site.vpn.entries()) {
    const send = ports.send.bind(ports);
    ports.send = (local, port, remote, remotePort, packet) => {
      if (end === 0) to.push(`${local} ${remote}`);
      if (!dead.includes(local) && !dead.includes(remote)) send(local, port, remote, remotePort, packet);
    };
  }
  site.run(30_000);
  t.deepEqual([...new Set(to)], [`${A} ${B}`]);
  // The peer's address in use, then ours too: what is left is D and C.
  for (const [gone, local, remote] of [
    [B, A, C],
    [A, D, C],
  ] as const) {
    dead.push(gone);
    site.run(40_000);
    t.deepEqual([peer.sa!.local, peer.sa!.remote], [local, remote]);
    t.deepEqual([ours.local, ours.remote, theirs.local, theirs.remote], [local, remote, remote, local]);
    t.is(ours.localPort, 0, "no NAT is seen where there is none");
  }
  t.true(peer.sa!.others.includes(B));
  dead.length = 0;
  same(t, site);
  t.true(peer.rekey());
  site.run(2000);
  t.deepEqual(peer.sa!.others, [B]);
  // They tell of others, and of none; each may.
  sides[1]!.offer(site.vpn[1]!, [B, C, "fd00::7"]);
  sides[0]!.offer(site.vpn[0]!, []);
  site.run(2000);
  t.deepEqual([peer.sa!.others, gateway.sa!.others], [[B, "fd00::7"], []]);
  // No way is left: it ends as it would have.
  dead.push(B, C);
  site.run(120_000);
  t.is(site.told[0]![1], "closed -110 0");
  for (const addresses of [["nowhere"], Array.from({ length: 9 }, () => A)]) {
    t.throws(() => mobike({ addresses }), { code: "EINVAL" });
    t.throws(() => sides[0]!.offer(site.vpn[0]!, addresses), { code: "EINVAL" });
  }
});

test("MOBIKE: addresses that are none, too many, or of no host are not learned; an answer from elsewhere moves nothing", (t) => {
  const mobility = mobike();
  const site = ends(t, { ike: () => ({ mobility }) });
  const peer = site.connect(0, { remote: B, dpd: 10 });
  const gateway = site.connect(1);
  site.run(900);
  const say = (fill: (out: Writer) => void): string[] => {
    gateway.sa!.request({
      start(sa) {
        const out = new Writer();
        fill(out);
        sa.send(wire.INFORMATIONAL, out);
      },
      answer: (sa) => sa.next(),
    });
    site.run(500);
    return peer.sa!.others;
  };
  const four = (...bytes: number[]) => Uint8Array.from(bytes);
  const six = (text: number, last: number) => {
    const bytes = new Uint8Array(16);
    bytes[0] = text;
    bytes[15] = last;
    return bytes;
  };
  t.deepEqual(
    say((out) => {
      for (const bytes of [
        four(),
        four(10, 0, 0),
        four(0, 0, 0, 0),
        four(127, 0, 0, 1),
        four(224, 0, 0, 1),
        four(255, 255, 255, 255),
      ])
        out.notify(wire.ADDITIONAL_IP4_ADDRESS, bytes);
      for (const bytes of [six(0, 0), six(0, 1), six(0xff, 2), four(1, 2, 3, 4)])
        out.notify(wire.ADDITIONAL_IP6_ADDRESS, bytes);
      out
        .notify(wire.ADDITIONAL_IP4_ADDRESS, four(10, 0, 0, 2))
        .notify(wire.ADDITIONAL_IP4_ADDRESS, four(10, 0, 0, 3));
      out.notify(wire.ADDITIONAL_IP4_ADDRESS, four(10, 0, 0, 3));
    }),
    [C],
  );
  t.is(
    say((out) => {
      for (let i = 0; i < 20; i++) out.notify(wire.ADDITIONAL_IP4_ADDRESS, four(10, 1, 0, i));
    }).length,
    8,
  );
  t.is(say(() => {}).length, 8, "who names none says nothing");
  t.deepEqual(
    say((out) => out.notify(wire.NO_ADDITIONAL_ADDRESSES)),
    [],
  );
  t.deepEqual(
    say((out) => out.notify(wire.ADDITIONAL_IP4_ADDRESS, four(10, 0, 0, 3))),
    [C],
  );
  // Answers are late, and somebody between gives them another source.
  for (const from of ["10.0.0.99", C]) {
    const { ports } = site.vpn[1]!;
    const send = ports.send.bind(ports);
    const held: Uint8Array[] = [];
    ports.send = (_local, _port, _remote, _remotePort, packet) => void held.push(packet.slice());
    site.run(19_000);
    ports.send = send;
    t.true(held.length > 0);
    site.give(0, held.at(-1)!, from, 4500);
    // The update to C is not answered there: the way that answers is found again.
    site.run(15_000);
    t.is(peer.sa!.remote, B);
    t.is(site.children[0]![0]!.remote, B);
    t.deepEqual(site.told[0], ["established"]);
  }
});

test("an answer goes back the way its request came, and a copy's that of the copy where the peer may move; forged ones change nothing", (t) => {
  for (const moves of [true, false]) {
    const mobility = mobike();
    const site = ends(t, { ike: () => (moves ? { mobility } : {}) });
    site.connect(0, { remote: B, dpd: 1 });
    site.connect(1);
    site.run(900);
    const [ours, theirs] = site.vpn.map(({ ports }) => ports) as [Ike["ports"], Ike["ports"]];
    const asked: Uint8Array[] = [];
    ours.send = (_local, _port, _remote, _remotePort, packet) => asked.push(packet.slice());
    site.run(1500);
    t.true(asked.length > 0);
    const to: string[] = [];
    theirs.send = (_local, _port, remote, remotePort) => to.push(`${remote} ${remotePort}`);
    const forged = asked[0]!.slice();
    forged[40]! ^= 1;
    site.give(1, forged, "10.0.0.66");
    site.give(1, asked[0]!, "10.0.0.9", 4321);
    t.deepEqual(to, ["10.0.0.9 4321"]);
    site.give(1, asked[0]!, C, 4500);
    forged[23]! += 1;
    site.give(1, forged, "10.0.0.66");
    site.give(1, asked[0]!, C, 4500);
    const back = moves ? `${C} 4500` : "10.0.0.9 4321";
    t.deepEqual(to.slice(1), [back, back]);
    t.is(site.children[1]![0]!.remote, A);
  }
});
