/** Ping and raw sockets against the kernel, over whichever family the host has. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ping } from "../../../stack/raw/ping.js";
import type { EchoReply } from "../../../stack/raw/ping.js";
import { raw } from "../../../stack/raw/raw.js";
import { datagramInfo } from "./apps.js";
import type { CabledHost, HostOptions } from "./host.js";

export interface RawSuite<H extends CabledHost> {
  create(t: ExecutionContext, options: HostOptions): Promise<H>;
  kernel: string;
  /** Bytes of the largest ping. */
  largest: number;
  /** Makes the kernel refuse `far`. */
  unreachable(node: H): void;
  far: string;
  refusal: number;
  /** An echo request by hand, with its checksum: id 0x1234, sequence 1, no data; and its reply. */
  protocol: number;
  request: Uint8Array;
  answer: Uint8Array;
}

/** Declares the tests. */
export function rawSuite<H extends CabledHost>(suite: RawSuite<H>): void {
  const { create, kernel, largest, unreachable, far, refusal, protocol, request, answer } = suite;
  test(`the kernel answers our pings, of sizes 0 to ${largest}`, async (t) => {
    const pings = ping();
    await create(t, { components: [pings], stack: { packetMemory: 4 << 20 } });
    const sizes = [0, 1, 56, 1472, 1473, 20000, largest];
    let done = (_reply: EchoReply) => {};
    const socket = pings.open({ address: kernel, receiveBuffer: 1 << 17, onReply: (reply) => done(reply) });
    for (const [i, size] of sizes.entries()) {
      const data = new Uint8Array(size).map((_, at) => at * 7);
      const answer = new Promise<EchoReply>((resolve) => (done = resolve));
      t.is(socket.send(data), i);
      const reply = await answer;
      t.is(reply.sequence, i);
      t.is(reply.address, kernel);
      t.is(reply.ttl, 64);
      t.true(reply.rtt >= 0 && reply.rtt < 5000);
      t.is(Buffer.compare(reply.data, data), 0);
    }
    socket.close();
  });

  test("what the kernel cannot deliver is an error of the request", async (t) => {
    const pings = ping();
    unreachable(await create(t, { components: [pings] }));
    const errors = new Promise<number[]>((resolve) => {
      const socket = pings.open({
        address: far,
        onReply: () => t.fail(),
        onError(code, sequence) {
          this.close();
          resolve([code, sequence]);
        },
      });
      socket.send();
    });
    t.deepEqual(await errors, [refusal, 0]);
  });

  test("raw datagrams to the kernel and back", async (t) => {
    const sockets = raw();
    const { stack } = await create(t, { components: [sockets] });
    const socket = sockets.open({ protocol });
    const reply = new Promise<Uint8Array>((resolve) => {
      const timer = setInterval(() => {
        const target = new Uint8Array(100);
        const info = datagramInfo();
        const length = socket.receive(target, info);
        if (length < 0 || target[0] !== answer[0]) return;
        clearInterval(timer);
        t.is(info.address, kernel);
        resolve(target.subarray(0, length));
      }, 5);
    });
    t.is(socket.sendTo(kernel, request), 8);
    t.deepEqual(await reply, answer);
    socket.close();
    t.true(stack.counters.raw!.received! >= 1);
  });
}
