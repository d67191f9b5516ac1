import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { once } from "node:events";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { LinkReceiver } from "../../../hypercall/link.js";
import { openUdpFrame } from "../../../ports/node/index.js";
import type { UdpFrameLink, UdpFrameOptions } from "../../../ports/node/index.js";

/** The far end: a plain socket. */
async function farEnd(t: ExecutionContext): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.teardown(() => socket.close());
  return { socket, port: socket.address().port };
}

async function openLink(t: ExecutionContext, options: UdpFrameOptions) {
  const link: UdpFrameLink = await openUdpFrame(options);
  t.teardown(() => link.close());
  const frames: Buffer[] = [];
  let wake = (): void => {};
  const receiver: LinkReceiver = {
    receive(frame, start, end) {
      frames.push(Buffer.from(frame.subarray(start, end)));
      wake();
    },
    carrier() {},
    writable() {},
    lost() {},
  };
  link.open(receiver);
  const next = async (): Promise<Buffer> => {
    if (frames.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return frames.shift()!;
  };
  return { link, next };
}

test("one datagram is one frame, both ways, from the smallest to the largest", async (t) => {
  const { socket, port } = await farEnd(t);
  const { link, next } = await openLink(t, { remote: { port } });
  for (const size of [1, 60, 1514, 9014, 65507]) {
    const frame = Buffer.alloc(size + 6, size);
    t.is(link.transmit(frame, 4, 4 + size), 0);
    frame.fill(0); // the link has copied it
    const [datagram] = (await once(socket, "message")) as [Buffer];
    t.deepEqual(datagram, Buffer.alloc(size, size));
    socket.send(datagram, link.localPort, "127.0.0.1");
    t.deepEqual(await next(), datagram);
  }
  t.is(link.transmitErrors, 0);
});

test("L2TPv3 over UDP: the session header goes out and is demanded", async (t) => {
  const { socket, port } = await farEnd(t);
  const { link, next } = await openLink(t, {
    remote: { port },
    l2tpv3: { receiveSession: 1, transmitSession: 0xfffffff2 },
  });
  link.transmit(Buffer.from("frame"), 0, 5);
  const [datagram] = (await once(socket, "message")) as [Buffer];
  t.deepEqual(
    datagram,
    Buffer.concat([Buffer.from([0, 3, 0, 0, 0xff, 0xff, 0xff, 0xf2]), Buffer.from("frame")]),
  );

  const hostile = [
    [],
    [0, 3, 0, 0, 0, 0, 0],
    [0, 3, 0, 0, 0, 0, 0, 2, 9], // another session
    [0, 2, 0, 0, 0, 0, 0, 1, 9], // another version
    [0x80, 3, 0, 0, 0, 0, 0, 1, 9], // a control message
  ];
  for (const bytes of hostile) socket.send(Buffer.from(bytes), link.localPort, "127.0.0.1");
  socket.send(Buffer.from([0, 3, 0, 0, 0, 0, 0, 1, 7, 7]), link.localPort, "127.0.0.1");
  t.deepEqual(await next(), Buffer.from([7, 7]));
  t.is(link.receiveErrors, hostile.length);
  for (const session of [0, -1, 1.5, 2 ** 32]) {
    const l2tpv3 = { receiveSession: 1, transmitSession: session };
    await t.throwsAsync(openUdpFrame({ remote: { port }, l2tpv3 }), { code: "EINVAL" });
  }
});

test("datagrams from a stranger are not frames", async (t) => {
  const { socket, port } = await farEnd(t);
  const stranger = await farEnd(t);
  const { link, next } = await openLink(t, { remote: { port } });
  await new Promise((sent) => stranger.socket.send("stranger", link.localPort, "127.0.0.1", sent));
  socket.send("friend", link.localPort, "127.0.0.1");
  t.is(String(await next()), "friend");
});

test("a far end that is not there costs frames, not the link", async (t) => {
  const { socket, port } = await farEnd(t);
  const { link, next } = await openLink(t, { remote: { port } });
  socket.removeAllListeners();
  const gone = createSocket("udp4").bind(0, "127.0.0.1");
  await once(gone, "listening");
  const absent = gone.address().port;
  gone.close();
  await once(gone, "close");
  const other = await openLink(t, { remote: { port: absent } });
  while (other.link.transmitErrors === 0) {
    other.link.transmit(new Uint8Array(60), 0, 60);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const late = createSocket("udp4").bind(absent, "127.0.0.1");
  t.teardown(() => late.close());
  await once(late, "listening");
  late.send("here", other.link.localPort, "127.0.0.1");
  t.is(String(await other.next()), "here");
  // And too large a frame is counted, not thrown.
  t.is(link.transmit(new Uint8Array(65508), 0, 65508), 0);
  socket.send("still here", link.localPort, "127.0.0.1");
  t.is(String(await next()), "still here");
  t.is(link.transmitErrors, 1);
});

test("a port that is taken: the error reaches the caller", async (t) => {
  const { port } = await farEnd(t);
  await t.throwsAsync(openUdpFrame({ local: { port }, remote: { port } }), { code: "EADDRINUSE" });
});

test("closed means closed", async (t) => {
  const { port } = await farEnd(t);
  const { link } = await openLink(t, { remote: { port } });
  link.close();
  link.close();
  t.is(link.transmit(new Uint8Array(60), 0, 60), 0);
  t.is(link.transmitErrors, 1);
  t.throws(() => link.open({} as LinkReceiver), { code: "EBADF" });
});
