/** The network classes of ECMA-419 over the simulator, by the clauses of the standard. */
import test, { type ExecutionContext } from "ava";
import {
  type IoError,
  type NTP,
  type Resolver,
  type TCP,
  ethernetClass,
  ntpClass,
  resolverClass,
  tcpClasses,
  udpClass,
} from "../../../ports/ecma419/index.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { dns } from "../../../stack/service/dns.js";
import { type NetworkOptions, pair } from "../../support/network.js";
import type { WireOptions } from "../../../ports/sim/index.js";

function bench(t: ExecutionContext, options: NetworkOptions & WireOptions = {}) {
  const hosts = [{ name: "b.test", address: "10.0.0.2" }];
  const resolvers: ReturnType<typeof dns>[] = [];
  const network = pair(t, {
    ...options,
    components: () => [igmp(), resolvers[resolvers.push(dns({ hosts })) - 1]!],
  });
  const { a, b } = network;
  const names = resolvers[0]!;
  return {
    ...network,
    names,
    ...tcpClasses(a.tcp, names),
    ...udpClass(a.udp),
    ...resolverClass(names),
    ...ntpClass(a.stack, names),
    ...ethernetClass(a.stack),
    far: { ...tcpClasses(b.tcp), ...udpClass(b.udp) },
  };
}

const text = (value: unknown) => String.fromCharCode(...new Uint8Array(value as ArrayBuffer));
const bytes = (value: string) => Uint8Array.from(value, (c) => c.charCodeAt(0));
const code = (name: string) => ({ code: name }) as never;

test("TCP and Listener: a connection from its first onWritable to its onError", (t) => {
  const { TCP, far, run } = bench(t, { delay: 10 });
  const log: string[] = [];
  let served: TCP | undefined;
  const listener = new far.Listener({
    port: 80,
    target: "shelf",
    onReadable(requests) {
      t.is(this, listener);
      t.is(requests, 1);
      const connection = this.read()!;
      t.is(this.read(), undefined);
      t.is(connection.remoteAddress, "10.0.0.1");
      served = new far.TCP({
        from: connection,
        onReadable(count) {
          log.push(`server ${count} ${text(this.read())}`);
          t.is(this.read(), undefined);
          if (count > 1) this.write(bytes("answer"));
        },
        onError(error) {
          log.push(`server error ${error?.code}`);
          this.close();
        },
      });
      t.throws(() => connection.read(), code("EBADF"));
      connection.close();
    },
  });
  t.is(listener.target, "shelf");
  t.is(listener.port, 80);
  t.is(listener.format, "socket/tcp");
  t.throws(() => (listener as unknown as { write(): void }).write(), code("EOPNOTSUPP"));
  const client = new TCP({
    address: "10.0.0.2",
    port: 80,
    noDelay: true,
    keepAlive: 10_000,
    target: 7,
    onWritable(count) {
      log.push("client writable");
      t.true(count > 1000);
      t.is(this.write(bytes("ques"), { more: true }), count - 4);
      t.is(this.write(bytes("tion")), count - 8);
    },
    onReadable(count) {
      log.push(`client ${count}`);
      t.is(text(this.read(2)), "an");
      const buffer = new Uint8Array(8);
      t.is(this.read(new DataView(buffer.buffer, 1, 2)), 2);
      t.is(String.fromCharCode(...buffer.subarray(1, 3)), "sw");
      this.format = "number";
      t.is(this.read(), "e".charCodeAt(0));
      this.write(33);
      t.throws(() => this.write(256), code("EINVAL"));
      t.throws(() => this.write(bytes("x")), code("EINVAL"));
      t.throws(() => this.read(1), code("EINVAL"));
      this.format = "buffer";
      t.throws(() => (this.format = "object"), code("EINVAL"));
      t.is(this.format, "buffer");
      t.is(text(this.read(new ArrayBuffer(0)) === 0 && this.read()), "r");
    },
    onError: (error) => void log.push(`client error ${error?.code}`),
  });
  t.is(client.target, 7);
  t.deepEqual(log, []);
  t.throws(() => client.write(bytes("early")), code("ENOTCONN"));
  t.is(client.read(), undefined);
  run(1000);
  served!.close();
  run(1000);
  t.deepEqual(log, [
    "client writable",
    "server 8 question",
    "client 6",
    "server 1 !",
    "client error undefined",
  ]);
  t.is(client.remotePort, 80);
  client.close();
  client.close();
  t.throws(() => client.read(), code("EBADF"));
  t.throws(() => client.write(bytes("late")), code("EBADF"));
  t.is(client.remoteAddress, undefined);
  listener.close();
  listener.close();
  t.throws(() => listener.read(), code("EBADF"));
});

test("write is all or nothing, onWritable tells when there is room again", (t) => {
  const { TCP, far, run } = bench(t, { stack: { packetMemory: 65536, chunkSize: 256 } });
  const listener = new far.Listener({ port: 80 });
  let received = 0;
  let writable = 0;
  const client = new TCP({ host: "10.0.0.2", port: 80, onWritable: () => void writable++ });
  run(100);
  const server = new far.TCP({
    from: listener.read(),
    onReadable() {
      received += (this.read() as ArrayBuffer).byteLength;
    },
  });
  t.is(writable, 1);
  const room = client.write(new ArrayBuffer(100));
  t.throws(() => client.write(new Uint8Array(room + 100_000)), code("EAGAIN"));
  run(1000);
  t.is(received, 100);
  t.true(writable >= 2);
  const all = client.write(new Int8Array(0));
  t.is(client.write(new Uint8Array(all)), 0);
  run(5000);
  t.is(received, 100 + all);
  client.close();
  server.close();
  listener.close();
  run(5000);
});

test("what is wrong with options is thrown before anything is opened", (t) => {
  const { TCP, UDP, Resolver, NTP, Ethernet, far, a } = bench(t);
  const wrong: [new (options: never) => unknown, unknown][] = [
    [TCP, undefined],
    [TCP, null],
    [TCP, 7],
    [TCP, {}],
    [TCP, { address: "10.0.0.2" }],
    [TCP, { port: 80 }],
    [TCP, { address: 7, port: 80 }],
    [TCP, { address: "10.0.0.2", port: 65536 }],
    [TCP, { address: "10.0.0.2", port: 1.5 }],
    [TCP, { address: "10.0.0.2", port: 80, onReadable: 7 }],
    [TCP, { address: "10.0.0.2", port: 80, format: "string" }],
    [TCP, { address: "10.0.0.2", port: 80, keepAlive: -1 }],
    [TCP, { from: {} }],
    [TCP, { address: "nonsense", port: 80 }],
    [far.Listener, { port: -1 }],
    [far.Listener, { format: "buffer" }],
    [far.Listener, { onError: "x" }],
    [far.Listener, { address: "10.0.0.9" }],
    [UDP, { port: 70000 }],
    [UDP, { format: "number" }],
    [UDP, { timeToLive: 0 }],
    [UDP, { multicast: "10.0.0.1" }],
    [Resolver, { servers: [7] }],
    [Resolver, undefined],
    [NTP, {}],
    [NTP, { servers: [] }],
    [Ethernet, { port: "eth9" }],
    [Ethernet, undefined],
  ];
  for (const [constructor, options] of wrong)
    t.throws(() => new constructor(options as never), undefined, JSON.stringify(options));
  t.is(a.tcp.connections.size, 0);
  t.is(a.udp.sockets.size, 0);
  const frozen = Object.freeze({ address: "10.0.0.2", port: 80, io: TCP, unknown: 1, onReadable: null });
  new TCP(frozen).close();
});

test("a name instead of an address, refusals and resets", (t) => {
  const { TCP, far, run } = bench(t);
  const listener = new far.Listener({
    port: 80,
    onReadable() {
      const c = this.read()!;
      c.close();
    },
  });
  const seen: string[] = [];
  const watch = (name: string) => ({
    onWritable: () => void seen.push(`${name} writable`),
    onError: (error?: IoError) => void seen.push(`${name} ${error?.code}`),
  });
  new TCP({ host: "b.test", port: 80, ...watch("named") });
  new TCP({ host: "b.test", port: 81, ...watch("refused by name") });
  new TCP({ address: "10.0.0.2", port: 81, ...watch("refused") });
  new TCP({ host: "nowhere.test", port: 80, ...watch("unknown") });
  const gone = new TCP({ host: "b.test", port: 80, ...watch("gone") });
  gone.close();
  run(30_000);
  t.deepEqual(seen.sort(), [
    "named undefined",
    "named writable",
    "refused ECONNREFUSED",
    "refused by name ECONNREFUSED",
    "unknown ENETUNREACH",
  ]);
  listener.close();
  class Counted extends TCP {
    count = 0;
  }
  const sub = new Counted({ address: "10.0.0.2", port: 80 });
  t.true(sub instanceof TCP && sub.count === 0);
  sub.close();
});

test("subclasses, disposal and a listener that nobody reads", (t) => {
  const { far, a, b, run } = bench(t);
  const counts: number[] = [];
  const listener = new far.Listener({ onReadable: (requests) => void counts.push(requests) });
  for (let i = 0; i < 20; i++) a.tcp.connect({ address: "10.0.0.2", port: listener.port });
  run(5000);
  t.is(counts.at(-1), 16, "the backlog is bounded");
  t.is(b.tcp.counters.synDropped > 0, true);
  const dispose = (Symbol as unknown as { dispose?: symbol }).dispose;
  if (dispose) (listener as unknown as Record<symbol, () => void>)[dispose]!();
  else listener.close();
  run(10);
  t.throws(() => listener.port, code("EBADF"));
});

test("UDP: whole packets with their sender, groups, and both orders of write", (t) => {
  const { UDP, far, run } = bench(t);
  const counts: number[] = [];
  const errors: (string | undefined)[] = [];
  const one = new UDP({
    port: 5000,
    onReadable: (packets) => void counts.push(packets),
    onError: (error) => void errors.push(error.code),
  });
  const two = new far.UDP({ port: 6000, multicast: "239.1.2.3", timeToLive: 4 });
  t.is(one.read(), undefined);
  t.is(one.read(new Uint8Array(4)), undefined);
  two.write(bytes("hello"), "10.0.0.1", 5000);
  two.write(bytes("").buffer, "10.0.0.1", 5000);
  two.write("10.0.0.1", 5000, bytes("world"));
  run(10);
  t.true(counts.length > 0);
  t.throws(() => one.read(new Uint8Array(4)), code("EMSGSIZE"));
  const first = one.read()!;
  t.is(text(first), "hello");
  t.is(first.address, "10.0.0.2");
  t.is(first.port, 6000);
  t.is(one.read()!.byteLength, 0);
  const buffer = new Uint8Array(10) as Uint8Array & { address?: string };
  t.is(one.read(buffer), 5);
  t.is(buffer.address, "10.0.0.2");
  one.write(bytes("group"), "239.1.2.3", 6000);
  run(10);
  t.is(text(two.read()), "group");
  two.remove("239.1.2.3");
  t.throws(() => two.remove("239.1.2.3"), code("ENOENT"));
  t.throws(() => two.add("10.0.0.1"));
  two.add("239.1.2.4");
  one.write(bytes("nobody"), "10.0.0.2", 9);
  run(10);
  t.deepEqual(errors, ["ECONNREFUSED"]);
  t.throws(() => one.write(bytes("x"), "192.0.2.1", 9), code("ENETUNREACH"));
  t.throws(() => one.write("x" as never, "10.0.0.2", 9));
  t.throws(() => one.write(bytes("x"), "10.0.0.2", 0), code("EINVAL"));
  t.is(one.format, "buffer");
  one.close();
  one.close();
  t.throws(() => one.read(), code("EBADF"));
  t.throws(() => one.add("239.1.2.3"), code("EBADF"));
  two.close();
});

test("Resolver: both editions' callbacks, addresses, servers of its own, close", (t) => {
  const { Resolver, a, b, run } = bench(t);
  const asked: string[] = [];
  b.udp.open({
    port: 53,
    onReadable() {
      asked.push("asked");
      const buffer = new Uint8Array(512);
      this.receive(buffer);
    },
  });
  const resolver = new Resolver({ servers: ["10.0.0.2"], target: 1 });
  const seen: string[] = [];
  const callback = function (this: Resolver, error: IoError | null, address?: string, host?: string) {
    t.is(this, resolver);
    seen.push(`${error?.code} ${address} ${host}`);
  };
  resolver.resolve({ host: "b.test" }, callback);
  resolver.resolve({ host: "10.9.9.9" }, callback);
  resolver.resolve({
    host: "b.test",
    onResolved: (host, address) => void seen.push(`${host} is ${address}`),
  });
  resolver.resolve({
    host: "slow.test",
    onResolved: () => t.fail(),
    onError: (host) => void seen.push(`no ${host}`),
  });
  t.deepEqual(seen, []);
  run(100);
  t.deepEqual(seen, ["undefined 10.0.0.2 b.test", "undefined 10.9.9.9 10.9.9.9", "b.test is 10.0.0.2"]);
  t.is(asked.length, 1);
  run(60_000);
  t.deepEqual(seen.slice(3), ["no slow.test"]);
  resolver.resolve({ host: "late.test" }, () => t.fail());
  t.throws(() => resolver.resolve({ host: "b.test" }), code("EINVAL"));
  t.throws(() => resolver.resolve({} as never, callback), code("EINVAL"));
  resolver.close();
  resolver.close();
  t.throws(() => resolver.resolve({ host: "b.test" }, callback), code("EBADF"));
  run(60_000);
  for (const servers of ["10.0.0.2", 5, ["ns.test"], [""], [5], [undefined]])
    t.throws(() => new Resolver({ servers: servers as never }), code("EINVAL"), String(servers));
  t.deepEqual(a.stack.nameServers!.list(), []);
});

test("NTP: the time once, one question at a time, with a resolver of its own", (t) => {
  const { NTP, Resolver, a, b, run } = bench(t);
  b.udp.open({
    port: 123,
    onReadable() {
      const buffer = new Uint8Array(48);
      const info = { address: "", port: 0 };
      this.receive(buffer, info as never);
      const reply = new Uint8Array(48);
      reply.set([0x24, 1]);
      reply.set(buffer.subarray(40, 48), 24);
      // 2026-11-25T00:00:00Z
      for (const at of [32, 40]) reply.set([0xee, 0xb0, 0x10, 0x80], at);
      this.sendTo(info.address, info.port, reply);
    },
  });
  const ntp: NTP = new NTP({ servers: ["b.test"], dns: { io: Resolver }, socket: {} });
  const seen: string[] = [];
  ntp.getTime(function (error, time) {
    t.is(this, ntp);
    seen.push(`${error} ${new Date(time!).toISOString().slice(0, 16)}`);
  });
  t.throws(() => ntp.getTime(() => {}), code("EALREADY"));
  run(1000);
  t.deepEqual(seen, ["null " + new Date((0xeeb01080 - 2208988800) * 1000).toISOString().slice(0, 16)]);
  t.throws(() => ntp.getTime(7 as never), code("EINVAL"));
  run(20_000);
  ntp.getTime(() => t.fail());
  ntp.close();
  ntp.close();
  t.throws(() => ntp.getTime(() => {}), code("EBADF"));
  const lost: NTP = new NTP({ host: "10.0.0.2", servers: ["nowhere.test"] });
  lost.getTime((error, time) => seen.push(`${error} ${time! > 0}`));
  run(30_000);
  t.is(seen[1], "null true", "the second server");
  const none: NTP = new NTP({ servers: ["10.0.0.77"] });
  none.getTime((error, time) => seen.push(`${error?.code} ${time}`));
  run(60_000);
  t.is(seen[2], "EHOSTUNREACH undefined");
  lost.close();
  none.close();
  t.true(a.stack.components.every(({ name }) => name !== "ntp"));
});

test("Ethernet: connection, MAC, address and their changes", (t) => {
  const { Ethernet, a, links, run } = bench(t);
  const seen: string[] = [];
  const eth0 = new Ethernet({
    port: "eth0",
    onChanged(name) {
      seen.push(`${name} ${this.connection} ${this.address}`);
    },
  });
  const other = new Ethernet({});
  t.is(eth0.connection, 500);
  t.is(eth0.address, "10.0.0.1");
  t.is(eth0.MAC, "02:00:00:00:00:01");
  links[0].cut();
  run(10);
  links[0].restore();
  run(10);
  eth0.disconnect();
  t.is(other.connection, 200);
  run(10);
  eth0.connect();
  run(10);
  a.ip.removeAddress(a.nif, "10.0.0.1");
  run(10);
  t.deepEqual(seen, [
    "connection 200 10.0.0.1",
    "connection 500 10.0.0.1",
    "connection 200 10.0.0.1",
    "connection 500 10.0.0.1",
    "connection 400 undefined",
    "address 400 undefined",
  ]);
  eth0.close();
  eth0.close();
  t.throws(() => eth0.connection, code("EBADF"));
  a.ip.addAddress(a.nif, "10.0.0.5/24");
  run(10);
  t.is(seen.length, 6);
  a.stack.removeInterface(a.nif);
  t.is(other.connection, 0);
});
