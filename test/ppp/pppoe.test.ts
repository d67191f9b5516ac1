/** The PPPoE client and its PPP against a server by hand: what is on the wire, what is refused, what hostile servers send. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { pppoe } from "../../stack/ppp/pppoe.js";
import type { PppoeOptions } from "../../stack/ppp/pppoe.js";
import { optionLength, tagLength } from "../../stack/wire/ppp.js";
import { ascii, concat, hex, toHex } from "../support/bytes.js";
import { PROBE_MAC, STACK_MAC, be16, eth, frame, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";

const LCP = 0xc021;
const PAP = 0xc023;
const CHAP = 0xc223;
const IPCP = 0x8021;
const IPV6CP = 0x8057;
const tag = (type: number, value: Uint8Array | string) => {
  const bytes = typeof value === "string" ? ascii(value) : value;
  return concat(be16(type), be16(bytes.length), bytes);
};

function setUp(t: ExecutionContext, options: PppoeOptions = {}, six = false) {
  const wan = pppoe();
  const node = probed(t, { components: () => (six ? [wan, ipv6({ linkLocal: false })] : [wan]) });
  const { probe } = node;
  const phases: string[] = [];
  const client = wan.connect(node.nif, {
    name: "ppp0",
    user: "me",
    password: "pw",
    ...options,
    onChange: (state) => phases.push(state.phase + (state.reason && ` ${state.reason}`)),
  });
  t.teardown(() => client.close());
  const discovery = (code: number, id: number, ...tags: Uint8Array[]) => {
    const body = concat(...tags);
    probe.send(
      frame(
        eth({ type: 0x8863, pad: 60 }),
        concat(Uint8Array.of(0x11, code), be16(id), be16(body.length), body),
      ),
    );
  };
  /** A PPP packet from the server. */
  const ppp = (
    protocol: number,
    code: number,
    id: number,
    data: Uint8Array = new Uint8Array(0),
    session = 7,
  ) => {
    const body = concat(be16(protocol), Uint8Array.of(code, id), be16(4 + data.length), data);
    probe.send(frame(eth({ type: 0x8864 }), concat(hex("1100"), be16(session), be16(body.length), body)));
  };
  /** Packets that the client has sent: discovery's tags, or PPP's `protocol code id data`, as text. */
  const sent = () =>
    probe.take().flatMap((bytes) => {
      const type = (bytes[12] << 8) | bytes[13];
      const end = 20 + ((bytes[18] << 8) | bytes[19]);
      if (type === 0x8863) return [`${bytes[15].toString(16)} ${toHex(bytes.subarray(20, end))}`];
      if (type !== 0x8864) return [];
      return [`${toHex(bytes.subarray(20, 22))} ${bytes[22]} ${bytes[23]} ${toHex(bytes.subarray(26, end))}`];
    });
  const uniq = () =>
    hex((/0103 ?0008 ?((?:[0-9a-f]{2} ?){8})/.exec(sent()[0].replaceAll(" ", "")) ?? [])[1] ?? "");
  /** Through discovery to session 7. */
  const establish = () => {
    const mark = uniq();
    discovery(0x07, 0, tag(0x0101, ""), tag(0x0102, "ac"), tag(0x0103, mark), tag(0x0104, "cookie"));
    discovery(0x65, 7, tag(0x0101, ""), tag(0x0103, mark));
  };
  /** The last number of our request of a protocol. */
  const requestOf = (protocol: number, list: string[]) => {
    const mark = protocol.toString(16).padStart(4, "0");
    const line = list.filter((each) => each.replaceAll(" ", "").startsWith(mark + "1")).pop()!;
    const [, , id, ...data] = line.replace(/^(..) (..)/, "$1$2").split(" ");
    return { id: Number(id), data: hex(data.join("")) };
  };
  return { ...node, wan, client, phases, discovery, ppp, sent, uniq, establish, requestOf, tun: client.nif };
}

/** LCP up, PAP or none, and IPCP to 10.64.0.9. */
function connect(t: ExecutionContext, options: PppoeOptions = {}, authentication = hex("")) {
  const made = setUp(t, options);
  made.establish();
  const lcp = made.requestOf(LCP, made.sent());
  made.ppp(LCP, 1, 1, concat(hex("010405d4"), authentication, hex("050611223344")));
  made.ppp(LCP, 2, lcp.id, lcp.data);
  return made;
}

test("discovery: the mark is ours, the cookie comes back, the first concentrator is taken", (t) => {
  const { sent, discovery, phases, probe, wan, world } = setUp(t, { service: "isp" });
  const [padi] = sent();
  t.regex(padi.replaceAll(" ", ""), /^901010003697370/);
  world.run(1000);
  const again = sent();
  t.is(again.length, 1, "asked again");
  const mark = hex(/01030008(.{16})/.exec(again[0].replaceAll(" ", ""))![1]);
  discovery(0x07, 0, tag(0x0101, "isp"), tag(0x0103, hex("0000000000000000")));
  discovery(0x07, 0, tag(0x0101, "other"), tag(0x0103, mark));
  discovery(0x65, 9, tag(0x0101, "isp"), tag(0x0103, mark));
  t.deepEqual(sent(), []);
  discovery(0x07, 0, tag(0x0101, "isp"), tag(0x0103, mark), tag(0x0104, "cookie"));
  const [padr] = sent();
  t.regex(padr.replaceAll(" ", ""), new RegExp(`^19.*01040006${toHex(ascii("cookie")).replaceAll(" ", "")}`));
  t.is(wan.counters.unsolicited, 2);
  t.is(wan.counters.refused, 1);
  probe.take();
  world.run(0);
  t.deepEqual(phases, ["discovery"]);
});

test("LCP, PAP, IPCP: an interface with its address, routes and name servers; PADT takes all of it away", (t) => {
  const {
    ppp,
    sent,
    requestOf,
    client,
    ip,
    tun,
    udp: sockets,
    probe,
    discovery,
    wan,
  } = connect(t, {}, hex("0304c023"));
  const answers = sent();
  t.true(
    answers.some((line) => line.replaceAll(" ", "").startsWith("c023")),
    answers.join("\n"),
  );
  ppp(PAP, 2, 1, hex("00"));
  let ipcp = requestOf(IPCP, sent());
  ppp(IPCP, 3, ipcp.id, hex("03060a40000981060a400035"));
  ipcp = requestOf(IPCP, sent());
  t.is(toHex(ipcp.data).replaceAll(" ", ""), "03060a40000981060a400035830600000000");
  ppp(IPCP, 4, ipcp.id, hex("830600000000"));
  ipcp = requestOf(IPCP, sent());
  ppp(IPCP, 2, ipcp.id, ipcp.data);
  t.is(client.state().phase, "configure");
  ppp(IPCP, 1, 1, hex("03060a400001"));
  t.deepEqual([client.state().phase, client.state().address, tun.up()], ["network", "10.64.0.9", true]);
  t.is(ip.fib.lookup(0x0a400001, null)!.nif, tun);
  probe.take();
  const socket = sockets.open({ port: 9 });
  socket.sendTo("10.64.0.1", 7, ascii("hi"));
  const [data] = probe.take();
  t.is(toHex(data.subarray(12, 22)).replaceAll(" ", ""), "88641100000700200021");
  const inner = frame(ip4({ src: "10.64.0.1", dst: "10.64.0.9" }), udp({ sport: 7, dport: 9 }), "ho");
  probe.send(
    frame(
      eth({ type: 0x8864, pad: 60 }),
      concat(hex("11000007"), be16(inner.length + 2), hex("0021"), inner),
    ),
  );
  t.is(socket.readable(), 1, "padding of the frame is none of it");
  // Another session, another sender.
  probe.send(
    frame(eth({ type: 0x8864 }), concat(hex("11000008"), be16(inner.length + 2), hex("0021"), inner)),
  );
  probe.send(
    frame(
      eth({ type: 0x8864, src: "02:00:00:00:00:99" }),
      concat(hex("11000007"), be16(inner.length + 2), hex("0021"), inner),
    ),
  );
  t.is(wan.counters.unknownSession, 2);
  discovery(0xa7, 8);
  t.true(tun.up());
  discovery(0xa7, 7);
  t.deepEqual([tun.up(), client.state().reason], [false, "peer"]);
  t.is(ip.fib.lookup(0x0a400001, null)?.nif === tun, false);
});

test("CHAP: the digest of identifier, secret and challenge; a failure ends it", (t) => {
  const seen: string[] = [];
  const md5 = (data: Uint8Array) => {
    seen.push(toHex(data).replaceAll(" ", ""));
    return new Uint8Array(16).fill(0xaa);
  };
  const { ppp, sent, client, wan } = connect(t, { md5, persist: false }, hex("0305c22305"));
  sent();
  ppp(CHAP, 1, 9, hex("0301020361"));
  t.deepEqual(seen, ["097077010203"]);
  t.regex(sent()[0].replaceAll(" ", ""), /^c2232910a{32}6d65$/);
  ppp(CHAP, 1, 9, hex("09010203"));
  t.is(wan.counters.malformed, 1);
  ppp(CHAP, 4, 9);
  t.is(client.state().reason, "refused");
});

test("options: what we do not take is refused, our own magic number is a loop, echoes are answered, silence ends it", (t) => {
  const { ppp, sent, client, establish, requestOf, world } = setUp(t, {
    user: undefined,
    echo: 5,
    persist: false,
  });
  establish();
  const lcp = requestOf(LCP, sent());
  t.regex(toHex(lcp.data).replaceAll(" ", ""), /^010405d40506/);
  ppp(LCP, 1, 1, hex("07020802 0304c023"));
  t.is(sent()[0].replaceAll(" ", ""), "c02141070208020304c023", "refused, all three");
  ppp(LCP, 1, 2, concat(hex("0506"), lcp.data.subarray(6)));
  t.regex(sent()[0].replaceAll(" ", ""), /^c021320506/);
  ppp(LCP, 1, 3, hex("0103"));
  ppp(LCP, 1, 3, hex("01ff05d4"));
  t.deepEqual(sent(), []);
  ppp(LCP, 1, 4);
  const [, , request] = ["", "", requestOf(LCP, (world.run(3000), sent()))];
  ppp(LCP, 2, request.id, request.data);
  t.is(client.state().phase, "configure");
  sent();
  ppp(LCP, 9, 77, hex("00000000616263"));
  t.regex(sent()[0].replaceAll(" ", ""), /^c0211077.{8}616263$/);
  ppp(0x1234, 1, 1, hex("00"));
  t.regex(sent()[0].replaceAll(" ", ""), /^c0218\d+1234/, "protocol reject");
  ppp(LCP, 99, 5);
  t.regex(sent()[0].replaceAll(" ", ""), /^c0217563/, "code reject");
  world.run(30_000);
  t.regex(client.state().reason, /silent|network/);
});

test("IPV6CP: a link-local address of the identifier that was agreed on", (t) => {
  const made = setUp(t, { user: undefined }, true);
  const { ppp, sent, requestOf, establish, client, tun } = made;
  establish();
  const lcp = requestOf(LCP, sent());
  ppp(LCP, 1, 1);
  ppp(LCP, 2, lcp.id, lcp.data);
  const list = sent();
  const own = requestOf(IPV6CP, list);
  ppp(IPV6CP, 3, own.id, hex("010a0102030405060708"));
  const next = requestOf(IPV6CP, sent());
  ppp(IPV6CP, 2, next.id, next.data);
  ppp(IPV6CP, 1, 1, hex("010a0000000000000000"));
  t.regex(sent()[0].replaceAll(" ", ""), /^805731010a/, "zero: another is suggested");
  ppp(IPV6CP, 1, 2, hex("010a0000000000000009"));
  t.is(client.state().phase, "network");
  t.true(tun.up());
});

test("misuse is told at once", (t) => {
  const { wan, nif } = setUp(t);
  const code = (options: PppoeOptions) =>
    (t.throws(() => wan.connect(nif, options)) as Error & { code: string }).code;
  t.is(code({ mtu: 1500 }), "EINVAL");
  t.is(code({ user: "x".repeat(201) }), "EINVAL");
  t.is(code({ name: "ppp0" }), "EEXIST");
});

test("property: no frame of a server's makes it throw, loop or hold a session that is none", (t) => {
  const made = connect(t, { echo: 0 });
  const { probe, stack, sent, client } = made;
  sent();
  const protocols = [LCP, PAP, CHAP, IPCP, IPV6CP, 0x21, 0x57, 0x80fd];
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.constantFrom(0x8863, 0x8864),
        fc.constantFrom(...protocols),
        fc.integer({ min: 0, max: 12 }),
        fc.uint8Array({ maxLength: 60 }),
        fc.integer({ min: -3, max: 3 }),
        (type, protocol, code, bytes, lie) => {
          // Not the ends of the session: what comes after them would find none.
          if (code === 5) code = 1;
          const body =
            type === 0x8864
              ? concat(
                  be16(protocol),
                  Uint8Array.of(code, bytes[0] ?? 0),
                  be16(4 + bytes.length + lie),
                  bytes,
                )
              : bytes;
          const head = Uint8Array.of(0x11, type === 0x8864 ? 0 : [7, 0x65, 0x19, 9][code & 3]);
          probe.send(
            frame(
              eth({ type, src: PROBE_MAC, dst: STACK_MAC }),
              concat(head, be16(7), be16(body.length + (lie >> 1)), body),
            ),
          );
          probe.take();
          return !stack.busy && stack.unwrapping === 0 && stack.timers.count() < 12 && client.nif.mtu >= 128;
        },
      ),
      { numRuns: 3000 },
    ),
  );
});

test("property: tags and options end where they end", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), fc.nat(30), (bytes, at) => {
        const length = tagLength(bytes, at, bytes.length);
        const option = optionLength(bytes, at, bytes.length);
        return (
          (length === -1 || (length >= 4 && at + length <= bytes.length)) &&
          (option === -1 || (option >= 2 && at + option <= bytes.length))
        );
      }),
    ),
  );
});
