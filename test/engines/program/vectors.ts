/**
 * Inputs of every parser and what comes of them, as text: `vectors(["dns1 000081...", ...], print)` prints a line for each.
 *
 * The first word says who takes the input: "4" and "6" are whole stacks that are given frames one after the other, and answer
 * with their counters, addresses, name servers, and what they sent; the others are the parsers that are functions ("dns28": of
 * an answer to a question for AAAA).
 */
import { Random } from "../../../ports/sim/random.js";
import type { Link, LinkReceiver } from "../../../hypercall/index.js";
import { sum } from "../../../stack/core/checksum.js";
import { nameServers } from "../../../stack/core/name-servers.js";
import { createStack } from "../../../stack/core/stack.js";
import type { Component, Stack } from "../../../stack/core/stack.js";
import { format4, parse4 } from "../../../stack/core/text4.js";
import { format6, parse6 } from "../../../stack/core/text6.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { slaac } from "../../../stack/ipv6/slaac.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { vlan } from "../../../stack/link/vlan.js";
import { parseAnswer } from "../../../stack/service/dhcpv6-lease.js";
import { readAnswer } from "../../../stack/service/dns-answer.js";
import { Writer, parseMessage } from "../../../stack/service/mdns-message.js";
import { Segment, parse } from "../../../stack/tcp/segment.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { isReply, parseOption } from "../../../stack/wire/dhcp.js";
import { DHCP6_HEADER, areOptions } from "../../../stack/wire/dhcpv6.js";
import { DNS_ANSWERS, emitName } from "../../../stack/wire/dns.js";
import type { RecordData } from "../../../stack/wire/dns.js";
import { NTP_KISS, NTP_RECEIVE, NTP_TIME, kissCode, parseReply, timeAt } from "../../../stack/wire/ntp.js";
import { World, countersOf, hex, resetCounters, unhex } from "./world.js";

type Print = (line: string) => void;

export function vectors(list: string[], print: Print): void {
  for (let i = 0; i < list.length; i++) {
    const words = list[i].split(" ");
    const inputs: Uint8Array[] = [];
    for (let k = 1; k < words.length; k++) inputs.push(unhex(words[k]));
    print(take(words[0], inputs));
  }
}

/**
 * Makes `count` broken inputs of each good one, and prints a digest of what came of them all. Those of a stack go to one stack.
 *
 * @param list as `vectors` takes
 */
export function mutations(list: string[], count: number, seed: number, print: Print): void {
  const random = new Random(seed);
  for (let i = 0; i < list.length; i++) {
    const words = list[i].split(" ");
    const kind = words[0];
    const stack = kind === "4" || kind === "6" ? new Probe(kind) : null;
    const digest = new Digest();
    for (let n = 0; n < count; n++) {
      const input = mutate(unhex(words[1 + (n % (words.length - 1))]), random);
      if (stack) {
        stack.send(input);
        stack.world.run(random.below(50));
      } else digest.add(take(kind, [input]));
    }
    if (stack) digest.add(stack.report());
    print(digest.text());
  }
}

/** Flips bits, sets bytes to what parsers dislike, cuts, and makes longer. */
function mutate(input: Uint8Array, random: Random): Uint8Array {
  const room = new Uint8Array(input.length + 8);
  room.set(input);
  let length = input.length;
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const at = random.below(length);
    const way = random.below(8);
    if (way < 3) room[at] ^= 1 << random.below(8);
    else if (way < 5) room[at] = [0, 1, 127, 128, 255][random.below(5)];
    else if (way === 5) room[at] = random.below(256);
    else if (way === 6) length = 1 + random.below(input.length + 8);
  }
  return room.subarray(0, length);
}

class Digest {
  private a = 1;
  private b = 2;
  private length = 0;

  add(text: string): void {
    this.length += text.length;
    for (let i = 0; i < text.length; i++) {
      this.a = (this.a * 31 + text.charCodeAt(i)) | 0;
      this.b = (this.b * 37 + text.charCodeAt(i)) | 0;
    }
  }

  text(): string {
    return this.length + " " + (this.a >>> 0).toString(16) + " " + (this.b >>> 0).toString(16);
  }
}

/** A stack alone on a link, whose other end sends it frames. */
class Probe {
  readonly sent: string[] = [];
  readonly world = new World(1, (line) => void this.sent.push(line));
  private readonly stack: Stack;
  private receiver: LinkReceiver | null = null;
  private readonly addresses: () => string;

  constructor(kind: string) {
    const host = this.world.host();
    const four = ipv4();
    const six = ipv6({ linkLocal: false });
    const datagrams = udp();
    const streams = tcp();
    const parts: Component[] =
      kind === "4"
        ? [arp(), four, icmp(), fragments(), igmp()]
        : [six, icmpv6(), nd(), slaac(), fragments6(), mld()];
    const all = ([ethernet(), vlan(), datagrams, streams] as Component[]).concat(parts);
    this.stack = host.drive(createStack(host, all, { packetMemory: 65536, chunkSize: 512 }));
    const mac = unhex("020000000001");
    const link: Link = {
      medium: "ethernet",
      mtu: 1500,
      mac,
      open: (receiver) => void (this.receiver = receiver),
      close: () => {},
      transmit: (frame, start, end) => this.sent.push(hex(frame, start, end)) && 0,
    };
    const nif = this.stack.addInterface(link);
    if (kind === "4") four.addAddress(nif, "10.0.0.1/24");
    else six.addAddress(nif, "fe80::1/64");
    this.addresses = () => six.addresses.map((entry) => format6(entry.bytes, 0) + "/" + entry.length).join();
    const data = new Uint8Array(2048);
    datagrams.open({
      port: 7,
      onReadable(count) {
        for (; count > 0; count--) this.receive(data);
      },
    });
    streams.listen({ port: 80 });
    this.world.run(3000);
    this.sent.splice(0, this.sent.length);
    resetCounters(this.stack);
  }

  send(frame: Uint8Array): void {
    // Garbage around it: who reads beyond the frame does not find zeros.
    const lent = new Uint8Array(frame.length + 32);
    for (let i = 0; i < lent.length; i++) lent[i] = 0xa5;
    lent.set(frame, 16);
    (this.receiver as LinkReceiver).receive(lent, 16, 16 + frame.length);
  }

  report(): string {
    const servers = nameServers(this.stack)
      .list()
      .map((server) => server.address);
    return [countersOf(this.stack), this.addresses(), servers.join(), this.sent.join(" ")].join("|");
  }
}

function take(kind: string, inputs: Uint8Array[]): string {
  const data = inputs[0];
  if (kind === "4" || kind === "6") {
    const probe = new Probe(kind);
    for (let i = 0; i < inputs.length; i++) {
      probe.send(inputs[i]);
      probe.world.run(10);
    }
    return probe.report();
  }
  if (kind === "tcp") return segment(data);
  if (kind === "dhcp") return dhcpReply(data);
  if (kind === "dhcp6") return dhcp6Answer(data);
  if (kind === "ntp") return ntpReply(data);
  if (kind === "mdns") return multicast(data);
  if (kind.substr(0, 3) === "dns") return dnsAnswer(data, parseInt(kind.substr(3), 10));
  if (kind === "sum") return [sum(data, 0, data.length, 0), sum(data, 1, data.length, 0xfffe)].join();
  let text = "";
  for (let i = 0; i < data.length; i++) text += String.fromCharCode(data[i]);
  if (kind === "name") {
    const target = new Uint8Array(300);
    const end = emitName(text, target, 0);
    return end < 0 ? "no" : hex(target, 0, end);
  }
  if (kind === "text4") {
    const address = parse4(text);
    return address === null ? "no" : format4(address);
  }
  const bytes = parse6(text);
  return bytes ? hex(bytes, 0, 16) + " " + format6(bytes, 0) : "no";
}

function segment(data: Uint8Array): string {
  const s = new Segment();
  if (!parse(s, data, 0, data.length)) return "no";
  return [
    [s.seq, s.ack, s.flags, s.window, s.at, s.length].join(),
    "mss " + s.mss,
    "scale " + s.scale,
    "sack " + (s.sackPermitted ? "permitted " : "") + s.sack.slice(0, s.sackCount * 2).join(),
    "ts " + (s.timestamps ? s.tsValue + "," + s.tsEcho : ""),
  ].join("|");
}

function dhcpReply(data: Uint8Array): string {
  const value = new Uint8Array(255);
  if (!isReply(data, data.length, value)) return "no";
  let text = "";
  for (let code = 1; code < 255; code++) {
    const length = parseOption(data, data.length, code, value);
    if (length !== 0) text += " " + code + "=" + (length < 0 ? "bad" : hex(value, 0, length));
  }
  return text.substr(1);
}

/** A message from a server to a client whose associations have number 1. */
function dhcp6Answer(data: Uint8Array): string {
  if (data.length < DHCP6_HEADER || !areOptions(data, DHCP6_HEADER, data.length)) return "no";
  const answer = parseAnswer(data, data.length, 1);
  const server = answer.server;
  let text = [server ? hex(server, 0, server.length) : "none", answer.status, answer.preference].join(" ");
  if (answer.rapid) text += " rapid";
  if (answer.noBinding) text += " no binding";
  if (answer.notOnLink) text += " not on link";
  for (let i = 0; i < answer.given.length; i++) {
    const each = answer.given[i];
    text += "|" + format6(each.bytes, 0) + "/" + each.length + " " + each.preferred + " " + each.valid;
  }
  const times = [answer.renew, answer.rebind, answer.refresh, answer.solicitMaximum, answer.informMaximum];
  return [text, times.join(), answer.nameServers.join(), answer.search.join()].join("|");
}

/** A reply to the request whose cookie is 1, 2, ..., 8. */
function ntpReply(data: Uint8Array): string {
  const cookie = new Uint8Array(8);
  for (let i = 0; i < 8; i++) cookie[i] = i + 1;
  const verdict = parseReply(data, data.length, cookie);
  if (verdict === NTP_TIME) return "time " + Math.floor(timeAt(data, NTP_RECEIVE));
  return verdict === NTP_KISS ? "kiss " + kissCode(data) : "no " + verdict;
}

/** What a message of multicast DNS says, and what becomes of its records when they are written again. */
function multicast(data: Uint8Array): string {
  const counters = { malformed: 0, tooMany: 0 };
  const message = parseMessage(data, data.length, counters);
  if (!message) return "no " + counters.malformed + counters.tooMany;
  const writer = new Writer();
  let text = message.flags.toString(16);
  writer.begin(message.id, message.flags, 512);
  for (let i = 0; i < message.questions.length; i++) {
    const each = message.questions[i];
    text += "|? " + [each.name, each.type, each.class].join(" ");
  }
  const records = message.records.concat(message.proposed);
  for (let i = 0; i < records.length; i++) {
    const each = records[i];
    const owner = new Uint8Array(256);
    const end = emitName(each.name, owner, 0);
    text +=
      "|" + [each.name, each.type, each.ttl, each.unique ? "unique" : "shared", show(each.value)].join(" ");
    writer.record(DNS_ANSWERS, owner.subarray(0, end), each.type, 1, each.ttl, each.data);
  }
  return text + "|" + hex(writer.data, 12, writer.at);
}

/** The answer to the question for records of "host.example". */
function dnsAnswer(data: Uint8Array, type: number): string {
  const answer = data.length < 12 ? null : readAnswer(data, data.length, "host.example", type, type, 0);
  if (!answer) return "no";
  let text = answer.code + " " + answer.ttl + " " + answer.target;
  for (let i = 0; i < answer.records.length; i++) {
    const each = answer.records[i];
    text += "|" + [each.name, each.type, each.ttl, show(each.data)].join(" ");
  }
  return text;
}

function show(data: RecordData): string {
  if (typeof data === "string") return data;
  if (data instanceof Uint8Array) return hex(data, 0, data.length);
  const fields = data as unknown as { [name: string]: string | number };
  let text = "";
  for (const name in fields) text += (text && ",") + fields[name];
  return text;
}
