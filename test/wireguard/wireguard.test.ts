/** WireGuard in the simulator: its clock over hours, what strangers send, and who may send what. wireguard-go judges the rest (interop links). */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { CipherJob } from "../../hypercall/crypto.js";
import { nobleCrypto, withWireguard } from "../../ports/noble/index.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { SimLink } from "../../ports/sim/index.js";
import { createStack } from "../../stack/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { udp } from "../../stack/udp/udp.js";
import { AllowedIps } from "../../stack/wireguard/allowed-ips.js";
import { Peer } from "../../stack/wireguard/peer.js";
import { Suite } from "../../stack/wireguard/suite.js";
import { Device, wireguard } from "../../stack/wireguard/wireguard.js";
import type { DeviceOptions, PeerOptions } from "../../stack/wireguard/wireguard.js";
import { ip4Bytes, ip6Bytes } from "../support/bytes.js";
import { closeAll } from "../support/leaks.js";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const key = (seed: number) => Uint8Array.from({ length: 32 }, (_, i) => (i * 7 + seed * 31) & 255);

interface Options {
  device?: Partial<DeviceOptions>;
  peer?: Partial<PeerOptions>;
  noble?: boolean;
  /** The second end knows where the first is as well. */
  both?: boolean;
}

/** 10.0.0.1 and 10.0.0.2 on a wire, and in the tunnel 10.9.0.1 and 10.9.0.2. */
function pair(t: ExecutionContext, options: Options = {}) {
  const world = createWorld({ seed: 5, scribble: true });
  const links = wire(world, { delay: 5 });
  const established: string[] = [];
  const ends = ([1, 2] as const).map((number) => {
    const host = world.host();
    host.crypto = withWireguard(options.noble ? nobleCrypto() : nodeCrypto());
    const ip = ipv4();
    const six = ipv6({ linkLocal: false });
    const sockets = udp();
    const wg = wireguard({
      clock: () => 1.7e12 + world.time,
      onHandshake: () => established.push(`${number}@${Math.round(world.time / 1000)}`),
    });
    const stack = host.drive(
      createStack(host, [ethernet(), arp(), ip, icmp(), six, icmpv6(), nd(), sockets, wg]),
    );
    const eth = stack.addInterface(links[number - 1]!);
    ip.addAddress(eth, `10.0.0.${number}/24`);
    const device = wg.create({ privateKey: key(number), ...options.device });
    const nif = stack.addInterface(device, "wg0");
    ip.addAddress(nif, `10.9.0.${number}/24`);
    six.addAddress(nif, `fd09::${number}/64`);
    const got: string[] = [];
    const socket = sockets.open({
      port: 7,
      onReadable() {
        const data = new Uint8Array(2000);
        for (let length = this.receive(data); length >= 0; length = this.receive(data))
          got.push(Buffer.from(data.subarray(0, length)).toString());
      },
    });
    const say = (text: string, to = `10.9.0.${3 - number}`) =>
      socket.sendTo(to, 7, Uint8Array.from(Buffer.from(text)));
    return {
      host,
      ip,
      six,
      udp: sockets,
      wg,
      stack,
      eth,
      device,
      nif,
      got,
      say,
      socket,
      peer: null as never as Peer,
      counters: wg.counters,
    };
  });
  const [a, b] = ends as [(typeof ends)[0], (typeof ends)[0]];
  const join = (own: typeof a, other: typeof a, number: number, endpoint: boolean) => {
    own.peer = own.device.addPeer({
      publicKey: other.device.publicKey(),
      allowedIps: [`10.9.0.${number}`, `fd09::${number}/128`],
      ...(endpoint ? { endpoint: { address: `10.0.0.${number}`, port: 51820 } } : {}),
      ...options.peer,
    });
  };
  join(a, b, 2, true);
  join(b, a, 1, options.both === true);
  t.teardown(() => {
    const leaks = closeAll(world, [a.stack, b.stack]);
    if (leaks.length > 0 && t.passed) throw new Error(leaks.join("; "));
  });
  return { world, links: links as [SimLink, SimLink], a, b, established };
}

/** Everything of a UDP datagram on a wire. */
function record(link: SimLink) {
  const frames: Uint8Array[] = [];
  link.out.onSent = (frame, start, end) => void frames.push(frame.slice(start, end));
  return frames;
}

const payload = (frame: Uint8Array) => frame.subarray(42);

test("the functions: BLAKE2s, XChaCha20-Poly1305 and X25519 by their vectors, HMAC by OpenSSL", (t) => {
  const crypto = withWireguard(nobleCrypto());
  const out = new Uint8Array(32);
  const plain = crypto.digest("blake2s", null)!;
  plain.update(hex("616263"), 0, 3);
  plain.finish(out, 0);
  // RFC 7693 appendix B.
  t.deepEqual(out, hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));
  // draft-irtf-cfrg-xchacha-03 appendix A.3.1.
  const text = Buffer.from(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const data = new Uint8Array(text.length + 16);
  data.set(text);
  const job: CipherJob = {
    data,
    start: 0,
    end: text.length,
    tag: text.length,
    nonce: hex("404142434445464748494a4b4c4d4e4f5051525354555657"),
    aad: hex("50515253c0c1c2c3c4c5c6c7"),
    aadStart: 0,
    aadEnd: 12,
    done: () => {},
  };
  const cipher = crypto.cipher(
    "xchacha20-poly1305",
    Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i),
    true,
  )!;
  t.is(cipher.seal(job), 1);
  t.deepEqual(data.slice(0, 16), hex("bd6d179d3e83d43b9576579493c0e939"));
  t.deepEqual(data.slice(text.length), hex("c0875924c1c7987947deafd8780acf49"));
  t.is(cipher.open(job), 1);
  data[3]! ^= 1;
  t.is(cipher.open(job), 0);
  cipher.close();
  // RFC 7748 section 5.2.
  const alice = crypto.agreementKey(
    "x25519",
    hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
  )!;
  const bob = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
  t.deepEqual(alice.agree(bob), hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
  t.is(alice.agree(bob.subarray(1)), null);
  t.is(alice.agree(new Uint8Array(32)), null, "the secret would be zero");
  alice.close();
  t.is(alice.agree(bob), null);
});

for (const noble of [false, true])
  test(`packets of both families, whoever begins, and nothing in clear (${noble ? "noble" : "node"})`, (t) => {
    const { world, links, a, b, established } = pair(t, { noble });
    const frames = record(links[0]);
    a.say("first of all");
    a.say("second", "fd09::2");
    world.run(200);
    t.deepEqual(b.got, ["first of all", "second"]);
    b.say("and back");
    world.run(100);
    t.deepEqual(a.got, ["and back"]);
    t.deepEqual(established, ["1@0", "2@0"]);
    t.false(frames.some((frame) => Buffer.from(frame).includes("first")));
    const kinds = frames
      .filter((frame) => frame[12] === 8 && frame[13] === 0)
      .map((frame) => payload(frame)[0]);
    t.deepEqual(kinds, [1, 4, 4]);
    t.is(payload(frames.find((frame) => payload(frame)[0] === 4)!).length % 16, 0, "padded");
    t.deepEqual(b.device.status(b.peer).endpoint, { address: "10.0.0.1", port: 51820 });
    t.is(a.device.status(a.peer).sent, 40 + 54);
  });

test("time: sessions are made anew after two minutes of talk, silence has keepalives and an end, nobody there is given up", (t) => {
  const { world, a, b, links, established } = pair(t);
  for (let second = 0; second < 600; second++) {
    a.say(`${second}`);
    world.run(1000);
  }
  t.is(b.got.length, 600);
  const times = established.filter((each) => each[0] === "1").map((each) => Number(each.slice(2)));
  t.is(times.length, 5);
  times.forEach((time, i) => t.true(Math.abs(time - 121 * i) <= 5, `${time}`));
  // Who hears packets and has nothing to say, says so within ten seconds.
  t.true(b.counters.keepalivesSent >= 55 && b.counters.keepalivesSent <= 65, `${b.counters.keepalivesSent}`);
  // Silence: nothing is sent, and after nine minutes no key is left.
  world.run(30_000);
  const sent = a.eth.counters.txFrames;
  world.run(500_000);
  t.true(a.eth.counters.txFrames - sent <= 2);
  world.run(60_000);
  t.is(a.peer.current, null);
  t.is(b.peer.current, null);
  // Nobody there: 90 s of attempts, five seconds apart, and what waits is bounded, and lost.
  links[0].cut(true);
  const { initiationsSent } = a.counters;
  for (let i = 0; i < 100; i++) a.say("x".repeat(1000));
  t.true(a.peer.waiting > 20 && a.peer.waiting < 35);
  t.is(a.counters.dropped, 100 - a.peer.waiting);
  world.run(120_000);
  t.is(a.counters.gaveUp, 1);
  t.true(
    a.counters.initiationsSent - initiationsSent >= 17 && a.counters.initiationsSent - initiationsSent <= 19,
  );
  t.is(a.peer.waiting, 0);
  t.is(a.counters.dropped, 100);
  // The cable is whole again: the next packet finds its way.
  links[0].restore(true);
  b.got.length = 0;
  a.say("again");
  world.run(1000);
  t.deepEqual(b.got, ["again"]);
  // It is gone again, and packets stay without an answer: after 15 s a handshake is tried.
  links[0].cut(true);
  const before = a.counters.initiationsSent;
  a.say("hello?");
  world.run(14_000);
  t.is(a.counters.initiationsSent, before);
  world.run(2_000);
  t.is(a.counters.initiationsSent, before + 1);
});

test("persistent keepalives hold a way open; both may begin at once", (t) => {
  const { world, a, b } = pair(t, { peer: { keepalive: 25 }, both: true });
  world.run(3_600_000);
  t.true(a.counters.keepalivesSent >= 130 && a.counters.keepalivesSent < 200, `${a.counters.keepalivesSent}`);
  t.true(a.peer.ready() || b.peer.ready());
  a.say("in");
  b.say("out");
  world.run(200);
  t.deepEqual([a.got, b.got], [["out"], ["in"]]);
  t.is(a.counters.forged + b.counters.forged + a.counters.malformed + b.counters.malformed, 0);
});

test("roaming: who is heard from elsewhere is answered there; replays move nobody", (t) => {
  const { world, links, a, b } = pair(t);
  const frames = record(links[0]);
  a.say("one");
  world.run(100);
  a.ip.addAddress(a.eth, "10.0.0.77/24");
  a.ip.removeAddress(a.eth, "10.0.0.1/24");
  a.say("two");
  world.run(100);
  t.is(b.device.status(b.peer).endpoint!.address, "10.0.0.77");
  b.say("back");
  world.run(100);
  t.deepEqual([a.got, b.got], [["back"], ["one", "two"]]);
  // Everything once more, as it was: from the address of then.
  const { replayed, unknown } = b.counters;
  const old = frames.filter((frame) => frame[12] === 8 && frame[13] === 0);
  for (const frame of old) links[1].receiver!.receive(frame.slice(), 0, frame.length);
  t.is(b.device.status(b.peer).endpoint!.address, "10.0.0.77");
  t.is(b.counters.replayed - replayed + b.counters.unknown - unknown, old.length);
  t.deepEqual(b.got, ["one", "two"]);
  const last = old.at(-1)!.slice();
  last[last.length - 1]! ^= 1;
  // The counter is new, the tag is not.
  last[42 + 8]! += 9;
  last[40] = last[41] = 0;
  links[1].receiver!.receive(last, 0, last.length);
  t.is(b.counters.forged, 1);
});

test("who may send what: another's address inside is dropped, prefixes decide where packets go", (t) => {
  const { world, a, b } = pair(t);
  a.ip.addAddress(a.nif, "10.9.0.66/24");
  const other = a.udp.open({ address: "10.9.0.66" });
  other.sendTo("10.9.0.2", 7, Uint8Array.of(1));
  world.run(100);
  t.is(b.counters.notAllowed, 1);
  t.deepEqual(b.got, []);
  a.say("x", "10.9.0.9");
  t.is(a.counters.noPeer, 1);
  b.device.removePeer(b.peer);
  b.device.removePeer(b.peer);
  a.say("lost");
  world.run(100);
  t.is(b.counters.unknown, 1);
  const where = b.device.addPeer({ publicKey: a.device.publicKey(), allowedIps: ["10.9.0.1"] });
  b.say("where?");
  t.is(b.counters.noEndpoint, 1);
  t.is(b.device.status(where).endpoint, null);
});

test("another endpoint: keys stay, and packets go there; with a keepalive a handshake begins", (t) => {
  const { world, a, b } = pair(t, { peer: { keepalive: 20 } });
  a.say("one");
  world.run(100);
  b.ip.addAddress(b.eth, "10.0.0.77/24");
  world.run(6000);
  const { initiationsSent } = a.counters;
  a.device.setEndpoint(a.peer, { address: "10.0.0.77", port: 51820 });
  t.deepEqual(a.device.status(a.peer).endpoint, { address: "10.0.0.77", port: 51820 });
  t.is(a.counters.initiationsSent, initiationsSent + 1);
  a.say("two");
  world.run(100);
  t.deepEqual(b.got, ["one", "two"]);
  for (const [peer, address, port, code] of [
    [b.peer, "10.0.0.77", 1, "EINVAL"],
    [a.peer, "10.0.0.77", 0, "EINVAL"],
    [a.peer, "224.0.0.1", 1, "EINVAL"],
    [a.peer, "host", 1, "EAFNOSUPPORT"],
  ] as const)
    t.throws(() => a.device.setEndpoint(peer, { address, port }), { code });
});

test("hostile: a flood of initiations meets a cookie, then a limit; cookies are for who can receive", (t) => {
  const { world, links, a, b } = pair(t, { device: { load: 2 } });
  const frames = record(links[0]);
  const back = record(links[1]);
  a.say("one");
  world.run(100);
  t.deepEqual(b.got, ["one"]);
  const initiation = frames.find((frame) => payload(frame)[0] === 1)!;
  // The same again and again: a good MAC, an old timestamp, and from the fifth on a cookie.
  const send = (change: (frame: Uint8Array) => void = () => {}) => {
    const frame = initiation.slice();
    frame[40] = frame[41] = 0;
    change(frame);
    links[1].receiver!.receive(frame, 0, frame.length);
  };
  const { cookiesSent } = b.counters;
  for (let i = 0; i < 600; i++) send();
  t.true(b.counters.replayed <= 4, `${b.counters.replayed}`);
  t.true(b.counters.cookiesSent - cookiesSent >= 190 && b.counters.cookiesSent <= 200);
  t.true(b.counters.limited >= 390);
  world.run(100);
  t.true(back.filter((frame) => payload(frame)[0] === 3).length >= 190);
  // Without our key: not even that.
  for (let i = 0; i < 200; i++) send((frame) => (frame[42 + 20]! ^= i + 1));
  t.is(b.counters.badMac, 200);
  t.is(b.counters.handshakes, 1);
  // Real ends get through nevertheless, by a cookie.
  a.peer.wipe();
  const storm = () => {
    for (let i = 0; i < 3; i++) send();
  };
  a.say("through");
  for (let i = 0; i < 300 && !b.got.includes("through"); i++) {
    storm();
    world.run(100);
  }
  t.true(b.got.includes("through"));
  t.true(a.counters.cookiesReceived >= 1);
});

test("property: whatever comes to the port, nothing throws, nothing is answered that is not authentic", (t) => {
  const { world, links, a, b } = pair(t);
  const frames = record(links[0]);
  a.say("one");
  world.run(100);
  const real = frames.filter((frame) => frame[12] === 8 && frame[13] === 0 && frame[23] === 17);
  const session = b.peer.current;
  fc.assert(
    fc.property(
      fc.constantFrom(...real),
      fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
      fc.option(fc.nat(160)),
      (frame, changes, length) => {
        const bytes = frame.slice();
        const inside = bytes.subarray(42);
        for (const [at, by] of changes) inside[at % inside.length]! ^= by;
        // Inside the receiver's index, so that more than the first check is reached.
        const end = length === null ? bytes.length : Math.min(42 + length, bytes.length);
        bytes[40] = bytes[41] = 0;
        const size = end - 34;
        bytes[38] = size >> 8;
        bytes[39] = size & 255;
        const total = size + 20;
        bytes[16] = total >> 8;
        bytes[17] = total & 255;
        bytes[24] = bytes[25] = 0;
        let sum = 0;
        for (let i = 14; i < 34; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
        bytes[24] = (~sum >> 8) & 255;
        bytes[25] = ~sum & 255;
        links[1].receiver!.receive(bytes, 0, end);
        return b.got.length === 1 && b.peer.current === session && b.counters.handshakes === 1;
      },
    ),
    { numRuns: 500 },
  );
  const { malformed, badMac, unknown, forged, replayed, limited, cookiesSent } = b.counters;
  t.true(malformed > 0 && badMac > 0 && forged > 0 && replayed > 0);
  t.true(malformed + badMac + unknown + forged + replayed + limited + cookiesSent <= 502);
  a.say("still");
  world.run(100);
  t.deepEqual(b.got, ["one", "still"]);
});

test("property: the longest prefix wins, as a list of all would say", (t) => {
  const prefix = fc.oneof(
    fc.tuple(fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.1.0", "10.128.0.0", "192.0.2.1"), fc.nat(32)),
    fc.tuple(fc.constantFrom("fd00::1", "fd00::2", "fd00:1::", "2001:db8::"), fc.nat(128)),
  );
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 12 }), fc.nat(11), (list, removed) => {
      const table = new AllowedIps<number>(64);
      const own = new Map<string, number>();
      const bits = (address: string) => {
        const bytes = address.includes(":") ? ip6Bytes(address) : ip4Bytes(address);
        return [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
      };
      list.forEach(([address, length], i) => {
        table.add(`${address}/${length}`, i);
        own.set(`${address.includes(":")}${bits(address).slice(0, length)}`, i);
      });
      table.remove(removed);
      for (const [name, value] of own) if (value === removed) own.delete(name);
      return ["10.0.0.1", "10.0.0.3", "10.200.0.1", "192.0.2.9", "fd00::1", "fd00::ffff", "::1"].every(
        (address) => {
          const six = address.includes(":");
          let want: number | null = null;
          for (let length = 0; length <= (six ? 128 : 32); length++)
            want = own.get(`${six}${bits(address).slice(0, length)}`) ?? want;
          const bytes = six ? ip6Bytes(address) : ip4Bytes(address);
          return table.lookup(Uint8Array.from(bytes), 0, !six) === want;
        },
      );
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test("misuse throws at once", (t) => {
  const { a } = pair(t);
  const publicKey = new Suite(withWireguard(nodeCrypto())).key(key(9), "x").share;
  for (const [options, code] of [
    [{ publicKey: new Uint8Array(31) }, "EINVAL"],
    [{ publicKey: new Uint8Array(32) }, "EINVAL"],
    [{ publicKey, presharedKey: new Uint8Array(3) }, "EINVAL"],
    [{ publicKey, allowedIps: ["10.0.0.0/33"] }, "EINVAL"],
    [{ publicKey, allowedIps: ["10.0.0.0/"] }, "EINVAL"],
    [{ publicKey, allowedIps: ["host"] }, "EINVAL"],
    [{ publicKey, keepalive: 65536 }, "EINVAL"],
    [{ publicKey, endpoint: { address: "10.0.0.1", port: 0 } }, "EINVAL"],
    [{ publicKey, endpoint: { address: "224.0.0.1", port: 1 } }, "EINVAL"],
    [{ publicKey, endpoint: { address: "host", port: 1 } }, "EAFNOSUPPORT"],
    [{ publicKey: a.peer.key }, "EEXIST"],
  ] as const)
    t.throws(() => a.device.addPeer({ allowedIps: [], ...options } as PeerOptions), { code });
  t.is(a.device.peers.length, 1);
  t.throws(() => a.wg.create({ privateKey: new Uint8Array(5) }), { code: "EINVAL" });
  t.throws(() => wireguard({} as never), { code: "EINVAL" });
  t.throws(() => new Suite(nodeCrypto()), { code: "EOPNOTSUPP" });
  t.true(a.device instanceof Device && a.peer instanceof Peer);
});
